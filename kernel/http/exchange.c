/* SPDX-License-Identifier: Apache-2.0 */
#include "http/exchange.h"

#include "base/banned.h"
#include "base/buf.h"
#include "http/h1_head.h"
#include "http/inside.h"

#define INTERNAL_ERROR 2 /* RFC 9113, 7 */

struct str http_field(const struct http_exchange *x, struct str name)
{
	size_t i;

	for (i = 0; i < x->nfields; i++)
		if (x->fields[i].name.n == name.n && memcmp(x->fields[i].name.p, name.p, name.n) == 0)
			return x->fields[i].value;
	return STR_NONE;
}

int http_read(struct http_exchange *x, struct str *ret_piece)
{
	int got = x->backend->read(x, ret_piece);

	if (got > 0)
		x->received += ret_piece->n;
	return got;
}

int http_read_here(const struct http_exchange *x)
{
	return x->backend->here != NULL && x->backend->here(x);
}

void http_read_stop(struct http_exchange *x)
{
	struct call *k = call_of(x);

	k->unread = 1;
	if (k->reader != NULL)
		fiber_wake(k->reader);
}

int http_read_all(struct http_exchange *x, size_t limit, struct str *ret_body)
{
	struct buf whole = buf_in(x->arena);
	struct str piece;
	int got;

	if (limit != 0 && x->content_length > 0 && (uint64_t)x->content_length > limit)
		return -2;
	while ((got = http_read(x, &piece)) > 0) {
		if (limit != 0 && piece.n > limit - whole.n)
			return -2;
		if (call_of(x)->whole) {
			*ret_body = piece;
			return 0;
		}
		/* Room for all of it at once, unless the client only claims to send so much. */
		if (whole.n == 0 && x->content_length > (int64_t)piece.n && x->content_length <= 1 << 20)
			buf_reserve(&whole, (size_t)x->content_length);
		buf_adds(&whole, piece);
	}
	if (got < 0)
		return -1;
	*ret_body = buf_str(&whole);
	return 0;
}

/* The status that is sent. */
static int set_status(struct call *k, int status)
{
	if (status < 200 && k->x.major == 2) /* HTTP/2 has no other protocol to go over to (RFC 9113, 8.6) */
		status = 502;
	k->x.status = status;
	k->bodyless = status == 204 || status == 304 || status < 200 || str_eq(k->x.method, STR("HEAD"));
	return status;
}

int http_reply(struct http_exchange *x, int status, const struct http_field *fields, size_t nfields, struct str body)
{
	struct call *k = call_of(x);

	if (k->began || k->cut)
		return -1;
	k->began = k->ended = 1;
	status = set_status(k, status);
	x->sent = k->bodyless ? 0 : body.n;
	return x->backend->reply(x, status, fields, nfields, body);
}

int http_begin(struct http_exchange *x, int status, const struct http_field *fields, size_t nfields, int64_t length)
{
	struct call *k = call_of(x);

	if (k->began || k->cut)
		return -1;
	k->began = 1;
	k->left = length;
	status = set_status(k, status);
	return x->backend->begin(x, status, fields, nfields, length);
}

int http_write(struct http_exchange *x, struct str piece)
{
	struct call *k = call_of(x);

	if (!k->began || k->ended || k->cut)
		return -1;
	if (k->left >= 0) { /* more than was announced would be read as something else */
		piece = str_upto(piece, (uint64_t)k->left < piece.n ? (size_t)k->left : piece.n);
		k->left -= (int64_t)piece.n;
	}
	if (piece.n == 0 || k->bodyless)
		return 0;
	x->sent += piece.n;
	return x->backend->write(x, piece);
}

int http_end(struct http_exchange *x, const struct http_field *trailers, size_t ntrailers)
{
	struct call *k = call_of(x);

	if (!k->began || k->ended || k->cut)
		return -1;
	if (k->left > 0 && !k->bodyless) { /* the announced rest never comes */
		http_abort(x, INTERNAL_ERROR);
		return -1;
	}
	k->ended = 1;
	return x->backend->end(x, trailers, ntrailers);
}

void http_abort(struct http_exchange *x, uint32_t h2_code)
{
	struct call *k = call_of(x);

	if (k->cut)
		return;
	k->cut = 1;
	x->backend->abort(x, h2_code);
}

void http_on_gone(struct http_exchange *x, void (*fn)(void *arg), void *arg)
{
	struct call *k = call_of(x);

	k->gone_fn = fn;
	k->gone_arg = arg;
	if (k->gone && fn != NULL) {
		k->gone_fn = NULL;
		fn(arg);
	}
}

int http_gone(const struct http_exchange *x)
{
	return ((const struct call *)x)->gone;
}

int call_field_is_ours(struct str name)
{
	switch (name.n) {
	case 4: return str_is(name, "date");
	case 7: return str_is(name, "upgrade");
	case 10: return str_is(name, "connection") || str_is(name, "keep-alive");
	case 14: return str_is(name, "content-length");
	case 16: return str_is(name, "proxy-connection");
	case 17: return str_is(name, "transfer-encoding");
	default: return 0;
	}
}

void call_clean_value(char *to, struct str v)
{
	size_t i;

	if (h1_is_value(v)) {
		if (v.n > 0)
			memcpy(to, v.p, v.n);
		return;
	}
	for (i = 0; i < v.n; i++) {
		unsigned char c = (unsigned char)v.p[i];

		to[i] = (char)((c < ' ' && c != '\t') || c == 0x7f ? ' ' : c);
	}
}

size_t call_decimal(char to[20], uint64_t v)
{
	char digits[20];
	size_t n = 0, i;

	do {
		digits[n++] = (char)('0' + v % 10);
		v /= 10;
	} while (v > 0);
	for (i = 0; i < n; i++)
		to[i] = digits[n - 1 - i];
	return n;
}

void call_wake(struct call *k)
{
	if (k->reader != NULL)
		fiber_wake(k->reader);
	if (k->writer != NULL)
		fiber_wake(k->writer);
}

void call_gone(struct call *k)
{
	void (*fn)(void *arg) = k->gone_fn;

	k->gone = 1;
	k->gone_fn = NULL;
	if (fn != NULL)
		fn(k->gone_arg);
}

/* The handler has returned. */
static void finish(struct call *k)
{
	struct server_loop *sl = k->connection->sl;

	k->gone_fn = NULL;
	arena_on_oom(k->x.arena, NULL);
	if (!k->began && !k->cut) /* a handler that answers nothing is at fault, not its client */
		http_reply(&k->x, 500, NULL, 0, STR_NONE);
	else if (k->began && !k->ended)
		http_abort(&k->x, INTERNAL_ERROR);
	count(&sl->exchanges, -1);
	k->x.backend->done(&k->x);
}

static void out_of_memory(struct call *k)
{
	static const struct http_field text[] = { { STR("content-type"), STR("text/plain; charset=utf-8") } };

	if (!k->began)
		http_reply(&k->x, 500, text, 1, STR("out of memory\n"));
	else if (!k->ended)
		http_abort(&k->x, INTERNAL_ERROR);
}

static void run(void *arg)
{
	struct call *volatile k = arg;
	const struct http_server_options *volatile o = &k->connection->sl->server->o;
	jmp_buf oom;

	if (setjmp(oom) == 0) {
		arena_on_oom(k->x.arena, &oom);
		o->handle(o->ctx, &k->x);
	} else {
		out_of_memory(k);
	}
	finish(k);
}

static void refuse(struct call *k)
{
	const struct http_server_options *o = &k->connection->sl->server->o;

	if (o->refuse != NULL)
		o->refuse(o->ctx, &k->x);
	else
		http_reply(&k->x, 503, NULL, 0, STR_NONE);
	finish(k);
}

void call_start(struct call *k)
{
	struct server_loop *sl = k->connection->sl;

	count(&sl->exchanges, 1);
	if (fiber_start(sl->loop, run, k) < 0)
		refuse(k);
}
