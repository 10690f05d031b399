/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/policies.h"

#include "base/banned.h"
#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"
#include "policy/breakers.h"
#include "resources/resiliency.h"

#define LOG_SCOPE "dapr.runtime"
#define MS INT64_C(1000000)
#define SECOND (1000 * MS)
#define DEFAULT_BREAKERS 10000 /* of all applications that have no target of their own */

struct bound { /* names, resolved */
	int64_t timeout_ns;
	const struct retry *retry;
	const struct breaker_about *breaker;
};

struct app_target {
	struct bound use;
	struct breakers *breakers; /* NULL without a breaker */
};

struct component_target {
	struct resiliency_names in, out;
};

struct policies {
	struct arena *arena; /* grows while it is made, and as components are bound, on the first loop */
	struct metrics *metrics;
	struct map timeouts, retries, abouts; /* by name: int64_t, struct retry, struct breaker_about */
	struct map apps, components;	      /* struct app_target; struct component_target */
	struct bound app_default;
	struct breakers *defaults, *of_components;
	struct str name, name_space; /* of the resource that was loaded last: Dapr counts all under it */
	size_t n;
	struct str *names;
	const struct retry *built_in[POLICY_BUILT_INS];
};

static const struct {
	const char *name;
	struct retry retry;
} built_ins[POLICY_BUILT_INS] = {
	[POLICY_SERVICE_RETRIES] = { "DaprBuiltInServiceRetries", { .duration_ns = SECOND, .max_retries = 3 } },
	[POLICY_ACTOR_RETRIES] = { "DaprBuiltInActorRetries", { .duration_ns = SECOND, .max_retries = 3 } },
	[POLICY_ACTOR_REMINDER_RETRIES] = { "DaprBuiltInActorReminderRetries",
					    { .exponential = 1,
					      .first_ns = 500 * MS,
					      .max_interval_ns = 60 * SECOND,
					      .max_elapsed_ns = 900 * SECOND,
					      .max_retries = 0 } },
	[POLICY_ACTOR_NOT_FOUND_RETRIES] = { "DaprBuiltInActorNotFoundRetries",
					     { .duration_ns = SECOND, .max_retries = 5 } },
	[POLICY_INITIALIZATION_RETRIES] = { "DaprBuiltInInitializationRetries",
					    { .exponential = 1,
					      .first_ns = 500 * MS,
					      .max_interval_ns = SECOND,
					      .max_elapsed_ns = 10 * SECOND,
					      .max_retries = 3 } },
};

static void no_memory(struct policies *p)
{
	arena_alloc(p->arena, SIZE_MAX); /* takes the way out that arena_on_oom() named */
}

static void put(struct policies *p, struct map *m, struct str key, void *value)
{
	if (map_set(m, key, value, NULL) < 0)
		no_memory(p);
}

/* ---- Loading ---- */

static int built_in_of(struct str name)
{
	int i;

	for (i = 0; i < POLICY_BUILT_INS; i++)
		if (str_is(name, built_ins[i].name))
			return i;
	return -1;
}

static void add_retry(struct policies *p, const struct resiliency_retry *from)
{
	struct retry *r = arena_alloc(p->arena, sizeof(*r));
	int which = built_in_of(from->name);

	if (which == POLICY_ACTOR_NOT_FOUND_RETRIES) {
		log_warn("Attempted to override protected policy " STR_FMT
			 " which is not allowed. Ignoring provided policy and using default.",
			 STR_ARG(from->name));
		return;
	}
	*r = (struct retry){ .exponential = from->exponential,
			     .duration_ns = from->duration_ns,
			     .first_ns = 500 * MS,
			     .max_interval_ns = from->max_interval_ns,
			     .max_elapsed_ns = 900 * SECOND,
			     .max_retries = from->max_retries,
			     .http = from->http,
			     .grpc = from->grpc };
	if (which >= 0 && r->max_retries < 3) {
		log_warn("Attempted override of " STR_FMT " did not meet minimum retry count, resetting to 3.",
			 STR_ARG(from->name));
		r->max_retries = 3;
	}
	put(p, &p->retries, from->name, r);
	if (which >= 0)
		p->built_in[which] = r;
}

/* Compiles what is to trip. NULL: the report says why not. */
static struct breaker_about *make_about(struct policies *p, struct field_report *report,
					const struct resiliency_breaker *from)
{
	struct breaker_about *b = arena_alloc(p->arena, sizeof(*b));
	struct cel_fault fault;

	*b = (struct breaker_about){ from->name, from->max_requests, from->interval_ns, from->timeout_ns, NULL };
	if (from->trip.n == 0)
		return b;
	b->trip = cel_compile(p->arena, from->trip, &fault);
	if (b->trip != NULL)
		return b;
	field_problem(report, from->trip_at,
		      arena_printf(p->arena, "spec.policies.circuitBreakers." STR_FMT ".trip", STR_ARG(from->name)).p,
		      "line %u, column %u of the expression: " STR_FMT, fault.line, fault.column,
		      STR_ARG(fault.message));
	return NULL;
}

static void add_policies(struct policies *p, const struct resiliency *r, struct breaker_about *const *abouts)
{
	size_t i;

	for (i = 0; i < r->ntimeouts; i++)
		put(p, &p->timeouts, r->timeouts[i].name, &r->timeouts[i].ns);
	for (i = 0; i < r->nretries; i++)
		add_retry(p, &r->retries[i]);
	for (i = 0; i < r->nbreakers; i++)
		put(p, &p->abouts, r->breakers[i].name, abouts[i]);
}

/* Names are looked up when all resources have been read: link(). */
struct written_app {
	struct app_target target; /* first: what the map gives */
	const struct resiliency *in;
	const struct resiliency_target *from;
};

static void add_targets(struct policies *p, const struct resiliency *r)
{
	size_t i;

	for (i = 0; i < r->napps; i++) {
		struct written_app *t = arena_zalloc(p->arena, sizeof(*t));

		t->in = r;
		t->from = &r->apps[i];
		put(p, &p->apps, t->from->name, t);
	}
	for (i = 0; i < r->ncomponents; i++) {
		struct component_target *t = arena_alloc(p->arena, sizeof(*t));

		*t = (struct component_target){ r->components[i].in, r->components[i].out };
		put(p, &p->components, r->components[i].name, t);
	}
}

static void warn_missing(struct str target, const char *what, struct str name)
{
	log_warn("The resiliency target " STR_FMT " names the %s " STR_FMT
		 ", which no Resiliency resource in scope defines",
		 STR_ARG(target), what, STR_ARG(name));
}

static struct bound bind_names(const struct policies *p, struct str target, const struct resiliency_names *use)
{
	const int64_t *ns = use->timeout.n ? map_get(&p->timeouts, use->timeout) : NULL;
	struct bound b = { .timeout_ns = ns != NULL && *ns > 0 ? *ns : 0 };

	if (use->timeout.n > 0 && ns == NULL)
		warn_missing(target, "timeout", use->timeout);
	if (use->retry.n > 0) {
		int which = built_in_of(use->retry);

		b.retry = which >= 0 ? p->built_in[which] : map_get(&p->retries, use->retry);
		if (b.retry == NULL)
			warn_missing(target, "retry", use->retry);
	}
	if (use->breaker.n > 0) {
		b.breaker = map_get(&p->abouts, use->breaker);
		if (b.breaker == NULL)
			warn_missing(target, "circuitBreaker", use->breaker);
	}
	return b;
}

/* The first name of Default<level><what>Policy that is there; levels end with "". */
static struct str default_of(struct policies *p, const struct map *m, const struct str *levels, const char *what)
{
	struct str name;

	for (;; levels++) {
		name = arena_printf(p->arena, "Default" STR_FMT "%sPolicy", STR_ARG(*levels), what);
		if (map_get(m, name) != NULL)
			return name;
		if (levels->n == 0)
			return STR("");
	}
}

static struct bound bind_defaults(struct policies *p, const struct str *levels)
{
	struct resiliency_names use = { default_of(p, &p->timeouts, levels, "Timeout"),
					default_of(p, &p->retries, levels, "Retry"),
					default_of(p, &p->abouts, levels, "CircuitBreaker") };

	return bind_names(p, STR(""), &use);
}

static void link_apps(struct policies *p)
{
	static const struct str levels[] = { { "App", 3 }, { "", 0 } };
	const struct map_entry *e;
	size_t at = 0;

	while ((e = map_next(&p->apps, &at)) != NULL) {
		struct written_app *t = e->value;

		t->target.use = bind_names(p, t->from->name, &t->from->use);
		if (t->target.use.breaker == NULL)
			continue;
		t->target.breakers = breakers_new((size_t)t->from->breakers);
		if (t->target.breakers == NULL)
			no_memory(p);
	}
	p->app_default = bind_defaults(p, levels);
	p->defaults = breakers_new(DEFAULT_BREAKERS);
	p->of_components = breakers_new(SIZE_MAX);
	if (p->defaults == NULL || p->of_components == NULL)
		no_memory(p);
}

static int read_one(struct policies *p, struct field_report *report, const struct resource *r)
{
	struct resiliency *is = arena_zalloc(p->arena, sizeof(*is));
	struct breaker_about **abouts;
	size_t i;

	if (resiliency_read(report, r, is) < 0)
		return -1;
	abouts = arena_alloc(p->arena, (is->nbreakers + 1) * sizeof(struct breaker_about *));
	for (i = 0; i < is->nbreakers; i++) {
		abouts[i] = make_about(p, report, &is->breakers[i]);
		if (abouts[i] == NULL)
			return -1;
	}
	add_policies(p, is, abouts);
	add_targets(p, is);
	return 0;
}

static void load(struct policies *p, const struct resources *resources)
{
	const struct resource_list *list = &resources->of[RESOURCE_RESILIENCY];
	size_t i;

	p->names = arena_alloc(p->arena, (list->n + 1) * sizeof(*p->names));
	for (i = 0; i < list->n; i++) {
		const struct resource *r = &list->p[i];
		struct field_report report = { .arena = p->arena,
					       .rules = YAML_RESOURCE,
					       .file = r->file,
					       .problems = buf_in(p->arena),
					       .unknown = resource_unknown_field,
					       .arg = (void *)(uintptr_t)r };

		log_info("Loading Resiliency configuration: " STR_FMT, STR_ARG(r->name));
		if (read_one(p, &report, r) < 0) {
			log_error("Could not read resiliency policy " STR_FMT ": " STR_FMT, STR_ARG(r->name),
				  STR_ARG(buf_str(&report.problems)));
			continue;
		}
		p->name = r->name;
		p->name_space = r->namespace;
		p->names[p->n++] = r->name;
		metrics_policy_loaded(p->metrics, r->name, r->namespace);
	}
	link_apps(p);
}

struct policies *policies_new(const struct resources *resources, struct metrics *m)
{
	struct policies *p = mem_zalloc(sizeof(*p));
	jmp_buf oom;
	int i;

	if (p == NULL)
		return NULL;
	p->arena = arena_new();
	p->metrics = m;
	p->name = p->name_space = STR("");
	for (i = 0; i < POLICY_BUILT_INS; i++)
		p->built_in[i] = &built_ins[i].retry;
	if (p->arena == NULL || setjmp(oom) != 0) {
		policies_free(p);
		return NULL;
	}
	arena_on_oom(p->arena, &oom);
	load(p, resources);
	arena_on_oom(p->arena, NULL);
	return p;
}

void policies_free(struct policies *p)
{
	const struct map_entry *e;
	size_t at = 0;

	if (p == NULL)
		return;
	while ((e = map_next(&p->apps, &at)) != NULL)
		breakers_free(((struct app_target *)e->value)->breakers);
	breakers_free(p->defaults);
	breakers_free(p->of_components);
	map_free(&p->timeouts);
	map_free(&p->retries);
	map_free(&p->abouts);
	map_free(&p->apps);
	map_free(&p->components);
	if (p->arena != NULL)
		arena_unref(p->arena);
	mem_free(p);
}

/* ---- Finding ---- */

static void drop_breaker(void *breaker)
{
	breaker_unref(breaker);
}

static struct policy *make(const struct policies *p, struct arena *a, const struct bound *b, struct breaker *breaker)
{
	struct policy *made = arena_zalloc(a, sizeof(*made));

	made->timeout_ns = b->timeout_ns;
	made->retry = b->retry;
	made->breaker = breaker;
	made->metrics = p->metrics;
	made->about.name = p->name;
	made->about.name_space = p->name_space;
	if (breaker != NULL)
		arena_defer(a, drop_breaker, breaker);
	return made;
}

const struct policy *policies_app(struct policies *p, struct arena *a, struct str app, struct str method)
{
	const struct app_target *t = p ? map_get(&p->apps, app) : NULL;
	const struct bound *b = t ? &t->use : p ? &p->app_default : NULL;
	struct breaker *breaker = NULL;
	struct policy *made;
	struct str endpoint;

	if (b == NULL || (b->timeout_ns == 0 && b->retry == NULL && b->breaker == NULL))
		return NULL;
	endpoint = arena_printf(a, STR_FMT ":" STR_FMT, STR_ARG(app), STR_ARG(method));
	if (b->breaker != NULL && t != NULL)
		breaker = breakers_get(t->breakers, endpoint, b->breaker, endpoint);
	else if (b->breaker != NULL)
		breaker = breakers_get(p->defaults,
				       arena_printf(a, STR_FMT "\n" STR_FMT, STR_ARG(app), STR_ARG(endpoint)),
				       b->breaker, endpoint);
	made = make(p, a, b, breaker);
	made->name = arena_printf(a, "endpoint[" STR_FMT ", " STR_FMT "]", STR_ARG(app), STR_ARG(endpoint));
	made->about.target = arena_printf(a, "app_" STR_FMT, STR_ARG(app));
	return made;
}

int policies_has_app(const struct policies *p, struct str app)
{
	return p != NULL && map_get(&p->apps, app) != NULL;
}

static const char *const kinds[] = {
	[POLICY_STATE] = "Statestore", [POLICY_SECRETS] = "Secretstore",	 [POLICY_PUBSUB] = "Pubsub",
	[POLICY_BINDING] = "Binding",  [POLICY_CONFIGURATION] = "Configuration", [POLICY_LOCK] = "Lock",
	[POLICY_CRYPTO] = "Crypto",    [POLICY_CONVERSATION] = "Conversation",
};

static const struct policy *bind_component(struct policies *p, struct str name, enum policy_kind kind, int inbound)
{
	const struct component_target *t = map_get(&p->components, name);
	const char *direction = inbound ? "Inbound" : "Outbound";
	struct arena *a = p->arena;
	struct breaker *breaker = NULL;
	struct policy *made;
	struct bound b;

	if (t != NULL) {
		b = bind_names(p, name, inbound ? &t->in : &t->out);
	} else {
		const struct str levels[] = { arena_printf(a, "%sComponent%s", kinds[kind], direction),
					      arena_printf(a, "Component%s", direction), STR("Component"), STR("") };

		b = bind_defaults(p, levels);
	}
	if (b.timeout_ns == 0 && b.retry == NULL && b.breaker == NULL)
		return NULL;
	if (b.breaker != NULL)
		breaker = breakers_get(p->of_components, name, b.breaker,
				       arena_printf(a, STR_FMT "-" STR_FMT, STR_ARG(b.breaker->name), STR_ARG(name)));
	made = make(p, a, &b, breaker);
	made->name = arena_printf(a, "component[" STR_FMT "] %s", STR_ARG(name), inbound ? "input" : "output");
	made->about.target = arena_printf(a, "%s_" STR_FMT, kinds[kind], STR_ARG(name));
	made->about.inbound = inbound;
	return made;
}

const struct policy *policies_component(struct policies *p, struct str name, enum policy_kind kind, int inbound)
{
	const struct policy *volatile made = NULL;
	jmp_buf oom;

	if (p == NULL)
		return NULL;
	if (setjmp(oom) == 0) {
		arena_on_oom(p->arena, &oom);
		made = bind_component(p, name, kind, inbound);
	}
	arena_on_oom(p->arena, NULL);
	return made;
}

struct policy policies_built_in(const struct policies *p, enum policy_built_in which)
{
	return (struct policy){ .name = str_of(built_ins[which].name),
				.retry = p ? p->built_in[which] : &built_ins[which].retry };
}

size_t policies_count(const struct policies *p)
{
	return p ? p->n : 0;
}

struct str policies_name(const struct policies *p, size_t i)
{
	return p->names[i];
}
