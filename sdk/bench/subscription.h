/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A subscription as a kernel would hold it: its call with credit, what was emitted and is unsettled, and settling. The
 * operation runs on a thread of its own, so that it may wait there; whoever else emits is refused when there is no credit.
 */
#ifndef BENCH_SUBSCRIPTION_H
#define BENCH_SUBSCRIPTION_H
#include <davit/pubsub.h>

#include "host.h"

struct message {
	struct message *next;
	uint64_t token;
	struct davit_bytes data;       /* copied */
	struct davit_str topic, order; /* copied; order.p == NULL: none */
	int64_t nmetadata;
	char metadata[128]; /* the value of the pair "bench"; "" */
};

struct subscription {
	struct davit_call call; /* must be first */
	struct host *host;
	struct davit_subscribe in;
	char *topic;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct message *first, **last; /* emitted, not yet taken by the suite */
	int64_t credit, unsettled, most_unsettled;
	uint64_t accepted, refused, late; /* emit: DAVIT_OK; DAVIT_EXHAUSTED; after the end */
	int standing, starved, cancelled, done, twice;
	davit_status status;
	char text[512];
	void (*on_cancel)(void *arg), (*on_credit)(void *arg);
	void *on_cancel_arg, *on_credit_arg;
	int calling; /* on_cancel is under way, on this thread */
	pthread_t caller;
	struct kept *kept; /* davit_alloc */
};

/* Waits until it stands. NULL: it ended instead, or did neither within a minute, which is reported; nothing is left of it. */
struct subscription *subscription_open(struct host *h, const char *topic, uint64_t credit);
/* The next message; NULL: none within the time. It is freed when it is settled. */
struct message *subscription_take(struct subscription *s, int within_ms);
/* Settles it with the component, gives the credit back and frees it. */
davit_status subscription_settle(struct subscription *s, struct message *m, int outcome);
void subscription_cancel(struct subscription *s); /* no more messages; those that are out can still be settled */
/*
 * Cancels, waits for davit_done and frees it. 0; -1: it was done twice, or emitted afterwards. What was emitted and not taken
 * is settled RETRY; what was taken must have been settled. If it does not end within 30 s the bench does, with that failure.
 */
int subscription_close(struct subscription *s);
#endif
