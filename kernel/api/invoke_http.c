/* SPDX-License-Identifier: Apache-2.0 */
/* Any method on /v1.0/invoke/{id}/method/{path…}, and whatever no route takes, to the application that the caller names. */
#include "api/details_json.h"
#include "api/handlers.h"
#include "api/span.h"
#include "base/banned.h"
#include "base/base64.h"
#include "base/jstream.h"
#include "base/log.h"
#include "blocks/invoke.h"
#include "http/sniff.h"

#define LOG_SCOPE "dapr.runtime.http"
#define ABORTED 0x8 /* RFC 9113, 7: CANCEL */

struct invoking {
	struct request *r;
	struct invocation i;
	struct mesh_request q;
	struct str id;
	struct error broken; /* of the body */
	struct http_field *fields;
	size_t nfields;
	int began;
	int answered;	      /* within a try */
	struct error outcome; /* of that */
};

/* ---- Who is meant ---- */

static int hex(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : -1;
}

/* A path's escapes; -1: a broken one. */
static int decode(struct arena *a, struct str s, struct str *ret)
{
	char *p = arena_alloc(a, s.n + 1);
	size_t i, n = 0;

	for (i = 0; i < s.n; i++) {
		if (s.p[i] != '%') {
			p[n++] = s.p[i];
			continue;
		}
		if (s.n - i < 3 || hex(s.p[i + 1]) < 0 || hex(s.p[i + 2]) < 0)
			return -1;
		p[n++] = (char)(hex(s.p[i + 1]) << 4 | hex(s.p[i + 2]));
		i += 2;
	}
	p[n] = '\0';
	*ret = (struct str){ p, n };
	return 0;
}

/* Behind "/v1.0/invoke/", whatever slashes stand between; p == NULL: it does not begin so. */
static struct str behind_prefix(struct str path)
{
	static const char *const parts[] = { "v1.0", "invoke" };
	struct str part;
	size_t i;

	for (i = 0; i < 2; i++) {
		while (path.n > 0 && path.p[0] == '/')
			path = str_from(path, 1);
		if (!str_cut(path, '/', &part, &path) || !str_is(part, parts[i]))
			return STR_NONE;
	}
	while (path.n > 0 && path.p[0] == '/')
		path = str_from(path, 1);
	return path;
}

int invoke_http_is(struct str path)
{
	return behind_prefix(path).p != NULL;
}

static struct str without_slash(struct str path)
{
	return path.n > 0 && path.p[0] == '/' ? str_from(path, 1) : path;
}

/* Basic authentication with the user dapr-app-id: its password is the application. */
static struct str from_user(struct request *r)
{
	struct str auth = http_field(r->x, STR("authorization")), text, user, id, more;

	if (!str_starts(auth, STR("Basic ")) || base64_read(r->arena, str_from(auth, 6), &text) < 0 ||
	    !str_cut(text, ':', &user, &id) || !str_ieq(user, STR("dapr-app-id")) || str_cut(id, ':', &text, &more))
		return STR_NONE;
	return id;
}

/* Precedence as in Dapr: header, user, path. 0: nobody is named. */
static int find_target(struct request *r, struct str path, struct str *ret_id, struct str *ret_method)
{
	struct str rest, why;
	ptrdiff_t at;

	*ret_id = http_field(r->x, STR("dapr-app-id"));
	if (ret_id->n == 0)
		*ret_id = from_user(r);
	if (ret_id->n > 0) {
		*ret_method = without_slash(path);
		return 1;
	}
	rest = behind_prefix(path);
	at = rest.p != NULL ? str_find(rest, STR("/method/")) : -1;
	if (at <= 0)
		return 0;
	*ret_method = str_from(rest, (size_t)at + 8);
	if (request_unescape(r->arena, str_upto(rest, (size_t)at), &why) == 0 && why.n > 0)
		*ret_id = why;
	else
		*ret_id = str_upto(rest, (size_t)at);
	return 1;
}

/* ---- The body ---- */

/* Those that are the application's matter: nobody speaks to Dapr, or past its tokens, behind a body. */
static void take_trailers(struct invoking *v)
{
	struct http_exchange *x = v->r->x;
	struct http_field *f = x->ntrailers > 0 ? arena_try(v->r->arena, x->ntrailers * sizeof(*f)) : NULL;
	size_t i, n = 0;

	for (i = 0; f != NULL && i < x->ntrailers; i++)
		if (!str_istarts(x->trailers[i].name, STR("dapr-")) &&
		    !str_ieq(x->trailers[i].name, STR("authorization")))
			f[n++] = x->trailers[i];
	v->q.body.trailers = f;
	v->q.body.ntrailers = n;
}

static int read_body(void *invoking, struct str *ret_piece, struct error *ret_error)
{
	struct invoking *v = invoking;
	size_t limit = v->r->api->body_limit;
	int got = http_read(v->r->x, ret_piece);

	if (got < 0)
		*ret_error = (struct error){ .code = ERROR_CANCELLED, .message = STR("context canceled") };
	if (got > 0 && limit != 0 && v->r->x->received > limit) {
		*ret_error = (struct error){ .code = ERROR_UNKNOWN, .message = STR("stream too large") };
		return -1;
	}
	if (got == 0)
		take_trailers(v);
	return got;
}

static void stop_body(void *invoking)
{
	http_read_stop(((struct invoking *)invoking)->r->x);
}

/* A body to be sent again has to be kept. */
static int fits(const struct invoking *v)
{
	size_t limit = v->r->api->body_limit;

	return limit == 0 || v->r->x->content_length <= (int64_t)limit;
}

/* 0; -1: the client has gone. */
static int take_body(struct invoking *v)
{
	struct http_exchange *x = v->r->x;

	v->q.body = (struct mesh_body){ .length = x->content_length, .whole = STR("") };
	if (x->content_length >= 0 && x->content_length <= (int64_t)MESH_WHOLE)
		return http_read_all(x, 0, &v->q.body.whole) == 0 ? 0 : -1;
	if (x->content_length >= 0 && policy_has_retries(v->i.policy) && fits(v))
		return http_read_all(x, 0, &v->q.body.whole) == 0 ? 0 : -1;
	v->q.body.read = read_body;
	v->q.body.stop = stop_body;
	v->q.body.ctx = v;
	return 0;
}

static void take_fields(struct invoking *v)
{
	struct http_exchange *x = v->r->x;
	struct http_field *f;
	size_t i, n, kept = 0;

	f = mesh_from_http(v->r->arena, x->fields, x->nfields, 0, &n);
	for (i = 0; i < n; i++)
		if (!str_is(f[i].name, "Dapr-App-Id") &&
		    !(v->r->api->token.n > 0 && str_is(f[i].name, "Dapr-Api-Token")))
			f[kept++] = f[i];
	v->q.fields = f;
	v->q.nfields = kept;
}

/* ---- The answer ---- */

static void fail(struct invoking *v, const struct error *e)
{
	struct request *r = v->r;
	struct error shown = { .code = e->code,
			       .http = e->code == ERROR_PERMISSION_DENIED ? 403 : 500,
			       .tag = "ERR_DIRECT_INVOKE",
			       .category = "service-invocation" };

	shown.message = arena_printf(r->arena, "failed to invoke, id: " STR_FMT ", err: " STR_FMT, STR_ARG(v->id),
				     STR_ARG(e->message));
	request_fail(r, &shown);
}

/* What a gRPC application refused, as JSON of its status. */
static struct str status_json(struct arena *a, const struct mesh_response *s)
{
	struct buf b = buf_in(a);
	size_t i;

	buf_printf(&b, "{\"code\":%d", s->status);
	if (s->message.n > 0) {
		buf_lit(&b, ",\"message\":");
		jstream_put(&b, s->message);
	}
	for (i = 0; i < s->ndetails; i++) {
		buf_adds(&b, i == 0 ? STR(",\"details\":[") : STR(","));
		details_json(a, &b, s->details[i]);
	}
	if (s->ndetails > 0)
		buf_addc(&b, ']');
	buf_addc(&b, '}');
	return buf_str(&b);
}

/* The application's own trace fields take the place of ours. */
static void add_ours(struct invoking *v)
{
	struct request *r = v->r;
	size_t i;

	for (i = 0; i < r->nextra; i++)
		if (mesh_metadata(v->fields, v->nfields, r->extra[i].name.p).p == NULL)
			v->fields[v->nfields++] = r->extra[i];
}

static int asks_for_events(const struct invoking *v)
{
	return str_ieq(str_trim(http_field(v->r->x, STR("accept"))), STR("text/event-stream"));
}

/* Dapr's sidecar at the other side passes events on without the fields that say so, and leaves them to this one. */
static void add_events(struct invoking *v, struct str type)
{
	if (type.n == 0)
		v->fields[v->nfields++] = (struct http_field){ STR("content-type"), STR("text/event-stream") };
	if (mesh_metadata(v->fields, v->nfields, "cache-control").p == NULL)
		v->fields[v->nfields++] = (struct http_field){ STR("cache-control"), STR("no-cache") };
}

static void make_fields(struct invoking *v, const struct mesh_response *s)
{
	struct arena *a = v->r->arena;
	struct str parent = mesh_metadata(s->fields, s->nfields, "traceparent");
	struct str state = mesh_metadata(s->fields, s->nfields, "tracestate");
	struct str type = s->type_url.n > 0 ? STR("application/x-protobuf") : s->content_type;

	v->fields = mesh_to_http(a, s->fields, s->nfields, 9 + v->r->nextra, &v->nfields);
	if (type.n > 0 && s->status != 304) /* which has no content */
		v->fields[v->nfields++] = (struct http_field){ STR("content-type"), type };
	if (parent.n > 0)
		v->fields[v->nfields++] = (struct http_field){ STR("traceparent"), parent };
	if (state.n > 0)
		v->fields[v->nfields++] = (struct http_field){ STR("tracestate"), state };
	if (asks_for_events(v))
		add_events(v, type);
	add_ours(v);
}

/*
 * What the application did not say, as Dapr's server adds it: a failure is JSON, anything else what it looks like. Its
 * answer then begins with its body. 1: the first piece was read.
 */
static int add_type(struct invoking *v, int status, struct str *ret_first, int *ret_got, struct error *ret_error)
{
	const struct mesh_response *s = mesh_call_response(v->i.call);
	struct http_exchange *x = v->r->x;

	if (mesh_metadata(v->fields, v->nfields, "content-type").p != NULL || status == 204 || status == 304)
		return 0;
	if (mesh_is_http(s) && (status < 200 || status > 399) && x->content_length >= 0) {
		v->fields[v->nfields++] = (struct http_field){ STR("content-type"), STR("application/json") };
		return 0;
	}
	if (str_is(x->method, "HEAD") || mesh_metadata(v->fields, v->nfields, "content-encoding").n > 0)
		return 0;
	*ret_got = mesh_call_read(v->i.call, ret_first, ret_error);
	if (*ret_got > 0)
		v->fields[v->nfields++] = (struct http_field){ STR("content-type"), http_sniff(*ret_first) };
	return 1;
}

static struct error gone(void)
{
	return (struct error){ .code = ERROR_CANCELLED, .message = STR("context canceled") };
}

/* An answer without a body has its length; a short one that is all there leaves in one piece. */
static struct error send_body(struct invoking *v, int status)
{
	struct http_exchange *x = v->r->x;
	const struct http_field *trailers;
	struct error e = ERROR_NONE;
	struct str piece = STR("");
	size_t ntrailers;
	int got = 0, ahead = add_type(v, status, &piece, &got, &e);

	if (ahead && got < 0)
		return e;
	trailers = ahead && got == 0 ? mesh_call_trailers(v->i.call, &ntrailers) : NULL;
	if (ahead && got == 0 && (trailers == NULL || ntrailers == 0)) {
		http_reply(x, status, v->fields, v->nfields, STR(""));
		return ERROR_NONE;
	}
	if (http_begin(x, status, v->fields, v->nfields, -1) < 0)
		return gone();
	v->began = 1;
	if (!ahead)
		got = mesh_call_read(v->i.call, &piece, &e);
	for (; got > 0; got = mesh_call_read(v->i.call, &piece, &e))
		if (http_write(x, piece) < 0)
			return gone();
	if (got == 0) {
		trailers = mesh_call_trailers(v->i.call, &ntrailers);
		http_end(x, trailers, ntrailers);
	}
	return got < 0 ? e : ERROR_NONE;
}

static struct error answer(struct invoking *v)
{
	const struct mesh_response *s = mesh_call_response(v->i.call);
	int status = s->status;

	make_fields(v, s);
	if (!mesh_is_http(s)) {
		status = mesh_http_of_code(s->status);
		if (status != 200) {
			v->fields[v->nfields++] = (struct http_field){ STR("content-type"),
								       STR("text/plain; charset=utf-8") };
			http_reply(v->r->x, status, v->fields, v->nfields, status_json(v->r->arena, s));
			return ERROR_NONE;
		}
	}
	return send_body(v, status);
}

/* HTTP's, whoever the application is to. */
static int status_of(const struct mesh_response *s)
{
	return mesh_is_http(s) ? s->status : mesh_http_of_code(s->status);
}

/*
 * As in Dapr: what an HTTP application refused is a failure, and passed on when nothing is left to try; what a gRPC
 * application refused is an answer. An endless request cannot be sent again: all that came is passed on, and counted.
 */
static enum policy_verdict judge(void *invoking, const struct error *e, int *ret_code)
{
	struct invoking *v = invoking;
	int endless = v->r->x->content_length < 0;
	const struct mesh_response *s;
	int well;

	if (error_is(e))
		return endless ? POLICY_FAILED_FOR_GOOD : POLICY_FAILED;
	s = mesh_call_response(v->i.call);
	well = status_of(s) >= 200 && status_of(s) <= 399;
	if (!well && !endless && mesh_is_http(s)) {
		*ret_code = s->status;
		return POLICY_FAILED;
	}
	v->answered = 1;
	v->outcome = answer(v);
	return error_is(&v->outcome) || (!well && endless) ? POLICY_FAILED_FOR_GOOD : POLICY_WELL;
}

static struct error work(void *invoking)
{
	struct invoking *v = invoking;
	struct error e = invoke_run(&v->i, v->id, &v->q, judge, v);

	if (v->answered)
		return v->outcome;
	if (error_is(&e)) {
		fail(v, &e);
		return ERROR_NONE;
	}
	return answer(v);
}

static void not_named(struct request *r)
{
	struct error e = error_new(r->arena, ERROR_NOT_FOUND, "ERR_DIRECT_INVOKE",
				   "failed getting app id either from the URL path or the header dapr-app-id");

	e.category = "service-invocation";
	request_fail(r, &e);
}

void invoke_http(struct request *r)
{
	struct invoking *v = arena_zalloc(r->arena, sizeof(*v));
	struct error e;
	struct str path;

	if (decode(r->arena, r->x->path, &path) < 0) {
		request_refuse_escape(r);
		return;
	}
	if (!find_target(r, path, &v->id, &v->q.method)) {
		not_named(r);
		return;
	}
	v->r = r;
	v->i.v = r->api->invoker;
	v->i.scope = &r->scope;
	v->q.verb = mesh_verb(r->x->method);
	v->q.has_http = 1;
	v->q.query = r->x->query;
	v->q.type_url = STR("");
	v->q.content_type = http_field(r->x, STR("content-type"));
	if (v->q.content_type.p == NULL)
		v->q.content_type = STR("");
	take_fields(v);
	span_of_invocation(r->span, v->id, v->q.method);
	if (r->span != NULL)
		v->q.trace = r->span->context;
	invoke_find_policy(&v->i, v->id, v->q.method);
	if (take_body(v) < 0)
		return;
	http_on_gone(r->x, invoke_cancel, &v->i);
	e = mesh_guard(r->arena, work, v);
	http_on_gone(r->x, scope_cancel, &r->scope);
	if (error_is(&e)) {
		if (v->began) /* half an answer must not look like a whole one */
			http_abort(r->x, ABORTED);
		else
			fail(v, &e);
		if (!http_gone(r->x))
			log_warn("HTTP service invocation failed to complete with error: " STR_FMT, STR_ARG(e.message));
	}
	invoke_end(&v->i);
}
