/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The component of one loop. A topic is a stream, a consumer ID a group with one consumer in it, as Dapr lays them out, so that
 * its sidecars and ours share both.
 *
 *	publish	  XADD
 *	subscribe XGROUP CREATE from the stream's beginning, then XREADGROUP for ever, on a connection of its own
 *	settle	  XACK; RETRY leaves the message pending
 *	claiming  every redeliverInterval what has been pending for processingTimeout is given again, whoever took it:
 *		  XPENDING, XCLAIM
 *
 * Publishing, settling and claiming share the loop's connection.
 */
#ifndef STREAMS_H
#define STREAMS_H
#include <davit/fiber.h>
#include <davit/pubsub.h>

#include "redis/client.h"
#include "settings.h"

struct slot_waiter;

struct streams {
	struct davit_instance *instance;
	const struct davit_fiber_service *fiber;
	struct settings settings;
	struct redis_client *client;
	int paused;
	int silent;		     /* the server did not reply to what was last acknowledged */
	int64_t taken;		     /* of settings.concurrency: emitted and unsettled, of subscriptions one by one */
	struct slot_waiter *waiters; /* for fewer of them, or for the end of a pause */
	uint64_t users;		     /* operations under way */
	struct davit_fiber *closer;
};

/* Waits until a message may be emitted, and counts it if counted. DAVIT_CANCELLED: the call has ended. */
davit_status streams_take(struct streams *s, struct davit_call *call, int counted);
void streams_give(struct streams *s, int counted); /* it is settled, or was not emitted */
/* An error reply as a status, its text in why. DAVIT_OK: it is none. */
davit_status streams_error(const redisReply *r, char why[REDIS_WHY]);
#endif
