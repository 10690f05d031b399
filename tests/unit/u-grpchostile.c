/* SPDX-License-Identifier: Apache-2.0 */
/* The gRPC client with peers that speak HTTP/2 frame by frame from here, badly or not at all. */
#include "google/protobuf/wrappers.pb-c.h"
#include "grpc/client.h"
#include "grpc/inside.h"
#include "grpc/zip.h"
#include "h2_peer.h"
#include "http/client_inside.h"

/* ---- answers that are none ---- */

static const struct {
	const char *head, *data;
	size_t ndata;
	const char *trailers; /* NULL: the data, or the head, ends the stream */
	int code;
	const char *part;
} BAD[] = {
	{ ":status: 404\ncontent-type: text/html\n", "<p>", 3, NULL, ERROR_UNIMPLEMENTED,
	  "unexpected HTTP status code received from server: 404 (Not Found); transport: received unexpected "
	  "content-type "
	  "\"text/html\"" },
	{ ":status: 503\n", "", 0, NULL, ERROR_UNAVAILABLE, "503 (Service Unavailable)" },
	{ ":status: 200\ncontent-type: text/html\n", "<p>", 3, NULL, ERROR_UNKNOWN, "text/html" },
	{ ":status: 200\n", "", 0, NULL, ERROR_UNKNOWN, "content-type \"\"" },
	{ ":status: 500\ncontent-type: application/grpc\n", "", 0, NULL, ERROR_UNKNOWN, "500" },
	{ ":status: 401\ncontent-type: application/grpcx\n", "", 0, NULL, ERROR_UNAUTHENTICATED, "401" },
	{ GRPC_HEAD, "\0\0\0\0\0", 5, NULL, ERROR_INTERNAL, "without sending trailers" },
	{ GRPC_HEAD, "\0\0\0\0\0", 5, "x: y\n", ERROR_INTERNAL, "without sending trailers" },
	{ GRPC_HEAD "grpc-status: 0\n", "\0\0\0\0\0", 5, "x: y\n", ERROR_INTERNAL, "without sending trailers" },
	{ GRPC_HEAD, "\0\0\0\0\0", 5, "grpc-status: x\n", ERROR_INTERNAL, "malformed grpc-status" },
	{ GRPC_HEAD, "\0\0\0\0\0", 5, "grpc-status: -1\n", ERROR_INTERNAL, "malformed grpc-status" },
	{ GRPC_HEAD, "\0\0\0\0\0", 5, "grpc-status: 77\ngrpc-message: odd\n", 77, "odd" },
	{ GRPC_HEAD, "\0\0\0\0\0", 5, "grpc-status: 200\ngrpc-message: odd\n", ERROR_UNKNOWN, "odd" },
	{ GRPC_HEAD, "", 0, "grpc-status: 5\ngrpc-message: 10%25 %C3%A4 %zz %4\n", ERROR_NOT_FOUND,
	  "10% \xc3\xa4 %zz %4" },
	{ GRPC_HEAD "grpc-status: 7\ngrpc-message: no\n", "", 0, NULL, ERROR_PERMISSION_DENIED, "no" },
	{ GRPC_HEAD GRPC_OK, "", 0, NULL, ERROR_INTERNAL, "no response message" },
	{ GRPC_HEAD, "\0\0\0\0\0\0\0\0\0\0", 10, GRPC_OK, ERROR_INTERNAL, "more than one" },
	{ GRPC_HEAD, "\0\0\0\0", 4, GRPC_OK, ERROR_INTERNAL, "unexpected EOF" },
	{ GRPC_HEAD, "\0\0\0\0\x09ye", 7, GRPC_OK, ERROR_INTERNAL, "unexpected EOF" },
	{ GRPC_HEAD, "\0\xff\xff\xff\xffye", 7, GRPC_OK, ERROR_RESOURCE_EXHAUSTED,
	  "received message larger than max (4294967295 vs. 100000)" },
	{ GRPC_HEAD, "\x02\0\0\0\0", 5, GRPC_OK, ERROR_INTERNAL, "unexpected payload format" },
	{ GRPC_HEAD, "\x01\0\0\0\0", 5, GRPC_OK, ERROR_INTERNAL, "compressed flag set" },
	{ GRPC_HEAD "grpc-encoding: gzip\n", "\x01\0\0\0\x03yes", 8, GRPC_OK, ERROR_INTERNAL, "" },
	{ GRPC_HEAD, "\0\0\0\0\x02\x0a\x7f", 7, GRPC_OK, ERROR_INTERNAL, "failed to unmarshal" },
	{ ":status: 1x\n", "", 0, NULL, ERROR_INTERNAL, "PROTOCOL_ERROR" },
	{ "content-type: application/grpc\n", "", 0, NULL, ERROR_INTERNAL, "PROTOCOL_ERROR" },
	{ ":status: 101\n", "", 0, GRPC_OK, ERROR_INTERNAL, "" },
};
static int number;

static void say_bad(int fd, int nth, uint32_t stream)
{
	(void)nth;
	if (requests == 2) {
		say_well(fd, stream);
		return;
	}
	headers(fd, stream, BAD[number].ndata == 0 && BAD[number].trailers == NULL ? END_STREAM : 0, BAD[number].head);
	if (BAD[number].ndata > 0)
		frame(fd, DATA, BAD[number].trailers == NULL ? END_STREAM : 0, stream, BAD[number].data,
		      BAD[number].ndata);
	if (BAD[number].trailers != NULL)
		headers(fd, stream, END_STREAM, BAD[number].trailers);
}

static void meet_bad(void)
{
	want(call_once(3000), BAD[number].code, BAD[number].part);
	well(); /* the next call has nothing of it */
}

START_TEST(answers_that_are_no_grpc)
{
	number = _i;
	answer = say_bad;
	serve_with(serve_frames);
	on_fiber(meet_bad);
	ck_assert_int_eq(accepted, 1);
}
END_TEST

static void say_zipped(int fd, int nth, uint32_t stream)
{
	struct arena *a = arena_new();
	struct str out;
	struct error e;

	(void)nth;
	ck_assert_int_eq(grpc_zip(grpc_zip_new(a), a, STR("\x0a\x04long"), GRPC_PREFIX, &out, &e), 0);
	grpc_frame_prefix((char *)out.p, 1, out.n - GRPC_PREFIX);
	headers(fd, stream, 0, GRPC_HEAD "grpc-encoding: gzip\n");
	frame(fd, DATA, 0, stream, out.p, out.n);
	headers(fd, stream, END_STREAM, GRPC_OK);
	arena_unref(a);
	arena_drop_stock(); /* the thread ends */
}

START_TEST(a_compressed_answer)
{
	answer = say_zipped;
	serve_with(serve_frames);
	on_fiber(well);
}
END_TEST

/* ---- streams and connections that end ---- */

static uint32_t reset_code;

static void say_reset(int fd, int nth, uint32_t stream)
{
	(void)nth;
	number_frame(fd, RST_STREAM, stream, reset_code, 0, 4);
}

static const struct {
	uint32_t h2;
	int code, times;
} RESETS[] = { { 0, ERROR_INTERNAL, 1 },
	       { 1, ERROR_INTERNAL, 1 },
	       { 2, ERROR_INTERNAL, 1 },
	       { 3, ERROR_RESOURCE_EXHAUSTED, 1 },
	       { 7, ERROR_UNAVAILABLE, 12 },
	       { 8, ERROR_CANCELLED, 1 },
	       { 11, ERROR_RESOURCE_EXHAUSTED, 1 },
	       { 12, ERROR_PERMISSION_DENIED, 1 },
	       { 999, ERROR_INTERNAL, 1 } };

static void meet_reset(void)
{
	want(call_once(3000), RESETS[number].code, "stream terminated by RST_STREAM with error code: ");
	ck_assert_int_eq(requests, RESETS[number].times); /* what was refused is tried again */
}

START_TEST(streams_that_are_reset)
{
	number = _i;
	reset_code = RESETS[_i].h2;
	answer = say_reset;
	serve_with(serve_frames);
	on_fiber(meet_reset);
}
END_TEST

static void refuse_first(int fd, int nth, uint32_t stream)
{
	(void)nth;
	if (requests == 1)
		number_frame(fd, RST_STREAM, stream, 7, 0, 4);
	else
		say_well(fd, stream);
}

START_TEST(a_refused_stream_is_sent_again)
{
	answer = refuse_first;
	serve_with(serve_frames);
	on_fiber(well);
	ck_assert_int_eq(requests, 2);
	ck_assert_int_eq(accepted, 1);
}
END_TEST

static void go_away_first(int fd, int nth, uint32_t stream)
{
	if (nth == 1)
		number_frame(fd, GOAWAY, 0, 0, 0, 8); /* it has looked at no stream */
	else
		say_well(fd, stream);
}

START_TEST(a_goaway_sends_the_call_elsewhere)
{
	answer = go_away_first;
	serve_with(serve_frames);
	on_fiber(well);
	ck_assert_int_eq(accepted, 2);
}
END_TEST

static void go_away_politely(int fd, int nth, uint32_t stream)
{
	(void)nth;
	number_frame(fd, GOAWAY, 0, 0x7fffffff, 0, 8);
	say_well(fd, stream);
}

static void three_calls(void)
{
	well();
	well();
	well();
	fiber_park_until(in_ms(50));
	ck_assert_int_eq(http_client_connections(grpc_client_http(rpc)), 0);
}

START_TEST(a_goaway_lets_its_calls_end)
{
	answer = go_away_politely;
	serve_with(serve_frames);
	on_fiber(three_calls);
	ck_assert_int_eq(accepted, 3);
}
END_TEST

static void hang_up(int fd, int nth, uint32_t stream)
{
	(void)nth;
	if (stream > 0 && number > 0)
		headers(fd, stream, 0, GRPC_HEAD);
	if (number > 1)
		reset(dup(fd));
	shutdown(fd, SHUT_RDWR);
}

static void meet_hang_up(void)
{
	want(call_once(3000), ERROR_UNAVAILABLE, "error reading from server: ");
	ck_assert_int_eq(requests, 1); /* it may have been done */
	ck_assert_int_eq(http_client_connections(grpc_client_http(rpc)), 0);
}

START_TEST(a_connection_that_breaks_under_a_call)
{
	number = _i;
	answer = hang_up;
	serve_with(serve_frames);
	on_fiber(meet_hang_up);
}
END_TEST

static void serve_short(int fd, int nth)
{
	char text[1000];

	if (nth % 2) {
		(void)!recv(fd, text, 24, MSG_WAITALL);
		return;
	}
	serve_frames(fd, nth);
}

static void well_after_all(void)
{
	int i;

	/* Nothing is known of whether the first was looked at; the next has a connection of its own. */
	for (i = 0; i < 2; i++)
		if (call_once(3000).code == ERROR_OK)
			return;
	ck_abort_msg("the client did not connect again");
}

static void say_well_always(int fd, int nth, uint32_t stream)
{
	(void)nth;
	say_well(fd, stream);
}

START_TEST(a_connection_that_breaks_at_once)
{
	answer = say_well_always;
	serve_with(serve_short);
	on_fiber(well_after_all);
}
END_TEST

static void drop_after(int fd, int nth, uint32_t stream)
{
	(void)nth;
	say_well(fd, stream);
	shutdown(fd, SHUT_RDWR);
}

static void closed_behind_us(void)
{
	int i;

	for (i = 0; i < 5; i++) {
		well();
		usleep(20000); /* keeps the loop from seeing it */
	}
}

START_TEST(a_kept_connection_that_was_closed)
{
	answer = drop_after;
	serve_with(serve_frames);
	on_fiber(closed_behind_us);
	ck_assert_int_eq(accepted, 5);
}
END_TEST

static void say_nothing(int fd, int nth, uint32_t stream)
{
	(void)fd, (void)nth, (void)stream;
}

static void meet_silence(void)
{
	int64_t start = clock_ns();

	want(call_once(10000), ERROR_UNAVAILABLE, "keepalive ping failed to receive ACK within timeout");
	ck_assert_int_lt(clock_ns() - start, 1000 * MS);
}

START_TEST(a_peer_that_answers_no_ping)
{
	rpc_options.ping_ms = 100;
	rpc_options.ping_timeout_ms = 100;
	answer = say_nothing;
	mute = 1;
	serve_with(serve_frames);
	on_fiber(meet_silence);
}
END_TEST

static void meet_slow(void)
{
	int64_t start = clock_ns();

	want(call_once(100), ERROR_DEADLINE_EXCEEDED, "context deadline exceeded");
	ck_assert_int_lt(clock_ns() - start, 400 * MS);
	fiber_park_until(in_ms(50));
	ck_assert_int_eq(resets, 1);
}

static void say_half(int fd, int nth, uint32_t stream)
{
	(void)nth;
	headers(fd, stream, 0, GRPC_HEAD);
	frame(fd, DATA, 0, stream, "\0\0\0\0\x09half", 9);
}

static void (*const SLOW[])(int fd, int nth, uint32_t stream) = { say_nothing, say_half };

START_TEST(deadlines_hold)
{
	answer = SLOW[_i];
	serve_with(serve_frames);
	on_fiber(meet_slow);
}
END_TEST

/* ---- no HTTP/2 at all, or against its rules ---- */

static void serve_http1(int fd, int nth)
{
	char text[1000];

	(void)nth;
	(void)!recv(fd, text, sizeof(text), 0);
	say(fd, "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n400 Bad Request");
	poll(NULL, 0, 100);
}

static void serve_garbage(int fd, int nth)
{
	static char junk[100000];

	(void)nth;
	memset(junk, 0xa5, sizeof(junk));
	send_all(fd, junk, sizeof(junk));
	poll(NULL, 0, 100);
}

static void serve_push(int fd, int nth)
{
	char text[1000];

	(void)nth;
	(void)!recv(fd, text, sizeof(text), 0);
	frame(fd, SETTINGS, 0, 0, "", 0);
	frame(fd, SETTINGS, ACK, 0, "", 0); /* it has been told not to push */
	frame(fd, PUSH_PROMISE, END_HEADERS, 1, "\0\0\0\x02", 4);
	wait_close(fd);
}

static void serve_flood_settings(int fd, int nth)
{
	(void)nth;
	while (frame(fd, SETTINGS, 0, 0, "", 0) == 0)
		;
}

static void serve_flood_pings(int fd, int nth)
{
	(void)nth;
	frame(fd, SETTINGS, 0, 0, "", 0);
	while (frame(fd, PING, 0, 0, "12345678", 8) == 0)
		;
}

static void (*const WRONG[])(int fd, int nth) = { serve_http1, serve_garbage, serve_push };

static void meet_wrong(void)
{
	want(call_once(5000), ERROR_UNAVAILABLE, "");
	ck_assert_int_eq(http_client_connections(grpc_client_http(rpc)), 0);
}

START_TEST(peers_that_speak_something_else)
{
	serve_with(WRONG[_i]);
	on_fiber(meet_wrong);
}
END_TEST

static void (*const FLOODS[])(int fd, int nth) = { serve_flood_settings, serve_flood_pings };

/* It answers all of them, at the peer's own pace, without more memory: what counts is that a call still ends in time. */
static void meet_flood(void)
{
	int64_t start = clock_ns();

	ck_assert_int_ne(call_once(300).code, ERROR_OK);
	ck_assert_int_lt(clock_ns() - start, 1000 * MS);
}

START_TEST(floods_of_frames)
{
	serve_with(FLOODS[_i]);
	on_fiber(meet_flood);
}
END_TEST

static void say_too_much(int fd, int nth, uint32_t stream)
{
	static const char piece[16384];
	int i;

	(void)nth;
	headers(fd, stream, 0, GRPC_HEAD);
	for (i = 0; i < 2000 && frame(fd, DATA, 0, stream, piece, sizeof(piece)) == 0; i++)
		;
}

static void meet_too_much(void)
{
	struct grpc_request q = { .path = STR("/a.B/C"), .deadline_ns = in_ms(3000) };
	struct arena *a = arena_new();
	struct grpc_stream *s;
	struct client_call *k;
	struct error e;
	struct str m;
	int rc;

	rpc_options.port = port;
	rpc = grpc_client_new(loop, &rpc_options);
	s = grpc_stream_new(rpc, a);
	k = client_call_of((struct http_call *)grpc_stream_http(s));
	e = grpc_stream_start_whole(s, &q, STR(""));
	ck_assert(!error_is(&e));
	fiber_park_until(in_ms(300));
	ck_assert_uint_le(k->in.n, 256 * 1024 + 32768); /* and what came in the same read */
	while ((rc = grpc_stream_recv_bytes(s, &m, &e)) > 0)
		;
	ck_assert_int_eq(rc, -1);
	ck_assert_int_ne(e.code, ERROR_DEADLINE_EXCEEDED);
	arena_unref(a);
}

START_TEST(a_peer_that_ignores_the_window)
{
	answer = say_too_much;
	serve_with(serve_frames);
	on_fiber(meet_too_much);
}
END_TEST

static void say_big_head(int fd, int nth, uint32_t stream)
{
	char lines[4000];
	size_t n = 0;
	int i;

	(void)nth;
	n += (size_t)snprintf(lines, sizeof(lines), "%s", number ? "" : GRPC_HEAD);
	for (i = 0; i < 30; i++)
		n += (size_t)snprintf(lines + n, sizeof(lines) - n, "name-%d: %060d\n", i, i);
	if (number)
		headers(fd, stream, 0, GRPC_HEAD);
	headers(fd, stream, END_STREAM, lines);
}

static void meet_big_head(void)
{
	want(call_once(3000), ERROR_RESOURCE_EXHAUSTED, "response header list larger than 2000 bytes");
	answer = say_well_always;
	well();
}

START_TEST(the_header_limit)
{
	number = _i;
	rpc_options.header_limit = 2000;
	answer = say_big_head;
	serve_with(serve_frames);
	on_fiber(meet_big_head);
	ck_assert_int_eq(accepted, 1);
}
END_TEST

static void limit_streams(int fd, int nth, uint32_t stream)
{
	static atomic_int now, most;
	int n = ++now;

	(void)nth;
	if (stream == 1)
		frame(fd, SETTINGS, 0, 0, "\0\x03\0\0\0\x02", 6); /* two at once */
	most = n > most ? n : most;
	say_well(fd, stream);
	now--;
}

static int running;
static struct fiber *boss;

static void one_call(void *arg)
{
	(void)arg;
	well();
	if (--running == 0)
		fiber_wake(boss);
}

static void fifty_calls(void)
{
	int i;

	well();
	boss = fiber_self();
	for (i = 0; i < 50; i++) {
		running++;
		fiber_start(loop, one_call, NULL);
	}
	while (running > 0)
		fiber_park();
}

START_TEST(the_peers_limit_of_streams)
{
	answer = limit_streams;
	serve_with(serve_frames);
	on_fiber(fifty_calls);
	ck_assert_int_eq(accepted, 1);
	ck_assert_int_eq(requests, 51);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("grpchostile");
	TCase *t = tcase_create("grpchostile");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, set_up_rpc, tear_down_rpc);
	tcase_add_loop_test(t, answers_that_are_no_grpc, 0, COUNT(BAD));
	tcase_add_test(t, a_compressed_answer);
	tcase_add_loop_test(t, streams_that_are_reset, 0, COUNT(RESETS));
	tcase_add_test(t, a_refused_stream_is_sent_again);
	tcase_add_test(t, a_goaway_sends_the_call_elsewhere);
	tcase_add_test(t, a_goaway_lets_its_calls_end);
	tcase_add_loop_test(t, a_connection_that_breaks_under_a_call, 0, 3);
	tcase_add_test(t, a_connection_that_breaks_at_once);
	tcase_add_test(t, a_kept_connection_that_was_closed);
	tcase_add_test(t, a_peer_that_answers_no_ping);
	tcase_add_loop_test(t, deadlines_hold, 0, COUNT(SLOW));
	tcase_add_loop_test(t, peers_that_speak_something_else, 0, COUNT(WRONG));
	tcase_add_loop_test(t, floods_of_frames, 0, COUNT(FLOODS));
	tcase_add_test(t, a_peer_that_ignores_the_window);
	tcase_add_loop_test(t, the_header_limit, 0, 2);
	tcase_add_test(t, the_peers_limit_of_streams);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
