/* SPDX-License-Identifier: Apache-2.0 */
/*
 * davit/pubsub.h - the publish and subscribe block: bytes go to a topic, and to each that has subscribed to it.
 *
 * publish    DAVIT_OK means that the broker has the message, as safely as it keeps any.
 * subscribe  a long call: it lasts until it is cancelled or fails, and emits a davit_message for each that arrives. It has
 *            begun when it returns DAVIT_PENDING, emits davit_subscribed or emits its first message; to fail before that
 *            is a failure of subscribing, later the loss of a subscription, which the kernel starts anew.
 *            Where it may run: on a loop as a fiber that reads and emits until it is cancelled; on a worker lane on a
 *            thread of its own (with DAVIT_SERIAL on the lane's one: there it must return PENDING); or it returns PENDING
 *            and threads or callbacks of the plugin's own emit and at last call davit_done.
 *            Cancelled, it takes no more; what it has emitted may still be settled. Before it is done it need not wait
 *            for that, unless it could not settle afterwards (a session that ends), and then it must.
 * settle     every message that emit accepted is settled exactly once by its token, in any order, several at once, at the
 *            latest before close. Answered EXHAUSTED, they are the kernel's as before, and it asks again a little later;
 *            after any other failure they are the plugin's, who does what he can. RETRY means that nobody has taken it: a broker that can gives it again. What a subscriber
 *            had not settled by the end of the process counts as RETRY.
 * credit     how many messages may be unsettled at once, told in davit_subscribe. Beyond it davit_emit waits, on a worker
 *            by blocking, on a loop's fiber by parking; on any other thread, and in a callback of the kernel's, it answers
 *            DAVIT_EXHAUSTED, has taken nothing, and the function given to davit_on_credit is called when there is credit
 *            again. DAVIT_CANCELLED: the subscription has ended, nothing was taken.
 * order      messages of one subscription whose `order` is the same (and not NULL) go to the application one after
 *            another, as they were emitted. If one is settled RETRY, those of its order that wait behind it are too, so
 *            that a broker can give them again from there.
 * pause      no new messages, on any subscription of this instance, until resume; sessions stay. For the end of the process.
 *
 * Topics, metadata and content types are the application's. A kernel that has no content type for a message says "".
 * Source: Dapr's pub/sub API, https://docs.dapr.io/reference/api/pubsub_api/
 */
#ifndef DAVIT_PUBSUB_H
#define DAVIT_PUBSUB_H
#include <davit/plugin.h>

#ifdef __cplusplus
extern "C" {
#endif

enum {
	davit_pubsub_ops_kind = 200,
	davit_publish_kind,
	davit_publish_bulk_kind,
	davit_publish_result_kind,
	davit_subscribe_kind,
	davit_subscribed_kind,
	davit_message_kind,
	davit_settle_kind
};

/* davit_pubsub_ops.features. */
enum {
	DAVIT_PUBSUB_TTL = 1u << 0,	  /* honours ttl_s: else an envelope carries the expiration */
	DAVIT_PUBSUB_WILDCARDS = 1u << 1, /* a subscription's topic may be a pattern */
	DAVIT_PUBSUB_BULK = 1u << 2,	  /* bulk_publish is one request to the broker */
	DAVIT_PUBSUB_BULK_SUBSCRIBE_IMMEDIATE =
		1u << 3,	       /* never wait for a batch to fill: the broker gives one at a time */
	DAVIT_PUBSUB_DURABLE = 1u << 4 /* what was published outlives both ends; RETRY is given again */
};

/* publish, and an entry of bulk_publish. */
struct davit_publish {
	uint32_t size, kind;
	struct davit_str topic;
	struct davit_bytes data;
	struct davit_str content_type; /* p == NULL: not told */
	struct davit_str entry_id;     /* bulk: unique in it; else p == NULL */
	int64_t ttl_s;		       /* seconds; 0: does not expire */
	const struct davit_pair *metadata;
	uint64_t nmetadata;
};

/*
 * All entries have one topic. A davit_publish_result is emitted for each entry that failed, and the call fails; a call that
 * fails and emits none has published nothing.
 */
struct davit_publish_bulk {
	uint32_t size, kind;
	struct davit_str topic;
	const struct davit_publish *const *entries;
	uint64_t nentries;
	const struct davit_pair *metadata; /* of the whole request */
	uint64_t nmetadata;
};

struct davit_publish_result {
	uint32_t size, kind;
	int32_t status; /* DAVIT_OK may be left out */
	uint32_t unused;
	struct davit_str entry_id, error;
};

struct davit_subscribe {
	uint32_t size, kind;
	struct davit_str topic;
	const struct davit_pair *metadata; /* of the subscription */
	uint64_t nmetadata;
	uint64_t credit; /* messages that may be unsettled at once, at least 1 */
	uint64_t bulk;	 /* messages that the application takes at once, a hint for fetching; 0: one by one */
};

/* Emitted when nothing has arrived yet but the subscription stands. */
struct davit_subscribed {
	uint32_t size, kind;
};

/* Emitted for each message. */
struct davit_message {
	uint32_t size, kind;
	uint64_t token; /* the plugin's own; unique among the unsettled of this instance */
	struct davit_str topic;
	struct davit_bytes data;
	struct davit_str content_type; /* p == NULL: not told */
	struct davit_str order;	       /* p == NULL: in any order; "" is an order too */
	const struct davit_pair *metadata;
	uint64_t nmetadata;
};

enum {
	DAVIT_SETTLE_OK,    /* taken */
	DAVIT_SETTLE_RETRY, /* not taken: it should come again */
	DAVIT_SETTLE_DROP   /* nobody wants it, and it must not come again */
};

struct davit_settle {
	uint32_t size, kind;
	int32_t outcome; /* of all of them */
	uint32_t unused;
	const uint64_t *tokens;
	uint64_t ntokens;
};

struct davit_pubsub_ops {
	uint32_t size, kind;
	uint32_t features, unused;
	/* NULL: this component only delivers, or only publishes. */
	davit_status (*publish)(void *self, struct davit_call *call, const struct davit_publish *in);
	davit_status (*subscribe)(void *self, struct davit_call *call, const struct davit_subscribe *in);
	/* NULL: not offered, the kernel makes do without. */
	davit_status (*bulk_publish)(void *self, struct davit_call *call, const struct davit_publish_bulk *in);
	davit_status (*settle)(void *self, struct davit_call *call, const struct davit_settle *in);
	davit_status (*pause)(void *self, struct davit_call *call, const void *none);
	davit_status (*resume)(void *self, struct davit_call *call, const void *none);
};

/* A component of this block; a table of another block does not compile. */
#define DAVIT_PUBSUB(type_, version_, ops_, ...) \
	{ \
		.size = (uint32_t)sizeof(struct davit_component), .kind = davit_component_kind, \
		.block = DAVIT_BLOCK_PUBSUB, .type = type_, .version = version_, \
		.ops = 1 ? (ops_) : (const struct davit_pubsub_ops *)NULL, __VA_ARGS__ \
	}

static inline davit_status davit_emit_message(struct davit_call *call, const struct davit_message *message)
{
	return davit_emit(call, message);
}

static inline davit_status davit_emit_subscribed(struct davit_call *call)
{
	struct davit_subscribed record = { .size = (uint32_t)sizeof(record), .kind = davit_subscribed_kind };

	return davit_emit(call, &record);
}

#ifdef __cplusplus
}
#endif
#endif
