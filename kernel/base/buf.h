/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A buffer that grows. On the heap (buf_init, buf_free) running out of memory is remembered in `failed` and what follows
 * is ignored, so one check at the end is enough; in an arena (buf_in) it takes the arena's exit.
 */
#ifndef BASE_BUF_H
#define BASE_BUF_H
#include "base/arena.h"
#include "base/str.h"

struct buf {
	char *p; /* n bytes; a NUL stands behind them after buf_str() and buf_cstr() */
	size_t n, cap;
	struct arena *arena; /* NULL: on the heap */
	int failed;
};

static inline struct buf buf_init(void)
{
	return (struct buf){ .p = NULL };
}

static inline struct buf buf_in(struct arena *a)
{
	return (struct buf){ .arena = a };
}

void buf_free(struct buf *b);		     /* heap only; empties it */
int buf_reserve(struct buf *b, size_t more); /* 0; -1: no memory. Then b->p + b->n has room for `more` bytes */
void buf_add(struct buf *b, const void *p, size_t n);
void buf_addc(struct buf *b, char c);
void buf_adds(struct buf *b, struct str s);
void buf_printf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void buf_int(struct buf *b, int64_t v);
void buf_drop(struct buf *b, size_t n); /* removes the first n bytes */
struct str buf_str(struct buf *b);	/* borrows, valid until the next change; "" when it failed */

#define buf_lit(b, literal) buf_add(b, "" literal, sizeof(literal) - 1)
#endif
