/* SPDX-License-Identifier: Apache-2.0 */
/* Lanes: order, bounds, workers, the end; and a fiber that waits for a job. */
#include <check.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "loop/fiber.h"
#include "loop/lane.h"
#include "loop/loop.h"

struct job {
	struct lane_job job; /* the first member */
	int number;
};

#define JOBS 2000

static struct job jobs[JOBS];
static int order[JOBS];
static atomic_int done, started, ending, held, release;

static void nap(int ms)
{
	struct timespec t = { ms / 1000, ms % 1000 * 1000000L };

	nanosleep(&t, NULL);
}

static void on_started(void *arg, int worker)
{
	ck_assert_ptr_eq(arg, jobs);
	ck_assert_int_eq(lane_self(), 1);
	started |= 1 << worker;
}

static void on_ending(void *arg, int worker)
{
	ck_assert_ptr_eq(arg, jobs);
	ending |= 1 << worker;
}

static struct lane *lane(int workers, int queue)
{
	struct lane_options o = { .name = "a rather long name of a lane",
				  .workers = workers,
				  .queue = queue,
				  .started = on_started,
				  .ending = on_ending,
				  .arg = jobs };
	struct lane *l = lane_new(&o);

	ck_assert_ptr_nonnull(l);
	ck_assert_int_eq(lane_self(), 0);
	return l;
}

static int wait_until(const atomic_int *n, int value)
{
	int i;

	for (i = 0; i < 5000 && *n < value; i++)
		nap(1);
	return *n >= value;
}

static void counts(struct lane_job *j)
{
	int n = ((struct job *)j)->number;

	order[done] = n; /* there is one worker where the order matters */
	done++;
}

/* Holds its worker until the test lets go. */
static void holds(struct lane_job *j)
{
	(void)j;
	held++;
	while (!release)
		nap(1);
	done++;
}

static int submit(struct lane *l, int n, void (*run)(struct lane_job *j))
{
	jobs[n].number = n;
	jobs[n].job.run = run;
	return lane_submit(l, &jobs[n].job);
}

START_TEST(one_worker_keeps_the_order)
{
	struct lane *l = lane(1, JOBS);
	int i;

	for (i = 0; i < JOBS; i++)
		ck_assert_int_eq(submit(l, i, counts), 0);
	ck_assert_int_eq(wait_until(&done, JOBS), 1);
	for (i = 0; i < JOBS; i++)
		ck_assert_int_eq(order[i], i);
	ck_assert_int_eq(lane_close(l, 1000), 0);
	ck_assert_int_eq(started, 1);
	ck_assert_int_eq(ending, 1);
}
END_TEST

START_TEST(workers_come_as_they_are_needed)
{
	struct lane *l = lane(4, 10);
	int i;

	nap(20);
	ck_assert_int_eq(started, 0); /* nobody asked */
	for (i = 0; i < 10; i++) {    /* one after the other needs one */
		ck_assert_int_eq(submit(l, i, counts), 0);
		ck_assert_int_eq(wait_until(&done, i + 1), 1);
		nap(2);
	}
	ck_assert_int_eq(started, 1);
	for (i = 0; i < 4; i++)
		ck_assert_int_eq(submit(l, i, holds), 0);
	ck_assert_int_eq(wait_until(&held, 4), 1); /* all at once */
	ck_assert_int_eq(started, 15);
	release = 1;
	ck_assert_int_eq(lane_close(l, 1000), 0);
	ck_assert_int_eq(ending, 15);
}
END_TEST

START_TEST(full_queue_refuses_and_recovers)
{
	struct lane *l = lane(1, 3);
	int i;

	ck_assert_int_eq(submit(l, 0, holds), 0);
	ck_assert_int_eq(wait_until(&held, 1), 1);
	for (i = 1; i < 4; i++)
		ck_assert_int_eq(submit(l, i, counts), 0);
	ck_assert_int_eq(lane_waiting(l), 3);
	ck_assert_int_eq(submit(l, 4, counts), -1);
	release = 1;
	ck_assert_int_eq(wait_until(&done, 4), 1);
	ck_assert_int_eq(lane_waiting(l), 0);
	ck_assert_int_eq(submit(l, 4, counts), 0);
	ck_assert_int_eq(wait_until(&done, 5), 1);
	ck_assert_int_eq(lane_close(l, 1000), 0);
}
END_TEST

static void *lets_go(void *arg)
{
	(void)arg;
	nap(50);
	release = 1;
	return NULL;
}

START_TEST(closing_runs_what_is_queued)
{
	struct lane *l = lane(1, 100);
	pthread_t t;
	int i;

	ck_assert_int_eq(submit(l, 0, holds), 0);
	for (i = 1; i < 50; i++)
		ck_assert_int_eq(submit(l, i, counts), 0);
	ck_assert_int_eq(pthread_create(&t, NULL, lets_go, NULL), 0);
	ck_assert_int_eq(lane_close(l, 2000), 0);
	ck_assert_int_eq(done, 50);
	pthread_join(t, NULL);
	l = lane(2, 10);
	ck_assert_int_eq(lane_close(l, 0), 0); /* one that nobody used */
	ck_assert_int_eq(lane_close(NULL, 0), 0);
}
END_TEST

START_TEST(stuck_worker_is_left_alone)
{
	static struct lane *l; /* it stays for ever */
	int64_t start;

	l = lane(1, 10);
	ck_assert_int_eq(submit(l, 0, holds), 0);
	ck_assert_int_eq(wait_until(&held, 1), 1);
	start = clock_ms();
	ck_assert_int_eq(lane_close(l, 100), -1);
	ck_assert_int_ge(clock_ms() - start, 99);
	ck_assert_int_lt(clock_ms() - start, 2000);
	ck_assert_int_eq(submit(l, 1, counts), -1); /* it is closed all the same */
	release = 1;
	ck_assert_int_eq(wait_until(&ending, 1), 1);
}
END_TEST

static void looks_at_signals(struct lane_job *j)
{
	sigset_t blocked;

	(void)j;
	pthread_sigmask(SIG_SETMASK, NULL, &blocked);
	ck_assert_int_eq(sigismember(&blocked, SIGTERM), 1);
	ck_assert_int_eq(sigismember(&blocked, SIGINT), 1);
	done++;
}

START_TEST(signals_are_for_the_main_thread)
{
	struct lane *l = lane(1, 10);
	sigset_t blocked;

	ck_assert_int_eq(submit(l, 0, looks_at_signals), 0);
	pthread_sigmask(SIG_SETMASK, NULL, &blocked);
	ck_assert_int_eq(sigismember(&blocked, SIGTERM), 0);
	ck_assert_int_eq(lane_close(l, 1000), 0);
	ck_assert_int_eq(done, 1);
}
END_TEST

/* How a fiber waits for a job: the job posts to the fiber's loop, which wakes it. */
struct wait {
	struct lane_job job;
	struct loop_task back;
	struct loop *loop;
	struct fiber *fiber;
	int result; /* the job's, until it is back */
	int back_again;
};

static struct lane *shared;

static void is_back(struct loop_task *t)
{
	struct wait *w = (struct wait *)((char *)t - offsetof(struct wait, back));

	w->back_again = 1;
	fiber_wake(w->fiber);
}

static void works(struct lane_job *j)
{
	struct wait *w = (struct wait *)j;

	w->result++;
	loop_post(w->loop, &w->back);
}

static void waits(void *arg)
{
	struct wait w = { .job.run = works, .back.run = is_back, .loop = loop_self(), .fiber = fiber_self() };
	int i;

	(void)arg;
	for (i = 0; i < 100; i++) {
		w.back_again = 0;
		ck_assert_int_eq(lane_submit(shared, &w.job), 0);
		while (!w.back_again)
			fiber_park();
		ck_assert_int_eq(w.result, i + 1);
	}
	done++;
}

static void starts_waits(void *arg)
{
	int i;

	for (i = 0; i < 20; i++)
		ck_assert_int_eq(fiber_start(arg, waits, NULL), 0);
}

START_TEST(fibers_wait_for_jobs)
{
	struct loop *loops[2];
	int i;

	shared = lane(3, 100);
	for (i = 0; i < 2; i++) {
		loops[i] = loop_new(i);
		ck_assert_int_eq(loop_start(loops[i]), 0);
		loop_call(loops[i], starts_waits, loops[i]);
	}
	ck_assert_int_eq(wait_until(&done, 40), 1);
	for (i = 0; i < 2; i++) {
		loop_stop(loops[i]);
		loop_join(loops[i]);
		loop_free(loops[i]);
	}
	ck_assert_int_eq(lane_close(shared, 1000), 0);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("lane");
	TCase *t = tcase_create("lane");
	SRunner *r;
	int failed;

	tcase_set_timeout(t, 60);
	tcase_add_test(t, one_worker_keeps_the_order);
	tcase_add_test(t, workers_come_as_they_are_needed);
	tcase_add_test(t, full_queue_refuses_and_recovers);
	tcase_add_test(t, closing_runs_what_is_queued);
	tcase_add_test(t, stuck_worker_is_left_alone);
	tcase_add_test(t, signals_are_for_the_main_thread);
	tcase_add_test(t, fibers_wait_for_jobs);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
