/* SPDX-License-Identifier: Apache-2.0 */
/* HTTP/2 against a real server: floods, and clients that are slow, idle or greedy. */
#include "http2_rig.h"

static void setup(void)
{
	rig_prepare();
	rig_start();
}

static void quick_setup(void)
{
	rig_prepare();
	rig.o.header_limit = 1024;
	rig.o.header_timeout_ms = 450;
	rig.o.idle_body_timeout_ms = 450;
	rig.o.stall_timeout_ms = 600;
	rig.o.keep_alive_ms = 900;
	rig.o.stream_limit = 4;
	rig_start();
}

/* The floods: each ends in GOAWAY ENHANCE_YOUR_CALM, or the connection's end, before that many frames. */
enum flood { RESETS, PINGS, SETTINGS, EMPTY_DATA, PRIORITIES, WINDOWS, UNKNOWN, CONTINUATIONS, BAD_STREAMS };

static void flood_one(struct peer *p, enum flood f, uint32_t i)
{
	uint32_t id = 2 * i + 3;

	switch (f) {
	case RESETS:
		get(p, id, "/wait");
		put_word(p, NGHTTP2_RST_STREAM, id, NGHTTP2_CANCEL);
		break;
	case PINGS: put_frame(p, NGHTTP2_PING, 0, 0, "12345678", 8); break;
	case SETTINGS: put_frame(p, NGHTTP2_SETTINGS, 0, 0, NULL, 0); break;
	case EMPTY_DATA: put_frame(p, NGHTTP2_DATA, 0, 1, NULL, 0); break;
	case PRIORITIES: put_frame(p, NGHTTP2_PRIORITY, 0, id, "\0\0\0\0\1", 5); break;
	case WINDOWS: put_word(p, NGHTTP2_WINDOW_UPDATE, 1, 1); break;
	case UNKNOWN: put_frame(p, 0x77, 0, 0, "x", 1); break;
	case CONTINUATIONS: put_frame(p, NGHTTP2_CONTINUATION, 0, 3, NULL, 0); break;
	case BAD_STREAMS: put_headers(p, END_HEADERS | END_STREAM, id, FIELDS("GET", "/a") "te: x\n"); break;
	}
}

#define FLOOD_MOST 4000

START_TEST(flood_ends_the_connection)
{
	struct pollfd in;
	struct peer p;
	uint32_t i;

	open_peer(&p, OPEN_WINDOW);
	put_headers(&p, END_HEADERS, 1, FIELDS("POST", "/hold"));
	if (_i == CONTINUATIONS)
		put_headers(&p, 0, 3, FIELDS("GET", "/a"));
	in = (struct pollfd){ .fd = p.fd, .events = POLLIN };
	for (i = 0; i < FLOOD_MOST && !p.closed; i++) {
		flood_one(&p, (enum flood)_i, i);
		if (poll(&in, 1, 0) > 0 && expect(&p, "GOAWAY", 1))
			break;
	}
	/* The server may not have read all of them yet; no more come. */
	ck_assert_msg(i < FLOOD_MOST || p.closed || expect(&p, "GOAWAY", 10000), "it goes on for ever");
	expect(&p, NULL, 10000);
	ck_assert_msg(p.closed, "it is still open");
	rig.released = 1;
	close_peer(&p);
}
END_TEST

/* The same from somebody who reads nothing: no more memory than the socket's and a little. */
START_TEST(flood_without_reading_ends_the_connection)
{
	struct peer p;
	uint32_t i;

	open_peer(&p, OPEN_WINDOW);
	for (i = 0; i < 20000; i++)
		flood_one(&p, PINGS, i);
	for (i = 0; i < 600 && http_server_connections(rig.s) > 0; i++)
		rig_nap(10);
	ck_assert_int_eq(http_server_connections(rig.s), 0);
	close_peer(&p);
}
END_TEST

START_TEST(busy_client_is_no_flood)
{
	struct peer p;
	uint32_t i;
	char end[16];

	open_peer(&p, OPEN_WINDOW);
	for (i = 0; i < 3000; i++) { /* a PING and two WINDOW_UPDATEs a request, as gRPC clients do */
		put_word(&p, NGHTTP2_WINDOW_UPDATE, 0, 10);
		put_frame(&p, NGHTTP2_PING, 0, 0, "12345678", 8);
		get(&p, 2 * i + 1, "/a");
		snprintf(end, sizeof(end), "END %u\n", 2 * i + 1);
		p.log.n = 0;
		ck_expect(&p, end, 5000);
	}
	close_peer(&p);
}
END_TEST

START_TEST(calls_that_still_run_count_for_the_limit)
{
	struct peer p;
	uint32_t i;

	open_peer(&p, OPEN_WINDOW);
	for (i = 0; i < 20; i++) {
		get(&p, 2 * i + 1, "/slow?1");
		put_word(&p, NGHTTP2_RST_STREAM, 2 * i + 1, NGHTTP2_CANCEL);
	}
	get(&p, 101, "/a");
	ck_expect(&p, "101 RST 7\n", 5000); /* REFUSED_STREAM: it may be sent again */
	ck_assert_int_le(rig.calls, 4);
	rig_nap(100);
	get(&p, 103, "/a");
	ck_expect(&p, "END 103", 5000);
	close_peer(&p);
}
END_TEST

START_TEST(header_block_over_the_limit_gets_431)
{
	struct buf b = buf_init();
	struct peer p;

	buf_printf(&b, FIELDS("GET", "/a") "x: %01000d\n", 0);
	buf_str(&b);
	open_peer(&p, OPEN_WINDOW);
	put_headers(&p, END_STREAM | END_HEADERS, 1, b.p);
	ck_expect(&p, "1 HEADERS :status=431", 5000);
	ck_expect(&p, "END 1", 5000);
	ck_assert_int_eq(rig.calls, 0);
	get(&p, 3, "/a");
	ck_expect(&p, "END 3", 5000);
	close_peer(&p);
	buf_free(&b);
}
END_TEST

START_TEST(window_that_never_opens_resets_the_stream)
{
	struct peer p;
	int i;

	open_peer(&p, 0);
	get(&p, 1, "/large");
	get(&p, 3, "/stream");
	ck_expect(&p, "1 RST 8\n", 5000);
	ck_expect(&p, "3 RST 8\n", 5000);
	for (i = 0; i < 100 && rig.write_failed < 1; i++)
		rig_nap(3);
	ck_assert_int_eq(rig.write_failed, 1);
	close_peer(&p);
}
END_TEST

START_TEST(client_that_reads_nothing_is_left)
{
	struct peer p;
	uint32_t i;

	open_peer(&p, OPEN_WINDOW);
	get(&p, 1, "/large");
	get(&p, 3, "/large");
	for (i = 0; i < 600 && http_server_connections(rig.s) > 0; i++)
		rig_nap(10);
	ck_assert_int_eq(http_server_connections(rig.s), 0);
	close_peer(&p);
}
END_TEST

START_TEST(slow_header_block_and_slow_body)
{
	struct peer p;
	int64_t start = clock_ms();

	open_peer(&p, OPEN_WINDOW);
	ck_expect(&p, "SETTINGS 0", 5000); /* nothing may come between a header block's frames */
	put_headers(&p, 0, 1, FIELDS("GET", "/a"));
	ck_assert_int_eq(expect(&p, NULL, 5000), 1);
	ck_assert_msg(clock_ms() - start >= 440, "%s", p.log.p);
	close_peer(&p);
	open_peer(&p, OPEN_WINDOW);
	put_headers(&p, END_HEADERS, 1, FIELDS("POST", "/echo"));
	ck_expect(&p, "1 RST 8\n", 5000);
	close_peer(&p);
}
END_TEST

START_TEST(idle_connection_is_closed_with_goaway)
{
	struct peer p;

	open_peer(&p, OPEN_WINDOW);
	get(&p, 1, "/a");
	ck_expect(&p, "END 1", 5000);
	ck_expect(&p, "GOAWAY 2147483647 0\n", 5000);
	ck_expect(&p, "PING 0 goodbye!", 5000);
	put_frame(&p, NGHTTP2_PING, NGHTTP2_FLAG_ACK, 0, "goodbye!", 8);
	ck_expect(&p, "GOAWAY 1 0\n", 5000);
	ck_assert_int_eq(expect(&p, NULL, 5000), 1);
	close_peer(&p);
}
END_TEST

static TCase *add(Suite *s, const char *name, void (*before)(void))
{
	TCase *t = tcase_create(name);

	tcase_add_checked_fixture(t, before, rig_stop);
	tcase_set_timeout(t, 60);
	suite_add_tcase(s, t);
	return t;
}

int main(void)
{
	Suite *s = suite_create("http2-limits");
	TCase *t = add(s, "floods", setup);
	SRunner *r;
	int failed;

	tcase_add_loop_test(t, flood_ends_the_connection, RESETS, BAD_STREAMS + 1);
	tcase_add_test(t, busy_client_is_no_flood);
	t = add(s, "limits", quick_setup);
	tcase_add_test(t, flood_without_reading_ends_the_connection);
	tcase_add_test(t, calls_that_still_run_count_for_the_limit);
	tcase_add_test(t, header_block_over_the_limit_gets_431);
	tcase_add_test(t, window_that_never_opens_resets_the_stream);
	tcase_add_test(t, client_that_reads_nothing_is_left);
	tcase_add_test(t, slow_header_block_and_slow_body);
	tcase_add_test(t, idle_connection_is_closed_with_goaway);
	r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
