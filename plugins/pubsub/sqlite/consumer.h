/* SPDX-License-Identifier: Apache-2.0 */
/* One subscription: what it holds, and how it gets more. The keeper's, but for what is marked. */
#ifndef CONSUMER_H
#define CONSUMER_H
#include "bus.h"

enum consumer_state {
	CONSUMER_STARTING, /* the keeper has not had its turn */
	CONSUMER_STANDS,
	CONSUMER_FAILED, /* request.fault says why; the operation frees it */
	CONSUMER_LEFT	 /* the operation did not wait to the end: the keeper completes the call */
};

/* A message that was emitted and is not settled, or that could not be emitted. Its address is the token. */
struct held {
	struct held *next, **link;    /* of its consumer, or of those that are owed */
	struct consumer *consumer;    /* referenced */
	int64_t group, message, peer; /* as it stands in the file */
	int64_t failures;
	int outcome, counts; /* owed: as it is to be settled */
	int64_t due;
};

struct consumer {
	struct consumer *next;
	struct bus *bus;
	struct davit_call *call; /* NULL: done */
	struct request request;	 /* of subscribing */
	int state;		 /* atomic: enum consumer_state */
	int ready;		 /* atomic: the call may be emitted on */
	int look;		 /* atomic: there may be something, or credit */
	int cancelled;		 /* atomic */

	struct davit_str topic; /* behind the struct */
	int64_t topic_id, group_id;
	uint64_t bulk;
	uint64_t refs; /* atomic: the keeper's, one of each that is held, one of each that was emitted */
	struct held *held;
	/* In order: the message that was not taken and has not been given again, which holds up the others; 0: none. While
	 * a transaction is tried, what it would be. */
	int64_t line, trying;
	int64_t due_ms; /* monotonic: when what waits is due; INT64_MAX: nothing waits */
};

davit_status consumer_subscribe(void *self, struct davit_call *call, const struct davit_subscribe *in);
davit_status consumer_settle(void *self, struct davit_call *call, const struct davit_settle *in);

void consumers_look(struct bus *b, int64_t topic); /* at what there is of a topic; 0: of each */
int consumers_pump(struct bus *b);		   /* hands out what there is credit for; 1: there may be more */
void consumers_try(struct bus *b);		   /* before requests are applied */
void consumers_end(struct bus *b);		   /* completes those that were cancelled */
void consumers_settle_owed(struct bus *b);	   /* another try */
int64_t consumers_due(const struct bus *b);	   /* monotonic: when the next is due */
void consumers_free(struct bus *b);		   /* at the end, whatever they hold */

struct consumer *consumer_ref(struct consumer *c);
void consumer_unref(struct consumer *c);
void consumer_lose(struct consumer *c, const struct fault *f); /* its call fails */
void held_add(struct held **list, struct held *h);
void held_owe(struct held *h, int outcome); /* the keeper settles it as soon as it can */
#endif
