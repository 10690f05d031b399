/* SPDX-License-Identifier: Apache-2.0 */
#include "plugin/stream.h"

#include "base/banned.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "plugin/instance.h"
#include "plugin/stream_inside.h"

#define LOG_SCOPE "davit.plugin"
#define MS INT64_C(1000000)
#define LOOK_NS (50 * MS) /* how often a closer looks: credit also comes back on other threads, which wake nobody */
#define START_END_MS 5000 /* what did not stand in time has this long to end */
#define LANE_END_MS 1000  /* its worker has left the operation: it only has to end */

static atomic_llong left;

int64_t stream_left(void)
{
	return left;
}

uint64_t stream_held(const struct stream *st)
{
	return st->o.credit - (uint64_t)st->credit;
}

static void destroy(void *arg)
{
	struct stream *st = arg;

	map_free(&st->orders);
	pthread_cond_destroy(&st->room);
	pthread_mutex_destroy(&st->lock);
	arena_unref(st->o.arena);
}

static void has_returned(struct loop_task *t)
{
	struct stream *st = (struct stream *)((char *)t - offsetof(struct stream, returned_task));

	st->returned = 1;
	if (st->closer != NULL)
		fiber_wake(st->closer);
	arena_unref(st->arena);
}

static void run_op(struct stream *st)
{
	davit_status status = DAVIT_CANCELLED; /* given up while it waited for its turn */

	if (!st->cancelled)
		status = st->o.op(instance_self(st->o.instance, loop_index(st->loop)), &st->head, st->o.in);
	if (status == DAVIT_PENDING)
		stream_standing(st);
	else
		stream_done(&st->head, status);
	loop_post(st->loop, &st->returned_task);
}

static void run_on_fiber(void *stream)
{
	run_op(stream);
}

static void run_on_worker(struct lane_job *j)
{
	run_op((struct stream *)((char *)j - offsetof(struct stream, job)));
}

static struct stream *stream_new(const struct stream_options *o)
{
	struct arena *a = arena_new();
	struct stream *st = a ? arena_try(a, sizeof(*st)) : NULL;

	if (st == NULL) {
		arena_unref(a);
		return NULL;
	}
	memset(st, 0, sizeof(*st));
	st->arena = a;
	st->o = *o;
	st->loop = loop_self();
	st->credit = (int64_t)o->credit;
	st->message = STR("");
	st->job.run = run_on_worker;
	st->returned_task.run = has_returned;
	st->held.end = &st->held.first;
	st->settling.end = &st->settling.first;
	st->postponed.end = &st->postponed.first;
	stream_prepare_plugin(st);
	pthread_mutex_init(&st->lock, NULL);
	pthread_cond_init(&st->room, NULL);
	arena_ref(o->arena);
	if (arena_try_defer(a, destroy, st) == 0)
		return st;
	destroy(st);
	arena_unref(a);
	return NULL;
}

/* 0: the operation runs, or is in line; -1: it cannot. */
static int launch(struct stream *st)
{
	const struct davit_component *c = &instance_type(st->o.instance)->component;
	struct lane_options lane = { .name = instance_name(st->o.instance).p, .workers = 1, .queue = 1 };

	arena_ref(st->arena);
	if (fiber_start(st->loop, stream_keep, st) < 0) {
		arena_unref(st->arena);
		return -1;
	}
	arena_ref(st->arena); /* until it is done */
	arena_ref(st->arena); /* until it has returned */
	if (instance_lane(st->o.instance) == LANE_LOOP) {
		if (fiber_start(st->loop, run_on_fiber, st) == 0)
			return 0;
	} else if (c->flags & DAVIT_SERIAL) {
		if (instance_submit(st->o.instance, &st->job) == 0)
			return 0;
	} else {
		st->lane = lane_new(&lane);
		if (st->lane != NULL && lane_submit(st->lane, &st->job) == 0)
			return 0;
	}
	arena_unref(st->arena);
	arena_unref(st->arena);
	return -1;
}

/* The owner's part ends; what the plugin and the keeper still hold goes with them. */
static void let_go(struct stream *st)
{
	st->closed = 1;
	st->closer = NULL;
	st->starter = NULL;
	if (st->keeper != NULL)
		fiber_wake(st->keeper);
	arena_unref(st->arena);
}

/* Closes it first: making the error may run out of memory and jump away. */
static void start_failed(struct stream *st, struct arena *a, struct error *ret_error)
{
	int status = st->done ? st->status : DAVIT_DEADLINE_EXCEEDED;
	char text[512];

	st->failing = 1;
	snprintf(text, sizeof(text), STR_FMT,
		 STR_ARG(st->done ? st->message : STR("it did not begin within its time")));
	stream_close(st, 0, START_END_MS);
	if (status == DAVIT_OK)
		*ret_error = error_new(a, ERROR_INTERNAL, NULL, "it ended before it had begun");
	else
		*ret_error = error_new(a, status, NULL, "%s", text[0] ? text : error_code_name(status));
}

struct stream *stream_start(const struct stream_options *o, int64_t deadline_ns, struct arena *a,
			    struct error *ret_error)
{
	struct stream *st = o->credit > 0 && o->credit <= STREAM_CREDIT_MOST ? stream_new(o) : NULL;

	if (st == NULL) {
		*ret_error = error_new(a, ERROR_RESOURCE_EXHAUSTED, NULL, "out of memory");
		return NULL;
	}
	st->starter = fiber_self();
	if (launch(st) < 0) {
		lane_close(st->lane, LANE_END_MS);
		let_go(st);
		*ret_error = error_new(a, ERROR_RESOURCE_EXHAUSTED, NULL, "no fiber or thread is free for it");
		return NULL;
	}
	while (!st->stands && !st->done)
		if (fiber_park_until(deadline_ns) < 0)
			break;
	st->starter = NULL;
	if (st->stands)
		return st;
	start_failed(st, a, ret_error);
	return NULL;
}

void stream_stop(struct stream *st)
{
	if (st->stopping)
		return;
	st->stopping = 1;
	stream_cancel(st);
	messages_give_back(st);
}

/* Parks until something may have changed. -1: the time has come. */
static int wait_until(int64_t until_ns)
{
	int64_t now = clock_ns(), look = now + LOOK_NS;

	if (now >= until_ns)
		return -1;
	fiber_park_until(look < until_ns ? look : until_ns);
	return 0;
}

static int is_over(const struct stream *st)
{
	return st->done && st->returned && stream_held(st) == 0;
}

int stream_close(struct stream *st, int drain_ms, int end_ms)
{
	int64_t until = clock_ns() + drain_ms * MS;
	int over;

	st->closer = fiber_self();
	stream_stop(st);
	while (stream_held(st) > 0 && wait_until(until) == 0)
		;
	messages_take(st);
	until = clock_ns() + end_ms * MS;
	while (!is_over(st) && wait_until(until) == 0)
		;
	over = is_over(st);
	if (over && lane_close(st->lane, LANE_END_MS) < 0)
		over = 0;
	if (!over) {
		left++;
		log_error("Component " STR_FMT " did not end a long call within its time: it is left to itself",
			  STR_ARG(instance_name(st->o.instance)));
	}
	let_go(st);
	return over ? 0 : -1;
}
