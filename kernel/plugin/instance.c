/* SPDX-License-Identifier: Apache-2.0 */
#include "plugin/instance.h"

#include <stdatomic.h>

#include "base/banned.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "loop/fiber.h"
#include "loop/lane.h"
#include "loop/loop.h"
#include "plugin/call.h"
#include "plugin/cell.h"
#include "plugin/host.h"
#include "plugin/minor.h"
#include "plugin/http_origin.h"
#include "plugin/measure.h"
#include "plugin/properties.h"

#define LOG_SCOPE "davit.plugin"
#define WORKERS 4 /* threads of a worker lane that does not say */

struct instance {
	struct davit_instance head;
	struct arena *arena; /* of the instance: names, properties */
	struct instance_options o;
	struct davit_open in;
	struct lane *lane; /* NULL: on the loops */
	int nselves;	   /* 1, or one a loop */
	uint32_t features;
	void **slots; /* one a loop */
	struct measures *measures;
	void *selves[];
};

enum lane_kind instance_lane(const struct instance *i)
{
	return i->lane ? LANE_WORKER : LANE_LOOP;
}

void *instance_self(const struct instance *i, int loop)
{
	return i->selves[i->nselves > 1 ? loop : 0];
}

int instance_submit(struct instance *i, struct lane_job *j)
{
	return lane_submit(i->lane, j);
}

const struct component_type *instance_type(const struct instance *i)
{
	return i->o.type;
}

struct str instance_name(const struct instance *i)
{
	return i->o.name;
}

struct loop *instance_loop(const struct instance *i, unsigned n)
{
	return i->o.loops[n % (unsigned)i->o.nloops];
}

int instance_loops(const struct instance *i)
{
	return i->o.nloops;
}

struct measures *instance_measures(struct instance *i)
{
	return i->measures;
}

void **instance_slot(struct instance *i, int loop)
{
	return &i->slots[loop];
}

struct davit_instance *instance_handle(struct instance *i)
{
	return &i->head;
}

uint32_t instance_features(const struct instance *i)
{
	return i->features;
}

void instance_log(struct davit_instance *head, int32_t level, const char *text, size_t n)
{
	const struct instance *i = (const struct instance *)head;
	enum log_level l = level <= DAVIT_LOG_ERROR  ? LOG_ERROR
			   : level == DAVIT_LOG_WARN ? LOG_WARN
			   : level == DAVIT_LOG_INFO ? LOG_INFO
						     : LOG_DEBUG;
	struct log_field component = { .name = "component" };
	struct buf name = buf_init();

	if (!log_enabled(l))
		return;
	buf_printf(&name, STR_FMT " (" STR_FMT "/" STR_FMT ")", STR_ARG(i->o.name), STR_ARG(i->o.type->about->type),
		   STR_ARG(i->o.type->about->version));
	component.value = buf_str(&name);
	log_with(l, "dapr.contrib", &component, 1, (struct str){ text, n });
	buf_free(&name);
}

void instance_count(struct davit_instance *head, const char *name, int64_t n)
{
	const struct instance *i = (const struct instance *)head;

	if (i->o.count != NULL)
		i->o.count(i->o.ctx, i->o.name, i->o.type->about->type, name, n);
}

static struct davit_str copy(struct arena *a, struct str s)
{
	struct str c = arena_str(a, s);

	return (struct davit_str){ c.p, c.n };
}

/* Everything open() is shown lives as long as the instance, so that a plugin may keep pointers to it. */
static struct error fill(struct instance *i, const struct instance_options *o)
{
	const struct manifest_component *about = o->type->about;
	const struct davit_pair *checked;
	const char *name = cell_name(o->name);
	struct davit_pair *props;
	struct error e;
	size_t n, k;

	if (name == NULL)
		return error_new(i->arena, ERROR_RESOURCE_EXHAUSTED, NULL, "out of memory");
	i->o.name = str_of(name);
	e = properties_check(i->arena, about, o->props, o->nprops, i->o.name.p, &checked, &n);
	if (error_is(&e))
		return e;
	props = arena_alloc(i->arena, sizeof(*props) * (n + 1));
	for (k = 0; k < n; k++)
		props[k] = (struct davit_pair){ copy(i->arena, (struct str){ checked[k].key.p, checked[k].key.n }),
						copy(i->arena,
						     (struct str){ checked[k].value.p, checked[k].value.n }) };
	i->in = (struct davit_open)DAVIT_INIT(davit_open, .instance = &i->head, .name = copy(i->arena, o->name),
					      .type = copy(i->arena, about->type),
					      .version = copy(i->arena, about->version),
					      .app_id = copy(i->arena, o->app_id),
					      .name_space = copy(i->arena, o->name_space), .props = props, .nprops = n);
	return ERROR_NONE;
}

static struct lane *make_lane(const struct instance *i)
{
	const struct davit_component *c = &i->o.type->component;
	struct lane_options lane = { .name = i->o.name.p };

	lane.workers = c->flags & DAVIT_SERIAL ? 1 : c->workers ? (int)(c->workers > 64 ? 64 : c->workers) : WORKERS;
	return lane_new(&lane);
}

static struct instance *instance_new(const struct instance_options *o, struct arena *a, struct error *ret_error)
{
	int per_loop = (o->type->component.flags & DAVIT_LOOP) && (o->type->component.flags & DAVIT_PER_LOOP);
	int n = per_loop ? o->nloops : 1;
	struct arena *own = arena_new();
	struct instance *i = own ? arena_try(own, sizeof(*i) + sizeof(void *) * (size_t)(n + o->nloops)) : NULL;
	jmp_buf oom;

	if (i == NULL) {
		arena_unref(own);
		*ret_error = error_new(a, ERROR_RESOURCE_EXHAUSTED, NULL, "out of memory");
		return NULL;
	}
	memset(i, 0, sizeof(*i) + sizeof(void *) * (size_t)(n + o->nloops));
	i->slots = i->selves + n;
	i->head.host = &host_table;
	i->arena = own;
	i->o = *o;
	i->nselves = n;
	arena_on_oom(own, &oom);
	*ret_error = setjmp(oom) ? error_new(a, ERROR_RESOURCE_EXHAUSTED, NULL, "out of memory") : fill(i, o);
	arena_on_oom(own, NULL);
	if (ret_error->message.p != NULL) /* it may lie in the arena that goes now */
		ret_error->message = arena_str(a, ret_error->message);
	if (!error_is(ret_error) && !(o->type->component.flags & DAVIT_LOOP) && (i->lane = make_lane(i)) == NULL)
		*ret_error = error_new(a, ERROR_RESOURCE_EXHAUSTED, NULL, "no threads could be made for it");
	if (!error_is(ret_error) && (i->measures = measures_new(o->metrics)) == NULL) {
		*ret_error = error_new(a, ERROR_RESOURCE_EXHAUSTED, NULL, "out of memory");
		lane_close(i->lane, 1000);
	}
	if (!error_is(ret_error))
		return i;
	arena_unref(own);
	return NULL;
}

/* One open or close on the present loop. */
static struct answer call_here(struct instance *i, davit_op *op, const void *in, int64_t timeout_ms, struct arena *a)
{
	struct scope s = { .arena = a, .deadline_ns = timeout_ms > 0 ? clock_ns() + timeout_ms * 1000000 : 0 };

	return call_instance(&s, i, op, in);
}

/* What the first one says of itself holds for all: the others are opened when it has. */
static void take_opened(struct instance *i, int loop, const struct davit_opened *o)
{
	i->selves[i->nselves > 1 ? loop : 0] = o->self;
	if (loop == 0)
		i->features = o->features;
}

static struct error open_here(struct instance *i, int loop, struct arena *a)
{
	const struct davit_component *c = &i->o.type->component;
	struct davit_open *in = arena_alloc(a, sizeof(*in));
	struct answer got;
	struct record *r;

	*in = i->in;
	in->loop = (uint64_t)loop;
	in->loops = (uint64_t)i->nselves;
	in->size = MINOR_OPEN_SIZE;
	got = call_here(i, (davit_op *)(void *)c->open, in, i->o.timeout_ms, a);
	if (got.status == DAVIT_DEADLINE_EXCEEDED)
		return error_new(a, ERROR_DEADLINE_EXCEEDED, NULL, "init timeout for component exceeded after %llds",
				 (long long)i->o.timeout_ms / 1000);
	if (got.status != DAVIT_OK)
		return error_new(a, got.status, NULL, STR_FMT,
				 STR_ARG(got.message.n ? got.message : STR("it failed to open")));
	for (r = got.records; r != NULL; r = r->next)
		if (r->kind == davit_opened_kind)
			take_opened(i, loop, r->data);
	return ERROR_NONE;
}

/*
 * Opening on every loop in turn: from the fiber that asks, through a fiber of the other loop, and back. The arena is the
 * instance's own, or of this call alone: that of who asks may be in use on its loop meanwhile, by other components' openings.
 */
struct elsewhere {
	struct loop_task task;
	struct instance *i;
	struct loop *home, *there;
	struct fiber *waiter;
	struct arena *a;
	struct error error;
	int loop, closing, over;
};

static void back_home(struct loop_task *t)
{
	struct elsewhere *e = (struct elsewhere *)t;

	e->over = 1;
	fiber_wake(e->waiter);
}

static void run_there(void *arg)
{
	struct elsewhere *e = arg;

	if (e->closing)
		call_here(e->i, (davit_op *)(void *)e->i->o.type->component.close, NULL, e->i->o.timeout_ms, e->a);
	else
		e->error = open_here(e->i, e->loop, e->a);
	e->task.run = back_home;
	loop_post(e->home, &e->task);
}

static void start_there(struct loop_task *t)
{
	struct elsewhere *e = (struct elsewhere *)t;

	if (fiber_start(e->there, run_there, e) == 0)
		return;
	e->error = (struct error){ .code = ERROR_RESOURCE_EXHAUSTED, .message = STR("no fiber is free to open it") };
	e->task.run = back_home;
	loop_post(e->home, &e->task);
}

static struct error on_loop(struct instance *i, int loop, int closing, struct arena *a)
{
	struct elsewhere *e = arena_zalloc(a, sizeof(*e));

	e->task.run = start_there;
	e->i = i;
	e->home = loop_self();
	e->there = i->o.loops[loop];
	e->waiter = fiber_self();
	e->a = a;
	e->loop = loop;
	e->closing = closing;
	loop_post(e->there, &e->task);
	while (!e->over)
		fiber_park();
	return e->error;
}

struct instance *instance_open(struct arena *a, const struct instance_options *o, struct error *ret_error)
{
	struct instance *i = instance_new(o, a, ret_error);
	int k, opened = 0;

	if (i == NULL)
		return NULL;
	if (i->nselves == 1)
		*ret_error = open_here(i, 0, a);
	for (k = 0; i->nselves > 1 && k < i->nselves && !error_is(ret_error); k++, opened++)
		*ret_error = on_loop(i, k, 0, i->arena);
	if (!error_is(ret_error))
		return i;
	for (k = 0; k < opened - 1; k++)
		on_loop(i, k, 1, i->arena);
	ret_error->message = arena_str(a, ret_error->message);
	if (ret_error->code == ERROR_DEADLINE_EXCEEDED)
		return NULL; /* it may still run: its memory and lane are left to it */
	lane_close(i->lane, 1000);
	http_origins_close(i);
	measures_free(i->measures);
	arena_unref(i->arena);
	return NULL;
}

int instance_close(struct instance *i, int within_ms)
{
	struct arena *a = arena_new();
	struct answer got;
	int k, stuck = 0;

	if (a == NULL)
		return -1;
	i->o.timeout_ms = within_ms;
	if (i->nselves == 1) {
		got = call_here(i, (davit_op *)(void *)i->o.type->component.close, NULL, within_ms, a);
		stuck = got.status == DAVIT_DEADLINE_EXCEEDED;
		if (got.status != DAVIT_OK)
			log_warn("Component " STR_FMT " did not close well: " STR_FMT, STR_ARG(i->o.name),
				 STR_ARG(got.message));
	}
	for (k = 0; i->nselves > 1 && k < i->nselves; k++)
		on_loop(i, k, 1, a);
	arena_unref(a);
	if (stuck || lane_close(i->lane, within_ms) < 0)
		return -1;
	http_origins_close(i);
	measures_free(i->measures);
	arena_unref(i->arena);
	return 0;
}
