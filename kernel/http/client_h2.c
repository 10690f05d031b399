/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP/2 without TLS, by prior knowledge: one connection that takes new streams, made when it is first needed, and older
 * ones that run out after a GOAWAY. Everything that is asked for in a turn of the loop leaves in one write.
 */
#include "http/client_h2.h"

#include "base/banned.h" /* behind nghttp2's own, which has members of such names */
#include "base/clock.h"
#include "base/mem.h"

#define WRITE_SIZE (64u * 1024)
#define KEPT (16u * 1024) /* a buffer that grew beyond is given back */
#define CONNECTION_WINDOW (16 << 20)
#define DIALS 3 /* connections that went again before they could be used */

static void on_timer(uv_timer_t *t);

static void sooner(uint64_t *due, uint64_t at)
{
	if (*due == 0 || at < *due)
		*due = at;
}

/* Called when there may be a reason to look earlier than planned; the timer finds out by itself what changed since. */
static void watch(struct client_h2 *h)
{
	const struct http_client_options *o = &h->client->o;
	uint64_t now = uv_now(loop_uv(h->client->loop)), due = 0;

	if (h->pinging)
		sooner(&due, h->ping_at + (uint64_t)o->ping_timeout_ms);
	else if (o->ping_ms > 0)
		sooner(&due, h->heard + (uint64_t)o->ping_ms);
	if (h->calls == NULL && o->idle_timeout_ms > 0)
		sooner(&due, h->idle_since + (uint64_t)o->idle_timeout_ms);
	if (due > 0)
		uv_timer_start(&h->timer, on_timer, due > now ? due - now : 1, 0);
}

static void on_timer(uv_timer_t *t)
{
	struct client_h2 *h = t->data;
	const struct http_client_options *o = &h->client->o;
	uint64_t now = uv_now(loop_uv(h->client->loop));

	if (h->pinging && now >= h->ping_at + (uint64_t)o->ping_timeout_ms) {
		client_h2_close(h, (struct error){
					   .code = ERROR_UNAVAILABLE,
					   .message = STR("keepalive ping failed to receive ACK within timeout") });
		return;
	}
	if (h->calls == NULL && o->idle_timeout_ms > 0 && now >= h->idle_since + (uint64_t)o->idle_timeout_ms) {
		nghttp2_session_terminate_session(h->session, NGHTTP2_NO_ERROR);
		client_h2_flush(h);
		return;
	}
	if (!h->pinging && o->ping_ms > 0 && now >= h->heard + (uint64_t)o->ping_ms) {
		h->pinging = 1;
		h->ping_at = now;
		nghttp2_submit_ping(h->session, NGHTTP2_FLAG_NONE, NULL);
		client_h2_flush(h);
	}
	watch(h);
}

void client_h2_part(struct client_call *k)
{
	struct client_h2 *h = k->on;

	nghttp2_session_set_stream_user_data(h->session, k->stream, NULL);
	*k->link = k->next;
	if (k->next != NULL)
		k->next->link = k->link;
	h->ncalls--;
	k->on = NULL;
	k->piece = STR_NONE;
	if (h->calls != NULL)
		return;
	h->idle_since = uv_now(loop_uv(h->client->loop));
	h->freed_ns = clock_ns();
	if (!h->closed && !uv_is_active((uv_handle_t *)&h->timer))
		watch(h);
	if (h->going)
		client_h2_flush(h); /* which closes it */
}

static void free_closed(uv_handle_t *t)
{
	mem_free(t->data);
}

void client_h2_close(struct client_h2 *h, struct error e)
{
	struct http_client *c = h->client;
	struct client_h2 **at = &c->connections;
	struct client_call *k;

	if (h->closed)
		return;
	h->closed = h->going = 1;
	while (*at != h)
		at = &(*at)->next;
	*at = h->next;
	c->nconnections--;
	while ((k = h->calls) != NULL) {
		k->refused = !k->wrote;
		client_call_fail(k, client_error(k->c.arena, e.code, STR_FMT, STR_ARG(e.message)));
		client_h2_part(k);
	}
	client_link_close(h->link);
	nghttp2_session_del(h->session);
	buf_free(&h->out);
	uv_close((uv_handle_t *)&h->timer, free_closed);
}

static void broken(struct client_h2 *h, int uv_code)
{
	const struct http_client *c = h->client;
	char text[300];

	if (uv_code == 0)
		snprintf(text, sizeof(text), "error reading from server: EOF");
	else
		snprintf(text, sizeof(text), "error reading from server: read %s %s: %s", client_network(c),
			 client_is_unix(c) ? c->host : c->authority, client_link_reason(h->link, uv_code));
	client_h2_close(h, (struct error){ .code = ERROR_UNAVAILABLE, .message = str_of(text) });
}

/* nghttp2 has nothing to say or hear any more, or the last call of a connection that takes no new ones has ended. */
static int over(struct client_h2 *h)
{
	if (nghttp2_session_want_read(h->session) || nghttp2_session_want_write(h->session))
		return h->going && h->calls == NULL && !nghttp2_session_want_write(h->session);
	return 1;
}

/* What nghttp2 has to send, up to WRITE_SIZE. -1: it or memory has failed. */
static int fill(struct client_h2 *h)
{
	const uint8_t *p;
	ssize_t n;

	h->out.n = 0;
	while (h->out.n < WRITE_SIZE && (n = nghttp2_session_mem_send(h->session, &p)) != 0) {
		if (n < 0)
			return -1;
		buf_add(&h->out, p, (size_t)n);
	}
	return h->out.failed ? -1 : 0;
}

static void run_flush(struct loop_task *t)
{
	struct client_h2 *h = (struct client_h2 *)((char *)t - offsetof(struct client_h2, flush));
	size_t sent;
	int rc = 0;

	h->flushing = 0;
	while (!h->closed && !h->link->writing) {
		if (fill(h) < 0) {
			client_h2_close(h, CLIENT_NO_MEMORY);
			return;
		}
		if (h->out.n == 0)
			break;
		rc = client_link_write(h->link, (uv_buf_t[]){ uv_buf_init(h->out.p, (unsigned)h->out.n) }, 1, &sent);
		if (rc < 0) {
			broken(h, rc);
			return;
		}
	}
	if (h->closed || h->link->writing)
		return;
	if (h->out.cap > KEPT)
		buf_free(&h->out);
	if (over(h))
		broken(h, 0);
}

void client_h2_flush(struct client_h2 *h)
{
	if (h->flushing || h->closed)
		return;
	h->flushing = 1;
	loop_defer(h->client->loop, &h->flush);
}

static void written(void *h2, int status)
{
	struct client_h2 *h = h2;

	if (status < 0)
		broken(h, status);
	else
		client_h2_flush(h);
}

static void came(void *h2, const char *p, ssize_t n)
{
	struct client_h2 *h = h2;
	ssize_t rc;

	if (n <= 0) {
		broken(h, (int)n);
		return;
	}
	h->heard = uv_now(loop_uv(h->client->loop));
	h->pinging = 0;
	rc = nghttp2_session_mem_recv(h->session, (const uint8_t *)p, (size_t)n);
	if (rc < 0) {
		char text[120];

		snprintf(text, sizeof(text), "http2: connection error: %s", nghttp2_strerror((int)rc));
		client_h2_close(h, rc == NGHTTP2_ERR_NOMEM
					   ? CLIENT_NO_MEMORY
					   : (struct error){ .code = ERROR_UNAVAILABLE, .message = str_of(text) });
		return;
	}
	client_h2_flush(h);
}

static int open_session(struct client_h2 *h)
{
	const struct http_client_options *o = &h->client->o;
	const nghttp2_settings_entry settings[] = {
		{ NGHTTP2_SETTINGS_ENABLE_PUSH, 0 },
		{ NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, (uint32_t)o->window },
		{ NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, (uint32_t)o->header_limit },
	};
	nghttp2_session_callbacks *callbacks = NULL;
	nghttp2_option *option = NULL;
	int rc = nghttp2_option_new(&option);

	if (rc == 0)
		rc = client_stream_callbacks(&callbacks);
	if (rc == 0) {
		nghttp2_option_set_no_auto_window_update(option, 1);
		nghttp2_option_set_no_closed_streams(option, 1);
		/* Until its settings say how many it takes; more than it takes would be refused. */
		nghttp2_option_set_peer_max_concurrent_streams(option, 1);
		rc = nghttp2_session_client_new3(&h->session, callbacks, h, option, &h2_memory);
	}
	nghttp2_session_callbacks_del(callbacks);
	nghttp2_option_del(option);
	if (rc != 0)
		return -1;
	rc = nghttp2_submit_settings(h->session, NGHTTP2_FLAG_NONE, settings, sizeof(settings) / sizeof(settings[0]));
	if (rc == 0)
		rc = nghttp2_session_set_local_window_size(h->session, NGHTTP2_FLAG_NONE, 0, CONNECTION_WINDOW);
	return rc == 0 ? 0 : -1;
}

struct client_h2 *client_h2_new(struct http_client *c, struct client_link *l)
{
	struct client_h2 *h = mem_zalloc(sizeof(*h));

	if (h == NULL) {
		client_link_close(l);
		return NULL;
	}
	h->client = c;
	if (open_session(h) < 0) {
		nghttp2_session_del(h->session);
		client_link_close(l);
		mem_free(h);
		return NULL;
	}
	h->link = l;
	l->owner = h;
	l->came = came;
	l->written = written;
	h->flush.run = run_flush;
	h->heard = h->idle_since = uv_now(loop_uv(c->loop));
	uv_timer_init(loop_uv(c->loop), &h->timer);
	uv_unref((uv_handle_t *)&h->timer);
	h->timer.data = h;
	h->next = c->connections;
	c->connections = h;
	c->nconnections++;
	client_link_read(l, 1);
	client_h2_flush(h);
	watch(h);
	return h;
}

/* The other side's own limit of streams is not this: what is beyond it waits its turn, as that side asked for. */
static int is_full(const struct client_h2 *h)
{
	return h->ncalls >= (size_t)h->client->o.crowd;
}

/* The newest that has room, else the one with the fewest calls: they wait in it for their turn. */
static struct client_h2 *usable(struct http_client *c)
{
	struct client_h2 *h, *next, *best = NULL;

	for (h = c->connections; h != NULL; h = next) {
		next = h->next;
		if (h->going || !nghttp2_session_check_request_allowed(h->session))
			continue;
		if (h->calls != NULL || clock_ns() - h->freed_ns < CLIENT_FRESH || client_link_gone(h->link) != 1) {
			if (!is_full(h))
				return h;
			if (best == NULL || h->ncalls < best->ncalls)
				best = h;
			continue;
		}
		broken(h, 0);
	}
	return best;
}

static int client_closed(void *arg)
{
	return ((const struct http_client *)arg)->closed;
}

/* In a fiber of its own, so that it goes on when the call that wanted the connection gives up. */
static void dial_main(void *arg)
{
	struct http_client *c = arg;
	struct arena *a = arena_new();
	struct client_link *l = NULL;
	struct client_waiter *w;
	struct error e = CLIENT_NO_MEMORY;

	c->dialer = fiber_self();
	if (a != NULL)
		l = client_dial(c, a, c->o.connect_timeout_ms, 0, client_closed, c, &e);
	if (l != NULL)
		e = c->closed ? CLIENT_CANCELLED : client_h2_new(c, l) != NULL ? ERROR_NONE : CLIENT_NO_MEMORY;
	if (l != NULL && c->closed)
		client_link_close(l);
	snprintf(c->dial_text, sizeof(c->dial_text), STR_FMT, STR_ARG(e.message));
	e.message = str_of(c->dial_text);
	c->dial_error = e;
	arena_unref(a);
	c->dialer = NULL;
	while ((w = c->dial_waiting) != NULL) {
		c->dial_waiting = w->next;
		w->may_dial = 1;
		fiber_wake(w->fiber);
	}
	client_unref(c);
}

/* 1: an attempt to connect has ended since; 0: the call has failed. */
static int wait_dial(struct client_call *k)
{
	struct http_client *c = k->client;
	struct client_waiter w = { .fiber = fiber_self(), .next = c->dial_waiting }, **at;

	if (c->dialer == NULL) {
		c->refs++;
		c->dialer = fiber_self(); /* until it runs */
		if (fiber_start(c->loop, dial_main, c) < 0) {
			c->dialer = NULL;
			client_unref(c);
			client_call_fail(k, (struct error){ .code = ERROR_RESOURCE_EXHAUSTED,
							    .message = STR("too many fibers") });
			return 0;
		}
	}
	c->dial_waiting = &w;
	while (!w.may_dial && !k->stopped)
		client_call_wait(k, &k->reader);
	if (w.may_dial)
		return !k->stopped;
	for (at = &c->dial_waiting; *at != &w; at = &(*at)->next)
		;
	*at = w.next;
	return 0;
}

static void start(struct client_call *k, int fresh)
{
	struct http_client *c = k->client;
	struct client_h2 *h;
	int dials = 0, rc;

	(void)fresh; /* a connection that refused is not usable, or may take the next stream */
	while ((h = usable(c)) == NULL || (is_full(h) && c->nconnections < c->o.growth)) {
		if (h != NULL && dials > 0 && error_is(&c->dial_error))
			break; /* there will be no other; it waits in this one */
		if (h == NULL && dials > 0 && (error_is(&c->dial_error) || dials == DIALS)) {
			struct error e = c->dial_error;

			client_call_fail(k, error_is(&e) ? client_error(k->c.arena, e.code, STR_FMT, STR_ARG(e.message))
							 : client_read_error(k, NULL, 0));
			return;
		}
		dials++;
		if (!wait_dial(k))
			return;
	}
	rc = client_stream_start(h, k);
	if (rc < 0) {
		h->going = 1;
		k->refused = rc == NGHTTP2_ERR_STREAM_ID_NOT_AVAILABLE;
		client_call_fail(k, rc == NGHTTP2_ERR_NOMEM ? CLIENT_NO_MEMORY
							    : client_error(k->c.arena, ERROR_UNAVAILABLE, "http2: %s",
									   nghttp2_strerror(rc)));
		return;
	}
	k->on = h;
	k->reused = h->served;
	h->served = 1;
	k->next = h->calls;
	k->link = &h->calls;
	if (k->next != NULL)
		k->next->link = &k->next;
	h->calls = k;
	h->ncalls++;
	client_h2_flush(h);
}

static void resume(struct client_call *k)
{
	struct client_h2 *h = k->on;

	nghttp2_session_resume_data(h->session, k->stream);
	client_h2_flush(h);
}

static void write_piece(struct client_call *k, struct str piece)
{
	if (k->on == NULL)
		return;
	k->piece = piece;
	resume(k);
	while (k->on != NULL && k->piece.n > 0 && !k->done)
		client_call_wait(k, &k->writer);
	k->piece = STR_NONE;
}

static void end(struct client_call *k, const struct http_field *trailers, size_t ntrailers)
{
	k->ended = 1;
	k->trailers = trailers;
	k->ntrailers = ntrailers;
	if (k->on != NULL)
		resume(k);
}

static void took(struct client_call *k, size_t n)
{
	struct client_h2 *h = k->on;

	nghttp2_session_consume_stream(h->session, k->stream, n);
	client_h2_flush(h);
}

static void cut(struct client_call *k)
{
	struct client_h2 *h = k->on;

	nghttp2_submit_rst_stream(h->session, NGHTTP2_FLAG_NONE, k->stream, NGHTTP2_CANCEL);
	client_h2_part(k);
	client_h2_flush(h);
}

static void close_all(struct http_client *c)
{
	while (c->connections != NULL)
		client_h2_close(c->connections, CLIENT_CANCELLED);
	if (c->dialer != NULL)
		fiber_wake(c->dialer);
}

const struct client_backend client_h2_backend = { start, write_piece, end, took, cut, close_all };
