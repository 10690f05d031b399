/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A long call on an instance, seen from the kernel: an operation that emits messages until it is told to end. Belongs to
 * the loop it was started on; the plugin emits from wherever it runs, and the messages come to the sink on that loop, in
 * the order of emission.
 *
 *	start   from a fiber; returns when the plugin stands, or with what it failed
 *	message the sink gets one; it is the owner's until it settles it, and counts against the credit until the plugin has
 *		heard of that. Where memory is short it goes back RETRY before the sink has seen it, or, when there is nobody
 *		to give it again (no settle), waits for memory
 *	settle  exactly once each; tokens that gather while one settling is under way go to the plugin together. One that a
 *		plugin answers EXHAUSTED is tried again a little later; any other failure is logged and is the end of it
 *	stop    no more intake: the plugin is cancelled, what waits unseen is settled RETRY, what the owner holds stays his
 *	close   from a fiber: stops, waits for the owner to settle what he holds, then for the plugin to be done
 *
 *	plugin's thread:  emit -> credit? -> an arena of its own -> loop_post -> sink->message
 */
#ifndef PLUGIN_STREAM_H
#define PLUGIN_STREAM_H
#include <davit/pubsub.h>

#include "base/error.h"

struct instance;
struct stream;

#define STREAM_CREDIT_MOST 10000
#define STREAM_SETTLE_MOST 256 /* tokens in one settle */

/* A message the plugin emitted. Its memory, data and all, lives until it is settled and every other reference to arena has
 * gone: who needs it longer takes one (arena_ref). */
struct stream_message {
	struct stream *stream;
	struct arena *arena;
	const void *record; /* kernel-sized: struct davit_message for pubsub */
	void *user;	    /* the owner's: user_size bytes, zeroed */
};

/* What stands behind a stream: functions of its owner, called on the stream's loop, outside of any fiber: they must not
 * park, and start a fiber where something has to wait. */
struct stream_sink {
	void (*message)(void *ctx, struct stream_message *m);
	/* The plugin ended by itself, without being stopped; called once, after the last message. What is held is settled
	 * as ever, and the stream is still to be closed. message is good until then. */
	void (*ended)(void *ctx, davit_status status, struct str message);
};

struct stream_options {
	struct instance *instance;
	davit_op *op;	     /* the long call: ops->subscribe */
	davit_op *settle;    /* takes struct davit_settle; NULL: the component does not want to know */
	const void *in;	     /* of op; it and all it points to live in arena */
	struct arena *arena; /* the stream holds a reference until its end */
	uint32_t kind;	     /* of the messages: davit_message_kind. Their third word is the token */
	size_t order_at;  /* offset of the message's davit_str that says which must not overtake each other; 0: none */
	int in_order;	  /* the sink gets a message only when its predecessor of the same order is settled */
	uint64_t credit;  /* the same that `in` says; 1 to STREAM_CREDIT_MOST */
	size_t user_size; /* what the owner needs for a message is there before the plugin hears that it was accepted */
	const struct stream_sink *sink;
	void *ctx;
};

/*
 * deadline_ns: until when the plugin must stand; 0: none. NULL: *ret_error (in a) has the plugin's status and words, and
 * nothing is left to close. The sink may be called before this returns.
 */
struct stream *stream_start(const struct stream_options *o, int64_t deadline_ns, struct arena *a,
			    struct error *ret_error);

/* DAVIT_SETTLE_…. On the stream's loop, from a fiber or not; does not wait. m is gone afterwards. */
void stream_settle(struct stream_message *m, int outcome);

void stream_stop(struct stream *st); /* own loop; the second time does nothing */

/*
 * Stops, waits at most drain_ms for the owner to settle what he holds and settles the rest RETRY over his head (settling
 * it later is then a way of freeing it), then waits at most end_ms for the plugin. 0: ended and freed. -1: the plugin does
 * not end: that is logged and counted, what it may still touch is left to it.
 */
int stream_close(struct stream *st, int drain_ms, int end_ms);

uint64_t stream_held(const struct stream *st); /* accepted and not yet settled with the plugin; own loop */
int64_t stream_left(void);		       /* long calls that never ended, in the process so far */
#endif
