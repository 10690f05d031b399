/* SPDX-License-Identifier: Apache-2.0 */
#include "loop/lane.h"

#include <pthread.h>
#include <time.h>

#include "base/arena.h"
#include "base/banned.h"
#include "base/mem.h"
#include "loop/fault.h"

struct lane {
	pthread_mutex_t lock; /* innermost: nothing else is locked under it */
	pthread_cond_t work, ended;
	struct lane_job *jobs, **jobs_end;
	int waiting, queue, closed;
	int living, idle, started; /* workers: that run, that wait for a job, that ever ran */
	struct lane_options o;
	char name[16];
};

static _Thread_local int is_worker;

int lane_self(void)
{
	return is_worker;
}

static void *worker_main(void *arg)
{
	struct lane *l = arg;
	struct lane_job *j;
	void *stack = fault_stack_start();
	int number;

	is_worker = 1;
	arena_keep_stock();
	pthread_setname_np(pthread_self(), l->name);
	pthread_mutex_lock(&l->lock);
	number = l->started++;
	pthread_mutex_unlock(&l->lock);
	if (l->o.started)
		l->o.started(l->o.arg, number);
	pthread_mutex_lock(&l->lock);
	for (;;) {
		l->idle++;
		while (l->jobs == NULL && !l->closed)
			pthread_cond_wait(&l->work, &l->lock);
		l->idle--;
		j = l->jobs;
		if (j == NULL)
			break;
		l->jobs = j->next;
		if (l->jobs == NULL)
			l->jobs_end = &l->jobs;
		l->waiting--;
		pthread_mutex_unlock(&l->lock);
		j->run(j);
		pthread_mutex_lock(&l->lock);
	}
	pthread_mutex_unlock(&l->lock);
	if (l->o.ending)
		l->o.ending(l->o.arg, number);
	arena_drop_stock();
	fault_stack_end(stack);
	pthread_mutex_lock(&l->lock);
	l->living--;
	pthread_cond_signal(&l->ended);
	pthread_mutex_unlock(&l->lock);
	return NULL;
}

/* One worker more; the lock is held. -1: no thread could be made. */
static int start_worker(struct lane *l)
{
	sigset_t all, before;
	pthread_attr_t attr;
	pthread_t thread;
	int failed;

	fault_mask(&all);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, LANE_STACK);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	failed = pthread_create(&thread, &attr, worker_main, l);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attr);
	if (failed)
		return -1;
	l->living++;
	return 0;
}

struct lane *lane_new(const struct lane_options *o)
{
	struct lane *l = mem_zalloc(sizeof(*l));
	pthread_condattr_t steady;

	if (l == NULL)
		return NULL;
	l->o = *o;
	l->queue = o->queue > 0 ? o->queue : LANE_QUEUE;
	l->jobs_end = &l->jobs;
	snprintf(l->name, sizeof(l->name), "%s", o->name ? o->name : "lane");
	pthread_mutex_init(&l->lock, NULL);
	pthread_condattr_init(&steady);
	pthread_condattr_setclock(&steady, CLOCK_MONOTONIC);
	pthread_cond_init(&l->work, NULL);
	pthread_cond_init(&l->ended, &steady);
	pthread_condattr_destroy(&steady);
	return l;
}

int lane_submit(struct lane *l, struct lane_job *j)
{
	int taken;

	pthread_mutex_lock(&l->lock);
	taken = !l->closed && l->waiting < l->queue;
	/* A worker is made when a job finds none free; fewer than asked for still serve, but not none. */
	if (taken && l->idle <= l->waiting && l->living < l->o.workers && start_worker(l) < 0)
		taken = l->living > 0;
	if (taken) {
		j->next = NULL;
		*l->jobs_end = j;
		l->jobs_end = &j->next;
		l->waiting++;
		pthread_cond_signal(&l->work);
	}
	pthread_mutex_unlock(&l->lock);
	return taken ? 0 : -1;
}

int lane_waiting(struct lane *l)
{
	int n;

	pthread_mutex_lock(&l->lock);
	n = l->waiting;
	pthread_mutex_unlock(&l->lock);
	return n;
}

int lane_close(struct lane *l, int within_ms)
{
	struct timespec until;
	int stuck = 0;

	if (l == NULL)
		return 0;
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += within_ms / 1000;
	until.tv_nsec += within_ms % 1000 * 1000000L;
	if (until.tv_nsec >= 1000000000) {
		until.tv_nsec -= 1000000000;
		until.tv_sec++;
	}
	pthread_mutex_lock(&l->lock);
	l->closed = 1;
	pthread_cond_broadcast(&l->work);
	while (l->living > 0 && !stuck)
		stuck = pthread_cond_timedwait(&l->ended, &l->lock, &until) != 0;
	stuck = l->living > 0;
	pthread_mutex_unlock(&l->lock);
	if (stuck)
		return -1;
	pthread_cond_destroy(&l->work);
	pthread_cond_destroy(&l->ended);
	pthread_mutex_destroy(&l->lock);
	mem_free(l);
	return 0;
}
