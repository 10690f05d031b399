/* SPDX-License-Identifier: Apache-2.0 */
/* The store of one component: its shards, shared by all loops. */
#ifndef STORE_H
#define STORE_H
#include <davit/siphash.h>

#include "shard.h"

#define SHARDS 256 /* so that growing one takes little time even with millions of keys */
#define LOCKS 32   /* so that loops seldom meet; ThreadSanitizer follows no more than 64 held at once */

struct lock {
	pthread_mutex_t mutex;
} __attribute__((aligned(64))); /* a cache line each */

struct store {
	struct davit_siphash_key key;
	uint64_t order;		  /* atomic: of the next write */
	struct lock locks[LOCKS]; /* shard i has i % LOCKS */
	struct shard shards[SHARDS];
};

struct place {
	struct shard *shard;
	uint32_t hash;
};

/* The low half of the hash picks the bucket, bits above it the shard. */
static inline struct place store_place(struct store *s, struct davit_str key)
{
	uint64_t hash = davit_siphash(&s->key, key.p, key.n);
	struct place p = { &s->shards[hash >> 32 & (SHARDS - 1)], (uint32_t)hash };

	return p;
}

davit_status store_multi(void *self, struct davit_call *call, const struct davit_state_multi *in);
davit_status store_del_prefix(void *self, struct davit_call *call, const struct davit_state_prefix *in);
davit_status store_keys_like(void *self, struct davit_call *call, const struct davit_state_prefix *in);

/*
 * Whether a request with these flags and ETag may touch the entry that is there (or NULL). The lock is held, so the reason
 * is only noted here; store_refuse says it to the call.
 */
struct refusal {
	enum { REFUSAL_NONE, REFUSAL_EXISTS, REFUSAL_MISSING, REFUSAL_CHANGED } why;
	struct davit_uuid current; /* with REFUSAL_CHANGED */
};
struct refusal store_check(const struct entry *there, uint32_t flags, struct davit_str etag);
davit_status store_refuse(struct davit_call *call, const struct refusal *r, struct davit_str key,
			  struct davit_str etag);
davit_status store_no_memory(struct davit_call *call);
#endif
