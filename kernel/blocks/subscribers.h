/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All subscriptions of this application: those of resources, those that it names itself, and those of clients that stream.
 *
 * The first two are at work while the application is healthy, each on a loop of its own choice and started again, with
 * growing pauses, whenever its component does not subscribe or ends by itself. Of several to one topic of one component the
 * first resource counts, and what the application says takes its place.
 */
#ifndef BLOCKS_SUBSCRIBERS_H
#define BLOCKS_SUBSCRIBERS_H
#include "blocks/subscriber.h"
#include "loop/loop.h"

struct subscribers;

struct subscribers_options {
	const struct resources *resources; /* held until subscribers_close() */
	const struct tracer *tracer;
	int skip_list; /* --disable-init-endpoints=subscribe: the application is not asked */
	struct loop *const *loops;
	int nloops;
};

/* Reads the resources; nothing starts. NULL: *ret_message, in a: a rule that does not compile, or no memory. */
struct subscribers *subscribers_new(const struct subscribers_options *o, struct arena *a, struct str *ret_message);
/* The components that there are; before anything starts. */
void subscribers_use(struct subscribers *all, struct blocks *b);
/* The application to call; before subscribers_changed(). Until then, and where there is none, only streams work. */
void subscribers_call(struct subscribers *all, struct app *app);

/*
 * From a fiber of the first loop, one at a time. Healthy: asks the application, the first time, what it subscribes to, and
 * starts everything; returns when each has been tried once. Unhealthy: stops them, but for the streams.
 */
void subscribers_changed(struct subscribers *all, int healthy);

/* From a fiber of the first loop: stops everything for good. drain: see subscriber_stop(). Streams are told, and waited for. */
void subscribers_stop(struct subscribers *all, int drain, int within_ms);
void subscribers_free(struct subscribers *all); /* stopped before; NULL is fine */

enum subscriber_source { SUBSCRIBER_DECLARATIVE, SUBSCRIBER_PROGRAMMATIC, SUBSCRIBER_STREAMING };

struct subscriber_shown {
	enum subscriber_source source;
	const struct subscription *about;
};

/* For the metadata API, from any thread; a copy in a. NULL is none. */
const struct subscriber_shown *subscribers_list(struct subscribers *all, struct arena *a, size_t *ret_n);

/* ---- A client's stream; all on its loop ---- */

struct subscriber_stream {
	/* Set by the owner, who keeps it until subscribers_leave() has returned. */
	struct subscription about;	    /* name empty, rules none: everything goes to path "/" */
	const struct subscriber_sink *sink; /* its lost() is called when the component ends */
	void *ctx;
	/* The process ends: leave within that time. Not on a fiber, once at most, from subscribers_enter() on. */
	void (*closing)(void *ctx, int within_ms);

	/* The rest is theirs. */
	struct subscribers *all; /* NULL: has not entered, or has left */
	struct subscriber *subscriber;
	struct routing *routing;
	struct subscriber_stream *next, **link;
	struct loop *loop;
	struct loop_task task;
	struct fiber *leaver;
	int told, heard; /* closing() is on its way, has run */
	int shown;	 /* it has said what it subscribes to */
};

/* All three from a fiber. A stream that has entered is told of the process's end, and must leave. -1: it has ended already. */
int subscribers_enter(struct subscribers *all, struct subscriber_stream *s);
/* With `about` set; parks until the component has subscribed. */
struct error subscribers_join(struct subscriber_stream *s, struct arena *a);
void subscribers_leave(struct subscriber_stream *s, int drain, int within_ms); /* whether it has joined or not */
#endif
