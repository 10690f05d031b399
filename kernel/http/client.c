/* SPDX-License-Identifier: Apache-2.0 */
#include "http/client.h"

#include <http_parser.h>
#include <stdarg.h>

#include "base/banned.h"
#include "base/clock.h"
#include "base/mem.h"
#include "http/client_inside.h"

#define TRIES 2	       /* over connections that went stale */
#define REFUSALS 12    /* tries in all, when the other side says that it did not look at the request */
#define LONGEST_REST 4 /* of them: 256 ms */

struct http_client_options http_client_defaults(void)
{
	return (struct http_client_options){ .major = 1,
					     .connect_timeout_ms = 15000,
					     .connection_limit = 1024,
					     .idle_limit = 64,
					     .idle_timeout_ms = 90000,
					     .header_limit = 64u * 1024,
					     .growth = 1,
					     .crowd = 512,
					     .window = 256u * 1024,
					     .ping_timeout_ms = 5000 };
}

static int name_it(struct http_client *c, struct str host)
{
	char text[300];
	int n;

	if (host.n > 1 && host.p[0] == '[' && host.p[host.n - 1] == ']')
		host = (struct str){ host.p + 1, host.n - 2 };
	if (host.n > 255)
		return -1;
	c->host = mem_dup(host.p, host.n);
	if (host.n > 0 && host.p[0] == '/') /* as grpc-go and curl name it */
		n = snprintf(text, sizeof(text), "localhost");
	else
		n = snprintf(text, sizeof(text), memchr(host.p, ':', host.n) ? "[" STR_FMT "]:%d" : STR_FMT ":%d",
			     STR_ARG(host), c->o.port);
	c->authority = mem_dup(text, (size_t)n);
	c->authority_n = (size_t)n;
	return c->host != NULL && c->authority != NULL ? 0 : -1;
}

static int keep(struct str *text, char **ret_own)
{
	if (text->n == 0)
		return 0;
	*ret_own = mem_dup(text->p, text->n);
	text->p = *ret_own;
	return *ret_own != NULL ? 0 : -1;
}

static void free_client(struct http_client *c)
{
	tls_context_unref(c->o.tls);
	mem_free(c->server_name);
	mem_free(c->proxy_host);
	mem_free(c->proxy_authorization);
	mem_free(c->host);
	mem_free(c->authority);
	mem_free(c);
}

struct http_client *http_client_new(struct loop *l, const struct http_client_options *o)
{
	struct http_client *c = mem_zalloc(sizeof(*c));

	if (c == NULL)
		return NULL;
	http_parser_set_max_header_size(INT32_MAX); /* header_limit is the limit */
	c->o = *o;
	c->loop = l;
	c->refs = 1;
	c->backend = o->major == 2 ? &client_h2_backend : &client_h1_backend;
	if (o->tls != NULL)
		tls_context_ref(o->tls);
	if (name_it(c, o->host) < 0 || keep(&c->o.server_name, &c->server_name) < 0 ||
	    keep(&c->o.proxy_host, &c->proxy_host) < 0 ||
	    keep(&c->o.proxy_authorization, &c->proxy_authorization) < 0) {
		free_client(c);
		return NULL;
	}
	c->o.host = str_of(c->host);
	uv_timer_init(loop_uv(l), &c->timer);
	uv_unref((uv_handle_t *)&c->timer);
	c->timer.data = c;
	return c;
}

static void on_closed(uv_handle_t *h)
{
	free_client(h->data);
}

void client_unref(struct http_client *c)
{
	if (--c->refs == 0)
		uv_close((uv_handle_t *)&c->timer, on_closed);
}

void http_client_free(struct http_client *c)
{
	struct client_call *k;

	if (c == NULL)
		return;
	c->closed = 1;
	for (k = c->calls; k != NULL; k = k->later)
		http_call_cancel(&k->c);
	c->backend->close(c);
	client_unref(c);
}

void http_client_use_tls(struct http_client *c, struct tls_context *tls)
{
	tls_context_ref(tls);
	tls_context_unref(c->o.tls);
	c->o.tls = tls;
}

struct str http_client_authority(const struct http_client *c)
{
	return (struct str){ c->authority, c->authority_n };
}

int http_client_connections(const struct http_client *c)
{
	return c->nconnections;
}

struct error client_error(struct arena *a, int code, const char *fmt, ...)
{
	char text[512];
	va_list ap;
	char *p;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	n = n < 0 ? 0 : n >= (int)sizeof(text) ? (int)sizeof(text) - 1 : n;
	p = arena_try(a, (size_t)n + 1);
	if (p == NULL)
		return CLIENT_NO_MEMORY;
	memcpy(p, text, (size_t)n + 1);
	return (struct error){ .code = code, .message = { p, (size_t)n } };
}

struct error client_read_error(struct client_call *k, const struct client_link *l, ssize_t n)
{
	if (n == 0)
		return client_error(k->c.arena, ERROR_UNAVAILABLE, k->got_head ? "unexpected EOF" : "EOF");
	return client_error(k->c.arena, ERROR_UNAVAILABLE, "read %s %s: %s", client_network(k->client),
			    client_is_unix(k->client) ? k->client->host : k->client->authority,
			    client_link_reason(l, n));
}

static void close_with_arena(void *call)
{
	http_call_close(call);
}

struct http_call *http_call_new(struct http_client *c, struct arena *a)
{
	struct client_call *k = arena_try(a, sizeof(*k));

	if (k == NULL)
		return NULL;
	memset(k, 0, sizeof(*k));
	if (arena_try_defer(a, close_with_arena, k) < 0)
		return NULL;
	k->c.arena = a;
	k->c.content_length = -1;
	k->client = c;
	c->refs++;
	k->later = c->calls;
	k->earlier = &c->calls;
	if (k->later != NULL)
		k->later->earlier = &k->later;
	c->calls = k;
	return &k->c;
}

void client_call_wake(struct client_call *k)
{
	if (k->reader != NULL)
		fiber_wake(k->reader);
	if (k->writer != NULL)
		fiber_wake(k->writer);
}

void client_call_fail(struct client_call *k, struct error e)
{
	if (!k->done && !error_is(&k->failed)) {
		k->failed = e;
		k->stopped = 1;
	}
	client_call_wake(k);
}

static void give_up(struct client_call *k, struct error e)
{
	client_call_fail(k, e);
	if (k->on != NULL)
		k->client->backend->cut(k);
}

int client_call_stopped(void *arg)
{
	struct client_call *k = arg;

	if (!k->stopped && k->q.gone != NULL && k->q.gone(k->q.gone_arg))
		give_up(k, CLIENT_CANCELLED);
	return k->stopped;
}

static int64_t earlier(int64_t a, int64_t b)
{
	return a == 0 || (b > 0 && b < a) ? b : a;
}

void http_call_within(struct http_call *c, int writing, int64_t until_ns)
{
	struct client_call *k = client_call_of(c);

	*(writing ? &k->write_until : &k->read_until) = until_ns;
}

void client_call_wait(struct client_call *k, struct fiber **slot)
{
	int64_t own = slot == &k->writer ? k->write_until : k->read_until;
	int late;

	if (client_call_stopped(k))
		return;
	*slot = fiber_self();
	late = fiber_park_until(earlier(k->q.deadline_ns, own)) < 0;
	*slot = NULL;
	if (late)
		give_up(k, CLIENT_EXPIRED);
	else
		client_call_stopped(k);
}

static int repeatable(struct client_call *k)
{
	static const struct str safe[] = { STR("GET"), STR("HEAD"), STR("OPTIONS"), STR("TRACE") };
	size_t i;

	if (k->q.streamed || k->got_head || k->failed.code != ERROR_UNAVAILABLE)
		return 0;
	if (k->refused)
		return k->tries < REFUSALS;
	if (!k->reused || k->tries >= TRIES)
		return 0;
	if (!k->wrote)
		return 1;
	for (i = 0; i < sizeof(safe) / sizeof(safe[0]); i++)
		if (str_eq(k->q.method, safe[i]))
			return 1;
	return 0;
}

/*
 * The first new try is made at once, those after it ever later: 1, 4, 16, 64, 256, 256 … ms. A server that takes few streams
 * refuses for a while what came in the moment before it had noticed that others were over.
 */
static void rest(struct client_call *k)
{
	int step = k->tries - 2 < LONGEST_REST ? k->tries - 2 : LONGEST_REST;
	int64_t until = clock_ns() + (INT64_C(1000000) << 2 * step);

	if (k->q.deadline_ns > 0 && k->q.deadline_ns < until)
		until = k->q.deadline_ns;
	k->reader = fiber_self();
	while (!client_call_stopped(k) && clock_ns() < until)
		fiber_park_until(until);
	k->reader = NULL;
	if (k->q.deadline_ns > 0 && clock_ns() >= k->q.deadline_ns)
		client_call_fail(k, CLIENT_EXPIRED);
}

/* What there is of an attempt before is forgotten. */
static void attempt(struct client_call *k)
{
	k->failed = ERROR_NONE;
	k->stopped = 0;
	k->reused = k->wrote = k->refused = k->ended = 0;
	k->c.sent = 0;
	k->in.n = 0;
	k->nfields = k->head_bytes = 0;
	k->informational = 0;
	if (k->tries >= 2)
		rest(k);
	k->tries++;
	if (!k->stopped)
		k->client->backend->start(k, k->tries > 1);
}

struct error http_call_start(struct http_call *c, const struct http_request *q)
{
	struct client_call *k = client_call_of(c);
	struct error e = client_check_request(c->arena, q);

	if (error_is(&e))
		return e;
	if (k->client == NULL || k->client->closed)
		return CLIENT_CANCELLED;
	if (error_is(&k->failed)) /* cancelled before it began */
		return k->failed;
	k->q = *q;
	if (q->deadline_ns > 0 && clock_ns() >= q->deadline_ns)
		return k->failed = CLIENT_EXPIRED;
	do {
		attempt(k);
	} while (error_is(&k->failed) && repeatable(k));
	return k->failed;
}

struct error http_call_write(struct http_call *c, struct str piece)
{
	struct client_call *k = client_call_of(c);

	if (piece.n > 0 && !k->done && !error_is(&k->failed))
		k->client->backend->write(k, piece);
	if (k->done)
		return (struct error){ .code = ERROR_ABORTED, .message = STR("the response has ended already") };
	return k->failed;
}

int http_call_left(const struct http_call *c)
{
	return client_call_of((struct http_call *)c)->wrote;
}

struct error http_call_end(struct http_call *c, const struct http_field *trailers, size_t ntrailers)
{
	struct client_call *k = client_call_of(c);

	if (!k->done && !k->ended && !error_is(&k->failed))
		k->client->backend->end(k, trailers, ntrailers);
	return k->done ? ERROR_NONE : k->failed;
}

struct error http_call_head(struct http_call *c)
{
	struct client_call *k = client_call_of(c);

	while (!k->got_head) {
		if (!error_is(&k->failed))
			client_call_wait(k, &k->reader);
		else if (repeatable(k))
			attempt(k);
		else
			return k->failed;
	}
	return ERROR_NONE;
}

int http_call_read(struct http_call *c, struct str *ret_piece, struct error *ret_error)
{
	struct client_call *k = client_call_of(c);
	struct error e = http_call_head(c);
	struct buf was = k->out;

	while (!error_is(&e) && k->in.n == 0 && !k->done) {
		if (error_is(&k->failed))
			e = k->failed;
		else
			client_call_wait(k, &k->reader);
	}
	if (error_is(&e)) {
		*ret_error = e;
		return -1;
	}
	if (k->in.n == 0)
		return 0;
	k->out = k->in;
	k->in = was;
	k->in.n = 0;
	k->c.received += k->out.n;
	if (k->on != NULL)
		k->client->backend->took(k, k->out.n);
	*ret_piece = (struct str){ k->out.p, k->out.n };
	return 1;
}

struct error http_call_read_all(struct http_call *c, size_t limit, struct str *ret_body)
{
	struct error e = ERROR_NONE;
	struct buf all = buf_init();
	struct str piece, kept;
	char *p;
	int rc;

	while ((rc = http_call_read(c, &piece, &e)) > 0) {
		if (limit > 0 && piece.n > limit - all.n) {
			buf_free(&all);
			return client_error(c->arena, ERROR_RESOURCE_EXHAUSTED, "response body larger than %zu bytes",
					    limit);
		}
		buf_add(&all, piece.p, piece.n);
		if (all.failed)
			break;
	}
	p = rc < 0 || all.failed ? NULL : arena_try(c->arena, all.n + 1);
	kept = (struct str){ p, all.n };
	if (p != NULL) {
		if (all.n > 0)
			memcpy(p, all.p, all.n);
		p[all.n] = '\0';
		*ret_body = kept;
	} else if (rc >= 0) {
		e = CLIENT_NO_MEMORY;
	}
	buf_free(&all);
	return e;
}

struct str http_call_field(const struct http_call *c, struct str name)
{
	size_t i;

	for (i = 0; i < c->nfields; i++)
		if (str_eq(c->fields[i].name, name))
			return c->fields[i].value;
	return STR_NONE;
}

void http_call_cancel(struct http_call *c)
{
	struct client_call *k = client_call_of(c);

	if (k->client != NULL)
		give_up(k, CLIENT_CANCELLED);
}

void http_call_close(struct http_call *c)
{
	struct client_call *k = client_call_of(c);

	if (c == NULL || k->client == NULL)
		return;
	if (k->on != NULL)
		k->client->backend->cut(k);
	buf_free(&k->in);
	buf_free(&k->out);
	if (!k->done && !error_is(&k->failed))
		k->failed = CLIENT_CANCELLED;
	*k->earlier = k->later;
	if (k->later != NULL)
		k->later->earlier = k->earlier;
	client_unref(k->client);
	k->client = NULL;
}

struct error http_client_request(struct http_client *c, const struct http_request *q, struct arena *a,
				 struct http_call **ret_call)
{
	struct http_call *call = http_call_new(c, a);
	struct error e;

	if (call == NULL)
		return CLIENT_NO_MEMORY;
	e = http_call_start(call, q);
	if (!error_is(&e))
		e = http_call_head(call);
	if (error_is(&e))
		http_call_close(call);
	else
		*ret_call = call;
	return e;
}
