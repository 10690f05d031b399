/* SPDX-License-Identifier: Apache-2.0 */
/* The HTTP/1.1 client with peers that do not mean well, or are slow, or absent; deadlines and cancelling. */
#include "http_peer.h"

static int number;

/* ---- the line ---- */

static void serve_slow(int fd, int nth)
{
	(void)nth;
	while (hear_head(fd)) {
		poll(NULL, 0, 50);
		say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");
	}
}

static int running, order[20], norder;
static struct fiber *boss;

static void one_of_many(void *arg)
{
	struct http_request q = get("/");

	q.deadline_ns = in_ms(10000);
	expect(&q, 200, "hello");
	order[norder++] = (int)(intptr_t)arg;
	if (--running == 0)
		fiber_wake(boss);
}

static void twenty(void)
{
	struct http_request q = get("/");
	int i;

	boss = fiber_self();
	for (i = 0; i < 20; i++) {
		running++;
		fiber_start(loop, one_of_many, (void *)(intptr_t)i);
	}
	fiber_park_until(in_ms(20));
	q.deadline_ns = in_ms(60);
	expect_error(&q, ERROR_DEADLINE_EXCEEDED, "deadline"); /* while it stood in line */
	while (running > 0)
		fiber_park();
	ck_assert_int_le(http_client_connections(client), 2);
	for (i = 0; i < 20; i++)
		ck_assert_int_le(abs(order[i] - i), 1); /* two at a time, in order */
}

START_TEST(calls_beyond_the_limit_wait_in_line)
{
	options.connection_limit = 2;
	serve_with(serve_slow);
	on_fiber(twenty);
	ck_assert_int_eq(accepted, 2);
}
END_TEST

static void serve_slow_close(int fd, int nth)
{
	(void)nth;
	hear_head(fd);
	poll(NULL, 0, 10);
	say(fd, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello");
}

START_TEST(a_closed_connection_makes_room_for_the_next)
{
	options.connection_limit = 2;
	serve_with(serve_slow_close);
	on_fiber(twenty);
	ck_assert_int_ge(accepted, 20);
}
END_TEST

/* ---- hostile ---- */

static const struct {
	const char *answer;
	int code;
	const char *part;
} HOSTILE[] = {
	{ "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf", ERROR_UNAVAILABLE, "unexpected EOF" },
	{ "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel", ERROR_UNAVAILABLE, "unexpected EOF" },
	{ "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", ERROR_UNAVAILABLE, "unexpected EOF" },
	{ "HTTP/1.1 200 OK\r\nContent-Le", ERROR_UNAVAILABLE, "EOF" },
	{ "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", ERROR_INTERNAL, "content-length" },
	{ "HTTP/1.1 200 OK\r\nContent-Length: 1x\r\n\r\nab", ERROR_INTERNAL, "content-length" },
	{ "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\nab", ERROR_INTERNAL, "content-length" },
	{ "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\nab", ERROR_INTERNAL, "content-length" },
	{ "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", ERROR_INTERNAL,
	  "broken" },
	{ "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", ERROR_INTERNAL, "chunk" },
	{ "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n", ERROR_INTERNAL, "broken" },
	{ "nonsense\r\n\r\n", ERROR_INTERNAL, "broken" },
	{ "HTTP/9.9.9 200 OK\r\n\r\n", ERROR_INTERNAL, "broken" },
	{ "HTTP/1.1 20 OK\r\n\r\n", ERROR_INTERNAL, "broken" },
	{ "HTTP/1.1 200 OK\r\na b: c\r\nContent-Length: 0\r\n\r\n", ERROR_INTERNAL, "malformed" },
	{ "HTTP/1.1 200 OK\r\na: \x01\r\nContent-Length: 0\r\n\r\n", ERROR_INTERNAL, "broken" },
	{ "HTTP/1.1 100 C\r\n\r\nHTTP/1.1 100 C\r\n\r\nHTTP/1.1 100 C\r\n\r\nHTTP/1.1 100 C\r\n\r\nHTTP/1.1 100 "
	  "C\r\n\r\n"
	  "HTTP/1.1 100 C\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
	  ERROR_INTERNAL, "1xx" },
	{ "", ERROR_UNAVAILABLE, "EOF" },
};

static void serve_hostile(int fd, int nth)
{
	(void)nth;
	hear_head(fd);
	say(fd, HOSTILE[number].answer);
}

static void serve_hostile_bytes(int fd, int nth)
{
	const char *p;

	(void)nth;
	hear_head(fd);
	for (p = HOSTILE[number].answer; *p != '\0'; p++) {
		if (send(fd, p, 1, MSG_NOSIGNAL) != 1)
			return;
		usleep(100);
	}
}

static void meet_hostile(void)
{
	struct http_request q = get("/");

	expect_error(&q, HOSTILE[number].code, HOSTILE[number].part);
	ck_assert_int_eq(http_client_connections(client), 0);
}

START_TEST(hostile_answers)
{
	number = _i;
	serve_with(serve_hostile);
	on_fiber(meet_hostile);
}
END_TEST

START_TEST(hostile_answers_byte_by_byte)
{
	number = _i;
	serve_with(serve_hostile_bytes);
	on_fiber(meet_hostile);
}
END_TEST

static const char *flood_start, *flood_unit;

static void serve_endless(int fd, int nth)
{
	static char units[60000];
	size_t n = 0;

	(void)nth;
	while (n + strlen(flood_unit) < sizeof(units))
		n += (size_t)snprintf(units + n, sizeof(units) - n, "%s", flood_unit);
	hear_head(fd);
	say(fd, flood_start);
	while (send(fd, units, n, MSG_NOSIGNAL) > 0)
		;
}

static void meet_endless(void)
{
	struct http_request q = get("/");
	char body[64];
	int status;
	struct error e = ask(&q, &status, body);

	ck_assert_msg(error_is(&e) && e.code != ERROR_DEADLINE_EXCEEDED, STR_FMT, STR_ARG(e.message));
	ck_assert_int_eq(http_client_connections(client), 0);
}

static const char *const ENDLESS[][2] = {
	{ "HTTP/1.1 200 OK\r\n", "a: b\r\n" },
	{ "HTTP/1.1 200 OK\r\nlong: ", "xxxxxxxx" },
	{ "HTTP/1.1 200 OK\r\n", "xxxxxxxx" },
	{ "HTTP/1.1 200 ", "xxxxxxxx" },
	{ "", "xxxxxxxxx" },
	{ "", "\r\n" },
	{ "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", "a: b\r\n" },
	{ "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "10\r\n0123456789012345\r\n" },
	{ "", "HTTP/1.1 102 Processing\r\n\r\n" },
};

START_TEST(endless_answers_end)
{
	flood_start = ENDLESS[_i][0];
	flood_unit = ENDLESS[_i][1];
	serve_with(serve_endless);
	on_fiber(meet_endless);
}
END_TEST

static void serve_big_head(int fd, int nth)
{
	char head[3000];

	hear_head(fd);
	snprintf(head, sizeof(head), "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nx: %0*d\r\n\r\n", nth == 1 ? 1900 : 2100,
		 1);
	say(fd, head);
}

static void big_heads(void)
{
	struct http_request q = get("/");

	expect(&q, 200, "");
	expect_error(&q, ERROR_RESOURCE_EXHAUSTED, "headers exceeded 2000 bytes");
}

START_TEST(the_header_limit)
{
	options.header_limit = 2000;
	serve_with(serve_big_head);
	on_fiber(big_heads);
}
END_TEST

static void serve_reset(int fd, int nth)
{
	(void)nth;
	hear_head(fd);
	say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
	poll(NULL, 0, 50);
	reset(dup(fd));
}

static void meet_reset(void)
{
	struct http_request q = get("/");
	struct arena *a = arena_new();
	struct http_call *c;
	struct error e = http_client_request(client, &q, a, &c);
	struct str piece;

	ck_assert(!error_is(&e));
	ck_assert_int_eq(http_call_read(c, &piece, &e), 1);
	ck_assert(str_is(piece, "half"));
	ck_assert_int_eq(http_call_read(c, &piece, &e), -1);
	ck_assert_int_eq(e.code, ERROR_UNAVAILABLE);
	ck_assert_int_eq(http_call_read(c, &piece, &e), -1);
	http_call_close(c);
	arena_unref(a);
}

START_TEST(a_reset_in_mid_answer)
{
	serve_with(serve_reset);
	on_fiber(meet_reset);
}
END_TEST

/* ---- deadlines, cancelling ---- */

static void serve_drip(int fd, int nth)
{
	(void)nth;
	hear_head(fd);
	if (heard[0] == '\0')
		wait_close(fd);
	say(fd, heard);
	for (;;) {
		poll(NULL, 0, 20);
		if (send(fd, "x", 1, MSG_NOSIGNAL) != 1)
			return;
	}
}

static void late(void)
{
	struct http_request q = get("/");
	int64_t start = clock_ns();

	q.deadline_ns = start + 150 * MS;
	expect_error(&q, ERROR_DEADLINE_EXCEEDED, "context deadline exceeded");
	ck_assert_int_ge(clock_ns() - start, 149 * MS);
	ck_assert_int_lt(clock_ns() - start, 400 * MS);
	ck_assert_int_eq(http_client_connections(client), 0);
	expect_error(&q, ERROR_DEADLINE_EXCEEDED, "context deadline exceeded"); /* past before it began */
}

static const char *const SLOW[] = { "", "HTTP/1.1 200 ", "HTTP/1.1 200 OK\r\n",
				    "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n" };

START_TEST(deadlines_hold)
{
	snprintf(heard, sizeof(heard), "%s", SLOW[_i]);
	serve_with(serve_drip);
	on_fiber(late);
}
END_TEST

static void serve_deaf(int fd, int nth)
{
	char c;

	(void)nth;
	poll(NULL, 0, 1000);
	(void)!recv(fd, &c, 1, 0);
}

static void write_late(void)
{
	static char body[32 << 20];
	struct http_request q = get("/");
	struct arena *a = arena_new();
	struct http_call *c = http_call_new(client, a);
	int64_t start = clock_ns();
	struct error e;

	q.method = STR("POST");
	q.streamed = 1;
	q.length = -1;
	q.deadline_ns = start + 150 * MS;
	e = http_call_start(c, &q);
	ck_assert(!error_is(&e));
	e = http_call_write(c, (struct str){ body, sizeof(body) });
	ck_assert_int_eq(e.code, ERROR_DEADLINE_EXCEEDED);
	ck_assert_int_lt(clock_ns() - start, 400 * MS);
	http_call_close(c);
	arena_unref(a);
}

START_TEST(a_peer_that_does_not_read)
{
	serve_with(serve_deaf);
	on_fiber(write_late);
}
END_TEST

static void unreachable(void)
{
	struct http_request q = get("/");
	int64_t start;
	int i;

	for (i = 0; i < 10 && http_client_reach(client, in_ms(100), NULL) == 0; i++)
		; /* until the backlog is full; the kernel drops what comes then */
	start = clock_ns();
	q.deadline_ns = start + 100 * MS;
	expect_error(&q, ERROR_DEADLINE_EXCEEDED, "deadline");
	ck_assert_int_lt(clock_ns() - start, 300 * MS);
	start = clock_ns();
	q.deadline_ns = start + 5000 * MS;
	expect_error(&q, ERROR_UNAVAILABLE, "i/o timeout");
	ck_assert_int_lt(clock_ns() - start, 600 * MS);
	ck_assert_int_eq(http_client_connections(client), 0);
}

START_TEST(connecting_has_its_time)
{
	serve = NULL;
	options.connect_timeout_ms = 250;
	listen_at("127.0.0.1", 0);
	on_fiber(unreachable);
	close(listener);
}
END_TEST

static void nobody(void)
{
	struct http_request q = get("/");

	expect_error(&q, ERROR_UNAVAILABLE, "connect: connection refused");
	ck_assert_int_eq(http_client_reach(client, in_ms(1000), NULL), -1);
}

START_TEST(nobody_listens)
{
	serve = NULL;
	listen_at("127.0.0.1", 1);
	close(listener);
	on_fiber(nobody);
}
END_TEST

static void by_name(void)
{
	struct http_request q = get("/");

	expect(&q, 200, "hello");
	ck_assert_int_eq(http_client_reach(client, in_ms(1000), NULL), 0);
}

START_TEST(names_are_resolved)
{
	options.host = STR("localhost");
	serve_with(serve_hello);
	on_fiber(by_name);
	ck_assert_ptr_nonnull(strstr(heard, "\r\nHost: localhost:"));
}
END_TEST

static void no_name(void)
{
	struct http_request q = get("/");

	q.deadline_ns = in_ms(20000);
	expect_error(&q, ERROR_UNAVAILABLE, "dial tcp: lookup no-such-host.invalid");
}

START_TEST(a_name_that_does_not_exist)
{
	serve = NULL;
	port = 1;
	options.host = STR("no-such-host.invalid");
	on_fiber(no_name);
}
END_TEST

static struct http_call *victim;

static void cancel_it(void *arg)
{
	fiber_park_until(in_ms((int)(intptr_t)arg));
	http_call_cancel(victim);
}

static void cancelled(void)
{
	struct http_request q = get("/");
	struct arena *a = arena_new();
	int64_t start = clock_ns();
	struct str body;
	struct error e;

	victim = http_call_new(client, a);
	fiber_start(loop, cancel_it, (void *)100);
	e = http_call_start(victim, &q);
	if (!error_is(&e))
		e = http_call_read_all(victim, 0, &body);
	ck_assert_int_eq(e.code, ERROR_CANCELLED);
	ck_assert_int_lt(clock_ns() - start, 300 * MS);
	http_call_close(victim);
	victim = http_call_new(client, a);
	http_call_cancel(victim);
	e = http_call_start(victim, &q);
	ck_assert_int_eq(e.code, ERROR_CANCELLED);
	arena_unref(a);
}

START_TEST(cancelling_while_it_waits_for_an_answer)
{
	snprintf(heard, sizeof(heard), "%s", SLOW[_i]);
	serve_with(serve_drip);
	on_fiber(cancelled);
}
END_TEST

static void cancelled_dialing(void)
{
	int i;

	for (i = 0; i < 10 && http_client_reach(client, in_ms(100), NULL) == 0; i++)
		;
	cancelled();
}

START_TEST(cancelling_while_it_connects)
{
	serve = NULL;
	listen_at("127.0.0.1", 0);
	on_fiber(cancelled_dialing);
	close(listener);
}
END_TEST

static void one_to_lose(void *arg)
{
	struct http_request q = get("/");
	char body[64];
	int status;
	struct error e = ask(&q, &status, body);

	(void)arg;
	ck_assert_int_eq(e.code, ERROR_CANCELLED);
	if (--running == 0)
		fiber_wake(boss);
}

static void freed_under_calls(void)
{
	int i;

	boss = fiber_self();
	for (i = 0; i < 5; i++) {
		running++;
		fiber_start(loop, one_to_lose, NULL);
	}
	fiber_park_until(in_ms(100));
	free_client(NULL);
	while (running > 0)
		fiber_park();
}

START_TEST(a_client_goes_while_calls_run)
{
	heard[0] = '\0';
	options.connection_limit = 3; /* and two in line */
	serve_with(serve_drip);
	on_fiber(freed_under_calls);
}
END_TEST

/* ---- what must not be sent ---- */

static void smuggle(void)
{
	static const struct {
		const char *method, *target, *name, *value, *authority;
	} BAD[] = {
		{ "GET", "/ HTTP/1.1\r\nx: y", "a", "b", "" },
		{ "GET", "/a b", "a", "b", "" },
		{ "GET", "", "a", "b", "" },
		{ "GET", "/\x7f", "a", "b", "" },
		{ "G ET", "/", "a", "b", "" },
		{ "", "/", "a", "b", "" },
		{ "GET\r\n", "/", "a", "b", "" },
		{ "CONNECT", "/", "a", "b", "" },
		{ "GET", "/", "", "b", "" },
		{ "GET", "/", "a b", "b", "" },
		{ "GET", "/", "a:", "b", "" },
		{ "GET", "/", "a", "b\r\nc: d", "" },
		{ "GET", "/", "a", "b\nc", "" },
		{ "GET", "/", "a", "\x01", "" },
		{ "GET", "/", "a", "b", "host\r\nx: y" },
		{ "GET", "/", "a", "b", "a b" },
	};
	struct http_request q = get("/");
	size_t i;

	for (i = 0; i < COUNT(BAD); i++) {
		struct http_field f = { str_of(BAD[i].name), str_of(BAD[i].value) };

		q = get(BAD[i].target);
		q.method = str_of(BAD[i].method);
		q.fields = &f;
		q.nfields = 1;
		q.authority = str_of(BAD[i].authority);
		expect_error(&q, ERROR_INVALID_ARGUMENT, "invalid");
	}
}

START_TEST(requests_that_would_hide_another_one)
{
	serve_with(serve_hello);
	on_fiber(smuggle);
	ck_assert_int_eq(accepted, 0);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *s = suite_create("httphostile");
	TCase *t = tcase_create("httphostile");

	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, set_up, tear_down);
	tcase_add_test(t, calls_beyond_the_limit_wait_in_line);
	tcase_add_test(t, a_closed_connection_makes_room_for_the_next);
	tcase_add_loop_test(t, hostile_answers, 0, COUNT(HOSTILE));
	tcase_add_loop_test(t, hostile_answers_byte_by_byte, 0, COUNT(HOSTILE));
	tcase_add_loop_test(t, endless_answers_end, 0, COUNT(ENDLESS));
	tcase_add_test(t, the_header_limit);
	tcase_add_test(t, a_reset_in_mid_answer);
	tcase_add_loop_test(t, deadlines_hold, 0, COUNT(SLOW));
	tcase_add_test(t, a_peer_that_does_not_read);
	tcase_add_test(t, connecting_has_its_time);
	tcase_add_test(t, nobody_listens);
	tcase_add_test(t, names_are_resolved);
	tcase_add_test(t, a_name_that_does_not_exist);
	tcase_add_loop_test(t, cancelling_while_it_waits_for_an_answer, 0, COUNT(SLOW));
	tcase_add_test(t, cancelling_while_it_connects);
	tcase_add_test(t, a_client_goes_while_calls_run);
	tcase_add_test(t, requests_that_would_hide_another_one);
	suite_add_tcase(s, t);
	return s;
}

int main(void)
{
	SRunner *r = srunner_create(make_suite());
	int failed;

	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
