/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A shard: one of the hash tables that share a store's keys. All but shard_init and shard_release want its lock held.
 * Nothing is freed under it: what leaves is put on the caller's list.
 */
#ifndef SHARD_H
#define SHARD_H
#include <pthread.h>

#include "entry.h"

struct shard {
	pthread_mutex_t
		*lock; /* the store's, and of other shards too; several are taken in the order of their addresses */
	struct entry **buckets;
	uint32_t mask; /* buckets, a power of two, less one */
	uint32_t count;
	uint32_t mortal; /* entries that expire */
	uint32_t swept;	 /* the bucket that the next sweep begins with */
};

int shard_init(struct shard *s, pthread_mutex_t *lock); /* -1: no memory */
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
