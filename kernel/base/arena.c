/* SPDX-License-Identifier: Apache-2.0 */
#include "base/arena.h"

#include <stdatomic.h>
#include <stdint.h>

#include "base/banned.h"
#include "base/mem.h"

#define ALIGN 16u
#define FIRST_CHUNK 4096u /* holds a small call whole */
#define LARGEST_CHUNK 65536u
#define CACHED 256 /* first chunks that a thread keeps for its next calls */

struct chunk {
	struct chunk *next;
	size_t size; /* of the whole chunk */
};

struct deferred {
	struct deferred *next;
	void (*fn)(void *arg);
	void *arg;
};

struct arena {
	_Atomic int refs;
	char *at, *end; /* the free part of the newest chunk */
	struct chunk *chunks;
	struct deferred *deferred;
	jmp_buf *oom;
	size_t size, next_chunk;
};

/* A thread's stock of first chunks, so that a call costs no malloc. */
struct stock {
	int n, keeps;
	struct chunk *chunks[CACHED];
};

static _Thread_local struct stock stock;

static size_t round_up(size_t n)
{
	return (n + ALIGN - 1) & ~(size_t)(ALIGN - 1);
}

static struct chunk *take_first_chunk(void)
{
	struct chunk *c;

	if (stock.n > 0)
		return stock.chunks[--stock.n];
	c = mem_alloc(FIRST_CHUNK);
	if (c != NULL)
		c->size = FIRST_CHUNK;
	return c;
}

static void give_chunk(struct chunk *c)
{
	if (c->size == FIRST_CHUNK && stock.keeps && stock.n < CACHED)
		stock.chunks[stock.n++] = c;
	else
		mem_free(c);
}

void arena_keep_stock(void)
{
	stock.keeps = 1;
}

void arena_drop_stock(void)
{
	stock.keeps = 0;
	while (stock.n > 0)
		mem_free(stock.chunks[--stock.n]);
}

struct arena *arena_new(void)
{
	struct chunk *c = take_first_chunk();
	struct arena *a;

	if (c == NULL)
		return NULL;
	c->next = NULL;
	a = (struct arena *)((char *)c + round_up(sizeof(*c)));
	atomic_init(&a->refs, 1);
	a->at = (char *)a + round_up(sizeof(*a));
	a->end = (char *)c + FIRST_CHUNK;
	a->chunks = c;
	a->deferred = NULL;
	a->oom = NULL;
	a->size = FIRST_CHUNK;
	a->next_chunk = 2 * FIRST_CHUNK;
	return a;
}

struct arena *arena_ref(struct arena *a)
{
	atomic_fetch_add_explicit(&a->refs, 1, memory_order_relaxed);
	return a;
}

void arena_unref(struct arena *a)
{
	struct chunk *c, *next;
	struct deferred *d;

	if (a == NULL || atomic_fetch_sub_explicit(&a->refs, 1, memory_order_acq_rel) != 1)
		return;
	while ((d = a->deferred) != NULL) {
		a->deferred = d->next;
		d->fn(d->arg);
	}
	for (c = a->chunks; c != NULL; c = next) {
		next = c->next; /* one of them holds the arena itself: a is not looked at again */
		give_chunk(c);
	}
}

jmp_buf *arena_on_oom(struct arena *a, jmp_buf *where)
{
	jmp_buf *before = a->oom;

	a->oom = where;
	return before;
}

/* A new chunk for n bytes. What does not fit a chunk of the present size gets one alone, behind the current. */
static void *add_chunk(struct arena *a, size_t n)
{
	size_t head = round_up(sizeof(struct chunk)), size = a->next_chunk;
	int alone = n > size / 4;
	struct chunk *c;

	if (alone)
		size = head + n;
	c = mem_alloc(size);
	if (c == NULL)
		return NULL;
	c->size = size;
	a->size += size;
	if (alone) {
		c->next = a->chunks->next;
		a->chunks->next = c;
		return (char *)c + head;
	}
	c->next = a->chunks;
	a->chunks = c;
	a->at = (char *)c + head + n;
	a->end = (char *)c + size;
	if (a->next_chunk < LARGEST_CHUNK)
		a->next_chunk *= 2;
	return (char *)c + head;
}

static __attribute__((noinline)) void *alloc_slow(struct arena *a, size_t n)
{
	if (n == 0)
		return arena_try(a, 1);
	return n > SIZE_MAX / 2 ? NULL : add_chunk(a, round_up(n)); /* rounding more up would wrap */
}

void *arena_try(struct arena *a, size_t n)
{
	void *p = a->at;

	/* at and end are multiples of ALIGN; 0 wraps, and is as slow as what does not fit */
	if (n - 1 >= (size_t)(a->end - a->at))
		return alloc_slow(a, n);
	a->at += round_up(n);
	return p;
}

void *arena_alloc(struct arena *a, size_t n)
{
	void *p = arena_try(a, n);

	if (p != NULL)
		return p;
	if (a->oom == NULL)
		abort();
	longjmp(*a->oom, 1);
}

void *arena_zalloc(struct arena *a, size_t n)
{
	return memset(arena_alloc(a, n), 0, n);
}

void *arena_grow(struct arena *a, void *p, size_t old, size_t n)
{
	void *q;

	if (p != NULL && (char *)p + round_up(old) == a->at && round_up(n) >= round_up(old) &&
	    round_up(n) - round_up(old) <= (size_t)(a->end - a->at)) {
		a->at += round_up(n) - round_up(old);
		return p;
	}
	q = arena_alloc(a, n);
	if (old > 0)
		memcpy(q, p, old < n ? old : n);
	return q;
}

struct str arena_str(struct arena *a, struct str s)
{
	char *p = arena_alloc(a, s.n + 1);

	if (s.n > 0)
		memcpy(p, s.p, s.n);
	p[s.n] = '\0';
	return (struct str){ p, s.n };
}

char *arena_cstr(struct arena *a, const char *s)
{
	return (char *)arena_str(a, str_of(s)).p;
}

struct str arena_vprintf(struct arena *a, const char *fmt, va_list ap)
{
	va_list again;
	char small[256];
	char *p;
	int n;

	va_copy(again, ap);
	n = vsnprintf(small, sizeof(small), fmt, ap);
	if (n < 0)
		n = 0, small[0] = '\0';
	p = arena_alloc(a, (size_t)n + 1);
	if ((size_t)n < sizeof(small))
		memcpy(p, small, (size_t)n + 1);
	else
		vsnprintf(p, (size_t)n + 1, fmt, again);
	va_end(again);
	return (struct str){ p, (size_t)n };
}

struct str arena_printf(struct arena *a, const char *fmt, ...)
{
	struct str s;
	va_list ap;

	va_start(ap, fmt);
	s = arena_vprintf(a, fmt, ap);
	va_end(ap);
	return s;
}

int arena_try_defer(struct arena *a, void (*fn)(void *arg), void *arg)
{
	struct deferred *d = arena_try(a, sizeof(*d));

	if (d == NULL)
		return -1;
	d->fn = fn;
	d->arg = arg;
	d->next = a->deferred;
	a->deferred = d;
	return 0;
}

void arena_defer(struct arena *a, void (*fn)(void *arg), void *arg)
{
	struct deferred *d = arena_alloc(a, sizeof(*d));

	d->fn = fn;
	d->arg = arg;
	d->next = a->deferred;
	a->deferred = d;
}

size_t arena_size(const struct arena *a)
{
	return a->size;
}
