/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A shard: one of the hash tables that share a store's keys, with a lock of its own. All but shard_init and shard_release
 * want the lock held. Nothing is freed under it: what leaves is put on the caller's list.
 */
#ifndef SHARD_H
#define SHARD_H
#include <pthread.h>

#include "entry.h"

struct shard {
	pthread_mutex_t lock; /* of several shards: taken in the order of their addresses */
	struct entry **buckets;
	uint32_t mask;	      /* buckets, a power of two, less one */
	uint32_t count;
	uint32_t mortal;      /* entries that expire */
	uint32_t swept;	      /* the bucket that the next sweep begins with */
} __attribute__((aligned(64)));

int shard_init(struct shard *s); /* -1: no memory */
void shard_release(struct shard *s);

/* NULL: none, or one that has expired and was dropped. */
struct entry *shard_find(struct shard *s, uint32_t hash, struct davit_str key, struct entry **dropped);
void shard_put(struct shard *s, struct entry *e, struct entry **dropped); /* takes e; replaces the one of its key */
void shard_remove(struct shard *s, uint32_t hash, struct davit_str key, struct entry **dropped);
/* A few buckets' worth of expired entries: each write pays for a piece, so that no pass over all of them is needed. */
void shard_sweep(struct shard *s, struct entry **dropped);
/* Drops the entry at *link. */
void shard_drop(struct shard *s, struct entry **link, struct entry **dropped);
#endif
