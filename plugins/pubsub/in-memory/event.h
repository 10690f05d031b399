/* SPDX-License-Identifier: Apache-2.0 */
/* A published event, one copy for all that have subscribed to it. */
#ifndef EVENT_H
#define EVENT_H
#include <davit/pubsub.h>

struct event {
	uint64_t refs; /* atomic */
	uint64_t size; /* of the allocation */
	struct davit_bytes data;
	struct davit_pair *metadata;
	uint64_t nmetadata;
};

struct event *event_new(const struct davit_publish *in); /* one reference; NULL: no memory */
void event_ref(struct event *e);
void event_unref(void *event);
#endif
