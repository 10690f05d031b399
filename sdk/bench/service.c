/* SPDX-License-Identifier: Apache-2.0 */
#include "service.h"

#include <davit/dial.h>
#include <davit/fiber.h>
#include <davit/http.h>
#include <davit/metrics.h>
#include <davit/resolve.h>
#include <davit/sleep.h>
#include <davit/watch.h>
#include <openssl/crypto.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "host.h"
#include "stretch.h"

/* This thread as a fiber; of a thread that calls an operation, made when it first needs one. */
struct davit_fiber {
	struct turns *turns;
	pthread_cond_t wake;
	int woken, cancelled;
	int poke;		 /* an eventfd that ends a poll, readable when cancelled */
	struct davit_call *call; /* that it waits for; NULL: none */
	struct davit_fiber *next, **link;
};

static _Thread_local struct davit_fiber self;
static _Thread_local int my_turn;

void turns_init(struct turns *t, int used)
{
	pthread_mutex_init(&t->lock, NULL);
	t->used = used;
	t->fibers = 0;
	t->waiting = NULL;
}

void turns_take(struct turns *t)
{
	if (t->used) {
		pthread_mutex_lock(&t->lock);
		my_turn = 1;
	}
	stretch_begin();
}

void turns_give(struct turns *t)
{
	stretch_end();
	if (!t->used)
		return;
	my_turn = 0;
	pthread_mutex_unlock(&t->lock);
}

int turns_mine(struct turns *t)
{
	return t->used && my_turn;
}

int turns_left(struct turns *t)
{
	int i;

	/* A fiber may just be on its last step. */
	for (i = 0; i < 1000 && __atomic_load_n(&t->fibers, __ATOMIC_SEQ_CST) > 0; i++)
		usleep(1000);
	return __atomic_load_n(&t->fibers, __ATOMIC_SEQ_CST);
}

static struct turns *turns_of(struct davit_instance *instance)
{
	return &((struct host *)instance)->turns;
}

static struct davit_fiber *fiber_here(struct davit_instance *instance)
{
	pthread_condattr_t steady;

	if (self.turns == NULL) {
		pthread_condattr_init(&steady);
		pthread_condattr_setclock(&steady, CLOCK_MONOTONIC);
		pthread_cond_init(&self.wake, &steady);
		pthread_condattr_destroy(&steady);
		self.poke = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
		if (self.poke < 0)
			abort();
	}
	self.turns = turns_of(instance);
	return &self;
}

struct wait wait_for(struct davit_instance *instance, struct davit_call *call, int64_t timeout_ms)
{
	struct wait w = { .turns = turns_of(instance), .call = call, .until_ms = INT64_MAX };
	int64_t left = call ? davit_remaining_ms(call) : INT64_MAX, now = host_now_ms();

	fiber_here(instance);
	if (left < INT64_MAX)
		w.until_ms = now + left;
	if (timeout_ms > 0 && timeout_ms < INT32_MAX && now + timeout_ms <= w.until_ms) {
		w.until_ms = now + timeout_ms;
		w.own = 1;
	}
	return w;
}

/* Its turn is ours. */
static void enlist(struct turns *t, struct davit_call *call)
{
	self.call = t->used ? call : NULL;
	if (self.call == NULL)
		return;
	self.next = t->waiting;
	self.link = &t->waiting;
	if (self.next != NULL)
		self.next->link = &self.next;
	t->waiting = &self;
}

static void unlist(void)
{
	if (self.call == NULL)
		return;
	*self.link = self.next;
	if (self.next != NULL)
		self.next->link = self.link;
	self.call = NULL;
}

/* Cancelled while there was time left. */
static int is_cancelled(struct davit_call *call)
{
	return call != NULL && davit_remaining_ms(call) > 0 && davit_cancelled(call);
}

static davit_status take_cancel(void)
{
	uint64_t n;

	self.cancelled = 0;
	if (read(self.poke, &n, sizeof(n)) < 0)
		return DAVIT_CANCELLED; /* it was read already */
	return DAVIT_CANCELLED;
}

davit_status wait_ready(const struct wait *w, int fd, short events, int other, short *ret_events)
{
	struct pollfd p[3] = { { fd, events, 0 }, { self.poke, POLLIN, 0 }, { other, POLLIN, 0 } };
	int64_t left = w->until_ms == INT64_MAX ? -1 : w->until_ms - host_now_ms();
	int n;

	if (is_cancelled(w->call))
		return DAVIT_CANCELLED;
	enlist(w->turns, w->call);
	turns_give(w->turns);
	n = poll(p, 3, left < -1 ? 0 : left > INT32_MAX ? INT32_MAX : (int)left);
	turns_take(w->turns);
	unlist();
	if (p[1].revents)
		return take_cancel();
	*ret_events = p[0].revents;
	return n == 0 && w->until_ms <= host_now_ms() ? DAVIT_DEADLINE_EXCEEDED : DAVIT_OK;
}

static davit_status sleep_sleep(struct davit_instance *instance, struct davit_call *call, int64_t ms)
{
	struct wait w = wait_for(instance, call, ms);
	davit_status status = DAVIT_OK;
	short none;

	while (ms > 0 && status == DAVIT_OK)
		status = wait_ready(&w, -1, 0, -1, &none);
	return status == DAVIT_DEADLINE_EXCEEDED && w.own ? DAVIT_OK : status;
}

static const struct davit_sleep_service sleep_service = DAVIT_INIT(davit_sleep_service, .sleep = sleep_sleep);

struct starting {
	struct davit_instance *instance;
	void (*fn)(void *arg);
	void *arg;
};

static void *fiber_main(void *arg)
{
	struct starting s = *(struct starting *)arg;
	struct turns *t = turns_of(s.instance);

	free(arg);
	fiber_here(s.instance);
	turns_take(t);
	s.fn(s.arg);
	OPENSSL_thread_stop(); /* the process may end before this thread has */
	turns_give(t);
	close(self.poke);
	pthread_cond_destroy(&self.wake);
	__atomic_fetch_sub(&t->fibers, 1, __ATOMIC_SEQ_CST);
	return NULL;
}

static davit_status fiber_start(struct davit_instance *instance, void (*fn)(void *arg), void *arg)
{
	struct turns *t = turns_of(instance);
	struct starting *s;
	pthread_t thread;

	if (!t->used) /* no fibers but on a loop */
		return DAVIT_FAILED_PRECONDITION;
	s = malloc(sizeof(*s));
	if (s == NULL)
		abort();
	*s = (struct starting){ instance, fn, arg };
	__atomic_fetch_add(&t->fibers, 1, __ATOMIC_SEQ_CST);
	if (pthread_create(&thread, NULL, fiber_main, s) != 0) {
		__atomic_fetch_sub(&t->fibers, 1, __ATOMIC_SEQ_CST);
		free(s);
		return DAVIT_EXHAUSTED;
	}
	pthread_detach(thread);
	return DAVIT_OK;
}

static struct davit_fiber *fiber_self(struct davit_instance *instance)
{
	return fiber_here(instance);
}

static davit_status fiber_park(struct davit_instance *instance, struct davit_call *call, int64_t timeout_ms)
{
	struct wait w = wait_for(instance, call, timeout_ms);
	struct timespec until = { .tv_sec = w.until_ms / 1000, .tv_nsec = w.until_ms % 1000 * 1000000 };
	int late = 0;

	if (!w.turns->used)
		return DAVIT_FAILED_PRECONDITION;
	if (is_cancelled(call))
		return DAVIT_CANCELLED;
	enlist(w.turns, call);
	stretch_end();
	while (!self.woken && !self.cancelled && !late) {
		if (w.until_ms == INT64_MAX)
			pthread_cond_wait(&self.wake, &w.turns->lock);
		else
			late = pthread_cond_timedwait(&self.wake, &w.turns->lock, &until) != 0;
	}
	stretch_begin();
	unlist();
	if (self.cancelled)
		return take_cancel();
	late = !self.woken;
	self.woken = 0;
	return late ? DAVIT_DEADLINE_EXCEEDED : DAVIT_OK;
}

static void fiber_wake(struct davit_fiber *fiber)
{
	fiber->woken = 1;
	pthread_cond_signal(&fiber->wake);
}

/* Of no effect on a fiber that waits for nothing: it takes its turn when we give ours, and only then waits again. */
static void fiber_cancel(struct davit_fiber *fiber)
{
	uint64_t one = 1;

	fiber->cancelled = 1;
	if (write(fiber->poke, &one, sizeof(one)) != sizeof(one))
		abort();
	pthread_cond_signal(&fiber->wake);
}

void turns_cancel(struct turns *t, struct davit_call *call)
{
	struct davit_fiber *f;

	turns_take(t);
	for (f = t->waiting; f != NULL; f = f->next)
		if (f->call == call)
			fiber_cancel(f);
	turns_give(t);
}

static const struct davit_fiber_service fiber_service = DAVIT_INIT(davit_fiber_service, .start = fiber_start,
								   .self = fiber_self, .park = fiber_park,
								   .wake = fiber_wake, .cancel = fiber_cancel);

extern const struct davit_dial_service bench_dial;
extern const struct davit_http_service bench_http;
extern const struct davit_metrics_service bench_metrics;
extern const struct davit_resolve_service bench_resolve;
extern const struct davit_watch_service bench_watch;

const void *service_find(const char *name)
{
	static const struct {
		const char *name;
		const void *table;
	} services[] = {
		{ DAVIT_DIAL, &bench_dial },	   { DAVIT_RESOLVE, &bench_resolve }, { DAVIT_WATCH, &bench_watch },
		{ DAVIT_SLEEP, &sleep_service },   { DAVIT_FIBER, &fiber_service },   { DAVIT_HTTP, &bench_http },
		{ DAVIT_METRICS, &bench_metrics },
	};
	size_t i;

	for (i = 0; i < sizeof(services) / sizeof(services[0]); i++)
		if (strcmp(services[i].name, name) == 0)
			return services[i].table;
	return NULL;
}
