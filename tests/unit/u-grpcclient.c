/* SPDX-License-Identifier: Apache-2.0 */
/* The gRPC client with this tree's own server at the other end, on a loop of its own. */
#include "base/mem.h"
#include "google/protobuf/wrappers.pb-c.h"
#include "grpc/client.h"
#include "grpc/client_status.h"
#include "grpc/server.h"
#include "http/client_inside.h"
#include "http/server.h"
#include "http_peer.h"

#define BYTES google__protobuf__bytes_value__descriptor
#define STRING google__protobuf__string_value__descriptor

/* ---- the server: what a method does beyond echoing, its metadata says ---- */

static struct loop *far;
static struct http_server *server;
static struct arena *server_arena;
static atomic_int cancels;
static char far_user_agent[64], far_timeout[20], far_te[20];

static int64_t number_of(struct grpc_call *c, struct str name)
{
	int64_t n;

	return str_int(grpc_metadata(c, name), &n) < 0 ? 0 : n;
}

static void on_cancel(void *arg)
{
	(void)arg;
	cancels++;
}

static struct error obey(struct grpc_call *c)
{
	int64_t until = clock_ns() + number_of(c, STR("x-sleep-ms")) * MS;

	grpc_on_cancel(c, on_cancel, NULL);
	snprintf(far_user_agent, sizeof(far_user_agent), STR_FMT, STR_ARG(grpc_metadata(c, STR("user-agent"))));
	snprintf(far_timeout, sizeof(far_timeout), STR_FMT, STR_ARG(grpc_metadata(c, STR("grpc-timeout"))));
	snprintf(far_te, sizeof(far_te), STR_FMT, STR_ARG(grpc_metadata(c, STR("te"))));
	while (clock_ns() < until)
		fiber_park_until(until);
	grpc_header(c, STR("y-text"), grpc_metadata(c, STR("x-text")));
	grpc_trailer(c, STR("z-text"), grpc_metadata(c, STR("x-text")));
	return (struct error){ .code = (int32_t)number_of(c, STR("x-status")),
			       .message = grpc_metadata(c, STR("x-message")) };
}

static struct error far_echo(struct grpc_call *c, const void *request, const ProtobufCMessage **ret_reply)
{
	*ret_reply = request;
	return obey(c);
}

static struct error far_repeat(struct grpc_call *c)
{
	Google__Protobuf__BytesValue reply = GOOGLE__PROTOBUF__BYTES_VALUE__INIT;
	int64_t n = number_of(c, STR("x-count"));
	struct error e = ERROR_NONE;
	void *request;

	if (grpc_recv(c, &BYTES, &request, &e) < 0)
		return e;
	reply.value.len = (size_t)number_of(c, STR("x-size"));
	reply.value.data = arena_zalloc(c->arena, reply.value.len + 1);
	while (n-- > 0)
		if (grpc_send(c, &reply.base) < 0)
			return ERROR_NONE;
	return obey(c);
}

static struct error far_chat(struct grpc_call *c)
{
	struct error e = ERROR_NONE;
	void *message;
	int rc;

	while ((rc = grpc_recv(c, &BYTES, &message, &e)) > 0)
		if (grpc_send(c, message) < 0)
			break;
	return rc < 0 ? e : obey(c);
}

static const struct grpc_method methods[] = {
	{ "Echo", GRPC_UNARY, &BYTES, &BYTES, far_echo, NULL },
	{ "Repeat", GRPC_SERVER_STREAM, &BYTES, &BYTES, NULL, far_repeat },
	{ "Chat", GRPC_BIDI, &BYTES, &BYTES, NULL, far_chat },
};
static const struct grpc_service service = { "test.Echo", methods, COUNT(methods) };
static const struct grpc_service *const services[] = { &service, NULL };
static struct grpc_options far_options = { .services = services, .message_limit = 4 << 20 };

static void listen_far(int at)
{
	struct http_server_options o = http_server_defaults();
	struct str why = STR("");

	o.name = "far";
	o.handle = grpc_handle;
	o.ctx = &far_options;
	server = http_listen_tcp(&o, &far, 1, "127.0.0.1", at, server_arena, &why);
	ck_assert_msg(server != NULL, STR_FMT, STR_ARG(why));
	port = http_server_port(server);
}

static void close_far(void)
{
	if (server != NULL)
		http_server_close(server, 2000);
	server = NULL;
}

static struct grpc_client_options rpc_options;
static struct grpc_client *rpc;

static void set_up_both(void)
{
	set_up();
	far = loop_new(1);
	ck_assert_int_eq(loop_start(far), 0);
	server_arena = arena_new();
	rpc_options = grpc_client_defaults();
	rpc_options.host = STR("127.0.0.1");
	rpc = NULL;
	cancels = 0;
	serve = NULL; /* no socket of http_peer.h's own */
	listen_far(0);
}

static void free_rpc(void *arg)
{
	(void)arg;
	grpc_client_free(rpc);
}

static void tear_down_both(void)
{
	loop_call(loop, free_rpc, NULL);
	tear_down();
	close_far();
	loop_stop(far);
	loop_join(far);
	loop_free(far);
	grpc_release(&far_options);
	arena_unref(server_arena);
}

/* On the loop. */
static struct grpc_client *to_far(void)
{
	rpc_options.port = port;
	if (rpc == NULL)
		rpc = grpc_client_new(loop, &rpc_options);
	ck_assert_ptr_nonnull(rpc);
	return rpc;
}

static struct grpc_request call_of_method(const char *path, const struct http_field *metadata, size_t n)
{
	return (struct grpc_request){
		.path = str_of(path), .deadline_ns = in_ms(10000), .metadata = metadata, .nmetadata = n
	};
}

/* Echo of `size` bytes; the error's text is static. */
static struct error echo_once(struct grpc_request q, size_t size)
{
	static char text[300];
	Google__Protobuf__BytesValue m = GOOGLE__PROTOBUF__BYTES_VALUE__INIT, *reply = NULL;
	struct arena *a = arena_new();
	struct error e;

	m.value.len = size;
	m.value.data = arena_zalloc(a, size + 1);
	memset(m.value.data, 'e', size);
	e = grpc_client_unary(to_far(), &q, &m.base, &BYTES, a, (void **)&reply);
	if (!error_is(&e)) {
		ck_assert_uint_eq(reply->value.len, size);
		ck_assert(size == 0 || memcmp(reply->value.data, m.value.data, size) == 0);
	}
	snprintf(text, sizeof(text), STR_FMT, STR_ARG(e.message));
	e.message = str_of(text);
	arena_unref(a);
	return e;
}

static void expect_status(struct error e, int code, const char *message)
{
	ck_assert_msg(e.code == code && str_is(e.message, message), "%s \"" STR_FMT "\", not %s \"%s\"",
		      error_code_name(e.code), STR_ARG(e.message), error_code_name(code), message);
}

static void unary_calls(void)
{
	static const size_t sizes[] = { 0, 1, 5, 100, 16379, 16384, 65536, 1 << 20, (4 << 20) - 5 };
	struct grpc_request q = call_of_method("/test.Echo/Echo", NULL, 0);
	size_t i;

	for (i = 0; i < COUNT(sizes); i++)
		expect_status(echo_once(q, sizes[i]), ERROR_OK, "");
	ck_assert_int_eq(http_client_connections(grpc_client_http(rpc)), 1);
	expect_status(echo_once(q, 4 << 20), ERROR_RESOURCE_EXHAUSTED,
		      "trying to send message larger than max (4194309 vs. 4194304)");
	q.deadline_ns = 0;
	expect_status(echo_once(q, 10), ERROR_OK, "");
	ck_assert_str_eq(far_timeout, "");
	ck_assert_str_eq(far_te, "trailers");
	ck_assert_str_eq(far_user_agent, "grpc-c-davit");
}

START_TEST(a_unary_call_of_any_size)
{
	on_fiber(unary_calls);
}
END_TEST

static void failures(void)
{
	struct http_field f[] = { { STR("x-status"), STR("9") },
				  { STR("x-message"), STR("100% k\xc3\xa4putt\xe2\x80\xa6") },
				  { STR("Grpc-Timeout"), STR("1n") },
				  { STR("te"), STR("x") } };
	struct grpc_request q = call_of_method("/test.Echo/Echo", f, COUNT(f));

	expect_status(echo_once(q, 10), ERROR_FAILED_PRECONDITION, "100% k\xc3\xa4putt\xe2\x80\xa6");
	q.path = STR("/test.Echo/None");
	expect_status(echo_once(q, 10), ERROR_UNIMPLEMENTED, "unknown method None for service test.Echo");
	q.path = STR("/test.Echo/a b");
	expect_status(echo_once(q, 10), ERROR_INVALID_ARGUMENT, "net/http: invalid request target");
	ck_assert_int_eq(http_client_connections(grpc_client_http(rpc)), 1);
}

START_TEST(the_status_and_its_message)
{
	on_fiber(failures);
}
END_TEST

static void metadata_both_ways(void)
{
	struct http_field f[] = { { STR("X-Text"), STR("hello, there") } };
	struct grpc_request q = call_of_method("/test.Echo/Chat", f, 1);
	struct arena *a = arena_new();
	struct grpc_stream *s = grpc_stream_new(to_far(), a);
	struct str m;
	struct error e = grpc_stream_start(s, &q);

	ck_assert(!error_is(&e));
	grpc_stream_end(s);
	ck_assert_int_eq(grpc_stream_head(s, &e), 0);
	ck_assert(str_is(grpc_stream_header(s, STR("y-text")), "hello, there"));
	ck_assert_int_eq(grpc_stream_recv_bytes(s, &m, &e), 0);
	ck_assert_int_eq(grpc_stream_recv_bytes(s, &m, &e), 0);
	ck_assert(str_is(grpc_stream_trailer(s, STR("z-text")), "hello, there"));
	ck_assert_ptr_null(grpc_stream_trailer(s, STR("y-none")).p);
	arena_unref(a);
}

START_TEST(metadata_goes_both_ways)
{
	on_fiber(metadata_both_ways);
}
END_TEST

static int running;
static struct fiber *boss;

static void one_echo(void *arg)
{
	int i;

	(void)arg;
	for (i = 0; i < 20; i++)
		expect_status(echo_once(call_of_method("/test.Echo/Echo", NULL, 0), 1000), ERROR_OK, "");
	if (--running == 0)
		fiber_wake(boss);
}

static void many_calls(void)
{
	int i;

	boss = fiber_self();
	for (i = 0; i < 300; i++) {
		running++;
		ck_assert_int_eq(fiber_start(loop, one_echo, NULL), 0);
	}
	while (running > 0)
		fiber_park();
	ck_assert_int_eq(http_client_connections(grpc_client_http(rpc)), 1);
}

START_TEST(many_calls_share_a_connection)
{
	on_fiber(many_calls);
	ck_assert_int_eq(http_server_connections(server), 1);
}
END_TEST

static void late(void)
{
	struct http_field f[] = { { STR("x-sleep-ms"), STR("400") } };
	struct grpc_request q = call_of_method("/test.Echo/Echo", f, 1);
	int64_t start = clock_ns();

	q.deadline_ns = start + 100 * MS;
	expect_status(echo_once(q, 10), ERROR_DEADLINE_EXCEEDED, "context deadline exceeded");
	ck_assert_int_ge(clock_ns() - start, 99 * MS);
	ck_assert_int_lt(clock_ns() - start, 300 * MS);
	usleep(2000); /* a fiber's time may come a part of a millisecond early */
	expect_status(echo_once(q, 10), ERROR_DEADLINE_EXCEEDED, "context deadline exceeded");
	fiber_park_until(in_ms(50));
	ck_assert_int_eq(cancels, 1);
	ck_assert(strlen(far_timeout) > 0);
	expect_status(echo_once(call_of_method("/test.Echo/Echo", NULL, 0), 10), ERROR_OK, "");
	ck_assert_int_eq(http_client_connections(grpc_client_http(rpc)), 1);
}

START_TEST(a_deadline_holds_and_is_told)
{
	on_fiber(late);
}
END_TEST

static void cancel_stream(void *arg)
{
	fiber_park_until(in_ms(50));
	grpc_stream_cancel(arg);
}

static void cancelled(void)
{
	struct http_field f[] = { { STR("x-sleep-ms"), STR("400") } };
	struct grpc_request q = call_of_method("/test.Echo/Echo", f, 1);
	struct arena *a = arena_new();
	struct grpc_stream *s = grpc_stream_new(to_far(), a);
	struct str m;
	struct error e = grpc_stream_start_whole(s, &q, STR(""));

	ck_assert(!error_is(&e));
	fiber_start(loop, cancel_stream, s);
	ck_assert_int_eq(grpc_stream_recv_bytes(s, &m, &e), -1);
	expect_status(e, ERROR_CANCELLED, "context canceled");
	fiber_park_until(in_ms(50));
	ck_assert_int_eq(cancels, 1);
	grpc_stream_close(s);
	arena_unref(a);
}

START_TEST(cancelling_reaches_the_server)
{
	on_fiber(cancelled);
}
END_TEST

static void send_many(void *arg)
{
	Google__Protobuf__BytesValue m = GOOGLE__PROTOBUF__BYTES_VALUE__INIT;
	static uint8_t bytes[20000];
	struct grpc_stream *s = arg;
	int i;

	for (i = 0; i < 2000; i++) {
		m.value.data = bytes;
		m.value.len = (size_t)i * 10;
		ck_assert_int_eq(grpc_stream_send(s, &m.base), 0);
	}
	grpc_stream_end(s);
	running = 0;
	fiber_wake(boss);
}

static void chat(void)
{
	struct grpc_request q = call_of_method("/test.Echo/Chat", NULL, 0);
	struct arena *a = arena_new();
	struct grpc_stream *s = grpc_stream_new(to_far(), a);
	struct error e = grpc_stream_start(s, &q);
	Google__Protobuf__BytesValue *m;
	int n = 0, rc;

	ck_assert(!error_is(&e));
	boss = fiber_self();
	running = 1;
	fiber_start(loop, send_many, s);
	while ((rc = grpc_stream_recv(s, &BYTES, (void **)&m, &e)) > 0)
		ck_assert_uint_eq(m->value.len, (size_t)n++ * 10);
	ck_assert_msg(rc == 0, STR_FMT, STR_ARG(e.message));
	ck_assert_int_eq(n, 2000);
	while (running)
		fiber_park();
	ck_assert_uint_lt(arena_size(a), 64 * 1024); /* a message's memory goes with the next */
	grpc_stream_close(s);
	arena_unref(a);
}

START_TEST(a_chat_in_both_directions)
{
	on_fiber(chat);
}
END_TEST

static void slow_reader(void)
{
	struct http_field f[] = { { STR("x-count"), STR("2000") }, { STR("x-size"), STR("10000") } };
	struct grpc_request q = call_of_method("/test.Echo/Repeat", f, 2);
	struct arena *a = arena_new();
	struct grpc_stream *s = grpc_stream_new(to_far(), a);
	struct error e = grpc_stream_start_whole(s, &q, STR(""));
	struct client_call *k = client_call_of((struct http_call *)grpc_stream_http(s));
	Google__Protobuf__BytesValue *m;
	int n = 0, rc;

	ck_assert(!error_is(&e));
	while ((rc = grpc_stream_recv(s, &BYTES, (void **)&m, &e)) > 0) {
		if (n++ % 100 == 0) {
			fiber_park_until(in_ms(5));
			ck_assert_uint_le(k->in.n, 256 * 1024);
			expect_status(echo_once(call_of_method("/test.Echo/Echo", NULL, 0), 10), ERROR_OK, "");
		}
	}
	ck_assert_msg(rc == 0, STR_FMT, STR_ARG(e.message));
	ck_assert_int_eq(n, 2000);
	grpc_stream_close(s);
	arena_unref(a);
}

START_TEST(a_stream_read_slowly_holds_up_itself_alone)
{
	on_fiber(slow_reader);
}
END_TEST

static void leave_early(void)
{
	struct http_field f[] = { { STR("x-count"), STR("1000000") }, { STR("x-size"), STR("10000") } };
	struct grpc_request q = call_of_method("/test.Echo/Repeat", f, 2);
	struct arena *a = arena_new();
	struct grpc_stream *s = grpc_stream_new(to_far(), a);
	struct error e = grpc_stream_start_whole(s, &q, STR(""));
	struct str m;

	ck_assert(!error_is(&e));
	ck_assert_int_eq(grpc_stream_recv_bytes(s, &m, &e), 1);
	arena_unref(a); /* closes it */
	fiber_park_until(in_ms(100));
	ck_assert_int_eq(http_server_exchanges(server), 0);
	expect_status(echo_once(call_of_method("/test.Echo/Echo", NULL, 0), 10), ERROR_OK, "");
}

START_TEST(a_stream_may_be_left_early)
{
	on_fiber(leave_early);
}
END_TEST

/* ---- connections that go ---- */

static void echo_well(void)
{
	expect_status(echo_once(call_of_method("/test.Echo/Echo", NULL, 0), 10), ERROR_OK, "");
}

static void echo_nobody(void)
{
	char want[200];

	snprintf(
		want, sizeof(want),
		"connection error: desc = \"transport: Error while dialing: dial tcp 127.0.0.1:%d: connect: connection "
		"refused\"",
		port);
	expect_status(echo_once(call_of_method("/test.Echo/Echo", NULL, 0), 10), ERROR_UNAVAILABLE, want);
}

START_TEST(a_server_goes_and_comes_back)
{
	int i;

	for (i = 0; i < 3; i++) {
		on_fiber(echo_well);
		close_far();
		on_fiber(echo_nobody);
		on_fiber(echo_nobody);
		listen_far(port);
	}
	on_fiber(echo_well);
}
END_TEST

static void slow_echo(void)
{
	struct http_field f[] = { { STR("x-sleep-ms"), STR("200") } };

	expect_status(echo_once(call_of_method("/test.Echo/Echo", f, 1), 10), ERROR_OK, "");
	fiber_park_until(in_ms(50));
	ck_assert_int_eq(http_client_connections(grpc_client_http(rpc)), 0);
}

static void *drain_soon(void *arg)
{
	(void)arg;
	poll(NULL, 0, 80);
	http_server_drain(server);
	return NULL;
}

START_TEST(a_call_outlives_a_goaway)
{
	pthread_t t;

	pthread_create(&t, NULL, drain_soon, NULL);
	on_fiber(slow_echo);
	pthread_join(t, NULL);
}
END_TEST

static void go_idle(void)
{
	echo_well();
	ck_assert_int_eq(http_client_connections(grpc_client_http(rpc)), 1);
	fiber_park_until(in_ms(250));
	ck_assert_int_eq(http_client_connections(grpc_client_http(rpc)), 0);
	echo_well();
}

START_TEST(an_idle_connection_is_closed)
{
	rpc_options.idle_timeout_ms = 100;
	on_fiber(go_idle);
}
END_TEST

static void keep_alive(void)
{
	struct http_field f[] = { { STR("x-sleep-ms"), STR("300") } };

	expect_status(echo_once(call_of_method("/test.Echo/Echo", f, 1), 10), ERROR_OK, "");
}

START_TEST(pings_keep_a_silent_call)
{
	rpc_options.ping_ms = 30;
	rpc_options.ping_timeout_ms = 50;
	on_fiber(keep_alive);
}
END_TEST

START_TEST(timeouts_as_text)
{
	static const struct {
		int64_t ns;
		const char *text;
	} T[] = { { 0, "" },
		  { -1, "" },
		  { 1, "1n" },
		  { 99999999, "99999999n" },
		  { 100000000, "100000u" },
		  { 100000001, "100001u" },
		  { INT64_C(5000000000), "5000000u" },
		  { INT64_C(3600) * 1000000000, "3600000m" },
		  { INT64_C(1000000) * 1000000000, "1000000S" },
		  { INT64_MAX, "2562048H" } };
	char text[12] = "";
	size_t n;

	n = grpc_timeout_text(T[_i].ns, text);
	ck_assert_uint_eq(n, strlen(T[_i].text));
	ck_assert_str_eq(n > 0 ? text : "", T[_i].text);
	if (n > 0)
		ck_assert_int_ge(grpc_timeout_ns(str_of(text)), T[_i].ns);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("grpcclient");
	TCase *t = tcase_create("grpcclient");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, set_up_both, tear_down_both);
	tcase_add_test(t, a_unary_call_of_any_size);
	tcase_add_test(t, the_status_and_its_message);
	tcase_add_test(t, metadata_goes_both_ways);
	tcase_add_test(t, many_calls_share_a_connection);
	tcase_add_test(t, a_deadline_holds_and_is_told);
	tcase_add_test(t, cancelling_reaches_the_server);
	tcase_add_test(t, a_chat_in_both_directions);
	tcase_add_test(t, a_stream_read_slowly_holds_up_itself_alone);
	tcase_add_test(t, a_stream_may_be_left_early);
	tcase_add_test(t, a_server_goes_and_comes_back);
	tcase_add_test(t, a_call_outlives_a_goaway);
	tcase_add_test(t, an_idle_connection_is_closed);
	tcase_add_test(t, pings_keep_a_silent_call);
	tcase_add_loop_test(t, timeouts_as_text, 0, 10);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
