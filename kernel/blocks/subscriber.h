/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One subscription at work: the component's stream of messages, each turned into an event, routed, sent to whoever
 * subscribed, and settled by the answer. Belongs to the loop it was started on.
 *
 *	message -> envelope -> expired? -> rules -> send -> SUCCESS: settled OK
 *	                                               DROP, or no rule: dead letter if there is a topic for it, settled DROP
 *	                                               anything else: dead letter, settled OK; without one settled RETRY
 *
 * How many messages are on their way at once is the stream's credit: a subscriber that stands still holds that many and
 * the broker keeps the rest.
 */
#ifndef BLOCKS_SUBSCRIBER_H
#define BLOCKS_SUBSCRIBER_H
#include "app/topic_send.h"
#include "blocks/pubsub.h"
#include "blocks/routing.h"

#define SUBSCRIBER_CREDIT 100 /* messages on their way at once, one by one */
#define SUBSCRIBER_BULK 100   /* messages of a batch, by default */
#define SUBSCRIBER_BULK_MOST 5000
#define SUBSCRIBER_BULK_MS 1000 /* from a batch's first message until it goes, by default */

struct subscriber;

/* Who takes the events. All on fibers of the subscriber's loop; park until there is an answer, or the sending was cancelled. */
struct subscriber_sink {
	struct topic_answer (*send)(void *ctx, struct arena *a, const struct topic_event *e,
				    struct topic_cancel *cancel);
	/* Every entry that is OPEN gets an answer. NULL: there is no bulk, whatever the subscription says. */
	struct topic_bulk_answer (*send_bulk)(void *ctx, struct arena *a, struct topic_bulk *b,
					      struct topic_cancel *cancel);
	/* The component ended the subscription by itself; to be stopped. Not on a fiber. */
	void (*lost)(void *ctx);
};

struct subscriber_options {
	struct blocks *blocks;
	struct pubsub *pubsub;
	const struct subscription *about; /* with routing it lives until the subscriber is stopped */
	const struct routing *routing;
	const struct subscriber_sink *sink;
	void *ctx;
};

/*
 * From a fiber; parks until the component has subscribed. NULL: *ret_error, in a. PERMISSION_DENIED: the component's scopes
 * do not let this application, so that another try is of no use.
 */
struct subscriber *subscriber_start(const struct subscriber_options *o, struct arena *a, struct error *ret_error);

/*
 * From a fiber of its loop: no more messages, those on their way have within_ms to come to an end and are then cancelled and
 * settled RETRY. drain: the component pauses first, and what it already has here still goes out (the end of the process).
 */
void subscriber_stop(struct subscriber *s, int drain, int within_ms);

struct str subscriber_loss(const struct subscriber *s); /* in lost(): why */
#endif
