/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a stream of "davit.dial/1" is below TLS: a libuv stream on one loop, that a fiber of that loop reads and another one
 * writes, within pieces of service work. With a session, what comes in goes straight to it.
 */
#ifndef PLUGIN_WIRE_H
#define PLUGIN_WIRE_H
#include <davit/dial.h>

#include "plugin/service.h"

#define WIRE_WHY 256
#define WIRE_KEPT 65536u /* bytes that came and were not read; then the sender has to wait */

struct tls_session;

struct davit_stream {
	union {
		uv_handle_t handle;
		uv_stream_t stream;
		uv_tcp_t tcp;
		uv_pipe_t pipe;
	};
	struct loop *loop;
	struct tls_session *tls; /* NULL: plain */
	char alpn[256];
	char why[WIRE_WHY];

	/* Coming in. A reader that waits has it put right where it wants it. */
	struct fiber *reader;
	char *into;
	size_t room, got;
	char *kept; /* WIRE_KEPT bytes, from when they are first needed */
	size_t kept_at, kept_n;
	int on, ended, failed; /* failed: libuv's code */
	int reading, sending;  /* somebody is in such a function */

	/* Going out. */
	struct fiber *writer;
	uv_connect_t connecting;
	uv_write_t writing;
	int done, status; /* of the connect or write under way */

	int shut;	   /* shutdown() was called */
	int broken;	   /* the handle is closed: a write ended half way */
	int dropped, gone; /* nobody has the stream any more; the loop has let the handle go */
};

/* Own loop, no fiber needed. NULL: no memory, no descriptors. */
struct davit_stream *wire_new(struct loop *l, int unix_socket);
void wire_drop(struct davit_stream *s); /* frees it when the loop lets it go; NULL is fine */
davit_status wire_fail(struct davit_stream *s, davit_status status, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* On a fiber of the loop. A write that fails breaks the stream: its handle is closed. */
davit_status wire_connect(struct davit_stream *s, struct service_work *w, const struct sockaddr *to);
davit_status wire_connect_unix(struct davit_stream *s, struct service_work *w, const char *path);
davit_status wire_read(struct davit_stream *s, struct service_work *w, void *p, size_t n,
		       size_t *ret_n); /* 0: the end */
davit_status wire_await(struct davit_stream *s,
			struct service_work *w); /* with a session: until it was given something */
davit_status wire_write(struct davit_stream *s, struct service_work *w, const uv_buf_t *bufs, unsigned nbufs);
void wire_shutdown(struct davit_stream *s); /* not only on a fiber */
#endif
