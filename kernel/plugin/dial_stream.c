/* SPDX-License-Identifier: Apache-2.0 */
/* Reading and writing a stream of "davit.dial/1", from wherever the plugin is. */
#include "base/banned.h"
#include "base/mem.h"
#include "plugin/dial.h"
#include "tls/session.h"

#define BATCH 65536 /* sealed bytes that gather before they are sent */
#define BUFS 64	    /* pieces that go to the system as they are; more are gathered in parts */

/* Small pieces gather here on their way into a session, which makes a record of each it is given. */
static _Thread_local char plain[16384];

struct moving {
	struct service_work work;
	struct davit_stream *stream;
	char *p;
	size_t n, done;
	const struct davit_bytes *pieces;
	uint64_t npieces;
};

static davit_status session_failed(struct davit_stream *s, const char *doing, ssize_t verdict)
{
	if (verdict == TLS_MORE) /* of a write: renegotiation, which we refuse */
		return wire_fail(s, DAVIT_UNAVAILABLE, "%s: tls: unexpected message", doing);
	return wire_fail(s, DAVIT_UNAVAILABLE, "%s: %s", doing, tls_session_why(s->tls));
}

/* What the session answers to what it read goes out when it can at once, else with the next write. */
static void answer(struct davit_stream *s)
{
	const char *p;
	size_t n = s->sending || s->broken ? 0 : tls_session_peek(s->tls, &p);
	int rc;

	if (n == 0)
		return;
	rc = uv_try_write(&s->stream, &(uv_buf_t){ .base = (char *)p, .len = n }, 1);
	tls_session_taken(s->tls, rc > 0 ? (size_t)rc : 0);
}

static davit_status read_sealed(struct davit_stream *s, struct moving *m)
{
	davit_status status = DAVIT_OK;
	ssize_t n;

	do {
		if (s->shut)
			return wire_fail(s, DAVIT_CANCELLED, "read: the stream was shut down");
		n = tls_session_read(s->tls, m->p, m->n);
		answer(s);
		if (n == TLS_MORE)
			status = wire_await(s, &m->work);
	} while (n == TLS_MORE && status == DAVIT_OK);
	if (status != DAVIT_OK)
		return status;
	if (n < 0)
		return session_failed(s, "read", n);
	m->done = (size_t)n;
	return DAVIT_OK;
}

static void read_work(struct service_work *w)
{
	struct moving *m = (struct moving *)w;
	struct davit_stream *s = m->stream;

	if (s->reading) {
		w->status = DAVIT_FAILED_PRECONDITION;
		return;
	}
	s->reading = 1;
	w->status = s->tls ? read_sealed(s, m) : wire_read(s, w, m->p, m->n, &m->done);
	s->reading = 0;
}

davit_status dial_read(struct davit_stream *s, struct davit_call *call, void *p, uint64_t n, int64_t timeout_ms,
		       uint64_t *ret_n)
{
	struct moving m = { .work.run = read_work, .stream = s, .p = p, .n = n };

	if (n == 0)
		return DAVIT_INVALID_ARGUMENT;
	service_do(&m.work, s->loop, call, timeout_ms);
	*ret_n = m.work.status == DAVIT_OK ? m.done : 0;
	return m.work.status;
}

/* Where a list of pieces stands. */
struct cursor {
	const struct davit_bytes *at;
	uint64_t left;
	size_t skip;
};

/* The next bytes for a session, at most one record: a piece as it is, or several small ones in a row. */
static size_t next_record(struct cursor *c, const char **ret_p)
{
	size_t n = 0, k;

	while (c->left > 0 && n < sizeof(plain)) {
		const char *p = (const char *)c->at->p + c->skip;

		k = c->at->n - c->skip;
		if (n == 0 && k >= sizeof(plain)) {
			*ret_p = p;
			c->skip += sizeof(plain);
			return sizeof(plain);
		}
		if (k > sizeof(plain) - n)
			k = sizeof(plain) - n;
		memcpy(plain + n, p, k);
		n += k;
		c->skip += k;
		if (c->skip == c->at->n) {
			c->at++;
			c->left--;
			c->skip = 0;
		}
	}
	*ret_p = plain;
	return n;
}

static davit_status write_sealed(struct davit_stream *s, struct moving *m)
{
	struct cursor c = { m->pieces, m->npieces, 0 };
	davit_status status = DAVIT_OK;
	const char *p, *out;
	ssize_t done;
	size_t n;

	if (s->shut)
		return wire_fail(s, DAVIT_CANCELLED, "write: the stream was shut down");
	while (status == DAVIT_OK && (n = next_record(&c, &p)) > 0) {
		for (; n > 0; p += done, n -= (size_t)done) {
			done = tls_session_write(s->tls, p, n);
			if (done <= 0)
				return session_failed(s, "write", done);
		}
		if (tls_session_peek(s->tls, &out) >= BATCH)
			status = dial_flush(s, &m->work);
	}
	return status == DAVIT_OK ? dial_flush(s, &m->work) : status;
}

static davit_status write_plain(struct davit_stream *s, struct moving *m)
{
	uv_buf_t bufs[BUFS];
	davit_status status = DAVIT_OK;
	uint64_t i = 0;
	unsigned n;

	while (status == DAVIT_OK && i < m->npieces) {
		for (n = 0; n < BUFS && i < m->npieces; i++)
			if (m->pieces[i].n > 0)
				bufs[n++] = (uv_buf_t){ .base = (char *)m->pieces[i].p, .len = m->pieces[i].n };
		if (n > 0)
			status = wire_write(s, &m->work, bufs, n);
	}
	return status;
}

static void write_work(struct service_work *w)
{
	struct moving *m = (struct moving *)w;
	struct davit_stream *s = m->stream;

	if (s->sending) {
		w->status = DAVIT_FAILED_PRECONDITION;
		return;
	}
	s->sending = 1;
	w->status = s->tls ? write_sealed(s, m) : write_plain(s, m);
	s->sending = 0;
}

davit_status dial_write(struct davit_stream *s, struct davit_call *call, const struct davit_bytes *pieces,
			uint64_t npieces, int64_t timeout_ms)
{
	struct moving m = { .work.run = write_work, .stream = s, .pieces = pieces, .npieces = npieces };

	service_do(&m.work, s->loop, call, timeout_ms);
	return m.work.status;
}

static void shutdown_work(struct service_work *w)
{
	wire_shutdown(((struct moving *)w)->stream);
}

void dial_shutdown(struct davit_stream *s)
{
	struct moving m = { .work.run = shutdown_work, .work.brief = 1, .stream = s };

	service_do(&m.work, s->loop, NULL, 0);
}

static void close_work(struct service_work *w)
{
	struct davit_stream *s = ((struct moving *)w)->stream;

	if (s->tls != NULL) {
		tls_session_end(s->tls);
		answer(s);
		tls_session_free(s->tls);
		s->tls = NULL;
	}
	wire_drop(s);
}

void dial_close(struct davit_stream *s)
{
	struct moving m = { .work.run = close_work, .work.brief = 1, .stream = s };

	if (s != NULL)
		service_do(&m.work, s->loop, NULL, 0);
}
