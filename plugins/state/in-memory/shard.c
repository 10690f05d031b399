/* SPDX-License-Identifier: Apache-2.0 */
#include "shard.h"

#include <stdlib.h>

#define FIRST_BUCKETS 16 /* there from the start, so that a put can never fail */
#define SWEEP 4		 /* buckets a write looks through */

int shard_init(struct shard *s, pthread_mutex_t *lock)
{
	s->buckets = calloc(FIRST_BUCKETS, sizeof(*s->buckets));
	if (s->buckets == NULL)
		return -1;
	s->lock = lock;
	s->mask = FIRST_BUCKETS - 1;
	s->count = s->mortal = s->swept = 0;
	return 0;
}

void shard_release(struct shard *s)
{
	uint32_t i;

	if (s->buckets == NULL)
		return;
	for (i = 0; i <= s->mask; i++)
		entry_unref_list(s->buckets[i]);
	free(s->buckets);
}

static struct entry **link_of(struct shard *s, uint32_t hash, struct davit_str key)
{
	struct entry **link = &s->buckets[hash & s->mask];

	for (; *link != NULL; link = &(*link)->next)
		if ((*link)->hash == hash && (*link)->key_n == key.n && memcmp((*link)->bytes, key.p, key.n) == 0)
			break;
	return link;
}

void shard_drop(struct shard *s, struct entry **link, struct entry **dropped)
{
	struct entry *e = *link;

	*link = e->next;
	s->count--;
	s->mortal -= e->deadline_ms != 0;
	e->next = *dropped;
	*dropped = e;
}

struct entry *shard_find(struct shard *s, uint32_t hash, struct davit_str key, struct entry **dropped)
{
	struct entry **link = link_of(s, hash, key);

	if (*link == NULL || !entry_expired(*link))
		return *link;
	shard_drop(s, link, dropped);
	return NULL;
}

/* Longer chains are no error: without memory the table stays as it is. */
static void grow(struct shard *s)
{
	uint32_t n = (s->mask + 1) * 2, i;
	struct entry **buckets, *e, *next;

	if (n > UINT32_MAX / 4)
		return;
	buckets = calloc(n, sizeof(*buckets));
	if (buckets == NULL)
		return;
	for (i = 0; i <= s->mask; i++) {
		for (e = s->buckets[i]; e != NULL; e = next) {
			next = e->next;
			e->next = buckets[e->hash & (n - 1)];
			buckets[e->hash & (n - 1)] = e;
		}
	}
	free(s->buckets);
	s->buckets = buckets;
	s->mask = n - 1;
}

void shard_put(struct shard *s, struct entry *e, struct entry **dropped)
{
	struct entry **link = link_of(s, e->hash, entry_key(e));

	if (*link != NULL)
		shard_drop(s, link, dropped);
	e->next = *link;
	*link = e;
	s->mortal += e->deadline_ms != 0;
	if (++s->count > s->mask)
		grow(s);
}

void shard_remove(struct shard *s, uint32_t hash, struct davit_str key, struct entry **dropped)
{
	struct entry **link = link_of(s, hash, key);

	if (*link != NULL)
		shard_drop(s, link, dropped);
}

void shard_sweep(struct shard *s, struct entry **dropped)
{
	struct entry **link;
	int64_t now;
	int i;

	if (s->mortal == 0)
		return;
	now = entry_now_ms();
	for (i = 0; i < SWEEP; i++) {
		link = &s->buckets[s->swept++ & s->mask];
		while (*link != NULL) {
			if ((*link)->deadline_ms != 0 && now > (*link)->deadline_ms)
				shard_drop(s, link, dropped);
			else
				link = &(*link)->next;
		}
	}
}
