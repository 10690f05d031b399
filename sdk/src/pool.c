/* SPDX-License-Identifier: Apache-2.0 */
#include <davit/fiber.h>
#include <davit/pool.h>
#include <davit/sleep.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#define FULL_MS 1000  /* there was no room: so long nobody asks for more */
#define LOOK_MS 60000 /* how often old ones are looked for, at most */
#define SLICE_MS 100  /* on a worker: how often one that waits looks whether its call still stands */

enum state { FREE, MAKING, RESTING, OUT, CLOSING };

/* One of as many as there may be. */
struct place {
	enum state state;
	void *item;
	struct davit_fiber *maker; /* while it is made on a loop */
	int64_t made_ms, used_ms;
	struct place *next; /* of those that rest */
};

struct waiter {
	struct waiter *next;
	struct davit_fiber *fiber; /* on a loop; else changed is signalled */
	struct place *got;	   /* handed over by who had it; NULL: there is room for a new one, perhaps */
	int called;
};

struct davit_pool {
	struct davit_instance *instance;
	const struct davit_pool_item *item;
	void *arg;
	struct davit_pool_limits limits;
	const struct davit_fiber_service *fiber; /* NULL: workers use it */
	const struct davit_sleep_service *sleep;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct place *places, *rest; /* rest: the last used first */
	struct waiter *first, **end;
	struct davit_fiber *keeper, *stopper;
	int live, taking, keeping, stopped; /* taking: how many are in davit_pool_take */
	int64_t full_ms;
};

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static int uses_fibers(const struct davit_pool *p)
{
	return p->fiber != NULL;
}

static struct davit_fiber *self(const struct davit_pool *p)
{
	return uses_fibers(p) ? p->fiber->self(p->instance) : NULL;
}

struct davit_pool *davit_pool_new(struct davit_instance *instance, const struct davit_pool_item *item, void *arg,
				  const struct davit_pool_limits *limits)
{
	struct davit_pool *p = calloc(1, sizeof(*p));
	const struct davit_fiber_service *fiber = davit_fiber_service(instance);
	pthread_condattr_t attr;

	if (p == NULL)
		return NULL;
	p->instance = instance;
	p->item = item;
	p->arg = arg;
	p->limits = *limits;
	if (p->limits.most < 1)
		p->limits.most = 1;
	p->end = &p->first;
	if (fiber != NULL && fiber->self(instance) != NULL)
		p->fiber = fiber;
	p->sleep = davit_sleep_service(instance);
	p->places = calloc((size_t)p->limits.most, sizeof(*p->places));
	if (p->places == NULL || (uses_fibers(p) && p->sleep == NULL)) {
		free(p->places);
		free(p);
		return NULL;
	}
	pthread_mutex_init(&p->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&p->changed, &attr);
	pthread_condattr_destroy(&attr);
	return p;
}

/* ---- Those that rest. The lock is held by all of this, but where it says so ---- */

static struct place *place_in(struct davit_pool *p, enum state state, const void *item)
{
	int i;

	for (i = 0; i < p->limits.most; i++)
		if (p->places[i].state == state && p->places[i].item == item)
			return &p->places[i];
	return NULL;
}

/* Its item is closed without the lock. */
static void clear(struct davit_pool *p, struct place *at)
{
	void *item = at->item;

	at->state = CLOSING;
	pthread_mutex_unlock(&p->lock);
	p->item->close(p->arg, item);
	pthread_mutex_lock(&p->lock);
	*at = (struct place){ .state = FREE };
	p->live--;
}

static int is_over(int64_t since_ms, int64_t limit_ms, int64_t now)
{
	return limit_ms > 0 && now - since_ms >= limit_ms;
}

static int is_old(const struct davit_pool *p, const struct place *at, int64_t now)
{
	return is_over(at->used_ms, p->limits.idle_ms, now) || is_over(at->made_ms, p->limits.life_ms, now);
}

static void close_old(struct davit_pool *p)
{
	struct place **at = &p->rest, *old;
	int64_t now = now_ms();

	while ((old = *at) != NULL) {
		if (!is_old(p, old, now)) {
			at = &old->next;
			continue;
		}
		*at = old->next;
		clear(p, old);
		at = &p->rest; /* meanwhile it may be another list */
	}
}

static struct place *take_resting(struct davit_pool *p)
{
	struct place *at;
	int lives;

	while ((at = p->rest) != NULL) {
		p->rest = at->next;
		at->state = OUT;
		lives = !is_old(p, at, now_ms());
		if (lives && p->item->lives != NULL) {
			pthread_mutex_unlock(&p->lock);
			lives = p->item->lives(p->arg, at->item);
			pthread_mutex_lock(&p->lock);
		}
		if (lives)
			return at;
		clear(p, at);
	}
	return NULL;
}

/* ---- Closing old ones while nobody comes: a fiber ---- */

static int64_t pause_ms(const struct davit_pool *p)
{
	int64_t pause = LOOK_MS;

	if (p->limits.idle_ms > 0 && p->limits.idle_ms / 2 < pause)
		pause = p->limits.idle_ms / 2;
	if (p->limits.life_ms > 0 && p->limits.life_ms / 2 < pause)
		pause = p->limits.life_ms / 2;
	return pause < 100 ? 100 : pause;
}

/* Lives as long as there are items that may grow old. */
static void run_keeper(void *arg)
{
	struct davit_pool *p = arg;

	pthread_mutex_lock(&p->lock);
	p->keeper = self(p);
	while (!p->stopped && p->live > 0) {
		pthread_mutex_unlock(&p->lock);
		if (p->sleep->sleep(p->instance, NULL, pause_ms(p)) != DAVIT_OK) {
			pthread_mutex_lock(&p->lock);
			break;
		}
		pthread_mutex_lock(&p->lock);
		close_old(p);
	}
	p->keeper = NULL;
	p->keeping = 0;
	if (p->stopper != NULL)
		p->fiber->wake(p->stopper);
	pthread_mutex_unlock(&p->lock);
}

static void keep(struct davit_pool *p)
{
	if (!uses_fibers(p) || p->keeping || p->stopped || (p->limits.idle_ms <= 0 && p->limits.life_ms <= 0))
		return;
	p->keeping = 1; /* without a fiber they are looked at when they are taken */
	if (p->fiber->start(p->instance, run_keeper, p) != DAVIT_OK)
		p->keeping = 0;
}

/* ---- Waiting for one that is out ---- */

static void call_next(struct davit_pool *p, struct place *got)
{
	struct waiter *w = p->first;

	if (w == NULL)
		return;
	p->first = w->next;
	if (p->first == NULL)
		p->end = &p->first;
	w->got = got;
	w->called = 1;
	if (uses_fibers(p))
		p->fiber->wake(w->fiber);
	else
		pthread_cond_broadcast(&p->changed);
}

/* Not inlined, or the compiler takes the queue for one that keeps it beyond its life. */
__attribute__((noinline)) static void join_queue(struct davit_pool *p, struct waiter *w)
{
	*p->end = w;
	p->end = &w->next;
}

static void leave_queue(struct davit_pool *p, struct waiter *w)
{
	struct waiter **at;

	for (at = &p->first; *at != NULL && *at != w; at = &(*at)->next)
		;
	if (*at == NULL)
		return;
	*at = w->next;
	if (p->end == &w->next)
		p->end = at;
}

/* Milliseconds until until_ms, which is 0 for never; at least 1 as long as there are any. */
static int64_t left_ms(int64_t until_ms)
{
	return until_ms == 0 ? INT64_MAX : until_ms - now_ms();
}

static davit_status wait_on_thread(struct davit_pool *p, struct davit_call *call, int64_t ms)
{
	struct timespec t;

	if (call != NULL && davit_cancelled(call))
		return davit_remaining_ms(call) <= 0 ? DAVIT_DEADLINE_EXCEEDED : DAVIT_CANCELLED;
	if (call != NULL && davit_remaining_ms(call) < ms)
		ms = davit_remaining_ms(call);
	if (ms <= 0)
		return DAVIT_DEADLINE_EXCEEDED;
	if (ms > SLICE_MS)
		ms = SLICE_MS;
	clock_gettime(CLOCK_MONOTONIC, &t);
	t.tv_nsec += ms * 1000000;
	t.tv_sec += t.tv_nsec / 1000000000;
	t.tv_nsec %= 1000000000;
	pthread_cond_timedwait(&p->changed, &p->lock, &t);
	return DAVIT_OK;
}

static davit_status wait_on_fiber(struct davit_pool *p, struct davit_call *call, int64_t ms)
{
	davit_status status;

	pthread_mutex_unlock(&p->lock);
	status = p->fiber->park(p->instance, call, ms == INT64_MAX ? 0 : ms);
	pthread_mutex_lock(&p->lock);
	return status;
}

/* *ret_got: what was handed over; NULL: the turn to make one. */
static davit_status wait_turn(struct davit_pool *p, struct davit_call *call, int64_t until_ms, struct place **ret_got)
{
	struct waiter w = { .fiber = self(p) };
	davit_status status = DAVIT_OK;
	int64_t left;

	join_queue(p, &w);
	while (!w.called && status == DAVIT_OK && !p->stopped) {
		left = left_ms(until_ms);
		if (left <= 0)
			status = DAVIT_DEADLINE_EXCEEDED;
		else
			status = uses_fibers(p) ? wait_on_fiber(p, call, left) : wait_on_thread(p, call, left);
	}
	if (!w.called)
		leave_queue(p, &w);
	*ret_got = w.got;
	if (w.called && !p->stopped && status == DAVIT_OK)
		return DAVIT_OK;
	*ret_got = NULL;
	if (w.got != NULL) {
		void *item = w.got->item;

		pthread_mutex_unlock(&p->lock);
		davit_pool_give(p, item, 0);
		pthread_mutex_lock(&p->lock);
	} else if (w.called) { /* it was our turn, which we do not take */
		call_next(p, NULL);
	}
	return p->stopped ? DAVIT_CANCELLED : status;
}

/* ---- Taking and giving ---- */

static davit_status make(struct davit_pool *p, struct davit_call *call, int64_t until_ms, void *why,
			 struct place **ret_at)
{
	struct place *at = place_in(p, FREE, NULL);
	int64_t left = left_ms(until_ms);
	davit_status status = DAVIT_DEADLINE_EXCEEDED;

	at->state = MAKING;
	at->maker = self(p);
	p->live++;
	if (left > 0) {
		pthread_mutex_unlock(&p->lock);
		status = p->item->make(p->arg, call, left == INT64_MAX ? 0 : left, why, &at->item);
		pthread_mutex_lock(&p->lock);
	}
	if (status != DAVIT_OK) {
		*at = (struct place){ .state = FREE };
		p->live--;
		return status;
	}
	at->state = OUT;
	at->maker = NULL;
	at->made_ms = at->used_ms = now_ms();
	keep(p);
	*ret_at = at;
	return DAVIT_OK;
}

static davit_status take(struct davit_pool *p, struct davit_call *call, int64_t until_ms, void *why,
			 struct place **ret_at)
{
	davit_status status;

	for (;;) {
		if (p->stopped)
			return DAVIT_CANCELLED;
		*ret_at = take_resting(p);
		if (*ret_at != NULL)
			return DAVIT_OK;
		if (p->live < p->limits.most && (p->live == 0 || now_ms() >= p->full_ms)) {
			status = make(p, call, until_ms, why, ret_at);
			if (status == DAVIT_OK)
				return DAVIT_OK;
			if (status != DAVIT_EXHAUSTED || p->live == 0) {
				call_next(p, NULL);
				return status;
			}
			p->full_ms = now_ms() + FULL_MS; /* those that there are have to do */
			if (p->rest != NULL)		 /* given back meanwhile */
				continue;
		}
		status = wait_turn(p, call, until_ms, ret_at);
		if (status != DAVIT_OK || *ret_at != NULL)
			return status;
	}
}

davit_status davit_pool_take(struct davit_pool *p, struct davit_call *call, int64_t timeout_ms, void *why,
			     void **ret_item)
{
	int64_t until_ms = timeout_ms > 0 ? now_ms() + timeout_ms : 0;
	struct place *at = NULL;
	davit_status status;

	pthread_mutex_lock(&p->lock);
	p->taking++;
	status = take(p, call, until_ms, why, &at);
	if (status == DAVIT_OK)
		*ret_item = at->item;
	p->taking--;
	if (p->stopper != NULL)
		p->fiber->wake(p->stopper);
	else if (p->stopped)
		pthread_cond_broadcast(&p->changed);
	pthread_mutex_unlock(&p->lock);
	return status;
}

void davit_pool_give(struct davit_pool *p, void *item, int broken)
{
	struct place *at;
	int64_t now = now_ms();

	pthread_mutex_lock(&p->lock);
	at = place_in(p, OUT, item);
	if (at == NULL) {
		davit_log(p->instance, DAVIT_LOG_ERROR,
			  "what was given back to a pool is not out of it: it is left alone");
		pthread_mutex_unlock(&p->lock);
		return;
	}
	at->used_ms = now;
	if (p->stopped || broken || is_over(at->made_ms, p->limits.life_ms, now)) {
		clear(p, at);
		call_next(p, NULL);
	} else if (p->first != NULL) { /* to who waits longest, before anybody who comes now */
		call_next(p, at);
	} else {
		at->state = RESTING;
		at->next = p->rest;
		p->rest = at;
		if (!uses_fibers(p))
			close_old(p);
	}
	pthread_mutex_unlock(&p->lock);
}

/* ---- The end ---- */

static void interrupt(struct davit_pool *p)
{
	int i;

	for (i = 0; i < p->limits.most; i++) {
		struct place *at = &p->places[i];

		if (at->state == MAKING && at->maker != NULL)
			p->fiber->cancel(at->maker);
		else if (at->state == OUT && p->item->interrupt != NULL)
			p->item->interrupt(p->arg, at->item);
	}
}

void davit_pool_stop(struct davit_pool *p)
{
	struct place *at;

	pthread_mutex_lock(&p->lock);
	p->stopped = 1;
	interrupt(p);
	while (p->first != NULL)
		call_next(p, NULL);
	while ((at = p->rest) != NULL) {
		p->rest = at->next;
		clear(p, at);
	}
	if (p->keeper != NULL)
		p->fiber->cancel(p->keeper);
	p->stopper = self(p);
	while (p->keeping || p->taking > 0) {
		if (uses_fibers(p))
			wait_on_fiber(p, NULL, INT64_MAX);
		else
			pthread_cond_wait(&p->changed, &p->lock);
	}
	p->stopper = NULL;
	pthread_mutex_unlock(&p->lock);
}

void davit_pool_free(struct davit_pool *p)
{
	if (p == NULL)
		return;
	davit_pool_stop(p);
	pthread_cond_destroy(&p->changed);
	pthread_mutex_destroy(&p->lock);
	free(p->places);
	free(p);
}

int davit_pool_stopped(struct davit_pool *p)
{
	int stopped;

	pthread_mutex_lock(&p->lock);
	stopped = p->stopped;
	pthread_mutex_unlock(&p->lock);
	return stopped;
}
