/* SPDX-License-Identifier: Apache-2.0 */
#include "event.h"

#include <stdlib.h>

/* In one piece: the struct, its pairs, their texts with a NUL behind each, the data. */
static uint64_t size_of(const struct davit_publish *in)
{
	uint64_t n = sizeof(struct event) + in->nmetadata * sizeof(struct davit_pair) + in->data.n, i;

	for (i = 0; i < in->nmetadata; i++)
		n += in->metadata[i].key.n + in->metadata[i].value.n + 2;
	return n;
}

static struct davit_str put(char **at, struct davit_str s)
{
	struct davit_str copy = { *at, s.n };

	if (s.n > 0)
		memcpy(*at, s.p, s.n);
	(*at)[s.n] = '\0';
	*at += s.n + 1;
	return copy;
}

struct event *event_new(const struct davit_publish *in)
{
	uint64_t size = size_of(in), i;
	struct event *e = malloc(size);
	char *at;

	if (e == NULL)
		return NULL;
	e->refs = 1;
	e->size = size;
	e->metadata = (struct davit_pair *)(e + 1);
	e->nmetadata = in->nmetadata;
	at = (char *)(e->metadata + in->nmetadata);
	for (i = 0; i < in->nmetadata; i++) {
		e->metadata[i].key = put(&at, in->metadata[i].key);
		e->metadata[i].value = put(&at, in->metadata[i].value);
	}
	if (in->data.n > 0)
		memcpy(at, in->data.p, in->data.n);
	e->data = (struct davit_bytes){ at, in->data.n };
	return e;
}

void event_ref(struct event *e)
{
	__atomic_fetch_add(&e->refs, 1, __ATOMIC_RELAXED);
}

void event_unref(void *event)
{
	struct event *e = event;

	if (__atomic_fetch_sub(&e->refs, 1, __ATOMIC_ACQ_REL) == 1)
		free(e);
}
