/* SPDX-License-Identifier: Apache-2.0 */
/* The services sleep, fiber, resolve and watch, from a loop and from a worker, and how much a thousand that wait cost. */
#include <davit/dial.h>
#include <davit/fiber.h>
#include <davit/resolve.h>
#include <davit/sleep.h>
#include <davit/watch.h>
#include <sys/socket.h>

#include "service_rig.h"

#include <check.h> /* last: it has a macro fail, which is a name of the plugin line */

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#else
#define SANITIZED 0
#endif

static davit_status last; /* what a service answered, where the kernel may have given up first */

/* ---- sleep ---- */

static davit_status sleep_for(struct davit_call *call, void *arg)
{
	last = davit_sleep_service(handle)->sleep(handle, call, *(int64_t *)arg);
	return last;
}

START_TEST(a_sleep_lasts_as_long_as_told)
{
	int64_t ms = 60;
	struct operation o;

	rig_set_up();
	o = rig_operation(_i, sleep_for, &ms);
	ck_assert_int_eq(rig_run(&o), DAVIT_OK);
	ck_assert_int_ge(o.took_ms, 59);
	ck_assert_int_lt(o.took_ms, 1000);
	ms = 0;
	ck_assert_int_eq(rig_run(&o), DAVIT_OK);
	rig_tear_down();
}
END_TEST

START_TEST(a_sleep_ends_with_its_call)
{
	int64_t ms = 10000;
	struct operation o;

	rig_set_up();
	o = rig_operation(_i, sleep_for, &ms);
	o.timeout_ms = 50;
	ck_assert_int_eq(rig_run(&o), DAVIT_DEADLINE_EXCEEDED);
	ck_assert_int_lt(o.took_ms, 2000);
	o = rig_operation(_i, sleep_for, &ms);
	o.cancel_ms = 50;
	ck_assert_int_eq(rig_run(&o), DAVIT_CANCELLED);
	ck_assert_int_lt(o.took_ms, 2000);
	rig_tear_down(); /* the worker is free again, or this would not end */
	ck_assert_int_eq(last, DAVIT_CANCELLED);
}
END_TEST

/* ---- fibers ---- */

static struct davit_fiber *parked;
static int helped, answers[3];

static void help(void *arg)
{
	helped = *(int *)arg;
	davit_fiber_service(handle)->wake(parked);
}

static davit_status ask_for_help(struct davit_call *call, void *arg)
{
	const struct davit_fiber_service *fiber = davit_fiber_service(handle);
	davit_status status;

	helped = 0;
	parked = fiber->self(handle);
	answers[0] = fiber->park(handle, call, 20);
	status = fiber->start(handle, help, arg);
	if (status != DAVIT_OK)
		return status;
	while (helped == 0)
		answers[1] = fiber->park(handle, call, 0);
	return DAVIT_OK;
}

static void cancel_it(void *arg)
{
	davit_fiber_service(handle)->cancel(arg);
}

static davit_status be_cancelled(struct davit_call *call, void *arg)
{
	const struct davit_fiber_service *fiber = davit_fiber_service(handle);
	davit_status status = fiber->start(handle, cancel_it, fiber->self(handle));

	(void)arg;
	if (status != DAVIT_OK)
		return status;
	answers[0] = davit_sleep_service(handle)->sleep(handle, call, 60000);
	answers[1] = davit_sleep_service(handle)->sleep(handle, call, 1); /* it was only that one */
	return DAVIT_OK;
}

START_TEST(what_a_fiber_waits_for_is_cancelled)
{
	struct operation o;

	rig_set_up();
	o = rig_operation(0, be_cancelled, NULL);
	ck_assert_int_eq(rig_run(&o), DAVIT_OK);
	ck_assert_int_eq(answers[0], DAVIT_CANCELLED);
	ck_assert_int_eq(answers[1], DAVIT_OK);
	rig_tear_down();
}
END_TEST

START_TEST(a_fiber_parks_until_another_wakes_it)
{
	struct operation o;
	int what = 7;

	rig_set_up();
	o = rig_operation(0, ask_for_help, &what);
	ck_assert_int_eq(rig_run(&o), DAVIT_OK);
	ck_assert_int_eq(helped, 7);
	ck_assert_int_eq(answers[0], DAVIT_DEADLINE_EXCEEDED);
	ck_assert_int_eq(answers[1], DAVIT_OK);
	o = rig_operation(1, ask_for_help, &what);
	ck_assert_int_eq(rig_run(&o), DAVIT_FAILED_PRECONDITION);
	rig_tear_down();
}
END_TEST

/* ---- resolve ---- */

struct question {
	const char *host;
	struct davit_address addresses[8];
	uint64_t n;
	char why[128];
	int64_t timeout_ms;
};

static davit_status resolve(struct davit_call *call, void *arg)
{
	struct question *q = arg;
	struct davit_resolve_in in = DAVIT_INIT(davit_resolve_in, .host = davit_str(q->host),
						.timeout_ms = q->timeout_ms, .why = q->why, .nwhy = sizeof(q->why));

	return davit_resolve_service(handle)->resolve(handle, call, &in, q->addresses, 8, &q->n);
}

START_TEST(a_name_has_addresses)
{
	struct question q = { .host = "localhost" };
	struct operation o;
	uint64_t i, found = 0;

	rig_set_up();
	o = rig_operation(_i, resolve, &q);
	ck_assert_int_eq(rig_run(&o), DAVIT_OK);
	for (i = 0; i < q.n; i++)
		found += strcmp(q.addresses[i].text, "127.0.0.1") == 0 || strcmp(q.addresses[i].text, "::1") == 0;
	ck_assert_int_gt(q.n, 0);
	ck_assert_int_eq(found, q.n);
	q.host = "[2001:db8::1]";
	ck_assert_int_eq(rig_run(&o), DAVIT_OK);
	ck_assert_int_eq(q.n, 1);
	ck_assert_str_eq(q.addresses[0].text, "2001:db8::1");
	q.host = "";
	ck_assert_int_eq(rig_run(&o), DAVIT_INVALID_ARGUMENT);
	q.host = "no-such-host.invalid";
	q.timeout_ms = 8000;
	ck_assert_int_ne(rig_run(&o), DAVIT_OK);
	ck_assert_ptr_nonnull(strstr(q.why, "lookup no-such-host.invalid: "));
	rig_tear_down();
}
END_TEST

/* ---- watch ---- */

static int pair[2];
static int32_t ready;

static davit_status watch_pair(struct davit_call *call, void *arg)
{
	const struct davit_watch_service *watch = davit_watch_service(handle);
	struct davit_watch *w;
	davit_status status = watch->open(handle, pair[0], &w);

	(void)arg;
	if (status != DAVIT_OK)
		return status;
	answers[0] = watch->wait(w, call, DAVIT_WATCH_READ, 30, &ready);
	answers[1] = watch->wait(w, call, DAVIT_WATCH_READ | DAVIT_WATCH_WRITE, 0, &ready);
	if (ready == DAVIT_WATCH_WRITE && write(pair[1], "x", 1) == 1)
		answers[2] = watch->wait(w, call, DAVIT_WATCH_READ, 0, &ready);
	watch->close(w);
	return DAVIT_OK;
}

START_TEST(a_descriptor_is_waited_for)
{
	struct operation o;

	rig_set_up();
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	answers[2] = -9;
	o = rig_operation(_i, watch_pair, NULL);
	ck_assert_int_eq(rig_run(&o), DAVIT_OK);
	ck_assert_int_eq(answers[0], DAVIT_DEADLINE_EXCEEDED);
	ck_assert_int_eq(answers[1], DAVIT_OK);
	ck_assert_int_eq(answers[2], DAVIT_OK);
	ck_assert_int_eq(ready, DAVIT_WATCH_READ);
	close(pair[0]);
	ck_assert_int_eq(rig_run(&o), DAVIT_INVALID_ARGUMENT);
	close(pair[1]);
	rig_tear_down();
}
END_TEST

/* ---- many at once ---- */

#define MANY 1000

static int listener, peers[MANY];
static _Atomic int asleep, wrong;
static struct errand errands[MANY];
static struct operation operations[MANY];

static davit_status wait_long(struct davit_call *call, void *arg)
{
	int64_t ms = 60000;

	(void)arg;
	asleep++;
	if (davit_sleep_service(handle)->sleep(handle, call, ms) != DAVIT_CANCELLED)
		wrong++;
	return DAVIT_CANCELLED;
}

static davit_status read_for_long(struct davit_call *call, void *arg)
{
	const struct davit_dial_service *dial = davit_dial_service(handle);
	struct davit_dial_to to = DAVIT_INIT(davit_dial_to, .host = davit_str("127.0.0.1"), .port = *(int *)arg);
	struct davit_stream *s;
	uint64_t n;
	char c;

	if (dial->dial(handle, call, &to, &s) != DAVIT_OK) {
		wrong++;
		return DAVIT_UNAVAILABLE;
	}
	asleep++;
	if (dial->read(s, call, &c, 1, 0, &n) != DAVIT_CANCELLED)
		wrong++;
	dial->close(s);
	return DAVIT_CANCELLED;
}

static long resident_kib(void)
{
	long pages = 0;
	FILE *f = fopen("/proc/self/statm", "r");

	if (f == NULL || fscanf(f, "%*d %ld", &pages) != 1)
		abort();
	fclose(f);
	return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

static int listen_here(void)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
	socklen_t n = sizeof(at);

	listener = socket(AF_INET, SOCK_STREAM, 0);
	if (bind(listener, (struct sockaddr *)&at, n) < 0 || listen(listener, MANY) < 0 ||
	    getsockname(listener, (struct sockaddr *)&at, &n) < 0)
		abort();
	return ntohs(at.sin_port);
}

START_TEST(a_thousand_wait_at_once)
{
	int i, port = listen_here(), naccepted = 0;
	long before, after;

	rig_set_up();
	before = resident_kib();
	asleep = wrong = 0;
	for (i = 0; i < MANY; i++) {
		operations[i] = rig_operation(0, i % 2 ? wait_long : read_for_long, &port);
		operations[i].cancel_ms = SANITIZED ? 8000 : 2500;
		rig_begin(&errands[i], 0, rig_operate, &operations[i]);
	}
	for (; naccepted < MANY / 2; naccepted++)
		peers[naccepted] = accept(listener, NULL, NULL);
	while (asleep < MANY)
		usleep(1000);
	after = resident_kib();
	for (i = 0; i < MANY; i++)
		rig_end(&errands[i]);
	ck_assert_int_eq(wrong, 0);
	for (i = 0; i < MANY; i++)
		ck_assert_int_eq(operations[i].status, DAVIT_CANCELLED);
	if (!SANITIZED)
		ck_assert_int_lt(after - before, 64 * 1024);
	printf("# a thousand that wait: %ld KiB\n", after - before);
	while (naccepted > 0)
		close(peers[--naccepted]);
	close(listener);
	rig_tear_down();
}
END_TEST

static davit_status start_one_more(struct davit_call *call, void *arg)
{
	(void)call;
	return davit_fiber_service(handle)->start(handle, help, arg);
}

START_TEST(fibers_have_a_limit)
{
	struct operation o;
	int what = 1;
	int64_t ms = 1;

	rig_set_up();
	fiber_limit(1); /* that is the operation's own */
	o = rig_operation(0, start_one_more, &what);
	ck_assert_int_eq(rig_run(&o), DAVIT_EXHAUSTED);
	o = rig_operation(1, sleep_for, &ms); /* needs one on the loop, too */
	ck_assert_int_eq(rig_run(&o), DAVIT_EXHAUSTED);
	fiber_limit(FIBER_LIMIT);
	ck_assert_int_eq(rig_run(&o), DAVIT_OK);
	rig_tear_down();
}
END_TEST

static davit_status ask_for_unknown(struct davit_call *call, void *arg)
{
	(void)call, (void)arg;
	return handle->host->service(handle, "davit.dial/2") == NULL && handle->host->service(handle, "") == NULL
		       ? DAVIT_OK
		       : DAVIT_INTERNAL;
}

START_TEST(what_is_not_there_is_null)
{
	struct operation o;

	rig_set_up();
	o = rig_operation(_i, ask_for_unknown, NULL);
	ck_assert_int_eq(rig_run(&o), DAVIT_OK);
	rig_tear_down();
}
END_TEST

int main(void)
{
	Suite *s = suite_create("service");
	TCase *t = tcase_create("all");
	SRunner *r;
	int failed;

	tcase_set_timeout(t, 60);
	tcase_add_loop_test(t, a_sleep_lasts_as_long_as_told, 0, 2);
	tcase_add_loop_test(t, a_sleep_ends_with_its_call, 0, 2);
	tcase_add_test(t, a_fiber_parks_until_another_wakes_it);
	tcase_add_test(t, what_a_fiber_waits_for_is_cancelled);
	tcase_add_loop_test(t, a_name_has_addresses, 0, 2);
	tcase_add_loop_test(t, a_descriptor_is_waited_for, 0, 2);
	tcase_add_test(t, a_thousand_wait_at_once);
	tcase_add_test(t, fibers_have_a_limit);
	tcase_add_loop_test(t, what_is_not_there_is_null, 0, 2);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
