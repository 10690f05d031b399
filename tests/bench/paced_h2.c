/* SPDX-License-Identifier: Apache-2.0 */
/*
 * paced.c for gRPC: unary calls over HTTP/2, each due at its moment.
 *
 *	paced_h2 PORT PATH FILE RATE SECONDS CONNECTIONS [NAME VALUE]	FILE: the framed message; NAME: of a field more
 */
#include "timetable.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <nghttp2/nghttp2.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define MOST 64 /* connections */
#define FIELD(name, value) \
	{ \
		(uint8_t *)(name), (uint8_t *)(value), strlen(name), strlen(value), NGHTTP2_NV_FLAG_NONE \
	}

struct call {
	int64_t due;
	size_t sent;
	int good; /* grpc-status 0 */
};

static struct timetable table;
static nghttp2_session *sessions[MOST];
static struct pollfd fds[MOST];
static int nsessions;
static char message[65536];
static size_t message_size;

static void fail(const char *what)
{
	fprintf(stderr, "paced_h2: %s: %s\n", what, strerror(errno));
	exit(1);
}

static ssize_t send_bytes(nghttp2_session *s, const uint8_t *p, size_t n, int flags, void *fd)
{
	ssize_t sent = send(*(int *)fd, p, n, MSG_NOSIGNAL | MSG_DONTWAIT);

	(void)s, (void)flags;
	return sent >= 0 ? sent : errno == EAGAIN ? NGHTTP2_ERR_WOULDBLOCK : NGHTTP2_ERR_CALLBACK_FAILURE;
}

static ssize_t recv_bytes(nghttp2_session *s, uint8_t *p, size_t n, int flags, void *fd)
{
	ssize_t got = recv(*(int *)fd, p, n, MSG_DONTWAIT);

	(void)s, (void)flags;
	return got > 0		 ? got
	       : got == 0	 ? NGHTTP2_ERR_EOF
	       : errno == EAGAIN ? NGHTTP2_ERR_WOULDBLOCK
				 : NGHTTP2_ERR_CALLBACK_FAILURE;
}

static ssize_t read_message(nghttp2_session *s, int32_t id, uint8_t *to, size_t room, uint32_t *flags,
			    nghttp2_data_source *source, void *user)
{
	struct call *c = source->ptr;
	size_t n = message_size - c->sent < room ? message_size - c->sent : room;

	(void)s, (void)id, (void)user;
	memcpy(to, message + c->sent, n);
	c->sent += n;
	if (c->sent == message_size)
		*flags |= NGHTTP2_DATA_FLAG_EOF;
	return (ssize_t)n;
}

static int on_field(nghttp2_session *s, const nghttp2_frame *f, const uint8_t *name, size_t n, const uint8_t *value,
		    size_t nv, uint8_t flags, void *user)
{
	struct call *c = nghttp2_session_get_stream_user_data(s, f->hd.stream_id);

	(void)flags, (void)user;
	if (c != NULL && n == 11 && memcmp(name, "grpc-status", 11) == 0)
		c->good = nv == 1 && value[0] == '0';
	return 0;
}

static int on_close(nghttp2_session *s, int32_t id, uint32_t error, void *user)
{
	struct call *c = nghttp2_session_get_stream_user_data(s, id);

	(void)user;
	timetable_done(&table, c->due, c->good && error == 0);
	free(c);
	return 0;
}

static void add_connection(int port)
{
	struct sockaddr_in to = { .sin_family = AF_INET,
				  .sin_port = htons((uint16_t)port),
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
	nghttp2_session_callbacks *cb;

	if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0)
		fail("connect");
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	fds[nsessions] = (struct pollfd){ .fd = fd, .events = POLLIN };
	if (nghttp2_session_callbacks_new(&cb) != 0)
		fail("nghttp2");
	nghttp2_session_callbacks_set_send_callback(cb, send_bytes);
	nghttp2_session_callbacks_set_recv_callback(cb, recv_bytes);
	nghttp2_session_callbacks_set_on_header_callback(cb, on_field);
	nghttp2_session_callbacks_set_on_stream_close_callback(cb, on_close);
	if (nghttp2_session_client_new(&sessions[nsessions], cb, &fds[nsessions].fd) != 0 ||
	    nghttp2_submit_settings(sessions[nsessions], NGHTTP2_FLAG_NONE, NULL, 0) != 0)
		fail("nghttp2");
	nghttp2_session_callbacks_del(cb);
	nsessions++;
}

static void send_due(const char *authority, char **argv, int argc)
{
	nghttp2_nv nv[] = { FIELD(":method", "POST"),
			    FIELD(":scheme", "http"),
			    FIELD(":authority", authority),
			    FIELD(":path", argv[2]),
			    FIELD("content-type", "application/grpc"),
			    FIELD("te", "trailers"),
			    FIELD(argc > 8 ? argv[7] : "", argc > 8 ? argv[8] : "") };
	size_t n = sizeof(nv) / sizeof(*nv) - (argc > 8 ? 0 : 1);

	while (table.sent < table.n && timetable_due(&table) <= now()) {
		struct call *c = must(calloc(1, sizeof(*c)));
		nghttp2_data_provider body = { { .ptr = c }, read_message };

		c->due = timetable_due(&table);
		if (nghttp2_submit_request(sessions[table.sent % (size_t)nsessions], NULL, nv, n, &body, c) < 0)
			fail("nghttp2_submit_request");
		table.sent++;
	}
}

static void turn(const char *authority, char **argv, int argc)
{
	struct timespec wait;

	send_due(authority, argv, argc);
	for (int i = 0; i < nsessions; i++)
		if (nghttp2_session_send(sessions[i]) != 0)
			fail("send");
	wait = timetable_wait(&table, 1);
	if (ppoll(fds, (nfds_t)nsessions, &wait, NULL) <= 0)
		return;
	for (int i = 0; i < nsessions; i++)
		if (fds[i].revents != 0 && nghttp2_session_recv(sessions[i]) != 0)
			fail("receive");
}

int main(int argc, char **argv)
{
	char authority[32];
	int64_t end;
	FILE *f;

	if (argc != 7 && argc != 9) {
		fputs("usage: paced_h2 PORT PATH FILE RATE SECONDS CONNECTIONS [NAME VALUE]\n", stderr);
		return 2;
	}
	f = fopen(argv[3], "rb");
	if (f == NULL)
		fail(argv[3]);
	message_size = fread(message, 1, sizeof(message), f);
	fclose(f);
	snprintf(authority, sizeof(authority), "127.0.0.1:%s", argv[1]);
	for (int i = 0; i < atoi(argv[6]) && i < MOST; i++)
		add_connection(atoi(argv[1]));
	table = timetable_begin(atof(argv[4]), atof(argv[5]));
	end = table.start + (int64_t)((atof(argv[5]) + 30) * 1e9);
	while (table.answered + table.failed < table.n && now() < end)
		turn(authority, argv, argc);
	timetable_report(&table);
	return 0;
}
