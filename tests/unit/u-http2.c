/* SPDX-License-Identifier: Apache-2.0 */
/* HTTP/2 against a real server, by a client that makes its own frames, good ones and others. */
#include <nghttp2/nghttp2.h>

#include "http_rig.h"

#define PREFACE "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
#define END_STREAM NGHTTP2_FLAG_END_STREAM
#define END_HEADERS NGHTTP2_FLAG_END_HEADERS
#define OPEN_WINDOW 0x3fffffff

struct peer {
	int fd;
	nghttp2_hd_inflater *inflater;
	struct buf raw;	 /* not parsed yet */
	struct buf log;	 /* what came, a line a frame */
	struct buf data; /* of all DATA frames */
	int closed;
};

static void put_frame(struct peer *p, int type, int flags, uint32_t id, const void *payload, size_t n)
{
	uint8_t head[9] = { (uint8_t)(n >> 16), (uint8_t)(n >> 8), (uint8_t)n, (uint8_t)type, (uint8_t)flags,
			    (uint8_t)(id >> 24), (uint8_t)(id >> 16), (uint8_t)(id >> 8), (uint8_t)id };
	struct buf b = buf_init();

	buf_add(&b, head, sizeof(head));
	buf_add(&b, payload, n);
	put(p->fd, b.p, b.n);
	buf_free(&b);
}

static void put_word(struct peer *p, int type, uint32_t id, uint32_t word)
{
	uint8_t b[4] = { (uint8_t)(word >> 24), (uint8_t)(word >> 16), (uint8_t)(word >> 8), (uint8_t)word };

	put_frame(p, type, 0, id, b, 4);
}

/* "name: value" lines as literals that are not indexed. */
static void add_block(struct buf *b, const char *fields)
{
	struct str rest = str_of(fields), line, name, value;

	while (str_split(&rest, '\n', &line)) {
		if (line.n == 0)
			continue;
		str_cut((struct str){ line.p + 1, line.n - 1 }, ':', &name, &value);
		name = (struct str){ line.p, name.n + 1 }; /* the first letter may be a colon itself */
		value = str_trim(value);
		buf_addc(b, 0);
		buf_addc(b, (char)name.n);
		buf_adds(b, name);
		if (value.n < 127) {
			buf_addc(b, (char)value.n);
		} else {
			buf_addc(b, 127);
			buf_addc(b, (char)(0x80 | ((value.n - 127) & 0x7f)));
			buf_addc(b, (char)((value.n - 127) >> 7));
		}
		buf_adds(b, value);
	}
}

static void put_headers(struct peer *p, int flags, uint32_t id, const char *fields)
{
	struct buf b = buf_init();

	add_block(&b, fields);
	put_frame(p, NGHTTP2_HEADERS, flags, id, b.p, b.n);
	buf_free(&b);
}

#define FIELDS(method, path) ":method: " method "\n:scheme: http\n:authority: h\n:path: " path "\n"

static void get(struct peer *p, uint32_t id, const char *path)
{
	char fields[256];

	snprintf(fields, sizeof(fields), FIELDS("GET", "%s"), path);
	put_headers(p, END_STREAM | END_HEADERS, id, fields);
}

/* window: what each of our streams may be sent before we say more. */
static void open_peer(struct peer *p, uint32_t window)
{
	uint8_t settings[6] = { 0, NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, (uint8_t)(window >> 24),
				(uint8_t)(window >> 16), (uint8_t)(window >> 8), (uint8_t)window };

	memset(p, 0, sizeof(*p));
	p->fd = dial();
	ck_assert_int_eq(nghttp2_hd_inflate_new(&p->inflater), 0);
	put_text(p->fd, PREFACE);
	put_frame(p, NGHTTP2_SETTINGS, 0, 0, settings, 6);
	put_word(p, NGHTTP2_WINDOW_UPDATE, 0, OPEN_WINDOW);
}

static void close_peer(struct peer *p)
{
	close(p->fd);
	nghttp2_hd_inflate_del(p->inflater);
	buf_free(&p->raw);
	buf_free(&p->log);
	buf_free(&p->data);
}

static void log_headers(struct peer *p, const uint8_t *at, size_t n)
{
	nghttp2_nv nv;
	ssize_t used;
	int flags;

	do {
		used = nghttp2_hd_inflate_hd2(p->inflater, &nv, &flags, at, n, 1);
		ck_assert_int_ge(used, 0);
		at += used;
		n -= (size_t)used;
		if (flags & NGHTTP2_HD_INFLATE_EMIT)
			buf_printf(&p->log, " %s=%s", nv.name, nv.value);
	} while (!(flags & NGHTTP2_HD_INFLATE_FINAL) && (n > 0 || flags & NGHTTP2_HD_INFLATE_EMIT));
	nghttp2_hd_inflate_end_headers(p->inflater);
}

static uint32_t word(const uint8_t *b)
{
	return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
}

/* One frame of p->raw to the log; 0: it is not all there. */
static int log_frame(struct peer *p)
{
	const uint8_t *b = (const uint8_t *)p->raw.p;
	size_t n;
	uint32_t id;

	if (p->raw.n < 9)
		return 0;
	n = (size_t)b[0] << 16 | (size_t)b[1] << 8 | b[2];
	if (p->raw.n < 9 + n)
		return 0;
	id = word(b + 5);
	switch (b[3]) {
	case NGHTTP2_DATA:
		buf_printf(&p->log, "%u DATA %zu", id, n);
		buf_add(&p->data, b + 9, n);
		break;
	case NGHTTP2_HEADERS:
		buf_printf(&p->log, "%u HEADERS", id);
		log_headers(p, b + 9, n);
		break;
	case NGHTTP2_RST_STREAM:
		buf_printf(&p->log, "%u RST %u", id, word(b + 9));
		break;
	case NGHTTP2_GOAWAY:
		buf_printf(&p->log, "GOAWAY %u %u", word(b + 9), word(b + 13));
		break;
	case NGHTTP2_PING:
		buf_printf(&p->log, "PING %d %.8s", b[4], b + 9);
		break;
	case NGHTTP2_SETTINGS:
		if (b[4] == 0) /* acknowledge it */
			put_frame(p, NGHTTP2_SETTINGS, NGHTTP2_FLAG_ACK, 0, NULL, 0);
		buf_printf(&p->log, "SETTINGS %d", b[4]);
		break;
	case NGHTTP2_WINDOW_UPDATE:
		buf_printf(&p->log, "%u WINDOW %u", id, word(b + 9));
		break;
	default:
		buf_printf(&p->log, "%u type %d", id, b[3]);
		break;
	}
	if ((b[3] == NGHTTP2_DATA || b[3] == NGHTTP2_HEADERS) && b[4] & END_STREAM)
		buf_printf(&p->log, " END %u", id);
	buf_addc(&p->log, '\n');
	buf_str(&p->log);
	buf_drop(&p->raw, 9 + n);
	return 1;
}

/* Reads until the log has this in it (NULL: until the server closes). 1: it has; 0: not within ms. */
static int expect(struct peer *p, const char *text, int ms)
{
	int64_t until = clock_ms() + ms;
	ssize_t n;

	buf_str(&p->log);
	for (;;) {
		while (log_frame(p))
			;
		if (text != NULL ? p->log.p != NULL && strstr(p->log.p, text) != NULL : p->closed)
			return 1;
		if (p->closed || clock_ms() >= until)
			return 0;
		n = take(p->fd, &p->raw, SIZE_MAX, (int)(until - clock_ms()));
		p->closed = n == 0 || n == -2;
	}
}

#define ck_expect(who, text, ms) \
	ck_assert_msg(expect(who, text, ms), "no \"%s\" in:\n%s", text, (who)->log.p)

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
	rig.o.stall_timeout_ms = 200;
	rig.o.keep_alive_ms = 300;
	rig.o.stream_limit = 4;
	rig_start();
}

START_TEST(request_gets_its_answer)
{
	struct peer p;

	open_peer(&p, OPEN_WINDOW);
	put_headers(&p, END_STREAM | END_HEADERS, 1, FIELDS("FOO", "/a?b") "x-y: z\ncookie: a=1\ncookie: b=2\n");
	ck_expect(&p, "1 HEADERS :status=200 content-type=text/plain date=", 1000);
	ck_expect(&p, "END 1", 1000);
	ck_assert_str_eq(buf_str(&p.data).p,
			 "2 FOO /a?b path=/a query=b authority=h\nx-y=[z]\ncookie=[a=1; b=2]\n");
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
	case PINGS:
		put_frame(p, NGHTTP2_PING, 0, 0, "12345678", 8);
		break;
	case SETTINGS:
		put_frame(p, NGHTTP2_SETTINGS, 0, 0, NULL, 0);
		break;
	case EMPTY_DATA:
		put_frame(p, NGHTTP2_DATA, 0, 1, NULL, 0);
		break;
	case PRIORITIES:
		put_frame(p, NGHTTP2_PRIORITY, 0, id, "\0\0\0\0\1", 5);
		break;
	case WINDOWS:
		put_word(p, NGHTTP2_WINDOW_UPDATE, 1, 1);
		break;
	case UNKNOWN:
		put_frame(p, 0x77, 0, 0, "x", 1);
		break;
	case CONTINUATIONS:
		put_frame(p, NGHTTP2_CONTINUATION, 0, 3, NULL, 0);
		break;
	case BAD_STREAMS:
		put_headers(p, END_HEADERS | END_STREAM, id, FIELDS("GET", "/a") "te: x\n");
		break;
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
	ck_assert_msg(i < FLOOD_MOST, "it goes on for ever");
	expect(&p, NULL, 2000);
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
	for (i = 0; i < 200 && http_server_connections(rig.s) > 0; i++)
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
		ck_expect(&p, end, 1000);
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
	ck_expect(&p, "101 RST 7\n", 1000); /* REFUSED_STREAM: it may be sent again */
	ck_assert_int_le(rig.calls, 4);
	rig_nap(100);
	get(&p, 103, "/a");
	ck_expect(&p, "END 103", 1000);
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
	ck_expect(&p, "1 HEADERS :status=431", 1000);
	ck_expect(&p, "END 1", 1000);
	ck_assert_int_eq(rig.calls, 0);
	get(&p, 3, "/a");
	ck_expect(&p, "END 3", 1000);
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
	ck_expect(&p, "1 RST 8\n", 1000);
	ck_expect(&p, "3 RST 8\n", 1000);
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
	for (i = 0; i < 200 && http_server_connections(rig.s) > 0; i++)
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
	ck_expect(&p, "SETTINGS 0", 1000); /* nothing may come between a header block's frames */
	put_headers(&p, 0, 1, FIELDS("GET", "/a"));
	ck_assert_int_eq(expect(&p, NULL, 1000), 1);
	ck_assert_msg(clock_ms() - start >= 140, "%s", p.log.p);
	close_peer(&p);
	open_peer(&p, OPEN_WINDOW);
	put_headers(&p, END_HEADERS, 1, FIELDS("POST", "/echo"));
	ck_expect(&p, "1 RST 8\n", 1000);
	close_peer(&p);
}
END_TEST

START_TEST(idle_connection_is_closed_with_goaway)
{
	struct peer p;

	open_peer(&p, OPEN_WINDOW);
	get(&p, 1, "/a");
	ck_expect(&p, "END 1", 1000);
	ck_expect(&p, "GOAWAY 2147483647 0\n", 1000);
	ck_expect(&p, "PING 0 goodbye!", 1000);
	put_frame(&p, NGHTTP2_PING, NGHTTP2_FLAG_ACK, 0, "goodbye!", 8);
	ck_expect(&p, "GOAWAY 1 0\n", 500);
	ck_assert_int_eq(expect(&p, NULL, 1000), 1);
	close_peer(&p);
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
	tcase_add_loop_test(t, malformed_request_resets_its_stream, 0, sizeof(bads) / sizeof(*bads));
	tcase_add_test(t, trailers_te_and_host_are_fine);
	tcase_add_test(t, bytes_one_by_one_are_the_same);
	tcase_add_loop_test(t, flood_ends_the_connection, RESETS, BAD_STREAMS + 1);
	tcase_add_test(t, busy_client_is_no_flood);
	tcase_add_test(t, early_reply_lets_the_client_finish);
	tcase_add_test(t, draining_says_goodbye_twice);
	tcase_add_test(t, preface_is_told_from_http1);
	tcase_add_test(t, garbage_never_crashes);
	t = add(s, "limits", quick_setup);
	tcase_add_test(t, flood_without_reading_ends_the_connection);
	tcase_add_test(t, calls_that_still_run_count_for_the_limit);
	tcase_add_test(t, header_block_over_the_limit_gets_431);
	tcase_add_test(t, window_that_never_opens_resets_the_stream);
	tcase_add_test(t, client_that_reads_nothing_is_left);
	tcase_add_test(t, slow_header_block_and_slow_body);
	tcase_add_test(t, idle_connection_is_closed_with_goaway);
	tcase_add_test(add(s, "http2-only", only_2_setup), port_for_http2_only);
	tcase_add_test(add(s, "http1-only", only_1_setup), port_for_http1_only);
	r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
