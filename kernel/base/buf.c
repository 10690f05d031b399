/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buf.h"

#include <stdarg.h>

#include "base/banned.h"
#include "base/mem.h"

void buf_free(struct buf *b)
{
	if (b->arena == NULL)
		mem_free(b->p);
	*b = (struct buf){ .arena = b->arena };
}

static int grow(struct buf *b, size_t need)
{
	size_t cap = b->cap ? b->cap : 128;
	char *p;

	while (cap < need) {
		if (cap > SIZE_MAX / 4) {
			b->failed = 1;
			return -1;
		}
		cap *= 2;
	}
	p = b->arena ? arena_grow(b->arena, b->p, b->cap, cap) : mem_resize(b->p, cap);
	if (p == NULL) {
		b->failed = 1;
		return -1;
	}
	b->p = p;
	b->cap = cap;
	return 0;
}

int buf_reserve(struct buf *b, size_t more)
{
	if (b->failed)
		return -1;
	if (b->cap - b->n > more) /* one byte for the NUL */
		return 0;
	return more > SIZE_MAX / 4 ? (b->failed = 1, -1) : grow(b, b->n + more + 1);
}

void buf_add(struct buf *b, const void *p, size_t n)
{
	if (n == 0 || buf_reserve(b, n) < 0)
		return;
	memcpy(b->p + b->n, p, n);
	b->n += n;
}

void buf_addc(struct buf *b, char c)
{
	if (buf_reserve(b, 1) == 0)
		b->p[b->n++] = c;
}

void buf_adds(struct buf *b, struct str s)
{
	buf_add(b, s.p, s.n);
}

void buf_printf(struct buf *b, const char *fmt, ...)
{
	va_list ap, again;
	int n;

	va_start(ap, fmt);
	va_copy(again, ap);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n > 0 && buf_reserve(b, (size_t)n) == 0) {
		vsnprintf(b->p + b->n, (size_t)n + 1, fmt, again);
		b->n += (size_t)n;
	}
	va_end(again);
}

void buf_int(struct buf *b, int64_t v)
{
	char digits[24];
	size_t at = sizeof(digits);
	uint64_t u = v < 0 ? 0 - (uint64_t)v : (uint64_t)v;

	do {
		digits[--at] = (char)('0' + u % 10);
		u /= 10;
	} while (u > 0);
	if (v < 0)
		digits[--at] = '-';
	buf_add(b, digits + at, sizeof(digits) - at);
}

void buf_drop(struct buf *b, size_t n)
{
	if (n >= b->n) {
		b->n = 0;
		return;
	}
	memmove(b->p, b->p + n, b->n - n);
	b->n -= n;
}

struct str buf_str(struct buf *b)
{
	if (b->failed || buf_reserve(b, 0) < 0)
		return STR("");
	b->p[b->n] = '\0';
	return (struct str){ b->p, b->n };
}
