/* SPDX-License-Identifier: Apache-2.0 */
#include "api/span.h"

#include "api/route.h"
#include "base/banned.h"
#include "base/buf.h"

#define SECRET_FIELD "dapr-api-token"

/* ---- Baggage ---- */

/* All lines of the field as one; STR_NONE: there is none. */
static struct str joined(struct arena *a, const struct http_field *fields, size_t n)
{
	struct str all = STR_NONE;
	size_t i;

	for (i = 0; i < n; i++) {
		if (!str_is(fields[i].name, "baggage"))
			continue;
		all = all.p == NULL ? fields[i].value
				    : arena_printf(a, STR_FMT "," STR_FMT, STR_ARG(all), STR_ARG(fields[i].value));
	}
	return all;
}

int span_check_baggage_http(struct request *r)
{
	struct str text, why;

	if (r->api->tracer.mode == TRACE_OFF || trace_is_healthz(r->path))
		return 1;
	text = joined(r->arena, r->x->fields, r->x->nfields);
	if (text.p == NULL)
		return 1;
	if (trace_check_baggage(r->arena, text, &why) == 0) {
		if (text.n > 0)
			request_field(r, "baggage", text);
		return 1;
	}
	request_field(r, "content-type", STR("text/plain; charset=utf-8"));
	request_field(r, "x-content-type-options", STR("nosniff"));
	http_reply(r->x, 400, r->extra, r->nextra,
		   arena_printf(r->arena, "invalid baggage header: " STR_FMT "\n", STR_ARG(why)));
	return 0;
}

struct error span_check_baggage_grpc(struct grpc_call *c)
{
	struct str text, why;

	if (skin_of(c)->api->tracer.mode == TRACE_OFF)
		return ERROR_NONE;
	text = joined(c->arena, c->x->fields, c->x->nfields);
	if (text.p == NULL)
		return ERROR_NONE;
	if (trace_check_baggage(c->arena, text, &why) < 0)
		return error_new(c->arena, ERROR_INVALID_ARGUMENT, NULL, "invalid baggage header: " STR_FMT,
				 STR_ARG(why));
	if (text.n > 0)
		grpc_header(c, STR("baggage"), text);
	return ERROR_NONE;
}

/* ---- HTTP ---- */

void span_begin_http(struct request *r)
{
	struct http_exchange *x = r->x;
	struct trace_context parent;
	char text[TRACE_PARENT_TEXT + 1];

	if (r->api->tracer.mode == TRACE_OFF || trace_is_healthz(r->path))
		return;
	parent = trace_from_request(r->arena, STR_NONE, http_field(x, STR("traceparent")),
				    http_field(x, STR("tracestate")));
	r->span = trace_start(&r->api->tracer, r->arena, &parent, r->path, TRACE_CLIENT);
	if (r->span == NULL || !trace_valid(&r->span->context))
		return;
	trace_parent_text(&r->span->context, text);
	request_field(r, "traceparent", arena_str(r->arena, (struct str){ text, TRACE_PARENT_TEXT }));
	if (r->span->context.state.n > 0)
		request_field(r, "tracestate", trace_state_to_send(&r->span->context));
}

static int is_told(struct str name)
{
	return str_starts(name, STR("dapr-")) && !str_is(name, SECRET_FIELD);
}

static void add_fields(struct trace_span *s, struct arena *a, const struct http_field *fields, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (is_told(fields[i].name))
			trace_attribute(s, arena_str(a, fields[i].name).p, fields[i].value);
}

/* "127.0.0.1:4711" or "[::1]:4711": Dapr names the client here. */
static void add_peer(struct trace_span *s, struct str peer)
{
	size_t at = peer.n;

	while (at > 0 && peer.p[at - 1] != ':' && peer.p[at - 1] != ']')
		at--;
	if (at == 0 || peer.p[at - 1] != ':') {
		trace_attribute(s, "server.address", peer);
		return;
	}
	trace_attribute(s, "server.address", str_upto(peer, at - 1));
	trace_attribute(s, "server.port", str_from(peer, at));
}

/* By the group of the route, from its parameters: the first is a component's name, the second a topic. */
static void add_route(struct request *r, struct str api)
{
	struct str group = str_of(r->route->group);

	if (str_is(group, "state") || str_is(group, "secrets")) {
		trace_attribute(r->span, "db.system", group);
		trace_attribute(r->span, "db.connection_string", group);
		trace_attribute(r->span, "db.statement", api);
		trace_attribute(r->span, "db.name", r->params[0]);
	} else if (str_is(group, "publish")) {
		trace_attribute(r->span, "messaging.system", STR("pubsub"));
		trace_attribute(r->span, "messaging.destination.name", r->params[1]);
	}
}

static void describe(struct request *r)
{
	struct http_exchange *x = r->x;
	struct str path = r->path, api;

	/* Names are of the decoded path; what is broken stays as it came. An invocation has named itself. */
	if (memchr(path.p, '%', path.n) != NULL && request_unescape(r->arena, path, &path) == 0 &&
	    str_eq(r->span->name, r->path))
		trace_rename(r->span, path);
	api = arena_printf(r->arena, STR_FMT " " STR_FMT, STR_ARG(x->method), STR_ARG(path));
	add_fields(r->span, r->arena, x->fields, x->nfields);
	if (r->route != NULL && r->route->group != NULL)
		add_route(r, api);
	trace_attribute(r->span, "dapr.protocol", STR("http"));
	trace_attribute(r->span, "dapr.api", api);
	trace_attribute(r->span, "dapr.status_code", arena_printf(r->arena, "%d", x->status));
	trace_attribute(r->span, "http.request.method", x->method);
	trace_attribute(r->span, "url.full", x->target);
	add_peer(r->span, x->peer);
}

void span_end_http(struct request *r)
{
	if (!trace_records(r->span))
		return;
	describe(r);
	trace_status_http(r->span, r->x->status);
	trace_end(r->span);
}

/* ---- gRPC ---- */

/* What the API traces is a call of its client's; the answer's header says which. */
void span_begin_grpc(struct grpc_call *c, enum trace_kind kind)
{
	struct skin *s = skin_of(c);
	struct trace_context parent;
	uint8_t binary[TRACE_BINARY];

	if (s->api->tracer.mode == TRACE_OFF)
		return;
	parent = trace_from_request(c->arena, grpc_metadata_bin(c, STR("grpc-trace-bin")),
				    grpc_metadata(c, STR("traceparent")), grpc_metadata(c, STR("tracestate")));
	s->span = trace_start(&s->api->tracer, c->arena, &parent, c->path, kind);
	/* An invocation's answer has the headers of the application alone. */
	if (s->span == NULL || !trace_valid(&s->span->context) || !str_is(c->service, "dapr.proto.runtime.v1.Dapr") ||
	    str_is(c->method_name, "InvokeService"))
		return;
	trace_binary(&s->span->context, binary);
	grpc_header(c, STR("grpc-trace-bin"), (struct str){ (const char *)binary, sizeof(binary) });
}

void span_end_grpc(struct grpc_call *c, const struct error *e)
{
	struct trace_span *s = skin_of(c)->span;
	size_t i;

	if (!trace_records(s))
		return;
	for (i = c->x->nfields; i-- > 0;) { /* the first line of a name counts, and is set last */
		const struct http_field *f = &c->x->fields[i];

		if (is_told(f->name) && !str_ends(f->name, STR("-bin")))
			trace_attribute(s, arena_str(c->arena, f->name).p, f->value);
	}
	trace_attribute(s, "dapr.protocol", STR("grpc"));
	trace_attribute(s, "dapr.api", c->path);
	if (error_is(e))
		trace_status_error(s, e->message);
	trace_end(s);
}

void span_of_store(struct grpc_call *c, const char *system, struct str name)
{
	struct trace_span *s = skin_of(c)->span;

	if (!trace_records(s))
		return;
	trace_attribute(s, "db.name", name);
	trace_attribute(s, "rpc.service", STR("Dapr"));
	trace_attribute(s, "db.system", str_of(system));
	trace_attribute(s, "db.statement", c->path);
	trace_attribute(s, "db.connection_string", str_of(system));
}

void span_of_topic(struct grpc_call *c, struct str topic)
{
	struct trace_span *s = skin_of(c)->span;

	if (!trace_records(s))
		return;
	trace_attribute(s, "rpc.service", STR("Dapr"));
	trace_attribute(s, "messaging.system", STR("pubsub"));
	trace_attribute(s, "messaging.destination.name", topic);
}

void span_of_invocation(struct trace_span *s, struct str app_id, struct str method)
{
	if (!trace_records(s))
		return;
	trace_rename(s, arena_printf(s->arena, "CallLocal/" STR_FMT "/" STR_FMT, STR_ARG(app_id), STR_ARG(method)));
	trace_attribute(s, "rpc.service", STR("ServiceInvocation"));
	trace_attribute(s, "net.peer.name", app_id);
}
