/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of HTTP clients share: a peer of plain sockets, a loop, the test's body on a fiber. */
#ifndef HTTP_PEER_H
#define HTTP_PEER_H
#include <arpa/inet.h>
#include <check.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/clock.h"
#include "http/client.h"
#include "loop/fiber.h"
#include "loop/loop.h"

#define UNUSED __attribute__((unused))
#define MS INT64_C(1000000)
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* ---- the peer: a listener, a thread for each connection ---- */

static int listener, port;
static atomic_int accepted;	       /* connections so far */
static void (*serve)(int fd, int nth); /* nth: 1 is the first connection */

struct peer {
	int fd, nth;
};

static UNUSED void *peer_main(void *arg)
{
	struct peer p = *(struct peer *)arg;

	free(arg);
	setsockopt(p.fd, IPPROTO_TCP, TCP_NODELAY, &(int){ 1 }, sizeof(int));
	serve(p.fd, p.nth);
	close(p.fd);
	return NULL;
}

static UNUSED void *accept_main(void *arg)
{
	(void)arg;
	for (;;) {
		int fd = accept(listener, NULL, NULL);
		struct peer *p;
		pthread_t t;

		if (fd < 0)
			return NULL;
		p = malloc(sizeof(*p));
		*p = (struct peer){ fd, atomic_fetch_add(&accepted, 1) + 1 };
		pthread_create(&t, NULL, peer_main, p);
		pthread_detach(t);
	}
}

static pthread_t acceptor;

static UNUSED void listen_at(const char *ip, int backlog)
{
	struct sockaddr_in a = { .sin_family = AF_INET };
	socklen_t n = sizeof(a);

	listener = socket(AF_INET, SOCK_STREAM, 0);
	inet_pton(AF_INET, ip, &a.sin_addr);
	ck_assert_int_eq(bind(listener, (struct sockaddr *)&a, n), 0);
	ck_assert_int_eq(listen(listener, backlog), 0);
	getsockname(listener, (struct sockaddr *)&a, &n);
	port = ntohs(a.sin_port);
}

static UNUSED void serve_with(void (*fn)(int fd, int nth))
{
	serve = fn;
	listen_at("127.0.0.1", 100);
	pthread_create(&acceptor, NULL, accept_main, NULL);
}

static UNUSED void say(int fd, const char *text)
{
	size_t n = strlen(text), at = 0;

	while (at < n) {
		ssize_t k = send(fd, text + at, n - at, MSG_NOSIGNAL);

		if (k <= 0)
			return;
		at += (size_t)k;
	}
}

/* Reads up to and with `end`; 0: the connection ended before. */
static UNUSED int hear(int fd, char *ret_text, size_t size, const char *end)
{
	size_t n = 0;

	while (n + 1 < size && recv(fd, ret_text + n, 1, 0) == 1) {
		ret_text[++n] = '\0';
		if (n >= strlen(end) && strcmp(ret_text + n - strlen(end), end) == 0)
			return 1;
	}
	return 0;
}

static UNUSED int hear_head(int fd)
{
	char text[8192];

	return hear(fd, text, sizeof(text), "\r\n\r\n");
}

static UNUSED void reset(int fd)
{
	struct linger now = { 1, 0 };

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	close(fd);
}

static UNUSED void wait_close(int fd)
{
	char c[4096];

	while (recv(fd, c, sizeof(c), 0) > 0)
		;
}

/* ---- our side: one loop, the test's body on a fiber ---- */

static struct loop *loop;
static struct http_client_options options;
static struct http_client *client;

struct job {
	void (*fn)(void);
	uv_sem_t done;
};

static UNUSED void job_main(void *arg)
{
	struct job *j = arg;

	j->fn();
	uv_sem_post(&j->done);
}

static UNUSED void job_start(void *arg)
{
	struct job *j = arg;

	if (client == NULL) {
		options.host = options.host.n ? options.host : STR("127.0.0.1");
		options.port = port;
		client = http_client_new(loop, &options);
		ck_assert_ptr_nonnull(client);
	}
	ck_assert_int_eq(fiber_start(loop, job_main, j), 0);
}

static UNUSED void on_fiber(void (*fn)(void))
{
	struct job j = { .fn = fn };

	uv_sem_init(&j.done, 0);
	loop_call(loop, job_start, &j);
	uv_sem_wait(&j.done);
	uv_sem_destroy(&j.done);
}

static UNUSED void free_client(void *arg)
{
	(void)arg;
	http_client_free(client);
	client = NULL;
}

static UNUSED void set_up(void)
{
	signal(SIGPIPE, SIG_IGN);
	options = http_client_defaults();
	accepted = 0;
	listener = -1;
	client = NULL;
	loop = loop_new(0);
	ck_assert_int_eq(loop_start(loop), 0);
}

static UNUSED void tear_down(void)
{
	loop_call(loop, free_client, NULL);
	loop_stop(loop);
	loop_join(loop);
	loop_free(loop);
	if (listener >= 0 && serve != NULL) {
		shutdown(listener, SHUT_RDWR);
		pthread_join(acceptor, NULL);
		close(listener);
	}
}

static UNUSED int64_t in_ms(int ms)
{
	return clock_ns() + ms * MS;
}

static UNUSED struct http_request get(const char *target)
{
	return (struct http_request){ .method = STR("GET"), .target = str_of(target), .deadline_ns = in_ms(5000) };
}

/* One request on an arena of its own; ret_body: at most 63 bytes of it. */
static UNUSED struct error ask(const struct http_request *q, int *ret_status, char ret_body[64])
{
	static char message[200];
	struct arena *a = arena_new();
	struct http_call *c = NULL;
	struct str body = STR("");
	struct error e = http_client_request(client, q, a, &c);

	if (!error_is(&e)) {
		*ret_status = c->status;
		e = http_call_read_all(c, 1 << 20, &body);
	}
	snprintf(ret_body, 64, STR_FMT, STR_ARG(str_upto(body, 63)));
	snprintf(message, sizeof(message), STR_FMT, STR_ARG(e.message));
	e.message = str_of(message);
	http_call_close(c);
	arena_unref(a);
	return e;
}

static UNUSED void expect(const struct http_request *q, int want_status, const char *want_body)
{
	char body[64];
	int status = 0;
	struct error e = ask(q, &status, body);

	ck_assert_msg(!error_is(&e), "%d " STR_FMT, e.code, STR_ARG(e.message));
	ck_assert_int_eq(status, want_status);
	ck_assert_str_eq(body, want_body);
}

static UNUSED void expect_error(const struct http_request *q, int code, const char *part)
{
	char body[64];
	int status = 0;
	struct error e = ask(q, &status, body);

	ck_assert_msg(e.code == code && strstr(e.message.p, part) != NULL, "%s " STR_FMT " (wanted %s %s)",
		      error_code_name(e.code), STR_ARG(e.message), error_code_name(code), part);
}

static char heard[8192];

static UNUSED void serve_hello(int fd, int nth)
{
	(void)nth;
	while (hear(fd, heard, sizeof(heard), "\r\n\r\n"))
		say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-Thing: a\r\nX-THING:  b \r\nEmpty:\r\n\r\nhello");
}
#endif
