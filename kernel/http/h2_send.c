/* SPDX-License-Identifier: Apache-2.0 */
/* HTTP/2: replies. Nothing is sent here: nghttp2 is asked for frames when the connection flushes. */
#include "http/h2.h"

#include "base/banned.h"

#define OWN_FIELDS 3	/* :status, date, content-length */
#define STACK_FIELDS 32 /* more than these are put into the arena */
#define BORROW 4096	/* longer pieces of a reply's body are sent from where they lie */
#define FRAME_HEAD 9

/* How many bytes of a name, in eights, are letters in lower case or '-', as nearly all are. */
static size_t eights_lower(struct str name)
{
	const uint64_t each = 0x0101010101010101u, high = each * 0x80;
	uint64_t word, dash, other;
	size_t i;

	for (i = 0; i + 8 <= name.n; i += 8) {
		memcpy(&word, name.p + i, 8);
		other = ((word | high) - each * 'a') ^ high;	     /* high bit: below 'a' */
		other |= (word + each * (0x7f - 'z')) | word;	     /* or above 'z' */
		dash = (((word ^ each * '-') | high) - each) ^ high; /* high bit: is '-' */
		if (((other & ~dash) | word) & high)
			break;
	}
	return i;
}

/* What may not stand in HTTP/2 is put right or left out: upper case, control characters, blanks around. */
static int put_field(struct arena *a, struct http_field f, nghttp2_nv *nv)
{
	int upper = 0, bad = f.name.n == 0;
	struct str v = f.value;
	char *copy;
	size_t i;

	for (i = eights_lower(f.name); i < f.name.n; i++) {
		unsigned char c = (unsigned char)f.name.p[i];

		bad |= h1_token[c] == 0;
		upper |= h1_token[c] ^ c;
	}
	if (bad || call_field_is_ours(f.name))
		return 0;
	while (v.n > 0 && (v.p[0] == ' ' || v.p[0] == '\t'))
		v.p++, v.n--;
	while (v.n > 0 && (v.p[v.n - 1] == ' ' || v.p[v.n - 1] == '\t'))
		v.n--;
	if (upper) {
		copy = arena_try(a, f.name.n);
		if (copy == NULL)
			return -1;
		for (i = 0; i < f.name.n; i++)
			copy[i] = (char)h1_token[(unsigned char)f.name.p[i]];
		f.name.p = copy;
	}
	if (!h1_is_value(v)) {
		copy = arena_try(a, v.n);
		if (copy == NULL)
			return -1;
		call_clean_value(copy, v);
		v.p = copy;
	}
	*nv = (nghttp2_nv){ (uint8_t *)f.name.p, (uint8_t *)v.p, f.name.n, v.n, NGHTTP2_NV_FLAG_NONE };
	return 1;
}

/* -1: no memory; else how many were put to nv. */
static ssize_t put_fields(struct arena *a, const struct http_field *fields, size_t nfields, nghttp2_nv *nv)
{
	size_t i, n = 0;
	int put;

	for (i = 0; i < nfields; i++) {
		put = put_field(a, fields[i], &nv[n]);
		if (put < 0)
			return -1;
		n += (size_t)put;
	}
	return (ssize_t)n;
}

static nghttp2_nv own(const char *name, struct str value)
{
	return (nghttp2_nv){ (uint8_t *)name, (uint8_t *)value.p, strlen(name), value.n, NGHTTP2_NV_FLAG_NONE };
}

static ssize_t provide(nghttp2_session *session, int32_t id, uint8_t *buf, size_t room, uint32_t *flags,
		       nghttp2_data_source *source, void *user);

/* The header block. length: of the body, -1 unknown. */
static int submit(struct h2_call *m, int status, const struct http_field *fields, size_t nfields, int64_t length,
		  int end)
{
	nghttp2_nv few[STACK_FIELDS + OWN_FIELDS], *nv = few;
	nghttp2_data_provider provider = { { .ptr = m }, provide };
	struct connection *c = m->k.connection;
	char code[20], size[20];
	size_t n = 0;
	ssize_t put;

	if (c->as.h2->session == NULL || m->closed)
		return -1;
	if (nfields > STACK_FIELDS)
		nv = arena_try(m->k.x.arena, (nfields + OWN_FIELDS) * sizeof(*nv));
	if (nv == NULL)
		goto failed;
	nv[n++] = own(":status", (struct str){ code, call_decimal(code, (uint64_t)status) });
	put = put_fields(m->k.x.arena, fields, nfields, nv + n);
	if (put < 0)
		goto failed;
	n += (size_t)put;
	if (!c->sl->server->o.no_date)
		nv[n++] = own("date", server_date(c->sl));
	if (length >= 0 && status >= 200 && status != 204 && (status != 304 || length > 0))
		nv[n++] = own("content-length", (struct str){ size, call_decimal(size, (uint64_t)length) });
	if (nghttp2_submit_response(c->as.h2->session, m->id, nv, n, end ? NULL : &provider) != 0)
		goto failed;
	m->submitted = 1;
	m->moved = connection_now(c);
	if (!end)
		connection_write_by(c, c->sl->server->o.stall_timeout_ms);
	connection_flush(c);
	return 0;
failed:
	m->k.cut = 1;
	h2_abort(&m->k.x, NGHTTP2_INTERNAL_ERROR);
	return -1;
}

int h2_reply(struct http_exchange *x, int status, const struct http_field *fields, size_t nfields, struct str body)
{
	struct h2_call *m = h2_call_of(x);

	if (!m->k.bodyless)
		m->body = body;
	return submit(m, status, fields, nfields, body.p ? (int64_t)body.n : -1, m->body.n == 0);
}

int h2_begin(struct http_exchange *x, int status, const struct http_field *fields, size_t nfields, int64_t length)
{
	return submit(h2_call_of(x), status, fields, nfields, length, 0);
}

/* There is something to send, or the end. */
static void resume(struct h2_call *m)
{
	struct connection *c = m->k.connection;

	if (m->closed || c->as.h2->session == NULL)
		return;
	if (m->deferred) {
		m->deferred = 0;
		nghttp2_session_resume_data(c->as.h2->session, m->id);
	}
	connection_write_by(c, c->sl->server->o.stall_timeout_ms);
	connection_flush(c);
}

int h2_write(struct http_exchange *x, struct str piece)
{
	struct h2_call *m = h2_call_of(x);
	struct str part;

	while (piece.n > 0) {
		if (m->k.cut || m->closed)
			return -1;
		if (m->out.n >= H2_WRITE_HIGH) {
			m->k.writer = fiber_self();
			fiber_park();
			m->k.writer = NULL;
			continue;
		}
		if (m->out.n == 0)
			m->moved = connection_now(m->k.connection);
		part = str_upto(piece, H2_WRITE_HIGH - m->out.n);
		if (h2_queue_add(m, &m->out, part.p, part.n) < 0) {
			http_abort(x, NGHTTP2_INTERNAL_ERROR);
			return -1;
		}
		piece = str_from(piece, part.n);
		resume(m);
	}
	return 0;
}

int h2_end(struct http_exchange *x, const struct http_field *trailers, size_t ntrailers)
{
	struct h2_call *m = h2_call_of(x);

	if (m->closed)
		return -1;
	m->trailers = trailers;
	m->ntrailers = ntrailers;
	resume(m);
	return 0;
}

void h2_abort(struct http_exchange *x, uint32_t code)
{
	struct h2_call *m = h2_call_of(x);
	struct h2 *h = m->k.connection->as.h2;

	call_wake(&m->k);
	if (h->session == NULL || m->closed)
		return;
	nghttp2_submit_rst_stream(h->session, NGHTTP2_FLAG_NONE, m->id, code);
	connection_flush(m->k.connection);
}

/* What nghttp2 asks while it makes frames. */

static int submit_trailers(nghttp2_session *session, struct h2_call *m)
{
	nghttp2_nv few[STACK_FIELDS], *nv = few;
	ssize_t n;

	if (m->ntrailers > STACK_FIELDS)
		nv = arena_try(m->k.x.arena, m->ntrailers * sizeof(*nv));
	if (nv == NULL)
		return -1;
	n = put_fields(m->k.x.arena, m->trailers, m->ntrailers, nv);
	return n < 0 ? -1 : nghttp2_submit_trailer(session, m->id, nv, (size_t)n);
}

static ssize_t provide(nghttp2_session *session, int32_t id, uint8_t *buf, size_t room, uint32_t *flags,
		       nghttp2_data_source *source, void *user)
{
	struct h2_call *m = source->ptr;
	size_t n = m->body.n + m->out.n;

	(void)id, (void)buf, (void)user;
	if (n == 0 && !m->k.ended) {
		m->deferred = 1;
		return NGHTTP2_ERR_DEFERRED;
	}
	*flags |= NGHTTP2_DATA_FLAG_NO_COPY;
	if (n > room)
		return (ssize_t)room;
	if (m->k.ended) {
		*flags |= NGHTTP2_DATA_FLAG_EOF;
		if (m->ntrailers > 0) {
			if (submit_trailers(session, m) != 0)
				return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
			*flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
		}
	}
	return (ssize_t)n;
}

static void send_pieces(struct h2_call *m, struct output *o, size_t n)
{
	struct h2_queue *q = &m->out;
	struct h2_piece *p;
	size_t part;

	q->n -= n;
	while (n > 0) {
		p = q->first;
		part = n < p->n ? n : p->n;
		output_add(o, p->p, part);
		p->p += part;
		p->n -= part;
		n -= part;
		if (p->n > 0)
			continue;
		q->first = p->next;
		if (q->first == NULL)
			q->end = &q->first;
		h2_piece_free(p);
	}
}

static int send_data(nghttp2_session *session, nghttp2_frame *f, const uint8_t *head, size_t n,
		     nghttp2_data_source *source, void *user)
{
	struct h2_call *m = source->ptr;
	struct h2 *h = user;
	struct output *o = &h->c->out;

	(void)session, (void)f;
	output_add(o, (const char *)head, FRAME_HEAD);
	if (m->body.n > 0) { /* a reply has either the one or the others */
		if (n > BORROW)
			output_hold(o, m->body.p, n, m->k.x.arena);
		else
			output_add(o, m->body.p, n);
		m->body = str_from(m->body, n);
	} else {
		send_pieces(m, o, n);
	}
	m->moved = connection_now(h->c);
	h2_spend(h, -2); /* the client's WINDOW_UPDATEs for it */
	if (m->k.writer != NULL && m->out.n <= H2_WRITE_LOW)
		fiber_wake(m->k.writer);
	return 0;
}

static int is_clients_fault(uint32_t code)
{
	return code == NGHTTP2_PROTOCOL_ERROR || code == NGHTTP2_STREAM_CLOSED || code == NGHTTP2_FLOW_CONTROL_ERROR ||
	       code == NGHTTP2_FRAME_SIZE_ERROR;
}

/*
 * All of the reply has left. A client that still sends its request may end it, for a while, as over HTTP/1; what comes
 * is of no use, though, and an endless one is told so.
 */
static int on_frame_sent(nghttp2_session *session, const nghttp2_frame *f, void *user)
{
	struct h2 *h = user;
	struct h2_call *m;

	if (f->hd.type == NGHTTP2_RST_STREAM && is_clients_fault(f->rst_stream.error_code))
		h2_spend(h, 1); /* malformed streams cost us as much as those that the client resets itself */
	if (!(f->hd.flags & NGHTTP2_FLAG_END_STREAM) || (f->hd.type != NGHTTP2_DATA && f->hd.type != NGHTTP2_HEADERS))
		return 0;
	m = nghttp2_session_get_stream_user_data(session, f->hd.stream_id);
	if (m == NULL)
		return 0;
	m->sent_all = 1;
	m->moved = connection_now(h->c);
	if (m->in_done)
		return 0;
	if (h->draining || h->c->sl->server->o.stall_timeout_ms == 0)
		return nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, m->id, NGHTTP2_NO_ERROR);
	connection_write_by(h->c, H2_END_WAIT);
	return 0;
}

void h2_set_send(nghttp2_session_callbacks *cb)
{
	nghttp2_session_callbacks_set_send_data_callback(cb, send_data);
	nghttp2_session_callbacks_set_on_frame_send_callback(cb, on_frame_sent);
}
