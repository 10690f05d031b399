/* SPDX-License-Identifier: Apache-2.0 */
/* A subscription at work: what is settled how, what goes together, what becomes a dead letter, how it ends, and that no
 * allocation that fails loses a message. */
#include "subscriber_rig.h"

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
	for (i = 0; i < 10000 && to.sent < SUBSCRIBER_CREDIT; i++)
		usleep(1000);
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
	ck_assert_int_le(to.sent, 6); /* the starting fiber may have ended meanwhile */
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
