/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bound for the gRPC figures: nghttp2 on level-triggered epoll and nothing behind it. Every request gets the header
 * block, one framed message and the trailers that the real server sends; one write a turn for each connection.
 *
 *	bare_nghttp2 PORT [HEX]		HEX: the message, without its prefix. "ready PORT" on standard output; ends on SIGTERM
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <nghttp2/nghttp2.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define BUFFER 65536
#define STREAMS 1000
#define FIELD(name, value) \
	{ \
		(uint8_t *)(name), (uint8_t *)(value), sizeof(name) - 1, sizeof(value) - 1, \
			NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE \
	}

struct connection {
	int fd, waits;
	nghttp2_session *session;
	uint8_t *out; /* n bytes from `at` are not sent yet */
	size_t at, n, cap;
};

static const nghttp2_nv head[] = { FIELD(":status", "200"), FIELD("content-type", "application/grpc") };
static const nghttp2_nv trailers[] = { FIELD("grpc-status", "0") };
static uint8_t *message;
static size_t message_size;
static int epoll;
static nghttp2_session_callbacks *callbacks;

static ssize_t read_message(nghttp2_session *s, int32_t stream, uint8_t *to, size_t n, uint32_t *flags,
			    nghttp2_data_source *source, void *user)
{
	size_t at = (size_t)(uintptr_t)nghttp2_session_get_stream_user_data(s, stream), left = message_size - at;

	(void)source, (void)user;
	if (n > left)
		n = left;
	memcpy(to, message + at, n);
	nghttp2_session_set_stream_user_data(s, stream, (void *)(uintptr_t)(at + n));
	if (n == left) {
		*flags |= NGHTTP2_DATA_FLAG_EOF | NGHTTP2_DATA_FLAG_NO_END_STREAM;
		nghttp2_submit_trailer(s, stream, trailers, 1);
	}
	return (ssize_t)n;
}

static int on_frame(nghttp2_session *s, const nghttp2_frame *f, void *user)
{
	nghttp2_data_provider body = { .read_callback = read_message };

	(void)user;
	if ((f->hd.type == NGHTTP2_DATA || f->hd.type == NGHTTP2_HEADERS) && (f->hd.flags & NGHTTP2_FLAG_END_STREAM))
		return nghttp2_submit_response(s, f->hd.stream_id, head, 2, &body);
	return 0;
}

static void drop(struct connection *c)
{
	nghttp2_session_del(c->session);
	close(c->fd);
	free(c->out);
	free(c);
}

/* All that nghttp2 has, in one write. -1: the connection is over. */
static int flush(struct connection *c)
{
	struct epoll_event e = { EPOLLIN, { .ptr = c } };
	const uint8_t *p;
	ssize_t n;

	while (c->n < BUFFER && (n = nghttp2_session_mem_send(c->session, &p)) > 0) {
		if (c->at + c->n + (size_t)n > c->cap) {
			c->cap = c->at + c->n + (size_t)n + BUFFER;
			c->out = realloc(c->out, c->cap);
			if (c->out == NULL)
				return -1;
		}
		memcpy(c->out + c->at + c->n, p, (size_t)n);
		c->n += (size_t)n;
	}
	if (c->n > 0) {
		n = send(c->fd, c->out + c->at, c->n, MSG_NOSIGNAL);
		if (n < 0 && errno != EAGAIN)
			return -1;
		n = n < 0 ? 0 : n;
		c->n -= (size_t)n;
		c->at = c->n > 0 ? c->at + (size_t)n : 0;
	}
	if ((c->n > 0) != c->waits) {
		c->waits = c->n > 0;
		e.events |= c->waits ? EPOLLOUT : 0;
		epoll_ctl(epoll, EPOLL_CTL_MOD, c->fd, &e);
	}
	return c->n == 0 && !nghttp2_session_want_read(c->session) ? -1 : 0;
}

static void turn(struct connection *c)
{
	static uint8_t in[BUFFER];
	ssize_t n = recv(c->fd, in, sizeof(in), 0);

	if (n == 0 || (n < 0 && errno != EAGAIN) ||
	    (n > 0 && nghttp2_session_mem_recv(c->session, in, (size_t)n) < 0) || flush(c) < 0)
		drop(c);
}

static void take(int listener)
{
	nghttp2_settings_entry settings[] = { { NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, STREAMS } };
	int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC), on = 1;
	struct connection *c = fd < 0 ? NULL : calloc(1, sizeof(*c));
	struct epoll_event e = { EPOLLIN, { .ptr = c } };

	if (c == NULL)
		return;
	c->fd = fd;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (nghttp2_session_server_new(&c->session, callbacks, c) != 0 ||
	    nghttp2_submit_settings(c->session, NGHTTP2_FLAG_NONE, settings, 1) != 0 ||
	    epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &e) < 0)
		drop(c);
}

static int digit(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The prefix and what HEX says. */
static int make_message(const char *hex)
{
	size_t n = strlen(hex) / 2, i;

	message = malloc(5 + n);
	if (message == NULL)
		return -1;
	message_size = 5 + n;
	message[0] = 0;
	for (i = 0; i < 4; i++)
		message[1 + i] = (uint8_t)(n >> (24 - 8 * i));
	for (i = 0; i < n; i++) {
		if (digit(hex[2 * i]) < 0 || digit(hex[2 * i + 1]) < 0)
			return -1;
		message[5 + i] = (uint8_t)(digit(hex[2 * i]) << 4 | digit(hex[2 * i + 1]));
	}
	return 0;
}

static int listen_on(int port)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1;
	struct epoll_event e = { EPOLLIN, { .ptr = NULL } };
	socklen_t n = sizeof(to);

	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (fd < 0 || bind(fd, (struct sockaddr *)&to, n) < 0 || listen(fd, 1024) < 0 ||
	    epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &e) < 0 || getsockname(fd, (struct sockaddr *)&to, &n) < 0)
		return -1;
	printf("ready %d\n", ntohs(to.sin_port));
	fflush(stdout);
	return fd;
}

int main(int argc, char **argv)
{
	struct epoll_event events[256];
	int i, n, listener;

	if (argc < 2 || make_message(argc > 2 ? argv[2] : "") < 0) {
		fprintf(stderr, "usage: bare_nghttp2 PORT [HEX]\n");
		return 2;
	}
	epoll = epoll_create1(EPOLL_CLOEXEC);
	nghttp2_session_callbacks_new(&callbacks);
	nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
	listener = listen_on((int)strtol(argv[1], NULL, 10));
	if (listener < 0) {
		perror("bare_nghttp2");
		return 1;
	}
	for (;;) {
		n = epoll_wait(epoll, events, 256, -1);
		for (i = 0; i < n; i++) {
			if (events[i].data.ptr == NULL)
				take(listener);
			else
				turn(events[i].data.ptr);
		}
	}
}
