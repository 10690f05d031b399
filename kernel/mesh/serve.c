/* SPDX-License-Identifier: Apache-2.0 */
#include "mesh/serve.h"

#include <inttypes.h>

#include "base/banned.h"
#include "telemetry/metrics.h"

typedef Dapr__Proto__Internals__V1__InternalInvokeRequestStream request_part;
typedef Dapr__Proto__Internals__V1__InternalInvokeResponseStream response_part;

struct serving {
	struct mesh_server *s;
	struct grpc_call *c;
	struct mesh_call *call;
	struct mesh_request q;
	struct trace_span *span;
	struct str source; /* the caller's app id */
	int status;
	mesh_request_wire *wire;
	const ProtobufCMessage *reply; /* of CallLocal */

	/* The body that comes in parts. */
	struct arena *first; /* of the part that came with the request */
	struct str ready;
	uint64_t expect, seq;
	int over;
	struct error outcome; /* what the caller is told if it still sends when all is said */
};

static struct error internal(struct arena *a, const char *what, struct str why)
{
	return error_new(a, ERROR_INTERNAL, NULL, "%s: " STR_FMT, what, STR_ARG(why));
}

/* ---- The body ---- */

static int take_payload(struct serving *v, const Dapr__Proto__Common__V1__StreamPayload *p, struct str *ret_piece,
			struct error *ret_error)
{
	*ret_piece = STR("");
	if (p == NULL)
		return 0;
	if (p->seq != v->expect++) {
		*ret_error = (struct error){ .code = ERROR_UNKNOWN,
					     .message = STR("invalid sequence number received") };
		return -1;
	}
	*ret_piece = (struct str){ (const char *)p->data.data, p->data.len };
	return 0;
}

static int read_part(void *serving, struct str *ret_piece, struct error *ret_error)
{
	struct serving *v = serving;
	request_part *part;
	void *message;
	int got;

	if (v->ready.n > 0) {
		*ret_piece = v->ready;
		v->ready = STR_NONE;
		return 1;
	}
	while (!v->over) {
		got = grpc_recv(v->c, &dapr__proto__internals__v1__internal_invoke_request_stream__descriptor, &message,
				ret_error);
		if (got < 0)
			return -1;
		v->over = got == 0;
		part = message;
		if (v->over)
			break;
		if (part->request != NULL) {
			*ret_error = (struct error){ .code = ERROR_UNKNOWN,
						     .message = STR("request metadata found in non-leading chunk") };
			return -1;
		}
		if (take_payload(v, part->payload, ret_piece, ret_error) < 0)
			return -1;
		if (ret_piece->n > 0)
			return 1;
	}
	return 0;
}

/* The caller still sends, and nobody wants it any more. */
static void stop_parts(void *serving)
{
	struct serving *v = serving;

	grpc_finish(v->c, &v->outcome);
}

/* What is short and all there need not be passed on as a stream, and one without any body must not look like one. */
static struct error settle_body(struct serving *v)
{
	struct str said = mesh_metadata(v->q.fields, v->q.nfields, "content-length"), next;
	struct error e = ERROR_NONE;
	int64_t length;
	int got;

	v->q.body = (struct mesh_body){
		.read = read_part, .stop = stop_parts, .ctx = v, .length = -1, .whole = STR("")
	};
	if (said.n > 0 && str_int(said, &length) == 0 && length >= 0)
		v->q.body.length = length;
	if (v->ready.n > 0 && v->q.body.length != (int64_t)v->ready.n)
		return e;
	if (v->ready.n == 0 && v->q.body.length > 0)
		return e;
	next = v->ready;
	v->ready = STR_NONE;
	got = read_part(v, &v->ready, &e);
	if (got < 0)
		return e;
	if (got == 0) {
		v->q.body = (struct mesh_body){ .whole = next, .length = (int64_t)next.n };
		return ERROR_NONE;
	}
	if (next.n > 0)
		return (struct error){ .code = ERROR_INVALID_ARGUMENT,
				       .message = STR("more body than its length says") };
	return ERROR_NONE;
}

/* ---- The call ---- */

static void cancel(void *serving)
{
	mesh_call_cancel(((struct serving *)serving)->call);
}

static void start_span(struct serving *v)
{
	struct grpc_call *c = v->c;
	struct trace_context parent;

	if (v->s->tracer->mode == TRACE_OFF)
		return;
	parent = trace_from_request(c->arena, grpc_metadata_bin(c, STR("grpc-trace-bin")),
				    grpc_metadata(c, STR("traceparent")), grpc_metadata(c, STR("tracestate")));
	v->span = trace_start(v->s->tracer, c->arena, &parent, STR(""), TRACE_SERVER);
	if (v->span == NULL)
		return;
	v->q.trace = v->span->context;
	if (!trace_records(v->span))
		return;
	trace_rename(v->span, arena_printf(c->arena, "CallLocal/" STR_FMT "/" STR_FMT, STR_ARG(v->s->app_id),
					   STR_ARG(v->q.method)));
	trace_attribute(v->span, "dapr.protocol", STR("grpc"));
	trace_attribute(v->span, "dapr.api", c->path);
	trace_attribute(v->span, "dapr.invoke_method", v->q.method);
	trace_attribute(v->span, "rpc.service", STR("ServiceInvocation"));
}

static void count_request(struct serving *v)
{
	v->source = mesh_metadata(v->q.fields, v->q.nfields, "dapr-caller-app-id");
	if (v->source.n == 0)
		v->source = STR("unknown");
	metrics_invoke_received(v->s->metrics, v->source);
}

static struct error begin(struct serving *v, const mesh_request_wire *w)
{
	struct arena *a = v->c->arena;
	struct str why;

	if (mesh_unpack_request(a, w, &v->q) < 0)
		return error_new(a, ERROR_INVALID_ARGUMENT, NULL,
				 "parsing InternalInvokeRequest error: field Message is nil");
	if (mesh_normalize(a, v->q.method, &v->q.method, &why) < 0)
		return error_new(a, ERROR_INVALID_ARGUMENT, NULL, "invalid method: " STR_FMT, STR_ARG(why));
	v->q.deadline_ns = v->c->deadline_ns;
	start_span(v);
	count_request(v);
	return ERROR_NONE;
}

static struct error call_app(struct serving *v)
{
	struct app *app = atomic_load_explicit(&v->s->app, memory_order_acquire);
	struct error e;

	v->call = mesh_call_new(v->c->arena);
	grpc_on_cancel(v->c, cancel, v);
	e = mesh_call_app(v->call, app, &v->q);
	if (error_is(&e)) {
		v->status = ERROR_INTERNAL;
		return internal(v->c->arena, "error invoking app channel", e.message);
	}
	v->status = mesh_call_response(v->call)->status;
	return ERROR_NONE;
}

static int send_part(struct serving *v, mesh_response_wire *response, struct str piece)
{
	response_part part = DAPR__PROTO__INTERNALS__V1__INTERNAL_INVOKE_RESPONSE_STREAM__INIT;
	Dapr__Proto__Common__V1__StreamPayload payload = DAPR__PROTO__COMMON__V1__STREAM_PAYLOAD__INIT;

	part.response = response;
	if (piece.n > 0) {
		payload.data = (ProtobufCBinaryData){ piece.n, (uint8_t *)piece.p };
		payload.seq = v->seq++;
		part.payload = &payload;
	}
	return grpc_send(v->c, &part.base);
}

static struct error gone(void)
{
	return (struct error){ .code = ERROR_CANCELLED, .message = STR("context canceled") };
}

static struct error send_answer(struct serving *v)
{
	struct error e = ERROR_NONE;
	struct str piece, part;
	int got;

	if (send_part(v, mesh_pack_response(v->c->arena, mesh_call_response(v->call)), STR("")) < 0)
		return gone();
	while ((got = mesh_call_read(v->call, &piece, &e)) > 0)
		for (; piece.n > 0; piece = str_from(piece, part.n)) {
			part = str_upto(piece, MESH_PIECE);
			if (send_part(v, NULL, part) < 0)
				return gone();
		}
	if (got < 0)
		return error_new(v->c->arena, ERROR_UNKNOWN, NULL, STR_FMT, STR_ARG(e.message));
	return ERROR_NONE;
}

/* Who asked for a stream of events gets nothing else, as in Dapr. */
static struct error check_events(const struct serving *v)
{
	struct str accept = str_trim(mesh_metadata(v->q.fields, v->q.nfields, "accept"));

	if (!str_ieq(accept, STR("text/event-stream")) || (v->status >= 200 && v->status < 300) || v->status < 100)
		return ERROR_NONE;
	return (struct error){ .code = ERROR_INTERNAL,
			       .message = STR("error invoking app channel: no response received from stream") };
}

static struct error no_app(const struct mesh_server *s)
{
	struct app *app = atomic_load_explicit(&((struct mesh_server *)s)->app, memory_order_acquire);

	if (app != NULL && app_options(app)->port > 0)
		return ERROR_NONE;
	return (struct error){ .code = ERROR_INTERNAL, .message = STR("app channel is not initialized") };
}

static struct error stream(void *serving)
{
	struct serving *v = serving;
	struct grpc_call *c = v->c;
	struct error e = no_app(v->s);
	request_part *part;
	void *message;
	int got;

	if (error_is(&e))
		return e;
	got = grpc_recv(c, &dapr__proto__internals__v1__internal_invoke_request_stream__descriptor, &message, &e);
	if (got <= 0)
		return got < 0 ? e : (struct error){ .code = ERROR_UNKNOWN, .message = STR("EOF") };
	part = message;
	if (part->request == NULL || part->request->message == NULL || part->request->n_metadata == 0)
		return error_new(
			c->arena, ERROR_INVALID_ARGUMENT, NULL,
			"parsing InternalInvokeRequest error: request does not contain the required fields in the "
			"leading chunk");
	v->first = arena_ref(c->message_arena); /* the request lies in it */
	e = begin(v, part->request);
	if (!error_is(&e) && take_payload(v, part->payload, &v->ready, &e) == 0)
		e = settle_body(v);
	if (!error_is(&e))
		e = call_app(v);
	if (!error_is(&e))
		e = check_events(v);
	return error_is(&e) ? e : send_answer(v);
}

static struct error local(void *serving)
{
	struct serving *v = serving;
	struct error e = no_app(v->s);
	mesh_response_wire *w;
	struct str body;

	if (error_is(&e))
		return e;
	e = begin(v, v->wire);
	if (!error_is(&e))
		e = call_app(v);
	if (!error_is(&e))
		e = mesh_call_read_all(v->call, v->s->body_limit, &body);
	if (error_is(&e))
		return e;
	w = mesh_pack_response(v->c->arena, mesh_call_response(v->call));
	if (w->message->data == NULL) {
		w->message->data = arena_alloc(v->c->arena, sizeof(*w->message->data));
		google__protobuf__any__init(w->message->data);
	}
	w->message->data->value = (ProtobufCBinaryData){ body.n, (uint8_t *)body.p };
	v->reply = &w->base;
	return e;
}

static struct error run(struct serving *v, struct error (*fn)(void *serving))
{
	v->outcome = mesh_guard(v->c->arena, fn, v);
	if (v->source.n > 0)
		metrics_invoke_answered(v->s->metrics, v->source, v->status);
	if (v->span != NULL) {
		if (error_is(&v->outcome))
			trace_status_error(v->span, v->outcome.message);
		trace_end(v->span);
	}
	grpc_on_cancel(v->c, NULL, NULL);
	mesh_call_close(v->call);
	arena_unref(v->first);
	return v->outcome;
}

struct error mesh_serve_local(struct mesh_server *s, struct grpc_call *c, const void *request,
			      const ProtobufCMessage **ret_reply)
{
	struct serving *v = arena_zalloc(c->arena, sizeof(*v));
	struct error e;

	v->s = s;
	v->c = c;
	v->wire = (mesh_request_wire *)request;
	e = run(v, local);
	*ret_reply = v->reply;
	return e;
}

struct error mesh_serve_stream(struct mesh_server *s, struct grpc_call *c)
{
	struct serving *v = arena_zalloc(c->arena, sizeof(*v));

	v->s = s;
	v->c = c;
	return run(v, stream);
}
