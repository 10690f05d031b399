/* SPDX-License-Identifier: Apache-2.0 */
/* HTTP/2 against a real server: requests, replies, windows, malformed ones, the end. */
#include "http2_rig.h"

static void setup(void)
{
	rig_prepare();
	rig_start();
}

START_TEST(request_gets_its_answer)
{
	struct peer p;

	open_peer(&p, OPEN_WINDOW);
	put_headers(&p, END_STREAM | END_HEADERS, 1, FIELDS("FOO", "/a?b") "x-y: z\ncookie: a=1\ncookie: b=2\n");
	ck_expect(&p, "1 HEADERS :status=200 content-type=text/plain date=", 1000);
	ck_expect(&p, "END 1", 1000);
	ck_assert_str_eq(buf_str(&p.data).p, "2 FOO /a?b path=/a query=b authority=h\nx-y=[z]\ncookie=[a=1; b=2]\n");
	close_peer(&p);
}
END_TEST

START_TEST(body_and_trailers_pass_both_ways)
{
	struct peer p;

	open_peer(&p, OPEN_WINDOW);
	put_headers(&p, END_HEADERS, 1, FIELDS("POST", "/echo"));
	put_frame(&p, NGHTTP2_DATA, 0, 1, "hel", 3);
	put_frame(&p, NGHTTP2_DATA, 0, 1, "lo", 2);
	put_headers(&p, END_HEADERS | END_STREAM, 1, "my: trailer\n");
	ck_expect(&p, "END 1", 1000);
	ck_assert_str_eq(buf_str(&p.data).p, "hello");
	ck_assert_ptr_nonnull(strstr(p.log.p, "x-trailer=trailer"));
	ck_assert_ptr_nonnull(strstr(p.log.p, "content-length=5"));
	get(&p, 3, "/pieces");
	ck_expect(&p, "3 HEADERS x-end=here END 3", 1000);
	ck_assert_str_eq(buf_str(&p.data).p, "hellopiece piece piece ");
	close_peer(&p);
}
END_TEST

START_TEST(replies_without_body)
{
	struct peer p;

	open_peer(&p, OPEN_WINDOW);
	put_headers(&p, END_STREAM | END_HEADERS, 1, FIELDS("HEAD", "/counted"));
	ck_expect(&p, "END 1", 1000);
	ck_assert_ptr_nonnull(strstr(p.log.p, "content-length=18"));
	get(&p, 3, "/status?204");
	ck_expect(&p, "END 3", 1000);
	ck_assert_ptr_null(strstr(p.log.p, "content-length=0"));
	get(&p, 5, "/nothing");
	ck_expect(&p, "5 HEADERS :status=500", 1000);
	get(&p, 7, "/oom");
	ck_expect(&p, "7 HEADERS :status=500", 1000);
	get(&p, 9, "/fields");
	ck_expect(&p, "9 HEADERS :status=200 x-split=a  x-evil: 1 x-good=c date=", 1000);
	put_headers(&p, END_STREAM | END_HEADERS, 11, FIELDS("HEAD", "/a"));
	ck_expect(&p, "END 11", 1000);
	ck_assert_ptr_null(strstr(p.log.p, "11 DATA"));
	close_peer(&p);
}
END_TEST

START_TEST(streams_do_not_wait_for_each_other)
{
	struct peer p;
	const char *slow, *fast;

	open_peer(&p, OPEN_WINDOW);
	get(&p, 1, "/slow?1");
	get(&p, 3, "/a");
	ck_expect(&p, "END 1", 1000);
	slow = strstr(p.log.p, "END 1");
	fast = strstr(p.log.p, "END 3");
	ck_assert(fast != NULL && fast < slow);
	close_peer(&p);
}
END_TEST

START_TEST(unfinished_replies_are_reset)
{
	struct peer p;

	open_peer(&p, OPEN_WINDOW);
	get(&p, 1, "/abort");
	ck_expect(&p, "1 RST 8\n", 1000);
	get(&p, 3, "/oom-late");
	ck_expect(&p, "3 RST 2\n", 1000);
	get(&p, 5, "/too-little");
	ck_expect(&p, "5 RST 2\n", 1000);
	get(&p, 7, "/too-much");
	ck_expect(&p, "END 7", 1000);
	ck_assert_ptr_nonnull(strstr(buf_str(&p.data).p, "piece pi"));
	close_peer(&p);
}
END_TEST

/* A body comes only as fast as it is read, a reply only as fast as it is taken. */
START_TEST(windows_hold_both_sides)
{
	struct peer p;
	int i;

	open_peer(&p, 1000);
	put_headers(&p, END_HEADERS, 1, FIELDS("POST", "/hold"));
	for (i = 0; i < 4; i++)
		put_frame(&p, NGHTTP2_DATA, 0, 1, rig_large, 16000);
	ck_assert_int_eq(expect(&p, "1 WINDOW", 100), 0);
	get(&p, 3, "/stream");
	ck_expect(&p, "3 DATA 1000\n", 1000);
	ck_assert_int_eq(expect(&p, "END 3", 100), 0);
	ck_assert_uint_eq(p.data.n, 1000);
	ck_assert_uint_lt(rig.wrote, 100000);
	put_word(&p, NGHTTP2_WINDOW_UPDATE, 3, 500);
	ck_expect(&p, "3 DATA 500\n", 1000);
	rig.released = 1;
	ck_expect(&p, "1 WINDOW", 1000);
	put_frame(&p, NGHTTP2_DATA, END_STREAM, 1, rig_large, 10);
	ck_expect(&p, "END 1", 1000);
	ck_assert_str_eq(buf_str(&p.data).p + 1500, "64010");
	put_word(&p, NGHTTP2_WINDOW_UPDATE, 3, OPEN_WINDOW);
	ck_expect(&p, "END 3", 20000);
	ck_assert_uint_eq(p.data.n, 5 + 4096u * 16000);
	close_peer(&p);
}
END_TEST

START_TEST(a_large_reply_is_whole)
{
	struct peer p;

	open_peer(&p, OPEN_WINDOW);
	get(&p, 1, "/large");
	get(&p, 3, "/large-write");
	ck_expect(&p, "END 1", 20000);
	ck_expect(&p, "END 3", 20000);
	ck_assert_uint_eq(p.data.n, 2u * RIG_LARGE);
	close_peer(&p);
}
END_TEST

START_TEST(handler_hears_of_a_reset)
{
	struct peer p;
	int i;

	open_peer(&p, 1000);
	get(&p, 1, "/wait");
	get(&p, 3, "/stream");
	ck_expect(&p, "3 DATA 1000\n", 1000);
	put_word(&p, NGHTTP2_RST_STREAM, 1, NGHTTP2_CANCEL);
	put_word(&p, NGHTTP2_RST_STREAM, 3, NGHTTP2_CANCEL);
	get(&p, 5, "/a");
	ck_expect(&p, "END 5", 1000); /* the connection lives */
	for (i = 0; i < 100 && (rig.gone < 1 || rig.write_failed < 1); i++)
		rig_nap(3);
	ck_assert_int_eq(rig.gone, 1);
	ck_assert_int_eq(rig.write_failed, 1);
	get(&p, 7, "/wait");
	get(&p, 9, "/a");
	ck_expect(&p, "END 9", 1000);
	close_peer(&p);
	for (i = 0; i < 100 && rig.gone < 2; i++)
		rig_nap(3);
	ck_assert_int_eq(rig.gone, 2);
}
END_TEST

struct bad {
	const char *fields;
	int flags;
};

static const struct bad bads[] = {
	{ FIELDS("GET", "/a") "connection: close\n", END_STREAM },
	{ FIELDS("GET", "/a") "te: gzip\n", END_STREAM },
	{ FIELDS("GET", "/a") "transfer-encoding: chunked\n", END_STREAM },
	{ FIELDS("GET", "/a") "X-Y: z\n", END_STREAM },
	{ FIELDS("GET", "/a") "x: a\x01\n", END_STREAM },
	{ FIELDS("GET", "/a") "x y: z\n", END_STREAM },
	{ FIELDS("GET", "a"), END_STREAM },
	{ FIELDS("GET", "/a b"), END_STREAM },
	{ ":method: GET\n:scheme: http\n:authority: h\n", END_STREAM },
	{ ":scheme: http\n:authority: h\n:path: /a\n", END_STREAM },
	{ FIELDS("GET", "/a") ":path: /b\n", END_STREAM },
	{ "x: y\n" FIELDS("GET", "/a"), END_STREAM },
	{ FIELDS("GET", "/a") ":other: b\n", END_STREAM },
	{ FIELDS("POST", "/echo") "content-length: 5\n", END_STREAM },
	{ FIELDS("POST", "/echo") "content-length: 1\n", 0 },
	{ FIELDS("POST", "/echo") "content-length: x\n", 0 },
};

START_TEST(malformed_request_resets_its_stream)
{
	struct peer p;

	open_peer(&p, OPEN_WINDOW);
	put_headers(&p, END_HEADERS | bads[_i].flags, 1, bads[_i].fields);
	if (!(bads[_i].flags & END_STREAM))
		put_frame(&p, NGHTTP2_DATA, END_STREAM, 1, "hello", 5);
	ck_expect(&p, "1 RST 1\n", 1000);
	ck_assert_ptr_null(strstr(p.log.p, "1 HEADERS"));
	get(&p, 3, "/a");
	ck_expect(&p, "END 3", 1000);
	close_peer(&p);
}
END_TEST

START_TEST(trailers_te_and_host_are_fine)
{
	struct peer p;

	open_peer(&p, OPEN_WINDOW);
	put_headers(&p, END_STREAM | END_HEADERS, 1, ":method: GET\n:scheme: http\n:path: /a\nhost: x\nte: trailers\n");
	ck_expect(&p, "END 1", 1000);
	ck_assert_ptr_nonnull(strstr(buf_str(&p.data).p, "authority=x"));
	close_peer(&p);
}
END_TEST

START_TEST(bytes_one_by_one_are_the_same)
{
	struct buf all = buf_init(), block = buf_init();
	struct peer p;
	size_t i;

	memset(&p, 0, sizeof(p));
	p.fd = dial();
	nghttp2_hd_inflate_new(&p.inflater);
	add_block(&block, FIELDS("POST", "/echo"));
	buf_adds(&all, STR(PREFACE "\0\0\0\4\0\0\0\0\0"));
	buf_adds(&all, STR("\0\0"));
	buf_addc(&all, (char)block.n);
	buf_adds(&all, STR("\1\4\0\0\0\1"));
	buf_add(&all, block.p, block.n);
	buf_adds(&all, STR("\0\0\3\0\1\0\0\0\1abc"));
	for (i = 0; i < all.n; i++)
		put(p.fd, all.p + i, 1);
	ck_expect(&p, "END 1", 1000);
	ck_assert_str_eq(buf_str(&p.data).p, "abc");
	close_peer(&p);
	buf_free(&all);
	buf_free(&block);
}
END_TEST

START_TEST(early_reply_lets_the_client_finish)
{
	struct peer p;
	int i;

	open_peer(&p, OPEN_WINDOW);
	put_headers(&p, END_HEADERS, 1, FIELDS("POST", "/ignore"));
	ck_expect(&p, "END 1", 1000);
	put_frame(&p, NGHTTP2_DATA, END_STREAM, 1, "late", 4);
	get(&p, 3, "/a");
	ck_expect(&p, "END 3", 1000);
	ck_assert_ptr_null(strstr(p.log.p, "RST"));
	put_headers(&p, END_HEADERS, 5, FIELDS("POST", "/ignore"));
	ck_expect(&p, "END 5", 1000);
	for (i = 0; i < 4; i++)
		put_frame(&p, NGHTTP2_DATA, 0, 5, rig_large, 16000);
	put_frame(&p, NGHTTP2_DATA, 0, 5, rig_large, 1500);
	put_frame(&p, NGHTTP2_DATA, 0, 5, rig_large, 1500);
	ck_expect(&p, "5 RST 0\n", 1000); /* enough is enough, and no error */
	close_peer(&p);
}
END_TEST

START_TEST(draining_says_goodbye_twice)
{
	struct peer p;
	int i;

	open_peer(&p, OPEN_WINDOW);
	get(&p, 1, "/wait");
	for (i = 0; i < 100 && http_server_exchanges(rig.s) < 1; i++)
		rig_nap(2);
	http_server_drain(rig.s);
	ck_expect(&p, "GOAWAY 2147483647 0\n", 1000);
	get(&p, 3, "/a"); /* it had left already */
	ck_expect(&p, "END 3", 1000);
	put_frame(&p, NGHTTP2_PING, NGHTTP2_FLAG_ACK, 0, "goodbye!", 8);
	ck_expect(&p, "GOAWAY 3 0\n", 1000);
	get(&p, 5, "/a"); /* this one not */
	ck_expect(&p, "END 1", 1000);
	ck_assert_int_eq(expect(&p, NULL, 1000), 1);
	ck_assert_ptr_null(strstr(p.log.p, "END 5"));
	ck_assert_int_eq(rig.gone, 0);
	close_peer(&p);
}
END_TEST

#define UPGRADE(path) \
	"GET " path " HTTP/1.1\r\nHost: h\r\nX: y\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n" \
	"HTTP2-Settings: AAQAAAPo\r\n\r\n" /* a window of 1,000 bytes */

START_TEST(upgrade_makes_the_request_stream_1)
{
	static const char *const sent[] = { UPGRADE("/a"), UPGRADE("/a") PREFACE };
	struct peer p;
	struct buf b = buf_init();

	memset(&p, 0, sizeof(p));
	p.fd = dial();
	nghttp2_hd_inflate_new(&p.inflater);
	put_text(p.fd, sent[_i]); /* the preface may come with the request */
	ck_assert_int_eq(take_reply(p.fd, &b, 1000), 1);
	ck_assert_str_eq(b.p, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n");
	if (_i == 0)
		put_text(p.fd, PREFACE);
	put_frame(&p, NGHTTP2_SETTINGS, 0, 0, NULL, 0);
	ck_expect(&p, "END 1", 1000);
	ck_assert_ptr_nonnull(strstr(buf_str(&p.data).p, "2 GET /a path=/a query= authority=h\n"));
	ck_assert_ptr_nonnull(strstr(p.data.p, "x=[y]\n"));
	get(&p, 3, "/large");
	ck_expect(&p, "3 DATA 1000\n", 1000); /* its settings count */
	close_peer(&p);
	buf_free(&b);
}
END_TEST

START_TEST(upgraded_request_may_wait_and_be_reset)
{
	struct peer p;
	struct buf b = buf_init();
	int i;

	memset(&p, 0, sizeof(p));
	p.fd = dial();
	nghttp2_hd_inflate_new(&p.inflater);
	put_text(p.fd, UPGRADE("/wait"));
	ck_assert_int_eq(take_reply(p.fd, &b, 1000), 1);
	put_text(p.fd, PREFACE);
	put_frame(&p, NGHTTP2_SETTINGS, 0, 0, NULL, 0);
	put_word(&p, NGHTTP2_RST_STREAM, 1, NGHTTP2_CANCEL);
	get(&p, 3, "/a");
	ck_expect(&p, "END 3", 1000);
	for (i = 0; i < 100 && rig.gone < 1; i++)
		rig_nap(3);
	ck_assert_int_eq(rig.gone, 1);
	close_peer(&p);
	buf_free(&b);
}
END_TEST

START_TEST(preface_is_told_from_http1)
{
	struct buf b = buf_init();
	int64_t start = clock_ms();
	int fd = dial();

	put_text(fd, "PRI * HTTP/2.0\r\n"); /* then nothing: after three seconds it is HTTP/1 */
	put_text(fd, "\r\n");
	ck_assert_int_eq(take_reply(fd, &b, 5000), 1);
	ck_assert_int_ge(clock_ms() - start, 2900);
	ck_assert_int_eq(strncmp(b.p, "HTTP/1.1 505 ", 13), 0);
	close(fd);
	buf_free(&b);
}
END_TEST

static void only_2_setup(void)
{
	rig_prepare();
	rig.o.protocols = HTTP_2;
	rig_start();
}

START_TEST(port_for_http2_only)
{
	struct buf b = buf_init();
	struct peer p;
	int fd = dial();

	put_text(fd, "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
	ck_assert_int_eq(take_all(fd, &b, 1000), 1);
	ck_assert_int_eq(strncmp(b.p, "HTTP/1.1 400 Bad Request\r\n", 26), 0);
	ck_assert_ptr_nonnull(strstr(b.p, "\r\n\r\nThis port speaks HTTP/2 only\n"));
	close(fd);
	open_peer(&p, OPEN_WINDOW);
	get(&p, 1, "/a");
	ck_expect(&p, "END 1", 1000);
	close_peer(&p);
	buf_free(&b);
}
END_TEST

static void only_1_setup(void)
{
	rig_prepare();
	rig.o.protocols = HTTP_1;
	rig_start();
}

START_TEST(port_for_http1_only)
{
	struct buf b = buf_init();
	int fd = dial();

	put_text(fd, PREFACE);
	ck_assert_int_eq(take_all(fd, &b, 1000), 1);
	ck_assert_int_eq(strncmp(b.p, "HTTP/1.1 505 ", 13), 0);
	close(fd);
	buf_free(&b);
}
END_TEST

START_TEST(garbage_never_crashes)
{
	uint8_t frame[64];
	struct peer p;
	int round, i, n;

	srand(1);
	for (round = 0; round < 300; round++) {
		open_peer(&p, OPEN_WINDOW);
		get(&p, 1, "/slow?1");
		for (i = 0; i < 5; i++) {
			for (n = 0; n < (int)sizeof(frame); n++)
				frame[n] = (uint8_t)rand();
			put_frame(&p, rand() % 12, rand() % 64, (uint32_t)rand() % 8, frame, (size_t)rand() % 64);
		}
		expect(&p, NULL, 1);
		close_peer(&p);
	}
	open_peer(&p, OPEN_WINDOW);
	get(&p, 1, "/a");
	ck_expect(&p, "END 1", 1000);
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
	Suite *s = suite_create("http2");
	TCase *t = add(s, "requests", setup);
	SRunner *r;
	int failed;

	tcase_add_test(t, request_gets_its_answer);
	tcase_add_test(t, body_and_trailers_pass_both_ways);
	tcase_add_test(t, replies_without_body);
	tcase_add_test(t, streams_do_not_wait_for_each_other);
	tcase_add_test(t, unfinished_replies_are_reset);
	tcase_add_test(t, windows_hold_both_sides);
	tcase_add_test(t, a_large_reply_is_whole);
	tcase_add_test(t, handler_hears_of_a_reset);
	tcase_add_test(t, trailers_te_and_host_are_fine);
	tcase_add_test(t, bytes_one_by_one_are_the_same);
	tcase_add_test(t, early_reply_lets_the_client_finish);
	tcase_add_test(t, draining_says_goodbye_twice);
	tcase_add_loop_test(t, upgrade_makes_the_request_stream_1, 0, 2);
	tcase_add_test(t, upgraded_request_may_wait_and_be_reset);
	tcase_add_test(t, preface_is_told_from_http1);
	tcase_add_test(t, garbage_never_crashes);
	tcase_add_loop_test(t, malformed_request_resets_its_stream, 0, sizeof(bads) / sizeof(*bads));
	tcase_add_test(add(s, "http2-only", only_2_setup), port_for_http2_only);
	tcase_add_test(add(s, "http1-only", only_1_setup), port_for_http1_only);
	r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
