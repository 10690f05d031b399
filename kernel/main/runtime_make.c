/* SPDX-License-Identifier: Apache-2.0 */
/* What a start is made of, from the flags and the files. */
#include <unistd.h>

#include "api/access.h"
#include "api/cors.h"
#include "base/banned.h"
#include "base/buf.h"
#include "base/log.h"
#include "loop/fiber.h"
#include "main/places.h"
#include "main/refuse.h"
#include "main/runtime_inside.h"

#define LOG_SCOPE "dapr.runtime"

struct str runtime_environment(const char *name)
{
	const char *v = getenv(name);

	return str_of(v ? v : "");
}

static int64_t live_fibers(void *arg)
{
	(void)arg;
	return fiber_live();
}

/* Configuration's metric section as the registry wants it. */
int runtime_make_metrics(struct runtime *r, struct arena *a, struct str *ret_message)
{
	const struct configuration_metric *m = &r->configuration->metric;
	double *buckets = arena_alloc(a, sizeof(*buckets) * (m->latency_buckets.n + 1));
	struct metrics_options o = {
		.enabled = m->enabled,
		.app_id = r->o->app_id,
		.namespace = runtime_environment("NAMESPACE"),
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

int runtime_read(struct runtime *r, struct arena *a, struct str *ret_message)
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
	r->resources = resources_load(paths, r->o->resources_path.n, r->o->app_id, runtime_environment("NAMESPACE"), a,
				      &e);
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

int runtime_make_policies(struct runtime *r, struct str *ret_message)
{
	if (r->resources->of[RESOURCE_RESILIENCY].n == 0)
		return 0;
	r->policies = policies_new(r->resources, r->metrics);
	*ret_message = STR("out of memory");
	return r->policies != NULL ? 0 : -1;
}

static void shut_down(void *ctx, int force)
{
	struct runtime *r = ctx;

	r->hook.tell(r->hook.ctx, force ? RUNTIME_FORCED : RUNTIME_SHUTDOWN);
}

/* The ways to other applications and from them; who answers there comes as the start goes on. */
static void make_invoker(struct runtime *r)
{
	struct invoker *v = &r->invoker;
	char machine[256] = "";

	gethostname(machine, sizeof(machine) - 1);
	v->app_id = r->o->app_id;
	v->name_space = getenv("NAMESPACE") ? runtime_environment("NAMESPACE") : STR("default");
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

int runtime_make_api(struct runtime *r)
{
	const struct configuration *c = r->configuration;
	struct api *api = &r->api;

	api->arena = r->arena;
	api->app_id = r->o->app_id;
	api->token = runtime_environment("DAPR_API_TOKEN");
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
	runtime_describe_app(r);
	make_invoker(r);
	r->api_made = api_init(api) == 0;
	return r->api_made ? 0 : -1;
}
