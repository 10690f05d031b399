/* SPDX-License-Identifier: Apache-2.0 */
#include "main/runtime.h"

#include <unistd.h>

#include "api/access.h"
#include "api/api.h"
#include "api/cors.h"
#include "app/app.h"
#include "base/banned.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/duration.h"
#include "base/log.h"
#include "base/mem.h"
#include "blocks/blocks.h"
#include "blocks/endpoints.h"
#include "loop/fiber.h"
#include "loop/loop.h"
#include "loop/watchdog.h"
#include "main/places.h"
#include "main/refuse.h"
#include "main/servers.h"
#include "main/spans.h"
#include "pluggable/pluggable.h"
#include "policy/policies.h"

#define LOG_SCOPE "dapr.runtime"
#define LOOPS_MOST 64

struct runtime {
	struct arena *arena; /* of this start */
	const struct options *o;
	struct runtime_hook hook;
	struct configuration *configuration;
	struct resources *resources;
	struct metrics *metrics;
	struct exporters *exporters; /* NULL: spans go nowhere */
	struct registry *registry;
	struct policies *policies; /* NULL: no Resiliency resource */
	struct pluggable *pluggable;
	struct loop *loops[LOOPS_MOST];
	int nloops;
	struct watchdog *watchdog;
	struct blocks *blocks; /* set on the first loop, read after RUNTIME_OPENED */
	struct api api;
	int api_made;
	struct servers servers;
	struct app *app; /* NULL: no --app-port */
	struct subscribers *subscribers;
	struct invoker invoker;
	struct names *names;	/* set on the first loop, as blocks is */
	struct str names_failure; /* in arena */
	struct loop_task task;
	int64_t began_ms;
	int within_ms; /* while closing */
	uv_sem_t closed, opened;
	int opening; /* opened is there to be waited for */
};

static struct str environment(const char *name)
{
	const char *v = getenv(name);

	return str_of(v ? v : "");
}

static int64_t duration_ms(const char *name, int64_t fallback)
{
	int64_t ns;

	return duration_parse(environment(name), &ns) == 0 && ns >= 1000000 ? ns / 1000000 : fallback;
}

static int64_t live_fibers(void *arg)
{
	(void)arg;
	return fiber_live();
}

/* Configuration's metric section as the registry wants it. */
static int make_metrics(struct runtime *r, struct arena *a, struct str *ret_message)
{
	const struct configuration_metric *m = &r->configuration->metric;
	double *buckets = arena_alloc(a, sizeof(*buckets) * (m->latency_buckets.n + 1));
	struct metrics_options o = {
		.enabled = m->enabled,
		.app_id = r->o->app_id,
		.namespace = environment("NAMESPACE"),
		.increased_cardinality = m->http.increased_cardinality != 0,
		.exclude_verbs = m->http.exclude_verbs > 0,
		.record_error_codes = m->record_error_codes,
		.npath_matching = m->http.path_matching.n,
		.path_matching = m->http.path_matching.p,
		.nlatency_buckets = m->latency_buckets.n,
		.latency_buckets = buckets,
		.fibers = live_fibers,
	};
	struct metric_rule *rules;
	size_t i, k, n, nrules = 0;

	for (i = 0; i < m->latency_buckets.n; i++)
		buckets[i] = (double)m->latency_buckets.p[i];
	for (i = 0; i < m->nrules; i++)
		for (k = 0; k < m->rules[i].nlabels; k++)
			nrules += m->rules[i].labels[k].regex.n;
	rules = arena_zalloc(a, sizeof(*rules) * (nrules + 1));
	o.rules = rules;
	for (i = 0; i < m->nrules; i++)
		for (k = 0; k < m->rules[i].nlabels; k++)
			for (n = 0; n < m->rules[i].labels[k].regex.n; n++)
				rules[o.nrules++] = (struct metric_rule){ m->rules[i].name, m->rules[i].labels[k].name,
									  m->rules[i].labels[k].regex.p[n].value,
									  m->rules[i].labels[k].regex.p[n].key };
	r->metrics = metrics_new(&o, a, ret_message);
	if (r->metrics == NULL) { /* as Dapr: a bad rule or pattern costs the metrics, not the start */
		log_error("Metrics are switched off: " STR_FMT, STR_ARG(*ret_message));
		o = (struct metrics_options){ .app_id = o.app_id, .namespace = o.namespace, .fibers = live_fibers };
		r->metrics = metrics_new(&o, a, ret_message);
	}
	return r->metrics ? 0 : -1;
}

static struct str tagged(struct arena *a, const struct error *e)
{
	return e->tag ? arena_printf(a, "%s: " STR_FMT, e->tag, STR_ARG(e->message)) : e->message;
}

static void tell_features(const struct configuration *c)
{
	struct buf b = buf_init();
	size_t i;

	for (i = 0; i < c->nfeatures; i++)
		if (c->features[i].enabled)
			buf_printf(&b, "%s" STR_FMT, b.n ? " " : "", STR_ARG(c->features[i].name));
	if (b.n > 0)
		log_info("Enabled features: " STR_FMT, STR_ARG(buf_str(&b)));
	buf_free(&b);
}

static void shut_down(void *ctx, int force)
{
	struct runtime *r = ctx;

	r->hook.tell(r->hook.ctx, force ? RUNTIME_FORCED : RUNTIME_SHUTDOWN);
}

static const char *const protocols[] = { "http", "https", "h2c", "grpc", "grpcs" };

static int make_policies(struct runtime *r, struct str *ret_message)
{
	if (r->resources->of[RESOURCE_RESILIENCY].n == 0)
		return 0;
	r->policies = policies_new(r->resources, r->metrics);
	*ret_message = STR("out of memory");
	return r->policies != NULL ? 0 : -1;
}

static void describe_app(struct runtime *r)
{
	const struct options *o = r->o;
	struct api *api = &r->api;
	char text[DURATION_TEXT];

	api->app.port = o->number.app_port;
	api->app.protocol = str_of(protocols[o->protocol]);
	api->app.channel_address = o->app_channel_address;
	api->app.max_concurrency = o->app_max_concurrency > 0 ? (int)o->app_max_concurrency : 0;
	if (!o->enable_app_health_check)
		return;
	api->app.health = 1;
	if (o->protocol < APP_PROTOCOL_GRPC)
		api->app.health_path = o->app_health_check_path;
	duration_text(o->app_health_probe_interval * 1000000000, text);
	api->app.health_interval = arena_str(r->arena, str_of(text));
	duration_text(o->app_health_probe_timeout * 1000000, text);
	api->app.health_timeout = arena_str(r->arena, str_of(text));
	api->app.health_threshold = (int)o->app_health_threshold;
}

/* The ways to other applications and from them; who answers there comes as the start goes on. */
static void make_invoker(struct runtime *r)
{
	struct invoker *v = &r->invoker;
	char machine[256] = "";

	gethostname(machine, sizeof(machine) - 1);
	v->app_id = r->o->app_id;
	v->name_space = getenv("NAMESPACE") ? environment("NAMESPACE") : STR("default");
	v->host = STR("");
	v->host_name = arena_str(r->arena, str_of(machine));
	v->metrics = r->metrics;
	v->policies = r->policies;
	r->api.invoker = v;
	r->api.mesh.app_id = r->o->app_id;
	r->api.mesh.tracer = &r->api.tracer;
	r->api.mesh.metrics = r->metrics;
	r->api.mesh.body_limit = r->api.body_limit;
}

static int make_api(struct runtime *r)
{
	const struct configuration *c = r->configuration;
	struct api *api = &r->api;

	api->arena = r->arena;
	api->app_id = r->o->app_id;
	api->token = environment("DAPR_API_TOKEN");
	api->body_limit = r->o->max_body_size > 0 ? (size_t)r->o->max_body_size : 0;
	api->log_calls = r->o->enable_api_logging < 0 ? c->api_logging.enabled : r->o->enable_api_logging;
	api->log_obfuscate = c->api_logging.obfuscate_urls;
	api->log_health = !c->api_logging.omit_health_checks;
	api->configuration = c;
	api->metrics = r->metrics;
	api->tracer = spans_tracer(c);
	api->access = access_new(r->arena, c);
	api->cors = cors_new(r->arena, r->o->allowed_origins);
	api->waiting_for = "runtime";
	api->shut_down = shut_down;
	api->ctx = r;
	describe_app(r);
	make_invoker(r);
	r->api_made = api_init(api) == 0;
	return r->api_made ? 0 : -1;
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

static void open_names(struct runtime *r)
{
	struct names_options o = {
		.app_id = r->o->app_id,
		.name_space = environment("NAMESPACE"),
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
	r->names = names_open(&o, r->arena, &r->names_failure);
	r->invoker.names = r->names;
	if (r->names != NULL)
		r->invoker.host = names_host(r->names);
}

static void open_components(void *arg)
{
	struct runtime *r = arg;
	struct blocks_options o = {
		.app_id = r->o->app_id,
		.name_space = environment("NAMESPACE"),
		.pod_name = environment("POD_NAME"),
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

static int read_all(struct runtime *r, struct arena *a, struct str *ret_message)
{
	const char **paths = arena_alloc(a, sizeof(*paths) * (r->o->resources_path.n + r->o->config.n + 1));
	struct str *roots;
	struct pluggable_options sockets;
	struct error e = ERROR_NONE;
	size_t i, nroots;

	for (i = 0; i < r->o->config.n; i++)
		paths[i] = r->o->config.at[i].p;
	r->configuration = configuration_load(paths, r->o->config.n, a, &e);
	if (r->configuration == NULL) {
		*ret_message = tagged(a, &e);
		return -1;
	}
	if (refuse_unprotected(r->o, r->configuration, a, ret_message) < 0)
		return -1;
	refuse_tell_unused(r->o, r->configuration);
	tell_features(r->configuration);
	for (i = 0; i < r->o->resources_path.n; i++)
		paths[i] = r->o->resources_path.at[i].p;
	r->resources = resources_load(paths, r->o->resources_path.n, r->o->app_id, environment("NAMESPACE"), a, &e);
	if (r->resources == NULL) {
		*ret_message = tagged(a, &e);
		return -1;
	}
	roots = places_plugins(r->o, a, &nroots);
	r->registry = registry_new(roots, nroots);
	sockets.folder = places_sockets(&sockets.expected);
	r->pluggable = pluggable_new(&sockets);
	if (r->registry == NULL || r->pluggable == NULL) {
		*ret_message = STR("out of memory");
		return -1;
	}
	return 0;
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
	if (read_all(r, a, ret_message) < 0 || make_metrics(r, a, ret_message) < 0 ||
	    make_policies(r, ret_message) < 0)
		goto failed;
	*ret_message = STR("out of memory, or no threads or descriptors are left");
	if (make_loops(r) < 0 || make_api(r) < 0)
		goto failed;
	if (spans_open(r->configuration, o->app_id, r->metrics, r->loops[0], own, &r->api.tracer, &r->exporters, &why) < 0) {
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

static void warn_of_scopes(const struct runtime *r)
{
	size_t i;

	for (i = 0; i < r->configuration->nsecret_scopes; i++) {
		struct str name = r->configuration->secret_scopes[i].store_name;

		if (map_get(&r->blocks->secrets, name) == NULL)
			log_warn("Secrets configuration added for '" STR_FMT "', but no matching secret store was found",
				 STR_ARG(name));
	}
}

static void app_ready(void *ctx)
{
	struct runtime *r = ctx;

	r->hook.tell(r->hook.ctx, RUNTIME_APP_READY);
}

static void app_changed(void *ctx, int healthy)
{
	struct runtime *r = ctx;

	if (!healthy)
		r->hook.tell(r->hook.ctx, RUNTIME_APP_UNHEALTHY);
	subscribers_changed(r->subscribers, healthy);
}

static int lists(const struct options_list *l, const char *word)
{
	size_t i;

	for (i = 0; i < l->n; i++)
		if (str_is(l->at[i], word))
			return 1;
	return 0;
}

/* Begins to wait for the application, which ends in app_ready(). */
static int start_app(struct runtime *r, struct arena *a, struct str *ret_message)
{
	static const enum app_channel channels[] = { APP_CHANNEL_HTTP, APP_CHANNEL_HTTPS, APP_CHANNEL_H2C, APP_CHANNEL_GRPC,
						     APP_CHANNEL_GRPCS };
	const struct options *o = r->o;
	struct app_options p = {
		.app_id = o->app_id,
		.address = o->app_channel_address,
		.port = o->number.app_port,
		.channel = channels[o->protocol],
		.max_concurrency = r->api.app.max_concurrency,
		.token = environment("APP_API_TOKEN"),
		.body_limit = r->api.body_limit,
		.header_limit = (size_t)o->read_buffer_size,
		.skip_config = lists(&o->disable_init_endpoints, "config"),
		.health_check = o->enable_app_health_check,
		.health_path = o->app_health_check_path,
		.health_interval_ns = o->app_health_probe_interval * 1000000000,
		.health_timeout_ns = o->app_health_probe_timeout * 1000000,
		.health_threshold = (int)o->app_health_threshold,
		.metrics = r->metrics,
		.ctx = r,
		.ready = app_ready,
		.changed = app_changed,
	};
	struct error e;

	r->app = app_new(&p, r->loops, r->nloops, a, &e);
	if (r->app == NULL) {
		*ret_message = e.message;
		return -1;
	}
	if (o->number.app_port > 0)
		subscribers_call(r->subscribers, r->app);
	atomic_store_explicit(&r->invoker.app, r->app, memory_order_release);
	atomic_store_explicit(&r->api.mesh.app, r->app, memory_order_release);
	app_start(r->app);
	return 0;
}

static int make_subscribers(struct runtime *r, struct arena *a, struct str *ret_message)
{
	struct subscribers_options o = { .resources = r->resources, .tracer = &r->api.tracer,
					 .skip_list = lists(&r->o->disable_init_endpoints, "subscribe"), .loops = r->loops,
					 .nloops = r->nloops };

	r->subscribers = subscribers_new(&o, a, ret_message);
	if (r->subscribers == NULL)
		return -1;
	subscribers_use(r->subscribers, r->blocks);
	r->api.subscribers = r->subscribers;
	return 0;
}

int runtime_serve(struct runtime *r, struct arena *a, struct str *ret_message)
{
	if (r->blocks == NULL) {
		*ret_message = STR("out of memory");
		return -1;
	}
	if (r->names == NULL) {
		*ret_message = arena_str(a, r->names_failure);
		return -1;
	}
	if (r->blocks->failure.n > 0) {
		*ret_message = arena_str(a, r->blocks->failure);
		return -1;
	}
	warn_of_scopes(r);
	metrics_component_loaded(r->metrics);
	atomic_store_explicit(&r->api.blocks, r->blocks, memory_order_release);
	if (make_subscribers(r, a, ret_message) < 0)
		return -1;
	if (servers_open(&r->servers, r->o, &r->api, a, ret_message) < 0)
		return -1;
	r->api.ready |= API_READY_OUTBOUND;
	return start_app(r, a, ret_message);
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
