/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of kernel/http share: a server with a handler for every habit, and a client that sends what it likes. */
#ifndef HTTP_RIG_H
#define HTTP_RIG_H
#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "http/server.h"
#include "loop/fiber.h"
#include "loop/loop.h"

#define RIG_LOOPS 2
#define RIG_LARGE (16u << 20) /* more than sockets hold */

struct rig {
	struct http_server_options o;
	struct loop *loops[RIG_LOOPS];
	struct http_server *s;
	struct arena *arena;
	/* what the handlers did */
	atomic_int calls, gone, write_failed, released;
	atomic_size_t wrote, got;
};

static struct rig rig;
static char rig_large[RIG_LARGE];

static const struct http_field rig_text[] = { { STR("content-type"), STR("text/plain") } };

static inline void rig_nap(int ms)
{
	struct timespec t = { ms / 1000, ms % 1000 * 1000000L };

	nanosleep(&t, NULL);
}

/* On a fiber. */
static void rig_sleep(int ms)
{
	int64_t until = clock_ns() + (int64_t)ms * 1000000;

	while (fiber_park_until(until) == 0)
		;
}

static void rig_on_gone(void *arg)
{
	rig.gone++;
	fiber_wake(arg);
}

/* Everything the request said. */
static void rig_info(struct http_exchange *x)
{
	struct buf b = buf_in(x->arena);
	size_t i;

	buf_printf(&b, "%d " STR_FMT " " STR_FMT " path=" STR_FMT " query=" STR_FMT " authority=" STR_FMT "\n",
		   x->major, STR_ARG(x->method), STR_ARG(x->target), STR_ARG(x->path), STR_ARG(x->query),
		   STR_ARG(x->authority));
	for (i = 0; i < x->nfields; i++)
		buf_printf(&b, STR_FMT "=[" STR_FMT "]\n", STR_ARG(x->fields[i].name), STR_ARG(x->fields[i].value));
	http_reply(x, 200, rig_text, 1, buf_str(&b));
}

static void rig_echo(struct http_exchange *x)
{
	struct http_field fields[2] = { rig_text[0], { STR("x-trailer"), STR_NONE } };
	struct str body;
	int failed = http_read_all(x, 8u << 20, &body);

	if (x->ntrailers > 0)
		fields[1].value = x->trailers[0].value;
	rig.got += body.n;
	if (failed == 0)
		http_reply(x, 200, fields, x->ntrailers > 0 ? 2 : 1, body);
	else
		http_reply(x, failed == -2 ? 413 : 400, rig_text, 1, STR("no body"));
}

static void rig_pieces(struct http_exchange *x, int64_t length)
{
	static const struct http_field end[] = { { STR("x-end"), STR("here") } };
	int i;

	http_begin(x, 200, rig_text, 1, length);
	for (i = 0; i < 3; i++) {
		rig_sleep(5);
		http_write(x, STR("piece "));
	}
	http_end(x, end, 1);
}

static void rig_stream(struct http_exchange *x)
{
	int i;

	http_begin(x, 200, rig_text, 1, -1);
	for (i = 0; i < 4096; i++) {
		if (http_write(x, (struct str){ rig_large, 16000 }) < 0) {
			rig.write_failed++;
			return;
		}
		rig.wrote += 16000;
	}
	http_end(x, NULL, 0);
}

/* Waits for its client to go, or half a second. */
static void rig_wait(struct http_exchange *x)
{
	int64_t until = clock_ns() + 500000000;

	http_on_gone(x, rig_on_gone, fiber_self());
	while (!http_gone(x) && fiber_park_until(until) == 0)
		;
	http_reply(x, 200, rig_text, 1, http_gone(x) ? STR("you left") : STR("you stayed"));
}

/* Reads nothing until it is released. */
static void rig_hold(struct http_exchange *x)
{
	struct str piece;

	while (!rig.released)
		rig_sleep(5);
	while (http_read(x, &piece) > 0)
		rig.got += piece.n;
	http_reply(x, 200, rig_text, 1, arena_printf(x->arena, "%zu", (size_t)x->received));
}

static void rig_fields(struct http_exchange *x)
{
	static const struct http_field f[] = {
		{ STR("x-split"), STR("a\r\nx-evil: 1") },
		{ STR("x-bad name"), STR("b") },
		{ STR("content-length"), STR("99") },
		{ STR("connection"), STR("upgrade") },
		{ STR("x-good"), STR("c") },
	};

	http_reply(x, 200, f, 5, STR("ok"));
}

static void rig_peer(struct http_exchange *x)
{
	http_reply(x, 200, rig_text, 1, x->peer);
}

static void rig_loop(struct http_exchange *x)
{
	http_reply(x, 200, rig_text, 1, arena_printf(x->arena, "%d", loop_index(x->loop)));
}

struct rig_route {
	const char *path;
	void (*fn)(struct http_exchange *x);
};

static void rig_large_reply(struct http_exchange *x)
{
	http_reply(x, 200, rig_text, 1, (struct str){ rig_large, RIG_LARGE });
}

static void rig_large_write(struct http_exchange *x)
{
	http_begin(x, 200, rig_text, 1, RIG_LARGE);
	if (http_write(x, (struct str){ rig_large, RIG_LARGE }) < 0)
		rig.write_failed++;
	http_end(x, NULL, 0);
}

static void rig_chunked(struct http_exchange *x)
{
	rig_pieces(x, -1);
}

static void rig_counted(struct http_exchange *x)
{
	rig_pieces(x, 18);
}

static void rig_too_much(struct http_exchange *x)
{
	rig_pieces(x, 8);
}

static void rig_too_little(struct http_exchange *x)
{
	rig_pieces(x, 30);
}

static void rig_slow(struct http_exchange *x)
{
	rig_sleep(50);
	http_reply(x, 200, rig_text, 1, x->query);
}

static void rig_status(struct http_exchange *x)
{
	int64_t status = 0;

	str_int(x->query, &status);
	http_reply(x, (int)status, NULL, 0, status == 204 || status == 304 ? STR_NONE : STR("text"));
}

static void rig_no_memory(struct http_exchange *x)
{
	arena_alloc(x->arena, SIZE_MAX / 2 + 1);
	ck_abort_msg("there was memory");
}

static void rig_no_memory_late(struct http_exchange *x)
{
	http_begin(x, 200, NULL, 0, -1);
	http_write(x, STR("part"));
	arena_alloc(x->arena, SIZE_MAX / 2 + 1);
}

static void rig_abort(struct http_exchange *x)
{
	http_begin(x, 200, NULL, 0, -1);
	http_write(x, STR("part"));
	http_abort(x, 8);
}

static void rig_nothing(struct http_exchange *x)
{
	(void)x;
}

static void rig_ignore(struct http_exchange *x)
{
	http_reply(x, 200, rig_text, 1, STR("ignored"));
}

static const struct rig_route rig_routes[] = {
	{ "/echo", rig_echo },
	{ "/large", rig_large_reply },
	{ "/large-write", rig_large_write },
	{ "/pieces", rig_chunked },
	{ "/counted", rig_counted },
	{ "/too-much", rig_too_much },
	{ "/too-little", rig_too_little },
	{ "/stream", rig_stream },
	{ "/wait", rig_wait },
	{ "/hold", rig_hold },
	{ "/fields", rig_fields },
	{ "/slow", rig_slow },
	{ "/status", rig_status },
	{ "/oom", rig_no_memory },
	{ "/oom-late", rig_no_memory_late },
	{ "/abort", rig_abort },
	{ "/nothing", rig_nothing },
	{ "/ignore", rig_ignore },
	{ "/peer", rig_peer },
	{ "/loop", rig_loop },
};

static void rig_handle(void *ctx, struct http_exchange *x)
{
	size_t i;

	ck_assert_ptr_eq(ctx, &rig);
	ck_assert_ptr_nonnull(fiber_self());
	rig.calls++;
	for (i = 0; i < sizeof(rig_routes) / sizeof(*rig_routes); i++)
		if (str_is(x->path, rig_routes[i].path)) {
			rig_routes[i].fn(x);
			return;
		}
	rig_info(x);
}

/* Options may be changed between the two. */
static void rig_prepare(void)
{
	memset(rig_large, 'x', sizeof(rig_large));
	rig.o = http_server_defaults();
	rig.o.handle = rig_handle;
	rig.o.ctx = &rig;
}

static void rig_start_loops(void)
{
	int i;

	rig.arena = arena_new();
	for (i = 0; i < RIG_LOOPS; i++) {
		rig.loops[i] = loop_new(i);
		ck_assert_ptr_nonnull(rig.loops[i]);
		ck_assert_int_eq(loop_start(rig.loops[i]), 0);
	}
}

static inline void rig_start(void)
{
	struct str message;

	rig_start_loops();
	rig.s = http_listen_tcp(&rig.o, rig.loops, RIG_LOOPS, "127.0.0.1", 0, rig.arena, &message);
	ck_assert_ptr_nonnull(rig.s);
}

static void rig_stop(void)
{
	int i;

	http_server_close(rig.s, 2000); /* NULL is fine */
	rig.s = NULL;
	for (i = 0; i < RIG_LOOPS; i++) {
		loop_stop(rig.loops[i]);
		loop_join(rig.loops[i]);
		loop_free(rig.loops[i]);
	}
	arena_unref(rig.arena);
	arena_drop_stock();
	ck_assert_int_eq(fiber_live(), 0);
}

/* The client. */

static inline int dial(void)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons((uint16_t)http_server_port(rig.s)) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;

	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	return fd;
}

static inline void put(int fd, const void *p, size_t n)
{
	ssize_t sent;

	while (n > 0) {
		sent = send(fd, p, n, MSG_NOSIGNAL);
		if (sent <= 0)
			return; /* it was closed, which the test sees by what it reads */
		p = (const char *)p + sent;
		n -= (size_t)sent;
	}
}

static inline void put_text(int fd, const char *text)
{
	put(fd, text, strlen(text));
}

/* What comes within ms, at most max bytes more: bytes added, 0 the end, -1 nothing came, -2 a reset. */
static inline ssize_t take(int fd, struct buf *b, size_t max, int ms)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	char part[65536];
	ssize_t n;

	if (poll(&p, 1, ms) <= 0)
		return -1;
	n = recv(fd, part, max < sizeof(part) ? max : sizeof(part), 0);
	if (n < 0)
		return -2;
	buf_add(b, part, (size_t)n);
	return n;
}

/* Reads until the server closes. *b gets a NUL behind it. 1: it closed; 0: it did not within ms. */
static inline int take_all(int fd, struct buf *b, int ms)
{
	int64_t until = clock_ms() + ms;
	ssize_t n;

	do {
		n = take(fd, b, SIZE_MAX, (int)(until - clock_ms()));
	} while (n > 0 && clock_ms() < until);
	buf_str(b);
	return n == 0 || n == -2;
}

/* One reply with a length: *b is its head and body. 0: none came. */
static inline int take_reply(int fd, struct buf *b, int ms)
{
	int64_t until = clock_ms() + ms;
	const char *end, *length;
	size_t size;

	for (;;) {
		buf_str(b);
		end = b->p ? strstr(b->p, "\r\n\r\n") : NULL;
		if (end != NULL) {
			length = strstr(b->p, "Content-Length: ");
			size = length != NULL && length < end ? strtoul(length + 16, NULL, 10) : 0;
			if (b->n >= (size_t)(end + 4 - b->p) + size)
				return 1;
		}
		if (clock_ms() >= until || take(fd, b, 1, (int)(until - clock_ms())) <= 0)
			return 0;
	}
}
#endif
