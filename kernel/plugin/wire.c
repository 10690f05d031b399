/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading stays on from the first read until WIRE_KEPT bytes wait, so that an answer costs one system call and none to ask
 * for it. A write that cannot finish leaves memory with libuv that its owner wants back: only closing the handle gets it.
 */
#include "plugin/wire.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/banned.h"
#include "base/mem.h"
#include "tls/session.h"

#define KEEPALIVE 15 /* seconds of silence */

static _Thread_local char sealed[16384]; /* what comes in for a session is copied there at once */

struct davit_stream *wire_new(struct loop *l, int unix_socket)
{
	struct davit_stream *s = mem_zalloc(sizeof(*s));

	if (s == NULL)
		return NULL;
	if ((unix_socket ? uv_pipe_init(loop_uv(l), &s->pipe, 0) : uv_tcp_init(loop_uv(l), &s->tcp)) < 0) {
		mem_free(s);
		return NULL;
	}
	s->loop = l;
	s->handle.data = s->connecting.data = s->writing.data = s;
	return s;
}

static void on_closed(uv_handle_t *h)
{
	struct davit_stream *s = h->data;

	s->gone = 1;
	if (!s->dropped)
		return;
	mem_free(s->kept);
	mem_free(s);
}

static void break_off(struct davit_stream *s)
{
	if (s->broken)
		return;
	s->broken = 1;
	s->on = 0;
	uv_close(&s->handle, on_closed);
}

void wire_drop(struct davit_stream *s)
{
	if (s == NULL)
		return;
	s->dropped = 1;
	break_off(s);
	if (!s->gone)
		return;
	mem_free(s->kept);
	mem_free(s);
}

davit_status wire_fail(struct davit_stream *s, davit_status status, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(s->why, sizeof(s->why), fmt, ap);
	va_end(ap);
	return status;
}

static davit_status out_of_time(struct davit_stream *s, davit_status status, const char *what)
{
	return wire_fail(s, status, "%s: %s", what, status == DAVIT_DEADLINE_EXCEEDED ? "i/o timeout" : "cancelled");
}

static void on_connected(uv_connect_t *r, int status)
{
	struct davit_stream *s = r->data;

	s->done = 1;
	s->status = status;
	if (s->writer != NULL)
		fiber_wake(s->writer);
}

/* status: libuv's, of the asking. The caller says what was dialled. */
static davit_status await_connect(struct davit_stream *s, struct service_work *w, int rc)
{
	davit_status status = DAVIT_OK;

	if (rc == 0) {
		s->writer = fiber_self();
		while (!s->done && status == DAVIT_OK)
			status = service_park(w);
		s->writer = NULL;
		if (!s->done)
			return out_of_time(s, status, "connect");
		rc = s->status;
	}
	return rc == 0 ? DAVIT_OK : wire_fail(s, DAVIT_UNAVAILABLE, "connect: %s", uv_strerror(rc));
}

davit_status wire_connect(struct davit_stream *s, struct service_work *w, const struct sockaddr *to)
{
	int rc;

	s->done = 0;
	rc = uv_tcp_connect(&s->connecting, &s->tcp, to, on_connected);
	if (rc == 0) {
		uv_tcp_nodelay(&s->tcp, 1);
		uv_tcp_keepalive(&s->tcp, 1, KEEPALIVE);
	}
	return await_connect(s, w, rc);
}

davit_status wire_connect_unix(struct davit_stream *s, struct service_work *w, const char *path)
{
	s->done = 0;
	uv_pipe_connect(&s->connecting, &s->pipe, path, on_connected); /* its failures come by the callback too */
	return await_connect(s, w, 0);
}

/* Where the next bytes go: to the reader that waits, else to what is kept. No room is ENOBUFS, which stops the reading. */
static void give_room(uv_handle_t *h, size_t suggested, uv_buf_t *ret_buf)
{
	struct davit_stream *s = h->data;

	(void)suggested;
	if (s->tls != NULL) {
		*ret_buf = uv_buf_init(sealed, sizeof(sealed));
		return;
	}
	if (s->reader != NULL && s->got == 0 && s->kept_n == 0) {
		*ret_buf = uv_buf_init(s->into, (unsigned)(s->room < UINT32_MAX ? s->room : UINT32_MAX));
		return;
	}
	*ret_buf = uv_buf_init(NULL, 0);
	if (s->kept == NULL)
		s->kept = mem_alloc(WIRE_KEPT);
	if (s->kept == NULL)
		return;
	if (s->kept_n == 0)
		s->kept_at = 0;
	*ret_buf = uv_buf_init(s->kept + s->kept_at + s->kept_n, (unsigned)(WIRE_KEPT - s->kept_at - s->kept_n));
}

static void stop_reading(struct davit_stream *s)
{
	if (s->on)
		uv_read_stop(&s->stream);
	s->on = 0;
}

static void give_session(struct davit_stream *s, const char *p, size_t n)
{
	s->got = n;
	if (tls_session_give(s->tls, p, n) < 0)
		s->failed = UV_ENOMEM;
	if (s->failed || tls_session_given(s->tls) > WIRE_KEPT)
		stop_reading(s);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
	struct davit_stream *s = stream->data;

	if (n == 0)
		return; /* EAGAIN */
	if (n > 0 && s->tls != NULL) {
		give_session(s, buf->base, (size_t)n);
	} else if (n > 0 && buf->base == s->into && s->reader != NULL) {
		s->got = (size_t)n;
	} else if (n > 0) {
		s->kept_n += (size_t)n;
		if (s->kept_at + s->kept_n == WIRE_KEPT)
			stop_reading(s);
	} else {
		stop_reading(s);
		if (n == UV_EOF)
			s->ended = 1;
		else if (n != UV_ENOBUFS || s->kept == NULL)
			s->failed = (int)n;
		if (s->tls != NULL)
			tls_session_give_end(s->tls);
	}
	if (s->reader != NULL)
		fiber_wake(s->reader);
}

static size_t take_kept(struct davit_stream *s, void *p, size_t n)
{
	if (n > s->kept_n)
		n = s->kept_n;
	memcpy(p, s->kept + s->kept_at, n);
	s->kept_at += n;
	s->kept_n -= n;
	return n;
}

static davit_status start_reading(struct davit_stream *s)
{
	int rc;

	if (s->on || s->ended || s->failed)
		return DAVIT_OK;
	rc = uv_read_start(&s->stream, give_room, on_read);
	if (rc < 0)
		return wire_fail(s, DAVIT_UNAVAILABLE, "read: %s", uv_strerror(rc));
	s->on = 1;
	return DAVIT_OK;
}

/* Nothing came, so why: the end is DAVIT_OK with no bytes. */
static davit_status nothing_came(struct davit_stream *s, davit_status status)
{
	if (s->shut)
		return wire_fail(s, DAVIT_CANCELLED, "read: the stream was shut down");
	if (s->broken)
		return wire_fail(s, DAVIT_UNAVAILABLE, "read: the stream is broken");
	if (s->failed)
		return wire_fail(s,
				 s->failed == UV_ENOBUFS || s->failed == UV_ENOMEM ? DAVIT_EXHAUSTED
										   : DAVIT_UNAVAILABLE,
				 "read: %s", uv_strerror(s->failed));
	return s->ended ? DAVIT_OK : out_of_time(s, status, "read");
}

davit_status wire_read(struct davit_stream *s, struct service_work *w, void *p, size_t n, size_t *ret_n)
{
	davit_status status = DAVIT_OK;

	if (s->kept_n > 0 && !s->shut) {
		*ret_n = take_kept(s, p, n);
		return s->kept_n == 0 && !s->broken ? start_reading(s) : DAVIT_OK;
	}
	if (!s->broken && !s->shut)
		status = start_reading(s);
	if (status != DAVIT_OK)
		return status;
	s->reader = fiber_self();
	s->into = p;
	s->room = n;
	s->got = 0;
	while (s->got == 0 && s->kept_n == 0 && !s->ended && !s->failed && !s->shut && !s->broken && status == DAVIT_OK)
		status = service_park(w);
	s->reader = NULL;
	s->into = NULL;
	if (s->shut || (s->got == 0 && s->kept_n == 0)) {
		*ret_n = 0;
		return nothing_came(s, status);
	}
	*ret_n = s->got ? s->got : take_kept(s, p, n);
	return DAVIT_OK;
}

davit_status wire_await(struct davit_stream *s, struct service_work *w)
{
	davit_status status = s->broken || s->shut ? DAVIT_OK : start_reading(s);

	if (status != DAVIT_OK)
		return status;
	s->reader = fiber_self();
	s->got = 0;
	while (s->got == 0 && !s->ended && !s->failed && !s->shut && !s->broken && status == DAVIT_OK)
		status = service_park(w);
	s->reader = NULL;
	return s->got > 0 && !s->shut ? DAVIT_OK : nothing_came(s, status);
}

static void on_written(uv_write_t *r, int status)
{
	struct davit_stream *s = r->data;

	s->done = 1;
	s->status = status;
	if (s->writer != NULL)
		fiber_wake(s->writer);
}

static davit_status write_failed(struct davit_stream *s, int rc)
{
	break_off(s);
	return wire_fail(s, rc == UV_ENOMEM ? DAVIT_EXHAUSTED : DAVIT_UNAVAILABLE, "write: %s", uv_strerror(rc));
}

/* What did not leave at once is libuv's until it has. */
static davit_status write_rest(struct davit_stream *s, struct service_work *w, const uv_buf_t *bufs, unsigned nbufs)
{
	davit_status status = DAVIT_OK;
	int rc;

	s->done = 0;
	rc = uv_write(&s->writing, &s->stream, bufs, nbufs, on_written);
	if (rc < 0)
		return write_failed(s, rc);
	s->writer = fiber_self();
	while (!s->done && !s->shut && status == DAVIT_OK)
		status = service_park(w);
	s->writer = NULL;
	if (!s->done) {
		break_off(s);
		return s->shut ? wire_fail(s, DAVIT_CANCELLED, "write: the stream was shut down")
			       : out_of_time(s, status, "write");
	}
	return s->status == 0 ? DAVIT_OK : write_failed(s, s->status);
}

davit_status wire_write(struct davit_stream *s, struct service_work *w, const uv_buf_t *bufs, unsigned nbufs)
{
	uv_buf_t cut;
	davit_status status;
	size_t sent;
	int rc;

	if (s->shut)
		return wire_fail(s, DAVIT_CANCELLED, "write: the stream was shut down");
	if (s->broken)
		return wire_fail(s, DAVIT_UNAVAILABLE, "write: the stream is broken");
	rc = uv_try_write(&s->stream, bufs, nbufs);
	if (rc < 0 && rc != UV_EAGAIN)
		return write_failed(s, rc);
	for (sent = rc > 0 ? (size_t)rc : 0; nbufs > 0 && sent >= bufs->len; bufs++, nbufs--)
		sent -= bufs->len;
	if (nbufs > 0 && sent > 0) {
		cut = (uv_buf_t){ .base = bufs->base + sent, .len = bufs->len - sent };
		status = write_rest(s, w, &cut, 1);
		if (status != DAVIT_OK || nbufs == 1)
			return status;
		bufs++, nbufs--;
	}
	return nbufs > 0 ? write_rest(s, w, bufs, nbufs) : DAVIT_OK;
}

void wire_shutdown(struct davit_stream *s)
{
	s->shut = 1;
	if (s->reader != NULL)
		fiber_wake(s->reader);
	if (s->writer != NULL)
		fiber_wake(s->writer);
}
