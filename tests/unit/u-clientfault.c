/* SPDX-License-Identifier: Apache-2.0 */
/* For every n: the n-th allocation fails during a request. It fails or it succeeds, and the next one is well. */
#include "base/mem.h"
#include "grpc/client.h"
#include "h2_peer.h"
#include "http_peer.h"

static _Thread_local int fail_at; /* this allocation of the thread fails; 0: none */

static int fails(void)
{
	return fail_at > 0 && --fail_at == 0;
}

#include "failing_mem.h"

/* A request for more than any buffer holds at first, with a body of its own. 1: it ended before the n-th allocation. */
static int ask_failing(int n)
{
	static char body[100000];
	struct http_request q = get("/");
	struct arena *a;
	struct http_call *c = NULL;
	struct str got = STR("");
	struct error e;
	int left;

	q.method = STR("POST");
	q.body = (struct str){ body, options.major == 2 ? 30000 : sizeof(body) }; /* that peer opens no window */
	fail_at = n;
	a = arena_new();
	e = a == NULL ? (struct error){ .code = ERROR_RESOURCE_EXHAUSTED } : http_client_request(client, &q, a, &c);
	if (!error_is(&e))
		e = http_call_read_all(c, 0, &got);
	left = fail_at;
	fail_at = 0;
	if (error_is(&e))
		ck_assert_msg(e.code == ERROR_RESOURCE_EXHAUSTED, "%d: %s " STR_FMT, n, error_code_name(e.code),
			      STR_ARG(e.message));
	else
		ck_assert_uint_eq(got.n, 70000);
	http_call_close(c);
	arena_unref(a);
	return left > 0;
}

static void serve_big(int fd, int nth)
{
	static char text[70000];
	char head[4096], *p;
	size_t n;

	(void)nth;
	while (hear(fd, head, sizeof(head), "\r\n\r\n")) {
		for (n = 0; n < 100000; n += 10000) {
			char piece[10000];

			if (recv(fd, piece, sizeof(piece), MSG_WAITALL) != sizeof(piece))
				return;
		}
		p = head;
		p += snprintf(p, sizeof(head), "HTTP/1.1 200 OK\r\nContent-Length: 70000\r\n");
		for (n = 0; n < 40; n++)
			p += snprintf(p, 40, "X-Field-%zu: some text\r\n", n);
		snprintf(p, 40, "\r\n");
		say(fd, head);
		if (send_all(fd, text, sizeof(text)) < 0)
			return;
	}
}

static int tried;

static void fail_everywhere(void)
{
	while (!ask_failing(++tried))
		;
	ask_failing(0);
	http_client_free(client);
	client = NULL;
	/* And with no connection to begin with. */
	do {
		options.port = port;
		client = http_client_new(loop, &options);
		tried++;
		ask_failing(tried % 10 + 1);
		http_client_free(client);
	} while (tried % 10 != 9);
	client = http_client_new(loop, &options);
}

START_TEST(http1_without_memory)
{
	serve_with(serve_big);
	on_fiber(fail_everywhere);
	ck_assert_int_gt(tried, 10);
}
END_TEST

static void answer_long(int fd, int nth, uint32_t stream)
{
	static const char piece[10000];
	int i;

	(void)nth;
	headers(fd, stream, 0, ":status: 200\na: b\nc: d\ne: f\ng: h\ni: j\nk: l\nm: n\no: p\nq: r\n");
	for (i = 0; i < 7; i++)
		frame(fd, DATA, i == 6 ? END_STREAM : 0, stream, piece, sizeof(piece));
}

static void serve_wide(int fd, int nth)
{
	serve_frames(fd, nth);
}

/* A new client each time, so that the connection is made anew too. */
static void fail_http2(void)
{
	int ended = 0;

	http_client_free(client);
	while (!ended) {
		options.port = port;
		client = http_client_new(loop, &options);
		ended = ask_failing(++tried);
		http_client_free(client);
	}
	client = http_client_new(loop, &options);
	ask_failing(0);
}

START_TEST(http2_without_memory)
{
	options.major = 2;
	answer = answer_long;
	serve_with(serve_wide);
	on_fiber(fail_http2);
	ck_assert_int_gt(tried, 10);
}
END_TEST

static void answer_well(int fd, int nth, uint32_t stream)
{
	(void)nth;
	say_well(fd, stream);
}

static void fail_grpc(void)
{
	Google__Protobuf__BytesValue m = GOOGLE__PROTOBUF__BYTES_VALUE__INIT;
	struct grpc_request q = { .path = STR("/a.B/C"), .deadline_ns = in_ms(20000) };
	struct grpc_client *c;
	struct error e;
	void *reply;
	int left;

	do {
		struct arena *a = arena_new();

		rpc_options.port = port;
		fail_at = ++tried;
		c = grpc_client_new(loop, &rpc_options);
		e = c == NULL
			    ? (struct error){ .code = ERROR_RESOURCE_EXHAUSTED }
			    : grpc_client_unary(c, &q, &m.base, &google__protobuf__bytes_value__descriptor, a, &reply);
		left = fail_at;
		fail_at = 0;
		ck_assert_msg(!error_is(&e) || e.code == ERROR_RESOURCE_EXHAUSTED, "%d: %s " STR_FMT, tried,
			      error_code_name(e.code), STR_ARG(e.message));
		grpc_client_free(c);
		arena_unref(a);
	} while (left == 0);
	ck_assert(!error_is(&e));
}

START_TEST(grpc_without_memory)
{
	answer = answer_well;
	rpc_options = grpc_client_defaults();
	rpc_options.host = STR("127.0.0.1");
	serve_with(serve_frames);
	on_fiber(fail_grpc);
	ck_assert_int_gt(tried, 5);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("clientfault");
	TCase *t = tcase_create("clientfault");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, set_up, tear_down);
	tcase_add_test(t, http1_without_memory);
	tcase_add_test(t, http2_without_memory);
	tcase_add_test(t, grpc_without_memory);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
