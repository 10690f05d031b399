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
	struct arena *held; /* of the client's first message, while it is not known whether there are more */
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
static const char *const trace_ids[] = { "traceparent", "grpc-trace-bin", NULL };

static void add_metadata(struct proxying *v, struct grpc_request *q)
{
	const struct http_exchange *x = v->c->x;
	struct http_field *fields = arena_alloc(v->c->arena, (x->nfields + v->p->nadd + 4) * sizeof(*fields));
	int traced = trace_valid(&v->p->trace);
	/* grpc-trace-bin, which comes first, has no state: that goes on as the field it is. */
	const char *const *names = v->p->trace.state.n > 0 ? trace_names : trace_ids;
	size_t i, n = 0;

	for (i = 0; i < x->nfields; i++)
		if (!is_in(x->fields[i].name, hop) && !is_in(x->fields[i].name, v->p->leave_out) &&
		    !(traced && is_in(x->fields[i].name, names)))
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
	if (!v->headed && h->ntrailers == 0)
		copy(v->c, h->fields, h->nfields, grpc_trailer);
	else
		copy_head(v);
	copy(v->c, h->trailers, h->ntrailers, grpc_trailer);
	return got < 0 ? e : ERROR_NONE;
}

static void cancel(void *arg)
{
	struct proxying *v = arg;

	if (v->p->scope != NULL)
		scope_cancel(v->p->scope);
	if (v->s != NULL)
		grpc_stream_cancel(v->s);
}

static int64_t deadline_of(const struct proxying *v)
{
	return v->p->deadline_ns ? v->p->deadline_ns : v->c->deadline_ns;
}

static void unref_arena(void *a)
{
	arena_unref(a);
}

static void keep_message(struct proxying *v)
{
	if (v->held == NULL)
		return;
	arena_defer(v->c->arena, unref_arena, v->held);
	v->p->kept = v->held;
	v->held = NULL;
}

/*
 * A request that is all here and one message leaves with its head, no fiber has to pass it on, and it can be sent again. Else
 * what was looked at is sent, and the rest is the pump's. 1: all was sent; 0: not yet.
 */
static int start_with_what_is_here(struct proxying *v, const struct grpc_request *q, struct error *ret_error)
{
	struct mesh_proxy *p = v->p;
	struct str more;
	int got, rest = 0;

	*ret_error = ERROR_NONE;
	if (p->kept == NULL && !http_read_here(v->c->x)) {
		*ret_error = grpc_stream_start(v->s, q);
		return 0;
	}
	if (p->kept == NULL) {
		got = grpc_recv_bytes(v->c, &p->message, ret_error);
		if (got <= 0) {
			if (got == 0)
				*ret_error = grpc_stream_start(v->s, q);
			return 0;
		}
		p->took = 1;
		v->held = arena_ref(v->c->message_arena);
		rest = grpc_recv_bytes(v->c, &more, ret_error);
	}
	if (rest == 0) {
		keep_message(v);
		*ret_error = grpc_stream_start_whole(v->s, q, p->message);
		return 1;
	}
	if (rest > 0)
		*ret_error = grpc_stream_start(v->s, q);
	if (!error_is(ret_error) && grpc_stream_send_bytes(v->s, p->message) == 0)
		grpc_stream_send_bytes(v->s, more);
	return 0;
}

static struct error run(void *arg)
{
	struct proxying *v = arg;
	struct grpc_request q = { .path = v->c->path, .deadline_ns = deadline_of(v) };
	struct error e;
	int all;

	add_metadata(v, &q);
	v->s = grpc_stream_new(v->p->to, v->c->arena);
	if (v->s == NULL)
		return (struct error){ .code = ERROR_RESOURCE_EXHAUSTED, .message = STR("out of memory") };
	all = start_with_what_is_here(v, &q, &e);
	if (error_is(&e))
		return e;
	grpc_on_cancel(v->c, cancel, v);
	if (all)
		return receive(v);
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
	p->left = v->s != NULL && http_call_left(grpc_stream_http(v->s));
	if (v->pumping) { /* it has answered before it was sent all */
		if (v->s != NULL)
			grpc_stream_cancel(v->s);
		grpc_finish(c, &v->outcome);
		v->closer = fiber_self();
		while (v->pumping)
			fiber_park();
	}
	grpc_stream_close(v->s);
	arena_unref(v->held);
	return v->outcome;
}

/* ---- Several tries ---- */

struct mesh_repeat {
	struct proxying v;
	struct mesh_proxy none;	    /* between two tries */
	size_t nheaders, ntrailers; /* that were there before */
	struct str message;	    /* kept; p == NULL: not come yet */
	int whole;		    /* nothing more comes */
	int busy;		    /* the one who tries is sending it */
	int too_many, sending;	    /* of who listens */
	struct arena *arena;
};

static struct error too_many(void)
{
	return (struct error){ .code = ERROR_FAILED_PRECONDITION,
			       .message = STR("cannot use resiliency policies with retries on streaming RPCs") };
}

/* The message outlives what it was received in. -1: no memory for it. */
static int keep(struct mesh_repeat *r, struct str message)
{
	struct arena *a = arena_new();
	char *p = a != NULL ? arena_try(a, message.n + 1) : NULL;

	if (p == NULL || arena_try_defer(r->arena, unref_arena, a) < 0) {
		arena_unref(a);
		return -1;
	}
	memcpy(p, message.p, message.n);
	r->message = (struct str){ p, message.n };
	return 0;
}

/* Listens to the client through all tries, on a fiber of its own. */
static void listen_to_client(void *arg)
{
	struct mesh_repeat *r = arg;
	struct error e = ERROR_NONE;
	struct str message;
	int got;

	while ((got = grpc_recv_bytes(r->v.c, &message, &e)) > 0) {
		if (r->message.p != NULL || keep(r, message) < 0) {
			r->too_many = 1;
			if (r->v.s != NULL)
				grpc_stream_cancel(r->v.s);
			break;
		}
		if (r->v.s == NULL || r->busy)
			continue;
		r->sending = 1;
		grpc_stream_send_bytes(r->v.s, r->message);
		r->sending = 0;
		if (r->v.closer != NULL)
			fiber_wake(r->v.closer);
	}
	if (got == 0) {
		r->whole = 1;
		if (r->v.s != NULL && !r->busy)
			grpc_stream_end(r->v.s);
	} else if (got < 0 && r->v.s != NULL) {
		grpc_stream_cancel(r->v.s);
	}
	r->v.pumping = 0;
	if (r->v.closer != NULL)
		fiber_wake(r->v.closer);
}

struct mesh_repeat *mesh_repeat_new(struct grpc_call *c)
{
	struct mesh_repeat *r = arena_zalloc(c->arena, sizeof(*r));

	r->arena = c->arena;
	r->v.c = c;
	r->v.p = &r->none;
	r->nheaders = c->nheaders;
	r->ntrailers = c->ntrailers;
	return r;
}

static struct error try_once(void *arg)
{
	struct mesh_repeat *r = arg;
	struct proxying *v = &r->v;
	struct grpc_request q = { .path = v->c->path, .deadline_ns = deadline_of(v) };
	struct grpc_stream *s = grpc_stream_new(v->p->to, v->c->arena);
	struct error e;

	if (s == NULL)
		return (struct error){ .code = ERROR_RESOURCE_EXHAUSTED, .message = STR("out of memory") };
	add_metadata(v, &q);
	v->s = s;
	r->busy = 1;
	e = grpc_stream_start(s, &q);
	if (error_is(&e))
		return e;
	if (!v->pumping && !r->whole && !r->too_many) {
		v->pumping = 1;
		if (fiber_start(fiber_loop(fiber_self()), listen_to_client, r) < 0) {
			v->pumping = 0;
			return (struct error){ .code = ERROR_RESOURCE_EXHAUSTED,
					       .message = STR("too many calls are under way") };
		}
	}
	if (r->message.p != NULL)
		grpc_stream_send_bytes(s, r->message);
	r->busy = 0;
	if (r->whole)
		grpc_stream_end(s);
	e = receive(v);
	return r->too_many ? too_many() : e;
}

struct error mesh_repeat_try(struct mesh_repeat *r, struct mesh_proxy *p)
{
	struct grpc_call *c = r->v.c;
	struct error e;

	c->nheaders = r->nheaders; /* what an earlier try has said is forgotten */
	c->ntrailers = r->ntrailers;
	r->v.p = p;
	r->v.headed = 0;
	grpc_on_cancel(c, cancel, &r->v);
	e = mesh_guard(c->arena, try_once, r);
	if (r->sending) { /* it has answered before it was sent all */
		grpc_stream_cancel(r->v.s);
		r->v.closer = fiber_self();
		while (r->sending)
			fiber_park();
		r->v.closer = NULL;
	}
	grpc_stream_close(r->v.s);
	r->v.s = NULL;
	r->busy = 0;
	return e;
}

int mesh_repeat_over(const struct mesh_repeat *r)
{
	return r->too_many || r->v.c->began || grpc_over(r->v.c) != ERROR_OK;
}

void mesh_repeat_end(struct mesh_repeat *r, const struct error *outcome)
{
	grpc_on_cancel(r->v.c, NULL, NULL);
	if (!r->v.pumping)
		return;
	grpc_finish(r->v.c, outcome);
	r->v.closer = fiber_self();
	while (r->v.pumping)
		fiber_park();
}
