/* SPDX-License-Identifier: Apache-2.0 */
/* HTTP/1: the body of a request, for its handler or for nobody. */
#include "base/banned.h"
#include "http/h1.h"

/* The fields behind a chunked body. */
static int take_trailers(struct h1_call *m, struct str section)
{
	struct http_exchange *x = &m->k.x;
	char *copy = arena_try(x->arena, section.n);
	struct http_field *fields;

	if (copy == NULL)
		return -1;
	memcpy(copy, section.p, section.n);
	if (h1_fields_parse(copy, section.n, x->arena, &fields, &x->ntrailers).status)
		return -1;
	x->trailers = fields;
	return 0;
}

/* Parks until more has come. -1: it will not. */
static int wait_for_more(struct h1_call *m)
{
	struct connection *c = m->k.connection;

	if (c->eof || fiber_self() == NULL)
		return -1;
	if (m->expects)
		h1_continue(m);
	connection_read_by(c, c->sl->server->o.idle_body_timeout_ms);
	connection_watch(c);
	m->k.reader = fiber_self();
	fiber_park();
	m->k.reader = NULL;
	c->read_deadline = 0;
	return 0;
}

int h1_read(struct http_exchange *x, struct str *ret_piece)
{
	struct h1_call *m = h1_call_of(x);
	struct connection *c = m->k.connection;
	struct h1 *h = c->as.h1;
	enum h1_body_event event;
	size_t used;

	if (m->ready.n > 0) {
		*ret_piece = m->ready;
		m->ready = STR_NONE;
		m->k.whole = 1;
		return 1;
	}
	c->lent = 0;
	connection_drop(c, 0);
	for (;;) {
		if (h->body.state == BODY_DONE)
			return 0;
		if (c->dead || h->body_failed || m->k.unread)
			return -1;
		event = h1_body_next(&h->body, connection_peek(c), &used, ret_piece);
		c->lent = event == BODY_PIECE;
		if (event == BODY_TRAILERS && take_trailers(m, *ret_piece) < 0)
			event = BODY_BROKEN;
		connection_drop(c, used);
		if (event == BODY_PIECE) {
			m->expects = 0; /* it did not wait */
			return 1;
		}
		if (event == BODY_BROKEN || (event == BODY_MORE && wait_for_more(m) < 0))
			h->body_failed = 1;
	}
}

int h1_skip(struct connection *c)
{
	struct h1 *h = c->as.h1;
	enum h1_body_event event;
	struct str piece;
	size_t used;

	if (h->body.state == BODY_LENGTH && h->body.left > H1_SKIP)
		return -1;
	for (;;) {
		event = h1_body_next(&h->body, connection_peek(c), &used, &piece);
		connection_drop(c, used);
		h->skipped += used;
		if (event == BODY_END || event == BODY_TRAILERS) {
			c->read_deadline = 0;
			return 1;
		}
		if (event == BODY_BROKEN || h->skipped > H1_SKIP || (event == BODY_MORE && c->eof))
			return -1;
		if (event == BODY_MORE)
			return 0;
		c->read_deadline = 0; /* it moves */
	}
}
