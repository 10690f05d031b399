/* SPDX-License-Identifier: Apache-2.0 */
/* Loops and fibers: who runs when, waking, time, stacks, limits. */
#include <check.h>
#include <dirent.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/clock.h"
#include "loop/fiber.h"
#include "loop/loop.h"

static struct loop *loop;
static char trail[256]; /* what ran, a letter each */
static atomic_int ended;

static void note(char c)
{
	size_t n = strlen(trail);

	trail[n] = c;
	trail[n + 1] = '\0';
}

static void setup(void)
{
	trail[0] = '\0';
	ended = 0;
	loop = loop_new(3);
	ck_assert_ptr_nonnull(loop);
	ck_assert_int_eq(loop_start(loop), 0);
}

static void teardown(void)
{
	loop_stop(loop);
	loop_join(loop);
	loop_free(loop);
	ck_assert_int_eq(fiber_live(), 0);
}

static void nothing(void *arg)
{
	(void)arg;
}

/* Until every fiber of the test has ended. */
static void wait_for_end(void)
{
	struct timespec nap = { 0, 1000000 };
	int i;

	for (i = 0; i < 5000 && fiber_live() > 0; i++)
		nanosleep(&nap, NULL);
	ck_assert_int_eq(fiber_live(), 0);
	loop_call(loop, nothing, NULL);
}

static void on_loop(void (*fn)(void *arg))
{
	loop_call(loop, fn, NULL);
	wait_for_end();
}

static struct fiber *sleeper;

static void sleeps(void *arg)
{
	(void)arg;
	note('a');
	sleeper = fiber_self();
	ck_assert_ptr_eq(fiber_loop(sleeper), loop);
	ck_assert_ptr_eq(loop_self(), loop);
	ck_assert_int_eq(loop_index(loop), 3);
	fiber_park();
	note('d');
}

static void starts_and_wakes(void *arg)
{
	(void)arg;
	ck_assert_ptr_null(fiber_self());
	ck_assert_int_eq(fiber_start(loop, sleeps, NULL), 0);
	note('b'); /* it ran until it parked */
	ck_assert_int_eq(fiber_live(), 1);
	fiber_wake(sleeper);
	fiber_wake(sleeper); /* which are one */
	note('c');	     /* and only put it in line */
}

START_TEST(started_at_once_and_woken_in_line)
{
	on_loop(starts_and_wakes);
	ck_assert_str_eq(trail, "abcd");
}
END_TEST

static void inner(void *arg)
{
	note(*(char *)arg);
}

static void outer(void *arg)
{
	static char names[] = "cd";

	(void)arg;
	note('a');
	fiber_start(loop, inner, names);
	fiber_start(loop, inner, names + 1);
	note('b');
	fiber_wake(fiber_self());
	fiber_park(); /* a wake before it is not lost */
	note('e');
}

static void starts_outer(void *arg)
{
	(void)arg;
	fiber_start(loop, outer, NULL);
}

START_TEST(fiber_started_by_a_fiber_waits_for_its_turn)
{
	on_loop(starts_outer);
	ck_assert_str_eq(trail, "abcde");
}
END_TEST

static void wakes_itself_and_ends(void *arg)
{
	(void)arg;
	fiber_wake(fiber_self());
	ended++;
}

static void starts_many_that_end_woken(void *arg)
{
	int i;

	(void)arg;
	for (i = 0; i < 300; i++) /* more than a loop keeps */
		fiber_start(loop, wakes_itself_and_ends, NULL);
}

START_TEST(woken_as_it_ends_is_harmless)
{
	int i;

	for (i = 0; i < 3; i++)
		on_loop(starts_many_that_end_woken);
	ck_assert_int_eq(ended, 900);
	on_loop(starts_and_wakes);
	ck_assert_str_eq(trail, "abcd");
}
END_TEST

static void times(void *arg)
{
	int64_t start = clock_ns();

	(void)arg;
	ck_assert_int_eq(fiber_park_until(start - 1), -1);
	ck_assert_int_eq(fiber_park_until(start + 20000000), -1);
	ck_assert_int_ge(clock_ns() - start, 20000000);
	ck_assert_int_lt(clock_ns() - start, 500000000);
	fiber_wake(fiber_self());
	ck_assert_int_eq(fiber_park_until(clock_ns() + 1000000000), 0);
	fiber_wake(fiber_self());
	ck_assert_int_eq(fiber_park_until(0), 0); /* no limit */
	ck_assert_int_lt(clock_ns() - start, 500000000);
	fiber_wake(fiber_self());
	fiber_park();
	note('x');
}

static void starts_times(void *arg)
{
	(void)arg;
	fiber_start(loop, times, NULL);
}

START_TEST(time_comes_or_somebody_wakes)
{
	on_loop(starts_times);
	ck_assert_str_eq(trail, "x");
}
END_TEST

#define MANY 1000

static struct fiber *parked[MANY];
static int order[MANY], norder;

static void parks_many(void *arg)
{
	int n = (int)(intptr_t)arg, kept = n * 7;
	double real = n / 3.0;

	parked[n] = fiber_self();
	fiber_park();
	ck_assert_int_eq(kept, n * 7);
	ck_assert(real == n / 3.0);
	order[norder++] = n;
}

static void starts_many(void *arg)
{
	int i;

	(void)arg;
	norder = 0;
	for (i = 0; i < MANY; i++)
		ck_assert_int_eq(fiber_start(loop, parks_many, (void *)(intptr_t)i), 0);
	ck_assert_int_eq(fiber_live(), MANY);
	for (i = MANY - 1; i >= 0; i--)
		fiber_wake(parked[i]);
}

START_TEST(many_go_on_in_the_order_of_their_wakes)
{
	int i;

	on_loop(starts_many);
	on_loop(starts_many); /* once more, on used stacks */
	for (i = 0; i < MANY; i++)
		ck_assert_int_eq(order[i], MANY - 1 - i);
}
END_TEST

static void reaches_limit(void *arg)
{
	int i;

	(void)arg;
	fiber_limit(5);
	for (i = 0; i < 5; i++)
		ck_assert_int_eq(fiber_start(loop, parks_many, (void *)(intptr_t)i), 0);
	ck_assert_int_eq(fiber_start(loop, parks_many, NULL), -1);
	ck_assert_int_eq(fiber_live(), 5);
	for (i = 0; i < 5; i++)
		fiber_wake(parked[i]);
}

START_TEST(limit_refuses_and_recovers)
{
	norder = 0;
	on_loop(reaches_limit);
	ck_assert_int_eq(norder, 5);
	on_loop(reaches_limit);
}
END_TEST

static int deep(int n)
{
	volatile char room[1024];

	room[0] = (char)n;
	return n == 0 ? 0 : deep(n - 1) + (room[0] == (char)n);
}

static void dives(void *arg)
{
	ck_assert_int_eq(deep((int)(intptr_t)arg), (int)(intptr_t)arg);
	note('x');
}

static void starts_dive(void *arg)
{
	(void)arg;
	fiber_start(loop, dives, (void *)(intptr_t)150);
}

START_TEST(stack_is_deep_and_measured)
{
	on_loop(starts_dive);
	ck_assert_str_eq(trail, "x");
#if !defined(__SANITIZE_ADDRESS__)
	ck_assert_uint_ge(fiber_high_water(), 150 * 1024);
	ck_assert_uint_le(fiber_high_water(), FIBER_STACK);
#endif
}
END_TEST

static void measured_setup(void)
{
	fiber_measure(1);
	setup();
}

static void starts_fall(void *arg)
{
	(void)arg;
	fiber_start(loop, dives, (void *)(intptr_t)100000);
}

START_TEST(stack_ends_at_its_guard)
{
	on_loop(starts_fall);
}
END_TEST

/* The loop's own. */

struct posted {
	struct loop_task task;
	int number;
};

#define POSTERS 4
#define POSTS 5000

static struct posted posts[POSTERS][POSTS];
static int last[POSTERS];
static atomic_int arrived;

static void on_post(struct loop_task *t)
{
	struct posted *p = (struct posted *)t;
	int who = (int)((p - posts[0]) / POSTS);

	ck_assert_ptr_eq(loop_self(), loop);
	ck_assert_int_eq(p->number, last[who]++);
	arrived++;
}

static void *posts_all(void *arg)
{
	struct posted *mine = arg;
	int i;

	for (i = 0; i < POSTS; i++) {
		mine[i].number = i;
		mine[i].task.run = on_post;
		loop_post(loop, &mine[i].task);
	}
	return NULL;
}

START_TEST(posts_arrive_in_order)
{
	struct timespec nap = { 0, 1000000 };
	pthread_t t[POSTERS];
	int i;

	for (i = 0; i < POSTERS; i++)
		ck_assert_int_eq(pthread_create(&t[i], NULL, posts_all, posts[i]), 0);
	for (i = 0; i < POSTERS; i++)
		pthread_join(t[i], NULL);
	for (i = 0; i < 5000 && arrived < POSTERS * POSTS; i++)
		nanosleep(&nap, NULL);
	ck_assert_int_eq(arrived, POSTERS * POSTS);
}
END_TEST

static struct loop_task deferred[3];

static void wakes_sleeper(struct loop_task *t)
{
	(void)t;
	note('2');
	fiber_wake(sleeper);
}

static void runs_later(struct loop_task *t)
{
	(void)t;
	note('1');
	deferred[1].run = wakes_sleeper; /* deferred by a deferred one: the same turn */
	loop_defer(loop, &deferred[1]);
}

static void defers(void *arg)
{
	(void)arg;
	fiber_start(loop, sleeps, NULL);
	deferred[0].run = runs_later;
	loop_defer(loop, &deferred[0]);
	note('0');
}

START_TEST(deferred_and_woken_run_before_the_loop_sleeps)
{
	on_loop(defers);
	ck_assert_str_eq(trail, "a012d");
}
END_TEST

static int descriptors(void)
{
	DIR *d = opendir("/proc/self/fd");
	int n = 0;

	while (readdir(d) != NULL)
		n++;
	closedir(d);
	return n;
}

#define BURST 600 /* more than a loop keeps */
#define KEPT 256

static void parks_once(void *arg)
{
	parked[(intptr_t)arg] = fiber_self();
	fiber_park();
}

static void starts_burst(void *arg)
{
	intptr_t i;

	(void)arg;
	for (i = 0; i < BURST; i++)
		ck_assert_int_eq(fiber_start(loop, parks_once, (void *)i), 0);
	for (i = 0; i < BURST; i++)
		fiber_wake(parked[i]);
}

/* A stack and its guard are a mapping each. */
static int mappings(void)
{
	FILE *f = fopen("/proc/self/maps", "r");
	int n = 0, c;

	while ((c = getc(f)) != EOF)
		n += c == '\n';
	fclose(f);
	return n;
}

START_TEST(what_a_burst_took_is_given_back)
{
	int before = mappings(), i;

	on_loop(starts_burst);
	ck_assert_int_ge(mappings(), before + 2 * (BURST - 10));
	for (i = 0; i < 200 && mappings() > before + 2 * KEPT + 10; i++)
		usleep(50000);
#if !defined(__SANITIZE_THREAD__) /* which has mappings of its own for every fiber, and keeps them */
	ck_assert_int_le(mappings(), before + 2 * KEPT + 10);
#endif
	on_loop(starts_burst); /* and it goes on */
}
END_TEST

START_TEST(loop_gives_back_what_it_took)
{
	struct loop *l = loop_new(0);
	int before, i;

	loop_free(l); /* libuv keeps something of the first for ever */
	before = descriptors();
	for (i = 0; i < 20; i++) {
		l = loop_new(0);
		ck_assert_ptr_nonnull(l);
		if (i % 2) {
			ck_assert_int_eq(loop_start(l), 0);
			loop_stop(l);
			loop_join(l);
		}
		loop_free(l); /* started or not */
	}
	loop_free(NULL);
	ck_assert_int_eq(descriptors(), before);
}
END_TEST

static void add(TCase *t, Suite *s, void (*before)(void))
{
	tcase_add_checked_fixture(t, before, teardown);
	tcase_set_timeout(t, 60);
	suite_add_tcase(s, t);
}

int main(void)
{
	Suite *s = suite_create("fiber");
	TCase *t = tcase_create("fiber"), *m = tcase_create("stack"), *l = tcase_create("loop");
	SRunner *r;
	int failed;

	add(t, s, setup);
	tcase_add_test(t, started_at_once_and_woken_in_line);
	tcase_add_test(t, what_a_burst_took_is_given_back);
	tcase_add_test(t, fiber_started_by_a_fiber_waits_for_its_turn);
	tcase_add_test(t, woken_as_it_ends_is_harmless);
	tcase_add_test(t, time_comes_or_somebody_wakes);
	tcase_add_test(t, many_go_on_in_the_order_of_their_wakes);
	tcase_add_test(t, limit_refuses_and_recovers);
	tcase_add_test(t, posts_arrive_in_order);
	tcase_add_test(t, deferred_and_woken_run_before_the_loop_sleeps);
	add(m, s, measured_setup);
	tcase_add_test(m, stack_is_deep_and_measured);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
	tcase_add_test_raise_signal(m, stack_ends_at_its_guard, SIGSEGV);
#else
	(void)stack_ends_at_its_guard;
#endif
	suite_add_tcase(s, l);
	tcase_add_test(l, loop_gives_back_what_it_took);
	r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
