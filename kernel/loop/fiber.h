/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A fiber: a small stack (FIBER_STACK bytes and a guard page) that runs straight-line code on one loop and parks where
 * it waits. All functions but fiber_live() belong to the fiber's own loop thread. Never park while holding a lock.
 */
#ifndef LOOP_FIBER_H
#define LOOP_FIBER_H
#include <stddef.h>
#include <stdint.h>

#define FIBER_STACK (256u * 1024)
#define FIBER_LIMIT 4096 /* live fibers a process, by default */

struct fiber;
struct loop;

/*
 * Starts fn(arg). From the loop itself it runs at once, until it first parks or ends; from a fiber it is put in line.
 * -1: the limit is reached or there is no memory; nothing was started.
 */
int fiber_start(struct loop *l, void (*fn)(void *arg), void *arg);

struct fiber *fiber_self(void); /* NULL: this is not a fiber */
struct loop *fiber_loop(const struct fiber *f);
void **fiber_note(struct fiber *f); /* a pointer of whoever runs on it, NULL when it starts */

/* Waits until somebody wakes this fiber. May also return for no reason: check what you wait for in a loop. */
void fiber_park(void);
/* The same until the steady clock shows `until_ns` (base/clock.h). 0: woken; -1: the time came. 0 or less: no limit. */
int fiber_park_until(int64_t until_ns);
/* Puts the fiber in line to go on; many wakes before it runs are one. */
void fiber_wake(struct fiber *f);

int fiber_live(void); /* in the whole process, any thread */
void fiber_limit(int most);
/* Deepest use of any fiber's stack so far, in bytes, when fiber_measure(1) was called before the first started; else 0. */
void fiber_measure(int on);
size_t fiber_high_water(void);
#endif
