/* SPDX-License-Identifier: Apache-2.0 */
#include "blocks/invoke.h"

#include "base/banned.h"
#include "base/clock.h"
#include "telemetry/metrics.h"

static struct error plain(struct invocation *i, struct str why)
{
	i->plain = 1;
	return (struct error){ .code = ERROR_UNKNOWN, .message = why };
}

static int is_url(struct str id)
{
	return str_starts(id, STR("http://")) || str_starts(id, STR("https://"));
}

int invoke_target(const struct invoker *v, struct arena *a, struct str id, struct str *ret_app, struct str *ret_space,
		  struct str *ret_why)
{
	struct str app, space;

	if (id.n == 0) {
		*ret_why = STR("app id is empty");
		return -1;
	}
	if (is_url(id)) {
		*ret_app = id;
		*ret_space = STR("");
		return 0;
	}
	if (!str_cut(id, '.', &app, &space)) {
		*ret_app = id;
		*ret_space = v->name_space;
		return 0;
	}
	if (space.n > 0 && memchr(space.p, '.', space.n) != NULL) {
		*ret_why = arena_printf(a, "invalid app id " STR_FMT, STR_ARG(id));
		return -1;
	}
	*ret_app = app;
	*ret_space = space;
	return 0;
}

static int is_mark(struct str name)
{
	return str_ieq(name, STR("dapr-caller-app-id")) || str_ieq(name, STR("dapr-caller-namespace")) ||
	       str_ieq(name, STR("dapr-callee-app-id")) || str_ieq(name, STR("destination-app-id"));
}

/* Who calls whom: what the caller says of that himself does not count. */
static void add_marks(struct invocation *i, struct mesh_request *q, int remote)
{
	struct arena *a = i->scope->arena;
	const struct invoker *v = i->v;
	struct http_field *f = arena_alloc(a, (q->nfields + 7) * sizeof(*f));
	struct str by = memchr(v->host.p, ':', v->host.n) ? arena_printf(a, "\"[" STR_FMT "]\"", STR_ARG(v->host))
							  : v->host;
	size_t k, n = 0;

	for (k = 0; k < q->nfields; k++)
		if (!is_mark(q->fields[k].name))
			f[n++] = q->fields[k];
	f[n++] = (struct http_field){ STR("dapr-caller-namespace"), v->name_space };
	f[n++] = (struct http_field){ STR("dapr-caller-app-id"), v->app_id };
	f[n++] = (struct http_field){ STR("dapr-callee-app-id"), i->app_id };
	if (remote) {
		f[n++] = (struct http_field){ STR("destination-app-id"), i->app_id };
		f[n++] = (struct http_field){ STR("X-Forwarded-For"), v->host };
		f[n++] = (struct http_field){ STR("X-Forwarded-Host"), v->host_name };
		f[n++] = (struct http_field){ STR("Forwarded"),
					      arena_printf(a, "for=" STR_FMT ";by=" STR_FMT ";host=" STR_FMT,
							   STR_ARG(by), STR_ARG(by), STR_ARG(v->host_name)) };
	}
	q->fields = f;
	q->nfields = n;
}

static struct error call_local(struct invocation *i, const struct mesh_request *q)
{
	struct app *app = atomic_load_explicit(&i->v->app, memory_order_acquire);
	struct error e;

	if (app == NULL || app_options(app)->port == 0)
		return plain(i, STR("cannot invoke local endpoint: app channel not initialized"));
	mesh_call_close(i->call);
	i->call = mesh_call_new(i->scope->arena);
	e = mesh_call_app(i->call, app, q);
	i->plain = error_is(&e) && (app_channel_is_http(app_options(app)->channel) || /* says itself what it says */
				    (e.code != ERROR_INVALID_ARGUMENT && e.code != ERROR_INTERNAL));
	return e;
}

static struct error try_once(struct invocation *i, struct str address, const struct mesh_request *q)
{
	int64_t began = clock_ns();
	struct error e;

	mesh_call_close(i->call);
	i->call = mesh_call_new(i->scope->arena);
	metrics_invoke_sent(i->v->metrics, i->app_id, 0);
	e = mesh_call_peer(i->call, i->v->peers, address, q);
	if (!error_is(&e))
		metrics_invoke_done(i->v->metrics, i->app_id, 0, mesh_call_response(i->call)->status,
				    clock_ns() - began);
	return e;
}

static int is_endless(const struct mesh_request *q)
{
	return q->body.read != NULL && q->body.length < 0;
}

/* Worth what Dapr has built in: the other sidecar was not there, and what it was sent is here still. */
static int may_repeat(const struct invocation *i, const struct mesh_request *q, const struct error *e)
{
	return (e->code == ERROR_UNAVAILABLE || e->code == ERROR_UNAUTHENTICATED) && !mesh_call_took_body(i->call) &&
	       !is_endless(q);
}

/* It may have moved since its address was learnt. */
static void look_again(struct invocation *i, struct str *address)
{
	struct str found;
	struct error e;

	names_forget(i->v->names, i->scope->arena, i->app_id, i->name_space);
	e = names_resolve(i->v->names, i->scope, i->app_id, i->name_space, &found);
	if (!error_is(&e))
		*address = found;
}

static struct error call_remote(struct invocation *i, const struct mesh_request *q)
{
	int built_in = !policies_has_app(i->v->policies, i->app_id) && !is_endless(q);
	struct arena *a = i->scope->arena;
	struct str address;
	struct error e;

	e = names_resolve(i->v->names, i->scope, i->app_id, i->name_space, &address);
	if (error_is(&e))
		return plain(i, e.message);
	i->retries = policies_built_in(i->v->policies, POLICY_SERVICE_RETRIES);
	policy_start(&i->built_in, built_in ? &i->retries : NULL, i->scope);
	do {
		if (!policy_enter(&i->built_in, &e))
			break;
		e = try_once(i, address, q);
		if (e.code == ERROR_UNAVAILABLE)
			look_again(i, &address);
	} while (policy_again(&i->built_in,
			      !error_is(&e)	     ? POLICY_WELL
			      : may_repeat(i, q, &e) ? POLICY_FAILED
						     : POLICY_FAILED_FOR_GOOD,
			      POLICY_NO_CODE));
	if (!built_in || i->cancelled || !error_is(&e) || !may_repeat(i, q, &e))
		return e;
	i->plain = 1;
	e.message = arena_printf(a,
				 "failed to invoke target " STR_FMT
				 " after %d retries. Error: rpc error: code = %s desc = " STR_FMT,
				 STR_ARG(i->app_id), i->built_in.tries - 1, error_code_name(e.code),
				 STR_ARG(e.message));
	return e;
}

/* A server outside is asked once, but for what a policy says: what it may have done already is not known. */
static struct error call_outside(struct invocation *i, const struct mesh_request *q)
{
	int64_t began = clock_ns();
	struct error e;

	mesh_call_close(i->call);
	i->call = mesh_call_new(i->scope->arena);
	metrics_invoke_sent(i->v->metrics, i->app_id, 0);
	e = mesh_call_outside(i->call, i->v->outside, i->server, i->app_id, q);
	i->plain = error_is(&e) && e.code == ERROR_UNKNOWN;
	if (!error_is(&e))
		metrics_invoke_done(i->v->metrics, i->app_id, 0, mesh_call_response(i->call)->status,
				    clock_ns() - began);
	return e;
}

static int is_own(const struct invocation *i)
{
	return str_eq(i->app_id, i->v->app_id) && str_eq(i->name_space, i->v->name_space);
}

/* Once for all tries. */
static struct error prepare(struct invocation *i, struct str id, struct mesh_request *q)
{
	struct arena *a = i->scope->arena;
	struct str why;

	if (mesh_normalize(a, q->method, &q->method, &why) < 0)
		return error_new(a, ERROR_INVALID_ARGUMENT, NULL, "invalid method: " STR_FMT, STR_ARG(why));
	if (invoke_target(i->v, a, id, &i->app_id, &i->name_space, &why) < 0)
		return plain(i, why);
	i->server = outside_find(i->v->outside, i->app_id);
	i->outside = i->server != NULL || is_url(i->app_id);
	if (!i->outside)
		add_marks(i, q, !is_own(i));
	i->prepared = 1;
	return ERROR_NONE;
}

static struct error start(struct invocation *i, struct str id, struct mesh_request *q)
{
	struct error e = ERROR_NONE;

	i->plain = 0;
	if (!i->prepared)
		e = prepare(i, id, q);
	q->deadline_ns = i->scope->deadline_ns;
	if (!error_is(&e))
		e = i->outside ? call_outside(i, q) : is_own(i) ? call_local(i, q) : call_remote(i, q);
	if (error_is(&e) && !i->plain)
		e.message = arena_printf(i->scope->arena, "rpc error: code = %s desc = " STR_FMT,
					 error_code_name(e.code), STR_ARG(e.message));
	return e;
}

void invoke_find_policy(struct invocation *i, struct str id, struct str method)
{
	i->policy = policies_app(i->v->policies, i->scope->arena, id, method);
}

struct error invoke_run(struct invocation *i, struct str id, struct mesh_request *q, invoke_judge *judge, void *arg)
{
	int64_t outer_ns = i->scope->deadline_ns;
	enum policy_verdict v;
	struct error e;
	int code;

	policy_start(&i->run, i->policy, i->scope);
	do {
		if (!policy_enter(&i->run, &e))
			break;
		code = POLICY_NO_CODE;
		i->scope->deadline_ns = i->run.until_ns;
		e = start(i, id, q);
		v = judge(arg, &e, &code);
		i->scope->deadline_ns = outer_ns;
	} while (policy_again(&i->run, v, code));
	return i->run.timed_out ? policy_timed_out() : e;
}

int invoke_stopped(const struct invocation *i)
{
	return i->run.p != NULL && (i->run.timed_out || error_is(&i->run.refused));
}

void invoke_cancel(void *invocation)
{
	struct invocation *i = invocation;

	i->cancelled = 1;
	scope_cancel(i->scope);
	if (i->call != NULL)
		mesh_call_cancel(i->call);
}

void invoke_end(struct invocation *i)
{
	policy_leave(&i->built_in);
	policy_leave(&i->run);
	mesh_call_close(i->call);
	i->call = NULL;
}
