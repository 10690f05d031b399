/* SPDX-License-Identifier: Apache-2.0 */
#include "escape.h"

static int is_plain(unsigned char c)
{
	return (c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z') || c == '-' || c == '.' || c == '_' ||
	       c == '~';
}

struct davit_str azure_escape(struct davit_call *call, struct davit_str s)
{
	static const char digits[] = "0123456789ABCDEF";
	char *text = s.n > SIZE_MAX / 4 ? NULL : davit_alloc(call, 3 * s.n + 1), *to = text;
	size_t i;

	if (text == NULL)
		return davit_str(NULL);
	for (i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];

		if (is_plain(c)) {
			*to++ = (char)c;
		} else {
			*to++ = '%';
			*to++ = digits[c >> 4];
			*to++ = digits[c & 15];
		}
	}
	*to = '\0';
	return (struct davit_str){ text, (size_t)(to - text) };
}

struct davit_str azure_print(struct davit_call *call, const char *fmt, ...)
{
	va_list ap, again;
	char *text;
	int n;

	va_start(ap, fmt);
	va_copy(again, ap);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	text = n < 0 ? NULL : davit_alloc(call, (size_t)n + 1);
	if (text != NULL)
		vsnprintf(text, (size_t)n + 1, fmt, again);
	va_end(again);
	return (struct davit_str){ text, text == NULL ? 0 : (size_t)n };
}
