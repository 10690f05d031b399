/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Work that waits for a call stands in a table by that call's address, so that whoever cancels it, on any thread, finds it.
 * The fiber that a call's operation runs on is woken by its scope anyway and does not stand there.
 */
#include "plugin/service.h"

#include <davit/dial.h>
#include <davit/fiber.h>
#include <davit/http.h>
#include <davit/metrics.h>
#include <davit/resolve.h>
#include <davit/sleep.h>
#include <davit/watch.h>
#include <pthread.h>
#include <stdio.h>

#include "base/banned.h"
#include "base/clock.h"
#include "plugin/adapter.h"
#include "plugin/host.h"
#include "plugin/instance.h"

#define BUCKETS 256
#define MS INT64_C(1000000)

static struct service_work *waiting[BUCKETS];
static pthread_mutex_t waiting_lock = PTHREAD_MUTEX_INITIALIZER; /* innermost; for waiting, and each one's poked */

static struct service_work **bucket_of(const struct davit_call *call)
{
	uintptr_t h = (uintptr_t)call;

	return &waiting[(h >> 6 ^ h >> 14) % BUCKETS];
}

static void list(struct service_work *w)
{
	struct service_work **bucket = bucket_of(w->call);

	pthread_mutex_lock(&waiting_lock);
	w->next = *bucket;
	w->link = bucket;
	if (w->next != NULL)
		w->next->link = &w->next;
	*bucket = w;
	pthread_mutex_unlock(&waiting_lock);
	w->listed = 1;
}

/* After it nobody knows the work any more. */
static void unlist(struct service_work *w)
{
	int poked;

	if (!w->listed)
		return;
	pthread_mutex_lock(&waiting_lock);
	*w->link = w->next;
	if (w->next != NULL)
		w->next->link = w->link;
	poked = w->poked;
	pthread_mutex_unlock(&waiting_lock);
	while (poked && !w->poke_came)
		fiber_park();
}

static void poke_came(struct loop_task *t)
{
	struct service_work *w = (struct service_work *)((char *)t - offsetof(struct service_work, poke));

	w->poke_came = 1;
	fiber_wake(w->fiber);
}

void service_cancel(struct davit_call *call)
{
	struct service_work *w;

	pthread_mutex_lock(&waiting_lock);
	for (w = *bucket_of(call); w != NULL; w = w->next) {
		if (w->call != call || w->poked)
			continue;
		w->cancelled = 1;
		w->poked = 1;
		w->poke.run = poke_came;
		loop_post(w->loop, &w->poke);
	}
	pthread_mutex_unlock(&waiting_lock);
}

int64_t service_within(struct service_work *w, int64_t timeout_ms)
{
	int64_t was = w->until_ns, until;

	if (timeout_ms > 0 && timeout_ms < INT64_MAX / MS / 2) {
		until = clock_ns() + timeout_ms * MS;
		if (w->until_ns == 0 || until < w->until_ns)
			w->until_ns = until;
	}
	return was;
}

davit_status service_park(struct service_work *w)
{
	if (w->cancelled || (w->call != NULL && davit_cancelled(w->call)))
		return DAVIT_CANCELLED;
	return fiber_park_until(w->until_ns) == 0 ? DAVIT_OK : DAVIT_DEADLINE_EXCEEDED;
}

/* On the work's loop, on a fiber. */
static void work_here(struct service_work *w)
{
	void **note;

	w->fiber = fiber_self();
	note = fiber_note(w->fiber);
	*note = w;
	if (w->call != NULL && !call_wakes(w->call, w->fiber))
		list(w);
	w->run(w);
	unlist(w);
	*note = NULL;
}

void service_cancel_fiber(struct fiber *f)
{
	struct service_work *w = *fiber_note(f);

	if (w == NULL)
		return;
	w->cancelled = 1;
	fiber_wake(f);
}

static void come_home(struct loop_task *t)
{
	struct service_work *w = (struct service_work *)((char *)t - offsetof(struct service_work, task));

	w->over = 1;
	fiber_wake(w->asker);
}

static void tell_asker(struct service_work *w)
{
	if (w->asker == NULL) {
		uv_sem_post(&w->done);
		return;
	}
	w->task.run = come_home;
	loop_post(w->home, &w->task);
}

static void on_fiber(void *arg)
{
	struct service_work *w = arg;

	work_here(w);
	tell_asker(w);
}

static void begin(struct loop_task *t)
{
	struct service_work *w = (struct service_work *)((char *)t - offsetof(struct service_work, task));

	if (!w->brief && fiber_start(w->loop, on_fiber, w) == 0)
		return;
	w->status = DAVIT_EXHAUSTED;
	if (w->brief)
		w->run(w);
	tell_asker(w);
}

void service_do(struct service_work *w, struct loop *where, struct davit_call *call, int64_t timeout_ms)
{
	int64_t left = call ? davit_remaining_ms(call) : INT64_MAX;

	w->call = call;
	w->loop = where;
	service_within(w, timeout_ms);
	/* A call without time left still gets as far as it comes without waiting. */
	service_within(w, left > 0 ? left : 1);
	w->asker = fiber_self();
	if (loop_self() == where && (w->brief || w->asker != NULL)) {
		w->brief ? w->run(w) : work_here(w);
		return;
	}
	w->home = loop_self();
	w->task.run = begin;
	if (w->asker == NULL && uv_sem_init(&w->done, 0) < 0) {
		w->status = DAVIT_EXHAUSTED;
		return;
	}
	loop_post(where, &w->task);
	if (w->asker == NULL) {
		uv_sem_wait(&w->done);
		uv_sem_destroy(&w->done);
	}
	while (w->asker != NULL && !w->over)
		fiber_park();
}

struct loop *service_loop(struct davit_instance *instance)
{
	static _Atomic unsigned turn;
	struct loop *own = loop_self();

	return own ? own : instance_loop(instance_of(instance), turn++);
}

void service_say(char *why, uint64_t nwhy, const char *fmt, ...)
{
	va_list ap;

	if (why == NULL || nwhy == 0)
		return;
	va_start(ap, fmt);
	vsnprintf(why, nwhy, fmt, ap);
	va_end(ap);
}

const void *instance_service(struct davit_instance *head, const char *name)
{
	static const struct {
		const char *name;
		const void *table;
	} services[] = {
		{ DAVIT_DIAL, &dial_service },	     { DAVIT_RESOLVE, &resolve_service },
		{ DAVIT_WATCH, &watch_service },     { DAVIT_SLEEP, &sleep_service },
		{ DAVIT_FIBER, &fiber_service },     { DAVIT_HTTP, &http_service },
		{ DAVIT_METRICS, &metrics_service },
	};
	size_t i;

	(void)head;
	for (i = 0; i < sizeof(services) / sizeof(services[0]); i++)
		if (strcmp(services[i].name, name) == 0)
			return services[i].table;
	return NULL;
}
