/* SPDX-License-Identifier: Apache-2.0 */
/* HTTP/2: a connection, which is one nghttp2 session. */
#include "http/h2.h"

#include "base/banned.h"
#include "base/mem.h"

#define GOODBYE_WAIT 1000 /* ms between the two GOAWAYs, if the client does not answer the PING between them */
#define GOODBYE_PING "goodbye!"

/* Queues of body pieces. */

int h2_queue_add(struct h2_call *m, struct h2_queue *q, const char *p, size_t n)
{
	size_t size = sizeof(struct h2_piece) + n + 1;
	int heap = q->ever + n > H2_IN_ARENA;
	struct h2_piece *b = heap ? mem_alloc(size) : arena_try(m->k.x.arena, size);

	if (b == NULL)
		return -1;
	memcpy(b + 1, p, n);
	((char *)(b + 1))[n] = '\0';
	*b = (struct h2_piece){ NULL, (char *)(b + 1), n, heap };
	if (q->end == NULL)
		q->end = &q->first;
	*q->end = b;
	q->end = &b->next;
	q->n += n;
	q->ever += n;
	return 0;
}

void h2_piece_free(struct h2_piece *p)
{
	if (p != NULL && p->heap)
		mem_free(p);
}

void h2_queue_drop(struct h2_queue *q)
{
	struct h2_piece *p;

	while ((p = q->first) != NULL) {
		q->first = p->next;
		h2_piece_free(p);
	}
	q->end = &q->first;
	q->n = 0;
}

/* Nothing to do until the client sends more. */
static void idle(struct h2 *h)
{
	if (!h->draining && !h->headers_timed)
		connection_read_by(h->c, h->c->sl->server->o.keep_alive_ms);
}

void h2_call_end(struct h2_call *m)
{
	struct connection *c = m->k.connection;
	struct h2 *h = c->as.h2;
	size_t unread = m->in.n;

	if (!m->closed || !m->handled)
		return;
	*m->link = m->next;
	if (m->next != NULL)
		m->next->link = m->link;
	h->ncalls--;
	if (h->heading == m)
		h->heading = NULL;
	h2_piece_free(m->lent);
	h2_queue_drop(&m->in);
	h2_queue_drop(&m->out);
	arena_unref(m->k.x.arena);
	if (h->session != NULL) {
		if (unread > 0)
			nghttp2_session_consume_connection(h->session, unread);
		if (h->ncalls == 0)
			idle(h);
		connection_flush(c);
	}
	connection_unref(c);
}

/* Frames that carry nothing are paid for; who is out of tokens has to go. */
void h2_spend(struct h2 *h, int tokens)
{
	uint64_t now = connection_now(h->c), refill = (now - h->tokens_at) * H2_TOKENS_REFILL / 1000;

	if (refill > 0) {
		h->tokens_at = now;
		h->tokens = refill > H2_TOKENS ? H2_TOKENS : h->tokens + (int)refill;
	}
	h->tokens -= tokens;
	if (h->tokens > H2_TOKENS)
		h->tokens = H2_TOKENS;
	if (h->tokens < 0) {
		h->tokens = H2_TOKENS;
		nghttp2_session_terminate_session(h->session, NGHTTP2_ENHANCE_YOUR_CALM);
	}
}

/* GOAWAY in two steps: first a warning, so that requests under way are still taken, then the last stream's number. */

static void say_goodbye(struct h2 *h)
{
	if (h->said_goodbye)
		return;
	h->said_goodbye = 1;
	nghttp2_submit_goaway(h->session, NGHTTP2_FLAG_NONE, nghttp2_session_get_last_proc_stream_id(h->session),
			      NGHTTP2_NO_ERROR, NULL, 0);
	connection_flush(h->c);
}

static void drain(struct connection *c)
{
	struct h2 *h = c->as.h2;
	struct h2_call *m;

	if (h->draining || h->session == NULL)
		return;
	h->draining = 1;
	for (m = h->calls; m != NULL; m = m->next)
		if (m->sent_all)
			nghttp2_submit_rst_stream(h->session, NGHTTP2_FLAG_NONE, m->id, NGHTTP2_NO_ERROR);
	nghttp2_submit_shutdown_notice(h->session);
	nghttp2_submit_ping(h->session, NGHTTP2_FLAG_NONE, (const uint8_t *)GOODBYE_PING);
	connection_read_by(c, GOODBYE_WAIT);
	connection_flush(c);
}

void h2_ping_answered(struct h2 *h, const uint8_t *opaque)
{
	if (h->draining && memcmp(opaque, GOODBYE_PING, 8) == 0)
		say_goodbye(h);
}

static void timeout(struct connection *c)
{
	struct h2 *h = c->as.h2;

	if (h->headers_timed)
		connection_cut(c);
	else if (h->draining)
		say_goodbye(h);
	else if (h->ncalls == 0)
		drain(c);
}

/* Receiving and sending. */

static void broken(struct h2 *h, int error)
{
	int calm = error == NGHTTP2_ERR_FLOODED || error == NGHTTP2_ERR_TOO_MANY_SETTINGS;

	nghttp2_session_terminate_session(h->session, calm ? NGHTTP2_ENHANCE_YOUR_CALM : NGHTTP2_PROTOCOL_ERROR);
	h->said_goodbye = 2;
}

/* A header block that is begun has to be complete in time. */
static void watch_headers(struct h2 *h)
{
	if (h->frames.headers_open && !h->headers_timed) {
		h->headers_timed = 1;
		connection_read_by(h->c, h->c->sl->server->o.header_timeout_ms);
	} else if (!h->frames.headers_open && h->headers_timed) {
		h->headers_timed = 0;
		h->c->read_deadline = 0;
	}
}

static void input(struct connection *c)
{
	struct h2 *h = c->as.h2;
	struct str data = connection_peek(c);
	ssize_t used = 0;
	size_t n;

	while (data.n > 0 && used >= 0 && h->session != NULL) {
		if (h2_frames_next(h, data, &n) < 0)
			break;
		used = nghttp2_session_mem_recv(h->session, (const uint8_t *)data.p, n);
		data = str_from(data, n);
		h2_start_calls(h, 1); /* now, while the processor still has their bytes at hand */
	}
	if (h->session == NULL) { /* a call has cut it: those that did not start end */
		h2_start_calls(h, 0);
		return;
	}
	connection_drop(c, connection_peek(c).n);
	if (used < 0)
		broken(h, (int)used);
	h2_start_calls(h, 0);
	watch_headers(h);
	connection_flush(c);
}

static void fill(struct connection *c)
{
	struct h2 *h = c->as.h2;
	const uint8_t *p;
	ssize_t n = 0;

	if (c->finishing)
		return;
	while (c->out.n < WRITE_HIGH && (n = nghttp2_session_mem_send(h->session, &p)) > 0)
		output_add(&c->out, (const char *)p, (size_t)n);
	if (n < 0)
		c->out.failed = 1;
	else if (c->out.n < WRITE_HIGH && (h->said_goodbye == 2 || !nghttp2_session_want_read(h->session)) &&
		 !nghttp2_session_want_write(h->session))
		connection_finish(c);
}

static void written(struct connection *c)
{
	(void)c; /* the streams' writers are woken as their pieces leave */
}

/* The client's end. What it still has to get is sent, but nobody waits for more requests. */
static void eof(struct connection *c)
{
	connection_cut(c);
}

/* When a stream that does not move is reset; 0: never. */
static uint64_t due(const struct h2_call *m, uint32_t *ret_code)
{
	int limit = m->k.connection->sl->server->o.stall_timeout_ms;

	*ret_code = NGHTTP2_CANCEL;
	if (m->closed || limit == 0)
		return 0;
	if (m->body.n > 0 || m->out.n > 0) /* the client's window is closed */
		return m->moved + (uint64_t)limit;
	*ret_code = NGHTTP2_NO_ERROR;
	return m->sent_all && !m->in_done ? m->moved + H2_END_WAIT : 0;
}

static void stalled(struct connection *c)
{
	struct h2 *h = c->as.h2;
	uint64_t now = connection_now(c), at;
	struct h2_call *m;
	uint32_t code;

	for (m = h->calls; m != NULL; m = m->next) {
		at = due(m, &code);
		if (at != 0 && at <= now)
			nghttp2_submit_rst_stream(h->session, NGHTTP2_FLAG_NONE, m->id, code);
		else if (at != 0)
			connection_write_by(c, (int)(at - now));
	}
	connection_flush(c);
}

static void cut(struct connection *c)
{
	struct h2 *h = c->as.h2;
	struct h2_call *m, *next;

	nghttp2_session_del(h->session);
	h->session = NULL;
	for (m = h->calls; m != NULL; m = next) {
		next = m->next;
		m->closed = 1;
		if (!m->started)
			m->handled = 1; /* nobody will */
		if (!m->handled) {
			m->k.cut = 1;
			if (!m->sent_all && !m->k.gone)
				call_gone(&m->k);
			call_wake(&m->k);
		}
		h2_call_end(m);
	}
}

static void release(struct connection *c)
{
	mem_free(c->as.h2);
}

const struct protocol h2_protocol = {
	.input = input,
	.eof = eof,
	.fill = fill,
	.written = written,
	.timeout = timeout,
	.stalled = stalled,
	.drain = drain,
	.cut = cut,
	.release = release,
};

/* The handler has returned: x->backend->done. */
static void end_call(struct http_exchange *x)
{
	struct h2_call *m = h2_call_of(x);

	m->handled = 1;
	h2_call_end(m);
}

const struct http_backend h2_backend = {
	.read = h2_read,
	.here = h2_read_here,
	.reply = h2_reply,
	.begin = h2_begin,
	.write = h2_write,
	.end = h2_end,
	.abort = h2_abort,
	.done = end_call,
};

static int session_new(struct h2 *h)
{
	const struct http_server_options *o = &h->c->sl->server->o;
	nghttp2_session_callbacks *cb = NULL;
	nghttp2_option *option = NULL;
	int failed = -1;

	if (nghttp2_session_callbacks_new(&cb) != 0 || nghttp2_option_new(&option) != 0)
		goto end;
	h2_set_receive(cb);
	h2_set_send(cb);
	nghttp2_option_set_no_auto_window_update(option, 1);
	nghttp2_option_set_no_closed_streams(option, 1);
	nghttp2_option_set_max_continuations(option, 8 + o->header_limit / 16384);
	nghttp2_option_set_stream_reset_rate_limit(option, H2_TOKENS, H2_TOKENS_REFILL);
	failed = nghttp2_session_server_new3(&h->session, cb, h, option, &h2_memory);
end:
	nghttp2_session_callbacks_del(cb);
	nghttp2_option_del(option);
	return failed;
}

int h2_open(struct connection *c)
{
	const struct http_server_options *o = &c->sl->server->o;
	nghttp2_settings_entry settings[] = {
		{ NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, (uint32_t)o->stream_limit },
		{ NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, (uint32_t)o->window },
		{ NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, (uint32_t)o->header_limit },
	};
	size_t window = 16 * o->window;
	struct h2 *h = mem_zalloc(sizeof(*h));

	if (h == NULL)
		return -1;
	h->c = c;
	h->starting_end = &h->starting;
	h2_frames_init(&h->frames);
	h->tokens = H2_TOKENS;
	h->tokens_at = connection_now(c);
	if (session_new(h) != 0) {
		mem_free(h);
		return -1;
	}
	c->as.h2 = h;
	c->protocol = &h2_protocol;
	c->read_deadline = 0;
	nghttp2_submit_settings(h->session, NGHTTP2_FLAG_NONE, settings, 3);
	/* A handler that does not read holds back its own stream, not sixteen others. */
	nghttp2_session_set_local_window_size(h->session, NGHTTP2_FLAG_NONE, 0,
					      (int32_t)(window < 0x7fffffff ? window : 0x7fffffff));
	idle(h);
	if (server_draining(c->sl->server))
		drain(c);
	return 0;
}
