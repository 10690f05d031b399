/* SPDX-License-Identifier: Apache-2.0 */
/* HTTP/1: replies. */
#include "base/banned.h"
#include "http/h1.h"

#define BORROW 16384 /* bodies longer than this are sent from where they lie */
#define CHUNK_HEAD 20

/* "content-type" as "Content-Type", which is how Go writes it and some clients want it. */
static void add_name(char *to, struct str name)
{
	int first = 1;
	size_t i;

	for (i = 0; i < name.n; i++) {
		unsigned char c = (unsigned char)name.p[i];

		to[i] = (char)(first && c >= 'a' && c <= 'z' ? c - 32 : c);
		first = c == '-';
	}
}

static void add_long_field(struct output *o, struct http_field f)
{
	size_t i;
	char c;

	for (i = 0; i < f.name.n; i++) {
		add_name(&c, (struct str){ f.name.p + i, 1 });
		output_add(o, &c, 1);
	}
	output_add(o, ": ", 2);
	for (i = 0; i < f.value.n; i++) {
		call_clean_value(&c, (struct str){ f.value.p + i, 1 });
		output_add(o, &c, 1);
	}
	output_add(o, "\r\n", 2);
}

static void add_fields(struct output *o, const struct http_field *fields, size_t nfields)
{
	const struct http_field *f;
	char *to;

	for (f = fields; f < fields + nfields; f++) {
		if (call_field_is_ours(f->name) || !h1_is_token(f->name))
			continue;
		if (f->name.n + f->value.n > OUTPUT_BLOCK / 2 - 4) {
			add_long_field(o, *f);
			continue;
		}
		to = output_room(o, f->name.n + f->value.n + 4);
		if (to == NULL)
			return;
		add_name(to, f->name);
		to += f->name.n;
		*to++ = ':';
		*to++ = ' ';
		call_clean_value(to, f->value);
		to += f->value.n;
		*to++ = '\r';
		*to = '\n';
		output_took(o, f->name.n + f->value.n + 4);
	}
}

static void add_str(struct output *o, const char *text)
{
	output_add(o, text, strlen(text));
}

static void add_status(struct output *o, int status)
{
	const char *reason = http_reason(status);
	size_t n = strlen(reason);
	char *p = output_room(o, 16 + n), *start = p;

	if (p == NULL)
		return;
	memcpy(p, "HTTP/1.1 ", 9);
	p += 9;
	p += call_decimal(p, (uint64_t)status);
	*p++ = ' ';
	memcpy(p, reason, n);
	p += n;
	*p++ = '\r';
	*p++ = '\n';
	output_took(o, (size_t)(p - start));
}

/* Whether the connection goes on, which the head has to say. */
static void decide_keep_alive(struct h1_call *m, int status)
{
	struct connection *c = m->k.connection;
	struct h1 *h = c->as.h1;

	/* Below 200 is the last word in HTTP: what an application said that would go on in another protocol. */
	if (server_draining(c->sl->server) || m->expects || h->body_failed || status < 200 ||
	    (h->body.state == BODY_LENGTH && h->body.left > H1_SKIP))
		m->k.x.keep_alive = 0;
}

/* length: of the body, -1 unknown. */
static void add_head(struct h1_call *m, int status, const struct http_field *fields, size_t nfields, int64_t length)
{
	struct connection *c = m->k.connection;
	struct output *o = &c->out;
	struct str date = server_date(c->sl);
	char text[64] = "Content-Length: ";
	size_t n = 16;

	m->chunked = length < 0 && !m->old && !m->k.bodyless;
	decide_keep_alive(m, status);
	if (length < 0 && m->old && !m->k.bodyless)
		m->k.x.keep_alive = 0; /* the close ends the body */
	add_status(o, status);
	add_fields(o, fields, nfields);
	output_add(o, "Date: ", 6);
	output_add(o, date.p, date.n);
	output_add(o, "\r\n", 2);
	if (length >= 0 && status >= 200 && status != 204 && (status != 304 || length > 0)) {
		n += call_decimal(text + n, (uint64_t)length);
		text[n++] = '\r';
		text[n++] = '\n';
		output_add(o, text, n);
	} else if (m->chunked) {
		add_str(o, "Transfer-Encoding: chunked\r\n");
	}
	if (!m->k.x.keep_alive)
		add_str(o, "Connection: close\r\n");
	else if (m->old)
		add_str(o, "Connection: keep-alive\r\n");
	output_add(o, "\r\n", 2);
	connection_flush(c);
}

int h1_reply(struct http_exchange *x, int status, const struct http_field *fields, size_t nfields, struct str body)
{
	struct h1_call *m = h1_call_of(x);
	struct connection *c = m->k.connection;

	add_head(m, status, fields, nfields, (int64_t)body.n);
	if (m->k.bodyless)
		return 0;
	if (body.n > BORROW)
		output_hold(&c->out, body.p, body.n, x->arena);
	else
		output_add(&c->out, body.p, body.n);
	return 0;
}

int h1_begin(struct http_exchange *x, int status, const struct http_field *fields, size_t nfields, int64_t length)
{
	add_head(h1_call_of(x), status, fields, nfields, length);
	return 0;
}

static int wait_until(struct h1_call *m, size_t unsent)
{
	struct connection *c = m->k.connection;

	m->k.writer = fiber_self();
	while (c->out.n > unsent && !m->k.cut)
		fiber_park();
	m->k.writer = NULL;
	return m->k.cut ? -1 : 0;
}

static int write_large(struct h1_call *m, struct str piece)
{
	struct output_piece lent = { .p = piece.p, .n = piece.n };

	output_lend(&m->k.connection->out, &lent);
	m->k.writer = fiber_self();
	while (lent.n > 0 && !m->k.connection->dead)
		fiber_park();
	m->k.writer = NULL;
	return m->k.cut ? -1 : 0;
}

int h1_write(struct http_exchange *x, struct str piece)
{
	struct h1_call *m = h1_call_of(x);
	struct connection *c = m->k.connection;
	char text[CHUNK_HEAD];
	int n;

	if (m->chunked) {
		n = snprintf(text, sizeof(text), "%zx\r\n", piece.n);
		output_add(&c->out, text, (size_t)n);
	}
	connection_flush(c);
	if (piece.n <= BORROW)
		output_add(&c->out, piece.p, piece.n);
	else if (write_large(m, piece) < 0)
		return -1;
	if (m->chunked)
		output_add(&c->out, "\r\n", 2);
	connection_flush(c);
	return c->out.n > WRITE_HIGH ? wait_until(m, WRITE_LOW) : 0;
}

int h1_end(struct http_exchange *x, const struct http_field *trailers, size_t ntrailers)
{
	struct h1_call *m = h1_call_of(x);
	struct connection *c = m->k.connection;

	if (m->chunked) {
		output_add(&c->out, "0\r\n", 3);
		add_fields(&c->out, trailers, ntrailers);
		output_add(&c->out, "\r\n", 2);
	}
	connection_flush(c);
	return 0;
}

void h1_continue(struct h1_call *m)
{
	struct connection *c = m->k.connection;

	m->expects = 0;
	if (m->k.began)
		return; /* the reply went first: 100 would come too late */
	add_str(&c->out, "HTTP/1.1 100 Continue\r\n\r\n");
	connection_flush(c);
}
