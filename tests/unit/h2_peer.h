/* SPDX-License-Identifier: Apache-2.0 */
/* A peer that speaks HTTP/2 frame by frame, on top of http_peer.h, and a gRPC client for it. */
#ifndef H2_PEER_H
#define H2_PEER_H
#include "google/protobuf/wrappers.pb-c.h"
#include "grpc/client.h"
#include "http_peer.h"

enum { DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE };
enum { END_STREAM = 1, ACK = 1, END_HEADERS = 4 };

/* ---- frames ---- */

static UNUSED int send_all(int fd, const void *p, size_t n)
{
	size_t at = 0;

	while (at < n) {
		ssize_t k = send(fd, (const char *)p + at, n - at, MSG_NOSIGNAL);

		if (k <= 0)
			return -1;
		at += (size_t)k;
	}
	return 0;
}

static UNUSED int frame(int fd, int type, int flags, uint32_t stream, const void *p, size_t n)
{
	const unsigned char head[9] = {
		(unsigned char)(n >> 16),      (unsigned char)(n >> 8),	     (unsigned char)n,
		(unsigned char)type,	       (unsigned char)flags,	     (unsigned char)(stream >> 24),
		(unsigned char)(stream >> 16), (unsigned char)(stream >> 8), (unsigned char)stream
	};

	return send_all(fd, head, sizeof(head)) < 0 ? -1 : send_all(fd, p, n);
}

static UNUSED void number_frame(int fd, int type, uint32_t stream, uint32_t a, uint32_t b, size_t n)
{
	unsigned char p[8] = { (unsigned char)(a >> 24), (unsigned char)(a >> 16), (unsigned char)(a >> 8),
			       (unsigned char)a,	 (unsigned char)(b >> 24), (unsigned char)(b >> 16),
			       (unsigned char)(b >> 8),	 (unsigned char)b };

	frame(fd, type, 0, stream, p, n);
}

/* "name: value\n…" as literal fields (RFC 7541, 6.2.2); names and values below 127 bytes. */
static UNUSED void headers(int fd, uint32_t stream, int flags, const char *lines)
{
	unsigned char block[4096], *p = block;
	struct str rest = str_of(lines), line, name, value;

	while (str_split(&rest, '\n', &line)) {
		if (line.n == 0)
			continue;
		/* ":status: 200" begins with a colon itself */
		str_cut(str_from(line, 1), ':', &name, &value);
		name = (struct str){ line.p, name.n + 1 };
		value = str_trim(value);
		*p++ = 0;
		*p++ = (unsigned char)name.n;
		memcpy(p, name.p, name.n);
		p += name.n;
		*p++ = (unsigned char)value.n;
		memcpy(p, value.p, value.n);
		p += value.n;
	}
	frame(fd, HEADERS, END_HEADERS | flags, stream, block, (size_t)(p - block));
}

#define GRPC_HEAD ":status: 200\ncontent-type: application/grpc\n"
#define GRPC_OK "grpc-status: 0\n"

/* ---- the peer: reads frames, and does as the test says when a request is complete ---- */

static void (*answer)(int fd, int nth, uint32_t stream);
static atomic_int requests, resets;
static int mute; /* answers no ping */

static UNUSED int read_frame(int fd, unsigned char head[9], unsigned char *payload, size_t size)
{
	size_t n;

	if (recv(fd, head, 9, MSG_WAITALL) != 9)
		return -1;
	n = (size_t)head[0] << 16 | (size_t)head[1] << 8 | head[2];
	return n > size || (n > 0 && recv(fd, payload, n, MSG_WAITALL) != (ssize_t)n) ? -1 : 0;
}

static UNUSED void serve_frames(int fd, int nth)
{
	unsigned char head[9], payload[20000];
	char preface[25] = "";

	if (recv(fd, preface, 24, MSG_WAITALL) != 24)
		return;
	ck_assert_str_eq(preface, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
	frame(fd, SETTINGS, 0, 0, "", 0);
	while (read_frame(fd, head, payload, sizeof(payload)) == 0) {
		uint32_t stream = (uint32_t)head[5] << 24 | (uint32_t)head[6] << 16 | (uint32_t)head[7] << 8 | head[8];

		if (head[3] == SETTINGS && !(head[4] & ACK))
			frame(fd, SETTINGS, ACK, 0, "", 0);
		if (head[3] == PING && !(head[4] & ACK) && !mute)
			frame(fd, PING, ACK, 0, payload, 8);
		if (head[3] == RST_STREAM)
			resets++;
		if ((head[3] == DATA || head[3] == HEADERS) && (head[4] & END_STREAM)) {
			requests++;
			answer(fd, nth, stream);
		}
	}
}

static UNUSED void say_well(int fd, uint32_t stream)
{
	headers(fd, stream, 0, GRPC_HEAD);
	frame(fd, DATA, 0, stream, "\0\0\0\0\0", 5);
	headers(fd, stream, END_STREAM, GRPC_OK);
}
/* ---- our side ---- */

static struct grpc_client_options rpc_options;
static struct grpc_client *rpc;

static UNUSED void set_up_rpc(void)
{
	set_up();
	rpc_options = grpc_client_defaults();
	rpc_options.host = STR("127.0.0.1");
	rpc_options.message_limit = 100000;
	rpc = NULL;
	requests = resets = mute = 0;
}

static UNUSED void free_rpc(void *arg)
{
	(void)arg;
	grpc_client_free(rpc);
}

static UNUSED void tear_down_rpc(void)
{
	loop_call(loop, free_rpc, NULL);
	tear_down();
}

static UNUSED struct error call_once(int within_ms)
{
	static char text[300];
	Google__Protobuf__BytesValue m = GOOGLE__PROTOBUF__BYTES_VALUE__INIT;
	struct grpc_request q = { .path = STR("/a.B/C"), .deadline_ns = in_ms(within_ms) };
	struct arena *a = arena_new();
	struct error e;
	void *reply;

	if (rpc == NULL) {
		rpc_options.port = port;
		rpc = grpc_client_new(loop, &rpc_options);
	}
	e = grpc_client_unary(rpc, &q, &m.base, &google__protobuf__bytes_value__descriptor, a, &reply);
	snprintf(text, sizeof(text), STR_FMT, STR_ARG(e.message));
	e.message = str_of(text);
	arena_unref(a);
	return e;
}

static UNUSED void want(struct error e, int code, const char *part)
{
	ck_assert_msg(e.code == code && strstr(e.message.p, part) != NULL, "%s \"" STR_FMT "\", not %s \"%s\"",
		      error_code_name(e.code), STR_ARG(e.message), error_code_name(code), part);
}

static UNUSED void well(void)
{
	want(call_once(3000), ERROR_OK, "");
}
#endif
