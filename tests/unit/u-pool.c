/* SPDX-License-Identifier: Apache-2.0 */
/* davit/pool.h, each test on fibers of a loop (0) and on workers (1). */
#include <davit/pool.h>
#include <davit/sleep.h>

#include "service_rig.h"

#include <check.h> /* last: it has a macro fail, which is a name of the plugin line */

#define USERS 12
#define UNTIL_TOLD (-1)

/* What the items of these tests are, and what happened to them. */
static struct {
	struct davit_pool *pool;
	atomic_int made, closed, interrupted, out, most_out;
	atomic_int room;	  /* of the backend */
	atomic_int dead;	  /* 1: what rests is found dead */
	atomic_int let_go;	  /* 1: who holds until he is told gives it back */
	davit_status make_status; /* not DAVIT_OK: what making one ends with */
} world;

struct item {
	atomic_int gone;
};
static struct item items[64];

static void sleep_ms(struct davit_call *call, int64_t ms)
{
	davit_sleep_service(handle)->sleep(handle, call, ms);
}

static davit_status make(void *arg, struct davit_call *call, int64_t timeout_ms, void *why, void **ret_item)
{
	(void)arg, (void)timeout_ms;
	sleep_ms(call, 5);
	if (world.make_status != DAVIT_OK) {
		*(int *)why = 1;
		return world.make_status;
	}
	if (world.made - world.closed >= world.room)
		return DAVIT_EXHAUSTED;
	*ret_item = &items[world.made++];
	return DAVIT_OK;
}

static void close_one(void *arg, void *item)
{
	(void)arg;
	ck_assert_int_eq(((struct item *)item)->gone++, 0);
	world.closed++;
}

static int lives(void *arg, void *item)
{
	(void)arg, (void)item;
	return !world.dead;
}

static void interrupt(void *arg, void *item)
{
	(void)arg, (void)item;
	world.interrupted++;
}

static const struct davit_pool_item kind = { make, close_one, lives, interrupt };

static davit_status new_pool(struct davit_call *call, void *limits)
{
	(void)call;
	world.pool = davit_pool_new(handle, &kind, NULL, limits);
	return world.pool ? DAVIT_OK : DAVIT_EXHAUSTED;
}

static davit_status stop_pool(struct davit_call *call, void *arg)
{
	(void)call, (void)arg;
	davit_pool_stop(world.pool);
	return DAVIT_OK;
}

static davit_status free_pool(struct davit_call *call, void *arg)
{
	(void)call, (void)arg;
	davit_pool_free(world.pool);
	return DAVIT_OK;
}

/* One that takes an item, holds it, gives it back. */
struct user {
	int64_t timeout_ms, hold_ms; /* UNTIL_TOLD */
	int broken, twice;
	davit_status status; /* of its take */
	int why;
	int64_t waited_ms;
	struct operation operation;
	struct errand errand;
};

static davit_status use(struct davit_call *call, void *arg)
{
	struct user *u = arg;
	int64_t began = clock_ns();
	void *item = NULL;
	int out;

	u->status = davit_pool_take(world.pool, call, u->timeout_ms, &u->why, &item);
	u->waited_ms = (clock_ns() - began) / MS;
	if (u->status != DAVIT_OK)
		return u->status;
	out = ++world.out;
	if (out > world.most_out)
		world.most_out = out;
	ck_assert_int_eq(((struct item *)item)->gone, 0);
	while (u->hold_ms == UNTIL_TOLD && !world.let_go)
		sleep_ms(NULL, 5);
	sleep_ms(NULL, u->hold_ms);
	world.out--;
	davit_pool_give(world.pool, item, u->broken);
	if (u->twice)
		davit_pool_give(world.pool, item, 0);
	return DAVIT_OK;
}

static void begin(struct user *u, int which)
{
	u->operation = rig_operation(which, use, u);
	rig_begin(&u->errand, 0, rig_operate, &u->operation);
}

static void end(struct user *u)
{
	rig_end(&u->errand);
}

static davit_status once(int which, struct user u)
{
	begin(&u, which);
	end(&u);
	return u.status;
}

static void run(int which, davit_status (*fn)(struct davit_call *call, void *arg), void *arg)
{
	struct operation o = rig_operation(which, fn, arg);

	ck_assert_int_eq(rig_run(&o), DAVIT_OK);
}

static void set_up(int which, int most, int64_t idle_ms, int64_t life_ms)
{
	struct davit_pool_limits limits = { most, idle_ms, life_ms };

	rig_set_up();
	world.room = 1000;
	run(which, new_pool, &limits);
}

static void tear_down(int which)
{
	run(which, free_pool, NULL);
	ck_assert_int_eq(world.made, world.closed);
	rig_tear_down();
}

static void all_use(int which)
{
	struct user users[USERS];
	int i;

	for (i = 0; i < USERS; i++) {
		users[i] = (struct user){ .hold_ms = 5 };
		begin(&users[i], which);
	}
	for (i = 0; i < USERS; i++) {
		end(&users[i]);
		ck_assert_int_eq(users[i].status, DAVIT_OK);
	}
}

START_TEST(there_are_no_more_than_may_be)
{
	set_up(_i, 3, 0, 0);
	all_use(_i);
	ck_assert_int_eq(world.most_out, 3);
	ck_assert_int_eq(world.made, 3);
	ck_assert_int_eq(world.closed, 0);
	tear_down(_i);
}
END_TEST

START_TEST(less_than_one_is_one)
{
	set_up(_i, 0, 0, 0);
	all_use(_i);
	ck_assert_int_eq(world.most_out, 1);
	tear_down(_i);
}
END_TEST

START_TEST(one_that_waits_has_its_time)
{
	struct user holds = { .hold_ms = UNTIL_TOLD }, hurries = { .timeout_ms = 50 };

	set_up(_i, 1, 0, 0);
	begin(&holds, _i);
	usleep(100000);
	begin(&hurries, _i);
	end(&hurries);
	ck_assert_int_eq(hurries.status, DAVIT_DEADLINE_EXCEEDED);
	ck_assert_int_ge(hurries.waited_ms, 49);
	world.let_go = 1;
	end(&holds);
	ck_assert_int_eq(once(_i, (struct user){ .timeout_ms = 1000 }), DAVIT_OK);
	tear_down(_i);
}
END_TEST

START_TEST(one_that_waits_ends_with_its_call)
{
	struct user holds = { .hold_ms = UNTIL_TOLD }, leaves = { .hold_ms = 0 }, late = { .hold_ms = 0 };

	set_up(_i, 1, 0, 0);
	begin(&holds, _i);
	usleep(100000);
	leaves.operation = rig_operation(_i, use, &leaves);
	leaves.operation.cancel_ms = 50;
	late.operation = rig_operation(_i, use, &late);
	late.operation.timeout_ms = 50;
	rig_begin(&leaves.errand, 0, rig_operate, &leaves.operation);
	rig_begin(&late.errand, 0, rig_operate, &late.operation);
	end(&leaves);
	end(&late);
	usleep(300000); /* on a worker they look ten times a second */
	world.let_go = 1;
	end(&holds);
	ck_assert_int_eq(leaves.operation.status, DAVIT_CANCELLED);
	ck_assert_int_eq(late.operation.status, DAVIT_DEADLINE_EXCEEDED);
	tear_down(_i); /* both have left the queue, or this would not end */
	ck_assert_int_eq(leaves.status, DAVIT_CANCELLED);
	ck_assert_int_eq(late.status, DAVIT_DEADLINE_EXCEEDED);
	ck_assert_int_eq(world.made, 1);
}
END_TEST

START_TEST(a_broken_one_and_a_dead_one_are_closed)
{
	set_up(_i, 1, 0, 0);
	ck_assert_int_eq(once(_i, (struct user){ .broken = 1 }), DAVIT_OK);
	ck_assert_int_eq(world.closed, 1);
	ck_assert_int_eq(once(_i, (struct user){ 0 }), DAVIT_OK);
	ck_assert_int_eq(world.made, 2);
	world.dead = 1;
	ck_assert_int_eq(once(_i, (struct user){ 0 }), DAVIT_OK);
	ck_assert_int_eq(world.made, 3);
	ck_assert_int_eq(world.closed, 2);
	tear_down(_i);
}
END_TEST

START_TEST(who_waits_gets_the_place_of_a_broken_one)
{
	struct user breaks = { .hold_ms = 100, .broken = 1 }, waits = { .hold_ms = 0 };

	set_up(_i, 1, 0, 0);
	begin(&breaks, _i);
	usleep(30000);
	begin(&waits, _i);
	end(&breaks);
	end(&waits);
	ck_assert_int_eq(waits.status, DAVIT_OK);
	ck_assert_int_eq(world.made, 2);
	tear_down(_i);
}
END_TEST

/* On workers it is somebody's coming that shows it. */
START_TEST(old_ones_are_closed)
{
	int tries;

	set_up(_i, 3, 200, 0);
	all_use(_i);
	for (tries = 0; tries < 100 && world.closed < 3; tries++) {
		usleep(50000);
		if (_i == 1 && tries == 10)
			ck_assert_int_eq(once(_i, (struct user){ 0 }), DAVIT_OK);
	}
	ck_assert_int_eq(world.closed, 3);
	tear_down(_i);
}
END_TEST

START_TEST(nobody_lives_for_ever)
{
	set_up(_i, 1, 0, 100);
	ck_assert_int_eq(once(_i, (struct user){ .hold_ms = 200 }), DAVIT_OK);
	ck_assert_int_eq(world.closed, 1);
	tear_down(_i);
}
END_TEST

START_TEST(a_backend_that_is_full_is_shared)
{
	set_up(_i, 5, 0, 0);
	world.room = 2;
	all_use(_i);
	ck_assert_int_eq(world.made, 2);
	tear_down(_i);
}
END_TEST

START_TEST(what_cannot_be_made_fails_for_everybody)
{
	struct user users[USERS];
	int i;

	set_up(_i, 2, 0, 0);
	world.make_status = DAVIT_UNAVAILABLE;
	for (i = 0; i < USERS; i++) {
		users[i] = (struct user){ .hold_ms = 5 };
		begin(&users[i], _i);
	}
	for (i = 0; i < USERS; i++) {
		end(&users[i]);
		ck_assert_int_eq(users[i].status, DAVIT_UNAVAILABLE);
		ck_assert_int_eq(users[i].why, 1);
	}
	world.make_status = DAVIT_EXHAUSTED; /* and there is none to wait for */
	ck_assert_int_eq(once(_i, (struct user){ 0 }), DAVIT_EXHAUSTED);
	world.make_status = DAVIT_OK;
	ck_assert_int_eq(once(_i, (struct user){ 0 }), DAVIT_OK);
	tear_down(_i);
}
END_TEST

START_TEST(a_stop_sends_them_away)
{
	struct user holds = { .hold_ms = UNTIL_TOLD }, waits = { .hold_ms = 0 };

	set_up(_i, 1, 0, 0);
	begin(&holds, _i);
	usleep(100000);
	begin(&waits, _i);
	usleep(50000);
	run(_i, stop_pool, NULL);
	end(&waits);
	ck_assert_int_eq(waits.status, DAVIT_CANCELLED);
	ck_assert_int_eq(once(_i, (struct user){ 0 }), DAVIT_CANCELLED);
	ck_assert_int_eq(davit_pool_stopped(world.pool), 1);
	ck_assert_int_eq(world.interrupted, 1);
	ck_assert_int_eq(world.closed, 0);
	world.let_go = 1;
	end(&holds);
	ck_assert_int_eq(holds.status, DAVIT_OK);
	ck_assert_int_eq(world.closed, 1);
	tear_down(_i);
}
END_TEST

START_TEST(giving_twice_is_seen)
{
	set_up(_i, 2, 0, 0);
	ck_assert_int_eq(once(_i, (struct user){ .twice = 1 }), DAVIT_OK);
	all_use(_i);
	ck_assert_int_le(world.most_out, 2);
	ck_assert_int_le(world.made, 2);
	tear_down(_i);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("pool");
	TCase *t = tcase_create("all");
	SRunner *r;
	int failed;

	tcase_set_timeout(t, 60);
	tcase_add_loop_test(t, there_are_no_more_than_may_be, 0, 2);
	tcase_add_loop_test(t, less_than_one_is_one, 0, 2);
	tcase_add_loop_test(t, one_that_waits_has_its_time, 0, 2);
	tcase_add_loop_test(t, one_that_waits_ends_with_its_call, 0, 2);
	tcase_add_loop_test(t, a_broken_one_and_a_dead_one_are_closed, 0, 2);
	tcase_add_loop_test(t, who_waits_gets_the_place_of_a_broken_one, 0, 2);
	tcase_add_loop_test(t, old_ones_are_closed, 0, 2);
	tcase_add_loop_test(t, nobody_lives_for_ever, 0, 2);
	tcase_add_loop_test(t, a_backend_that_is_full_is_shared, 0, 2);
	tcase_add_loop_test(t, what_cannot_be_made_fails_for_everybody, 0, 2);
	tcase_add_loop_test(t, a_stop_sends_them_away, 0, 2);
	tcase_add_loop_test(t, giving_twice_is_seen, 0, 2);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
