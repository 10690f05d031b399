/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A component whose one operation does what the test says, opened on a loop and on a worker lane of two loops: so that every
 * service is used from a fiber and from a thread by the same code.
 */
#ifndef SERVICE_RIG_H
#define SERVICE_RIG_H
#include <davit/state.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "loop/fiber.h"
#include "loop/loop.h"
#include "plugin/call.h"
#include "plugin/instance.h"

#define MS INT64_C(1000000)
#define LOOPS 2

static struct loop *loops[LOOPS];
static struct arena *rig_arena;
static struct instance *on_a_loop, *on_a_worker;
static struct davit_instance *handle; /* the one that is in use */

/* What an operation is given: a function of the test. */
struct task {
	davit_status (*fn)(struct davit_call *call, void *arg);
	void *arg;
	atomic_int *begun, *ended; /* NULL: nobody wants to know */
};

static davit_status run_task(void *self, struct davit_call *call, const void *in)
{
	const struct task *t = in;
	atomic_int *ended = t->ended;
	davit_status status;

	(void)self;
	if (ended == NULL)
		return t->fn(call, t->arg);
	*t->begun = 1;
	status = t->fn(call, t->arg);
	*ended = 1;
	return status;
}

static davit_status open_component(void *none, struct davit_call *call, const struct davit_open *in)
{
	(void)none;
	return davit_emit_self(call, in->instance);
}

static davit_status close_component(void *self, struct davit_call *call, const void *none)
{
	(void)self, (void)call, (void)none;
	return DAVIT_OK;
}

static const struct davit_state_ops rig_ops = DAVIT_INIT(davit_state_ops, .features = 0);
static const struct davit_component rig_loop = DAVIT_STATE("state.test", "v1", &rig_ops, .flags = DAVIT_LOOP,
							   .open = open_component, .close = close_component);
static const struct davit_component rig_worker = DAVIT_STATE("state.test", "v1", &rig_ops, .workers = 8,
							     .open = open_component, .close = close_component);

/* Runs fn(arg) on a fiber of this loop and waits for its end. */
struct errand {
	struct loop *loop;
	void (*fn)(void *arg);
	void *arg;
	uv_sem_t over;
};

static void run_errand(void *arg)
{
	struct errand *e = arg;

	e->fn(e->arg);
	uv_sem_post(&e->over);
}

static void start_errand(void *arg)
{
	struct errand *e = arg;

	if (fiber_start(e->loop, run_errand, e) < 0)
		abort();
}

static inline void rig_begin(struct errand *e, int loop, void (*fn)(void *arg), void *arg)
{
	e->loop = loops[loop];
	e->fn = fn;
	e->arg = arg;
	uv_sem_init(&e->over, 0);
	loop_call(loops[loop], start_errand, e);
}

static inline void rig_end(struct errand *e)
{
	uv_sem_wait(&e->over);
	uv_sem_destroy(&e->over);
}

static inline void rig_on_fiber(int loop, void (*fn)(void *arg), void *arg)
{
	struct errand e;

	rig_begin(&e, loop, fn, arg);
	rig_end(&e);
}

static inline struct instance *rig_open(const struct davit_component *c, struct component_type *type)
{
	static struct manifest_component about;
	struct error e = ERROR_NONE;
	struct instance_options o = { .type = type,
				      .name = STR("rig"),
				      .app_id = STR("app"),
				      .name_space = STR(""),
				      .loops = loops,
				      .nloops = LOOPS };

	about = (struct manifest_component){ .type = STR("state.test"), .version = STR("v1"), .block = STR("state") };
	*type = (struct component_type){ .about = &about, .component = *c, .ops = (void *)&rig_ops, .loaded = 1 };
	return instance_open(rig_arena, &o, &e);
}

static void rig_open_both(void *none)
{
	static struct component_type types[2];

	(void)none;
	on_a_loop = rig_open(&rig_loop, &types[0]);
	on_a_worker = rig_open(&rig_worker, &types[1]);
}

static void rig_close_both(void *none)
{
	(void)none;
	if (instance_close(on_a_loop, 5000) < 0 || instance_close(on_a_worker, 5000) < 0)
		abort();
}

static inline void rig_set_up(void)
{
	int i;

	rig_arena = arena_new();
	for (i = 0; i < LOOPS; i++) {
		loops[i] = loop_new(i);
		if (loops[i] == NULL || loop_start(loops[i]) < 0)
			abort();
	}
	rig_on_fiber(0, rig_open_both, NULL);
	if (on_a_loop == NULL || on_a_worker == NULL)
		abort();
}

static inline void rig_tear_down(void)
{
	int i;

	rig_on_fiber(0, rig_close_both, NULL);
	for (i = 0; i < LOOPS; i++)
		loop_stop(loops[i]);
	for (i = 0; i < LOOPS; i++) {
		loop_join(loops[i]);
		loop_free(loops[i]);
	}
	arena_unref(rig_arena);
	arena_drop_stock();
}

/* One operation, as a block would call it. */
struct operation {
	struct instance *instance;
	struct task task;
	int64_t timeout_ms;  /* 0: no deadline */
	int64_t cancel_ms;   /* the client leaves then; 0: never */
	davit_status status; /* as the kernel has it */
	int64_t took_ms;
};

struct leaving {
	struct scope *scope;
	uv_timer_t timer;
	struct fiber *fiber;
	int gone;
};

static void leave(uv_timer_t *t)
{
	struct leaving *l = t->data;

	scope_cancel(l->scope);
}

static void left(uv_handle_t *h)
{
	struct leaving *l = h->data;

	l->gone = 1;
	fiber_wake(l->fiber);
}

static void rig_operate(void *arg)
{
	struct operation *o = arg;
	struct scope s = { .arena = arena_new() };
	struct leaving l = { .scope = &s, .fiber = fiber_self() };
	int64_t began = clock_ns();
	struct task *in = arena_alloc(s.arena, sizeof(*in));

	*in = o->task;
	if (handle != instance_handle(o->instance)) /* workers may be reading it */
		handle = instance_handle(o->instance);
	s.deadline_ns = o->timeout_ms ? began + o->timeout_ms * MS : 0;
	uv_timer_init(loop_uv(loop_self()), &l.timer);
	l.timer.data = &l;
	if (o->cancel_ms)
		uv_timer_start(&l.timer, leave, (uint64_t)o->cancel_ms, 0);
	o->status = call_instance(&s, o->instance, run_task, in).status;
	o->took_ms = (clock_ns() - began) / MS;
	uv_close((uv_handle_t *)&l.timer, left);
	while (!l.gone)
		fiber_park();
	arena_unref(s.arena);
}

/* Where the kernel gives up first, its operation is waited for all the same: what it writes to is the test's. */
static inline davit_status rig_run(struct operation *o)
{
	atomic_int begun = 0, ended = 0;

	o->task.begun = &begun;
	o->task.ended = &ended;
	rig_on_fiber(0, rig_operate, o);
	while (begun && !ended)
		usleep(1000);
	return o->status;
}

/* The same by a fiber of the loop (0), and by a worker (1). */
static inline struct operation rig_operation(int which, davit_status (*fn)(struct davit_call *call, void *arg),
					     void *arg)
{
	return (struct operation){ .instance = which ? on_a_worker : on_a_loop, .task = { fn, arg } };
}
#endif
