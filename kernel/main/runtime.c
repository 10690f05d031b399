/* SPDX-License-Identifier: Apache-2.0 */
/* In which order everything of a process starts and stops. */
#include "base/banned.h"
#include "base/clock.h"
#include "base/duration.h"
#include "base/log.h"
#include "blocks/endpoints.h"
#include "loop/fiber.h"
#include "loop/loop.h"
#include "loop/watchdog.h"
#include "main/options.h"
#include "main/runtime_inside.h"

#define LOG_SCOPE "dapr.runtime"

static int64_t duration_ms(const char *name, int64_t fallback)
{
	int64_t ns;

	return duration_parse(runtime_environment(name), &ns) == 0 && ns >= 1000000 ? ns / 1000000 : fallback;
}

static int make_loops(struct runtime *r)
{
	for (; r->nloops < (int)r->o->loops && r->nloops < LOOPS_MOST; r->nloops++) {
		struct loop *l = loop_new(r->nloops);

		if (l == NULL)
			break;
		if (loop_start(l) < 0) {
			loop_free(l);
			break;
		}
		r->loops[r->nloops] = l;
	}
	return r->nloops > 0 ? 0 : -1;
}

static void warn_of_scopes(const struct runtime *r)
{
	size_t i;

	for (i = 0; i < r->configuration->nsecret_scopes; i++) {
		struct str name = r->configuration->secret_scopes[i].store_name;

		if (map_get(&r->blocks->secrets, name) == NULL)
			log_warn("Secrets configuration added for '" STR_FMT
				 "', but no matching secret store was found",
				 STR_ARG(name));
	}
}

static void open_names(struct runtime *r)
{
	struct names_options o = {
		.app_id = r->o->app_id,
		.name_space = runtime_environment("NAMESPACE"),
		.listen = r->o->dapr_internal_grpc_listen_address,
		.port = r->servers.internal_port,
		.configuration = r->configuration,
		.registry = r->registry,
		.loops = r->loops,
		.nloops = r->nloops,
		.metrics = r->metrics,
	};

	if (r->o->min_tier.n > 0)
		tier_of(r->o->min_tier, &o.min_tier);
	r->names = names_open(&o);
	r->invoker.names = r->names;
	if (r->names != NULL)
		r->invoker.host = names_host(r->names);
}

static void open_components(void *arg)
{
	struct runtime *r = arg;
	struct blocks_options o = {
		.app_id = r->o->app_id,
		.name_space = runtime_environment("NAMESPACE"),
		.pod_name = runtime_environment("POD_NAME"),
		.registry = r->registry,
		.pluggable = r->pluggable,
		.configuration = r->configuration,
		.resources = r->resources,
		.metrics = r->metrics,
		.policies = r->policies,
		.loops = r->loops,
		.nloops = r->nloops,
		.env_keys = getenv("DAPR_ENV_KEYS"),
	};

	if (r->o->min_tier.n > 0)
		tier_of(r->o->min_tier, &o.min_tier);
	log_info("Waiting for all outstanding components to be processed…");
	open_names(r);
	r->blocks = blocks_open(&o);
	if (r->blocks != NULL && r->blocks->failure.n == 0)
		log_info("All outstanding components processed");
	if (r->blocks != NULL)
		outside_know(r->invoker.outside, endpoints_read(r->blocks, r->resources));
	r->hook.tell(r->hook.ctx, RUNTIME_OPENED);
	uv_sem_post(&r->opened);
}

static void start_opening(struct loop_task *t)
{
	struct runtime *r = (struct runtime *)((char *)t - offsetof(struct runtime, task));

	if (fiber_start(r->loops[0], open_components, r) < 0)
		uv_sem_post(&r->opened);
}

struct runtime *runtime_new(const struct options *o, const struct runtime_hook *hook, struct arena *a,
			    struct str *ret_message)
{
	struct arena *own = arena_new();
	struct runtime *r = own ? arena_zalloc(own, sizeof(*r)) : NULL;
	struct peers_options peers;
	struct str why;

	if (r == NULL) {
		*ret_message = STR("out of memory");
		return NULL;
	}
	r->arena = own;
	r->o = o;
	r->hook = *hook;
	r->began_ms = clock_ms();
	log_info(STR_FMT " mode configured", STR_ARG(o->mode));
	log_info("app id: " STR_FMT, STR_ARG(o->app_id));
	if (runtime_read(r, a, ret_message) < 0 || runtime_make_metrics(r, a, ret_message) < 0 ||
	    runtime_make_policies(r, ret_message) < 0)
		goto failed;
	*ret_message = STR("out of memory, or no threads or descriptors are left");
	if (make_loops(r) < 0 || runtime_make_api(r) < 0)
		goto failed;
	if (spans_open(r->configuration, o->app_id, r->metrics, r->loops[0], own, &r->api.tracer, &r->exporters, &why) <
	    0) {
		*ret_message = arena_str(a, why);
		goto failed;
	}
	r->watchdog = watchdog_new(r->loops, r->nloops); /* without memory nobody watches, and all else goes on */
	r->servers.loops = r->loops;
	r->servers.nloops = r->nloops;
	r->servers.internal_port = o->number.internal_grpc_port > 0 ? o->number.internal_grpc_port
								    : options_internal_port(o->app_id);
	peers.body_limit = r->api.body_limit;
	peers.idle_ms = duration_ms("DAPR_GRPC_MAX_CONN_IDLE", 180000);
	peers.look_ms = duration_ms("DAPR_GRPC_CONN_COLLECTOR_INTERVAL", 45000);
	peers.header_limit = o->read_buffer_size > 0 ? (size_t)o->read_buffer_size + 4096 : 0;
	r->invoker.peers = peers_new(&peers, r->loops, r->nloops);
	r->invoker.outside = outside_new(r->loops, r->nloops);
	if (r->invoker.peers == NULL || r->invoker.outside == NULL)
		goto failed;
	if (uv_sem_init(&r->opened, 0) < 0)
		goto failed;
	r->opening = 1;
	r->task.run = start_opening;
	loop_post(r->loops[0], &r->task);
	return r;
failed:
	runtime_free(r, 0);
	return NULL;
}

int runtime_serve(struct runtime *r, struct arena *a, struct str *ret_message)
{
	if (r->blocks == NULL || r->names == NULL) {
		*ret_message = STR("out of memory");
		return -1;
	}
	if (r->blocks->failure.n > 0) {
		*ret_message = arena_str(a, r->blocks->failure);
		return -1;
	}
	warn_of_scopes(r);
	atomic_store_explicit(&r->api.blocks, r->blocks, memory_order_release);
	if (runtime_make_subscribers(r, a, ret_message) < 0)
		return -1;
	if (servers_open(&r->servers, r->o, &r->api, a, ret_message) < 0)
		return -1;
	r->api.ready |= API_READY_OUTBOUND;
	return runtime_start_app(r, a, ret_message);
}

void runtime_ready(struct runtime *r)
{
	r->api.ready |= API_READY;
	log_info("dapr initialized. Status: Running. Init Elapsed %lldms", (long long)(clock_ms() - r->began_ms));
}

void runtime_look(struct runtime *r)
{
	watchdog_look(r->watchdog);
}

static void stop_events(void *arg)
{
	struct runtime *r = arg;

	subscribers_stop(r->subscribers, 1, r->within_ms);
	uv_sem_post(&r->closed);
}

static void start_stopping(struct loop_task *t)
{
	struct runtime *r = (struct runtime *)((char *)t - offsetof(struct runtime, task));

	if (fiber_start(r->loops[0], stop_events, r) < 0)
		uv_sem_post(&r->closed);
}

/* Runs on the first loop and waits. */
static void run_there(struct runtime *r, void (*run)(struct loop_task *t), int within_ms)
{
	if (uv_sem_init(&r->closed, 0) < 0)
		return;
	r->within_ms = within_ms;
	r->task.run = run;
	loop_post(r->loops[0], &r->task);
	uv_sem_wait(&r->closed);
	uv_sem_destroy(&r->closed);
}

void runtime_stop_events(struct runtime *r, int within_ms)
{
	if (r->subscribers != NULL)
		run_there(r, start_stopping, within_ms);
}

static void close_components(void *arg)
{
	struct runtime *r = arg;

	if (names_close(r->names, r->within_ms) < 0)
		log_error("Name resolution did not close within %d ms and is left alone", r->within_ms);
	blocks_close(r->blocks, r->within_ms);
	uv_sem_post(&r->closed);
}

static void start_closing(struct loop_task *t)
{
	struct runtime *r = (struct runtime *)((char *)t - offsetof(struct runtime, task));

	if (fiber_start(r->loops[0], close_components, r) < 0)
		uv_sem_post(&r->closed);
}

void runtime_free(struct runtime *r, int within_ms)
{
	int64_t until = clock_ms() + within_ms, left;
	int i;

	/* A signal may come while components are being opened; who calls has set a bound to all of this. */
	if (r->opening) {
		uv_sem_wait(&r->opened);
		uv_sem_destroy(&r->opened);
	}
	runtime_stop_events(r, within_ms);
	if (r->app != NULL)
		app_stop(r->app);
	servers_drain(&r->servers);
	r->api.ready = 0;
	r->api.waiting_for = "runtime";
	servers_close(&r->servers, within_ms);
	peers_free(r->invoker.peers);
	outside_free(r->invoker.outside);
	app_free(r->app);
	left = until - clock_ms();
	if (r->blocks != NULL) {
		log_info("Dapr is shutting down");
		run_there(r, start_closing, left > 500 ? (int)left : 500);
		log_info("Dapr runtime stopped");
	}
	exporters_stop(r->exporters, clock_ms() + 500 < until ? (int)(until - clock_ms()) : 500);
	for (i = 0; i < r->nloops; i++)
		loop_stop(r->loops[i]);
	for (i = 0; i < r->nloops; i++) {
		loop_join(r->loops[i]);
		loop_free(r->loops[i]);
	}
	watchdog_free(r->watchdog);
	if (r->api_made)
		api_release(&r->api);
	subscribers_free(r->subscribers);
	registry_free(r->registry);
	pluggable_free(r->pluggable);
	exporters_free(r->exporters);
	policies_free(r->policies);
	metrics_free(r->metrics);
	resources_unref(r->resources);
	configuration_unref(r->configuration);
	arena_unref(r->arena);
}
