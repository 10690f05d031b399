/* SPDX-License-Identifier: Apache-2.0 */
#include "entry.h"

#include <stdlib.h>
#include <time.h>

static int64_t clock_ms(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

int64_t entry_now_ms(void)
{
	return clock_ms(CLOCK_MONOTONIC);
}

/* A time so far away that it does not fit is never. */
static void set_expiry(struct entry *e, int64_t ttl_s)
{
	int64_t ms;

	e->expires_ms = e->deadline_ms = 0;
	if (ttl_s <= 0 || __builtin_mul_overflow(ttl_s, (int64_t)1000, &ms))
		return;
	if (__builtin_add_overflow(clock_ms(CLOCK_REALTIME), ms, &e->expires_ms) ||
	    __builtin_add_overflow(entry_now_ms(), ms, &e->deadline_ms))
		e->expires_ms = e->deadline_ms = 0;
}

struct entry *entry_new(const struct davit_state_set *in)
{
	struct entry *e;
	size_t n;

	if (in->key.n > UINT32_MAX || __builtin_add_overflow(sizeof(*e) + in->key.n + 1, in->value.n, &n))
		return NULL;
	e = malloc(n);
	if (e == NULL)
		return NULL;
	if (davit_uuid4(&e->etag) < 0) {
		free(e);
		return NULL;
	}
	set_expiry(e, in->ttl_s);
	e->next = NULL;
	e->order = 0;
	e->hash = 0;
	e->refs = 1;
	e->key_n = (uint32_t)in->key.n;
	e->value_n = in->value.n;
	memcpy(e->bytes, in->key.p, in->key.n);
	e->bytes[in->key.n] = '\0';
	if (in->value.n > 0)
		memcpy(e->bytes + in->key.n + 1, in->value.p, in->value.n);
	return e;
}

struct entry *entry_ref(struct entry *e)
{
	__atomic_fetch_add(&e->refs, 1, __ATOMIC_RELAXED);
	return e;
}

void entry_unref(void *entry)
{
	struct entry *e = entry;

	if (e != NULL && __atomic_fetch_sub(&e->refs, 1, __ATOMIC_ACQ_REL) == 1)
		free(e);
}

void entry_unref_list(struct entry *first)
{
	struct entry *next;

	for (; first != NULL; first = next) {
		next = first->next;
		entry_unref(first);
	}
}
