/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One subscription: its queue, and the pump that emits from it as far as there is credit. Whoever has just made something
 * to emit pumps, on his own thread; one does so at a time, so credit that was seen is there.
 */
#ifndef SUBSCRIBER_H
#define SUBSCRIBER_H
#include <pthread.h>

#include "event.h"

#define QUEUE_MESSAGES 1000	/* that may wait for one subscriber, beside its credit */
#define QUEUE_BYTES (16u << 20) /* the same; a single message may be larger */

struct bus;
struct waiting;

struct subscriber {
	struct subscriber *next; /* the bus's list, under its lock */
	struct bus *bus;
	struct davit_call *call;
	uint64_t refs; /* atomic: the subscription's, one for each that pumps, one a message that was emitted */
	struct davit_str topic; /* behind the struct */

	pthread_mutex_t lock; /* behind the bus's; nothing is locked under it, the kernel is not called */
	struct waiting *first, **last;
	uint64_t count, bytes;
	int pumping, again;  /* somebody pumps; what he has seen is not all */
	int ended, finished; /* it takes no more; davit_done is somebody's task already */
};

struct subscriber *subscriber_new(struct bus *bus, struct davit_call *call, struct davit_str topic);
void subscriber_unref(struct subscriber *s);

int subscriber_matches(const struct subscriber *s, struct davit_str topic); /* by name, or up to a star at its end */
int subscriber_has_room(struct subscriber *s, uint64_t bytes);
int subscriber_add(struct subscriber *s, struct event *e); /* takes a reference of its own; -1: no memory */
void subscriber_pump(struct subscriber *s);		   /* any thread, no lock held */
void subscriber_end(struct subscriber *s);		   /* gives up what waits; davit_done when nobody emits */
#endif
