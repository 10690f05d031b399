/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP/1 responses (RFC 9112) through http_parser. Its callbacks run inside the parser, so they only gather and set
 * flags; what ends a connection is done when the parser has returned.
 */
#include "base/banned.h"
#include "http/client_pool.h"

#define INFORMATIONAL 5 /* 1xx responses before the real one, as Go's client takes */

static struct client_h1 *of(http_parser *p)
{
	return p->data;
}

static int refuse(struct client_h1 *h, const char *why)
{
	h->fault = why;
	return -1;
}

static struct client_part *last_part(struct client_h1 *h)
{
	return (struct client_part *)(void *)(h->parts.p + h->parts.n) - 1;
}

static int gather(struct client_h1 *h, const char *at, size_t n)
{
	buf_add(&h->head, at, n);
	if (h->head.failed)
		return refuse(h, "out of memory");
	if (h->head.n > h->client->o.header_limit)
		return refuse(h, h->k->got_head ? "trailers too large" : NULL);
	last_part(h)->end = (uint32_t)h->head.n;
	return 0;
}

static int on_field(http_parser *p, const char *at, size_t n)
{
	struct client_h1 *h = of(p);
	uint32_t start = (uint32_t)h->head.n;
	size_t i;

	if (h->in_value || h->parts.n == 0) {
		struct client_part part = { start, start, start };

		buf_add(&h->parts, &part, sizeof(part));
		if (h->parts.failed)
			return refuse(h, "out of memory");
		h->in_value = 0;
	}
	if (gather(h, at, n) < 0)
		return -1;
	for (i = start; i < h->head.n; i++)
		if (h->head.p[i] >= 'A' && h->head.p[i] <= 'Z')
			h->head.p[i] += 'a' - 'A';
	last_part(h)->value = (uint32_t)h->head.n;
	return 0;
}

static int on_value(http_parser *p, const char *at, size_t n)
{
	struct client_h1 *h = of(p);

	h->in_value = 1;
	return gather(h, at, n);
}

/* The gathered block, in the call's arena. */
static int take_block(struct client_h1 *h, const struct http_field **ret_fields, size_t *ret_n)
{
	const struct client_part *parts = (const struct client_part *)(const void *)h->parts.p;
	size_t n = h->parts.n / sizeof(*parts), i;
	struct http_field *f = arena_try(h->k->c.arena, n * sizeof(*f) + h->head.n + 1);
	char *text = (char *)(f + n);

	if (f == NULL)
		return refuse(h, "out of memory");
	if (h->head.n > 0)
		memcpy(text, h->head.p, h->head.n);
	for (i = 0; i < n; i++) {
		f[i].name = (struct str){ text + parts[i].name, parts[i].value - parts[i].name };
		f[i].value = str_trim((struct str){ text + parts[i].value, parts[i].end - parts[i].value });
		if (!client_is_token(f[i].name) || !client_keeps_value(f[i].value))
			return refuse(h, "malformed MIME header");
	}
	*ret_fields = f;
	*ret_n = n;
	h->head.n = h->parts.n = 0;
	h->in_value = 0;
	return 0;
}

static int on_head(http_parser *p)
{
	struct client_h1 *h = of(p);
	struct http_call *c = &h->k->c;

	if (p->status_code < 100)
		return refuse(h, "malformed HTTP status code");
	if (p->status_code < 200 && p->status_code != 101) { /* which is the last that a server says in HTTP */
		h->head.n = h->parts.n = 0;
		h->in_value = 0;
		return ++h->informational > INFORMATIONAL ? refuse(h, "too many 1xx informational responses") : 0;
	}
	if (take_block(h, &c->fields, &c->nfields) < 0)
		return -1;
	c->status = p->status_code;
	c->content_length = p->flags & F_CONTENTLENGTH ? (int64_t)p->content_length : -1;
	h->k->got_head = 1;
	return str_eq(h->k->q.method, STR("HEAD")) || p->status_code == 101 || p->status_code == 204 ||
	       p->status_code == 304;
}

static int on_body(http_parser *p, const char *at, size_t n)
{
	struct client_h1 *h = of(p);

	buf_add(&h->k->in, at, n);
	return h->k->in.failed ? refuse(h, "out of memory") : 0;
}

static int on_complete(http_parser *p)
{
	struct client_h1 *h = of(p);

	if (!h->k->got_head) /* of a 1xx */
		return 0;
	if (h->parts.n > 0 && take_block(h, &h->k->c.trailers, &h->k->c.ntrailers) < 0)
		return -1;
	h->complete = 1;
	h->keep = p->status_code != 101 && http_should_keep_alive(p) != 0;
	http_parser_pause(p, 1);
	return 0;
}

static const http_parser_settings settings = { .on_header_field = on_field,
					       .on_header_value = on_value,
					       .on_headers_complete = on_head,
					       .on_body = on_body,
					       .on_message_complete = on_complete };

void client_response_begin(struct client_h1 *h)
{
	http_parser_init(&h->parser, HTTP_RESPONSE);
	h->parser.data = h;
	h->head.n = h->parts.n = h->head_bytes = 0;
	h->informational = 0;
	h->in_value = h->complete = h->keep = 0;
	h->fault = NULL;
	client_link_read(h->link, 1);
}

static struct error parse_error(struct client_h1 *h)
{
	struct arena *a = h->k->c.arena;
	enum http_errno no = HTTP_PARSER_ERRNO(&h->parser);

	if (h->fault != NULL && strcmp(h->fault, "out of memory") == 0)
		return CLIENT_NO_MEMORY;
	if (h->fault == NULL && (no == HPE_CB_header_field || no == HPE_CB_header_value || no == HPE_OK))
		return client_error(a, ERROR_RESOURCE_EXHAUSTED,
				    "net/http: server response headers exceeded %zu bytes; aborted",
				    h->client->o.header_limit);
	return client_error(a, ERROR_INTERNAL, "net/http: HTTP/1.x transport connection broken: %s",
			    h->fault != NULL ? h->fault : http_errno_description(no));
}

static void fail(struct client_h1 *h, struct error e)
{
	client_call_fail(h->k, e);
	client_h1_part(h, 0);
}

static void ended(struct client_h1 *h)
{
	http_parser_execute(&h->parser, &settings, NULL, 0);
	if (h->complete) {
		h->k->done = 1;
		client_call_wake(h->k);
		client_h1_part(h, 0);
	} else {
		fail(h, client_read_error(h->k, h->link, 0));
	}
}

/* 1: goes on; 0: the call is done with the connection. */
static int feed(struct client_h1 *h, const char *p, size_t n)
{
	size_t limit = h->client->o.header_limit;

	while (n > 0) {
		int in_head = !h->k->got_head;
		size_t take = in_head && n > limit + 1 - h->head_bytes ? limit + 1 - h->head_bytes : n;
		size_t used = http_parser_execute(&h->parser, &settings, p, take);

		if (in_head && !h->k->got_head)
			h->head_bytes += used;
		if (h->complete) {
			int again = h->keep && used == n && h->k->ended && !h->link->writing && !h->broken;

			h->k->done = 1;
			client_call_wake(h->k);
			client_h1_part(h, again);
			return 0;
		}
		if (HTTP_PARSER_ERRNO(&h->parser) != HPE_OK || h->parser.upgrade || h->head_bytes > limit) {
			fail(h, parse_error(h));
			return 0;
		}
		p += used;
		n -= used;
	}
	return 1;
}

void client_response_came(void *h1, const char *p, ssize_t n)
{
	struct client_h1 *h = h1;

	if (h->k == NULL) {
		client_pool_lost(h);
		return;
	}
	if (n == 0)
		ended(h);
	else if (n < 0)
		fail(h, client_read_error(h->k, h->link, n));
	else if (feed(h, p, (size_t)n)) {
		client_call_wake(h->k);
		if (h->k->in.n >= CLIENT_INBOX)
			client_link_read(h->link, 0);
	}
}
