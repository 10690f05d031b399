/* SPDX-License-Identifier: Apache-2.0 */
/* What we ask the application of our own accord: whether it is healthy, and for its configuration. */
#include <setjmp.h>

#include "app/inside.h"
#include "base/banned.h"
#include "base/clock.h"
#include "base/log.h"
#include "telemetry/metrics.h"

#define LOG_SCOPE "dapr.runtime"
#define HEALTH_METHOD "/dapr.proto.runtime.v1.AppCallbackHealthCheck/HealthCheck"
#define DRAINED (64u * 1024) /* bytes of a probe's answer that are read to keep its connection */

static const struct error no_memory = { .code = ERROR_RESOURCE_EXHAUSTED, .message = { "out of memory", 13 } };

/* Without a token, as Dapr's. The status; 0: *ret_error. */
static int ask_http(struct app *p, struct http_client *client, struct arena *a, int64_t deadline_ns,
		    struct error *ret_error)
{
	struct http_request q = { .method = STR("GET"), .target = p->o.health_path, .deadline_ns = deadline_ns };
	struct error e = no_memory;
	struct str rest;
	int status = 0;

	p->probe_call = client != NULL ? http_call_new(client, a) : NULL;
	if (p->probe_call != NULL) {
		e = http_call_start(p->probe_call, &q);
		if (!error_is(&e))
			e = http_call_head(p->probe_call);
	}
	if (!error_is(&e)) {
		status = p->probe_call->status;
		http_call_read_all(p->probe_call, DRAINED, &rest);
	}
	http_call_close(p->probe_call);
	p->probe_call = NULL;
	*ret_error = e;
	return status;
}

static struct app_probe probe_http(struct app *p, struct arena *a, int64_t deadline_ns)
{
	struct http_client *client = app_http(p);
	struct app_probe r = { .reason = STR("") };
	int64_t began = clock_ns();
	struct error e;
	int status = ask_http(p, client, a, deadline_ns, &e);

	metrics_http_probe_done(p->o.metrics, status ? status : 500, clock_ns() - began);
	r.healthy = status >= 200 && status < 300;
	if (status == 0)
		r.reason = arena_printf(a, "Network error: Get \"http://" STR_FMT STR_FMT "\": " STR_FMT,
					STR_ARG(client ? http_client_authority(client) : STR("")),
					STR_ARG(p->o.health_path), STR_ARG(e.message));
	else if (!r.healthy)
		r.reason = arena_printf(a, "Health check failed with status code: %d", status);
	return r;
}

static struct error ask_grpc(struct app *p, struct arena *a, int64_t deadline_ns)
{
	struct grpc_request q = { .path = STR(HEALTH_METHOD), .deadline_ns = deadline_ns };
	struct grpc_client *client = app_grpc(p);
	struct error e = no_memory;
	struct str message;

	p->probe_stream = client != NULL ? grpc_stream_new(client, a) : NULL;
	if (p->probe_stream == NULL)
		return e;
	e = grpc_stream_start_whole(p->probe_stream, &q, STR(""));
	while (!error_is(&e) && grpc_stream_recv_bytes(p->probe_stream, &message, &e) > 0)
		; /* its answer says nothing; its status is what counts */
	grpc_stream_close(p->probe_stream);
	p->probe_stream = NULL;
	return e;
}

static struct app_probe probe_grpc(struct app *p, struct arena *a, int64_t deadline_ns)
{
	int64_t began = clock_ns();
	struct error e = ask_grpc(p, a, deadline_ns);
	struct app_probe r = { .healthy = !error_is(&e), .broken = error_is(&e), .reason = STR("") };

	metrics_grpc_probe_done(p->o.metrics, e.code, clock_ns() - began);
	if (r.broken)
		r.reason = arena_printf(a, "rpc error: code = %s desc = " STR_FMT, error_code_name(e.code),
					STR_ARG(e.message));
	return r;
}

struct app_probe app_probe(void *app, struct arena *a, int64_t deadline_ns)
{
	struct app *p = app;

	return app_channel_is_http(p->o.channel) ? probe_http(p, a, deadline_ns) : probe_grpc(p, a, deadline_ns);
}

/* -1: there was no answer. An answer other than 200 says nothing, like an empty object. Nothing in here jumps. */
static int ask_config(struct app *p, struct arena *a, struct str *ret_body)
{
	struct http_field fields[3] = { { STR("content-type"), STR("application/json") },
					{ STR("dapr-app-id"), p->o.app_id } };
	struct http_request q = { .method = STR("GET"), .target = STR("/dapr/config"), .fields = fields, .nfields = 2 };
	struct http_client *client = app_http(p);
	struct error e = app_enter(p, 0);
	int64_t began = clock_ns();

	if (error_is(&e))
		return -1;
	q.nfields += (size_t)app_token_field(p, &fields[2]);
	metrics_http_client_started(p->o.metrics, q.method, q.target, 0);
	p->config_call = client != NULL ? http_call_new(client, a) : NULL;
	e = p->config_call != NULL ? http_call_start(p->config_call, &q) : no_memory;
	if (!error_is(&e))
		e = http_call_head(p->config_call);
	*ret_body = STR("{}");
	if (!error_is(&e) && p->config_call->status == 200)
		e = http_call_read_all(p->config_call, p->o.body_limit, ret_body);
	metrics_http_client_done(p->o.metrics, q.method, q.target, error_is(&e) ? 500 : p->config_call->status,
				 (int64_t)ret_body->n, clock_ns() - began);
	http_call_close(p->config_call);
	p->config_call = NULL;
	app_leave(p);
	return error_is(&e) ? -1 : 0;
}

static void warn_of(const struct app_config *c)
{
	size_t i, k;

	if (c->all.reminders_storage_partitions > 0)
		log_warn("remindersStoragePartitions is deprecated and will be removed in future versions");
	for (i = 0; i < c->nof; i++) {
		struct buf b = buf_init();

		if (c->of[i].reminders_storage_partitions <= 0)
			continue;
		for (k = 0; k < c->of[i].nentities; k++)
			buf_printf(&b, "%s" STR_FMT, k > 0 ? " " : "", STR_ARG(c->of[i].entities[k]));
		log_warn("remindersStoragePartitions is deprecated and will be removed in future versions (entity: "
			 "[" STR_FMT "])",
			 STR_ARG(buf_str(&b)));
		buf_free(&b);
	}
}

static void load(struct app *p, struct arena *a)
{
	struct app_config *c;
	struct str body;

	if (ask_config(p, a, &body) < 0 || (c = app_config_read(a, body)) == NULL)
		return; /* Dapr says nothing of it either */
	p->config_arena = arena_ref(a);
	atomic_store_explicit(&p->config, c, memory_order_release);
	log_info("Application configuration loaded");
	warn_of(c);
}

void app_load_config(struct app *p)
{
	struct arena *a;
	jmp_buf out;

	if (p->o.port == 0 || p->stopping)
		return;
	if (p->o.skip_config) {
		log_warn("Skipping programmatic dapr configuration loading (see 'disable-init-endpoints' "
			 "flag/annotation)");
		return;
	}
	if (!app_channel_is_http(p->o.channel))
		return; /* it says so on the stream that it opens to us */
	a = arena_new();
	if (a == NULL || setjmp(out) != 0) {
		log_error("The application's configuration was not loaded: out of memory");
	} else {
		arena_on_oom(a, &out);
		load(p, a);
		arena_on_oom(a, NULL);
	}
	arena_unref(a);
}
