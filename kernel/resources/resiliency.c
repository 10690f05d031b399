/* SPDX-License-Identifier: Apache-2.0 */
#include "resources/resiliency.h"

#include "base/banned.h"
#include "base/duration.h"

#define SECOND INT64_C(1000000000)

struct written_retry {
	struct str name, policy, duration, max_interval, http, grpc;
	int32_t max_retries;
	const struct yaml_node *bounded; /* NULL: maxRetries was not given */
};

struct written_breaker {
	struct str name, interval, timeout, trip;
	int32_t max_requests;
};

struct written_target {
	struct str name;
	struct resiliency_names use;
	struct str scope;
	int32_t breakers;
};

struct written {
	const struct yaml_node *timeouts;
	size_t nretries, nbreakers, napps, nactors, ncomponents;
	struct written_retry *retries;
	struct written_breaker *breakers;
	struct written_target *apps, *actors;
	struct resiliency_component *components;
};

static const struct field matching_fields[] = {
	FIELD("httpStatusCodes", FIELD_STR, struct written_retry, http),
	FIELD("gRPCStatusCodes", FIELD_STR, struct written_retry, grpc),
	FIELD_END,
};

static const struct field retry_fields[] = {
	FIELD("policy", FIELD_STR, struct written_retry, policy),
	FIELD("duration", FIELD_STR, struct written_retry, duration),
	FIELD("maxInterval", FIELD_STR, struct written_retry, max_interval),
	FIELD("maxRetries", FIELD_INT32, struct written_retry, max_retries),
	FIELD("maxRetries", FIELD_NODE, struct written_retry, bounded),
	FIELD_INLINE("matching", matching_fields),
	FIELD_END,
};

static const struct field breaker_fields[] = {
	FIELD("maxRequests", FIELD_INT32, struct written_breaker, max_requests),
	FIELD("interval", FIELD_STR, struct written_breaker, interval),
	FIELD("timeout", FIELD_STR, struct written_breaker, timeout),
	FIELD("trip", FIELD_STR, struct written_breaker, trip),
	FIELD_END,
};

static const struct field target_fields[] = {
	FIELD("timeout", FIELD_STR, struct written_target, use.timeout),
	FIELD("retry", FIELD_STR, struct written_target, use.retry),
	FIELD("circuitBreaker", FIELD_STR, struct written_target, use.breaker),
	FIELD("circuitBreakerCacheSize", FIELD_INT32, struct written_target, breakers),
	FIELD("circuitBreakerScope", FIELD_STR, struct written_target, scope),
	FIELD_END,
};

static const struct field names_fields[] = {
	FIELD("timeout", FIELD_STR, struct resiliency_names, timeout),
	FIELD("retry", FIELD_STR, struct resiliency_names, retry),
	FIELD("circuitBreaker", FIELD_STR, struct resiliency_names, breaker),
	FIELD_END,
};

static const struct field component_fields[] = {
	FIELD_SUB("inbound", struct resiliency_component, in, names_fields),
	FIELD_SUB("outbound", struct resiliency_component, out, names_fields),
	FIELD_END,
};

static const struct field policies_fields[] = {
	FIELD("timeouts", FIELD_NODE, struct written, timeouts),
	FIELD_MAP("retries", struct written, retries, nretries, retry_fields),
	FIELD_MAP("circuitBreakers", struct written, breakers, nbreakers, breaker_fields),
	FIELD_END,
};

static const struct field targets_fields[] = {
	FIELD_MAP("apps", struct written, apps, napps, target_fields),
	FIELD_MAP("actors", struct written, actors, nactors, target_fields),
	FIELD_MAP("components", struct written, components, ncomponents, component_fields),
	FIELD_END,
};

static const struct field spec_fields[] = {
	FIELD_INLINE("policies", policies_fields),
	FIELD_INLINE("targets", targets_fields),
	FIELD_END,
};

static const struct field document[] = {
	FIELD_KNOWN("apiVersion"),	   FIELD_KNOWN("kind"), FIELD_KNOWN("metadata"), FIELD_KNOWN("scopes"),
	FIELD_INLINE("spec", spec_fields), FIELD_END,
};

struct reading {
	struct field_report *report;
	const struct yaml_node *root;
	struct resiliency *to;
};

/* Walks down from the document; at the end of what is there, the last that was. */
static const struct yaml_node *find(const struct reading *g, const char *const *path, size_t n)
{
	const struct yaml_node *at = g->root, *next;
	size_t i;

	for (i = 0; i < n && at->kind == YAML_MAPPING; i++) {
		next = yaml_iget(at, path[i]);
		if (next == NULL)
			break;
		at = next;
	}
	return at;
}

static void bad(const struct reading *g, const char *part, const char *section, struct str name, const char *field,
		const char *why)
{
	struct arena *a = g->report->arena;
	const char *path[] = { "spec", part, section, arena_str(a, name).p, field };
	const char *matching[] = { "spec", part, section, path[3], "matching", field };
	int within = strstr(field, "StatusCodes") != NULL;
	struct str shown = arena_printf(a, "spec.%s.%s." STR_FMT "%s%s%s", part, section, STR_ARG(name),
					within ? ".matching" : "", *field ? "." : "", field);

	field_problem(g->report, within ? find(g, matching, 6) : find(g, path, *field ? 5 : 4), shown.p, "%s", why);
}

/* As Dapr: a whole number is milliseconds. */
static int duration(struct str s, int64_t *ret)
{
	int64_t ms;

	if (str_int(s, &ms) == 0 && ms >= -(INT64_MAX / 1000000) && ms <= INT64_MAX / 1000000) {
		*ret = ms * 1000000;
		return 0;
	}
	return duration_parse(s, ret);
}

#define NO_DURATION "must be a duration such as 500ms, 30s or 1h30m, or a number of milliseconds"

static void read_duration(const struct reading *g, const char *section, struct str name, const char *field,
			  struct str text, int64_t fallback, int64_t *ret)
{
	*ret = fallback;
	if (text.n > 0 && duration(text, ret) < 0)
		bad(g, "policies", section, name, field, NO_DURATION);
}

static void read_timeouts(const struct reading *g, const struct yaml_node *n)
{
	struct arena *a = g->report->arena;
	struct resiliency *to = g->to;
	size_t i, k;

	if (n == NULL || yaml_resolve(n, YAML_RESOURCE).type == YAML_NULL)
		return;
	if (n->kind != YAML_MAPPING) {
		field_problem(g->report, n, "spec.policies.timeouts", "must be an object (name: duration)");
		return;
	}
	to->timeouts = arena_zalloc(a, (n->n + 1) * sizeof(*to->timeouts));
	for (i = 0; i < n->n; i++) {
		struct str name = yaml_text(a, n->pairs[i].key, YAML_RESOURCE);

		for (k = 0; k < to->ntimeouts && !str_eq(to->timeouts[k].name, name); k++)
			;
		to->ntimeouts += k == to->ntimeouts;
		to->timeouts[k].name = name;
		if (duration(yaml_text(a, n->pairs[i].value, YAML_RESOURCE), &to->timeouts[k].ns) < 0)
			bad(g, "policies", "timeouts", name, "", NO_DURATION);
	}
}

/* "429,500-599". -1: it is none. */
static int read_ranges(struct arena *a, struct str text, int least, int most, struct resiliency_ranges *ret)
{
	struct resiliency_range *list = arena_alloc(a, (text.n + 1) * sizeof(*list));
	struct str part, first, last;
	int64_t from, to;

	*ret = (struct resiliency_ranges){ .given = text.n > 0, .p = list };
	while (str_split(&text, ',', &part)) {
		if (part.n == 0)
			continue;
		if (!str_cut(part, '-', &first, &last))
			last = first = part;
		if (str_int(first, &from) < 0 || str_int(last, &to) < 0 || from < least || to > most || from > to)
			return -1;
		list[ret->n++] = (struct resiliency_range){ (int)from, (int)to };
	}
	return 0;
}

static void read_retry(const struct reading *g, const struct written_retry *w, struct resiliency_retry *to)
{
	struct arena *a = g->report->arena;

	to->name = w->name;
	to->max_retries = w->bounded == NULL || w->max_retries < 0 ? -1 : w->max_retries;
	to->exponential = str_ieq(w->policy, STR("exponential"));
	if (w->policy.n > 0 && !to->exponential && !str_ieq(w->policy, STR("constant")))
		bad(g, "policies", "retries", w->name, "policy", "must be constant or exponential");
	read_duration(g, "retries", w->name, "duration", w->duration, 5 * SECOND, &to->duration_ns);
	read_duration(g, "retries", w->name, "maxInterval", w->max_interval, 60 * SECOND, &to->max_interval_ns);
	if (read_ranges(a, w->http, 100, 599, &to->http) < 0)
		bad(g, "policies", "retries", w->name, "httpStatusCodes",
		    "must be codes and ranges from 100 to 599, such as 429,500-599");
	if (read_ranges(a, w->grpc, 0, 16, &to->grpc) < 0)
		bad(g, "policies", "retries", w->name, "gRPCStatusCodes",
		    "must be codes and ranges from 0 to 16, such as 4,13-14");
}

static void read_breaker(const struct reading *g, const struct written_breaker *w, struct resiliency_breaker *to)
{
	const char *path[] = { "spec", "policies", "circuitBreakers", arena_str(g->report->arena, w->name).p, "trip" };

	*to = (struct resiliency_breaker){ .name = w->name,
					   .max_requests = (uint32_t)w->max_requests,
					   .trip = w->trip };
	if (w->max_requests < 0)
		bad(g, "policies", "circuitBreakers", w->name, "maxRequests", "must not be negative");
	read_duration(g, "circuitBreakers", w->name, "interval", w->interval, 0, &to->interval_ns);
	read_duration(g, "circuitBreakers", w->name, "timeout", w->timeout, 0, &to->timeout_ns);
	if (w->trip.n > 0)
		to->trip_at = find(g, path, 5);
}

static void read_scope(const struct reading *g, const struct written_target *w, struct resiliency_target *to)
{
	static const char *const words[] = { "type", "id", "both" };
	size_t i;

	if (w->use.breaker.n == 0)
		return;
	for (i = 0; i < 3; i++)
		if (str_is(w->scope, words[i])) {
			to->scope = (enum resiliency_scope)i;
			return;
		}
	bad(g, "targets", "actors", w->name, "circuitBreakerScope",
	    "must be type, id or both where there is a circuitBreaker");
}

static struct resiliency_target *read_targets(const struct reading *g, const char *section,
					      const struct written_target *w, size_t n, int32_t fallback)
{
	struct resiliency_target *to = arena_zalloc(g->report->arena, (n + 1) * sizeof(*to));
	size_t i;

	for (i = 0; i < n; i++) {
		to[i].name = w[i].name;
		to[i].use = w[i].use;
		to[i].breakers = w[i].breakers == 0 ? fallback : w[i].breakers;
		if (w[i].breakers < 0)
			bad(g, "targets", section, w[i].name, "circuitBreakerCacheSize", "must not be negative");
	}
	return to;
}

int resiliency_read(struct field_report *report, const struct resource *r, struct resiliency *ret)
{
	struct arena *a = report->arena;
	struct resiliency to = { .name = r->name, .namespace = r->namespace, .file = r->file };
	struct reading g = { report, r->root, &to };
	size_t i, before = report->nproblems;
	struct written w = { .timeouts = NULL };

	field_defaults(document, &w);
	if (field_decode(report, document, r->root, &w) < 0)
		return -1;
	read_timeouts(&g, w.timeouts);
	to.retries = arena_zalloc(a, (w.nretries + 1) * sizeof(*to.retries));
	for (i = 0; i < w.nretries; i++)
		read_retry(&g, &w.retries[i], &to.retries[to.nretries++]);
	to.breakers = arena_zalloc(a, (w.nbreakers + 1) * sizeof(*to.breakers));
	for (i = 0; i < w.nbreakers; i++)
		read_breaker(&g, &w.breakers[i], &to.breakers[to.nbreakers++]);
	to.apps = read_targets(&g, "apps", w.apps, w.napps, RESILIENCY_APP_BREAKERS);
	to.napps = w.napps;
	to.actors = read_targets(&g, "actors", w.actors, w.nactors, RESILIENCY_ACTOR_BREAKERS);
	to.nactors = w.nactors;
	for (i = 0; i < w.nactors; i++)
		read_scope(&g, &w.actors[i], &to.actors[i]);
	to.components = w.components;
	to.ncomponents = w.ncomponents;
	if (report->nproblems > before)
		return -1;
	*ret = to;
	return 0;
}
