/* SPDX-License-Identifier: Apache-2.0 */
/* A message that the server has given us and that is not settled: while it is here it is not claimed by ourselves. */
#ifndef HELD_H
#define HELD_H
#include "entry.h"

#define HELD_BUCKETS 256

struct subscription;

struct held {
	struct held *next; /* in its bucket */
	struct subscription *subscription;
	char id[ENTRY_ID];
};

struct held_set {
	struct held *buckets[HELD_BUCKETS];
};

struct held *held_add(struct held_set *set, struct subscription *s, const char *id); /* NULL: no memory */
struct held *held_find(const struct held_set *set, const char *id);
void held_remove(struct held_set *set, struct held *h); /* and frees it */
#endif
