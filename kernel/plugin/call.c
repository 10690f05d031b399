/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A call has two holders: the waiting fiber and the plugin. What it needs is an arena of its own, which each holds once, so
 * whichever leaves last frees it; the call itself lies in a cell (cell.h), which rests then, so that a plugin that speaks of
 * it once more is heard as such. `phase` says who still talks: the plugin finishes it (RUNNING to DONE) or the fiber
 * gives up first (RUNNING to ABANDONED); after that what the plugin says is dropped.
 */
#include "plugin/call.h"

#include <stdatomic.h>

#include "base/banned.h"
#include "base/clock.h"
#include "base/log.h"
#include "loop/fiber.h"
#include "loop/lane.h"
#include "loop/loop.h"
#include "plugin/adapter.h"
#include "plugin/cell.h"
#include "plugin/host.h"
#include "plugin/instance.h"
#include "plugin/notify.h"
#include "plugin/records.h"
#include "plugin/service.h"

#define LOG_SCOPE "davit.plugin"

enum phase { RUNNING, DONE, ABANDONED };

struct call {
	struct cell cell;    /* first; its handle is what the plugin has */
	struct arena *arena; /* of the call: records, texts, davit_alloc */
	struct arena *input; /* of the scope: holds what the plugin reads */
	struct instance *instance;
	struct loop *loop;
	struct fiber *waiter;	   /* own loop only; NULL: nobody waits */
	struct call *next, **link; /* in the scope's list */
	davit_op *op;
	const void *in;
	int64_t deadline_ns;
	_Atomic int phase, cancelled, finished;
	davit_status status;
	const char *reason;
	struct str message;
	struct record *records, **records_end;
	const struct error *error;
	struct lane_job job;
	struct loop_task task;
	struct notify cancel; /* set by the plugin, run by whoever cancels */
};

static atomic_llong late;

int64_t call_late(void)
{
	return late;
}

static struct call *call_of(const struct davit_call *head)
{
	return (struct call *)cell_of(head);
}

/* Says one of its own call's, and waits for an answer still? Else the call is over, and perhaps its memory another's. */
static int is_over(const struct davit_call *head)
{
	return !cell_is_of(head) || call_of(head)->finished;
}

/* The plugin's hold ends. */
static void let_go(struct call *c)
{
	struct arena *input = c->input, *own = c->arena;

	arena_unref(own);
	arena_unref(input);
}

static void wake_waiter(struct loop_task *t)
{
	struct call *c = (struct call *)((char *)t - offsetof(struct call, task));

	if (c->waiter != NULL)
		fiber_wake(c->waiter);
	let_go(c);
}

void call_done(struct davit_call *head, davit_status status)
{
	struct call *c = call_of(head);
	int was;

	if (!cell_is_of(head) || atomic_exchange(&c->finished, 1)) {
		log_error("A plugin finished a call of %s twice; the second time is ignored",
			  ((const struct handle *)head)->name);
		return;
	}
	notify_end(&c->cancel);
	if (status < DAVIT_OK || status > DAVIT_UNAUTHENTICATED)
		status = DAVIT_INTERNAL;
	was = RUNNING;
	c->status = status;
	if (!atomic_compare_exchange_strong(&c->phase, &was, DONE)) {
		log_debug("A component has answered a call that nobody waits for any more: its answer is dropped (%lld "
			  "so far)",
			  (long long)++late);
		let_go(c);
		return;
	}
	if (loop_self() == c->loop && fiber_self() == c->waiter)
		let_go(c); /* the operation answered at once: its caller has not even parked */
	else if (loop_self() == c->loop)
		wake_waiter(&c->task);
	else
		loop_post(c->loop, &c->task);
}

davit_status call_emit_owned(struct davit_call *head, const void *record, void (*release)(void *arg), void *arg)
{
	struct call *c = call_of(head);
	struct record *r;
	int unknown;

	if (is_over(head) || c->phase != RUNNING) {
		if (release != NULL)
			release(arg);
		return DAVIT_CANCELLED;
	}
	r = arena_try(c->arena, sizeof(*r));
	if (r == NULL || (release != NULL && arena_try_defer(c->arena, release, arg) < 0)) {
		if (release != NULL)
			release(arg);
		return DAVIT_EXHAUSTED;
	}
	r->next = NULL;
	memcpy(&r->kind, (const char *)record + 4, sizeof(r->kind));
	r->data = record_copy(c->arena, record, release == NULL, &unknown);
	if (r->data == NULL && unknown)
		log_error("Component " STR_FMT
			  " emitted a record of kind %u, which this kernel does not know: it was not taken",
			  STR_ARG(instance_name(c->instance)), (unsigned)r->kind);
	if (r->data == NULL)
		return unknown ? DAVIT_INVALID_ARGUMENT : DAVIT_EXHAUSTED;
	*c->records_end = r;
	c->records_end = &r->next;
	return DAVIT_OK;
}

davit_status call_emit(struct davit_call *head, const void *record)
{
	return call_emit_owned(head, record, NULL, NULL);
}

void call_fail(struct davit_call *head, davit_status status, const char *reason, const char *text, size_t n)
{
	struct call *c = call_of(head);
	char *copy;
	size_t nr = reason ? strlen(reason) : 0;

	(void)status; /* what the operation returns or davit_done is told is what counts */
	if (is_over(head) || c->phase != RUNNING)
		return;
	copy = arena_try(c->arena, n + nr + 2);
	if (copy == NULL)
		return;
	memcpy(copy, text, n);
	copy[n] = '\0';
	c->message = (struct str){ copy, n };
	memcpy(copy + n + 1, reason ? reason : "", nr + 1);
	c->reason = reason ? copy + n + 1 : NULL;
}

struct arena *call_arena(struct davit_call *head)
{
	return call_of(head)->arena;
}

int64_t call_deadline_ns(const struct davit_call *head)
{
	return head->host == &host_table ? call_of(head)->deadline_ns : 0;
}

void call_explain(struct davit_call *head, const struct error *e)
{
	call_of(head)->error = e;
}

int64_t call_remaining_ms(const struct davit_call *head)
{
	const struct call *c = call_of(head);
	int64_t left;

	if (is_over(head))
		return 0;
	if (c->deadline_ns == 0)
		return INT64_MAX;
	left = (c->deadline_ns - clock_ns()) / 1000000;
	return left > 0 ? left : 0;
}

int32_t call_cancelled(const struct davit_call *head)
{
	return is_over(head) || call_of(head)->cancelled;
}

void *call_alloc(struct davit_call *head, size_t n)
{
	return is_over(head) ? NULL : arena_try(call_of(head)->arena, n);
}

int32_t call_on_cancel(struct davit_call *head, void (*fn)(void *arg), void *arg)
{
	struct call *c = call_of(head);

	if (is_over(head))
		return fn == NULL ? 0 : -1;
	if (fn == NULL) {
		notify_end(&c->cancel);
		return 0;
	}
	if (notify_set(&c->cancel, fn, arg) < 0)
		return -1;
	if (c->cancelled)
		notify_once(&c->cancel);
	return 0;
}

/* Only a long call has to be careful with what it emits. */
int64_t call_credit(struct davit_call *head)
{
	(void)head;
	return INT64_MAX;
}

int32_t call_on_credit(struct davit_call *head, void (*fn)(void *arg), void *arg)
{
	(void)head, (void)fn, (void)arg;
	return -1;
}

int call_wakes(const struct davit_call *head, const struct fiber *f)
{
	const struct call *c = call_of(head);

	return head->host == &host_table && !is_over(head) && c->loop == loop_self() && c->waiter == f;
}

static void cancel(struct call *c)
{
	c->cancelled = 1;
	notify_once(&c->cancel);
	service_cancel(cell_head(&c->cell));
}

void scope_cancel(void *arg)
{
	struct scope *s = arg;
	struct scope_sleeper *sleeper;
	struct call *c;

	s->cancelled = 1;
	for (sleeper = s->sleepers; sleeper != NULL; sleeper = sleeper->next)
		fiber_wake(sleeper->fiber);
	for (c = s->calls; c != NULL; c = c->next) {
		cancel(c);
		if (c->waiter != NULL)
			fiber_wake(c->waiter);
	}
}

static void run_on_worker(struct lane_job *j)
{
	struct call *c = (struct call *)((char *)j - offsetof(struct call, job));
	struct davit_call *head = cell_head(&c->cell);
	davit_status status;

	if (c->phase != RUNNING) { /* nobody waits any more: not even begun */
		call_done(head, DAVIT_CANCELLED);
		return;
	}
	status = c->op(instance_self(c->instance, 0), head, c->in);
	if (status != DAVIT_PENDING) /* if it has completed it as well, c may be another call by now */
		call_done(head, status);
}

static struct call *call_new(struct scope *s, int64_t deadline_ns, struct instance *i, davit_op *op, const void *in)
{
	struct arena *a = arena_new();
	struct call *c = a ? (struct call *)cell_take(sizeof(*c), &host_table, instance_name(i).p) : NULL;

	if (c == NULL || arena_try_defer(a, cell_rest, c) < 0) {
		if (c != NULL)
			cell_rest(c);
		arena_unref(a);
		return NULL;
	}
	memset((char *)c + sizeof(c->cell), 0, sizeof(*c) - sizeof(c->cell));
	c->arena = arena_ref(a); /* one for each holder */
	c->input = arena_ref(s->arena);
	c->instance = i;
	c->loop = loop_self();
	c->waiter = fiber_self();
	c->op = op;
	c->in = in;
	c->deadline_ns = deadline_ns;
	c->message = STR("");
	c->records_end = &c->records;
	c->job.run = run_on_worker;
	c->task.run = wake_waiter;
	c->next = s->calls;
	c->link = &s->calls;
	if (c->next != NULL)
		c->next->link = &c->next;
	s->calls = c;
	return c;
}

static void leave_scope(struct call *c)
{
	c->waiter = NULL;
	*c->link = c->next;
	if (c->next != NULL)
		c->next->link = c->link;
}

static void drop_arena(void *arg)
{
	arena_unref(arg);
}

static struct answer given_up(struct scope *s, struct call *c)
{
	struct answer none = { .message = STR("") };
	int was = RUNNING;

	cancel(c);
	if (!atomic_compare_exchange_strong(&c->phase, &was, ABANDONED))
		return (struct answer){ .status = DAVIT_PENDING }; /* it was done in this very moment after all */
	none.status = s->cancelled ? DAVIT_CANCELLED : DAVIT_DEADLINE_EXCEEDED;
	none.message = s->cancelled ? STR("the client has gone") : STR("the component did not answer in time");
	leave_scope(c);
	arena_unref(c->arena);
	return none;
}

static struct answer wait_for(struct scope *s, struct call *c)
{
	struct answer a;

	while (c->phase == RUNNING) {
		if (!s->cancelled && fiber_park_until(c->deadline_ns) == 0)
			continue;
		a = given_up(s, c);
		if (a.status != DAVIT_PENDING)
			return a;
	}
	leave_scope(c);
	a = (struct answer){ c->status, c->reason, c->message, c->records, c->error };
	if (arena_try_defer(s->arena, drop_arena, c->arena) < 0) {
		arena_unref(c->arena);
		return (struct answer){ .status = DAVIT_EXHAUSTED, .message = STR("out of memory") };
	}
	return a;
}

static struct answer refused(struct call *c, davit_status status, struct str message)
{
	leave_scope(c);
	arena_unref(c->arena);
	let_go(c);
	return (struct answer){ .status = status, .message = message };
}

struct answer call_until(struct scope *s, int64_t deadline_ns, struct instance *i, davit_op *op, const void *in)
{
	struct davit_call *head;
	struct call *c;
	davit_status status;

	if (s->cancelled)
		return (struct answer){ .status = DAVIT_CANCELLED, .message = STR("the client has gone") };
	c = call_new(s, deadline_ns, i, op, in);
	if (c == NULL)
		return (struct answer){ .status = DAVIT_EXHAUSTED, .message = STR("out of memory") };
	if (instance_lane(i) == LANE_WORKER) {
		if (instance_submit(i, &c->job) < 0)
			return refused(c, DAVIT_EXHAUSTED, STR("too many calls wait for this component"));
	} else {
		head = cell_head(&c->cell);
		loop_note(instance_name(i).p);
		status = op(instance_self(i, loop_index(c->loop)), head, in);
		loop_note(NULL);
		if (status != DAVIT_PENDING)
			call_done(head, status);
	}
	return wait_for(s, c);
}

struct answer call_instance(struct scope *s, struct instance *i, davit_op *op, const void *in)
{
	return call_until(s, s->deadline_ns, i, op, in);
}
