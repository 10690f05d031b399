/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A small host for one component: the table a kernel would offer, calls that wait for their end, and worker threads where
 * the component asks for them. What is emitted is kept until the call is released.
 */
#ifndef BENCH_HOST_H
#define BENCH_HOST_H
#include <davit/plugin.h>
#include <pthread.h>

#include "service.h"

struct lane;
struct call;

/* What a component is given of a call. It outlives the call, so that whoever speaks of it later is found out. */
struct face {
	struct davit_call call; /* must be first */
	struct call *of;	/* atomic; NULL: over */
	const char *name;	/* of the operation */
};

struct host {
	struct davit_instance instance; /* must be first */
	const struct davit_component *component;
	struct lane *lane;  /* NULL: operations run on the thread that calls */
	struct turns turns; /* of a component with DAVIT_PER_LOOP: one thread at a time */
	void *self;
	uint32_t features;	/* of this instance, beyond the table's */
	const char *key_prefix; /* of all keys of state; NULL: none */
	int silent_ttl;		/* it does not tell when a value expires */
	int verbose;		/* print what the plugin logs */
	uint64_t logged;	/* atomic */
	/* A host that misbehaves: the n-th piece of memory or record from now on is refused, and all after it. */
	int64_t refuse_at; /* atomic; 0: none */
	int64_t refused;   /* atomic; of them records: */
	int64_t refused_records;
	int nobody_waits; /* every record is answered with DAVIT_CANCELLED */
	int no_services;  /* none is found */
	int unwatched;	  /* calls may take as long as they like, and cost less */
};

/* Any record, flat. The texts are the call's, or the plugin's until the call is released. */
struct record {
	uint32_t kind;
	int32_t status;
	struct davit_str name, key, etag, token;
	struct davit_bytes value;
	int64_t expires_ms, count;
};

struct call {
	struct davit_call *call; /* its face */
	struct face *face;
	struct host *host;
	const char *name; /* of the operation */
	davit_status status;
	char reason[64], text[1024];
	int64_t deadline_ms; /* monotonic; 0: none */
	int64_t began_ms;    /* monotonic */
	struct call *watch_next, **watch_link;
	struct record *records;
	size_t nrecords, room;
	void *opened;
	uint32_t opened_features;
	struct kept *kept; /* memory and hand-overs to release */
	pthread_mutex_t lock;
	pthread_cond_t wake;
	int done, cancelled;
	void (*on_cancel)(void *arg);
	void *on_cancel_arg;
	int calling; /* on_cancel is under way, on this thread */
	pthread_t caller;
};

/* 0; -1: the failure is in ret_call, which is released by the caller either way. */
int host_open(struct host *h, const struct davit_component *c, const struct davit_pair *props, size_t nprops,
	      struct call *ret_call);
davit_status host_close(struct host *h);
void host_table_size(uint32_t size); /* of all tables, as of an earlier kernel; 0: this one's */

void call_init(struct call *c, struct host *h);
void call_release(struct call *c);
const char *call_join(struct call *c, const char *a, const char *b); /* both in a row, as long as the call */
/* Runs op(self, call, in) where the component wants it to run and waits for its end. op is any davit_op. */
davit_status call_run(struct call *c, davit_op *op, const void *in);
/* The same in two steps: 0: it has ended within the time; -1: it has not, and everything it holds must be left to it. */
void call_begin(struct call *c, davit_op *op, const void *in);
int call_end(struct call *c, int within_ms);
void call_cancel(struct call *c); /* nobody waits any more; any thread, before call_end has seen the end */

struct lane *lane_start(int workers);
void lane_run(struct lane *l, struct call *c, davit_op *op, const void *in);
void lane_stop(struct lane *l);
/* The operation itself, on whatever thread. */
void call_execute(struct call *c, davit_op *op, const void *in);

int64_t host_now_ms(void); /* monotonic */
#endif
