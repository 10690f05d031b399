/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Watches that no loop stands still: each is asked to answer, and one that does not within WATCHDOG_MS is named in the log,
 * with what it was doing, once when it is noticed and once when it goes on. Driven from one thread, about once a second.
 */
#ifndef LOOP_WATCHDOG_H
#define LOOP_WATCHDOG_H

#define WATCHDOG_MS 1000

struct loop;
struct watchdog;

struct watchdog *watchdog_new(struct loop *const *loops, int n); /* NULL: no memory */
void watchdog_look(struct watchdog *w);
void watchdog_free(struct watchdog *w); /* after the loops have ended; NULL is fine */
#endif
