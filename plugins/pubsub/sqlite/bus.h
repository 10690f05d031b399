/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One component at work. Everything that touches the file is done by one thread, the keeper: the operations, which run on
 * the kernel's loops, only hand it requests. It takes whatever waits and writes that in one transaction (group commit), so
 * that a hundred publishers wait for the disk once; then it hands out messages to subscribers that have credit, and sleeps
 * until a request, another process (peer.h) or a time wakes it.
 */
#ifndef BUS_H
#define BUS_H
#include <davit/pubsub.h>
#include <pthread.h>

#include "database.h"

#define QUEUE_LIMIT 10000 /* requests that wait for the keeper */
#define TOUCHED 64	  /* topics of one transaction whose subscribers are woken one by one; beyond: all */

struct bus;
struct consumer;
struct held;

/* Something for the keeper to do. Lies in its call's memory, which may be gone with davit_done(). */
struct request {
	struct request *next;
	struct davit_call *call;
	/* Within a transaction: SQLITE_OK, with the fault set if it was refused; else SQLite's code, and all is undone. */
	int (*apply)(struct bus *b, struct request *r);
	/* When the transaction has come to its end: what was applied holds, or not (fault is set). NULL: davit_done(). */
	void (*finish)(struct bus *b, struct request *r);
	const void *in;
	uint64_t bytes; /* that it writes, about */
	int durable;	/* its call waits for the disk */
	struct fault fault;
};

/* Who we are to others on this file. */
struct peer {
	int64_t id; /* 0: not there */
	int folder; /* of the sockets; -1: none, then nobody wakes us */
	int socket; /* ours to receive wakes; -1: none */
	int sender;
	int64_t beat_ms; /* monotonic: when to say again that we live */
	int64_t suspect; /* a peer that seems dead; 0: none */
};

struct bus {
	struct davit_instance *instance;
	struct options options;
	char *name; /* the app id, for who looks at the file */
	struct database db;
	struct peer peer;

	pthread_mutex_t lock; /* nothing but bus_wake is called under it */
	struct request *first, **last;
	int queued;
	struct davit_call *closing; /* the keeper ends, then completes it */

	int wake;   /* an eventfd */
	int awake;  /* atomic: the keeper looks at everything once more before it sleeps */
	int paused; /* atomic: nothing is handed out */

	/* The keeper's own. */
	struct consumer *consumers;
	struct held *owed; /* settled, and the file has not taken it yet */
	int64_t touched[TOUCHED];
	int ntouched;				      /* TOUCHED + 1: too many */
	int64_t settled;			      /* messages since the last trim */
	int64_t trim_ms, look_ms, sweep_ms, again_ms; /* monotonic: when to; INT64_MAX: not */
	int failing;				      /* a transaction of its own failed and that was logged */
};

/* Any thread. DAVIT_PENDING; or why it was not taken, told to the call. */
davit_status bus_submit(struct bus *b, struct request *r);
void bus_wake(struct bus *b); /* the keeper looks again */

/* The keeper's. A topic whose subscribers have something to look at when the transaction is committed. */
void bus_touch(struct bus *b, int64_t topic);
/* A transaction of the keeper's own: SQLITE_OK, or it was undone. What fails is logged, once in a row. */
int bus_write(struct bus *b, int (*apply)(struct bus *b, void *arg), void *arg);

/* keeper.c: its thread, which opens the file and completes `call` with the bus or with why not; the bus is freed by it, with
 * free_bus. -1: no thread, and nothing has happened. */
int keeper_start(struct bus *b, struct davit_call *call, void (*free_bus)(struct bus *b));

/* publish.c */
davit_status publish_one(void *self, struct davit_call *call, const struct davit_publish *in);
davit_status publish_bulk(void *self, struct davit_call *call, const struct davit_publish_bulk *in);
/* n ids of the topic, made where it is new; ret_last is the last of them. SQLITE_OK or a result code. */
int publish_take_ids(struct bus *b, struct davit_str topic, int64_t n, int64_t *ret_last, int64_t *ret_time);

/* sweep.c: what nobody needs any more goes, a piece at a time. */
void sweep_trim(struct bus *b);	 /* what all groups of our topics have taken */
void sweep_clean(struct bus *b); /* by age, for all topics; unless another process has just done so */
#endif
