/* SPDX-License-Identifier: Apache-2.0 */
/* The HTTP client over HTTP/2, with this tree's own server at the other end, on a loop of its own. */
#include "http/client_inside.h"
#include "http/server.h"
#include "http_peer.h"

static struct loop *far;
static struct http_server *server;
static struct arena *server_arena;

/* Plain HTTP: the body comes back, with the method in a field. */
static void http_echo(void *ctx, struct http_exchange *x)
{
	static const struct http_field trailer = { STR("x-end"), STR("1") };
	struct http_field *f = arena_alloc(x->arena, 2 * sizeof(*f));
	struct str piece;
	int rc;

	(void)ctx;
	f[0] = (struct http_field){ STR("x-method"), x->method };
	f[1] = (struct http_field){ STR("x-target"), x->target };
	http_begin(x, 200, f, 2, -1);
	while ((rc = http_read(x, &piece)) > 0)
		if (http_write(x, piece) < 0)
			return;
	if (rc == 0)
		http_end(x, &trailer, 1);
}

static void set_up_both(void)
{
	struct http_server_options o = http_server_defaults();
	struct str why = STR("");

	set_up();
	serve = NULL; /* no socket of http_peer.h's own */
	options.major = 2;
	far = loop_new(1);
	ck_assert_int_eq(loop_start(far), 0);
	server_arena = arena_new();
	o.name = "far";
	o.handle = http_echo;
	server = http_listen_tcp(&o, &far, 1, "127.0.0.1", 0, server_arena, &why);
	ck_assert_msg(server != NULL, STR_FMT, STR_ARG(why));
	port = http_server_port(server);
}

static void tear_down_both(void)
{
	tear_down();
	http_server_close(server, 2000);
	loop_stop(far);
	loop_join(far);
	loop_free(far);
	arena_unref(server_arena);
}

static void plain(void)
{
	struct http_request q = get("/a%2Fb?x");
	struct arena *a = arena_new();
	struct http_call *c;
	struct str body;
	struct error e;

	q.method = STR("PUT");
	q.body = STR("what was sent");
	e = http_client_request(client, &q, a, &c);
	ck_assert_msg(!error_is(&e), STR_FMT, STR_ARG(e.message));
	ck_assert_int_eq(c->status, 200);
	ck_assert(str_is(http_call_field(c, STR("x-method")), "PUT"));
	ck_assert(str_is(http_call_field(c, STR("x-target")), "/a%2Fb?x"));
	e = http_call_read_all(c, 0, &body);
	ck_assert(!error_is(&e));
	ck_assert_str_eq(body.p, "what was sent");
	ck_assert_uint_eq(c->ntrailers, 1);
	http_call_close(c);
	q = get("/");
	q.method = STR("HEAD");
	expect(&q, 200, "");
	arena_unref(a);
}

START_TEST(http_over_one_connection)
{
	on_fiber(plain);
}
END_TEST

#define STREAMED (64u << 20)

static void pour(void *arg)
{
	static char piece[100000];
	struct error e = ERROR_NONE;
	size_t n;

	for (n = 0; n < STREAMED && !error_is(&e); n += sizeof(piece))
		e = http_call_write(arg, (struct str){ piece, sizeof(piece) });
	ck_assert_msg(!error_is(&e), STR_FMT, STR_ARG(e.message));
	e = http_call_end(arg, NULL, 0);
	ck_assert(!error_is(&e));
}

static void pour_through(void)
{
	struct http_request q = get("/");
	struct arena *a = arena_new();
	struct http_call *c = http_call_new(client, a);
	struct client_call *k = client_call_of(c);
	struct str piece;
	struct error e;
	int rc;

	q.method = STR("POST");
	q.streamed = 1;
	q.length = -1;
	q.deadline_ns = in_ms(60000);
	e = http_call_start(c, &q);
	ck_assert(!error_is(&e));
	fiber_start(loop, pour, c);
	while ((rc = http_call_read(c, &piece, &e)) > 0)
		ck_assert_uint_le(k->in.cap + k->out.cap, 2 << 20);
	ck_assert_msg(rc == 0, STR_FMT, STR_ARG(e.message));
	ck_assert_uint_eq(c->received, c->sent);
	ck_assert_uint_ge(c->received, STREAMED);
	ck_assert_uint_lt(arena_size(a), 64 * 1024);
	arena_unref(a);
}

START_TEST(both_bodies_stream_over_http2)
{
	on_fiber(pour_through);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("http2client");
	TCase *t = tcase_create("http2client");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, set_up_both, tear_down_both);
	tcase_add_test(t, http_over_one_connection);
	tcase_add_test(t, both_bodies_stream_over_http2);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
