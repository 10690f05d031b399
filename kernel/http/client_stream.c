/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Streams of an HTTP/2 client connection (RFC 9113). Callbacks gather and set flags; nghttp2 may not be entered again
 * from them but to submit something. A stream whose call has gone has no user data.
 */
#include "base/clock.h"
#include "http/client_h2.h"

#include "base/banned.h" /* behind nghttp2's own, which has members of such names */

#define INFORMATIONAL 5
#define FIELD_COST 32 /* what a field counts for beside its bytes (RFC 9113, 6.5.2) */

static struct client_call *call_at(nghttp2_session *s, int32_t stream)
{
	return nghttp2_session_get_stream_user_data(s, stream);
}

/* In a callback: the stream is reset, the call fails. */
static void abandon(nghttp2_session *s, struct client_call *k, uint32_t code, struct error e)
{
	nghttp2_submit_rst_stream(s, NGHTTP2_FLAG_NONE, k->stream, code);
	client_call_fail(k, e);
	client_h2_part(k);
}

static int on_begin(nghttp2_session *s, const nghttp2_frame *f, void *user)
{
	struct client_call *k = call_at(s, f->hd.stream_id);

	(void)user;
	if (k != NULL) {
		k->fields = NULL;
		k->nfields = k->fields_cap = 0;
		k->coming_status = 0;
		k->coming_length = -1;
	}
	return 0;
}

static int add_field(struct client_call *k, struct str name, struct str value)
{
	size_t cap = k->fields_cap ? k->fields_cap * 2 : 8;
	struct http_field *f = k->fields;
	char *text = arena_try(k->c.arena, name.n + value.n + 2);

	if (text != NULL && k->nfields == k->fields_cap) {
		f = arena_try(k->c.arena, cap * sizeof(*f));
		if (f != NULL && k->nfields > 0)
			memcpy(f, k->fields, k->nfields * sizeof(*f));
	}
	if (text == NULL || f == NULL)
		return -1;
	if (f != k->fields) {
		k->fields = f;
		k->fields_cap = cap;
	}
	memcpy(text, name.p, name.n);
	text[name.n] = '\0';
	if (value.n > 0)
		memcpy(text + name.n + 1, value.p, value.n);
	text[name.n + 1 + value.n] = '\0';
	f[k->nfields++] = (struct http_field){ { text, name.n }, { text + name.n + 1, value.n } };
	return 0;
}

static int on_header(nghttp2_session *s, const nghttp2_frame *f, const uint8_t *name, size_t nname,
		     const uint8_t *value, size_t nvalue, uint8_t flags, void *user)
{
	struct client_call *k = call_at(s, f->hd.stream_id);
	struct str n = { (const char *)name, nname }, v = { (const char *)value, nvalue };
	struct client_h2 *h = user;
	int64_t number;

	(void)flags;
	if (k == NULL)
		return 0;
	k->head_bytes += nname + nvalue + FIELD_COST;
	if (k->head_bytes > h->client->o.header_limit) {
		abandon(s, k, NGHTTP2_CANCEL,
			client_error(k->c.arena, ERROR_RESOURCE_EXHAUSTED,
				     "http2: response header list larger than %zu bytes", h->client->o.header_limit));
		return 0;
	}
	if (str_eq(n, STR(":status"))) {
		k->coming_status = str_int(v, &number) == 0 ? (int)number : 0;
		return 0;
	}
	if (str_eq(n, STR("content-length")) && str_int(v, &number) == 0)
		k->coming_length = number;
	if (add_field(k, n, v) < 0)
		abandon(s, k, NGHTTP2_CANCEL, CLIENT_NO_MEMORY);
	return 0;
}

static void took_block(nghttp2_session *s, struct client_call *k)
{
	if (k->got_head) {
		k->c.trailers = k->fields;
		k->c.ntrailers = k->nfields;
		return;
	}
	if (k->coming_status < 200) {
		if (k->coming_status == 101 || ++k->informational > INFORMATIONAL)
			abandon(s, k, NGHTTP2_PROTOCOL_ERROR,
				client_error(k->c.arena, ERROR_INTERNAL, "http2: unexpected status %d",
					     k->coming_status));
		return;
	}
	k->c.status = k->coming_status;
	k->c.content_length = k->coming_length;
	k->c.fields = k->fields;
	k->c.nfields = k->nfields;
	k->got_head = 1;
	k->head_bytes = 0;
}

static int on_frame(nghttp2_session *s, const nghttp2_frame *f, void *user)
{
	struct client_h2 *h = user;
	struct client_call *k;

	if (f->hd.type == NGHTTP2_GOAWAY)
		h->going = 1;
	if (f->hd.type != NGHTTP2_HEADERS && f->hd.type != NGHTTP2_DATA)
		return 0;
	k = call_at(s, f->hd.stream_id);
	if (k == NULL)
		return 0;
	if (f->hd.type == NGHTTP2_HEADERS)
		took_block(s, k);
	if (k->on == NULL)
		return 0;
	if (f->hd.flags & NGHTTP2_FLAG_END_STREAM)
		k->done = k->got_head;
	client_call_wake(k);
	return 0;
}

static int on_data(nghttp2_session *s, uint8_t flags, int32_t stream, const uint8_t *p, size_t n, void *user)
{
	struct client_call *k = call_at(s, stream);

	(void)flags, (void)user;
	/* A stream's window opens as it is read; the connection's at once, so that no stream holds up the others. */
	nghttp2_session_consume_connection(s, n);
	if (k == NULL)
		return 0;
	buf_add(&k->in, p, n);
	if (k->in.failed)
		abandon(s, k, NGHTTP2_CANCEL, CLIENT_NO_MEMORY);
	else
		client_call_wake(k);
	return 0;
}

static int code_of(uint32_t h2_code)
{
	switch (h2_code) {
	case NGHTTP2_REFUSED_STREAM: return ERROR_UNAVAILABLE;
	case NGHTTP2_CANCEL: return ERROR_CANCELLED;
	case NGHTTP2_FLOW_CONTROL_ERROR:
	case NGHTTP2_ENHANCE_YOUR_CALM: return ERROR_RESOURCE_EXHAUSTED;
	case NGHTTP2_INADEQUATE_SECURITY: return ERROR_PERMISSION_DENIED;
	default: return ERROR_INTERNAL;
	}
}

static int on_close(nghttp2_session *s, int32_t stream, uint32_t code, void *user)
{
	struct client_call *k = call_at(s, stream);

	(void)user;
	if (k == NULL)
		return 0;
	k->refused |= code == NGHTTP2_REFUSED_STREAM;
	/* A peer that keeps the deadline as well may be the first to end the call. */
	if (!k->done && code == NGHTTP2_CANCEL && k->q.deadline_ns > 0 && clock_ns() >= k->q.deadline_ns)
		client_call_fail(k, CLIENT_EXPIRED);
	else if (!k->done)
		client_call_fail(k, client_error(k->c.arena, code_of(code),
						 "stream terminated by RST_STREAM with error code: %s",
						 nghttp2_http2_strerror(code)));
	client_call_wake(k);
	client_h2_part(k);
	return 0;
}

static int on_sent(nghttp2_session *s, const nghttp2_frame *f, void *user)
{
	struct client_call *k = f->hd.type == NGHTTP2_HEADERS ? call_at(s, f->hd.stream_id) : NULL;

	(void)user;
	if (k != NULL)
		k->wrote = 1;
	return 0;
}

static int on_not_sent(nghttp2_session *s, const nghttp2_frame *f, int why, void *user)
{
	struct client_call *k = f->hd.type == NGHTTP2_HEADERS ? call_at(s, f->hd.stream_id) : NULL;

	(void)user;
	if (k == NULL)
		return 0;
	k->refused = !k->wrote;
	client_call_fail(k, client_error(k->c.arena, ERROR_UNAVAILABLE, "the stream could not be opened: %s",
					 nghttp2_strerror(why)));
	client_h2_part(k);
	return 0;
}

int client_stream_callbacks(nghttp2_session_callbacks **ret_callbacks)
{
	nghttp2_session_callbacks *c;
	int rc = nghttp2_session_callbacks_new(&c);

	if (rc != 0)
		return rc;
	nghttp2_session_callbacks_set_on_begin_headers_callback(c, on_begin);
	nghttp2_session_callbacks_set_on_header_callback(c, on_header);
	nghttp2_session_callbacks_set_on_frame_recv_callback(c, on_frame);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(c, on_data);
	nghttp2_session_callbacks_set_on_stream_close_callback(c, on_close);
	nghttp2_session_callbacks_set_on_frame_send_callback(c, on_sent);
	nghttp2_session_callbacks_set_on_frame_not_send_callback(c, on_not_sent);
	*ret_callbacks = c;
	return 0;
}

static nghttp2_nv pair(struct str name, struct str value)
{
	return (nghttp2_nv){ (uint8_t *)name.p, (uint8_t *)value.p, name.n, value.n, NGHTTP2_NV_FLAG_NONE };
}

/* Names in lower case, without the connection's own but `te: trailers`. -1: no memory. */
static int put_fields(struct arena *a, nghttp2_nv *nv, size_t *n, const struct http_field *fields, size_t nfields)
{
	size_t i, k;

	for (i = 0; i < nfields; i++) {
		struct str name = fields[i].name;
		char *lower;

		if (client_own_field(name) && !(str_ieq(name, STR("te")) && str_eq(fields[i].value, STR("trailers"))))
			continue;
		for (k = 0; k < name.n && !(name.p[k] >= 'A' && name.p[k] <= 'Z'); k++)
			;
		if (k < name.n) {
			lower = arena_try(a, name.n);
			if (lower == NULL)
				return -1;
			for (k = 0; k < name.n; k++)
				lower[k] = name.p[k] >= 'A' && name.p[k] <= 'Z' ? name.p[k] + 'a' - 'A' : name.p[k];
			name.p = lower;
		}
		nv[(*n)++] = pair(name, fields[i].value);
	}
	return 0;
}

static ssize_t give_body(nghttp2_session *s, int32_t stream, uint8_t *to, size_t room, uint32_t *flags,
			 nghttp2_data_source *source, void *user)
{
	struct client_call *k = call_at(s, stream);
	nghttp2_nv *nv;
	size_t n, count = 0;

	(void)source, (void)user;
	if (k == NULL)
		return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
	n = k->piece.n < room ? k->piece.n : room;
	if (n > 0)
		memcpy(to, k->piece.p, n);
	k->piece = str_from(k->piece, n);
	k->c.sent += n;
	if (k->piece.n > 0)
		return (ssize_t)n;
	if (k->writer != NULL)
		fiber_wake(k->writer);
	if (!k->ended)
		return n > 0 ? (ssize_t)n : NGHTTP2_ERR_DEFERRED;
	*flags |= NGHTTP2_DATA_FLAG_EOF;
	if (k->ntrailers > 0) {
		nv = arena_try(k->c.arena, k->ntrailers * sizeof(*nv));
		if (nv == NULL || put_fields(k->c.arena, nv, &count, k->trailers, k->ntrailers) < 0)
			return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
		*flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
		nghttp2_submit_trailer(s, stream, nv, count);
	}
	return (ssize_t)n;
}

int client_stream_start(struct client_h2 *h, struct client_call *k)
{
	const struct http_request *q = &k->q;
	const nghttp2_data_provider body = { .read_callback = give_body };
	int64_t length = q->streamed || q->length < 0 ? q->length : (int64_t)q->body.n;
	nghttp2_nv *nv = arena_try(k->c.arena, (q->nfields + 5) * sizeof(*nv) + 24);
	char *text = (char *)(nv + q->nfields + 5);
	size_t n = 4;
	int32_t stream;

	if (nv == NULL)
		return NGHTTP2_ERR_NOMEM;
	nv[0] = pair(STR(":method"), q->method);
	nv[1] = pair(STR(":scheme"), STR("http"));
	nv[2] = pair(STR(":authority"), q->authority.n > 0 ? q->authority : http_client_authority(h->client));
	nv[3] = pair(STR(":path"), q->target);
	if (put_fields(k->c.arena, nv, &n, q->fields, q->nfields) < 0)
		return NGHTTP2_ERR_NOMEM;
	if (length > 0)
		nv[n++] = pair(STR("content-length"),
			       (struct str){ text, (size_t)snprintf(text, 24, "%lld", (long long)length) });
	k->ended = !q->streamed;
	k->piece = q->streamed ? STR_NONE : q->body;
	stream = nghttp2_submit_request(h->session, NULL, nv, n, q->streamed || q->body.n > 0 ? &body : NULL, k);
	if (stream < 0)
		return stream;
	k->stream = stream;
	return 0;
}
