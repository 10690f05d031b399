/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A server of kernel/http on a loop that this thread turns itself, so that an input does the same each time, and a client
 * that sends bytes to it. Handlers run on fibers, as in the sidecar.
 */
#ifndef FUZZ_SERVER_H
#define FUZZ_SERVER_H
#include <errno.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/buf.h"
#include "base/clock.h"
#include "fuzz_input.h"
#include "http/server.h"
#include "loop/inside.h"

#define FUZZ_PATIENCE_MS 5000 /* an answer that takes longer hangs */

static struct {
	struct loop *loop;
	struct http_server *server;
	struct sockaddr_un at;
	struct arena *arena;
	struct buf answer; /* of the last input */
} rig;

static inline void fuzz_turn(void)
{
	uv_run(loop_uv(rig.loop), UV_RUN_NOWAIT);
}

static inline void fuzz_loop(void)
{
	fuzz_quiet();
	rig.loop = loop_new(0);
	fuzz_require(rig.loop != NULL);
	loop_current = rig.loop;
}

/* Until it is freed with the process. */
static inline void fuzz_serve(const struct http_server_options *o)
{
	struct str why = STR("");

	rig.arena = arena_new();
	rig.at.sun_family = AF_UNIX;
	snprintf(rig.at.sun_path, sizeof(rig.at.sun_path), "/dev/shm/davit-fuzz-%d.sock", getpid());
	rig.server = http_listen_unix(o, &rig.loop, 1, rig.at.sun_path, rig.arena, &why);
	fuzz_require(rig.server != NULL);
	fuzz_turn();
}

/* What came goes behind rig.answer. 1: more may come; 0: the server has ended. */
static inline int fuzz_take(int fd)
{
	char bytes[16384];
	ssize_t n = recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT);

	if (n > 0)
		buf_add(&rig.answer, bytes, (size_t)n);
	return n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR));
}

/* A connection of its own: sends it all, ends its side, takes what comes until the server ends too. */
static inline void fuzz_talk(struct str bytes)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), ended = 0;
	int64_t until = clock_ms() + FUZZ_PATIENCE_MS;
	ssize_t n;

	fuzz_require(fd >= 0 && connect(fd, (struct sockaddr *)&rig.at, sizeof(rig.at)) == 0);
	rig.answer.n = 0;
	do {
		if (bytes.n > 0) {
			n = send(fd, bytes.p, bytes.n, MSG_NOSIGNAL | MSG_DONTWAIT);
			if (n > 0)
				bytes = str_from(bytes, (size_t)n);
			else if (n < 0 && errno != EAGAIN)
				bytes.n = 0; /* it wants no more */
		}
		if (bytes.n == 0 && !ended)
			ended = shutdown(fd, SHUT_WR) == 0 || 1;
		fuzz_turn();
		fuzz_require(clock_ms() < until);
	} while (fuzz_take(fd));
	close(fd);
	while (http_server_connections(rig.server) > 0 || http_server_exchanges(rig.server) > 0) {
		fuzz_turn();
		fuzz_require(clock_ms() < until);
	}
}

/* What every handler may rely on. */
static inline void fuzz_check_request(const struct http_exchange *x)
{
	size_t i, k;

	fuzz_require(x->method.n > 0 && x->path.p != NULL && x->authority.p != NULL && x->content_length >= -1);
	for (i = 0; i < x->nfields; i++) {
		fuzz_require(x->fields[i].name.n > 0);
		for (k = 0; k < x->fields[i].name.n; k++)
			fuzz_require(x->fields[i].name.p[k] > ' ' &&
				     !(x->fields[i].name.p[k] >= 'A' && x->fields[i].name.p[k] <= 'Z'));
		for (k = 0; k < x->fields[i].value.n; k++)
			fuzz_require(x->fields[i].value.p[k] != '\n' && x->fields[i].value.p[k] != '\r' &&
				     x->fields[i].value.p[k] != '\0');
	}
}

/* Reads the body in pieces, whole, or not at all, by the request's path, and says what came. */
static inline void fuzz_handle(void *ctx, struct http_exchange *x)
{
	struct buf b = buf_in(x->arena);
	struct str piece = STR("");
	int got = 0;

	(void)ctx;
	fuzz_check_request(x);
	FUZZ_PLANTED(x->content_length == 7);
	if (str_starts(x->path, STR("/whole"))) {
		if (http_read_all(x, 1000, &piece) < 0 && http_gone(x))
			return;
		buf_adds(&b, piece);
	} else if (!str_starts(x->path, STR("/none"))) {
		while ((got = http_read(x, &piece)) > 0)
			buf_adds(&b, piece);
		if (got == 0 && x->content_length >= 0)
			fuzz_require(b.n == (size_t)x->content_length);
	}
	if (str_starts(x->path, STR("/stream"))) {
		http_begin(x, 200, x->trailers, x->ntrailers, -1);
		http_write(x, buf_str(&b));
		http_end(x, NULL, 0);
	} else {
		http_reply(x, 200, NULL, 0, buf_str(&b));
	}
}
#endif
