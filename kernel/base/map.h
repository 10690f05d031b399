/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A map from text to pointers, in the order of insertion, on the heap. Keys are copied, values are borrowed. The hash
 * is seeded per process, so that a client cannot choose keys that collide.
 */
#ifndef BASE_MAP_H
#define BASE_MAP_H
#include "base/str.h"

struct map_entry {
	struct str key; /* NUL behind it; p == NULL: removed */
	void *value;
	uint64_t hash;
};

struct map {
	struct map_entry *entries; /* in order of insertion, with holes where something was removed */
	uint32_t *slots;	   /* index + 1 into entries, 0 empty */
	size_t n, used, cap;	   /* living entries, entries in use, room */
};

static inline struct map map_init(void)
{
	return (struct map){ .entries = NULL };
}

void map_free(struct map *m);			    /* the values stay their owners' */
void *map_get(const struct map *m, struct str key); /* NULL: not there */
/* 0 set (an old value is handed to ret_old, which may be NULL); -1 no memory, nothing changed. */
int map_set(struct map *m, struct str key, void *value, void **ret_old);
void *map_remove(struct map *m, struct str key); /* the value, NULL: not there */
/* Walks in order: *at starts at 0; NULL at the end. */
const struct map_entry *map_next(const struct map *m, size_t *at);
uint64_t map_hash(struct str key);
#endif
