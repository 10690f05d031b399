/* SPDX-License-Identifier: Apache-2.0 */
/* The HTTP/1.1 client with peers that mean well: forms of answers, kept connections, streams. */
#include "http_peer.h"
#include "http/client_inside.h"

/* ---- well-behaved ---- */

static void one_get(void)
{
	struct http_field f[] = { { STR("dapr-app-id"), STR("me") },
				  { STR("Host"), STR("evil") },
				  { STR("content-length"), STR("7") } };
	struct http_request q = get("/a%2Fb?x=1");
	struct arena *a = arena_new();
	struct http_call *c;
	struct str body, piece;
	struct error e;

	q.fields = f;
	q.nfields = COUNT(f);
	e = http_client_request(client, &q, a, &c);
	ck_assert(!error_is(&e));
	ck_assert_int_eq(c->status, 200);
	ck_assert_int_eq(c->content_length, 5);
	ck_assert_uint_eq(c->nfields, 4);
	ck_assert(str_is(c->fields[1].name, "x-thing") && str_is(c->fields[1].value, "a"));
	ck_assert(str_is(c->fields[2].name, "x-thing") && str_is(c->fields[2].value, "b"));
	ck_assert(str_is(http_call_field(c, STR("empty")), ""));
	ck_assert_ptr_null(http_call_field(c, STR("none")).p);
	e = http_call_read_all(c, 5, &body);
	ck_assert(!error_is(&e));
	ck_assert_str_eq(body.p, "hello");
	ck_assert_int_eq(http_call_read(c, &piece, &e), 0);
	ck_assert_uint_eq(c->received, 5);
	http_call_close(c);
	http_call_close(c);
	arena_unref(a);
}

START_TEST(a_get_and_its_answer)
{
	char want[200];

	serve_with(serve_hello);
	on_fiber(one_get);
	snprintf(want, sizeof(want), "GET /a%%2Fb?x=1 HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nDapr-App-Id: me\r\n\r\n", port);
	ck_assert_str_eq(heard, want);
}
END_TEST

static void many_gets(void)
{
	struct http_request q;
	int i;

	for (i = 0; i < 100; i++) {
		q = get("/");
		expect(&q, 200, "hello");
	}
	ck_assert_int_eq(http_client_connections(client), 1);
}

START_TEST(connections_are_kept)
{
	serve_with(serve_hello);
	on_fiber(many_gets);
	ck_assert_int_eq(accepted, 1);
}
END_TEST

static void post_then_empty_post(void)
{
	struct http_request q = get("/p");

	q.method = STR("POST");
	q.body = STR("0123456789");
	expect(&q, 200, "hello");
	q.body = STR("");
	expect(&q, 200, "hello");
}

static void serve_post(int fd, int nth)
{
	char body[11] = "";

	(void)nth;
	ck_assert(hear(fd, heard, sizeof(heard), "\r\n\r\n"));
	ck_assert_ptr_nonnull(strstr(heard, "\r\nContent-Length: 10\r\n"));
	ck_assert_int_eq(recv(fd, body, 10, MSG_WAITALL), 10);
	ck_assert_str_eq(body, "0123456789");
	say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");
	ck_assert(hear(fd, heard, sizeof(heard), "\r\n\r\n"));
	ck_assert_ptr_nonnull(strstr(heard, "\r\nContent-Length: 0\r\n"));
	say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");
	wait_close(fd);
}

START_TEST(a_body_has_its_length)
{
	serve_with(serve_post);
	on_fiber(post_then_empty_post);
	ck_assert_int_eq(accepted, 1);
}
END_TEST

/* Answers by target: "/N" is ANSWERS[N]; the connection stays open unless it says close. */
static const struct {
	const char *method, *answer;
	int status;
	const char *body;
	int close, kept;
} ANSWERS[] = {
	{ "GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n1\r\n!\r\n0\r\nA: b\r\n\r\n",
	  200, "hello!", 0, 1 },
	{ "GET", "HTTP/1.1 200 OK\r\n\r\nto the end", 200, "to the end", 1, 0 },
	{ "GET", "HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\na", 200, "a", 0, 0 },
	{ "GET", "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\na", 200, "a", 0, 0 },
	{ "HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n", 200, "", 0, 1 },
	{ "HEAD", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", 200, "", 0, 1 },
	{ "GET", "HTTP/1.1 204 No Content\r\n\r\n", 204, "", 0, 1 },
	{ "GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", 304, "", 0, 1 },
	{ "GET",
	  "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 201 C\r\nContent-Length: "
	  "0\r\n\r\n",
	  201, "", 0, 1 },
	{ "GET", "HTTP/1.1 500 \r\nContent-Length: 2\r\n\r\nno", 500, "no", 0, 1 },
	{ "GET", "HTTP/1.1 404\r\nContent-Length: 2\r\n\r\nno", 404, "no", 0, 1 },
	/* bytes behind its end: what it answers counts, the connection does not */
	{ "GET", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil", 200,
	  "ok", 0, 0 },
	{ "DELETE", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 200, "", 0, 1 },
};

static void serve_answers(int fd, int nth)
{
	char head[4096], *slash;

	(void)nth;
	while (hear(fd, head, sizeof(head), "\r\n\r\n")) {
		int i;

		slash = strchr(head, '/');
		i = (int)strtol(slash + 1, NULL, 10);
		say(fd, ANSWERS[i].answer);
		if (ANSWERS[i].close)
			return;
	}
}

static int number;

static void one_answer(void)
{
	char target[20];
	struct http_request q;

	snprintf(target, sizeof(target), "/%d", number);
	q = get(target);
	q.method = str_of(ANSWERS[number].method);
	expect(&q, ANSWERS[number].status, ANSWERS[number].body);
	ck_assert_int_eq(http_client_connections(client), ANSWERS[number].kept);
	expect(&q, ANSWERS[number].status, ANSWERS[number].body);
	ck_assert_int_eq(accepted, ANSWERS[number].kept ? 1 : 2);
}

START_TEST(every_form_of_an_answer)
{
	number = _i;
	serve_with(serve_answers);
	on_fiber(one_answer);
}
END_TEST

static void trailers(void)
{
	struct http_request q = get("/0");
	struct arena *a = arena_new();
	struct http_call *c;
	struct str body;
	struct error e = http_client_request(client, &q, a, &c);

	ck_assert(!error_is(&e));
	ck_assert_int_eq(c->content_length, -1);
	e = http_call_read_all(c, 0, &body);
	ck_assert(!error_is(&e));
	ck_assert_uint_eq(c->ntrailers, 1);
	ck_assert(str_is(c->trailers[0].name, "a") && str_is(c->trailers[0].value, "b"));
	ck_assert_uint_eq(c->nfields, 1);
	http_call_close(c);
	arena_unref(a);
}

START_TEST(trailers_come_with_the_end)
{
	serve_with(serve_answers);
	on_fiber(trailers);
}
END_TEST

/* ---- both bodies stream ---- */

#define STREAMED (64u << 20)

static void serve_echo(int fd, int nth)
{
	char line[64], piece[70000];

	(void)nth;
	if (!hear(fd, heard, sizeof(heard), "\r\n\r\n"))
		return;
	say(fd, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
	while (hear(fd, line, sizeof(line), "\r\n")) {
		size_t n = strtoul(line, NULL, 16);

		if (n == 0) {
			hear(fd, piece, sizeof(piece), "\r\n\r\n");
			say(fd, "0\r\n\r\n");
			break;
		}
		ck_assert_int_eq(recv(fd, piece, n + 2, MSG_WAITALL), (ssize_t)n + 2);
		say(fd, line);
		for (size_t at = 0; at < n + 2;) {
			ssize_t k = send(fd, piece + at, n + 2 - at, MSG_NOSIGNAL);

			ck_assert_int_gt(k, 0);
			at += (size_t)k;
		}
	}
	wait_close(fd);
}

struct echo {
	struct http_call *c;
	struct fiber *reader;
	int written;
};

static void write_all(void *arg)
{
	static char piece[65536];
	struct echo *x = arg;
	struct http_field trailer = { STR("sum"), STR("1") };
	struct error e;
	size_t n;

	for (n = 0; n < STREAMED; n += sizeof(piece)) {
		memset(piece, (int)(n >> 16), sizeof(piece));
		e = http_call_write(x->c, (struct str){ piece, sizeof(piece) });
		ck_assert_msg(!error_is(&e), STR_FMT, STR_ARG(e.message));
	}
	e = http_call_end(x->c, &trailer, 1);
	ck_assert(!error_is(&e));
	x->written = 1;
	fiber_wake(x->reader);
}

static void echo(void)
{
	struct http_request q = get("/echo");
	struct arena *a = arena_new();
	struct echo x = { .c = http_call_new(client, a), .reader = fiber_self() };
	struct client_call *k = client_call_of(x.c);
	struct str piece;
	size_t n = 0, i;
	struct error e;
	int rc;

	q.method = STR("POST");
	q.streamed = 1;
	q.length = -1;
	q.deadline_ns = in_ms(60000);
	e = http_call_start(x.c, &q);
	ck_assert(!error_is(&e));
	fiber_start(loop, write_all, &x);
	e = http_call_head(x.c);
	ck_assert(!error_is(&e));
	ck_assert(!x.written); /* the answer came before the question was complete */
	while ((rc = http_call_read(x.c, &piece, &e)) > 0) {
		for (i = 0; i < piece.n; i += 1009)
			ck_assert_int_eq((unsigned char)piece.p[i], ((n + i) >> 16) & 255);
		n += piece.n;
		ck_assert_uint_lt(k->in.cap + k->out.cap, 512 * 1024);
	}
	ck_assert_msg(rc == 0, STR_FMT, STR_ARG(e.message));
	ck_assert_uint_eq(n, STREAMED);
	while (!x.written)
		fiber_park();
	ck_assert_uint_lt(arena_size(a), 256 * 1024);
	http_call_close(x.c);
	arena_unref(a);
	ck_assert_int_eq(http_client_connections(client), 1);
}

START_TEST(both_bodies_stream_at_once)
{
	serve_with(serve_echo);
	on_fiber(echo);
	ck_assert_ptr_nonnull(strstr(heard, "\r\nTransfer-Encoding: chunked\r\n"));
}
END_TEST

static atomic_size_t poured;

static void serve_flood(int fd, int nth)
{
	static char piece[65536];

	(void)nth;
	hear_head(fd);
	say(fd, "HTTP/1.1 200 OK\r\n\r\n");
	for (;;) {
		ssize_t n = send(fd, piece, sizeof(piece), MSG_NOSIGNAL);

		if (n <= 0)
			return;
		poured += (size_t)n;
	}
}

static void do_not_read(void)
{
	struct http_request q = get("/");
	struct arena *a = arena_new();
	struct http_call *c;
	struct error e = http_client_request(client, &q, a, &c);
	struct str body;
	size_t before;

	ck_assert(!error_is(&e));
	fiber_park_until(in_ms(300));
	before = poured;
	fiber_park_until(in_ms(300));
	ck_assert_uint_eq(poured, before);
	ck_assert_uint_le(client_call_of(c)->in.n, CLIENT_INBOX + 32768);
	e = http_call_read_all(c, 1 << 20, &body);
	ck_assert_int_eq(e.code, ERROR_RESOURCE_EXHAUSTED);
	http_call_close(c);
	arena_unref(a);
}

START_TEST(what_is_not_read_is_not_sent)
{
	serve_with(serve_flood);
	on_fiber(do_not_read);
}
END_TEST

static void serve_refusal(int fd, int nth)
{
	(void)nth;
	hear_head(fd);
	say(fd, "HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nbig");
	poll(NULL, 0, 200);
}

static void refused_body(void)
{
	static char body[8 << 20];
	struct http_request q = get("/");
	struct arena *a = arena_new();
	struct http_call *c = http_call_new(client, a);
	struct error e;
	int i;

	q.method = STR("POST");
	q.body = (struct str){ body, sizeof(body) };
	expect(&q, 413, "big");
	ck_assert_int_eq(http_client_connections(client), 0);
	q.body = STR_NONE;
	q.streamed = 1;
	q.length = sizeof(body);
	e = http_call_start(c, &q);
	ck_assert(!error_is(&e));
	for (i = 0; i < 8 && !error_is(&e); i++)
		e = http_call_write(c, (struct str){ body, 1 << 20 });
	ck_assert_int_eq(e.code, ERROR_ABORTED);
	e = http_call_head(c);
	ck_assert(!error_is(&e));
	ck_assert_int_eq(c->status, 413);
	http_call_close(c);
	arena_unref(a);
}

START_TEST(an_answer_before_the_body_was_sent)
{
	serve_with(serve_refusal);
	on_fiber(refused_body);
}
END_TEST

static void wrong_length(void)
{
	struct http_request q = get("/");
	struct arena *a = arena_new();
	struct http_call *c = http_call_new(client, a), *d = http_call_new(client, a);
	struct error e;

	q.method = STR("PUT");
	q.streamed = 1;
	q.length = 3;
	e = http_call_start(c, &q);
	ck_assert(!error_is(&e));
	e = http_call_write(c, STR("four"));
	ck_assert_int_eq(e.code, ERROR_INVALID_ARGUMENT);
	e = http_call_start(d, &q);
	ck_assert(!error_is(&e));
	e = http_call_end(d, NULL, 0);
	ck_assert_int_eq(e.code, ERROR_INVALID_ARGUMENT);
	arena_unref(a); /* closes both */
	ck_assert_int_eq(http_client_connections(client), 0);
}

static void serve_silence(int fd, int nth)
{
	(void)nth;
	wait_close(fd);
}

START_TEST(a_body_that_is_not_as_long_as_told)
{
	serve_with(serve_silence);
	on_fiber(wrong_length);
}
END_TEST

/* ---- connections that went stale ---- */

static void serve_once(int fd, int nth)
{
	(void)nth;
	hear_head(fd);
	say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");
}

static void closed_behind_us(void)
{
	struct http_request q = get("/");
	int i;

	for (i = 0; i < 5; i++) {
		q = get("/");
		q.method = i % 2 ? STR("POST") : STR("GET");
		expect(&q, 200, "hello");
		usleep(20000); /* keeps the loop from seeing it */
	}
}

START_TEST(a_kept_connection_that_was_closed)
{
	serve_with(serve_once);
	on_fiber(closed_behind_us);
	ck_assert_int_eq(accepted, 5);
}
END_TEST

/* The second request on a connection is read, and never answered. */
static void serve_trap(int fd, int nth)
{
	serve_once(fd, nth);
	hear_head(fd);
	if (nth % 2)
		reset(dup(fd));
}

static void trapped(void)
{
	struct http_request q = get("/");

	expect(&q, 200, "hello");
	expect(&q, 200, "hello"); /* once more, on a connection of its own */
	ck_assert_int_eq(accepted, 2);
	q.method = STR("POST");
	q.body = STR("pay");
	expect_error(&q, ERROR_UNAVAILABLE, ""); /* it may have been done */
	ck_assert_int_eq(accepted, 2);
}

START_TEST(only_safe_methods_are_sent_again)
{
	serve_with(serve_trap);
	on_fiber(trapped);
}
END_TEST

static void serve_nothing(int fd, int nth)
{
	(void)nth;
	hear_head(fd);
}

static void never_answered(void)
{
	struct http_request q = get("/");

	expect_error(&q, ERROR_UNAVAILABLE, "EOF");
	ck_assert_int_eq(accepted, 1); /* a new connection is no reason to try again */
}

START_TEST(a_connection_that_ends_without_an_answer)
{
	serve_with(serve_nothing);
	on_fiber(never_answered);
}
END_TEST

static void go_idle(void)
{
	struct http_request q = get("/");

	expect(&q, 200, "hello");
	ck_assert_int_eq(http_client_connections(client), 1);
	fiber_park_until(in_ms(250));
	ck_assert_int_eq(http_client_connections(client), 0);
}

START_TEST(idle_connections_are_closed)
{
	options.idle_timeout_ms = 100;
	serve_with(serve_hello);
	on_fiber(go_idle);
}
END_TEST

static void serve_noise(int fd, int nth)
{
	serve_once(fd, nth);
	poll(NULL, 0, 50);
	say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil");
	wait_close(fd);
}

static void unasked(void)
{
	struct http_request q = get("/");

	expect(&q, 200, "hello");
	fiber_park_until(in_ms(200));
	ck_assert_int_eq(http_client_connections(client), 0);
	expect(&q, 200, "hello");
}

START_TEST(an_answer_nobody_asked_for)
{
	serve_with(serve_noise);
	on_fiber(unasked);
	ck_assert_int_eq(accepted, 2);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *s = suite_create("httpclient");
	TCase *t = tcase_create("httpclient");

	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, set_up, tear_down);
	tcase_add_test(t, a_get_and_its_answer);
	tcase_add_test(t, connections_are_kept);
	tcase_add_test(t, a_body_has_its_length);
	tcase_add_loop_test(t, every_form_of_an_answer, 0, COUNT(ANSWERS));
	tcase_add_test(t, trailers_come_with_the_end);
	tcase_add_test(t, both_bodies_stream_at_once);
	tcase_add_test(t, what_is_not_read_is_not_sent);
	tcase_add_test(t, an_answer_before_the_body_was_sent);
	tcase_add_test(t, a_body_that_is_not_as_long_as_told);
	tcase_add_test(t, a_kept_connection_that_was_closed);
	tcase_add_test(t, only_safe_methods_are_sent_again);
	tcase_add_test(t, a_connection_that_ends_without_an_answer);
	tcase_add_test(t, idle_connections_are_closed);
	tcase_add_test(t, an_answer_nobody_asked_for);
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
