/* SPDX-License-Identifier: Apache-2.0 */
/* HTTP/1: a connection from one request to the next. */
#include "http/h1.h"

#include "base/banned.h"
#include "base/clock.h"
#include "base/mem.h"

#define READY_BODY 65536 /* a body that came with its head is copied once, up to this */

static void describe(struct h1_call *m, struct connection *c, struct arena *a, const struct h1_head *head)
{
	struct http_exchange *x = &m->k.x;

	*m = (struct h1_call){ .k = { .connection = c, .left = -1 } };
	x->backend = &h1_backend;
	x->server = c->sl->server;
	x->loop = c->sl->loop;
	x->arena = a;
	x->major = 1;
	x->keep_alive = head->keep_alive;
	x->method = head->method;
	x->target = head->target;
	x->path = head->path;
	x->query = head->query;
	x->scheme = STR("http");
	x->authority = head->authority;
	x->fields = head->fields;
	x->nfields = head->nfields;
	x->content_length = head->content_length;
	x->started_ns = clock_ns();
	x->peer = (struct str){ c->peer, c->peer_n };
	m->old = head->minor == 0;
	m->client_closes = !head->keep_alive;
	m->expects = head->expects && head->content_length != 0;
	m->k.gone = c->eof || c->left;
}

/* A small body that is here already moves to the arena, so that what follows may stay in the loop's read buffer. */
static void take_body(struct connection *c, struct h1_call *m, int chunked)
{
	struct h1 *h = c->as.h1;
	struct str data = connection_peek(c);
	size_t n = (size_t)m->k.x.content_length;
	char *copy;

	h1_body_init(&h->body, chunked, chunked ? 0 : n, c->sl->server->o.header_limit);
	if (chunked || n == 0 || n > data.n || n > READY_BODY || (copy = arena_try(m->k.x.arena, n + 1)) == NULL)
		return;
	memcpy(copy, data.p, n);
	copy[n] = '\0';
	m->ready = (struct str){ copy, n };
	connection_drop(c, n);
	h->body.state = BODY_DONE;
}

static void start(struct connection *c, struct arena *a, const struct h1_head *head)
{
	struct h1 *h = c->as.h1;
	struct h1_call *m = arena_try(a, sizeof(*m));

	if (m == NULL) {
		arena_unref(a);
		connection_cut(c);
		return;
	}
	describe(m, c, a, head);
	take_body(c, m, head->chunked);
	if (h->body.state != BODY_DONE && connection_keep(c) < 0) { /* the handler reads from there */
		arena_unref(a);
		return;
	}
	h->call = m;
	h->body_failed = h->skipped = 0;
	h->waits_head = 0;
	c->read_deadline = 0;
	connection_ref(c);
	call_start(&m->k);
}

static const struct h1_refusal too_large = { 431, "" }, no_memory = { 500, "" };

/* Without a whole head: waits for the rest. */
static void wait_for_head(struct connection *c, struct str data)
{
	struct h1 *h = c->as.h1;
	const struct http_server_options *o = &c->sl->server->o;

	if (data.n > o->header_limit) {
		h1_refuse(c, too_large);
	} else if (c->eof) {
		c->no_linger = 1;
		connection_finish(c);
	} else if (data.n > 0 && !h->waits_head) {
		h->waits_head = 1;
		connection_read_by(c, o->header_timeout_ms);
	}
}

/* The next request, if its head is here. 0: it is not, or the connection ends. */
static int next_request(struct connection *c)
{
	struct h1 *h = c->as.h1;
	struct str data = connection_peek(c);
	struct h1_refusal refusal;
	struct h1_head head;
	struct arena *a;
	size_t n;
	char *copy;

	while (h->scanned == 0 && data.n > 0 && (data.p[0] == '\r' || data.p[0] == '\n')) {
		connection_drop(c, 1); /* RFC 9112, 2.2 */
		data = connection_peek(c);
	}
	n = data.n > 0 ? h1_head_end(data, &h->scanned) : 0;
	if (n == 0) {
		wait_for_head(c, data);
		return 0;
	}
	if (n > c->sl->server->o.header_limit) {
		h1_refuse(c, too_large);
		return 0;
	}
	a = arena_new();
	copy = a ? arena_try(a, n) : NULL;
	if (copy == NULL) {
		arena_unref(a);
		h1_refuse(c, no_memory);
		return 0;
	}
	memcpy(copy, data.p, n);
	connection_drop(c, n);
	h->scanned = 0;
	refusal = h1_head_parse(&head, copy, n, a);
	if (refusal.status) {
		arena_unref(a);
		if (refusal.status == H1_NO_HTTP && c->sl->server->o.protocols & HTTP_2)
			connection_finish(c); /* may be a broken HTTP/2 client, to which an answer means nothing */
		else
			h1_refuse(c, refusal);
		return 0;
	}
	if (h2_upgrade_wanted(c, &head) && h2_upgrade(c, a, &head))
		return 0;
	start(c, a, &head);
	return 1;
}

/* Nothing to do until the client sends more. */
static void idle(struct connection *c)
{
	struct h1 *h = c->as.h1;

	if (h->body.state != BODY_DONE || h->waits_head)
		return;
	if (c->eof || server_draining(c->sl->server))
		connection_finish(c);
	else
		connection_read_by(c, c->sl->server->o.keep_alive_ms);
}

void h1_go_on(struct connection *c)
{
	struct h1 *h = c->as.h1;
	int more = 1, ended;

	if (h->processing)
		return;
	h->processing = 1;
	while (more && !c->dead && !c->finishing && h->call == NULL && c->out.n < WRITE_HIGH) {
		if (h->body.state == BODY_DONE) {
			more = next_request(c);
			if (c->protocol != &h1_protocol)
				return; /* h is gone */
			continue;
		}
		ended = h1_skip(c);
		if (ended < 0)
			connection_finish(c);
		else if (ended == 0 && c->read_deadline == 0)
			connection_read_by(c, c->sl->server->o.idle_body_timeout_ms);
		more = ended > 0;
	}
	h->processing = 0;
	if (c->dead || c->finishing)
		return;
	if (h->call == NULL && !more)
		idle(c);
	connection_watch(c);
}

/* The handler has returned: x->backend->done. */
static void end_call(struct http_exchange *x)
{
	struct h1_call *m = h1_call_of(x);
	struct connection *c = m->k.connection;
	struct h1 *h = c->as.h1;

	h->call = NULL;
	c->lent = 0;
	connection_drop(c, 0);
	if (m->k.cut) {
		c->no_linger = 1;
		connection_finish(c);
	} else if (!x->keep_alive || h->body_failed || m->expects) {
		c->no_linger = m->client_closes && h->body.state == BODY_DONE;
		connection_finish(c);
	}
	arena_unref(x->arena);
	if (!c->dead)
		h1_go_on(c);
	connection_unref(c);
}

static void abort_call(struct http_exchange *x, uint32_t h2_code)
{
	struct call *k = call_of(x);

	(void)h2_code;
	x->keep_alive = 0;
	call_wake(k); /* the rest follows when the handler returns */
}

void h1_refuse(struct connection *c, struct h1_refusal r)
{
	char text[256], body[128];
	int n, m;

	if (r.status == H1_NO_HTTP)
		r.status = 400;
	m = snprintf(body, sizeof(body), "%d %s%s%s", r.status, http_reason(r.status), r.text[0] ? ": " : "", r.text);
	n = snprintf(text, sizeof(text),
		     "HTTP/1.1 %s\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n"
		     "Content-Length: %d\r\n\r\n%s",
		     body, m, body);
	output_add(&c->out, text, (size_t)n);
	connection_finish(c);
}

/* The protocol's functions. */

static void input(struct connection *c)
{
	struct h1_call *m = c->as.h1->call;

	if (m == NULL)
		h1_go_on(c);
	else if (m->k.reader != NULL)
		fiber_wake(m->k.reader);
}

static void left(struct connection *c)
{
	struct h1_call *m = c->as.h1->call;

	if (m != NULL && !m->k.gone)
		call_gone(&m->k);
}

static void eof(struct connection *c)
{
	struct h1_call *m = c->as.h1->call;

	left(c);
	if (m != NULL)
		call_wake(&m->k);
	else
		h1_go_on(c);
}

static void written(struct connection *c)
{
	struct h1_call *m = c->as.h1->call;

	if (c->out.n >= WRITE_LOW)
		return;
	if (m != NULL && m->k.writer != NULL)
		fiber_wake(m->k.writer);
	else if (m == NULL && !c->finishing && connection_peek(c).n > 0)
		h1_go_on(c); /* it stopped taking requests whose replies nobody takes */
}

static void timeout(struct connection *c)
{
	struct h1 *h = c->as.h1;

	if (h->call == NULL) {
		connection_cut(c);
	} else if (h->body.state != BODY_DONE) {
		h->body_failed = 1;
		call_wake(&h->call->k);
	}
}

static void drain(struct connection *c)
{
	struct h1 *h = c->as.h1;

	if (h->call == NULL && h->body.state == BODY_DONE && connection_peek(c).n == 0)
		connection_finish(c);
}

static void cut(struct connection *c)
{
	struct h1_call *m = c->as.h1->call;

	if (m == NULL)
		return;
	m->k.cut = 1;
	if (!m->k.gone)
		call_gone(&m->k);
	call_wake(&m->k);
}

void h1_free(struct h1 *h)
{
	mem_free(h);
}

static void release(struct connection *c)
{
	h1_free(c->as.h1);
}

const struct protocol h1_protocol = {
	.input = input,
	.eof = eof,
	.left = left,
	.written = written,
	.timeout = timeout,
	.drain = drain,
	.cut = cut,
	.release = release,
};

const struct http_backend h1_backend = {
	.read = h1_read,
	.reply = h1_reply,
	.begin = h1_begin,
	.write = h1_write,
	.end = h1_end,
	.abort = abort_call,
	.done = end_call,
};

int h1_open(struct connection *c)
{
	c->as.h1 = mem_zalloc(sizeof(*c->as.h1));
	if (c->as.h1 == NULL)
		return -1;
	c->protocol = &h1_protocol;
	return 0;
}
