/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The store of one component: one connection that writes, a few that read, and the queue of what is to be written.
 * Several workers use it at once.
 */
#ifndef STORE_H
#define STORE_H
#include <davit/state.h>
#include <pthread.h>

#include "connection.h"

#define WORKERS 4	  /* threads of the lane, and most connections that read */
#define QUEUE_LIMIT 10000 /* requests that wait to be written */

struct store;

/*
 * Something to write. It lies in its call's memory and may be in a transaction with others; when that transaction fails it
 * is applied again, alone.
 */
struct request {
	struct request *next;
	struct davit_call *call; /* NULL: the store's own */
	/* Carries it out within a transaction: SQLITE_OK, with the fault set if it was refused; else SQLite's code. */
	int (*apply)(struct connection *c, struct request *r);
	const void *in;
	int64_t number; /* what apply makes of it */
	int many;	/* has several statements, so that being refused needs undoing */
	int finished;	/* without a call: whether it is */
	struct fault fault;
};

struct store {
	struct davit_instance *instance;
	struct options options;

	pthread_mutex_t turn; /* whoever uses the writer; taken before no other lock */
	struct connection *writer;

	pthread_mutex_t readers_lock;
	pthread_cond_t reader_free;
	struct connection *readers; /* those that nobody uses */
	int nreaders;

	pthread_mutex_t queue_lock;
	pthread_cond_t
		queue_changed; /* a request of the store's own is finished, the queue is idle, or it is time to stop */
	struct request *first, **last;
	int queued;
	int leading; /* a thread is writing the queue */

	pthread_t sweeper;
	int sweeping, stopping;
};

/* Queues the request. Whoever comes first writes for all that come meanwhile. DAVIT_PENDING, or why not. */
davit_status queue_submit(struct store *s, struct request *r);
/* Waits for one without a call. */
void queue_await(struct store *s, struct request *r);
void queue_drain(struct store *s); /* until nothing is queued or being written */

davit_status write_set(void *self, struct davit_call *call, const struct davit_state_set *in);
davit_status write_del(void *self, struct davit_call *call, const struct davit_state_key *in);
davit_status write_multi(void *self, struct davit_call *call, const struct davit_state_multi *in);

davit_status write_bulk(void *self, struct davit_call *call, const struct davit_state_bulk *in); /* sets or keys */

davit_status read_get(void *self, struct davit_call *call, const struct davit_state_key *in);
davit_status read_bulk(void *self, struct davit_call *call, const struct davit_state_bulk *in);
davit_status read_keys_like(void *self, struct davit_call *call, const struct davit_state_prefix *in);

/* A connection to read with, limited as the call is; NULL: ret_fault says why. */
struct connection *reader_take(struct store *s, struct davit_call *call, struct fault *ret_fault);
void reader_give(struct store *s, struct connection *c);
void readers_close(struct store *s);

int sweep_start(struct store *s); /* only if an interval is set; -1: no thread (errno) */
void sweep_stop(struct store *s);
#endif
