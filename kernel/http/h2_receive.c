/* SPDX-License-Identifier: Apache-2.0 */
/* HTTP/2: requests as they come in. nghttp2 has checked frames, pseudo-fields and field values before we see them. */
#include "http/h2.h"

#include "base/banned.h"
#include "base/clock.h"

#define ENTRY_OVERHEAD 32 /* what a field counts beyond its bytes (RFC 9113, 6.5.2) */

/* Takes over the arena, unless there is no memory (NULL). */
static struct h2_call *call_new(struct h2 *h, int32_t id, struct arena *a)
{
	struct connection *c = h->c;
	struct h2_call *m = a ? arena_try(a, sizeof(*m)) : NULL;
	struct http_exchange *x;

	if (m == NULL)
		return NULL;
	*m = (struct h2_call){ .k = { .connection = c, .left = -1 }, .id = id };
	x = &m->k.x;
	x->backend = &h2_backend;
	x->server = c->sl->server;
	x->loop = c->sl->loop;
	x->arena = a;
	x->major = 2;
	x->keep_alive = 1;
	x->scheme = STR("http");
	x->authority = x->path = x->query = x->target = STR("");
	x->content_length = -1;
	x->started_ns = clock_ns();
	x->peer = (struct str){ c->peer, c->peer_n };
	m->link = &h->calls;
	m->next = h->calls;
	if (m->next != NULL)
		m->next->link = &m->next;
	h->calls = m;
	h->ncalls++;
	connection_ref(c);
	return m;
}

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *f, void *user)
{
	struct h2 *h = user;
	struct arena *a;
	struct h2_call *m;

	if (f->hd.type != NGHTTP2_HEADERS)
		return 0;
	h->heading = nghttp2_session_get_stream_user_data(session, f->hd.stream_id);
	if (f->headers.cat != NGHTTP2_HCAT_REQUEST)
		return 0;
	/* Calls whose stream was reset count until their handler has noticed. */
	if (h->ncalls >= h->c->sl->server->o.stream_limit) {
		nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, f->hd.stream_id, NGHTTP2_REFUSED_STREAM);
		return 0;
	}
	a = arena_new();
	m = call_new(h, f->hd.stream_id, a);
	if (m == NULL) {
		arena_unref(a);
		return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
	}
	nghttp2_session_set_stream_user_data(session, f->hd.stream_id, m);
	h->heading = m;
	return 0;
}

/* A cookie may come in crumbs, which the application is to see as one (RFC 9113, 8.2.3). */
static int add_crumb(struct h2_call *m, struct str value)
{
	struct http_field *f;
	char *p;

	for (f = m->fields; f < m->fields + m->nfields && !str_is(f->name, "cookie"); f++)
		;
	if (f == m->fields + m->nfields)
		return 0;
	p = arena_try(m->k.x.arena, f->value.n + 2 + value.n + 1);
	if (p == NULL)
		return -1;
	memcpy(p, f->value.p, f->value.n);
	memcpy(p + f->value.n, "; ", 2);
	memcpy(p + f->value.n + 2, value.p, value.n);
	f->value = (struct str){ p, f->value.n + 2 + value.n };
	p[f->value.n] = '\0';
	return 1;
}

static int add_field(struct h2_call *m, struct str name, struct str value)
{
	struct http_field *more;
	size_t cap = m->fields_cap ? 2 * m->fields_cap : 16;
	int crumb = str_is(name, "cookie") ? add_crumb(m, value) : 0;

	if (crumb != 0)
		return crumb;
	if (m->nfields == m->fields_cap) {
		more = arena_try(m->k.x.arena, cap * sizeof(*more));
		if (more == NULL)
			return -1;
		if (m->nfields > 0)
			memcpy(more, m->fields, m->nfields * sizeof(*more));
		m->fields = more;
		m->fields_cap = cap;
	}
	m->fields[m->nfields++] = (struct http_field){ name, value };
	return 0;
}

static void set_pseudo(struct h2_call *m, struct str name, struct str value)
{
	struct http_exchange *x = &m->k.x;

	if (str_is(name, ":method")) {
		x->method = value;
	} else if (str_is(name, ":scheme")) {
		x->scheme = value;
	} else if (str_is(name, ":authority")) {
		x->authority = value;
	} else if (str_is(name, ":path")) {
		x->target = value;
		str_cut(value, '?', &x->path, &x->query);
	}
}

static int on_header(nghttp2_session *session, const nghttp2_frame *f, const uint8_t *n, size_t nn, const uint8_t *v,
		     size_t nv, uint8_t flags, void *user)
{
	struct h2 *h = user;
	struct h2_call *m = h->heading;
	struct str name, value;
	char *p;

	(void)session, (void)f, (void)flags;
	if (m == NULL || m->too_large || m->no_memory)
		return 0;
	m->fields_size += nn + nv + ENTRY_OVERHEAD;
	if (m->fields_size > h->c->sl->server->o.header_limit) {
		m->too_large = 1;
		return 0;
	}
	p = arena_try(m->k.x.arena, nn + nv + 2);
	if (p == NULL) {
		m->no_memory = 1;
		return 0;
	}
	memcpy(p, n, nn);
	p[nn] = '\0';
	memcpy(p + nn + 1, v, nv);
	p[nn + 1 + nv] = '\0';
	name = (struct str){ p, nn };
	value = (struct str){ p + nn + 1, nv };
	if (nn > 0 && p[0] == ':')
		set_pseudo(m, name, value);
	else if (add_field(m, name, value) < 0)
		m->no_memory = 1;
	return 0;
}

/* nghttp2 would leave it out; a request with such a field is malformed, though (RFC 9113, 8.2.1). */
static int on_invalid_header(nghttp2_session *session, const nghttp2_frame *f, const uint8_t *n, size_t nn,
			     const uint8_t *v, size_t nv, uint8_t flags, void *user)
{
	(void)session, (void)f, (void)n, (void)nn, (void)v, (void)nv, (void)flags, (void)user;
	return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
}

static void end_of_body(struct h2_call *m)
{
	m->in_done = 1;
	if (m->k.reader != NULL)
		fiber_wake(m->k.reader);
}

static void to_start(struct h2 *h, struct h2_call *m)
{
	m->next_start = NULL;
	*h->starting_end = m;
	h->starting_end = &m->next_start;
}

/* The header block of a request, or its trailers, are complete. */
static void on_headers(struct h2 *h, struct h2_call *m, const nghttp2_frame *f)
{
	struct http_exchange *x = &m->k.x;
	struct str length;
	int64_t n;

	if (m->started) {
		x->trailers = m->fields;
		x->ntrailers = m->nfields;
		m->nfields = 0;
		return;
	}
	m->started = 1;
	x->fields = m->fields;
	x->nfields = m->nfields;
	m->fields = NULL; /* what comes later are trailers */
	m->nfields = m->fields_cap = m->fields_size = 0;
	if (x->authority.n == 0 && http_field(x, STR("host")).p != NULL)
		x->authority = http_field(x, STR("host"));
	length = http_field(x, STR("content-length"));
	if (f->hd.flags & NGHTTP2_FLAG_END_STREAM)
		x->content_length = 0;
	else if (length.p != NULL && str_int(length, &n) == 0)
		x->content_length = n;
	to_start(h, m);
}

int h2_take_upgraded(struct h2 *h, struct arena *a, const struct h1_head *head)
{
	struct h2_call *m = call_new(h, 1, a);
	struct http_exchange *x;

	if (m == NULL)
		return -1;
	x = &m->k.x;
	x->method = head->method;
	x->target = head->target;
	x->path = head->path;
	x->query = head->query;
	x->authority = head->authority;
	x->fields = head->fields;
	x->nfields = head->nfields;
	x->content_length = 0;
	m->started = m->in_done = 1;
	nghttp2_session_set_stream_user_data(h->session, 1, m);
	h->frames.greatest = 1;
	to_start(h, m);
	h2_start_calls(h, 0);
	return 0;
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *f, void *user)
{
	struct h2 *h = user;
	struct h2_call *m = NULL;

	if (f->hd.stream_id != 0)
		m = nghttp2_session_get_stream_user_data(session, f->hd.stream_id);
	switch (f->hd.type) {
	case NGHTTP2_HEADERS:
		if (m != NULL)
			on_headers(h, m, f);
		break;
	case NGHTTP2_PING:
		if (f->hd.flags & NGHTTP2_FLAG_ACK)
			h2_ping_answered(h, f->ping.opaque_data);
		break;
	case NGHTTP2_RST_STREAM:
		if (m != NULL)
			m->in_done = 1; /* the client sends no more */
		break;
	default: break;
	}
	if (m != NULL && f->hd.flags & NGHTTP2_FLAG_END_STREAM &&
	    (f->hd.type == NGHTTP2_DATA || f->hd.type == NGHTTP2_HEADERS))
		end_of_body(m);
	return 0;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *p, size_t n, void *user)
{
	struct h2_call *m = nghttp2_session_get_stream_user_data(session, id);

	(void)flags, (void)user;
	if (m == NULL || m->handled || m->k.cut) {
		nghttp2_session_consume(session, id, n);
		if (m != NULL && m->sent_all && (m->skipped += n) > m->k.connection->sl->server->o.window)
			nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, id, NGHTTP2_NO_ERROR);
		return 0;
	}
	if (h2_queue_add(m, &m->in, (const char *)p, n) < 0) {
		nghttp2_session_consume(session, id, n);
		return nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, id, NGHTTP2_INTERNAL_ERROR);
	}
	if (m->k.reader != NULL)
		fiber_wake(m->k.reader);
	return 0;
}

static int on_stream_close(nghttp2_session *session, int32_t id, uint32_t error, void *user)
{
	struct h2_call *m = nghttp2_session_get_stream_user_data(session, id);

	(void)error;
	h2_remember_closed(user, id, m != NULL && m->in_done);
	if (m == NULL)
		return 0;
	m->closed = 1;
	if (!m->started)
		m->handled = 1; /* its header block was refused: no handler saw it */
	if (!m->sent_all && !m->handled) {
		m->k.cut = 1;
		if (!m->k.gone)
			call_gone(&m->k);
	}
	call_wake(&m->k);
	h2_call_end(m);
	return 0;
}

/* Answers without a handler. */
static void answer(struct h2_call *m, int status)
{
	static const struct http_field text[] = { { STR("content-type"), STR("text/plain; charset=utf-8") } };

	http_reply(&m->k.x, status, text, 1,
		   status == 431 ? STR("431 Request Header Fields Too Large") : STR("out of memory\n"));
	m->handled = 1;
	h2_call_end(m);
}

void h2_start_calls(struct h2 *h, int whole)
{
	struct h2_call *m;

	while ((m = h->starting) != NULL && (m->in_done || !whole)) {
		h->starting = m->next_start;
		if (h->starting == NULL)
			h->starting_end = &h->starting;
		if (m->closed) { /* reset before it began */
			m->handled = 1;
			h2_call_end(m);
		} else if (m->too_large || m->no_memory) {
			answer(m, m->too_large ? 431 : 500);
		} else {
			h->c->read_deadline = 0;
			call_start(&m->k);
		}
	}
}

void h2_set_receive(nghttp2_session_callbacks *cb)
{
	nghttp2_session_callbacks_set_on_begin_headers_callback(cb, on_begin_headers);
	nghttp2_session_callbacks_set_on_header_callback(cb, on_header);
	nghttp2_session_callbacks_set_on_invalid_header_callback(cb, on_invalid_header);
	nghttp2_session_callbacks_set_on_frame_recv_callback(cb, on_frame);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, on_data);
	nghttp2_session_callbacks_set_on_stream_close_callback(cb, on_stream_close);
}

/* Parks until more has come. -1: it will not, or not soon enough. */
static int wait_for_more(struct h2_call *m)
{
	int ms = m->k.connection->sl->server->o.idle_body_timeout_ms, late;

	if (fiber_self() == NULL)
		return -1;
	m->k.reader = fiber_self();
	late = fiber_park_until(ms > 0 ? clock_ns() + (int64_t)ms * 1000000 : 0);
	m->k.reader = NULL;
	return late && m->in.n == 0 && !m->in_done ? -1 : 0;
}

int h2_read_here(const struct http_exchange *x)
{
	return h2_call_of((struct http_exchange *)x)->in_done;
}

int h2_read(struct http_exchange *x, struct str *ret_piece)
{
	struct h2_call *m = h2_call_of(x);
	struct connection *c = m->k.connection;
	struct h2 *h = c->as.h2;
	struct h2_piece *p;

	h2_piece_free(m->lent);
	m->lent = NULL;
	while (m->in.n == 0) {
		if (m->in_done)
			return 0;
		if (m->k.cut || m->closed ||
		    m->k.unread) /* closed: replied to, so what it still had to say was refused */
			return -1;
		if (wait_for_more(m) < 0) {
			http_abort(x, NGHTTP2_CANCEL);
			return -1;
		}
	}
	p = m->in.first;
	m->in.first = p->next;
	if (m->in.first == NULL)
		m->in.end = &m->in.first;
	m->in.n -= p->n;
	m->lent = p;
	m->k.whole = x->received == 0 && m->in_done && m->in.n == 0 && !p->heap;
	*ret_piece = (struct str){ p->p, p->n };
	if (h->session != NULL) {
		nghttp2_session_consume(h->session, m->id, p->n);
		connection_flush(c);
	}
	return 1;
}
