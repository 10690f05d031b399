/* SPDX-License-Identifier: Apache-2.0 */
/* HTTP/1.1 requests (RFC 9112): one at a time on a connection, the head and a whole body in one write. */
#include "base/banned.h"
#include "base/mem.h"
#include "http/client_pool.h"

#define KEPT 16384u /* a buffer that grew beyond is not kept for the next response */

struct client_h1 *client_h1_new(struct http_client *c, struct client_link *l)
{
	struct client_h1 *h = mem_zalloc(sizeof(*h));

	if (h == NULL) {
		client_link_close(l);
		return NULL;
	}
	h->client = c;
	h->link = l;
	l->owner = h;
	l->came = client_response_came;
	l->written = client_h1_written;
	return h;
}

void client_h1_free(struct client_h1 *h)
{
	client_link_close(h->link);
	buf_free(&h->head);
	buf_free(&h->parts);
	mem_free(h);
}

void client_h1_part(struct client_h1 *h, int again)
{
	h->k->on = NULL;
	if (h->head.cap > KEPT)
		buf_free(&h->head);
	if (h->parts.cap > KEPT)
		buf_free(&h->parts);
	client_pool_give(h, again);
}

static char *put(char *to, struct str s)
{
	if (s.n > 0)
		memcpy(to, s.p, s.n);
	return to + s.n;
}

/* As Go writes names, for applications that compare them. */
static char *put_name(char *to, struct str name)
{
	int first = 1;
	size_t i;

	for (i = 0; i < name.n; i++) {
		char c = name.p[i];

		if (first && c >= 'a' && c <= 'z')
			c -= 'a' - 'A';
		else if (!first && c >= 'A' && c <= 'Z')
			c += 'a' - 'A';
		*to++ = c;
		first = c == '-';
	}
	return to;
}

static char *put_fields(char *to, const struct http_field *fields, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++) {
		if (client_own_field(fields[i].name))
			continue;
		to = put_name(to, fields[i].name);
		to = put(to, STR(": "));
		to = put(to, fields[i].value);
		to = put(to, STR("\r\n"));
	}
	return to;
}

static size_t fields_size(const struct http_field *fields, size_t n)
{
	size_t i, size = 0;

	for (i = 0; i < n; i++)
		size += fields[i].name.n + fields[i].value.n + 4;
	return size;
}

static int expects_length(struct str method)
{
	return str_eq(method, STR("POST")) || str_eq(method, STR("PUT")) || str_eq(method, STR("PATCH"));
}

/* In the arena; n == 0: no memory. */
static struct str make_head(struct client_call *k)
{
	const struct http_request *q = &k->q;
	struct str host = q->authority.n > 0 ? q->authority : http_client_authority(k->client);
	size_t size = q->method.n + q->target.n + host.n + fields_size(q->fields, q->nfields) + 128;
	char *head = arena_try(k->c.arena, size), *p = head;
	int64_t length = q->streamed ? q->length : (int64_t)q->body.n;

	if (head == NULL)
		return STR_NONE;
	p = put(p, q->method);
	p = put(p, STR(" "));
	p = put(p, q->target);
	p = put(p, STR(" HTTP/1.1\r\nHost: "));
	p = put(p, host);
	p = put(p, STR("\r\n"));
	p = put_fields(p, q->fields, q->nfields);
	k->chunked = length < 0;
	if (k->chunked)
		p = put(p, STR("Transfer-Encoding: chunked\r\n"));
	else if (length > 0 || expects_length(q->method))
		p += snprintf(p, 48, "Content-Length: %lld\r\n", (long long)length);
	p = put(p, STR("\r\n"));
	return (struct str){ head, (size_t)(p - head) };
}

/*
 * A failed write does not end the call: the other side may have answered before it closed, and reading will tell. One that
 * is still there, since only we had no buffer, hears no more of us.
 */
static void transmit(struct client_h1 *h, const uv_buf_t *bufs, unsigned n)
{
	size_t sent;
	int rc = client_link_write(h->link, bufs, n, &sent);

	if (sent > 0 || rc > 0)
		h->k->wrote = 1;
	if (rc < 0) {
		h->broken = 1;
		client_link_end(h->link);
	}
}

void client_h1_written(void *h1, int status)
{
	struct client_h1 *h = h1;

	if (status < 0) {
		h->broken = 1;
		client_link_end(h->link);
	}
	if (h->k != NULL)
		client_call_wake(h->k);
}

static uv_buf_t buf_of(struct str s)
{
	return (uv_buf_t){ .base = (char *)s.p, .len = s.n };
}

static void start(struct client_call *k, int fresh)
{
	struct client_h1 *h;
	struct str head;

	h = client_pool_take(k, fresh);
	if (h == NULL)
		return;
	h->k = k;
	k->on = h;
	head = make_head(k);
	if (head.n == 0) {
		client_call_fail(k, CLIENT_NO_MEMORY);
		client_h1_part(h, 0);
		return;
	}
	client_response_begin(h);
	k->ended = !k->q.streamed;
	k->c.sent = k->q.streamed ? 0 : k->q.body.n;
	transmit(h, (uv_buf_t[]){ buf_of(head), buf_of(k->q.body) }, k->ended && k->q.body.n > 0 ? 2 : 1);
}

/* 1: the connection is free to be written to. */
static int wait_written(struct client_call *k)
{
	struct client_h1 *h;

	while ((h = k->on) != NULL && h->link->writing)
		client_call_wait(k, &k->writer);
	return k->on != NULL;
}

static void write_piece(struct client_call *k, struct str piece)
{
	char size[24];
	int n = snprintf(size, sizeof(size), "%zx\r\n", piece.n);

	if (!wait_written(k))
		return;
	if (!k->chunked && k->q.length - (int64_t)k->c.sent < (int64_t)piece.n) {
		client_call_fail(k, client_error(k->c.arena, ERROR_INVALID_ARGUMENT,
						 "http: ContentLength=%lld with Body length more",
						 (long long)k->q.length));
		client_h1_part(k->on, 0);
		return;
	}
	k->c.sent += piece.n;
	if (k->chunked)
		transmit(k->on, (uv_buf_t[]){ uv_buf_init(size, (unsigned)n), buf_of(piece), uv_buf_init("\r\n", 2) },
			 3);
	else
		transmit(k->on, (uv_buf_t[]){ buf_of(piece) }, 1);
	wait_written(k); /* the piece is borrowed until it returns */
}

static void end(struct client_call *k, const struct http_field *trailers, size_t ntrailers)
{
	char *text, *p;

	if (!wait_written(k))
		return;
	if (!k->chunked && k->q.length != (int64_t)k->c.sent) {
		client_call_fail(k, client_error(k->c.arena, ERROR_INVALID_ARGUMENT,
						 "http: ContentLength=%lld with Body length %llu",
						 (long long)k->q.length, (unsigned long long)k->c.sent));
		client_h1_part(k->on, 0);
		return;
	}
	k->ended = 1;
	if (!k->chunked)
		return;
	text = p = arena_try(k->c.arena, fields_size(trailers, ntrailers) + 8);
	if (text == NULL) {
		client_call_fail(k, CLIENT_NO_MEMORY);
		client_h1_part(k->on, 0);
		return;
	}
	p = put(p, STR("0\r\n"));
	p = put_fields(p, trailers, ntrailers);
	p = put(p, STR("\r\n"));
	transmit(k->on, (uv_buf_t[]){ uv_buf_init(text, (unsigned)(p - text)) }, 1);
}

static void took(struct client_call *k, size_t n)
{
	struct client_h1 *h = k->on;

	(void)n;
	client_link_read(h->link, 1);
}

static void cut(struct client_call *k)
{
	client_h1_part(k->on, 0);
}

const struct client_backend client_h1_backend = { start, write_piece, end, took, cut, client_pool_close };
