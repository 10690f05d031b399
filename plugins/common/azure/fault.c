/* SPDX-License-Identifier: Apache-2.0 */
#include "fault.h"

davit_status azure_fault_set(struct azure_fault *f, davit_status status, const char *fmt, ...)
{
	va_list ap;

	f->status = status;
	f->code[0] = '\0';
	va_start(ap, fmt);
	vsnprintf(f->text, sizeof(f->text), fmt, ap);
	va_end(ap);
	return status;
}

davit_status azure_fault_no_memory(struct azure_fault *f)
{
	return azure_fault_set(f, DAVIT_EXHAUSTED, "no memory left");
}
