/* SPDX-License-Identifier: Apache-2.0 */
/* A call to this sidecar's own application. */
#include <google/rpc/status.pb-c.h>

#include "base/banned.h"
#include "base/buf.h"
#include "base/clock.h"
#include "grpc/server.h"
#include "loop/fiber.h"
#include "mesh/call_inside.h"
#include "telemetry/metrics.h"

/* Dapr tells applications so that there is no trace; who reads it takes it for none (W3C Trace Context, 3.2.2.3). */
#define NO_TRACE "00-00000000000000000000000000000000-0000000000000000-00"
#define ON_INVOKE "/dapr.proto.runtime.v1.AppCallback/OnInvoke"

static struct error no_memory(void)
{
	return (struct error){ .code = ERROR_RESOURCE_EXHAUSTED, .message = STR("out of memory") };
}

/* ---- HTTP ---- */

static int put_http(struct mesh_call *c, struct str piece)
{
	struct error e = http_call_write(c->http, piece);

	return error_is(&e) ? -1 : 0;
}

static void end_http(struct mesh_call *c)
{
	http_call_end(c->http, c->q->body.trailers, c->q->body.ntrailers);
}

static struct str content_type_of(const struct mesh_request *q)
{
	return q->type_url.n > 0 ? STR("application/x-protobuf") : q->content_type;
}

static int is_number(struct str s, int64_t *ret)
{
	return s.n > 0 && str_int(s, ret) == 0 && *ret >= 0;
}

/* What the caller said of its length, where nothing is known better. */
static int64_t length_of(const struct mesh_request *q)
{
	struct str said = mesh_metadata(q->fields, q->nfields, "content-length");
	int64_t n;

	if (q->body.read == NULL)
		return (int64_t)q->body.whole.n;
	return q->body.length >= 0 ? q->body.length : is_number(said, &n) ? n : -1;
}

void mesh_http_fields(struct mesh_call *c, struct http_request *h)
{
	const struct mesh_request *q = c->q;
	struct http_field *fields, token;
	struct str type = content_type_of(q), parent = mesh_metadata(q->fields, q->nfields, "traceparent");
	struct str state = mesh_metadata(q->fields, q->nfields, "tracestate");
	size_t n, i, kept = 0;

	fields = mesh_to_http(c->arena, q->fields, q->nfields, 6, &n);
	if (c->app != NULL && app_token_field(c->app, &token)) {
		for (i = 0; i < n; i++)
			if (!str_is(fields[i].name, "dapr-api-token"))
				fields[kept++] = fields[i];
		n = kept;
		fields[n++] = token;
	}
	if (type.n > 0)
		fields[n++] = (struct http_field){ STR("content-type"), type };
	if (trace_valid(&q->trace)) {
		mesh_add_trace(c->arena, &q->trace, 0, fields, &n);
		if (q->trace.state.n == 0 && state.n > 0) /* between sidecars it only goes as a field */
			fields[n++] = (struct http_field){ STR("tracestate"), state };
	} else if (parent.n > 0) {
		fields[n++] = (struct http_field){ STR("traceparent"), parent };
		if (state.n > 0)
			fields[n++] = (struct http_field){ STR("tracestate"), state };
	} else {
		fields[n++] = (struct http_field){ STR("traceparent"), STR(NO_TRACE) };
	}
	h->fields = fields;
	h->nfields = n;
	h->body = q->body.whole;
	h->streamed = q->body.read != NULL;
	h->length = length_of(q);
}

struct error mesh_http_method(struct mesh_call *c, struct http_request *h)
{
	const char *verb = mesh_verb_name(c->q->verb);

	if (!c->q->has_http)
		return (struct error){ .code = ERROR_INVALID_ARGUMENT,
				       .message = STR("rpc error: code = InvalidArgument desc = missing HTTP extension "
						      "field") };
	if (verb == NULL || str_eq(str_of(verb), STR("CONNECT")))
		return (struct error){ .code = ERROR_INVALID_ARGUMENT,
				       .message = STR("rpc error: code = InvalidArgument desc = invalid HTTP verb") };
	h->method = str_of(verb);
	return ERROR_NONE;
}

struct error mesh_pump_http(struct mesh_call *c)
{
	return mesh_pump(c, put_http, end_http);
}

void mesh_take_http_head(struct mesh_call *c)
{
	struct mesh_response *r = &c->response;
	struct http_field *fields;
	size_t i, n, kept = 0;

	r->status = c->http->status;
	r->message = STR("");
	r->content_type = http_call_field(c->http, STR("content-type"));
	r->type_url = STR("");
	if (r->content_type.p == NULL)
		r->content_type = STR("");
	fields = mesh_from_http(c->arena, c->http->fields, c->http->nfields, 0, &n);
	for (i = 0; i < n; i++)
		if (!str_is(fields[i].name, "Content-Length")) /* what arrives says how long it is */
			fields[kept++] = fields[i];
	r->fields = fields;
	r->nfields = kept;
}

/* As Go's client says what it could not do. How a call ended that somebody else has ended says itself. */
static struct error told(struct mesh_call *c, const struct http_request *h, const struct http_client *client,
			 struct error e)
{
	int tls = app_options(c->app)->channel == APP_CHANNEL_HTTPS;

	if (e.code != ERROR_UNAVAILABLE && e.code != ERROR_INTERNAL && e.code != ERROR_UNKNOWN)
		return e;
	e.message = mesh_told(c->arena, h->method, tls ? "https" : "http",
			      arena_printf(c->arena, STR_FMT STR_FMT, STR_ARG(http_client_authority(client)),
					   STR_ARG(h->target)),
			      e.message);
	return e;
}

static struct error start_http(struct mesh_call *c, const struct http_request *h)
{
	struct http_client *client = app_http(c->app);
	struct error e = app_enter(c->app, c->q->deadline_ns);

	if (error_is(&e))
		return e;
	c->entered = 1;
	if (c->cancelled)
		return (struct error){ .code = ERROR_CANCELLED, .message = STR("context canceled") };
	c->http = client != NULL ? http_call_new(client, c->arena) : NULL;
	if (c->http == NULL)
		return no_memory();
	e = http_call_start(c->http, h);
	if (!error_is(&e) && h->streamed) {
		e = mesh_pump_http(c);
		if (error_is(&e))
			return e;
	}
	if (!error_is(&e))
		e = http_call_head(c->http);
	return error_is(&e) && !c->cancelled ? told(c, h, client, e) : e;
}

struct error mesh_app_http(struct mesh_call *c)
{
	struct metrics *m = app_options(c->app)->metrics;
	const struct mesh_request *q = c->q;
	struct http_request h = { .deadline_ns = q->deadline_ns };
	int64_t began = clock_ns();
	struct error e = mesh_http_method(c, &h);
	struct str why;

	if (error_is(&e))
		return e;
	if (mesh_target(c->arena, q->method, q->query, &h.target, &why) < 0)
		return error_new(c->arena, ERROR_UNKNOWN, NULL, "parse \"http://" STR_FMT ":%d/" STR_FMT "\": " STR_FMT,
				 STR_ARG(app_options(c->app)->address), app_options(c->app)->port, STR_ARG(q->method),
				 STR_ARG(why));
	mesh_http_fields(c, &h);
	metrics_http_client_started(m, h.method, q->method, (int64_t)q->body.whole.n);
	e = start_http(c, &h);
	metrics_http_client_done(m, h.method, q->method, error_is(&e) ? 500 : c->http->status,
				 error_is(&e) ? -1 : c->http->content_length, clock_ns() - began);
	if (!error_is(&e))
		mesh_take_http_head(c);
	return e;
}

/* ---- gRPC ---- */

static struct error read_body(struct mesh_call *c, struct str *ret_body)
{
	const struct mesh_body *b = &c->q->body;
	size_t limit = app_options(c->app)->body_limit;
	struct buf whole = buf_in(c->arena);
	struct error e = ERROR_NONE;
	struct str piece;
	int got;

	*ret_body = b->whole;
	if (b->read == NULL)
		return e;
	while ((got = b->read(b->ctx, &piece, &e)) > 0) {
		c->took_body = 1;
		if (limit != 0 && piece.n > limit - whole.n)
			return (struct error){ .code = ERROR_RESOURCE_EXHAUSTED, .message = STR("stream too large") };
		buf_adds(&whole, piece);
	}
	*ret_body = buf_str(&whole);
	return got < 0 ? e : ERROR_NONE;
}

static struct str pack_invoke(struct mesh_call *c, struct str body)
{
	Dapr__Proto__Common__V1__InvokeRequest m = DAPR__PROTO__COMMON__V1__INVOKE_REQUEST__INIT;
	Dapr__Proto__Common__V1__HTTPExtension http = DAPR__PROTO__COMMON__V1__HTTPEXTENSION__INIT;
	Google__Protobuf__Any any = GOOGLE__PROTOBUF__ANY__INIT;
	const struct mesh_request *q = c->q;
	struct str packed;

	m.method = (char *)arena_str(c->arena, q->method).p;
	m.content_type = (char *)arena_str(c->arena, content_type_of(q)).p;
	m.data = &any;
	any.type_url = (char *)arena_str(c->arena, q->type_url).p;
	any.value = (ProtobufCBinaryData){ body.n, (uint8_t *)body.p };
	if (q->has_http) {
		m.http_extension = &http;
		http.verb = (Dapr__Proto__Common__V1__HTTPExtension__Verb)q->verb;
		http.querystring = (char *)arena_str(c->arena, q->query).p;
	}
	packed.n = protobuf_c_message_get_packed_size(&m.base);
	packed.p = arena_alloc(c->arena, packed.n + 1);
	protobuf_c_message_pack(&m.base, (uint8_t *)packed.p);
	return packed;
}

static void add_metadata(struct mesh_call *c, struct grpc_request *g)
{
	const struct mesh_request *q = c->q;
	struct http_field *fields, token;
	size_t n, i, kept = 0;
	struct trace_context trace = q->trace;
	struct str state = mesh_metadata(q->fields, q->nfields, "tracestate");

	if (!trace_valid(&trace))
		trace = trace_from_request(c->arena, STR_NONE, mesh_metadata(q->fields, q->nfields, "traceparent"),
					   mesh_metadata(q->fields, q->nfields, "tracestate"));
	fields = mesh_to_grpc(c->arena, q->fields, q->nfields, 1, 4, &n);
	if (app_token_field(c->app, &token)) {
		for (i = 0; i < n; i++)
			if (!str_is(fields[i].name, "dapr-api-token"))
				fields[kept++] = fields[i];
		n = kept;
		fields[n++] = token;
	}
	if (trace.state.n == 0 && state.n > 0) /* as above */
		trace.state = state;
	mesh_add_trace(c->arena, &trace, 1, fields, &n);
	if (!trace_valid(&trace)) {
		fields[n++] = (struct http_field){ STR("traceparent"), STR(NO_TRACE) };
		fields[n++] = (struct http_field){ STR("grpc-trace-bin"), STR("") };
	}
	g->metadata = fields;
	g->nmetadata = n;
}

static const struct http_field *copy_fields(struct arena *a, const struct http_field *fields, size_t n, size_t *ret_n)
{
	struct http_field *list = arena_alloc(a, (n + 1) * sizeof(*list));
	size_t i, count = 0;

	for (i = 0; i < n; i++)
		if (!str_is(fields[i].name, "grpc-status") && !str_is(fields[i].name, "grpc-message") &&
		    !str_is(fields[i].name, "grpc-status-details-bin") && str_utf8(fields[i].value))
			list[count++] = fields[i];
	*ret_n = count;
	return list;
}

/* What explains a refusal; what is malformed explains nothing. */
static void take_details(struct mesh_call *c, const struct http_field *trailers, size_t n)
{
	struct str packed = grpc_bin(c->arena, mesh_metadata(trailers, n, "grpc-status-details-bin"));
	Google__Rpc__Status *status;
	struct error e = ERROR_NONE;

	if (packed.n == 0)
		return;
	status = grpc_unpack(c->arena, &google__rpc__status__descriptor, packed, &e);
	if (status == NULL)
		return;
	c->response.ndetails = status->n_details;
	c->response.details = status->details;
}

/* An application's refusal is an answer as well. One that is all in its head has its trailers there. */
static void take_grpc_status(struct mesh_call *c, const struct error *e)
{
	const struct http_call *h = grpc_stream_http(c->grpc);
	struct mesh_response *r = &c->response;
	int alone = error_is(e) && h->ntrailers == 0;

	memset(r, 0, sizeof(*r));
	r->status = e->code;
	r->message = error_is(e) ? arena_str(c->arena, e->message) : STR("");
	r->content_type = r->type_url = STR("");
	r->fields = copy_fields(c->arena, h->fields, alone ? 0 : h->nfields, &r->nfields);
	r->trailers = copy_fields(c->arena, alone ? h->fields : h->trailers, alone ? h->nfields : h->ntrailers,
				  &r->ntrailers);
	if (error_is(e))
		take_details(c, alone ? h->fields : h->trailers, alone ? h->nfields : h->ntrailers);
}

/* The one message, if there is one; the rest of the answer is its status. */
static struct error receive_invoke(struct mesh_call *c, Dapr__Proto__Common__V1__InvokeResponse **ret)
{
	struct error e = ERROR_NONE;
	struct str bytes;
	int got = grpc_stream_recv_bytes(c->grpc, &bytes, &e);

	if (got <= 0)
		return got < 0 ? e
			       : (struct error){ .code = ERROR_INTERNAL,
						 .message = STR("the application ended the call without an answer") };
	bytes = arena_str(c->arena, bytes);
	*ret = grpc_unpack(c->arena, &dapr__proto__common__v1__invoke_response__descriptor, bytes, &e);
	if (*ret == NULL)
		return e;
	got = grpc_stream_recv_bytes(c->grpc, &bytes, &e);
	return got < 0 ? e : ERROR_NONE;
}

struct error mesh_app_grpc(struct mesh_call *c)
{
	struct grpc_request g = { .path = STR(ON_INVOKE), .deadline_ns = c->q->deadline_ns };
	Dapr__Proto__Common__V1__InvokeResponse *reply = NULL;
	struct grpc_client *client = app_grpc(c->app);
	int64_t began = clock_ns();
	struct str body, packed;
	struct error e = app_enter(c->app, c->q->deadline_ns);

	if (error_is(&e))
		return e;
	c->entered = 1;
	e = read_body(c, &body);
	if (error_is(&e))
		return e;
	packed = pack_invoke(c, body);
	add_metadata(c, &g);
	if (c->cancelled)
		return (struct error){ .code = ERROR_CANCELLED, .message = STR("context canceled") };
	c->grpc = client != NULL ? grpc_stream_new(client, c->arena) : NULL;
	if (c->grpc == NULL)
		return no_memory();
	e = grpc_stream_start_whole(c->grpc, &g, packed);
	if (!error_is(&e))
		e = receive_invoke(c, &reply);
	metrics_grpc_client_done(app_options(c->app)->metrics, g.path, e.code, (int64_t)packed.n, 0,
				 clock_ns() - began);
	take_grpc_status(c, &e);
	if (!error_is(&e)) {
		c->response.content_type = reply->content_type ? str_of(reply->content_type) : STR("");
		if (reply->data != NULL) {
			c->response.type_url = reply->data->type_url ? str_of(reply->data->type_url) : STR("");
			c->ready = (struct str){ (const char *)reply->data->value.data, reply->data->value.len };
		}
	}
	return ERROR_NONE;
}
