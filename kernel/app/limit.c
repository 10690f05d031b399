/* SPDX-License-Identifier: Apache-2.0 */
#include "app/limit.h"

#include <pthread.h>

#include "base/banned.h"
#include "base/mem.h"
#include "loop/fiber.h"
#include "loop/loop.h"

/* On the waiting fiber's stack. */
struct waiter {
	struct loop_task task; /* wakes it, on its own loop */
	struct waiter *next;
	struct fiber *fiber;
	int granted; /* under the lock: it has been let in and the task is on its way */
	int told;    /* on its loop: the task has run, so nobody looks at the waiter any more */
};

struct app_limit {
	pthread_mutex_t lock; /* innermost */
	int free;
	struct waiter *first, **last;
};

struct app_limit *app_limit_new(int most)
{
	struct app_limit *l = mem_zalloc(sizeof(*l));

	if (l == NULL)
		return NULL;
	pthread_mutex_init(&l->lock, NULL);
	l->free = most;
	l->last = &l->first;
	return l;
}

void app_limit_free(struct app_limit *l)
{
	if (l == NULL)
		return;
	pthread_mutex_destroy(&l->lock);
	mem_free(l);
}

static void tell(struct loop_task *t)
{
	struct waiter *w = (struct waiter *)t; /* its first member */

	w->told = 1;
	fiber_wake(w->fiber);
}

/* 0: in line; 1: let in at once. */
static int stand_in_line(struct app_limit *l, struct waiter *w)
{
	int in = 0;

	pthread_mutex_lock(&l->lock);
	if (l->free > 0) {
		l->free--;
		in = 1;
	} else {
		*l->last = w;
		l->last = &w->next;
	}
	pthread_mutex_unlock(&l->lock);
	return in;
}

/* 1: it left the line; 0: it has been let in meanwhile. */
static int leave_line(struct app_limit *l, struct waiter *w)
{
	struct waiter **at;
	int left;

	pthread_mutex_lock(&l->lock);
	left = !w->granted;
	if (left) {
		for (at = &l->first; *at != w; at = &(*at)->next)
			;
		*at = w->next;
		if (w->next == NULL)
			l->last = at;
	}
	pthread_mutex_unlock(&l->lock);
	return left;
}

int app_limit_enter(struct app_limit *l, int64_t deadline_ns, const uint8_t *stop)
{
	struct waiter w = { .task = { .run = tell }, .fiber = fiber_self() };
	int late = 0;

	if (stand_in_line(l, &w))
		return 0;
	while (!w.told && !late && !(stop != NULL && *stop))
		late = fiber_park_until(deadline_ns) < 0;
	if (w.told)
		return 0;
	if (leave_line(l, &w))
		return -1;
	while (!w.told)
		fiber_park();
	return 0;
}

void app_limit_leave(struct app_limit *l)
{
	struct waiter *w;

	pthread_mutex_lock(&l->lock);
	w = l->first;
	if (w == NULL) {
		l->free++;
	} else {
		l->first = w->next;
		if (l->first == NULL)
			l->last = &l->first;
		w->granted = 1;
	}
	pthread_mutex_unlock(&l->lock);
	if (w == NULL)
		return;
	if (fiber_loop(w->fiber) == loop_self())
		tell(&w->task);
	else
		loop_post(fiber_loop(w->fiber), &w->task);
}
