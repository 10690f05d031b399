/* SPDX-License-Identifier: Apache-2.0 */
#include "loop/fault.h"

#include <stddef.h>
#include <sys/mman.h>

#include "base/banned.h"

#define STACK (64u * 1024) /* touched only by a fault */

void fault_mask(sigset_t *ret_set)
{
	static const int faults[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT };
	size_t i;

	sigfillset(ret_set);
	for (i = 0; i < sizeof(faults) / sizeof(faults[0]); i++)
		sigdelset(ret_set, faults[i]);
}

/* The sanitizers bring their own. */
void *fault_stack_start(void)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	return NULL;
#else
	void *p = mmap(NULL, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK | MAP_NORESERVE, -1,
		       0);
	stack_t s = { .ss_sp = p, .ss_size = STACK };

	if (p == MAP_FAILED)
		return NULL;
	sigaltstack(&s, NULL);
	return p;
#endif
}

void fault_stack_end(void *stack)
{
	stack_t none = { .ss_flags = SS_DISABLE };

	if (stack == NULL)
		return;
	sigaltstack(&none, NULL);
	munmap(stack, STACK);
}
