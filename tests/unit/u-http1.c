/* SPDX-License-Identifier: Apache-2.0 */
/* HTTP/1 against a real server: requests, replies, and what clients do to them. */
#include "http_rig.h"

#define HOST "Host: h\r\n"

static void setup(void)
{
	rig_prepare();
	rig_start();
}

static void quick_setup(void)
{
	rig_prepare();
	rig.o.header_limit = 1024;
	rig.o.header_timeout_ms = 150;
	rig.o.idle_body_timeout_ms = 150;
	rig.o.stall_timeout_ms = 150;
	rig.o.keep_alive_ms = 300;
	rig_start();
}

/* Sends it on a connection of its own, ends our side, and returns all that comes until the server closes. */
static struct buf exchange(const char *text, size_t n, int step)
{
	struct buf b = buf_init();
	int fd = dial();
	size_t at;

	for (at = 0; at < n; at += (size_t)step)
		put(fd, text + at, n - at < (size_t)step ? n - at : (size_t)step);
	shutdown(fd, SHUT_WR);
	ck_assert_msg(take_all(fd, &b, 3000), "the server did not close after %s", text);
	close(fd);
	return b;
}

struct talk {
	const char *request;
	const char *reply;  /* it begins so; "" none */
	const char *within; /* and has this in it, NULL: does not matter */
};

static const struct talk talks[] = {
	{ "GET /a?b=c HTTP/1.1\r\n" HOST "X: y\r\n\r\n", "HTTP/1.1 200 OK\r\n",
	  "1 GET /a?b=c path=/a query=b=c authority=h\n" },
	{ "GET http://x/a HTTP/1.1\r\n" HOST "\r\n", "HTTP/1.1 200 OK\r\n", "1 GET /a path=/a query= authority=x\n" },
	{ "FOO /a HTTP/1.1\r\n" HOST "\r\n", "HTTP/1.1 200 OK\r\n", "1 FOO /a" },
	{ "PRIX /a HTTP/1.1\r\n" HOST "\r\n", "HTTP/1.1 200 OK\r\n", "1 PRIX /a" },
	{ "CONNECT a:1 HTTP/1.1\r\n" HOST "\r\n", "HTTP/1.1 200 OK\r\n", "1 CONNECT a:1 path= " },
	{ "\r\n\r\nGET /a HTTP/1.1\r\n" HOST "\r\n", "HTTP/1.1 200 OK\r\n", "1 GET /a" },
	{ "GET /a HTTP/1.1\nHost: h\n\n", "HTTP/1.1 200 OK\r\n", "1 GET /a" },
	/* no upgrade: without settings, with broken ones, with a body, to something else */
	{ "GET /a HTTP/1.1\r\n" HOST "Connection: Upgrade\r\nUpgrade: h2c\r\n\r\n", "HTTP/1.1 200 OK\r\n", "1 GET /a" },
	{ "GET /a HTTP/1.1\r\n" HOST
	  "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAM!\r\n\r\n",
	  "HTTP/1.1 200 OK\r\n", "1 GET /a" },
	{ "POST /echo HTTP/1.1\r\n" HOST "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
	  "HTTP2-Settings: AAMAAABk\r\nContent-Length: 2\r\n\r\nab",
	  "HTTP/1.1 200 OK\r\n", "\r\n\r\nab" },
	{ "GET /a HTTP/1.1\r\n" HOST "Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n", "HTTP/1.1 200 OK\r\n",
	  "1 GET /a" },
	{ "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\nhello", "HTTP/1.1 200 OK\r\n", "\r\n\r\nhello" },
	{ "GET /echo HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\nhello", "HTTP/1.1 200 OK\r\n", "\r\n\r\nhello" },
	{ "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 0\r\n\r\n", "HTTP/1.1 200 OK\r\n", "Content-Length: 0\r\n" },
	{ "POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n4;x=y\r\ndefg\r\n0\r\n\r\n",
	  "HTTP/1.1 200 OK\r\n", "\r\n\r\nabcdefg" },
	{ "POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nMy: trailer\r\n\r\n",
	  "HTTP/1.1 200 OK\r\n", "X-Trailer: trailer\r\n" },
	{ "POST /echo HTTP/1.1\r\n" HOST "Expect: 100-continue\r\nContent-Length: 2\r\n\r\nab", "HTTP/1.1 200 OK\r\n",
	  "\r\n\r\nab" },
	{ "POST /echo HTTP/1.1\r\n" HOST "Expect: 100-continue\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 200 OK\r\n",
	  NULL },
	{ "HEAD /echo HTTP/1.1\r\n" HOST "\r\n", "HTTP/1.1 200 OK\r\n", "Content-Length: 0\r\n" },
	{ "GET /pieces HTTP/1.1\r\n" HOST "\r\n", "HTTP/1.1 200 OK\r\n",
	  "\r\n\r\n6\r\npiece \r\n6\r\npiece \r\n6\r\npiece \r\n0\r\nX-End: here\r\n\r\n" },
	{ "GET /pieces HTTP/1.0\r\n\r\n", "HTTP/1.1 200 OK\r\n", "Connection: close\r\n\r\npiece piece piece " },
	{ "GET /pieces HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", "HTTP/1.1 200 OK\r\n",
	  "Connection: close\r\n\r\npiece piece piece " },
	{ "GET /counted HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", "HTTP/1.1 200 OK\r\n",
	  "Content-Length: 18\r\nConnection: keep-alive\r\n\r\npiece piece piece " },
	{ "GET /counted HTTP/1.1\r\n" HOST "\r\n", "HTTP/1.1 200 OK\r\n",
	  "Content-Length: 18\r\n\r\npiece piece piece " },
	{ "GET /too-much HTTP/1.1\r\n" HOST "\r\n", "HTTP/1.1 200 OK\r\n", "Content-Length: 8\r\n\r\npiece pi" },
	{ "HEAD /counted HTTP/1.1\r\n" HOST "\r\n", "HTTP/1.1 200 OK\r\n", "Content-Length: 18\r\n\r\n" },
	{ "GET /status?204 HTTP/1.1\r\n" HOST "\r\n", "HTTP/1.1 204 No Content\r\nDate: ", NULL },
	{ "GET /status?304 HTTP/1.1\r\n" HOST "\r\n", "HTTP/1.1 304 Not Modified\r\nDate: ", NULL },
	{ "GET /status?599 HTTP/1.1\r\n" HOST "\r\n", "HTTP/1.1 599 \r\n", "\r\n\r\ntext" },
	{ "GET /nothing HTTP/1.1\r\n" HOST "\r\n", "HTTP/1.1 500 Internal Server Error\r\n", NULL },
	{ "GET /oom HTTP/1.1\r\n" HOST "\r\n", "HTTP/1.1 500 Internal Server Error\r\n", "out of memory" },
	/* a value that would end its line does not; what is the connection's own is not the handler's to say */
	{ "GET /fields HTTP/1.1\r\n" HOST "\r\n",
	  "HTTP/1.1 200 OK\r\nX-Split: a  x-evil: 1\r\nX-Good: c\r\nDate: ", "Content-Length: 2\r\n\r\nok" },
	/* refused, as Go writes it */
	{ "GET / HTTP/1.1\r\n\r\n",
	  "HTTP/1.1 400 Bad Request: missing required Host header\r\n"
	  "Content-Type: text/plain; charset=utf-8\r\nConnection: close\r\n",
	  "\r\n\r\n400 Bad Request: missing required Host header" },
	{ "GET / HTTP/1.1\r\nHost: a b\r\n\r\n", "HTTP/1.1 400 Bad Request: malformed Host header\r\n", NULL },
	{ "GET / HTTP/3.0\r\n" HOST "\r\n", "HTTP/1.1 505 HTTP Version Not Supported: unsupported protocol version\r\n",
	  NULL },
	{ "GET /a b HTTP/1.1\r\n" HOST "\r\n", "HTTP/1.1 400 Bad Request\r\n", "\r\n\r\n400 Bad Request" },
	{ "GET / HTTP/1.1\r\n" HOST "Transfer-Encoding: gzip, chunked\r\n\r\n", "HTTP/1.1 501 Not Implemented", NULL },
	{ "GET / HTTP/1.1\r\n" HOST "Expect: gold\r\n\r\n", "HTTP/1.1 417 Expectation Failed\r\n", NULL },
	{ "PRI * HTTP/2.0\r\n\r\n", "HTTP/1.1 505 ", NULL },
	{ "\x16\x03\x01 hello\r\n\r\n", "HTTP/1.1 400 Bad Request\r\n", NULL },
	{ "INVALID CONNECTION PREFACE\r\n\r\n", "", NULL },
	/* cut off */
	{ "GET / HTT", "", NULL },
	{ "PRI * HTTP/2.0\r\n", "", NULL },
	{ "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\nhel", "HTTP/1.1 400 Bad Request\r\n", "no body" },
	{ "POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n3\r\nabc", "HTTP/1.1 400 Bad Request\r\n",
	  "Connection: close\r\n" },
	{ "POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n3\r\nabcXX0\r\n\r\n",
	  "HTTP/1.1 400 Bad Request\r\n", "Connection: close\r\n" },
	{ "POST /ignore HTTP/1.1\r\n" HOST
	  "Transfer-Encoding: chunked\r\n\r\n3\r\nabcXX0\r\n\r\nGET /a HTTP/1.1\r\n" HOST "\r\n",
	  "HTTP/1.1 200 OK\r\n", "ignored" },
};

/* The same bytes, in one piece and one at a time, get the same answer. */
START_TEST(request_gets_its_answer)
{
	const struct talk *t = &talks[_i];
	struct buf whole = exchange(t->request, strlen(t->request), 1 << 20);
	struct buf single = exchange(t->request, strlen(t->request), 1);

	ck_assert_msg(strncmp(whole.p, t->reply, strlen(t->reply)) == 0, "%s got %s", t->request, whole.p);
	ck_assert_msg(t->reply[0] != '\0' || whole.n == 0, "%s got %s", t->request, whole.p);
	ck_assert_msg(t->within == NULL || strstr(whole.p, t->within) != NULL, "%s got %s", t->request, whole.p);
	if (strstr(t->request, "100-continue") == NULL) /* which is only sent to who waits for it */
		ck_assert_msg(strncmp(single.p, t->reply, strlen(t->reply)) == 0, "%s, by bytes, got %s", t->request,
			      single.p);
	ck_assert_int_eq(strstr(whole.p, "HTTP/1.1 ") != NULL && strstr(whole.p + 9, "HTTP/1.1 ") != NULL, 0);
	buf_free(&whole);
	buf_free(&single);
}
END_TEST

START_TEST(nul_in_a_field_is_refused)
{
	static const char text[] = "GET / HTTP/1.1\r\nHost: h\r\nX: a\0b\r\n\r\n";
	struct buf b = exchange(text, sizeof(text) - 1, 1 << 20);

	ck_assert_msg(strncmp(b.p, "HTTP/1.1 400 ", 13) == 0, "%s", b.p);
	buf_free(&b);
}
END_TEST

START_TEST(replies_come_in_the_order_of_the_requests)
{
	struct buf b = buf_init(), all = buf_init();
	int fd = dial(), i;
	char *at;

	for (i = 0; i < 200; i++)
		buf_printf(&all, "GET /%s?%d HTTP/1.1\r\nHost: h\r\n%s\r\n", i % 50 == 0 ? "slow" : "echo", i,
			   i == 199 ? "Connection: close\r\n" : "");
	buf_str(&all);
	put(fd, all.p, all.n);
	ck_assert_int_eq(take_all(fd, &b, 5000), 1);
	for (at = b.p, i = 0; (at = strstr(at, "HTTP/1.1 200 OK")) != NULL; at++, i++)
		if (i % 50 == 0)
			ck_assert_int_eq(strtol(strstr(at, "\r\n\r\n") + 4, NULL, 10), i);
	ck_assert_int_eq(i, 200);
	close(fd);
	buf_free(&b);
	buf_free(&all);
}
END_TEST

START_TEST(bodies_and_requests_follow_each_other)
{
	static const char two[] =
		"POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc"
		"POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nde\r\n0\r\n\r\n"
		"POST /ignore HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nGET"
		"POST /ignore HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nGET\r\n0\r\n\r\n"
		"GET /last HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
	size_t step;

	for (step = 1; step < sizeof(two); step += 7) {
		struct buf b = buf_init();
		int fd = dial(), replies = 0;
		size_t at;
		char *p;

		for (at = 0; at < sizeof(two) - 1; at += step)
			put(fd, two + at, sizeof(two) - 1 - at < step ? sizeof(two) - 1 - at : step);
		ck_assert_int_eq(take_all(fd, &b, 5000), 1);
		for (p = b.p; (p = strstr(p, "HTTP/1.1 200 OK")) != NULL; p++)
			replies++;
		ck_assert_int_eq(replies, 5);
		ck_assert_ptr_nonnull(strstr(b.p, "abcHTTP/1.1 200 OK"));
		ck_assert_ptr_nonnull(strstr(b.p, "deHTTP/1.1 200 OK"));
		ck_assert_ptr_nonnull(strstr(b.p, "1 GET /last"));
		close(fd);
		buf_free(&b);
	}
}
END_TEST

START_TEST(continue_is_sent_when_the_handler_reads)
{
	struct buf b = buf_init();
	int fd = dial();

	put_text(fd, "POST /echo HTTP/1.1\r\n" HOST "Expect: 100-continue\r\nContent-Length: 4\r\n\r\n");
	ck_assert_int_eq(take_reply(fd, &b, 1000), 1);
	ck_assert_str_eq(b.p, "HTTP/1.1 100 Continue\r\n\r\n");
	b.n = 0;
	put_text(fd, "body");
	ck_assert_int_eq(take_reply(fd, &b, 1000), 1);
	ck_assert_ptr_nonnull(strstr(b.p, "\r\n\r\nbody"));
	ck_assert_ptr_null(strstr(b.p, "Connection: close"));
	close(fd);
	/* One that does not want it says so by its reply, and hangs up, as the body may or may not come. */
	b.n = 0;
	fd = dial();
	put_text(fd, "POST /ignore HTTP/1.1\r\n" HOST "Expect: 100-continue\r\nContent-Length: 4\r\n\r\n");
	ck_assert_int_eq(take_all(fd, &b, 1000), 1);
	ck_assert_ptr_nonnull(strstr(b.p, "Connection: close\r\n"));
	ck_assert_ptr_null(strstr(b.p, "100 Continue"));
	close(fd);
	buf_free(&b);
}
END_TEST

START_TEST(large_bodies_pass_both_ways)
{
	struct buf b = buf_init(), head = buf_init();
	size_t n = 5000000, i, got;
	char *body = malloc(n);
	int fd = dial();

	for (i = 0; i < n; i++)
		body[i] = (char)(i * 7 % 251);
	buf_printf(&head, "POST /echo HTTP/1.1\r\n" HOST "Connection: close\r\nContent-Length: %zu\r\n\r\n", n);
	put(fd, head.p, head.n);
	put(fd, body, n);
	ck_assert_int_eq(take_all(fd, &b, 10000), 1);
	got = (size_t)(strstr(b.p, "\r\n\r\n") + 4 - b.p);
	ck_assert_uint_eq(b.n - got, n);
	ck_assert_int_eq(memcmp(b.p + got, body, n), 0);
	close(fd);
	b.n = 0;
	fd = dial();
	put_text(fd, "GET /large-write HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n");
	ck_assert_int_eq(take_all(fd, &b, 10000), 1);
	ck_assert_uint_eq(b.n - (size_t)(strstr(b.p, "\r\n\r\n") + 4 - b.p), RIG_LARGE);
	close(fd);
	free(body);
	buf_free(&b);
	buf_free(&head);
}
END_TEST

/* Sends until the server takes no more for a while; bytes that it took. */
static size_t push(int fd, size_t most)
{
	struct pollfd p = { .fd = fd, .events = POLLOUT };
	size_t total = 0;
	ssize_t n;

	while (total < most && poll(&p, 1, 300) > 0) {
		n = send(fd, rig_large, most - total < 65536 ? most - total : 65536, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n > 0)
			total += (size_t)n;
		else if (errno != EAGAIN)
			break;
	}
	return total;
}

START_TEST(a_body_that_is_not_read_is_not_taken)
{
	size_t n = 64u << 20, pushed, now;
	struct buf b = buf_init();
	int fd = dial();
	char head[128];

	snprintf(head, sizeof(head), "POST /hold HTTP/1.1\r\n" HOST "Content-Length: %zu\r\n\r\n", n);
	put_text(fd, head);
	pushed = push(fd, n);
	ck_assert_uint_lt(pushed, 16u << 20); /* the sockets' buffers and a little */
	rig.released = 1;
	while (pushed < n && (now = push(fd, n - pushed)) > 0)
		pushed += now;
	ck_assert_int_eq(take_reply(fd, &b, 5000), 1);
	ck_assert_ptr_nonnull(strstr(b.p, "\r\n\r\n67108864"));
	close(fd);
	buf_free(&b);
}
END_TEST

START_TEST(a_reply_that_is_not_taken_is_not_made)
{
	struct buf b = buf_init();
	int fd = dial();
	size_t before;

	put_text(fd, "GET /stream HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n");
	rig_nap(300);
	before = rig.wrote;
	ck_assert_uint_lt(before, 16u << 20);
	rig_nap(100);
	ck_assert_uint_eq(rig.wrote, before); /* it stands still */
	ck_assert_int_eq(take_all(fd, &b, 20000), 1);
	ck_assert_uint_eq(rig.wrote, 4096u * 16000);
	ck_assert_str_eq(b.p + b.n - 5, "0\r\n\r\n");
	close(fd);
	buf_free(&b);
}
END_TEST

START_TEST(requests_whose_replies_are_not_taken_are_not_handled)
{
	static const char one[] = "GET /large HTTP/1.1\r\nHost: h\r\n\r\n";
	int fd = dial(), i;

	for (i = 0; i < 1000; i++)
		put(fd, one, sizeof(one) - 1);
	rig_nap(300);
	ck_assert_int_lt(rig.calls, 20);
	close(fd);
}
END_TEST

START_TEST(handler_hears_that_its_client_left)
{
	struct linger cut = { 1, 0 };
	int fd = dial(), i;

	put_text(fd, "GET /wait HTTP/1.1\r\n" HOST "\r\n");
	rig_nap(50);
	close(fd);
	for (i = 0; i < 100 && rig.gone == 0; i++)
		rig_nap(3);
	ck_assert_int_eq(rig.gone, 1);
	fd = dial();
	put_text(fd, "GET /wait HTTP/1.1\r\n" HOST "\r\n");
	rig_nap(50);
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &cut, sizeof(cut));
	close(fd); /* a reset */
	for (i = 0; i < 100 && rig.gone == 1; i++)
		rig_nap(3);
	ck_assert_int_eq(rig.gone, 2);
}
END_TEST

START_TEST(handler_hears_it_while_its_body_is_not_read)
{
	int fd = dial(), i;

	put_text(fd, "POST /wait HTTP/1.1\r\n" HOST "Content-Length: 100000000\r\n\r\n");
	push(fd, 40000); /* fills our buffer; what the socket holds leaves room for the end */
	rig_nap(50);
	ck_assert_int_eq(rig.gone, 0);
	close(fd);
	for (i = 0; i < 100 && rig.gone == 0; i++)
		rig_nap(3);
	ck_assert_int_eq(rig.gone, 1);
}
END_TEST

START_TEST(half_closed_client_still_gets_its_reply)
{
	static const char text[] = "GET /wait HTTP/1.1\r\n" HOST "\r\n";
	struct buf b = exchange(text, sizeof(text) - 1, 100);

	ck_assert_ptr_nonnull(strstr(b.p, "you left"));
	buf_free(&b);
}
END_TEST

START_TEST(stream_ends_when_its_client_left)
{
	int fd = dial(), i;

	put_text(fd, "GET /stream HTTP/1.1\r\n" HOST "\r\n");
	rig_nap(50);
	close(fd);
	for (i = 0; i < 300 && rig.write_failed == 0; i++)
		rig_nap(3);
	ck_assert_int_eq(rig.write_failed, 1);
	fd = dial();
	put_text(fd, "GET /large-write HTTP/1.1\r\n" HOST "\r\n");
	rig_nap(50);
	close(fd);
	for (i = 0; i < 300 && rig.write_failed == 1; i++)
		rig_nap(3);
	ck_assert_int_eq(rig.write_failed, 2);
}
END_TEST

/* A reply that breaks off is seen as broken. */
START_TEST(unfinished_reply_closes)
{
	static const char *const paths[] = { "/abort", "/oom-late", "/too-little" };
	struct buf b = buf_init();
	char text[64];
	size_t i;
	int fd;

	for (i = 0; i < 3; i++) {
		b.n = 0;
		fd = dial();
		snprintf(text, sizeof(text), "GET %s HTTP/1.1\r\n" HOST "\r\n", paths[i]);
		put_text(fd, text);
		ck_assert_int_eq(take_all(fd, &b, 1000), 1);
		ck_assert_int_eq(strncmp(b.p, "HTTP/1.1 200 OK\r\n", 17), 0);
		ck_assert_ptr_null(strstr(strstr(b.p, "\r\n\r\n") + 4, "0\r\n\r\n"));
		close(fd);
	}
	buf_free(&b);
}
END_TEST

/* The limits. */

START_TEST(header_block_over_the_limit_is_refused)
{
	struct buf b = buf_init(), r = buf_init();
	int fd, i;

	for (i = 0; i < 2; i++) { /* with its end and without */
		r.n = b.n = 0;
		buf_printf(&r, "GET / HTTP/1.1\r\n" HOST "X: %01000d%s", 0, i ? "\r\n\r\n" : "");
		fd = dial();
		put(fd, r.p, r.n);
		ck_assert_int_eq(take_all(fd, &b, 1000), 1);
		ck_assert_int_eq(strncmp(b.p, "HTTP/1.1 431 Request Header Fields Too Large\r\n", 46), 0);
		ck_assert_ptr_nonnull(strstr(b.p, "\r\n\r\n431 Request Header Fields Too Large"));
		close(fd);
	}
	r.n = b.n = 0;
	buf_printf(&r, "GET / HTTP/1.1\r\n" HOST "Connection: close\r\nX: %0900d\r\n\r\n", 0);
	fd = dial();
	put(fd, r.p, r.n);
	ck_assert_int_eq(take_all(fd, &b, 1000), 1);
	ck_assert_int_eq(strncmp(b.p, "HTTP/1.1 200 OK\r\n", 17), 0);
	close(fd);
	buf_free(&b);
	buf_free(&r);
}
END_TEST

static int64_t time_to_close(const char *text, struct buf *b)
{
	int64_t start;
	int fd = dial();

	put_text(fd, text);
	start = clock_ms();
	b->n = 0;
	ck_assert_msg(take_all(fd, b, 2000), "still open after %s", text);
	close(fd);
	return clock_ms() - start;
}

START_TEST(slow_clients_are_left)
{
	struct buf b = buf_init();

	ck_assert_int_ge(time_to_close("", &b), 140);
	ck_assert_int_ge(time_to_close("GET / HTTP/1.1\r\nHost:", &b), 140);
	ck_assert_uint_eq(b.n, 0);
	ck_assert_int_ge(time_to_close("POST /echo HTTP/1.1\r\n" HOST "Content-Length: 10\r\n\r\nabc", &b), 140);
	ck_assert_ptr_nonnull(strstr(b.p, "no body"));
	ck_assert_int_ge(time_to_close("POST /ignore HTTP/1.1\r\n" HOST "Content-Length: 10\r\n\r\nabc", &b), 140);
	ck_assert_ptr_nonnull(strstr(b.p, "ignored"));
	ck_assert_int_ge(time_to_close("GET /a HTTP/1.1\r\n" HOST "\r\n", &b), 290); /* keep-alive */
	ck_assert_ptr_nonnull(strstr(b.p, "200 OK"));
	buf_free(&b);
}
END_TEST

START_TEST(drip_of_header_bytes_does_not_extend_the_time)
{
	struct buf b = buf_init();
	int64_t start = clock_ms();
	int fd = dial(), i;

	for (i = 0; i < 100; i++) {
		put_text(fd, "x");
		if (take(fd, &b, 1, 10) == 0)
			break;
	}
	ck_assert_int_lt(clock_ms() - start, 800);
	ck_assert_int_lt(i, 100);
	close(fd);
	buf_free(&b);
}
END_TEST

START_TEST(reply_that_nobody_takes_is_given_up)
{
	int fd = dial(), i;

	put_text(fd, "GET /stream HTTP/1.1\r\n" HOST "\r\n");
	for (i = 0; i < 100 && rig.write_failed == 0; i++)
		rig_nap(10);
	ck_assert_int_eq(rig.write_failed, 1);
	for (i = 0; i < 100 && http_server_connections(rig.s) > 0; i++)
		rig_nap(10);
	ck_assert_int_eq(http_server_connections(rig.s), 0);
	close(fd);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("http1");
	TCase *t = tcase_create("requests"), *q = tcase_create("limits");
	SRunner *r;
	int failed;

	tcase_add_checked_fixture(t, setup, rig_stop);
	tcase_set_timeout(t, 60);
	tcase_add_loop_test(t, request_gets_its_answer, 0, sizeof(talks) / sizeof(*talks));
	tcase_add_test(t, nul_in_a_field_is_refused);
	tcase_add_test(t, replies_come_in_the_order_of_the_requests);
	tcase_add_test(t, bodies_and_requests_follow_each_other);
	tcase_add_test(t, continue_is_sent_when_the_handler_reads);
	tcase_add_test(t, large_bodies_pass_both_ways);
	tcase_add_test(t, a_body_that_is_not_read_is_not_taken);
	tcase_add_test(t, a_reply_that_is_not_taken_is_not_made);
	tcase_add_test(t, requests_whose_replies_are_not_taken_are_not_handled);
	tcase_add_test(t, handler_hears_that_its_client_left);
	tcase_add_test(t, handler_hears_it_while_its_body_is_not_read);
	tcase_add_test(t, half_closed_client_still_gets_its_reply);
	tcase_add_test(t, stream_ends_when_its_client_left);
	tcase_add_test(t, unfinished_reply_closes);
	suite_add_tcase(s, t);
	tcase_add_checked_fixture(q, quick_setup, rig_stop);
	tcase_set_timeout(q, 60);
	tcase_add_test(q, header_block_over_the_limit_is_refused);
	tcase_add_test(q, slow_clients_are_left);
	tcase_add_test(q, drip_of_header_bytes_does_not_extend_the_time);
	tcase_add_test(q, reply_that_nobody_takes_is_given_up);
	suite_add_tcase(s, q);
	r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
