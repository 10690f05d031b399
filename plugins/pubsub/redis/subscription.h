/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One subscription: a fiber that reads and emits, one that looks after what is pending, and what has been taken from the
 * server. It lives until its operation has ended and all that it emitted is settled.
 */
#ifndef SUBSCRIPTION_H
#define SUBSCRIPTION_H
#include "held.h"
#include "streams.h"

struct subscription {
	struct streams *streams;
	struct davit_call *call; /* good until `ended` */
	struct davit_str topic;	 /* behind the struct */
	int references;		 /* the operation's, and each held message's */
	int counted;		 /* its messages count against the component's concurrency */
	int ended;
	struct redis_options options; /* the component's, for a server that takes its time */
	struct redis_client *client;  /* that reads */
	struct held_set held;
	/* The second fiber. */
	int claiming;
	struct davit_fiber *waiter; /* for its end */
};

davit_status subscription_run(struct streams *s, struct davit_call *call, const struct davit_subscribe *in);
void subscription_unref(struct subscription *b);

/*
 * Emits the entries of a reply (array) that nobody holds, as far as it comes; those that are left when the subscription ends go
 * back. DAVIT_CANCELLED: it has ended.
 */
davit_status subscription_emit(struct subscription *b, const redisReply *entries);

/* acknowledge.c. What fails is logged or returned: such a message stays pending and comes again. */
davit_status acknowledge(struct subscription *b, struct davit_call *call, const char *const *ids, size_t n,
			 char why[REDIS_WHY]);
/* Pending as if it had been for processingTimeout: the next who looks may have it. */
void give_back(struct subscription *b, const char *const *ids, size_t n);

void claim_run(void *subscription); /* claim.c: the second fiber */
#endif
