/* SPDX-License-Identifier: Apache-2.0 */
/*
 * InvokeService, the passing on of any service by the metadata dapr-app-id, and the service that other sidecars call on the
 * internal port.
 */
#include <dapr/proto/runtime/v1/dapr.pb-c.h>

#include "api/grpc.h"
#include "api/span.h"
#include "base/banned.h"
#include "base/clock.h"
#include "base/log.h"
#include "blocks/invoke.h"
#include "mesh/proxy.h"
#include "mesh/serve.h"

#define LOG_SCOPE "dapr.runtime.grpc.api"
#define DETAIL_MOST 62 /* bytes of an application's answer that go into an error's details */

static atomic_flag warned = ATOMIC_FLAG_INIT;

/* ---- InvokeService ---- */

struct invoking {
	struct grpc_call *c;
	struct invocation i;
	struct mesh_request q;
	struct str id;
	Dapr__Proto__Common__V1__InvokeResponse *reply;
	struct str body; /* of the last answer */
	int answered;
	struct error outcome; /* of the last try */
};

/* What belongs to this call of gRPC, and not to the one that it asks for. */
static int is_hop(struct str name)
{
	return str_is(name, "te") || str_is(name, "host") || str_is(name, "grpc-timeout") ||
	       str_is(name, "grpc-encoding") || str_is(name, "grpc-message-type");
}

static void take_metadata(struct invoking *v)
{
	const struct http_exchange *x = v->c->x;
	struct http_field *f = arena_alloc(v->c->arena, (x->nfields + 2) * sizeof(*f));
	size_t i, n = 0;

	for (i = 0; i < x->nfields; i++)
		if (str_utf8(x->fields[i].value) && !is_hop(x->fields[i].name) &&
		    !(skin_of(v->c)->api->token.n > 0 && str_is(x->fields[i].name, "dapr-api-token")))
			f[n++] = x->fields[i];
	if (x->authority.n > 0 && str_utf8(x->authority))
		f[n++] = (struct http_field){ STR(":authority"), x->authority };
	v->q.fields = f;
	v->q.nfields = n;
}

static void put_headers(struct invoking *v, const struct http_field *fields, size_t n,
			void (*put)(struct grpc_call *c, struct str name, struct str value), int permanent)
{
	struct http_field *f;
	struct str value;
	size_t i;

	f = mesh_to_grpc(v->c->arena, fields, n, permanent, 3, &n);
	mesh_add_trace(v->c->arena, &v->q.trace, 1, f, &n);
	for (i = 0; i < n; i++) {
		value = str_ends(f[i].name, STR("-bin")) ? grpc_bin(v->c->arena, f[i].value) : f[i].value;
		if (value.p != NULL)
			put(v->c, f[i].name, value);
	}
}

/* An HTTP application's refusal as a status with its code and the beginning of what it said. */
static struct error http_failure(struct invoking *v, int status, struct str body)
{
	struct arena *a = v->c->arena;
	struct error e = { .code = mesh_code_of_http(status) };
	struct error_detail *info;
	struct error_pair *pairs;

	if (e.code == ERROR_OK)
		return e;
	e.message = str_of(http_reason(status));
	info = error_detail(a, &e, DETAIL_ERROR_INFO);
	info->reason = e.message;
	info->npairs = 2;
	info->pairs = pairs = arena_alloc(a, 2 * sizeof(*pairs));
	pairs[0] = (struct error_pair){ STR("http.code"), arena_printf(a, "%d", status) };
	pairs[1] = (struct error_pair){ STR("http.error_message"),
					str_upto(body, body.n > DETAIL_MOST ? DETAIL_MOST + 1 : body.n) };
	if (!str_utf8(pairs[1].value))
		pairs[1].value = STR("");
	return e;
}

/* The status as the application gave it, details and all. */
static struct error grpc_failure(struct invoking *v, const struct mesh_response *s)
{
	struct error e = { .code = s->status, .message = s->message };
	struct error_detail *d;
	size_t i;

	for (i = 0; error_is(&e) && i < s->ndetails; i++) {
		d = error_detail(v->c->arena, &e, DETAIL_PACKED);
		d->type = s->details[i]->type_url != NULL ? str_of(s->details[i]->type_url) : STR("");
		d->about = (struct str){ (const char *)s->details[i]->value.data, s->details[i]->value.len };
	}
	return e;
}

/* Reads the answer to its end; what it says as a status. */
static struct error read_answer(struct invoking *v)
{
	const struct mesh_response *s = mesh_call_response(v->i.call);
	struct error e = mesh_call_read_all(v->i.call, skin_of(v->c)->api->body_limit, &v->body);

	if (error_is(&e))
		return error_new(v->c->arena, ERROR_INTERNAL, NULL, "failed to invoke, id: " STR_FMT ", err: " STR_FMT,
				 STR_ARG(v->id), STR_ARG(e.message));
	v->answered = 1;
	return mesh_is_http(s) ? http_failure(v, s->status, v->body) : grpc_failure(v, s);
}

/* Of the last try alone. */
static void make_reply(struct invoking *v)
{
	const struct mesh_response *s = mesh_call_response(v->i.call);
	struct arena *a = v->c->arena;
	Dapr__Proto__Common__V1__InvokeResponse *m = arena_alloc(a, sizeof(*m));

	put_headers(v, s->fields, s->nfields, grpc_header, 1);
	if (mesh_is_http(s))
		grpc_header(v->c, STR("dapr-http-status"), arena_printf(a, "%d", s->status));
	else
		put_headers(v, s->trailers, s->ntrailers, grpc_trailer, 0);
	dapr__proto__common__v1__invoke_response__init(m);
	m->content_type = (char *)arena_str(a, s->content_type).p;
	m->data = arena_alloc(a, sizeof(*m->data));
	google__protobuf__any__init(m->data);
	m->data->type_url = (char *)arena_str(a, s->type_url).p;
	m->data->value = (ProtobufCBinaryData){ v->body.n, (uint8_t *)v->body.p };
	v->reply = m;
}

static struct error failed(struct invoking *v, const struct error *e)
{
	return error_new(v->c->arena, ERROR_INTERNAL, NULL, "failed to invoke, id: " STR_FMT ", err: " STR_FMT,
			 STR_ARG(v->id), STR_ARG(e->message));
}

/* As in Dapr every failure is tried again here, whatever its code. */
static enum policy_verdict judge(void *invoking, const struct error *e, int *ret_code)
{
	struct invoking *v = invoking;

	(void)ret_code;
	v->answered = 0;
	v->outcome = error_is(e) ? failed(v, e) : read_answer(v);
	return error_is(&v->outcome) ? POLICY_FAILED : POLICY_WELL;
}

static struct error work(void *invoking)
{
	struct invoking *v = invoking;
	struct error e = invoke_run(&v->i, v->id, &v->q, judge, v);

	if (invoke_stopped(&v->i))
		return e;
	if (v->answered)
		make_reply(v);
	return v->outcome;
}

static struct error invoke_service(struct grpc_call *c, const void *request, const ProtobufCMessage **ret_reply)
{
	const Dapr__Proto__Runtime__V1__InvokeServiceRequest *in = request;
	Dapr__Proto__Internals__V1__InternalInvokeRequest wire =
		DAPR__PROTO__INTERNALS__V1__INTERNAL_INVOKE_REQUEST__INIT;
	struct invoking *v = arena_zalloc(c->arena, sizeof(*v));
	struct error e;

	if (!atomic_flag_test_and_set(&warned))
		log_warn("[DEPRECATION NOTICE] InvokeService is deprecated and will be removed in the future, please "
			 "use proxy "
			 "mode instead.");
	v->c = c;
	v->id = skin_text(in->id);
	v->i.v = skin_of(c)->api->invoker;
	v->i.scope = &skin_of(c)->scope;
	wire.message = in->message;
	if (mesh_unpack_request(c->arena, &wire, &v->q) < 0)
		return error_new(c->arena, ERROR_INVALID_ARGUMENT, NULL, "the request has no message");
	take_metadata(v);
	v->q.deadline_ns = c->deadline_ns;
	span_of_invocation(skin_of(c)->span, v->id, v->q.method);
	if (skin_of(c)->span != NULL)
		v->q.trace = skin_of(c)->span->context;
	invoke_find_policy(&v->i, v->id, v->q.method);
	grpc_on_cancel(c, invoke_cancel, &v->i);
	e = mesh_guard(c->arena, work, v);
	grpc_on_cancel(c, NULL, NULL);
	invoke_end(&v->i);
	if (v->reply != NULL)
		*ret_reply = &v->reply->base;
	return e;
}

const struct grpc_method invoke_grpc_methods[] = {
	{ "InvokeService", GRPC_UNARY, &dapr__proto__runtime__v1__invoke_service_request__descriptor,
	  &dapr__proto__common__v1__invoke_response__descriptor, invoke_service, NULL },
};
const size_t invoke_grpc_nmethods = sizeof(invoke_grpc_methods) / sizeof(invoke_grpc_methods[0]);

/* ---- Proxying ---- */

static const char *const to_app[] = { "dapr-app-id", "dapr-api-token", NULL };
static const char *const to_peer[] = { "dapr-app-id", "dapr-callee-app-id", "dapr-caller-app-id", NULL };

static struct error unknown(struct str why)
{
	return (struct error){ .code = ERROR_UNKNOWN, .message = why };
}

static struct error proxy_to_app(struct grpc_call *c, struct app *app, struct mesh_proxy *p)
{
	struct http_field *token = arena_alloc(c->arena, sizeof(*token));
	struct str method, why;

	if (mesh_normalize(c->arena, c->path, &method, &why) < 0)
		return error_new(c->arena, ERROR_INVALID_ARGUMENT, NULL, "invalid method: " STR_FMT, STR_ARG(why));
	c->path = method;
	p->to = app != NULL ? app_grpc(app) : NULL;
	if (p->to == NULL)
		return error_new(c->arena, ERROR_UNAVAILABLE, NULL,
				 "the application cannot be called over gRPC: start the sidecar with --app-port and "
				 "--app-protocol grpc");
	p->leave_out = to_app;
	if (app_token_field(app, token)) {
		p->add = token;
		p->nadd = 1;
	}
	return mesh_proxy(c, p);
}

/* A call that is passed on to another sidecar, and what its tries share. */
struct passing {
	struct grpc_call *c;
	struct invoker *v;
	struct str app_id, space;
	struct mesh_proxy *p;
	struct mesh_repeat *again; /* NULL: there is one try */
	int streaming;		   /* the client says so: only its beginning may be tried again */
};

static struct error pass_on_once(struct passing *g)
{
	struct invoker *v = g->v;
	int64_t began = clock_ns();
	struct str address;
	struct error e;

	e = names_resolve(v->names, &skin_of(g->c)->scope, g->app_id, g->space, &address);
	if (error_is(&e))
		return e;
	g->p->to = peers_take(v->peers, address, &e);
	if (g->p->to == NULL)
		return e;
	metrics_invoke_sent(v->metrics, g->app_id, g->streaming);
	e = g->again != NULL ? mesh_repeat_try(g->again, g->p) : mesh_proxy(g->c, g->p);
	peers_give(v->peers, address);
	if (!g->streaming)
		metrics_invoke_done(v->metrics, g->app_id, 0, e.code, clock_ns() - began);
	return e;
}

/* Where its address has been known for a while the other may have moved: then it is looked for once more. */
static struct error pass_on(struct passing *g)
{
	struct error e = pass_on_once(g);

	if (e.code != ERROR_UNAVAILABLE)
		return e;
	names_forget(g->v->names, g->c->arena, g->app_id, g->space);
	return g->again == NULL && g->p->kept != NULL && !g->p->left && !g->c->began ? pass_on_once(g) : e;
}

static enum policy_verdict verdict_of(const struct passing *g, const struct error *e)
{
	int over = g->c->began || g->p->took || (g->again != NULL && mesh_repeat_over(g->again));

	if (!error_is(e) || (g->streaming && (over || e->code != ERROR_UNAVAILABLE)))
		return POLICY_WELL; /* how a stream ends is its own matter */
	return over ? POLICY_FAILED_FOR_GOOD : POLICY_FAILED;
}

static struct error proxy_to_peer(struct grpc_call *c, struct invoker *v, struct str id, struct passing *g)
{
	struct http_field *marks = arena_alloc(c->arena, 2 * sizeof(*marks));
	const struct policy *policy = policies_app(v->policies, c->arena, id, c->path);
	struct policy_run run;
	struct error e;

	marks[0] = (struct http_field){ STR("dapr-caller-app-id"), v->app_id };
	marks[1] = (struct http_field){ STR("dapr-callee-app-id"), g->app_id };
	g->p->leave_out = to_peer;
	g->p->add = marks;
	g->p->nadd = 2;
	g->p->scope = &skin_of(c)->scope;
	g->streaming = str_truthy(grpc_metadata(c, STR("dapr-stream")));
	if (policy_has_retries(policy) && !g->streaming)
		g->again = mesh_repeat_new(c);
	policy_start(&run, policy, g->p->scope);
	do {
		if (!policy_enter(&run, &e))
			break;
		g->p->deadline_ns = g->streaming ? 0 : run.until_ns;
		e = pass_on(g);
	} while (policy_again(&run, verdict_of(g, &e), e.code));
	if (run.timed_out && !g->streaming)
		e = policy_timed_out();
	if (g->again != NULL)
		mesh_repeat_end(g->again, &e);
	return e;
}

/* ctx: the api. For any service, on either port: by dapr-callee-app-id, which another sidecar set, else dapr-app-id. */
struct error invoke_grpc_proxy(void *ctx, struct grpc_call *c)
{
	struct api *api = ctx;
	struct invoker *v = api->invoker;
	struct str id = grpc_metadata(c, STR("dapr-callee-app-id")), app_id, space, why;
	struct mesh_proxy p = { .to = NULL };
	struct passing g;

	if (id.n == 0)
		id = grpc_metadata(c, STR("dapr-app-id"));
	if (id.n == 0)
		return unknown(
			STR("failed to proxy request: required metadata dapr-callee-app-id or dapr-app-id not found"));
	if (invoke_target(v, c->arena, id, &app_id, &space, &why) < 0)
		return unknown(why);
	if (skin_of(c)->span != NULL) {
		p.trace = skin_of(c)->span->context;
		trace_attribute(skin_of(c)->span, "dapr-app-id", id);
	}
	if (str_eq(app_id, v->app_id))
		return proxy_to_app(c, atomic_load_explicit(&v->app, memory_order_acquire), &p);
	g = (struct passing){ .c = c, .v = v, .app_id = app_id, .space = space, .p = &p };
	return proxy_to_peer(c, v, id, &g);
}

/* ---- Between sidecars ---- */

static struct error call_local(struct grpc_call *c, const void *request, const ProtobufCMessage **ret_reply)
{
	return mesh_serve_local(&skin_of(c)->api->mesh, c, request, ret_reply);
}

static struct error call_local_stream(struct grpc_call *c)
{
	return mesh_serve_stream(&skin_of(c)->api->mesh, c);
}

static const struct grpc_method internal_methods[] = {
	{ "CallLocal", GRPC_UNARY, &dapr__proto__internals__v1__internal_invoke_request__descriptor,
	  &dapr__proto__internals__v1__internal_invoke_response__descriptor, call_local, NULL },
	{ "CallLocalStream", GRPC_BIDI, &dapr__proto__internals__v1__internal_invoke_request_stream__descriptor,
	  &dapr__proto__internals__v1__internal_invoke_response_stream__descriptor, NULL, call_local_stream },
};
const struct grpc_service invoke_internal_service = { "dapr.proto.internals.v1.ServiceInvocation", internal_methods,
						      sizeof(internal_methods) / sizeof(internal_methods[0]) };
