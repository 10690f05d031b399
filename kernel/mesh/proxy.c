/* SPDX-License-Identifier: Apache-2.0 */
#include "mesh/proxy.h"

#include "base/banned.h"
#include "loop/fiber.h"
#include "mesh/call.h"

struct proxying {
	struct grpc_call *c;
	struct mesh_proxy *p;
	struct grpc_stream *s;
	int pumping, ended, headed;
	struct fiber *closer;
	struct error outcome;
};

static int is_in(struct str name, const char *const *list)
{
	for (; list != NULL && *list != NULL; list++)
		if (str_is(name, *list))
			return 1;
	return 0;
}

/* What each hop of gRPC makes itself. */
static const char *const hop[] = { "content-type",	   "te",	  "grpc-timeout", "grpc-encoding",
				   "grpc-accept-encoding", "grpc-status", "grpc-message", "user-agent",
				   "content-length",	   "date",	  "host",	  NULL };
static const char *const trace_names[] = { "traceparent", "tracestate", "grpc-trace-bin", NULL };

static void add_metadata(struct proxying *v, struct grpc_request *q)
{
	const struct http_exchange *x = v->c->x;
	struct http_field *fields = arena_alloc(v->c->arena, (x->nfields + v->p->nadd + 4) * sizeof(*fields));
	int traced = trace_valid(&v->p->trace);
	size_t i, n = 0;

	for (i = 0; i < x->nfields; i++)
		if (!is_in(x->fields[i].name, hop) && !is_in(x->fields[i].name, v->p->leave_out) &&
		    !(traced && is_in(x->fields[i].name, trace_names)))
			fields[n++] = x->fields[i];
	for (i = 0; i < v->p->nadd; i++)
		fields[n++] = v->p->add[i];
	mesh_add_trace(v->c->arena, &v->p->trace, 1, fields, &n);
	q->metadata = fields;
	q->nmetadata = n;
}

/* To the callee, on a fiber of its own. */
static void pump(void *arg)
{
	struct proxying *v = arg;
	struct error e = ERROR_NONE;
	struct str message;
	int got;

	while ((got = grpc_recv_bytes(v->c, &message, &e)) > 0) {
		v->p->took = 1;
		if (grpc_stream_send_bytes(v->s, message) < 0)
			break;
	}
	if (got == 0)
		grpc_stream_end(v->s);
	else if (got < 0)
		grpc_stream_cancel(v->s);
	v->pumping = 0;
	if (v->closer != NULL)
		fiber_wake(v->closer);
}

static void copy(struct grpc_call *c, const struct http_field *fields, size_t n,
		 void (*put)(struct grpc_call *c, struct str name, struct str value))
{
	struct str value;
	size_t i;

	for (i = 0; i < n; i++) {
		if (is_in(fields[i].name, hop))
			continue;
		value = fields[i].value;
		if (str_ends(fields[i].name, STR("-bin")))
			value = grpc_bin(c->arena, value);
		if (value.p != NULL)
			put(c, fields[i].name, value);
	}
}

static void copy_head(struct proxying *v)
{
	const struct http_call *h = grpc_stream_http(v->s);

	if (!v->headed && !v->c->began)
		copy(v->c, h->fields, h->nfields, grpc_header);
	v->headed = 1;
}

static struct error receive(struct proxying *v)
{
	const struct http_call *h = grpc_stream_http(v->s);
	struct error e = ERROR_NONE;
	struct str message;
	int got;

	while ((got = grpc_stream_recv_bytes(v->s, &message, &e)) > 0) {
		copy_head(v);
		if (grpc_send_bytes(v->c, message) < 0)
			return (struct error){ .code = ERROR_CANCELLED, .message = STR("context canceled") };
	}
	/* A call that ended with its head has its trailers there. */
	if (!v->headed && h->ntrailers == 0 && got < 0)
		copy(v->c, h->fields, h->nfields, grpc_trailer);
	else
		copy_head(v);
	copy(v->c, h->trailers, h->ntrailers, grpc_trailer);
	return got < 0 ? e : ERROR_NONE;
}

static void cancel(void *arg)
{
	grpc_stream_cancel(((struct proxying *)arg)->s);
}

static struct error run(void *arg)
{
	struct proxying *v = arg;
	struct grpc_request q = { .path = v->c->path, .deadline_ns = v->c->deadline_ns };
	struct error e;

	add_metadata(v, &q);
	v->s = grpc_stream_new(v->p->to, v->c->arena);
	if (v->s == NULL)
		return (struct error){ .code = ERROR_RESOURCE_EXHAUSTED, .message = STR("out of memory") };
	e = grpc_stream_start(v->s, &q);
	if (error_is(&e))
		return e;
	grpc_on_cancel(v->c, cancel, v);
	v->pumping = 1;
	if (fiber_start(fiber_loop(fiber_self()), pump, v) < 0) {
		v->pumping = 0;
		return (struct error){ .code = ERROR_RESOURCE_EXHAUSTED,
				       .message = STR("too many calls are under way") };
	}
	return receive(v);
}

struct error mesh_proxy(struct grpc_call *c, struct mesh_proxy *p)
{
	struct proxying *v = arena_zalloc(c->arena, sizeof(*v));

	v->c = c;
	v->p = p;
	v->outcome = mesh_guard(c->arena, run, v);
	grpc_on_cancel(c, NULL, NULL);
	if (v->pumping) { /* it has answered before it was sent all */
		if (v->s != NULL)
			grpc_stream_cancel(v->s);
		grpc_finish(c, &v->outcome);
		v->closer = fiber_self();
		while (v->pumping)
			fiber_park();
	}
	grpc_stream_close(v->s);
	return v->outcome;
}
