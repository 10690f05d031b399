/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A function that a plugin left to be called when something happens, whoever notices. It never runs twice at once, and
 * once notify_end() has returned it neither runs nor starts.
 */
#ifndef PLUGIN_NOTIFY_H
#define PLUGIN_NOTIFY_H
#include <stdatomic.h>

/* Zero is one that was not set. All functions may be called from any thread. */
struct notify {
	_Atomic int phase, running;
	_Atomic(void *) thread; /* errno's address names the thread that runs fn */
	void (*fn)(void *arg);
	void *arg;
};

int notify_set(struct notify *n, void (*fn)(void *arg), void *arg); /* -1: it was set before, or is over */
void notify_once(struct notify *n);				    /* calls fn unless it was called before */
void notify_again(struct notify *n);				    /* calls fn; not while it runs elsewhere */
void notify_end(struct notify *n);				    /* waits for fn unless it is fn that calls */
#endif
