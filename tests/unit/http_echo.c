/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A server to point wrk, h2load, h2spec or a browser at: http_echo [-l loops] [-p port] [-1|-2]. GET / answers a short
 * text, POST / what it got, GET /large 1 MiB, GET /slow after a second, GET /pieces in pieces with trailers.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "http/server.h"
#include "loop/fiber.h"
#include "loop/loop.h"

#define LARGE (1u << 20)

static char large[LARGE];

static const struct http_field text[] = { { STR("content-type"), STR("text/plain") } };

static void pieces(struct http_exchange *x)
{
	static const struct http_field end[] = { { STR("x-pieces"), STR("10") } };
	int i;

	http_begin(x, 200, text, 1, -1);
	for (i = 0; i < 10; i++)
		http_write(x, arena_printf(x->arena, "piece %d\n", i));
	http_end(x, end, 1);
}

static void handle(void *ctx, struct http_exchange *x)
{
	struct str body;
	int64_t until;

	(void)ctx;
	if (str_eq(x->method, STR("POST"))) {
		if (http_read_all(x, 0, &body) == 0)
			http_reply(x, 200, text, 1, body);
	} else if (str_eq(x->path, STR("/large"))) {
		http_reply(x, 200, text, 1, (struct str){ large, LARGE });
	} else if (str_eq(x->path, STR("/pieces"))) {
		pieces(x);
	} else {
		if (str_eq(x->path, STR("/slow")) || str_eq(x->path, STR("/short")))
			for (until = clock_ns() + (x->path.n == 5 ? 1000000000 : 10000000);
			     fiber_park_until(until) == 0;)
				;
		http_reply(x, 200, text, 1, STR("hello from a small server\n"));
	}
}

int main(int argc, char **argv)
{
	struct http_server_options o = http_server_defaults();
	struct loop *loops[16];
	struct http_server *s;
	struct str message;
	int n = 1, port = 8099, c, i;
	sigset_t wait;

	while ((c = getopt(argc, argv, "l:p:12")) != -1) {
		if (c == 'l')
			n = (int)strtol(optarg, NULL, 10);
		else if (c == 'p')
			port = (int)strtol(optarg, NULL, 10);
		else
			o.protocols = c == '1' ? HTTP_1 : HTTP_2;
	}
	n = n < 1 ? 1 : n > 16 ? 16 : n;
	memset(large, 'x', sizeof(large));
	o.handle = handle;
	sigemptyset(&wait);
	sigaddset(&wait, SIGINT);
	sigaddset(&wait, SIGTERM);
	sigprocmask(SIG_BLOCK, &wait, NULL);
	for (i = 0; i < n; i++)
		if ((loops[i] = loop_new(i)) == NULL || loop_start(loops[i]) < 0)
			return 1;
	s = http_listen_tcp(&o, loops, n, "", port, arena_new(), &message);
	if (s == NULL) {
		fprintf(stderr, STR_FMT "\n", STR_ARG(message));
		return 1;
	}
	printf("port %d\n", http_server_port(s));
	fflush(stdout);
	sigwait(&wait, &c);
	http_server_close(s, 5000);
	for (i = 0; i < n; i++) {
		loop_stop(loops[i]);
		loop_join(loops[i]);
		loop_free(loops[i]);
	}
	return 0;
}
