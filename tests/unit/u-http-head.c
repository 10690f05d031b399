/* SPDX-License-Identifier: Apache-2.0 */
/* The pure parts of HTTP/1: heads and bodies, one byte at a time and all at once. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "http/h1_body.h"
#include "http/h1_head.h"

static struct h1_refusal parse(const char *text, struct h1_head *h, struct arena *a)
{
	struct str copy = arena_str(a, str_of(text));
	size_t scanned = 0;

	ck_assert_uint_eq(h1_head_end(copy, &scanned), copy.n);
	return h1_head_parse(h, (char *)copy.p, copy.n, a);
}

struct head_case {
	const char *text;
	int status; /* 0: taken */
	const char *target, *path, *query, *authority;
	int length, keep_alive;
};

#define HOST "Host: h\r\n"

static const struct head_case heads[] = {
	{ "GET / HTTP/1.1\r\n" HOST "\r\n", 0, "/", "/", "", "h", 0, 1 },
	{ "GET / HTTP/1.1\n" HOST "\n", 0, "/", "/", "", "h", 0, 1 },
	{ "GET /a?b?c HTTP/1.1\r\n" HOST "\r\n", 0, "/a?b?c", "/a", "b?c", "h", 0, 1 },
	{ "GET /a%2Fb/../c HTTP/1.1\r\n" HOST "\r\n", 0, "/a%2Fb/../c", "/a%2Fb/../c", "", "h", 0, 1 },
	{ "GET //a HTTP/1.1\r\n" HOST "\r\n", 0, "//a", "//a", "", "h", 0, 1 },
	{ "GET /\xc3\xa4 HTTP/1.1\r\n" HOST "\r\n", 0, "/\xc3\xa4", "/\xc3\xa4", "", "h", 0, 1 },
	{ "GET http://x:80/a?b HTTP/1.1\r\n" HOST "\r\n", 0, "/a?b", "/a", "b", "x:80", 0, 1 },
	{ "GET http://x HTTP/1.1\r\n" HOST "\r\n", 0, "/", "/", "", "x", 0, 1 },
	{ "GET http://x?b HTTP/1.1\r\n" HOST "\r\n", 0, "?b", "/", "b", "x", 0, 1 },
	{ "OPTIONS * HTTP/1.1\r\n" HOST "\r\n", 0, "*", "*", "", "h", 0, 1 },
	{ "CONNECT x:80 HTTP/1.1\r\n\r\n", 0, "x:80", "", "", "x:80", 0, 1 },
	{ "FOO / HTTP/1.1\r\n" HOST "\r\n", 0, "/", "/", "", "h", 0, 1 },
	{ "get / HTTP/1.1\r\n" HOST "\r\n", 0, "/", "/", "", "h", 0, 1 },
	{ "GET / HTTP/1.0\r\n\r\n", 0, "/", "/", "", "", 0, 0 },
	{ "GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", 0, "/", "/", "", "", 0, 1 },
	{ "GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n", 0, "/", "/", "", "", 0, 0 },
	{ "GET / HTTP/1.9\r\n" HOST "\r\n", 0, "/", "/", "", "h", 0, 1 },
	{ "GET / HTTP/1.1\r\n" HOST "Connection: x,\tCLOSE\r\n\r\n", 0, "/", "/", "", "h", 0, 0 },
	{ "POST / HTTP/1.1\r\n" HOST "Content-Length: 12\r\n\r\n", 0, "/", "/", "", "h", 12, 1 },
	{ "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: Chunked\r\n\r\n", 0, "/", "/", "", "h", -1, 1 },
	{ "GET / HTTP/1.1\r\nHost:\r\n\r\n", 0, "/", "/", "", "", 0, 1 },
	{ "GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", 0, "/", "/", "", "[::1]:80", 0, 1 },
	{ "GET / HTTP/1.1\r\n" HOST "X:\r\nY: \t a \t\r\n\r\n", 0, "/", "/", "", "h", 0, 1 },
	/* refused */
	{ .text = "GET / HTTP/1.1\r\n\r\n", .status = 400 },
	{ .text = "GET / HTTP/1.1\r\n" HOST HOST "\r\n", .status = 400 },
	{ .text = "GET / HTTP/1.1\r\nHost: a b\r\n\r\n", .status = 400 },
	{ .text = "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", .status = 400 },
	{ .text = "GET / HTTP/2.0\r\n" HOST "\r\n", .status = 505 },
	{ .text = "GET / HTTP/0.9\r\n" HOST "\r\n", .status = 505 },
	{ .text = "PRI * HTTP/2.0\r\n\r\n", .status = 505 },
	{ .text = "GET / HTTP/11\r\n" HOST "\r\n", .status = 400 },
	{ .text = "GET / http/1.1\r\n" HOST "\r\n", .status = 400 },
	{ .text = "GET / HTTP/1.1 \r\n" HOST "\r\n", .status = 400 },
	{ .text = "GET /\r\n" HOST "\r\n", .status = 400 },
	{ .text = "GET\r\n" HOST "\r\n", .status = 400 },
	{ .text = "GET  / HTTP/1.1\r\n" HOST "\r\n", .status = 400 },
	{ .text = " GET / HTTP/1.1\r\n" HOST "\r\n", .status = 400 },
	{ .text = "GET /a b HTTP/1.1\r\n" HOST "\r\n", .status = 400 },
	{ .text = "GET /a\tb HTTP/1.1\r\n" HOST "\r\n", .status = 400 },
	{ .text = "GET /a\x7f HTTP/1.1\r\n" HOST "\r\n", .status = 400 },
	{ .text = "GET a HTTP/1.1\r\n" HOST "\r\n", .status = 400 },
	{ .text = "GET http:///a HTTP/1.1\r\n" HOST "\r\n", .status = 400 },
	{ .text = "GET http:/a HTTP/1.1\r\n" HOST "\r\n", .status = 400 },
	{ .text = "G@T / HTTP/1.1\r\n" HOST "\r\n", .status = 400 },
	{ .text = "G\xc3\xa4T / HTTP/1.1\r\n" HOST "\r\n", .status = 400 },
	{ .text = "GET / HTTP/1.1\r\n" HOST "X : a\r\n\r\n", .status = 400 },
	{ .text = "GET / HTTP/1.1\r\n" HOST "X\r\n\r\n", .status = 400 },
	{ .text = "GET / HTTP/1.1\r\n" HOST ": a\r\n\r\n", .status = 400 },
	{ .text = "GET / HTTP/1.1\r\n" HOST "X: a\r\n b\r\n\r\n", .status = 400 },
	{ .text = "GET / HTTP/1.1\r\n" HOST "X: a\r\n\tb: c\r\n\r\n", .status = 400 },
	{ .text = "GET / HTTP/1.1\r\n X: a\r\n" HOST "\r\n", .status = 400 },
	{ .text = "GET / HTTP/1.1\r\n" HOST "X: a\rb\r\n\r\n", .status = 400 },
	{ .text = "GET / HTTP/1.1\r\n" HOST "X: a\x01\r\n\r\n", .status = 400 },
	{ .text = "GET / HTTP/1.1\r\n" HOST "X: a\x7f\r\n\r\n", .status = 400 },
	{ .text = "GET / HTTP/1.1\r\n" HOST "X(: a\r\n\r\n", .status = 400 },
	{ .text = "GET / HTTP/1.1\r\r\n" HOST "\r\n", .status = 400 },
	{ .text = "POST / HTTP/1.1\r\n" HOST "Content-Length: 1\r\nContent-Length: 2\r\n\r\n", .status = 400 },
	{ .text = "POST / HTTP/1.1\r\n" HOST "Content-Length: 1\r\nContent-Length: 1\r\n\r\n", .status = 400 },
	{ .text = "POST / HTTP/1.1\r\n" HOST "Content-Length: 1, 1\r\n\r\n", .status = 400 },
	{ .text = "POST / HTTP/1.1\r\n" HOST "Content-Length: +1\r\n\r\n", .status = 400 },
	{ .text = "POST / HTTP/1.1\r\n" HOST "Content-Length: -1\r\n\r\n", .status = 400 },
	{ .text = "POST / HTTP/1.1\r\n" HOST "Content-Length: 0x1\r\n\r\n", .status = 400 },
	{ .text = "POST / HTTP/1.1\r\n" HOST "Content-Length:\r\n\r\n", .status = 400 },
	{ .text = "POST / HTTP/1.1\r\n" HOST "Content-Length: 18446744073709551617\r\n\r\n", .status = 400 },
	{ .text = "POST / HTTP/1.1\r\n" HOST "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n", .status = 400 },
	{ .text = "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n", .status = 400 },
	{ .text = "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: gzip\r\n\r\n", .status = 501 },
	{ .text = "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: gzip, chunked\r\n\r\n", .status = 501 },
	{ .text = "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: xchunked\r\n\r\n", .status = 501 },
	{ .text = "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: identity\r\n\r\n", .status = 501 },
	{ .text = "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
	  .status = 400 },
	{ .text = "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", .status = 400 },
	{ .text = "POST / HTTP/1.1\r\n" HOST "Expect: gold\r\n\r\n", .status = 417 },
	{ .text = "INVALID CONNECTION PREFACE\r\n\r\n", .status = H1_NO_HTTP },
};

START_TEST(head_is_taken_or_refused)
{
	const struct head_case *t = &heads[_i];
	struct arena *a = arena_new();
	struct h1_refusal r;
	struct h1_head h;

	r = parse(t->text, &h, a);
	ck_assert_msg(r.status == t->status, "%s: %d instead of %d", t->text, r.status, t->status);
	if (t->status == 0) {
		ck_assert_msg(str_is(h.target, t->target), STR_FMT, STR_ARG(h.target));
		ck_assert_msg(str_is(h.path, t->path), STR_FMT, STR_ARG(h.path));
		ck_assert_msg(str_is(h.query, t->query), STR_FMT, STR_ARG(h.query));
		ck_assert_msg(str_is(h.authority, t->authority), STR_FMT, STR_ARG(h.authority));
		ck_assert_int_eq(h.content_length, t->length);
		ck_assert_int_eq(h.keep_alive, t->keep_alive);
	}
	arena_unref(a);
}
END_TEST

START_TEST(nul_is_refused_wherever_it_stands)
{
	static const char good[] = "GET /abc HTTP/1.1\r\nHost: h\r\nX-Y: z z\r\n\r\n";
	char bytes[sizeof(good)];
	struct h1_head h;
	struct arena *a;
	size_t at;

	for (at = 0; at < sizeof(good) - 5; at++) { /* all but the end of the last line, which is what ends it */
		a = arena_new();
		memcpy(bytes, good, sizeof(good));
		bytes[at] = '\0';
		ck_assert_msg(h1_head_parse(&h, bytes, sizeof(good) - 1, a).status >= 400, "at %zu", at);
		arena_unref(a);
	}
}
END_TEST

START_TEST(names_become_lower_case_and_values_are_trimmed)
{
	struct arena *a = arena_new();
	struct h1_head h;

	ck_assert_int_eq(parse("GET / HTTP/1.1\r\nHOST: h\r\nX-Abc-D:  a  b \t\r\nE:\r\n\r\n", &h, a).status, 0);
	ck_assert_uint_eq(h.nfields, 3);
	ck_assert(str_is(h.fields[1].name, "x-abc-d"));
	ck_assert(str_is(h.fields[1].value, "a  b"));
	ck_assert(str_is(h.fields[2].value, ""));
	arena_unref(a);
}
END_TEST

START_TEST(end_of_head_is_found_at_any_split)
{
	static const char text[] = "GET / HTTP/1.1\r\nHost: h\r\nA: b\n\r\nrest";
	size_t split, whole = sizeof(text) - 1 - 4, scanned;

	for (split = 0; split < whole; split++) {
		scanned = 0;
		ck_assert_uint_eq(h1_head_end((struct str){ text, split }, &scanned), 0);
		ck_assert_uint_eq(h1_head_end(str_of(text), &scanned), whole);
	}
}
END_TEST

struct body_case {
	const char *text;		    /* of a chunked body, and what follows it */
	const char *body, *trailers, *rest; /* body NULL: broken */
};

static const struct body_case bodies[] = {
	{ "0\r\n\r\n", "", "", "" },
	{ "3\r\nabc\r\n0\r\n\r\n", "abc", "", "" },
	{ "3\r\nabc\r\nA\r\n0123456789\r\n0\r\n\r\nGET", "abc0123456789", "", "GET" },
	{ "003\r\nabc\r\n000\r\n\r\n", "abc", "", "" },
	{ "3;a=b;c=\"d\"\r\nabc\r\n0;x\r\n\r\n", "abc", "", "" },
	{ "3 \t\r\nabc\r\n0\r\n\r\n", "abc", "", "" },
	{ "1\r\na\r\n0\r\nX: y\r\n\r\nGET", "a", "X: y\r\n\r\n", "GET" },
	{ "1\r\na\r\n0\r\nX: y\r\nZ: 1\r\n\r\n", "a", "X: y\r\nZ: 1\r\n\r\n", "" },
	{ .text = "\r\n" },
	{ .text = "x\r\n" },
	{ .text = "-1\r\n" },
	{ .text = "0x3\r\nabc" },
	{ .text = " 3\r\nabc" },
	{ .text = "3\nabc\r\n0\r\n\r\n" },
	{ .text = "3\rabc\r\n0\r\n\r\n" },
	{ .text = "3\r\nabcd\r\n0\r\n\r\n" },
	{ .text = "3\r\nabcXY0\r\n\r\n" },
	{ .text = "3\r\nabc\n0\r\n\r\n" },
	{ .text = "3;a\nb\r\nabc\r\n" },
	{ .text = "3;a\x01\r\nabc\r\n" },
	{ .text = "3 junk\x7f\r\nabc\r\n" },
	{ .text = "1000000000000000\r\n" },
	{ .text = "ffffffffffffffff\r\n" },
	{ .text = "0\r\n\n" },
	{ .text = "0\r\n X: y\r\n\r\n" },
	{ .text = "0\r\n\rX" },
};

/* Feeds it in pieces of `step` bytes, as a connection would. */
static void decode(const struct body_case *t, size_t step)
{
	char body[64] = "", trailers[64] = "", held[128];
	size_t n = strlen(t->text), given = 0, kept = 0, used;
	enum h1_body_event e = BODY_MORE;
	struct h1_body b;
	struct str piece;

	h1_body_init(&b, 1, 0, 64);
	while (e != BODY_END && e != BODY_BROKEN) {
		if (e == BODY_MORE) {
			if (given == n)
				break;
			used = n - given < step ? n - given : step;
			memcpy(held + kept, t->text + given, used);
			kept += used;
			given += used;
		}
		e = h1_body_next(&b, (struct str){ held, kept }, &used, &piece);
		if (e == BODY_PIECE)
			strncat(body, piece.p, piece.n);
		else if (e == BODY_TRAILERS)
			strncat(trailers, piece.p, piece.n);
		memmove(held, held + used, kept - used);
		kept -= used;
	}
	if (t->body == NULL) {
		ck_assert_msg(e == BODY_BROKEN, "%s: not refused", t->text);
		return;
	}
	ck_assert_msg(e == BODY_END, "%s: no end at steps of %zu", t->text, step);
	ck_assert_str_eq(body, t->body);
	ck_assert_str_eq(trailers, t->trailers);
	ck_assert_uint_eq(kept + n - given, strlen(t->rest));
}

START_TEST(chunks_are_decoded_the_same_in_any_pieces)
{
	size_t step;

	for (step = 1; step < 40; step++)
		decode(&bodies[_i], step);
}
END_TEST

START_TEST(framing_without_data_is_limited)
{
	struct h1_body b;
	struct str piece;
	size_t used, given;
	enum h1_body_event e = BODY_MORE;

	h1_body_init(&b, 1, 0, 64);
	h1_body_next(&b, STR("1;"), &used, &piece);
	for (given = 0; e == BODY_MORE && given < 1 << 20; given++)
		e = h1_body_next(&b, STR("x"), &used, &piece);
	ck_assert_int_eq(e, BODY_BROKEN);
	ck_assert_uint_lt(given, 20000);

	h1_body_init(&b, 1, 0, 64); /* while many small chunks are fine */
	for (given = 0; given < 100000; given++) {
		ck_assert_int_eq(h1_body_next(&b, STR("1\r\na"), &used, &piece), BODY_PIECE);
		ck_assert_int_eq(h1_body_next(&b, STR("\r\n"), &used, &piece), BODY_MORE);
	}
}
END_TEST

START_TEST(trailers_are_limited)
{
	struct h1_body b;
	struct str piece;
	size_t used;

	h1_body_init(&b, 1, 0, 8);
	ck_assert_int_eq(h1_body_next(&b, STR("0\r\nX: 23456789"), &used, &piece), BODY_BROKEN);
}
END_TEST

START_TEST(garbage_never_crashes)
{
	static const char alphabet[] = "GET / HTP1.0:\r\n\t ,;chunked0aContent-LengthTransfer-Encoding\x00\xff";
	char bytes[512];
	struct h1_head h;
	struct h1_body b;
	struct arena *a;
	struct str piece;
	size_t n, i, used, scanned, end;
	int round;

	srand(1);
	for (round = 0; round < 20000; round++) {
		n = 1 + (size_t)rand() % sizeof(bytes);
		for (i = 0; i < n; i++)
			bytes[i] = alphabet[(size_t)rand() % (sizeof(alphabet) - 1)];
		if (round % 2)
			memcpy(bytes, "GET / HTTP/1.1\r\n", n < 16 ? n : 16);
		scanned = 0;
		end = h1_head_end((struct str){ bytes, n }, &scanned);
		ck_assert_uint_le(end, n);
		a = arena_new();
		if (end > 0)
			h1_head_parse(&h, bytes, end, a);
		arena_unref(a);
		h1_body_init(&b, 1, 0, 128);
		while (h1_body_next(&b, (struct str){ bytes, n }, &used, &piece) == BODY_PIECE)
			ck_assert_uint_le(used, n);
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("http-head");
	TCase *t = tcase_create("head");
	SRunner *r;
	int failed;

	tcase_set_timeout(t, 60);
	tcase_add_loop_test(t, head_is_taken_or_refused, 0, sizeof(heads) / sizeof(*heads));
	tcase_add_test(t, nul_is_refused_wherever_it_stands);
	tcase_add_test(t, names_become_lower_case_and_values_are_trimmed);
	tcase_add_test(t, end_of_head_is_found_at_any_split);
	tcase_add_loop_test(t, chunks_are_decoded_the_same_in_any_pieces, 0, sizeof(bodies) / sizeof(*bodies));
	tcase_add_test(t, framing_without_data_is_limited);
	tcase_add_test(t, trailers_are_limited);
	tcase_add_test(t, garbage_never_crashes);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
