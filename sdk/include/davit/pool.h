/* SPDX-License-Identifier: Apache-2.0 */
/*
 * davit/pool.h - what is dear to make and used by one at a time, as a connection to a server. A helper of libdavit-sdk.a, not
 * of the line.
 *
 * The same calls on a worker, where they block the thread, and on a loop, where they park the fiber: there the component is
 * one with DAVIT_PER_LOOP, and each loop has a pool of its own. The one that was used last is given out first, so that those
 * that are not needed grow old and are closed: on a loop by a fiber of the pool's, on a worker when somebody takes or gives.
 */
#ifndef DAVIT_POOL_H
#define DAVIT_POOL_H
#include <davit/plugin.h>

#ifdef __cplusplus
extern "C" {
#endif

struct davit_pool;

/* What the pool does not know of its items. None of these may call the pool, nor wait, except make. */
struct davit_pool_item {
	/*
	 * Makes one, and may wait for it, at most timeout_ms (0: no limit). why is what davit_pool_take was given. DAVIT_EXHAUSTED: there
	 * is no room for another one, as far as is known for a second; whoever takes then waits for one of those that there are. Any
	 * other failure is that of davit_pool_take.
	 */
	davit_status (*make)(void *arg, struct davit_call *call, int64_t timeout_ms, void *why, void **ret_item);
	void (*close)(void *arg, void *item);
	/* Before one that rested is given out. 0: it is dead and gets closed. NULL: they all live. */
	int (*lives)(void *arg, void *item);
	/* The pool stops: who uses this one is to hear of it. NULL: they come back by themselves. */
	void (*interrupt)(void *arg, void *item);
};

struct davit_pool_limits {
	int most;	 /* of them at once; less than 1 is 1 */
	int64_t idle_ms; /* one that nobody took for so long is closed; 0: none */
	int64_t life_ms; /* and one that is so old, when it comes back; 0: none */
};

/* From open(). item must outlive it. NULL: no memory, or on a loop a kernel without "davit.fiber/1" and "davit.sleep/1". */
struct davit_pool *davit_pool_new(struct davit_instance *instance, const struct davit_pool_item *item, void *arg,
				  const struct davit_pool_limits *limits);
/*
 * Whoever waits for an item gets DAVIT_CANCELLED, and so does everybody who comes. Returns when nobody is in davit_pool_take any
 * more; items that are out may come back later.
 */
void davit_pool_stop(struct davit_pool *p);
void davit_pool_free(struct davit_pool *p); /* stops it; none of its items may be out. NULL is fine */
int davit_pool_stopped(struct davit_pool *p);

/*
 * One that rests, or a new one, or when there may be no more the next that comes back; first come, first served. call may be
 * NULL. timeout_ms, 0: until the call's deadline. DAVIT_DEADLINE_EXCEEDED: none came back in time. DAVIT_CANCELLED: the call was, or
 * the pool has stopped.
 */
davit_status davit_pool_take(struct davit_pool *p, struct davit_call *call, int64_t timeout_ms, void *why,
			     void **ret_item);
/* broken: it is closed. */
void davit_pool_give(struct davit_pool *p, void *item, int broken);

#ifdef __cplusplus
}
#endif
#endif
