/* SPDX-License-Identifier: Apache-2.0 */
#include "mesh/addresses.h"

#include "base/banned.h"
#include "base/clock.h"
#include "base/map.h"
#include "base/mem.h"

#define KEPT_NS INT64_C(1000000000)

struct remembered {
	int64_t until_ns;
	size_t n;
	struct str list[]; /* their bytes follow */
};

struct side { /* of one loop */
	struct map names;
	uint64_t seed;
};

struct addresses {
	struct loop *const *loops;
	int nloops;
	struct side sides[];
};

struct addresses *addresses_new(struct loop *const *loops, int nloops)
{
	struct addresses *d = mem_zalloc(sizeof(*d) + sizeof(d->sides[0]) * (size_t)nloops);

	if (d == NULL)
		return NULL;
	d->loops = loops;
	d->nloops = nloops;
	return d;
}

static void forget_all(struct side *s)
{
	const struct map_entry *e;
	size_t at = 0;

	while ((e = map_next(&s->names, &at)) != NULL)
		mem_free(e->value);
	map_free(&s->names);
	s->names = map_init();
}

void addresses_free(struct addresses *d)
{
	int i;

	for (i = 0; d != NULL && i < d->nloops; i++)
		forget_all(&d->sides[i]);
	mem_free(d);
}

static struct side *my_side(struct addresses *d)
{
	int i;

	for (i = 0; i < d->nloops; i++)
		if (d->loops[i] == loop_self())
			return &d->sides[i];
	return NULL;
}

/* Which of several is taken is nobody's secret (xorshift, Marsaglia 2003). */
static size_t any_of(struct side *s, size_t n)
{
	uint64_t x = s->seed != 0 ? s->seed : (uint64_t)clock_ns() | 1;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	s->seed = x;
	return (size_t)(x % n);
}

int addresses_get(struct addresses *d, struct arena *a, struct str key, struct str *ret_address)
{
	struct side *s = my_side(d);
	const struct remembered *r = s != NULL ? map_get(&s->names, key) : NULL;

	if (r == NULL || r->until_ns <= clock_ns())
		return 0;
	*ret_address = arena_str(a, r->list[r->n == 1 ? 0 : any_of(s, r->n)]);
	return 1;
}

void addresses_put(struct addresses *d, struct str key, const struct str *list, size_t n)
{
	struct side *s = my_side(d);
	struct remembered *r;
	size_t i, size = 0;
	void *old = NULL;
	char *p;

	for (i = 0; i < n; i++)
		size += list[i].n;
	if (s == NULL || n == 0 || (r = mem_alloc(sizeof(*r) + n * sizeof(r->list[0]) + size)) == NULL)
		return;
	r->until_ns = clock_ns() + KEPT_NS;
	r->n = n;
	p = (char *)&r->list[n];
	for (i = 0; i < n; i++) {
		memcpy(p, list[i].p, list[i].n);
		r->list[i] = (struct str){ p, list[i].n };
		p += list[i].n;
	}
	if (s->names.n >= ADDRESSES_NAMES)
		forget_all(s);
	if (map_set(&s->names, key, r, &old) < 0)
		mem_free(r);
	else
		mem_free(old);
}

void addresses_forget(struct addresses *d, struct str key)
{
	struct side *s = my_side(d);

	if (s != NULL)
		mem_free(map_remove(&s->names, key));
}
