/* SPDX-License-Identifier: Apache-2.0 */
#include "held.h"

#include <stdlib.h>

static size_t bucket_of(const char *id)
{
	size_t h = 5381;

	while (*id != '\0')
		h = h * 33 + (unsigned char)*id++;
	return h % HELD_BUCKETS;
}

struct held *held_add(struct held_set *set, struct subscription *s, const char *id)
{
	struct held **bucket = &set->buckets[bucket_of(id)], *h = calloc(1, sizeof(*h));

	if (h == NULL)
		return NULL;
	h->subscription = s;
	snprintf(h->id, sizeof(h->id), "%s", id);
	h->next = *bucket;
	*bucket = h;
	return h;
}

struct held *held_find(const struct held_set *set, const char *id)
{
	struct held *h = set->buckets[bucket_of(id)];

	while (h != NULL && strcmp(h->id, id) != 0)
		h = h->next;
	return h;
}

void held_remove(struct held_set *set, struct held *h)
{
	struct held **at = &set->buckets[bucket_of(h->id)];

	while (*at != h)
		at = &(*at)->next;
	*at = h->next;
	free(h);
}
