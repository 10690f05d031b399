/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of a subscriber share; nobody else includes it. subscriber.c is its life, delivery.c one message's way,
 * batch.c that of several together. */
#ifndef BLOCKS_SUBSCRIBER_INSIDE_H
#define BLOCKS_SUBSCRIBER_INSIDE_H
#include "blocks/event.h"
#include "blocks/subscriber.h"
#include "plugin/stream.h"

/* A message that the subscriber holds; its stream's message has room for it. */
struct delivery {
	struct subscriber *s;
	struct stream_message *m;
	struct delivery *next, **link; /* among those waiting, or under way */
	struct topic_cancel cancel;
};

struct delivery_queue {
	struct delivery *first, **end;
	size_t n;
};

struct subscriber {
	struct subscriber_options o;
	struct arena *arena; /* its own */
	struct loop *loop;
	struct stream *stream;
	struct fiber *pump;   /* sends batches, and messages for which there was no fiber */
	struct fiber *closer; /* waits for the last one */
	struct delivery_queue waiting, active;
	struct delivery **batch; /* room for one */
	struct topic_cancel bulk_cancel;
	int raw;	/* rawPayload; -1: the subscription's metadata has something else there */
	int bulk;	/* messages of a batch; 0: one by one */
	int await_ms;	/* of a batch */
	int64_t due_ns; /* when the batch that gathers is to go */
	int closing;	/* failures do not become dead letters any more: the broker gives such a message again */
	int flushing;	/* a batch goes at once */
	int ending, pump_ended, busy; /* of the pump: to end, has ended, is sending */
	struct str loss;
};

/* delivery.c: DAVIT_SETTLE_…. The arena may jump: arena_on_oom(). */
int delivery_handle(struct subscriber *s, struct arena *a, const struct davit_message *m, struct topic_cancel *cancel);
/* 0: it is at the dead-letter topic; -1: there is none, or it did not take it. */
int delivery_bury(struct subscriber *s, struct arena *a, const struct davit_message *m,
		  const struct davit_pair *metadata, size_t nmetadata);

/* batch.c: settles all of them. */
void batch_send(struct subscriber *s, struct delivery **list, size_t n);

/* subscriber.c */
void delivery_settle(struct delivery *d, int outcome); /* d is gone afterwards */
void delivery_queue_add(struct delivery_queue *q, struct delivery *d);
void delivery_queue_drop(struct delivery_queue *q, struct delivery *d);
#endif
