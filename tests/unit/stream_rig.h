/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A loop with an instance of a component made here, and a stream on it. The component feeds from the operation itself, on a
 * fiber or a worker of its own, or from a thread of its own; what it is told is written down, token by token.
 */
#ifndef STREAM_RIG_H
#define STREAM_RIG_H
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "loop/fiber.h"
#include "loop/loop.h"
#include "plugin/instance.h"
#include "plugin/stream.h"

#include <check.h> /* last: it has a macro fail, which is a name of the plugin line */

#define MOST 20000
#define SECONDS(n) (clock_ns() + (n)*INT64_C(1000000000))

static _Atomic int fail_at; /* this allocation of the loop's thread fails; 0: none */

static int fails(void)
{
	return fail_at > 0 && loop_self() != NULL && --fail_at == 0;
}

#include "failing_mem.h"

/* ---- The plugin ---- */

enum feed { FEED_INSIDE, FEED_THREAD, FEED_NOTHING, FEED_FAILS, FEED_NEVER_STANDS, FEED_DEAF, FEED_ENDS };

static struct plugin {
	enum feed feed;
	int n;	     /* messages to emit */
	int norders; /* message i has the order i % norders; 0: none */
	struct davit_call *call;
	pthread_t thread;
	_Atomic int emitted, refused, cancelled, credit_calls, released, ended;
	_Atomic int busy_answers;   /* this many settles are answered EXHAUSTED */
	_Atomic int outcomes[MOST]; /* 1 + outcome; 0: not settled */
	_Atomic int twice, settles, go;
} plugin;

static void count_release(void *arg)
{
	(void)arg;
	plugin.released++;
}

static davit_status emit_one(struct davit_call *call, int i)
{
	char text[32], order[16];
	struct davit_message m = DAVIT_INIT(davit_message, .token = (uint64_t)i, .topic = davit_str("orders"));
	davit_status status;

	snprintf(text, sizeof(text), "message %d", i);
	m.data = (struct davit_bytes){ text, strlen(text) };
	if (plugin.norders > 0) {
		snprintf(order, sizeof(order), "%d", i % plugin.norders);
		m.order = davit_str(order);
	}
	status = davit_emit_message(call, &m);
	if (status == DAVIT_OK)
		plugin.emitted++;
	return status;
}

static void feed(struct davit_call *call)
{
	int i;

	for (i = 0; i < plugin.n && !davit_cancelled(call); i++)
		if (emit_one(call, i) != DAVIT_OK)
			break;
}

static void there_is_credit(void *arg)
{
	struct plugin *p = arg;

	p->credit_calls++;
	p->go = 1;
}

static void *feed_from_thread(void *arg)
{
	struct davit_call *call = arg;
	davit_status status;
	int i = 0;

	while (i < plugin.n) {
		plugin.go = 0;
		status = emit_one(call, i);
		if (status == DAVIT_OK) {
			i++;
			continue;
		}
		if (status != DAVIT_EXHAUSTED)
			break;
		plugin.refused++;
		while (!plugin.go && !davit_cancelled(call))
			usleep(200);
	}
	while (!davit_cancelled(call))
		usleep(200);
	davit_done(call, DAVIT_OK);
	return NULL;
}

static void was_cancelled(void *arg)
{
	struct davit_call *call = arg;

	plugin.cancelled++;
	if (plugin.feed == FEED_NOTHING)
		davit_done(call, DAVIT_OK);
}

static davit_status subscribe(void *self, struct davit_call *call, const struct davit_subscribe *in)
{
	(void)self;
	if (!davit_str_is(in->topic, "orders"))
		return davit_fail(call, DAVIT_INVALID_ARGUMENT, NULL, "the topic is lost");
	plugin.call = call;
	davit_on_cancel(call, was_cancelled, call);
	switch (plugin.feed) {
	case FEED_INSIDE:
		davit_emit_subscribed(call);
		feed(call);
		return DAVIT_OK;
	case FEED_THREAD:
		davit_on_credit(call, there_is_credit, &plugin);
		if (pthread_create(&plugin.thread, NULL, feed_from_thread, call) != 0)
			abort();
		return DAVIT_PENDING;
	case FEED_FAILS: return davit_fail(call, DAVIT_PERMISSION_DENIED, NULL, "no entry for '%s'", in->topic.p);
	case FEED_NEVER_STANDS:
		while (!davit_cancelled(call))
			usleep(1000);
		return DAVIT_CANCELLED;
	case FEED_ENDS: feed(call); return davit_fail(call, DAVIT_UNAVAILABLE, NULL, "the broker has gone");
	case FEED_NOTHING:
	case FEED_DEAF: break;
	}
	return DAVIT_PENDING;
}

static davit_status settle(void *self, struct davit_call *call, const struct davit_settle *in)
{
	uint64_t i;

	(void)self;
	plugin.settles++;
	if (plugin.busy_answers > 0) {
		plugin.busy_answers--;
		return davit_fail(call, DAVIT_EXHAUSTED, NULL, "later");
	}
	for (i = 0; i < in->ntokens; i++)
		if (atomic_exchange(&plugin.outcomes[in->tokens[i]], 1 + in->outcome) != 0)
			plugin.twice++;
	return DAVIT_OK;
}

static davit_status open_plugin(void *none, struct davit_call *call, const struct davit_open *in)
{
	(void)none, (void)in;
	return davit_emit_self(call, &plugin);
}

static davit_status close_plugin(void *self, struct davit_call *call, const void *none)
{
	(void)self, (void)call, (void)none;
	return DAVIT_OK;
}

static const struct davit_pubsub_ops ops = DAVIT_INIT(davit_pubsub_ops, .subscribe = subscribe, .settle = settle);
static const struct davit_component on_loop = DAVIT_PUBSUB("pubsub.test", "v1", &ops, .flags = DAVIT_LOOP,
							   .open = open_plugin, .close = close_plugin);
static const struct davit_component on_worker = DAVIT_PUBSUB("pubsub.test", "v1", &ops, .open = open_plugin,
							     .close = close_plugin);
static const struct davit_component on_serial = DAVIT_PUBSUB("pubsub.test", "v1", &ops, .flags = DAVIT_SERIAL,
							     .open = open_plugin, .close = close_plugin);

/* ---- The kernel's side ---- */

static struct owner {
	int settle_at_once, outcome;
	struct stream_message *held[MOST];
	int nheld, seen, ended, wrong;
	int last[64]; /* by order: the message last seen */
	davit_status status;
	char text[128];
} owner;

static struct loop *loop;
static struct instance *instance;
static struct stream *stream;
static struct arena *arena;

static int number_of(const struct stream_message *m)
{
	return (int)((const struct davit_message *)m->record)->token;
}

static void message(void *ctx, struct stream_message *m)
{
	const struct davit_message *record = m->record;
	char text[32];
	int i = number_of(m), order = plugin.norders > 0 ? i % plugin.norders : 0;

	(void)ctx;
	owner.seen++;
	snprintf(text, sizeof(text), "message %d", i);
	if (record->data.n != strlen(text) || memcmp(record->data.p, text, record->data.n) != 0 || fiber_self() != NULL)
		owner.wrong++;
	if (i <= owner.last[order])
		owner.wrong++;
	owner.last[order] = i;
	if (owner.settle_at_once)
		stream_settle(m, owner.outcome);
	else
		owner.held[owner.nheld++] = m;
}

static void ended(void *ctx, davit_status status, struct str text)
{
	(void)ctx;
	owner.ended++;
	owner.status = status;
	snprintf(owner.text, sizeof(owner.text), STR_FMT, STR_ARG(text));
}

static const struct stream_sink sink = { message, ended };

/* Runs fn on a fiber of the loop and waits for its end. */
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

static const struct davit_component *wanted;

static void open_instance(void)
{
	static struct manifest_component about;
	static struct component_type type;
	static struct loop *loops[1];
	struct error e = ERROR_NONE;
	struct instance_options o = { .type = &type, .name = STR("bus"), .app_id = STR("app"), .name_space = STR("") };

	about = (struct manifest_component){ .type = STR("pubsub.test"), .version = STR("v1"), .block = STR("pubsub") };
	type = (struct component_type){ .about = &about, .component = *wanted, .ops = (void *)&ops, .loaded = 1 };
	loops[0] = loop;
	o.loops = loops;
	o.nloops = 1;
	instance = instance_open(arena, &o, &e);
}

static void close_instance(void)
{
	instance_close(instance, 2000);
}

static void set_up(const struct davit_component *c, enum feed how, int n)
{
	int i;

	memset(&plugin, 0, sizeof(plugin));
	memset(&owner, 0, sizeof(owner));
	for (i = 0; i < 64; i++)
		owner.last[i] = -1;
	plugin.feed = how;
	plugin.n = n;
	wanted = c;
	arena = arena_new();
	loop = loop_new(0);
	ck_assert_int_eq(loop_start(loop), 0);
	on_fiber(open_instance);
	ck_assert_ptr_nonnull(instance);
}

static void tear_down(void)
{
	on_fiber(close_instance);
	loop_stop(loop);
	loop_join(loop);
	loop_free(loop);
	arena_unref(arena);
	arena_drop_stock();
	ck_assert_int_eq(plugin.twice, 0);
}

static uint64_t credit = 10;
static int in_order, no_settle;
static int64_t start_ns;
static struct error error;

static void start(void)
{
	static struct davit_subscribe in;
	struct stream_options o = { .instance = instance,
				    .op = (davit_op *)(void *)subscribe,
				    .in = &in,
				    .arena = arena,
				    .kind = davit_message_kind,
				    .order_at = offsetof(struct davit_message, order),
				    .in_order = in_order,
				    .credit = credit,
				    .sink = &sink };

	in = (struct davit_subscribe)DAVIT_INIT(davit_subscribe, .topic = davit_str("orders"), .credit = credit);
	o.settle = no_settle ? NULL : (davit_op *)(void *)settle;
	error = ERROR_NONE;
	stream = stream_start(&o, start_ns, arena, &error);
}

static int drain_ms = 1000, end_ms = 2000, closed;

static void close_stream(void)
{
	closed = stream_close(stream, drain_ms, end_ms);
}

static void settle_first(void) /* of what is held */
{
	struct stream_message *m = owner.held[0];

	memmove(owner.held, owner.held + 1, sizeof(owner.held[0]) * (size_t)--owner.nheld);
	stream_settle(m, owner.outcome);
}

static void settle_held(void)
{
	int i, n = owner.nheld;

	owner.nheld = 0;
	for (i = 0; i < n; i++)
		stream_settle(owner.held[i], owner.outcome);
}

static int settled(int outcome)
{
	int i, n = 0;

	for (i = 0; i < MOST; i++)
		n += plugin.outcomes[i] == 1 + outcome;
	return n;
}

static int reached(_Atomic int *what, int n)
{
	int64_t until = SECONDS(10);

	while (*what < n && clock_ns() < until)
		usleep(500);
	return *what;
}

static void eventually_settled(int outcome, int n)
{
	int64_t until = SECONDS(10);

	while (settled(outcome) < n && clock_ns() < until)
		usleep(500);
	ck_assert_int_eq(settled(outcome), n);
}

static int seen_now;
static void read_seen(void)
{
	seen_now = owner.seen;
}

/* How many the sink has seen once that has stood still for a moment. */
static int seen(void)
{
	int before = -1;

	for (on_fiber(read_seen); seen_now != before; on_fiber(read_seen)) {
		before = seen_now;
		usleep(30000);
	}
	return seen_now;
}
#endif
