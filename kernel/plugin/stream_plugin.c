/* SPDX-License-Identifier: Apache-2.0 */
/* The plugin's side of a long call: what it reaches through the call's host table, from any thread. */
#include "base/banned.h"
#include "base/log.h"
#include "plugin/host.h"
#include "plugin/instance.h"
#include "plugin/minor.h"
#include "plugin/records.h"
#include "plugin/service.h"
#include "plugin/stream_inside.h"

#define LOG_SCOPE "davit.plugin"
#define FROM(task, field) ((struct stream *)((char *)(task)-offsetof(struct stream, field)))

static int try_credit(struct stream *st)
{
	int64_t left = st->credit;

	while (left > 0)
		if (atomic_compare_exchange_weak(&st->credit, &left, left - 1))
			return 1;
	return 0;
}

static void wake_fiber(struct loop_task *t)
{
	struct credit_waiter *w = (struct credit_waiter *)((char *)t - offsetof(struct credit_waiter, task));

	w->woken = 1;
	fiber_wake(w->fiber);
}

static void run_on_credit(struct loop_task *t)
{
	struct stream *st = FROM(t, credit_task);

	pthread_mutex_lock(&st->lock);
	st->told = 0;
	pthread_mutex_unlock(&st->lock);
	notify_again(&st->on_credit);
	arena_unref(st->arena);
}

/* All that wait look again; under the lock. */
static void wake_all(struct stream *st)
{
	struct credit_waiter *w = st->waiters, *next;

	st->waiters = NULL;
	for (; w != NULL; w = next) {
		next = w->next;
		loop_post(fiber_loop(w->fiber), &w->task);
	}
	if (st->blocked > 0)
		pthread_cond_broadcast(&st->room);
	if (st->starved && !st->told && !st->cancelled) {
		st->told = 1;
		st->starved = 0;
		arena_ref(st->arena);
		loop_post(st->loop, &st->credit_task);
	}
}

void stream_give_credit(struct stream *st, int64_t n)
{
	pthread_mutex_lock(&st->lock);
	st->credit += n;
	wake_all(st);
	pthread_mutex_unlock(&st->lock);
}

void stream_cancel(struct stream *st)
{
	pthread_mutex_lock(&st->lock);
	st->cancelled = 1;
	wake_all(st);
	pthread_mutex_unlock(&st->lock);
	notify_once(&st->on_cancel);
	service_cancel(&st->head);
}

static void park_for_credit(struct stream *st)
{
	struct credit_waiter w = { .next = st->waiters, .task.run = wake_fiber, .fiber = fiber_self() };

	st->waiters = &w;
	pthread_mutex_unlock(&st->lock);
	while (!w.woken)
		fiber_park();
	pthread_mutex_lock(&st->lock);
}

static davit_status wait_for_credit(struct stream *st)
{
	davit_status status = DAVIT_PENDING;

	pthread_mutex_lock(&st->lock);
	while (status == DAVIT_PENDING) {
		if (st->cancelled || st->finished) {
			status = DAVIT_CANCELLED;
		} else if (try_credit(st)) {
			status = DAVIT_OK;
		} else if (fiber_self() != NULL) {
			park_for_credit(st);
		} else if (lane_self()) {
			st->blocked++;
			pthread_cond_wait(&st->room, &st->lock);
			st->blocked--;
		} else {
			st->starved = 1;
			status = DAVIT_EXHAUSTED;
		}
	}
	pthread_mutex_unlock(&st->lock);
	return status;
}

static int64_t stream_credit(struct davit_call *head)
{
	struct stream *st = stream_of(head);
	int64_t left = st->credit;

	if (left > 0 || st->cancelled)
		return left > 0 ? left : 0;
	pthread_mutex_lock(&st->lock);
	left = st->credit;
	if (left <= 0)
		st->starved = 1;
	pthread_mutex_unlock(&st->lock);
	return left > 0 ? left : 0;
}

static int32_t stream_on_credit(struct davit_call *head, void (*fn)(void *arg), void *arg)
{
	return notify_set(&stream_of(head)->on_credit, fn, arg);
}

static void stands(struct loop_task *t)
{
	struct stream *st = FROM(t, stand_task);

	st->stands = 1;
	if (st->starter != NULL)
		fiber_wake(st->starter);
	arena_unref(st->arena);
}

void stream_standing(struct stream *st)
{
	if (atomic_exchange(&st->stood, 1))
		return;
	arena_ref(st->arena);
	loop_post(st->loop, &st->stand_task);
}

static struct message *message_new(struct stream *st, const void *record, void (*release)(void *arg), void *arg,
				   davit_status *ret_status)
{
	struct arena *a = arena_new();
	struct message *m = a ? arena_try(a, sizeof(*m) + st->o.user_size) : NULL;
	int unknown = 0;

	*ret_status = DAVIT_EXHAUSTED;
	if (m == NULL)
		goto failed;
	memset(m, 0, sizeof(*m) + st->o.user_size);
	m->head.user = st->o.user_size ? m + 1 : NULL;
	m->head.stream = st;
	m->head.arena = a;
	m->head.record = record_copy(a, record, release == NULL, &unknown);
	if (unknown)
		*ret_status = DAVIT_INVALID_ARGUMENT;
	if (m->head.record == NULL || (release != NULL && arena_try_defer(a, release, arg) < 0))
		goto failed;
	memcpy(&m->token, (const char *)m->head.record + 2 * sizeof(uint32_t), sizeof(m->token));
	m->task.run = message_arrived;
	return m;
failed:
	arena_unref(a);
	return NULL;
}

/* Who was refused for that hears of it as of credit: he may try again. */
static void no_memory_for_it(struct stream *st)
{
	pthread_mutex_lock(&st->lock);
	st->starved = 1;
	pthread_mutex_unlock(&st->lock);
	stream_give_credit(st, 1);
}

static davit_status emit_message(struct stream *st, const void *record, void (*release)(void *arg), void *arg)
{
	struct message *m;
	davit_status status;

	if (st->cancelled || st->finished)
		return DAVIT_CANCELLED;
	status = try_credit(st) ? DAVIT_OK : wait_for_credit(st);
	if (status != DAVIT_OK)
		return status;
	m = message_new(st, record, release, arg, &status);
	if (m == NULL) {
		no_memory_for_it(st);
		return status;
	}
	st->stood = 1; /* its arrival says so */
	arena_ref(st->arena);
	loop_post(st->loop, &m->task);
	return DAVIT_OK;
}

static davit_status stream_emit_owned(struct davit_call *head, const void *record, void (*release)(void *arg),
				      void *arg)
{
	struct stream *st = stream_of(head);
	davit_status status = DAVIT_INVALID_ARGUMENT;
	uint32_t kind;

	memcpy(&kind, (const char *)record + sizeof(uint32_t), sizeof(kind));
	if (kind == st->o.kind) {
		status = emit_message(st, record, release, arg);
		if (status == DAVIT_OK)
			return DAVIT_OK;
	} else if (kind == davit_subscribed_kind) {
		stream_standing(st);
		status = DAVIT_OK;
	}
	if (release != NULL)
		release(arg);
	return status;
}

static davit_status stream_emit(struct davit_call *head, const void *record)
{
	return stream_emit_owned(head, record, NULL, NULL);
}

static void stream_fail(struct davit_call *head, davit_status status, const char *reason, const char *text, size_t n)
{
	struct stream *st = stream_of(head);
	char *copy;

	(void)status, (void)reason;
	pthread_mutex_lock(&st->lock);
	copy = st->finished ? NULL : arena_try(st->arena, n + 1);
	if (copy != NULL) {
		memcpy(copy, text, n);
		copy[n] = '\0';
		st->message = (struct str){ copy, n };
	}
	pthread_mutex_unlock(&st->lock);
}

static void *stream_alloc(struct davit_call *head, size_t n)
{
	struct stream *st = stream_of(head);
	void *p;

	pthread_mutex_lock(&st->lock);
	p = arena_try(st->arena, n);
	pthread_mutex_unlock(&st->lock);
	return p;
}

static int64_t stream_remaining_ms(const struct davit_call *head)
{
	(void)head;
	return INT64_MAX;
}

static int32_t stream_cancelled(const struct davit_call *head)
{
	return stream_of(head)->cancelled;
}

static int32_t stream_on_cancel(struct davit_call *head, void (*fn)(void *arg), void *arg)
{
	struct stream *st = stream_of(head);

	if (fn == NULL) {
		notify_end(&st->on_cancel);
		return 0;
	}
	if (notify_set(&st->on_cancel, fn, arg) < 0)
		return -1;
	if (st->cancelled)
		notify_once(&st->on_cancel);
	return 0;
}

void stream_done(struct davit_call *head, davit_status status)
{
	struct stream *st = stream_of(head);

	if (atomic_exchange(&st->finished, 1)) {
		log_error("A plugin finished a long call of " STR_FMT " twice; the second time is ignored",
			  STR_ARG(instance_name(st->o.instance)));
		return;
	}
	notify_end(&st->on_cancel);
	notify_end(&st->on_credit);
	if (status < DAVIT_OK || status > DAVIT_UNAUTHENTICATED)
		status = DAVIT_INTERNAL;
	pthread_mutex_lock(&st->lock);
	st->status = status;
	wake_all(st); /* whoever still emits is refused */
	pthread_mutex_unlock(&st->lock);
	loop_post(st->loop, &st->done_task); /* with the plugin's reference */
}

static void call_over(struct loop_task *t)
{
	struct stream *st = FROM(t, done_task);

	st->done = 1;
	if (st->starter != NULL)
		fiber_wake(st->starter);
	if (st->closer != NULL)
		fiber_wake(st->closer);
	if (st->stands && !st->stopping && !st->failing && st->o.sink->ended != NULL)
		st->o.sink->ended(st->o.ctx, st->status, st->message);
	arena_unref(st->arena);
}

void stream_prepare_plugin(struct stream *st)
{
	st->head.host = &stream_host_table;
	st->credit_task.run = run_on_credit;
	st->stand_task.run = stands;
	st->done_task.run = call_over;
}

const struct davit_host stream_host_table = {
	.size = MINOR_HOST_SIZE,
	.kind = davit_host_kind,
	.abi = DAVIT_ABI,
	.minor = KERNEL_MINOR,
	.done = stream_done,
	.emit = stream_emit,
	.emit_owned = stream_emit_owned,
	.fail = stream_fail,
	.remaining_ms = stream_remaining_ms,
	.cancelled = stream_cancelled,
	.on_cancel = stream_on_cancel,
	.alloc = stream_alloc,
	.log = instance_log,
	.count = instance_count,
	.service = instance_service,
	.credit = stream_credit,
	.on_credit = stream_on_credit,
};
