/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of all subscriptions share; nobody else includes it. subscribers.c decides, keeper.c keeps one going,
 * subscribers_list.c knows which there are. */
#ifndef BLOCKS_SUBSCRIBERS_INSIDE_H
#define BLOCKS_SUBSCRIBERS_INSIDE_H
#include <pthread.h>
#include <stdatomic.h>

#include "blocks/outbox.h"
#include "blocks/subscribers.h"
#include "loop/fiber.h"
#include "loop/loop.h"

struct declared { /* by a resource or the application */
	const struct subscription *about;
	const struct routing *routing;
	struct outbox *outbox; /* its events are for this, not for the application; NULL: none */
};

struct declared_list {
	struct declared *p;
	size_t n;
};

/* Keeps one subscription going on its loop, from the application's becoming healthy to its end or illness. */
struct keeper {
	struct subscribers *all;
	struct keeper *next;
	struct arena *arena; /* its own: it lies there */
	struct subscriber_options o;
	struct outbox *outbox;
	struct loop *loop;
	struct loop_task begin, stop, tried, ended;
	_Atomic int drain, within_ms; /* set before `stop` is posted */

	/* On its loop. */
	struct fiber *fiber;
	struct subscriber *subscriber;
	int stopping, lost;
	/* On the first loop. */
	int was_tried, has_ended;
};

struct subscribers {
	struct subscribers_options o;
	struct arena *arena;
	struct blocks *blocks;
	struct app *app; /* NULL: none */
	struct declared_list declared;

	/* On the first loop. */
	struct keeper *keepers;
	size_t ntrying, nkeepers;
	struct fiber *waiter; /* for them */
	int asked;	      /* the application, what it subscribes to */
	int working;	      /* subscribers_changed() is at it */
	_Atomic int closing, closing_ms;
	struct topic_cancel asking;

	/* Under the lock, which is innermost; nothing jumps under it. */
	pthread_mutex_t lock;
	struct declared_list own; /* the application's, set once */
	struct arena *own_arena;
	struct subscriber_stream *streams;
	size_t nstreams;
};

/* keeper.c, on the first loop */
struct keeper *keeper_new(struct subscribers *all, const struct declared *d, struct pubsub *p,
			  struct loop *l);		      /* starts */
void keeper_stop(struct keeper *k, int drain, int within_ms); /* then it says `ended`, and is to be freed */

/* subscribers_list.c */
int subscribers_read(struct subscribers *all, struct str *ret_message);
void subscribers_ask(struct subscribers *all); /* once; parks */
/* What is to be at work, in a: resources, then the application's own. */
struct declared_list subscribers_wanted(struct subscribers *all, struct arena *a);
#endif
