/* SPDX-License-Identifier: Apache-2.0 */
#include "plugin/notify.h"

#include <errno.h>
#include <sched.h>
#include <stddef.h>

#include "base/banned.h"

enum phase { NONE, SETTING, SET, RUNNING, RAN, OVER };

int notify_set(struct notify *n, void (*fn)(void *arg), void *arg)
{
	int was = NONE;

	if (!atomic_compare_exchange_strong(&n->phase, &was, SETTING))
		return -1;
	n->fn = fn;
	n->arg = arg;
	was = SETTING;
	return atomic_compare_exchange_strong(&n->phase, &was, SET) ? 0 : -1;
}

static void run(struct notify *n, enum phase after)
{
	int was = SET;

	n->running++; /* first: who ends it then sees either the phase or us */
	if (atomic_compare_exchange_strong(&n->phase, &was, RUNNING)) {
		n->thread = (void *)&errno;
		n->fn(n->arg);
		n->thread = NULL;
		was = RUNNING;
		atomic_compare_exchange_strong(&n->phase, &was, after);
	}
	n->running--;
}

void notify_once(struct notify *n)
{
	run(n, RAN);
}

void notify_again(struct notify *n)
{
	run(n, SET);
}

void notify_end(struct notify *n)
{
	int was = atomic_exchange(&n->phase, OVER);

	if (was != RUNNING || n->thread == (void *)&errno)
		return;
	while (n->running > 0)
		sched_yield();
}
