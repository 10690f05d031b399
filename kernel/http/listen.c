/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Listening sockets. Each loop has its own on the same port (SO_REUSEPORT), so the first is bound and listens without
 * that option: it fails when anybody else is there, even somebody who would share. Where the others cannot join the
 * first, or with a Unix socket, all loops accept from one.
 */
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/banned.h"
#include "http/inside.h"

#define BACKLOG 1024
#define ACCEPT_BATCH 64	 /* a turn, so that accepting starves nobody */
#define ACCEPT_PAUSE 100 /* ms without descriptors or memory */

static atomic_int process_connections;

void server_connection_left(void)
{
	atomic_fetch_sub_explicit(&process_connections, 1, memory_order_relaxed);
}

static void set_option(int fd, int level, int name, int value)
{
	setsockopt(fd, level, name, &value, sizeof(value)); /* each is an improvement only */
}

static int open_socket(const struct sockaddr *sa, socklen_t n, int reuse_port)
{
	int fd = socket(sa->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1, failure;

	if (fd < 0)
		return -1;
	if (sa->sa_family != AF_UNIX)
		set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
	if (sa->sa_family == AF_INET6)
		set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY,
			   !IN6_IS_ADDR_UNSPECIFIED(&((const struct sockaddr_in6 *)sa)->sin6_addr));
	if (reuse_port && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) < 0)
		goto failed;
	if (bind(fd, sa, n) == 0 && listen(fd, BACKLOG) == 0)
		return fd;
failed:
	failure = errno;
	close(fd);
	errno = failure;
	return -1;
}

static int port_of(const struct sockaddr_storage *sa)
{
	if (sa->ss_family == AF_INET6)
		return ntohs(((const struct sockaddr_in6 *)sa)->sin6_port);
	return ntohs(((const struct sockaddr_in *)sa)->sin_port);
}

/* The first socket is there: one for each of the other loops, or all share it. */
static void open_others(struct http_server *s, int first)
{
	struct sockaddr_storage sa;
	socklen_t n = sizeof(sa);
	int i;

	if (getsockname(first, (struct sockaddr *)&sa, &n) == 0)
		s->port = port_of(&sa);
	s->loops[0].fd = first;
	if (s->nloops == 1)
		return;
	set_option(first, SOL_SOCKET, SO_REUSEPORT, 1);
	for (i = 1; i < s->nloops; i++) {
		s->loops[i].fd = open_socket((struct sockaddr *)&sa, n, 1);
		if (s->loops[i].fd >= 0)
			continue;
		while (--i > 0)
			close(s->loops[i].fd);
		s->shared = 1;
		for (i = 1; i < s->nloops; i++)
			s->loops[i].fd = first;
		return;
	}
}

int listen_tcp(struct http_server *s, const char *host, int port, struct arena *a, struct str *ret_message)
{
	struct addrinfo hint = { .ai_flags = AI_PASSIVE, .ai_socktype = SOCK_STREAM }, *list = NULL, *ai;
	int any = host == NULL || *host == '\0', fd, failed, failure;
	char service[16];

	snprintf(service, sizeof(service), "%d", port);
	hint.ai_flags |= AI_NUMERICSERV;
	failed = getaddrinfo(any ? "::" : host, service, &hint, &list);
	if (failed) {
		*ret_message = arena_printf(a, "listen tcp %s:%d: %s", any ? "" : host, port, gai_strerror(failed));
		return -1;
	}
	for (ai = list; ai != NULL && ai->ai_family != AF_INET; ai = ai->ai_next)
		; /* of a name's addresses the first of IPv4, as Go does */
	if (ai == NULL)
		ai = list;
	fd = open_socket(ai->ai_addr, ai->ai_addrlen, 0);
	failure = errno;
	freeaddrinfo(list);
	if (fd < 0 && any && failure != EADDRINUSE) { /* a machine without IPv6 */
		struct sockaddr_in v4 = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };

		fd = open_socket((struct sockaddr *)&v4, sizeof(v4), 0);
		failure = errno;
	}
	if (fd < 0) {
		*ret_message = arena_printf(a, "listen tcp %s:%d: bind: %s", any ? "" : host, port,
					    failure == EADDRINUSE ? "address already in use" : strerror(failure));
		return -1;
	}
	open_others(s, fd);
	return 0;
}

/* A socket's file that nobody listens to was left by a process that died. */
static void remove_stale(const struct sockaddr_un *sa)
{
	struct stat st;
	int fd;

	if (lstat(sa->sun_path, &st) < 0 || !S_ISSOCK(st.st_mode))
		return;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return;
	if (connect(fd, (const struct sockaddr *)sa, sizeof(*sa)) < 0 && errno == ECONNREFUSED)
		unlink(sa->sun_path);
	close(fd);
}

int listen_unix(struct http_server *s, const char *path, struct arena *a, struct str *ret_message)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int fd, i;

	if (strlen(path) >= sizeof(sa.sun_path)) {
		*ret_message = arena_printf(a, "listen unix %s: the path is longer than %zu bytes", path,
					    sizeof(sa.sun_path) - 1);
		return -1;
	}
	memcpy(sa.sun_path, path, strlen(path) + 1);
	remove_stale(&sa);
	fd = open_socket((struct sockaddr *)&sa, sizeof(sa), 0);
	if (fd < 0) {
		*ret_message = arena_printf(a, "listen unix %s: bind: %s", path,
					    errno == EADDRINUSE ? "address already in use" : strerror(errno));
		return -1;
	}
	s->shared = 1;
	for (i = 0; i < s->nloops; i++)
		s->loops[i].fd = fd;
	return 0;
}

void listen_close(struct http_server *s)
{
	int i;

	for (i = 0; i < (s->shared ? 1 : s->nloops); i++)
		if (s->loops[i].fd >= 0)
			close(s->loops[i].fd);
	for (i = 0; i < s->nloops; i++)
		s->loops[i].fd = -1;
	if (s->path != NULL)
		unlink(s->path);
}

/* Accepting. */

static struct str peer_text(const struct sockaddr_storage *sa, char *text, size_t size)
{
	char host[INET6_ADDRSTRLEN];
	const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)sa;
	const struct sockaddr_in *four = (const struct sockaddr_in *)sa;
	int n;

	if (sa->ss_family == AF_INET) {
		inet_ntop(AF_INET, &four->sin_addr, host, sizeof(host));
		n = snprintf(text, size, "%s:%d", host, ntohs(four->sin_port));
	} else if (sa->ss_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&six->sin6_addr)) {
		inet_ntop(AF_INET, &six->sin6_addr.s6_addr[12], host, sizeof(host));
		n = snprintf(text, size, "%s:%d", host, ntohs(six->sin6_port));
	} else if (sa->ss_family == AF_INET6) {
		inet_ntop(AF_INET6, &six->sin6_addr, host, sizeof(host));
		n = snprintf(text, size, "[%s]:%d", host, ntohs(six->sin6_port));
	} else {
		n = snprintf(text, size, "unix");
	}
	return (struct str){ text, (size_t)n };
}

static void refuse(int fd)
{
	static const char text[] = "HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain; charset=utf-8\r\n"
				   "Connection: close\r\nContent-Length: 21\r\n\r\ntoo many connections\n";
	char ignored[4096];
	int i;

	send(fd, text, sizeof(text) - 1, MSG_NOSIGNAL);
	shutdown(fd, SHUT_WR);
	for (i = 0; i < 16 && recv(fd, ignored, sizeof(ignored), 0) > 0; i++)
		; /* what is unread would turn our close into a reset, and the answer would be lost */
	close(fd);
}

static void admit(struct server_loop *sl, int fd, const struct sockaddr_storage *sa)
{
	char text[64];

	if (atomic_fetch_add_explicit(&process_connections, 1, memory_order_relaxed) >=
	    sl->server->o.connection_limit) {
		server_connection_left();
		refuse(fd);
		return;
	}
	if (sa->ss_family != AF_UNIX)
		set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
	if (connection_new(sl, fd, peer_text(sa, text, sizeof(text))) == NULL) {
		server_connection_left();
		close(fd);
	}
}

static void on_acceptable(uv_poll_t *p, int status, int events);

static void on_pause_over(uv_timer_t *t)
{
	struct server_loop *sl = t->data;

	if (sl->listening)
		uv_poll_start(&sl->accepting, UV_READABLE, on_acceptable);
}

/* -1: nothing more to take now. */
static int accept_one(struct server_loop *sl)
{
	struct sockaddr_storage sa = { .ss_family = AF_UNIX };
	socklen_t n = sizeof(sa);
	int fd = accept4(sl->fd, (struct sockaddr *)&sa, &n, SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (fd >= 0) {
		admit(sl, fd, &sa);
		return 0;
	}
	if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
		uv_poll_stop(&sl->accepting); /* it stays readable: watching it would spin */
		if (sl->listening)
			uv_timer_start(&sl->accept_again, on_pause_over, ACCEPT_PAUSE, 0);
		return -1;
	}
	return errno == EINTR || errno == ECONNABORTED || errno == EPROTO ? 0 : -1;
}

static void on_acceptable(uv_poll_t *p, int status, int events)
{
	struct server_loop *sl = p->data;
	int i;

	(void)status, (void)events;
	for (i = 0; i < ACCEPT_BATCH && accept_one(sl) == 0; i++)
		;
}

void listen_start(struct server_loop *sl)
{
	if (uv_poll_init(loop_uv(sl->loop), &sl->accepting, sl->fd) < 0)
		return;
	uv_timer_init(loop_uv(sl->loop), &sl->accept_again);
	sl->accepting.data = sl->accept_again.data = sl;
	sl->listening = 1;
	count(&sl->handles, 2);
	uv_poll_start(&sl->accepting, UV_READABLE, on_acceptable);
}

void listen_stop(struct server_loop *sl)
{
	int i;

	if (!sl->listening)
		return;
	sl->listening = 0;
	for (i = 0; i < BACKLOG && accept_one(sl) == 0; i++)
		; /* they were let in already, as they see it */
	uv_close((uv_handle_t *)&sl->accepting, server_handle_closed);
	uv_close((uv_handle_t *)&sl->accept_again, server_handle_closed);
}
