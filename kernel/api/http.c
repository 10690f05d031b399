/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What every HTTP call passes, in Dapr's order: clean path, trace, CORS, token, route; then it is counted and logged.
 */
#include "api/access.h"
#include "api/api.h"
#include "api/cors.h"
#include "api/errors.h"
#include "api/handlers.h"
#include "api/route.h"
#include "api/span.h"
#include "base/banned.h"
#include "base/clock.h"
#include "base/log.h"

#define LOG_SCOPE "dapr.runtime.http"

static int is_exempt(const struct request *r)
{
	return str_is(r->x->method, "GET") &&
	       (str_is(r->path, "/v1.0/healthz") || str_is(r->path, "/v1.0/healthz/outbound"));
}

/* Compares without telling by its time how much of a guess was right. */
static int same_token(struct str a, struct str b)
{
	unsigned char differ = a.n != b.n;
	size_t i;

	for (i = 0; i < a.n && i < b.n; i++)
		differ |= (unsigned char)(a.p[i] ^ b.p[i]);
	return differ == 0;
}

static int has_token(struct request *r)
{
	return r->api->token.n == 0 || same_token(http_field(r->x, STR("dapr-api-token")), r->api->token) ||
	       is_exempt(r);
}

static void refuse_token(struct request *r)
{
	request_field(r, "content-type", STR("text/plain; charset=utf-8"));
	request_field(r, "x-content-type-options", STR("nosniff"));
	http_reply(r->x, 401, r->extra, r->nextra, STR("invalid api token\n"));
}

void request_refuse_escape(struct request *r)
{
	request_field(r, "content-type", STR("text/plain; charset=utf-8"));
	http_reply(r->x, 400, r->extra, r->nextra, STR("invalid escape or NUL in the path\n"));
}

static void not_found(struct request *r, int public_only)
{
	/* The way to another application is an API as well, which an allow list can hide. */
	if (public_only || !access_http(r->api->access, route_invoke())) {
		request_field(r, "content-type", STR("text/plain; charset=utf-8"));
		request_field(r, "x-content-type-options", STR("nosniff"));
		http_reply(r->x, 404, r->extra, r->nextra, STR("404 page not found\n"));
		return;
	}
	r->route = route_invoke();
	invoke_http(r);
}

static void run_route(struct request *r, int public_only)
{
	struct error e;
	int broken;

	if (invoke_http_is(r->path) &&
	    !public_only) { /* its path is the application's own: nothing of it is decoded here */
		not_found(r, 0);
		return;
	}
	r->route = route_find(r, r->x->method, r->path, &broken);
	if (broken) {
		request_refuse_escape(r);
	} else if (r->route == NULL || (public_only && !(r->route->flags & ROUTE_PUBLIC))) {
		not_found(r, public_only);
	} else if (r->route->missing != NULL) {
		e = error_new(r->arena, ERROR_UNIMPLEMENTED, "ERR_API_UNIMPLEMENTED", "%s", r->route->missing);
		request_fail(r, &e);
	} else {
		r->route->handle(r);
	}
}

static void log_call(struct request *r, int64_t ns)
{
	struct str agent = http_field(r->x, STR("user-agent"));
	struct log_field fields[5];
	size_t n = 0;

	if (r->route == NULL || ((r->route->flags & ROUTE_HEALTH) && !r->api->log_health))
		return;
	fields[n++] = (struct log_field){ "code", arena_printf(r->arena, "%d", r->x->status), 1 };
	fields[n++] = (struct log_field){ "duration", arena_printf(r->arena, "%lld", (long long)(ns / 1000000)), 1 };
	fields[n++] = (struct log_field){ "method",
					  r->api->log_obfuscate ? str_of(r->route->name)
								: arena_printf(r->arena, STR_FMT " " STR_FMT,
									       STR_ARG(r->x->method), STR_ARG(r->path)),
					  0 };
	fields[n++] = (struct log_field){ "size", arena_printf(r->arena, "%llu", (unsigned long long)r->x->sent), 1 };
	if (agent.n > 0)
		fields[n++] = (struct log_field){ "useragent", agent, 0 };
	log_with(LOG_INFO, "dapr.runtime.http-info", fields, n, STR("HTTP API Called"));
}

static void finish(struct request *r)
{
	int64_t ns = clock_ns() - r->x->started_ns;
	int64_t received = r->x->content_length > 0 ? r->x->content_length : 0;

	span_end_http(r);
	metrics_http_done(r->api->metrics, r->x->method, r->path, r->x->status, received, (int64_t)r->x->sent, ns);
	if (r->api->log_calls)
		log_call(r, ns);
}

static struct request *begin(struct api *a, struct http_exchange *x)
{
	struct request *r = arena_zalloc(x->arena, sizeof(*r));

	r->api = a;
	r->x = x;
	r->arena = x->arena;
	r->scope.arena = x->arena;
	r->blocks = atomic_load_explicit(&a->blocks, memory_order_acquire);
	r->path = route_clean(x->arena, x->path);
	http_on_gone(x, scope_cancel, &r->scope);
	return r;
}

void api_handle_http(void *api, struct http_exchange *x)
{
	struct request *r;

	if (str_is(x->method, "OPTIONS") && str_is(x->target, "*")) { /* the server itself is asked, not an API */
		http_reply(x, 200, NULL, 0, STR(""));
		return;
	}
	r = begin(api, x);
	span_begin_http(r);
	if (span_check_baggage_http(r) && (r->api->cors == NULL || !cors_apply(r->api->cors, r))) {
		if (!has_token(r))
			refuse_token(r);
		else
			run_route(r, 0);
	}
	finish(r);
}

void api_handle_public(void *api, struct http_exchange *x)
{
	struct request *r = begin(api, x);

	span_begin_http(r);
	if (span_check_baggage_http(r))
		run_route(r, 1);
	finish(r);
}

void api_handle_metrics(void *api, struct http_exchange *x)
{
	struct request *r = begin(api, x);
	struct buf b = buf_in(x->arena);

	metrics_write(r->api->metrics, &b);
	request_field(r, "content-type", STR(METRICS_CONTENT_TYPE));
	http_reply(x, 200, r->extra, r->nextra, buf_str(&b));
}

void api_handle_profile(void *api, struct http_exchange *x)
{
	struct request *r = begin(api, x);

	request_field(r, "content-type", STR("text/plain; charset=utf-8"));
	http_reply(x, 501, r->extra, r->nextra,
		   STR("there is no pprof here: profile this process with `perf record -g -p PID`\n"));
}

void api_refuse_http(void *api, struct http_exchange *x)
{
	static const struct http_field fields[] = { { STR("content-type"), STR("application/json") } };

	(void)api;
	http_reply(
		x, 503, fields, 1,
		STR("{\"errorCode\":\"ERR_INTERNAL\",\"message\":\"too many calls are under way: try again later\"}"));
}
