/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of a stream share; nobody else includes it. stream_plugin.c is what the plugin calls, from any thread;
 * stream.c starts, stops and closes; stream_message.c is a message's way from its arrival on the loop to its settling.
 */
#ifndef PLUGIN_STREAM_INSIDE_H
#define PLUGIN_STREAM_INSIDE_H
#include <pthread.h>
#include <stdatomic.h>

#include "base/map.h"
#include "loop/fiber.h"
#include "loop/lane.h"
#include "loop/loop.h"
#include "plugin/notify.h"
#include "plugin/stream.h"

struct order;

/* Where a message is: it moves only on the loop. */
enum message_place {
	MESSAGE_COMING,	 /* posted: by the plugin, or to be shown to the sink next */
	MESSAGE_BEHIND,	 /* waits for its predecessor */
	MESSAGE_HELD,	 /* the owner's */
	MESSAGE_SETTLING /* the plugin is to hear of it */
};

struct message {
	struct stream_message head;
	struct loop_task task;
	struct message *next, **link; /* in its order's queue, among the held, or among those to settle */
	struct order *order;	      /* NULL: none, or no more */
	enum message_place place;
	int outcome;
	int taken; /* the owner did not settle it in time: it was done over his head, only its memory waits for him */
	uint64_t token;
};

/* A list whose first is taken and whose last is known. */
struct message_queue {
	struct message *first, **end;
};

/* Who waits for credit; lives on his stack. */
struct credit_waiter {
	struct credit_waiter *next;
	struct loop_task task;
	struct fiber *fiber; /* NULL: a worker, which waits for the condition */
	int woken;	     /* the fiber's own loop only */
};

struct stream {
	struct davit_call head;
	/* References: the owner's, the plugin's until it is done, one each message and each posted task. */
	struct arena *arena;
	struct stream_options o;
	struct loop *loop;
	struct lane *lane; /* its own worker; NULL: the instance's, or a fiber */
	struct lane_job job;

	/* Any thread. */
	_Atomic int64_t credit; /* may be emitted still; changed under the lock where somebody could wait for it */
	_Atomic int cancelled, finished, stood;
	struct notify on_cancel, on_credit;
	pthread_mutex_t lock; /* innermost; for what follows */
	pthread_cond_t room;
	struct credit_waiter *waiters;
	int blocked; /* workers that wait for room */
	int starved; /* somebody was refused who wants on_credit */
	int told;    /* the task that runs it is on its way */
	davit_status status;
	struct str message;
	struct loop_task credit_task, stand_task, done_task, returned_task;

	/* The loop's. */
	struct fiber *starter, *keeper, *closer;
	int stands, done, returned, stopping;
	int closed;  /* the owner has gone */
	int failing; /* it is not standing yet, and nobody waits for that any more */
	struct map orders;
	struct message_queue held, settling;
	struct message_queue postponed; /* until there is memory to put them in line */
};

/* stream_plugin.c */
void stream_done(struct davit_call *call, davit_status status);
void stream_standing(struct stream *st);	       /* any thread: as if the plugin had said that it stands */
void stream_give_credit(struct stream *st, int64_t n); /* any thread */
void stream_cancel(struct stream *st);
void stream_prepare_plugin(struct stream *st);

/* stream_message.c, own loop */
void message_arrived(struct loop_task *t);
void message_settle(struct message *m, int outcome); /* wherever it is but settling */
void message_release(struct message *m);	     /* the plugin has heard of it */
void messages_give_back(struct stream *st);	     /* what waits behind others, or for memory: RETRY */
int messages_resume(struct stream *st);		     /* what waits for memory; 0: none is left, -1: it is still short */
void messages_take(struct stream *st);		     /* what the owner holds: RETRY, over his head */
struct message *queue_take(struct message_queue *q); /* NULL: empty */
void queue_add(struct message_queue *q, struct message *m);
void queue_drop(struct message_queue *q, struct message *m);

/* stream_settle.c: a fiber */
void stream_keep(void *stream);

static inline struct stream *stream_of(const struct davit_call *head)
{
	return (struct stream *)head;
}
#endif
