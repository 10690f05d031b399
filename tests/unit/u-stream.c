/* SPDX-License-Identifier: Apache-2.0 */
/* Long calls: each way of running one, credit, order, settling, stopping, what goes wrong. */
#include "stream_rig.h"

static const struct {
	const struct davit_component *component;
	enum feed feed;
} ways[] = {
	{ &on_loop, FEED_INSIDE },   { &on_worker, FEED_INSIDE }, { &on_loop, FEED_THREAD },
	{ &on_worker, FEED_THREAD }, { &on_serial, FEED_THREAD },
};

START_TEST(all_arrive_and_are_settled_once)
{
	set_up(ways[_i].component, ways[_i].feed, 5000);
	owner.settle_at_once = 1;
	on_fiber(start);
	ck_assert_ptr_nonnull(stream);
	eventually_settled(DAVIT_SETTLE_OK, 5000);
	on_fiber(close_stream);
	ck_assert_int_eq(closed, 0);
	ck_assert_int_eq(owner.seen, 5000);
	ck_assert_int_eq(owner.wrong, 0);
	if (plugin.feed == FEED_THREAD)
		pthread_join(plugin.thread, NULL);
	tear_down();
}
END_TEST

START_TEST(credit_bounds_what_is_in_flight)
{
	int i;

	set_up(ways[_i].component, ways[_i].feed, 100);
	on_fiber(start);
	ck_assert_int_eq(reached(&plugin.emitted, 10), 10);
	ck_assert_int_eq(seen(), 10);
	ck_assert_int_eq(plugin.emitted, 10);
	if (plugin.feed == FEED_THREAD) {
		ck_assert_int_ge(reached(&plugin.refused, 1), 1);
		ck_assert_int_eq(plugin.credit_calls, 0);
	}
	for (i = 0; i < 5; i++)
		on_fiber(settle_first);
	ck_assert_int_eq(reached(&plugin.emitted, 15), 15);
	ck_assert_int_eq(seen(), 15);
	while (settled(DAVIT_SETTLE_OK) < 100) {
		on_fiber(settle_held);
		usleep(500);
	}
	if (plugin.feed == FEED_THREAD)
		ck_assert_int_gt(plugin.credit_calls, 0);
	on_fiber(close_stream);
	ck_assert_int_eq(closed, 0);
	ck_assert_int_eq(owner.wrong, 0);
	if (plugin.feed == FEED_THREAD)
		pthread_join(plugin.thread, NULL);
	tear_down();
}
END_TEST

START_TEST(closing_frees_whoever_waits_for_credit)
{
	set_up(ways[_i].component, ways[_i].feed, 100);
	on_fiber(start);
	ck_assert_int_eq(reached(&plugin.emitted, 10), 10);
	ck_assert_int_eq(seen(), 10);
	drain_ms = 50;
	on_fiber(close_stream);
	ck_assert_int_eq(closed, 0);
	ck_assert_int_eq(plugin.emitted, 10);
	ck_assert_int_eq(settled(DAVIT_SETTLE_RETRY), 10);
	on_fiber(settle_held); /* too late, and only frees */
	ck_assert_int_eq(settled(DAVIT_SETTLE_RETRY), 10);
	if (plugin.feed == FEED_THREAD)
		pthread_join(plugin.thread, NULL);
	drain_ms = 1000;
	tear_down();
}
END_TEST

static void stop_stream(void)
{
	stream_stop(stream);
	stream_stop(stream);
}

START_TEST(what_is_held_at_the_stop_stays_the_owners)
{
	set_up(&on_worker, FEED_INSIDE, 100);
	plugin.norders = 2;
	in_order = 1;
	on_fiber(start);
	ck_assert_int_eq(reached(&plugin.emitted, 10), 10);
	ck_assert_int_eq(seen(), 2); /* one of each order, eight wait behind them */
	on_fiber(stop_stream);
	eventually_settled(DAVIT_SETTLE_RETRY, 8);
	ck_assert_int_le(plugin.cancelled, 1); /* 0: it was done even before */
	on_fiber(settle_held);
	eventually_settled(DAVIT_SETTLE_OK, 2);
	on_fiber(close_stream);
	ck_assert_int_eq(closed, 0);
	ck_assert_int_eq(owner.ended, 0);
	in_order = 0;
	tear_down();
}
END_TEST

/* The one of order 0 that is held; there is just one. */
static void settle_order_0(void)
{
	struct stream_message *m;
	int i = 0;

	while (number_of(owner.held[i]) % plugin.norders != 0)
		i++;
	m = owner.held[i];
	owner.held[i] = owner.held[--owner.nheld];
	stream_settle(m, DAVIT_SETTLE_OK);
}

START_TEST(messages_of_an_order_come_one_by_one)
{
	int i;

	set_up(&on_loop, FEED_THREAD, 9);
	plugin.norders = 3;
	in_order = 1;
	on_fiber(start);
	ck_assert_int_eq(reached(&plugin.emitted, 9), 9);
	ck_assert_int_eq(seen(), 3);
	for (i = 0; i < 3; i++) {
		on_fiber(settle_order_0); /* 0, 3, 6 */
		ck_assert_int_eq(seen(), i < 2 ? 4 + i : 5);
	}
	owner.outcome = DAVIT_SETTLE_RETRY;
	on_fiber(settle_held); /* 1 and 2, and with them 4, 7, 5, 8 */
	eventually_settled(DAVIT_SETTLE_RETRY, 6);
	ck_assert_int_eq(settled(DAVIT_SETTLE_OK), 3);
	on_fiber(close_stream);
	ck_assert_int_eq(closed, 0);
	ck_assert_int_eq(owner.wrong, 0);
	pthread_join(plugin.thread, NULL);
	in_order = 0;
	tear_down();
}
END_TEST

START_TEST(an_order_goes_on_where_retry_means_nothing)
{
	set_up(&on_loop, FEED_THREAD, 100);
	plugin.norders = 1;
	in_order = no_settle = 1;
	owner.settle_at_once = 1;
	owner.outcome = DAVIT_SETTLE_RETRY;
	on_fiber(start);
	ck_assert_int_eq(reached(&plugin.emitted, 100), 100);
	ck_assert_int_eq(seen(), 100);
	on_fiber(close_stream);
	ck_assert_int_eq(closed, 0);
	ck_assert_int_eq(plugin.settles, 0);
	pthread_join(plugin.thread, NULL);
	in_order = no_settle = 0;
	tear_down();
}
END_TEST

START_TEST(a_refused_settle_is_tried_again)
{
	set_up(&on_worker, FEED_INSIDE, 50);
	plugin.busy_answers = 3;
	owner.settle_at_once = 1;
	owner.outcome = DAVIT_SETTLE_DROP;
	on_fiber(start);
	eventually_settled(DAVIT_SETTLE_DROP, 50);
	on_fiber(close_stream);
	ck_assert_int_eq(closed, 0);
	tear_down();
}
END_TEST

START_TEST(a_failed_start_says_why)
{
	set_up(_i == 0 ? &on_loop : _i == 1 ? &on_worker : &on_serial, FEED_FAILS, 0);
	on_fiber(start);
	ck_assert_ptr_null(stream);
	ck_assert_int_eq(error.code, ERROR_PERMISSION_DENIED);
	ck_assert_str_eq(error.message.p, "no entry for 'orders'");
	ck_assert_int_eq(owner.ended, 0);
	tear_down();
}
END_TEST

START_TEST(a_start_has_a_deadline)
{
	set_up(&on_worker, FEED_NEVER_STANDS, 0);
	start_ns = clock_ns() + 50 * INT64_C(1000000);
	on_fiber(start);
	start_ns = 0;
	ck_assert_ptr_null(stream);
	ck_assert_int_eq(error.code, ERROR_DEADLINE_EXCEEDED);
	ck_assert_int_le(plugin.cancelled, 1);
	ck_assert_int_eq((int)stream_left(), 0);
	tear_down();
}
END_TEST

START_TEST(the_end_of_a_subscription_is_told)
{
	set_up(&on_worker, FEED_ENDS, 7);
	on_fiber(start);
	ck_assert_ptr_nonnull(stream);
	ck_assert_int_eq(seen(), 7);
	ck_assert_int_eq(owner.ended, 1);
	ck_assert_int_eq(owner.status, DAVIT_UNAVAILABLE);
	ck_assert_str_eq(owner.text, "the broker has gone");
	on_fiber(settle_held); /* as ever */
	eventually_settled(DAVIT_SETTLE_OK, 7);
	on_fiber(close_stream);
	ck_assert_int_eq(closed, 0);
	ck_assert_int_eq(owner.ended, 1);
	tear_down();
}
END_TEST

START_TEST(a_plugin_may_end_in_its_cancel_function)
{
	set_up(&on_loop, FEED_NOTHING, 0);
	on_fiber(start);
	on_fiber(close_stream);
	ck_assert_int_eq(closed, 0);
	ck_assert_int_eq(plugin.cancelled, 1);
	tear_down();
}
END_TEST

START_TEST(a_deaf_plugin_is_left)
{
	set_up(&on_loop, FEED_DEAF, 0);
	on_fiber(start);
	end_ms = 50;
	on_fiber(close_stream);
	end_ms = 2000;
	ck_assert_int_eq(closed, -1);
	ck_assert_int_eq((int)stream_left(), 1);
	ck_assert_int_eq(emit_one(plugin.call, 1), DAVIT_CANCELLED);
	davit_done(plugin.call, DAVIT_OK); /* late, and still safe */
	tear_down();
}
END_TEST

static void emit_owned_and_wrong(void)
{
	struct davit_message m = DAVIT_INIT(davit_message, .data = { "message 3", 9 }, .token = 3);
	struct davit_publish_result other = DAVIT_INIT(davit_publish_result, .status = 1);

	ck_assert_int_eq(davit_emit_owned(plugin.call, &m, count_release, NULL), DAVIT_OK);
	ck_assert_int_eq(plugin.released, 0);
	ck_assert_int_eq(davit_emit_owned(plugin.call, &other, count_release, NULL), DAVIT_INVALID_ARGUMENT);
	ck_assert_int_eq(plugin.released, 1);
	ck_assert_int_eq(davit_credit(plugin.call), 9);
	ck_assert_ptr_nonnull(davit_alloc(plugin.call, 10000));
	ck_assert(davit_remaining_ms(plugin.call) == INT64_MAX);
}

static void emit_cancelled(void)
{
	struct davit_message m = DAVIT_INIT(davit_message, .token = 4);

	stream_stop(stream);
	ck_assert_int_eq(davit_emit_owned(plugin.call, &m, count_release, NULL), DAVIT_CANCELLED);
	ck_assert_int_eq(plugin.released, 3);
	davit_done(plugin.call, DAVIT_OK);
}

START_TEST(what_is_handed_over_is_released_once)
{
	set_up(&on_loop, FEED_DEAF, 0);
	owner.settle_at_once = 1;
	on_fiber(start);
	on_fiber(emit_owned_and_wrong);
	eventually_settled(DAVIT_SETTLE_OK, 1);
	on_fiber(read_seen);
	ck_assert_int_eq(plugin.released, 2);
	on_fiber(emit_cancelled);
	on_fiber(close_stream);
	ck_assert_int_eq(closed, 0);
	ck_assert_int_eq(owner.wrong, 0);
	tear_down();
}
END_TEST

START_TEST(without_memory_nothing_is_half_done)
{
	int n, failures = 0;

	set_up(&on_worker, FEED_INSIDE, 40);
	owner.settle_at_once = 1;
	plugin.norders = 4;
	in_order = 1;
	for (n = 1; n < 40; n++) {
		int i;

		memset(plugin.outcomes, 0, sizeof(plugin.outcomes));
		for (i = 0; i < 64; i++)
			owner.last[i] = -1;
		fail_at = n;
		on_fiber(start);
		if (stream == NULL) {
			fail_at = 0;
			failures++;
			ck_assert_int_eq(error.code, ERROR_RESOURCE_EXHAUSTED);
			continue;
		}
		for (i = 0; i < 20000 && settled(DAVIT_SETTLE_OK) + settled(DAVIT_SETTLE_RETRY) < 40; i++)
			usleep(500);
		fail_at = 0;
		ck_assert_int_eq(settled(DAVIT_SETTLE_OK) + settled(DAVIT_SETTLE_RETRY), 40);
		on_fiber(close_stream);
		ck_assert_int_eq(closed, 0);
	}
	ck_assert_int_gt(failures, 0);
	in_order = 0;
	tear_down();
}
END_TEST

int main(void)
{
	Suite *s = suite_create("stream");
	TCase *t = tcase_create("all");
	SRunner *r;
	int failed;

	tcase_set_timeout(t, 60);
	tcase_add_loop_test(t, all_arrive_and_are_settled_once, 0, 5);
	tcase_add_loop_test(t, credit_bounds_what_is_in_flight, 0, 5);
	tcase_add_loop_test(t, closing_frees_whoever_waits_for_credit, 0, 5);
	tcase_add_test(t, what_is_held_at_the_stop_stays_the_owners);
	tcase_add_test(t, messages_of_an_order_come_one_by_one);
	tcase_add_test(t, an_order_goes_on_where_retry_means_nothing);
	tcase_add_test(t, a_refused_settle_is_tried_again);
	tcase_add_loop_test(t, a_failed_start_says_why, 0, 3);
	tcase_add_test(t, a_start_has_a_deadline);
	tcase_add_test(t, the_end_of_a_subscription_is_told);
	tcase_add_test(t, a_plugin_may_end_in_its_cancel_function);
	tcase_add_test(t, a_deaf_plugin_is_left);
	tcase_add_test(t, what_is_handed_over_is_released_once);
	tcase_add_test(t, without_memory_nothing_is_half_done);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
