/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A subscription at work between a component made here, which emits what a test pushes, and a sink that answers as the test
 * says: what is settled how, what goes together, what becomes a dead letter, and that no allocation that fails loses one.
 */
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

/* In place of base/mem.c, so that the n-th allocation can fail. */
void *mem_alloc(size_t n)
{
	return fail_at > 0 && loop_self() != NULL && --fail_at == 0 ? NULL : malloc(n ? n : 1);
}

void *mem_zalloc(size_t n)
{
	void *p = mem_alloc(n);

	return p ? memset(p, 0, n) : NULL;
}

void *mem_resize(void *p, size_t n)
{
	return realloc(p, n ? n : 1);
}

char *mem_dup(const void *p, size_t n)
{
	char *q = mem_alloc(n + 1);

	if (q != NULL) {
		memcpy(q, p, n);
		q[n] = '\0';
	}
	return q;
}

void mem_free(void *p)
{
	free(p);
}

/* ---- The component ---- */

#define MOST 1000
#define EVENT "{\"id\":\"1\",\"type\":\"%s\",\"datacontenttype\":\"text/plain\",\"data\":\"d\"}"

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

/* ---- One by one ---- */

static const struct {
	struct topic_answer answer;
	int dead_topic, refuse; /* there is a dead-letter topic; it refuses */
	int outcome, dead;
} answers[] = {
	{ { .verdict = TOPIC_SUCCESS }, 1, 0, DAVIT_SETTLE_OK, 0 },
	{ { .verdict = TOPIC_RETRY, .why = STR("no") }, 0, 0, DAVIT_SETTLE_RETRY, 0 },
	{ { .verdict = TOPIC_RETRY, .why = STR("no") }, 1, 0, DAVIT_SETTLE_OK, 1 },
	{ { .verdict = TOPIC_RETRY, .why = STR("no") }, 1, 1, DAVIT_SETTLE_RETRY, 0 },
	{ { .verdict = TOPIC_DROP, .why = STR("no") }, 0, 0, DAVIT_SETTLE_DROP, 0 },
	{ { .verdict = TOPIC_DROP, .why = STR("no") }, 1, 0, DAVIT_SETTLE_OK, 1 },
	{ { .verdict = TOPIC_DROP, .why = STR("no") }, 1, 1, DAVIT_SETTLE_RETRY, 0 },
	{ { .verdict = TOPIC_DROP, .quiet = 1, .why = STR("no") }, 1, 0, DAVIT_SETTLE_DROP, 0 },
};

START_TEST(an_answer_settles)
{
	to.answer = answers[_i].answer;
	bus.refuse_dead = answers[_i].refuse;
	if (answers[_i].dead_topic)
		about.dead_letter_topic = STR("dead");
	on_fiber(start);
	push_event(0);
	settled(1);
	ck_assert_int_eq(bus.outcomes[0], 1 + answers[_i].outcome);
	ck_assert_int_eq(bus.dead, answers[_i].dead);
	on_fiber(stop);
}
END_TEST

START_TEST(what_is_no_event_or_fits_no_rule_is_not_sent)
{
	on_fiber(start);
	push(0, "no JSON");
	settled(1);
	ck_assert_int_eq(bus.outcomes[0], 1 + DAVIT_SETTLE_RETRY);
	push(1, "{}"); /* its type cannot be asked */
	settled(2);
	ck_assert_int_eq(bus.outcomes[1], 1 + DAVIT_SETTLE_RETRY);
	on_fiber(stop);
	about.nrules = 1;
	on_fiber(start);
	push_event(2);
	settled(3);
	ck_assert_int_eq(bus.outcomes[2], 1 + DAVIT_SETTLE_DROP);
	ck_assert_int_eq(to.sent, 0);
	on_fiber(stop);
}
END_TEST

START_TEST(those_of_one_order_go_one_after_another)
{
	int i;

	bus.order = "k";
	to.hold = 1;
	on_fiber(start);
	for (i = 0; i < 10; i++)
		push_event(i);
	usleep(50000);
	ck_assert_int_eq(to.sent, 1);
	to.hold = 0;
	settled(10);
	on_fiber(stop);
}
END_TEST

START_TEST(others_go_at_once)
{
	int i;

	to.hold = 1;
	on_fiber(start);
	for (i = 0; i < SUBSCRIBER_CREDIT; i++)
		push_event(i);
	usleep(100000);
	ck_assert_int_eq(to.sent, SUBSCRIBER_CREDIT);
	to.hold = 0;
	settled(SUBSCRIBER_CREDIT);
	on_fiber(stop);
}
END_TEST

START_TEST(without_fibers_they_wait_for_one)
{
	int i;

	to.hold = 1;
	on_fiber(start);
	fiber_limit(fiber_live() + 2);
	for (i = 0; i < 20; i++)
		push_event(i);
	usleep(50000);
	ck_assert_int_le(to.sent, 3);
	to.hold = 0;
	settled(20);
	fiber_limit(FIBER_LIMIT);
	on_fiber(stop);
	ck_assert_int_eq(to.sent, 20);
}
END_TEST

/* ---- The end ---- */

START_TEST(the_end_waits_for_what_is_on_its_way)
{
	drain = 1;
	about.dead_letter_topic = STR("dead");
	to.answer = (struct topic_answer){ .verdict = TOPIC_RETRY, .why = STR("no") };
	to.hold = 1;
	on_fiber(start);
	push_event(0);
	usleep(20000);
	within_ms = 200;
	on_fiber(stop);
	ck_assert_int_eq(bus.paused, 1);
	ck_assert_int_eq(to.cancelled, 1);
	ck_assert_int_eq(bus.outcomes[0], 1 + DAVIT_SETTLE_RETRY); /* it was not refused, so it is no dead letter */
	ck_assert_int_eq(bus.dead, 0);
}
END_TEST

static void *let_go(void *arg)
{
	(void)arg;
	usleep(100000);
	to.hold = 0;
	return NULL;
}

START_TEST(what_comes_back_in_time_is_settled_as_it_says)
{
	pthread_t thread;

	to.hold = 1;
	on_fiber(start);
	push_event(0);
	usleep(20000);
	pthread_create(&thread, NULL, let_go, NULL);
	on_fiber(stop);
	pthread_join(thread, NULL);
	ck_assert_int_eq(bus.outcomes[0], 1 + DAVIT_SETTLE_OK);
	ck_assert_int_eq(to.cancelled, 0);
}
END_TEST

START_TEST(a_component_that_ends_is_told_of)
{
	on_fiber(start);
	davit_fail(bus.call, DAVIT_UNAVAILABLE, NULL, "the broker has gone");
	davit_on_cancel(bus.call, NULL, NULL);
	davit_done(bus.call, DAVIT_UNAVAILABLE);
	while (!to.lost)
		usleep(500);
	ck_assert(str_is(subscriber_loss(subscriber), "the broker has gone"));
	on_fiber(stop);
}
END_TEST

START_TEST(scopes_are_kept)
{
	struct str other = STR("other");

	pubsub.scope.allowed = (struct pubsub_topics){ &other, 1 };
	on_fiber(start);
	ck_assert_ptr_null(subscriber);
	ck_assert_int_eq(failure.code, ERROR_PERMISSION_DENIED);
	ck_assert(str_is(failure.message, "subscription to topic 't' on pubsub 'bus' is not allowed"));
}
END_TEST

/* ---- In batches ---- */

static void in_batches(int most, int ms)
{
	about.bulk.enabled = 1;
	about.bulk.max_messages = most;
	about.bulk.max_await_ms = ms;
}

START_TEST(a_batch_goes_when_it_is_full)
{
	int i;

	in_batches(4, 10000);
	for (i = 0; i < 4; i++)
		to.states[i] = TOPIC_ENTRY_DONE;
	on_fiber(start);
	for (i = 0; i < 7; i++)
		push_event(i);
	settled(4);
	ck_assert_int_eq(to.sizes[0], 4);
	push_event(7);
	settled(8);
	ck_assert_int_eq(to.batches, 2);
	on_fiber(stop);
}
END_TEST

START_TEST(a_batch_goes_when_its_first_has_waited)
{
	int64_t began;

	in_batches(100, 150);
	to.states[0] = to.states[1] = TOPIC_ENTRY_DONE;
	on_fiber(start);
	usleep(100000); /* an empty batch does not wait */
	began = clock_ns();
	push_event(0);
	push_event(1);
	settled(2);
	ck_assert_int_ge((clock_ns() - began) / 1000000, 149);
	ck_assert_int_eq(to.batches, 1);
	on_fiber(stop);
}
END_TEST

START_TEST(each_of_a_batch_is_settled_by_its_own_answer)
{
	static const int states[] = { TOPIC_ENTRY_DONE, TOPIC_ENTRY_FAILED, TOPIC_ENTRY_DROPPED };
	int i;

	in_batches(4, 10000);
	for (i = 0; i < 3; i++)
		to.states[i] = states[i];
	on_fiber(start);
	push_event(0);
	push_event(1);
	push_event(2);
	push(3, "no JSON");
	settled(4);
	ck_assert_int_eq(to.sizes[0], 3);
	ck_assert_int_eq(bus.outcomes[0], 1 + DAVIT_SETTLE_OK);
	ck_assert_int_eq(bus.outcomes[1], 1 + DAVIT_SETTLE_RETRY);
	ck_assert_int_eq(bus.outcomes[2], 1 + DAVIT_SETTLE_DROP);
	ck_assert_int_eq(bus.outcomes[3], 1 + DAVIT_SETTLE_RETRY);
	on_fiber(stop);
	about.dead_letter_topic = STR("dead");
	on_fiber(start);
	for (i = 4; i < 7; i++)
		push_event(i);
	push(7, "no JSON");
	settled(8);
	ck_assert_int_eq(bus.dead, 3);
	for (i = 4; i < 8; i++)
		ck_assert_int_eq(bus.outcomes[i], 1 + DAVIT_SETTLE_OK);
	on_fiber(stop);
}
END_TEST

START_TEST(the_end_sends_what_has_gathered)
{
	in_batches(100, 60000);
	to.states[0] = TOPIC_ENTRY_DONE;
	drain = 1;
	on_fiber(start);
	push_event(0);
	usleep(20000);
	on_fiber(stop);
	ck_assert_int_eq(bus.outcomes[0], 1 + DAVIT_SETTLE_OK);
}
END_TEST

START_TEST(illness_gives_it_back)
{
	in_batches(100, 60000);
	on_fiber(start);
	push_event(0);
	usleep(20000);
	on_fiber(stop);
	ck_assert_int_eq(bus.outcomes[0], 1 + DAVIT_SETTLE_RETRY);
	ck_assert_int_eq(to.batches, 0);
}
END_TEST

/* ---- Without memory ---- */

static void one_without_memory(int n, int bulk)
{
	memset(&bus, 0, sizeof(bus));
	if (bulk)
		in_batches(1, 10);
	on_fiber(start);
	ck_assert_ptr_nonnull(subscriber);
	fail_at = n;
	push_event(0);
	settled(1);
	fail_at = 0;
	ck_assert(bus.outcomes[0] == 1 + DAVIT_SETTLE_OK || bus.outcomes[0] == 1 + DAVIT_SETTLE_RETRY);
	on_fiber(stop);
}

START_TEST(each_allocation_may_fail)
{
	int n;

	to.states[0] = TOPIC_ENTRY_DONE;
	for (n = 1; n < 25; n++)
		one_without_memory(n, _i);
}
END_TEST

START_TEST(starting_without_memory)
{
	int n;

	for (n = 1; n < 40; n++) {
		memset(&bus, 0, sizeof(bus));
		fail_at = n;
		on_fiber(start);
		fail_at = 0;
		if (subscriber == NULL)
			continue;
		push_event(0);
		settled(1);
		on_fiber(stop);
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("subscriber");
	TCase *t = tcase_create("subscriber");
	SRunner *runner = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(t, set_up, tear_down);
	tcase_set_timeout(t, 60);
	tcase_add_loop_test(t, an_answer_settles, 0, sizeof(answers) / sizeof(answers[0]));
	tcase_add_test(t, what_is_no_event_or_fits_no_rule_is_not_sent);
	tcase_add_test(t, those_of_one_order_go_one_after_another);
	tcase_add_test(t, others_go_at_once);
	tcase_add_test(t, without_fibers_they_wait_for_one);
	tcase_add_test(t, the_end_waits_for_what_is_on_its_way);
	tcase_add_test(t, what_comes_back_in_time_is_settled_as_it_says);
	tcase_add_test(t, a_component_that_ends_is_told_of);
	tcase_add_test(t, scopes_are_kept);
	tcase_add_test(t, a_batch_goes_when_it_is_full);
	tcase_add_test(t, a_batch_goes_when_its_first_has_waited);
	tcase_add_test(t, each_of_a_batch_is_settled_by_its_own_answer);
	tcase_add_test(t, the_end_sends_what_has_gathered);
	tcase_add_test(t, illness_gives_it_back);
	tcase_add_loop_test(t, each_allocation_may_fail, 0, 2);
	tcase_add_test(t, starting_without_memory);
	suite_add_tcase(s, t);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
