/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The services that a component looks up, by threads that block. What in a kernel is a fiber is a thread here; a component
 * with DAVIT_PER_LOOP has a loop, whose lock whoever runs holds and whoever waits in a service gives up, so that its threads
 * take turns at the same places as fibers do.
 */
#ifndef BENCH_SERVICE_H
#define BENCH_SERVICE_H
#include <davit/plugin.h>
#include <pthread.h>

/* The threads of one component. */
struct turns {
	pthread_mutex_t lock;
	int used;		     /* whether the component wants them to take turns */
	int fibers;		     /* started by the component and not over, atomic */
	struct davit_fiber *waiting; /* for a call in a service; whose turn it is may look */
};

void turns_init(struct turns *t, int used);
void turns_take(struct turns *t);
void turns_give(struct turns *t);
int turns_mine(struct turns *t); /* whether this thread has its turn, and so is a fiber */
int turns_left(struct turns *t); /* fibers that do not end */
/* Whoever waits in a service for this call, which has been cancelled. */
void turns_cancel(struct turns *t, struct davit_call *call);

const void *service_find(const char *name);

/* One wait: until when, and what ends it before. */
struct wait {
	struct turns *turns;
	struct davit_call *call;
	int64_t until_ms; /* steady; INT64_MAX: no end */
	int own;	  /* until_ms is the wait's own end, not the call's */
};

struct wait wait_for(struct davit_instance *instance, struct davit_call *call, int64_t timeout_ms);
/*
 * Without a turn, until the descriptor is ready (poll's events), `other` (a descriptor; -1: none) is, or the time is over.
 * fd -1: only that. DAVIT_OK, DAVIT_DEADLINE_EXCEEDED, DAVIT_CANCELLED.
 */
davit_status wait_ready(const struct wait *w, int fd, short events, int other, short *ret_events);
#endif
