/* SPDX-License-Identifier: Apache-2.0 */
/*
 * davit.http/1 over davit.dial/1: HTTP/1.1, a connection for each request, which is closed behind it. A kernel keeps connections,
 * follows redirects and goes through proxies; here a redirect is an answer, and a proxy is refused.
 */
#include <davit/http.h>
#include <ctype.h>
#include <stdlib.h>
#include <strings.h>

#include "host.h"

#define HEAD_MOST (128u * 1024)
#define FIELDS_MOST 256

extern const struct davit_dial_service bench_dial;

struct davit_http_exchange {
	struct davit_instance *instance;
	struct davit_call *call;
	struct davit_stream *stream;
	char *why;
	uint64_t nwhy;
	int64_t until_ms; /* INT64_MAX: no end */
	int is_head, chunked_out, chunked, over;
	int64_t left; /* of the body or chunk; -1: until the end of the connection */
	char in[65536];
	size_t at, n;
	char *head;
	struct davit_pair fields[FIELDS_MOST];
	struct davit_http_response response;
};

static davit_status fail(struct davit_http_exchange *x, davit_status status, const char *what)
{
	if (x->why != NULL)
		snprintf(x->why, x->nwhy, "http: %s", what);
	return status;
}

static void *need(void *p)
{
	if (p == NULL)
		abort();
	return p;
}

/* What is left of the request's time, and of the step's. -1: none. 0: no limit. */
static int64_t left_ms(const struct davit_http_exchange *x, int64_t timeout_ms)
{
	int64_t left = x->until_ms == INT64_MAX ? 0 : x->until_ms - host_now_ms();

	if (x->until_ms != INT64_MAX && left <= 0)
		return -1;
	return timeout_ms > 0 && (left == 0 || timeout_ms < left) ? timeout_ms : left;
}

static davit_status send_all(struct davit_http_exchange *x, const struct davit_bytes *pieces, uint64_t n,
			     int64_t timeout_ms)
{
	int64_t left = left_ms(x, timeout_ms);
	davit_status status = left < 0 ? DAVIT_DEADLINE_EXCEEDED
				       : bench_dial.write(x->stream, x->call, pieces, n, left);

	return status == DAVIT_OK ? status : fail(x, status, left < 0 ? "no time is left" : bench_dial.why(x->stream));
}

/* More bytes in x->in; *ret_n == 0: the other side has ended. */
static davit_status receive(struct davit_http_exchange *x, int64_t timeout_ms, uint64_t *ret_n)
{
	int64_t left = left_ms(x, timeout_ms);
	davit_status status = left < 0 ? DAVIT_DEADLINE_EXCEEDED
				       : bench_dial.read(x->stream, x->call, x->in, sizeof(x->in), left, ret_n);

	if (status != DAVIT_OK)
		return fail(x, status, left < 0 ? "no time is left" : bench_dial.why(x->stream));
	x->at = 0;
	x->n = *ret_n;
	return status;
}

struct url {
	int tls, port;
	char host[256], authority[300];
	const char *target;
};

static int read_url(struct davit_str text, struct url *u)
{
	const char *p = text.p, *end;
	size_t n;

	u->tls = strncasecmp(p, "https://", 8) == 0;
	if (!u->tls && strncasecmp(p, "http://", 7) != 0)
		return -1;
	p += u->tls ? 8 : 7;
	n = strcspn(p, "/?#");
	if (n == 0 || n >= sizeof(u->host) || memchr(p, '@', n) != NULL)
		return -1;
	snprintf(u->authority, sizeof(u->authority), "%.*s", (int)n, p);
	u->target = p + n;
	end = *p == '[' ? strchr(p, ']') : NULL;
	end = strchr(end ? end : p, ':');
	u->port = u->tls ? 443 : 80;
	if (end != NULL && end < p + n) {
		u->port = atoi(end + 1);
		n = (size_t)(end - p);
	}
	snprintf(u->host, sizeof(u->host), "%.*s", (int)n, p);
	return 0;
}

/* The request's head; freed by the caller. */
static char *make_head(struct davit_http_exchange *x, const struct davit_http_request *in, const struct url *u)
{
	static const char *const own[] = { "host", "connection", "content-length", "transfer-encoding", "expect" };
	int streamed = (in->flags & DAVIT_HTTP_STREAMED) != 0;
	size_t size = in->url.n + in->method.n + strlen(u->authority) + 200, n, k;
	char *head;
	uint64_t i;

	for (i = 0; i < in->nfields; i++)
		size += in->fields[i].key.n + in->fields[i].value.n + 4;
	head = need(malloc(size));
	n = (size_t)sprintf(head, "%s %s%.*s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n", in->method.p,
			    *u->target == '/' ? "" : "/", (int)strcspn(u->target, "#"), u->target, u->authority);
	for (i = 0; i < in->nfields; i++) {
		for (k = 0; k < sizeof(own) / sizeof(own[0]); k++)
			if (strcasecmp(own[k], in->fields[i].key.p) == 0)
				break;
		if (k == sizeof(own) / sizeof(own[0]))
			n += (size_t)sprintf(head + n, "%s: %s\r\n", in->fields[i].key.p, in->fields[i].value.p);
	}
	x->chunked_out = streamed && in->length < 0;
	if (x->chunked_out)
		n += (size_t)sprintf(head + n, "Transfer-Encoding: chunked\r\n");
	else if (streamed || in->body.n > 0 || davit_str_is(in->method, "PUT") || davit_str_is(in->method, "POST"))
		n += (size_t)sprintf(head + n, "Content-Length: %lld\r\n",
				     (long long)(streamed ? in->length : (int64_t)in->body.n));
	sprintf(head + n, "\r\n");
	return head;
}

static void http_close(struct davit_http_exchange *x)
{
	if (x == NULL)
		return;
	bench_dial.close(x->stream);
	free(x->head);
	free(x);
}

static davit_status http_open(struct davit_instance *instance, struct davit_call *call,
			      const struct davit_http_request *in, struct davit_http_exchange **ret_exchange)
{
	struct davit_tls plain = DAVIT_INIT(davit_tls, .flags = 0);
	struct davit_http_exchange *x = need(calloc(1, sizeof(*x)));
	struct davit_dial_to to = DAVIT_INIT(davit_dial_to, .why = in->why, .nwhy = in->nwhy,
					     .timeout_ms = in->connect_timeout_ms ? in->connect_timeout_ms : 15000);
	struct davit_bytes pieces[2];
	davit_status status = DAVIT_OK;
	struct url u;
	char *head;

	x->instance = instance;
	x->call = call;
	x->why = in->why;
	x->nwhy = in->nwhy;
	x->until_ms = in->timeout_ms > 0 ? host_now_ms() + in->timeout_ms : INT64_MAX;
	x->is_head = davit_str_is(in->method, "HEAD");
	if (read_url(in->url, &u) < 0)
		status = fail(x, DAVIT_INVALID_ARGUMENT, "the URL cannot be used");
	else if (in->proxy.n > 0)
		status = fail(x, DAVIT_UNIMPLEMENTED, "no proxies here");
	to.host = davit_str(u.host);
	to.port = u.port;
	to.tls = u.tls ? in->tls ? in->tls : &plain : NULL;
	if (in->timeout_ms > 0 && in->timeout_ms < to.timeout_ms)
		to.timeout_ms = in->timeout_ms;
	if (status == DAVIT_OK)
		status = bench_dial.dial(instance, call, &to, &x->stream);
	if (status == DAVIT_OK) {
		head = make_head(x, in, &u);
		pieces[0] = (struct davit_bytes){ head, strlen(head) };
		pieces[1] = in->body;
		status = send_all(x, pieces, in->flags & DAVIT_HTTP_STREAMED || in->body.n == 0 ? 1 : 2, 0);
		free(head);
	}
	if (status == DAVIT_OK)
		*ret_exchange = x;
	else
		http_close(x);
	return status;
}

static davit_status http_write(struct davit_http_exchange *x, const struct davit_bytes *piece, int64_t timeout_ms)
{
	char size[24];
	struct davit_bytes chunk[3] = { { size, 0 }, *piece, { "\r\n", 2 } };

	if (piece->n == 0)
		return DAVIT_OK;
	if (!x->chunked_out)
		return send_all(x, piece, 1, timeout_ms);
	chunk[0].n = (size_t)snprintf(size, sizeof(size), "%zx\r\n", piece->n);
	return send_all(x, chunk, 3, timeout_ms);
}

static davit_status http_finish(struct davit_http_exchange *x)
{
	struct davit_bytes end = { "0\r\n\r\n", 5 };

	return x->chunked_out ? send_all(x, &end, 1, 0) : DAVIT_OK;
}

/* One line without its end, from the connection, into `to`. */
static davit_status read_line(struct davit_http_exchange *x, int64_t timeout_ms, char *to, size_t room, size_t *ret_n)
{
	davit_status status = DAVIT_OK;
	uint64_t more = 1;
	size_t n = 0;
	char c;

	do {
		if (x->at == x->n)
			status = receive(x, timeout_ms, &more);
		if (status != DAVIT_OK)
			return status;
		if (more == 0)
			return fail(x, DAVIT_UNAVAILABLE, "unexpected EOF");
		c = x->in[x->at++];
		if (n + 1 >= room)
			return fail(x, DAVIT_EXHAUSTED, "the answer's fields are too many");
		to[n++] = c;
	} while (c != '\n');
	n -= n > 1 && to[n - 2] == '\r' ? 2 : 1;
	to[n] = '\0';
	*ret_n = n;
	return DAVIT_OK;
}

/* "Name: value" to a pair, the name in lower case. */
static int read_field(struct davit_http_exchange *x, char *line)
{
	char *colon = strchr(line, ':'), *value, *end;
	struct davit_pair *p = &x->fields[x->response.nfields];
	char *c;

	if (colon == NULL || x->response.nfields == FIELDS_MOST)
		return -1;
	*colon = '\0';
	for (c = line; *c; c++)
		*c = (char)tolower((unsigned char)*c);
	value = colon + 1 + strspn(colon + 1, " \t");
	for (end = value + strlen(value); end > value && (end[-1] == ' ' || end[-1] == '\t'); end--)
		end[-1] = '\0';
	*p = (struct davit_pair){ davit_str(line), davit_str(value) };
	x->response.nfields++;
	return 0;
}

/* How the body is framed. */
static void frame(struct davit_http_exchange *x)
{
	struct davit_str length = davit_http_field(&x->response, "content-length"),
			 coding = davit_http_field(&x->response, "transfer-encoding");

	x->chunked = coding.p != NULL && strcasecmp(coding.p, "chunked") == 0;
	x->left = x->chunked ? 0 : length.p ? strtoll(length.p, NULL, 10) : -1;
	x->over = x->is_head || x->response.code == 204 || x->response.code == 304 || (!x->chunked && x->left == 0);
}

static davit_status http_head(struct davit_http_exchange *x, int64_t timeout_ms,
			      const struct davit_http_response **ret_response)
{
	davit_status status;
	size_t at, n = 0;

	*ret_response = &x->response;
	if (x->head != NULL)
		return DAVIT_OK;
	x->head = need(malloc(HEAD_MOST));
	do {
		x->response = (struct davit_http_response)DAVIT_INIT(davit_http_response, .fields = x->fields,
								     .body = { "", 0 });
		status = read_line(x, timeout_ms, x->head, HEAD_MOST, &n);
		if (status == DAVIT_OK && (strncmp(x->head, "HTTP/1.", 7) != 0 || n < 12))
			status = fail(x, DAVIT_INTERNAL, "the answer is not HTTP");
		x->response.code = status == DAVIT_OK ? atoi(x->head + 9) : 0;
		for (at = 0; status == DAVIT_OK; at += n + 1) {
			status = read_line(x, timeout_ms, x->head + at, HEAD_MOST - at, &n);
			if (status == DAVIT_OK && n == 0)
				break;
			if (status == DAVIT_OK && read_field(x, x->head + at) < 0)
				status = fail(x, DAVIT_INTERNAL, "the answer's fields cannot be read");
		}
	} while (status == DAVIT_OK && x->response.code < 200);
	frame(x);
	return status;
}

/* At the end of a chunk: the next one's size, or the end with its trailers. */
static davit_status next_chunk(struct davit_http_exchange *x, int64_t timeout_ms)
{
	char line[1024];
	davit_status status;
	size_t n = 0;

	do
		status = read_line(x, timeout_ms, line, sizeof(line), &n); /* the first is behind a chunk, and empty */
	while (status == DAVIT_OK && n == 0);
	if (status != DAVIT_OK)
		return status;
	x->left = strtoll(line, NULL, 16);
	if (x->left > 0)
		return DAVIT_OK;
	x->over = 1;
	do
		status = read_line(x, timeout_ms, line, sizeof(line), &n);
	while (status == DAVIT_OK && n > 0);
	return status;
}

static davit_status http_read(struct davit_http_exchange *x, void *p, uint64_t n, int64_t timeout_ms, uint64_t *ret_n)
{
	const struct davit_http_response *none;
	davit_status status = http_head(x, timeout_ms, &none);
	uint64_t more = 1;

	*ret_n = 0;
	if (status == DAVIT_OK && x->chunked && x->left == 0 && !x->over)
		status = next_chunk(x, timeout_ms);
	if (status != DAVIT_OK || x->over)
		return status;
	if (x->at == x->n)
		status = receive(x, timeout_ms, &more);
	if (status != DAVIT_OK)
		return status;
	if (more == 0) {
		x->over = 1;
		return x->left < 0 ? DAVIT_OK : fail(x, DAVIT_UNAVAILABLE, "unexpected EOF");
	}
	n = n < x->n - x->at ? n : x->n - x->at;
	n = x->left >= 0 && (uint64_t)x->left < n ? (uint64_t)x->left : n;
	memcpy(p, x->in + x->at, n);
	x->at += n;
	x->left -= x->left >= 0 ? (int64_t)n : 0;
	x->over = !x->chunked && x->left == 0;
	*ret_n = n;
	return DAVIT_OK;
}

/* ---- whole ---- */

static davit_status read_all(struct davit_http_exchange *x, uint64_t limit, char **ret_body, size_t *ret_n)
{
	size_t room = 65536, n = 0;
	char *body = need(malloc(room + 1));
	davit_status status;
	uint64_t got;

	do {
		if (n == room)
			body = need(realloc(body, (room *= 2) + 1));
		status = http_read(x, body + n, room - n, 0, &got);
		n += got;
		if (status == DAVIT_OK && n > limit)
			status = fail(x, DAVIT_EXHAUSTED, "the answer's body is larger than its limit");
	} while (status == DAVIT_OK && got > 0);
	body[n] = '\0';
	*ret_body = body;
	*ret_n = n;
	return status;
}

/* The answer in one piece of memory: the call's, or for release(). NULL: the call is refused any. */
static struct davit_http_response *settle(struct davit_http_exchange *x, struct davit_call *call, const char *body,
					  size_t n)
{
	size_t size = sizeof(x->response) + x->response.nfields * sizeof(struct davit_pair) + n + 1;
	struct davit_http_response *r;
	struct davit_pair *pairs;
	uint64_t i;
	char *at;

	for (i = 0; i < x->response.nfields; i++)
		size += x->fields[i].key.n + x->fields[i].value.n + 2;
	r = call ? davit_alloc(call, size) : need(malloc(size));
	if (r == NULL)
		return NULL;
	*r = x->response;
	r->unused = call == NULL; /* release() frees it */
	pairs = (struct davit_pair *)(r + 1);
	at = (char *)(pairs + r->nfields);
	for (i = 0; i < r->nfields; i++) {
		pairs[i] = (struct davit_pair){ { at, x->fields[i].key.n }, { NULL, x->fields[i].value.n } };
		memcpy(at, x->fields[i].key.p, x->fields[i].key.n + 1);
		at += x->fields[i].key.n + 1;
		pairs[i].value.p = at;
		memcpy(at, x->fields[i].value.p, x->fields[i].value.n + 1);
		at += x->fields[i].value.n + 1;
	}
	memcpy(at, body, n + 1);
	r->fields = pairs;
	r->body = (struct davit_bytes){ at, n };
	return r;
}

static davit_status http_request(struct davit_instance *instance, struct davit_call *call,
				 const struct davit_http_request *in, const struct davit_http_response **ret_response)
{
	struct davit_http_request whole = *in;
	const struct davit_http_response *head;
	struct davit_http_exchange *x = NULL;
	davit_status status;
	char *body = NULL;
	size_t n;

	whole.flags &= ~(uint32_t)DAVIT_HTTP_STREAMED;
	status = http_open(instance, call, &whole, &x);
	if (status != DAVIT_OK)
		return status;
	status = http_head(x, 0, &head);
	if (status == DAVIT_OK)
		status = read_all(x, in->body_limit ? in->body_limit : DAVIT_HTTP_BODY_LIMIT, &body, &n);
	if (status == DAVIT_OK) {
		struct davit_http_response *r = settle(x, call, body, n);

		if (r != NULL)
			*ret_response = r;
		else
			status = fail(x, DAVIT_EXHAUSTED, "out of memory");
	}
	free(body);
	http_close(x);
	return status;
}

static void http_release(const struct davit_http_response *response)
{
	if (response != NULL && response->unused)
		free((void *)response);
}

const struct davit_http_service bench_http = DAVIT_INIT(davit_http_service, .request = http_request,
							.release = http_release, .open = http_open, .write = http_write,
							.finish = http_finish, .head = http_head, .read = http_read,
							.close = http_close);
