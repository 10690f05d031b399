/* SPDX-License-Identifier: Apache-2.0 */
#include "base/banned.h"
#include "base/buf.h"
#include "loop/fiber.h"
#include "mesh/call_inside.h"
#include "plugin/http_origin.h"

struct error mesh_guard(struct arena *a, struct error (*fn)(void *arg), void *arg)
{
	jmp_buf here, *volatile outer = arena_on_oom(a, &here);
	struct error e;

	if (setjmp(here) == 0)
		e = fn(arg);
	else
		e = (struct error){ .code = ERROR_RESOURCE_EXHAUSTED, .message = STR("out of memory") };
	arena_on_oom(a, outer);
	return e;
}

struct mesh_call *mesh_call_new(struct arena *a)
{
	struct mesh_call *c = arena_zalloc(a, sizeof(*c));

	c->arena = a;
	return c;
}

const struct mesh_response *mesh_call_response(const struct mesh_call *c)
{
	return &c->response;
}

int mesh_call_took_body(const struct mesh_call *c)
{
	return c->took_body;
}

struct pump {
	struct mesh_call *c;
	mesh_sink *put;
	void (*end)(struct mesh_call *c);
};

static void pump(void *arg)
{
	struct pump *p = arg;
	struct mesh_call *c = p->c;
	const struct mesh_body *b = &c->q->body;
	struct error e = ERROR_NONE;
	struct str piece;
	int got = 1;

	while (!c->cancelled && (got = b->read(b->ctx, &piece, &e)) > 0) {
		c->took_body = 1;
		if (p->put(c, piece) < 0)
			break; /* the answer, or its lack, says why */
	}
	if (got == 0)
		p->end(c);
	if (got < 0 && !c->cancelled) { /* half a body must not look like a whole one */
		c->pump_error = e;
		mesh_call_cancel(c);
	}
	c->pumping = 0;
	if (c->closer != NULL)
		fiber_wake(c->closer);
}

struct error mesh_pump(struct mesh_call *c, mesh_sink *put, void (*end)(struct mesh_call *c))
{
	struct pump *p = arena_alloc(c->arena, sizeof(*p));

	*p = (struct pump){ c, put, end };
	c->pumping = 1;
	if (fiber_start(fiber_loop(fiber_self()), pump, p) == 0)
		return ERROR_NONE;
	c->pumping = 0;
	return (struct error){ .code = ERROR_RESOURCE_EXHAUSTED, .message = STR("too many calls are under way") };
}

void mesh_call_cancel(struct mesh_call *c)
{
	c->cancelled = 1;
	if (c->http != NULL)
		http_call_cancel(c->http);
	if (c->grpc != NULL)
		grpc_stream_cancel(c->grpc);
}

struct error mesh_call_app(struct mesh_call *c, struct app *p, const struct mesh_request *q)
{
	struct error e;

	c->q = q;
	c->app = p;
	if (c->cancelled)
		return (struct error){ .code = ERROR_CANCELLED, .message = STR("context canceled") };
	e = app_channel_is_http(app_options(p)->channel) ? mesh_app_http(c) : mesh_app_grpc(c);
	return error_is(&c->pump_error) ? c->pump_error : e;
}

/* As in Dapr, what an application's Content-Length promised and its closed connection did not bring is no failure. It is one
 * where the connection broke: then we do not know that it has ended. */
static int claims_more(const struct mesh_call *c, const struct error *e)
{
	return c->http != NULL && !c->cancelled && e->code == ERROR_UNAVAILABLE && c->http->content_length >= 0 &&
	       str_eq(e->message, STR("unexpected EOF"));
}

int mesh_call_read(struct mesh_call *c, struct str *ret_piece, struct error *ret_error)
{
	int got;

	if (c->ready.n > 0) {
		*ret_piece = c->ready;
		c->ready = STR_NONE;
		return 1;
	}
	if (c->peers != NULL)
		got = mesh_peer_read(c, ret_piece, ret_error);
	else
		got = c->http != NULL ? http_call_read(c->http, ret_piece, ret_error) : 0;
	if (got < 0 && error_is(&c->pump_error))
		*ret_error = c->pump_error;
	else if (got < 0 && claims_more(c, ret_error))
		got = 0;
	return got;
}

const struct http_field *mesh_call_trailers(struct mesh_call *c, size_t *ret_n)
{
	struct http_field *from;
	size_t n;

	*ret_n = 0;
	if (c->http == NULL || c->http->ntrailers == 0)
		return NULL;
	from = mesh_from_http(c->arena, c->http->trailers, c->http->ntrailers, 0, &n);
	return mesh_to_http(c->arena, from, n, 0, ret_n);
}

struct error mesh_call_read_all(struct mesh_call *c, size_t limit, struct str *ret_body)
{
	struct buf whole = buf_in(c->arena);
	struct error e = ERROR_NONE;
	struct str piece;
	int got;

	while ((got = mesh_call_read(c, &piece, &e)) > 0) {
		if (limit != 0 && piece.n > limit - whole.n)
			return (struct error){ .code = ERROR_RESOURCE_EXHAUSTED, .message = STR("stream too large") };
		buf_adds(&whole, piece);
	}
	if (got < 0)
		return e;
	*ret_body = buf_str(&whole);
	return ERROR_NONE;
}

void mesh_call_close(struct mesh_call *c)
{
	if (c == NULL || c->closed)
		return;
	c->closed = 1;
	if (c->pumping) {
		mesh_call_cancel(c);
		if (c->q->body.stop != NULL)
			c->q->body.stop(c->q->body.ctx);
		c->closer = fiber_self();
		while (c->pumping)
			fiber_park();
		c->closer = NULL;
	}
	http_call_close(c->http);
	grpc_stream_close(c->grpc);
	c->http = NULL;
	c->grpc = NULL;
	if (c->origin != NULL)
		http_origin_leave(c->origin);
	c->origin = NULL;
	if (c->entered)
		app_leave(c->app);
	c->entered = 0;
	if (c->peers != NULL)
		peers_give(c->peers, c->address);
	c->peers = NULL;
}
