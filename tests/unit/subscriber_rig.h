/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A loop with a subscriber on it, between a component made here, which emits what a test pushes and writes down how it was
 * settled, and a sink that answers as the test says.
 */
#ifndef SUBSCRIBER_RIG_H
#define SUBSCRIBER_RIG_H
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "blocks/subscriber.h"
#include "loop/fiber.h"
#include "loop/loop.h"

#include <check.h> /* last: it has a macro fail, which is a name of the plugin line */

static _Atomic int fail_at; /* this allocation of the loop's thread fails; 0: none */

static int fails(void)
{
	return fail_at > 0 && loop_self() != NULL && --fail_at == 0;
}

#include "failing_mem.h"

/* ---- The component ---- */

#define MOST 1000

static struct bus {
	struct davit_call *call;
	_Atomic int outcomes[MOST]; /* 1 + outcome, by token; 0: not settled */
	_Atomic int nsettled, paused, dead;
	_Atomic int refuse_dead;
	const char *order;
} bus;

static void over(void *arg)
{
	davit_done(arg, DAVIT_OK);
}

static davit_status bus_subscribe(void *self, struct davit_call *call, const struct davit_subscribe *in)
{
	(void)self, (void)in;
	bus.call = call;
	davit_on_credit(call, over, NULL); /* never called: no test goes beyond the credit */
	davit_on_cancel(call, over, call);
	return DAVIT_PENDING;
}

static davit_status bus_settle(void *self, struct davit_call *call, const struct davit_settle *in)
{
	uint64_t i;

	(void)self, (void)call;
	for (i = 0; i < in->ntokens; i++) {
		ck_assert_int_eq(atomic_exchange(&bus.outcomes[in->tokens[i]], 1 + in->outcome), 0);
		bus.nsettled++;
	}
	return DAVIT_OK;
}

static davit_status bus_publish(void *self, struct davit_call *call, const struct davit_publish *in)
{
	(void)self;
	if (bus.refuse_dead || !davit_str_is(in->topic, "dead"))
		return davit_fail(call, DAVIT_UNAVAILABLE, NULL, "not now");
	bus.dead++;
	return DAVIT_OK;
}

static davit_status bus_pause(void *self, struct davit_call *call, const void *none)
{
	(void)self, (void)call, (void)none;
	bus.paused++;
	return DAVIT_OK;
}

static davit_status bus_open(void *none, struct davit_call *call, const struct davit_open *in)
{
	(void)none, (void)in;
	return davit_emit_self(call, &bus);
}

static davit_status bus_close(void *self, struct davit_call *call, const void *none)
{
	(void)self, (void)call, (void)none;
	return DAVIT_OK;
}

static struct davit_pubsub_ops ops = DAVIT_INIT(davit_pubsub_ops, .publish = bus_publish, .subscribe = bus_subscribe,
						.settle = bus_settle, .pause = bus_pause);
static const struct davit_component component = DAVIT_PUBSUB("pubsub.test", "v1", &ops, .flags = DAVIT_LOOP,
							     .open = bus_open, .close = bus_close);

static void push(int token, const char *data)
{
	struct davit_message m = DAVIT_INIT(davit_message, .token = (uint64_t)token, .topic = davit_str("t"),
					    .data = { data, strlen(data) });

	m.order = davit_str(bus.order);
	ck_assert_int_eq(davit_emit_message(bus.call, &m), DAVIT_OK);
}

/* ---- The sink ---- */

static struct sink {
	struct topic_answer answer; /* of each */
	_Atomic int hold;	    /* it waits until this is 0, or it is cancelled */
	_Atomic int sent, batches, cancelled, lost;
	_Atomic int sizes[MOST]; /* of batches */
	int states[MOST];	 /* of the entries of a batch */
} to;

static void wait_while_held(struct topic_cancel *cancel)
{
	while (to.hold && !cancel->cancelled)
		fiber_park_until(clock_ns() + 1000000);
	to.cancelled += cancel->cancelled;
}

static struct topic_answer send_one(void *ctx, struct arena *a, const struct topic_event *e,
				    struct topic_cancel *cancel)
{
	(void)ctx;
	to.sent++;
	arena_alloc(a, 5000);
	ck_assert(str_is(e->path, "/all"));
	wait_while_held(cancel);
	if (cancel->cancelled)
		return (struct topic_answer){ .verdict = TOPIC_RETRY, .why = STR("cancelled") };
	return to.answer;
}

static struct topic_bulk_answer send_bulk(void *ctx, struct arena *a, struct topic_bulk *b, struct topic_cancel *cancel)
{
	size_t i;

	(void)ctx;
	arena_alloc(a, 5000);
	to.sizes[to.batches++] = (int)b->nentries;
	wait_while_held(cancel);
	for (i = 0; i < b->nentries; i++) {
		b->entries[i]->state = (enum topic_entry_state)to.states[i];
		b->entries[i]->dead_letter = to.states[i] == TOPIC_ENTRY_DROPPED;
		b->entries[i]->why = STR("as told");
	}
	return topic_bulk_count(b, 0, STR(""));
}

static void lost(void *ctx)
{
	(void)ctx;
	to.lost++;
}

static const struct subscriber_sink sink = { .send = send_one, .send_bulk = send_bulk, .lost = lost };

/* ---- The rig ---- */

static struct loop *loop;
static struct instance *instance;
static struct arena *arena;
static struct blocks blocks;
static struct pubsub pubsub;
static struct subscription_rule rules[] = { { STR("event.type == 'none'"), STR("/none"), 0, 0 },
					    { STR(""), STR("/all"), 0, 0 } };
static struct subscription about;
static struct subscriber *subscriber;
static int drain, within_ms;
static struct error failure;

struct errand {
	void (*fn)(void);
	uv_sem_t over;
};

static void run_errand(void *arg)
{
	struct errand *e = arg;

	e->fn();
	uv_sem_post(&e->over);
}

static void start_errand(void *arg)
{
	if (fiber_start(loop, run_errand, arg) < 0)
		abort();
}

static void on_fiber(void (*fn)(void))
{
	struct errand e = { .fn = fn };

	uv_sem_init(&e.over, 0);
	loop_call(loop, start_errand, &e);
	uv_sem_wait(&e.over);
	uv_sem_destroy(&e.over);
}

static void open_instance(void)
{
	static struct manifest_component told = { .type = STR("pubsub.test"),
						  .version = STR("v1"),
						  .block = STR("pubsub") };
	static struct component_type type;
	static struct loop *loops[1];
	struct error e = ERROR_NONE;
	struct instance_options o = { .type = &type, .name = STR("bus"), .app_id = STR("app"), .name_space = STR("") };

	type = (struct component_type){ .about = &told, .component = component, .ops = &ops, .loaded = 1 };
	loops[0] = loop;
	o.loops = loops;
	o.nloops = 1;
	instance = instance_open(arena, &o, &e);
}

static void close_instance(void)
{
	instance_close(instance, 2000);
}

static void start(void)
{
	struct subscriber_options o = { .blocks = &blocks, .pubsub = &pubsub, .about = &about, .sink = &sink };
	struct str why;

	o.routing = routing_new(arena, &about, &why);
	subscriber = subscriber_start(&o, arena, &failure);
}

static void stop(void)
{
	subscriber_stop(subscriber, drain, within_ms);
}

static void set_up(void)
{
	memset(&bus, 0, sizeof(bus));
	memset(&to, 0, sizeof(to));
	drain = 0;
	within_ms = 2000;
	arena = arena_new();
	loop = loop_new(0);
	loop_start(loop);
	on_fiber(open_instance);
	ck_assert_ptr_nonnull(instance);
	pubsub = (struct pubsub){ .name = STR("bus"), .instance = instance, .ops = &ops, .topic_prefix = STR("") };
	blocks = (struct blocks){ .o = { .app_id = STR("app") } };
	about = (struct subscription){ .name = STR(""),
				       .pubsub = STR("bus"),
				       .topic = STR("t"),
				       .dead_letter_topic = STR(""),
				       .nrules = 2,
				       .rules = rules };
}

static void tear_down(void)
{
	on_fiber(close_instance);
	loop_stop(loop);
	loop_join(loop);
	loop_free(loop);
	arena_unref(arena);
}

static void settled(int n)
{
	int64_t until = clock_ns() + INT64_C(10000000000);

	while (bus.nsettled < n && clock_ns() < until)
		usleep(500);
	ck_assert_int_eq(bus.nsettled, n);
}

static void push_event(int token)
{
	push(token, "{\"id\":\"1\",\"type\":\"a\"}");
}
#endif
