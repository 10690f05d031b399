/* SPDX-License-Identifier: Apache-2.0 */
#include "resources/configuration.h"

#include <stdlib.h>

#include "base/banned.h"
#include "base/log.h"
#include "base/mem.h"
#include "resources/configuration_tables.h"
#include "resources/environment.h"
#include "resources/folder.h"

#define LOG_SCOPE "dapr.runtime"
#define FAILED_LOADING "error loading configuration"
#define EXPANDED_MAX (4 << 20) /* bytes of a file once its variables are replaced */

static const struct {
	const char *name;
	int enabled;
} default_features[] = {
	{ "HotReload", 1 },
	{ "WorkflowsRemoteActivityReminder", 1 },
};

struct loader {
	struct arena *arena; /* of the configuration */
	struct arena *work;
	struct configuration_file *raw;
	const char *const *files;
	size_t nfiles;
	struct error error; /* its message is in work */
};

__attribute__((format(printf, 3, 4))) static int fail(struct loader *l, const char *tag, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	l->error = (struct error){ .code = ERROR_INVALID_ARGUMENT, .tag = tag };
	l->error.message = arena_vprintf(l->work, fmt, ap);
	va_end(ap);
	return -1;
}

static void unknown_field(void *arg, const char *path, const struct yaml_node *key)
{
	if (strncmp(path, "spec.", 5) == 0)
		log_warn("%s:%d: %s is no field of a Configuration and is ignored: check its spelling and indentation",
			 (const char *)arg, key->line, path);
}

/* One file over what stands. */
static int lay_over(struct loader *l, const char *file)
{
	struct field_report r = { .arena = l->arena,
				  .rules = YAML_CONFIGURATION,
				  .file = file,
				  .problems = buf_in(l->work),
				  .unknown = unknown_field,
				  .arg = (void *)file };
	const struct yaml_node *root;
	struct yaml_fault fault;
	const char *why;
	struct str text;

	why = folder_read_file(l->work, file, &text);
	if (why != NULL)
		return fail(l, FAILED_LOADING, "stat %s: %s (--config takes a file that is there and readable)", file,
			    why);
	if (environment_expand(l->work, text, EXPANDED_MAX, &text) < 0)
		return fail(l, FAILED_LOADING, "%s: with its $VARIABLES replaced it is larger than 4 MiB", file);
	root = yaml_parse(l->arena, text, 1, &fault);
	if (root == NULL && fault.message.n > 0)
		return fail(l, FAILED_LOADING, "yaml: %s:%d:%d: " STR_FMT, file, fault.line, fault.column,
			    STR_ARG(fault.message));
	if (root == NULL || yaml_resolve(root, YAML_CONFIGURATION).type == YAML_NULL)
		return 0;
	if (field_decode(&r, configuration_fields, root, l->raw) < 0)
		return fail(l, FAILED_LOADING, "yaml: unmarshal errors: " STR_FMT, STR_ARG(buf_str(&r.problems)));
	return 0;
}

static int by_text(const void *a, const void *b)
{
	return str_cmp(*(const struct str *)a, *(const struct str *)b);
}

static void sort(struct strs *list)
{
	if (list->n > 1)
		qsort(list->p, list->n, sizeof(*list->p), by_text);
}

static int check_scopes(struct loader *l)
{
	struct configuration *c = &l->raw->c;
	size_t i, k;

	for (i = 0; i < c->nsecret_scopes; i++) {
		struct configuration_scope *s = &c->secret_scopes[i];

		for (k = 0; k < i; k++)
			if (str_eq(s->store_name, c->secret_scopes[k].store_name))
				return fail(l, FAILED_LOADING,
					    STR_FMT
					    " storeName is repeated in secrets configuration (spec.secrets.scopes, "
					    "lines %d and %d: keep one scope per store)",
					    STR_ARG(s->store_name), c->secret_scopes[k].line, s->line);
		if (s->default_access.n > 0 && !str_ieq(s->default_access, STR("allow")) &&
		    !str_ieq(s->default_access, STR("deny")))
			return fail(l, FAILED_LOADING,
				    "defaultAccess " STR_FMT
				    " can be either allow or deny (spec.secrets.scopes, line %d)",
				    STR_ARG(s->default_access), s->line);
		sort(&s->allowed);
		sort(&s->denied);
	}
	return 0;
}

static int or_default(int value, int otherwise)
{
	return value == UNSET ? otherwise : value;
}

/* spec.metrics over spec.metric: whole members, not their insides. */
static void finish_metric(struct configuration_file *raw)
{
	struct configuration_raw_metric *m = &raw->metric, *over = &raw->metrics;
	struct configuration_metric *to = &raw->c.metric;

	if (over->enabled != UNSET)
		m->enabled = over->enabled;
	if (over->record_error_codes != UNSET)
		m->record_error_codes = over->record_error_codes;
	if (over->http != NULL)
		m->http = over->http;
	if (over->workflow != NULL)
		m->workflow = over->workflow;
	if (over->latency_buckets.p != NULL)
		m->latency_buckets = over->latency_buckets;
	if (over->nrules > 0) {
		m->nrules = over->nrules;
		m->rules = over->rules;
	}
	to->enabled = or_default(m->enabled, 1);
	to->record_error_codes = or_default(m->record_error_codes, 0);
	to->http.increased_cardinality = to->http.exclude_verbs = UNSET;
	if (m->http != NULL)
		to->http = *m->http;
	to->latency_buckets = m->latency_buckets;
	to->workflow_latency_unit = 1000000;
	if (m->workflow != NULL) {
		to->workflow_latency_buckets = m->workflow->buckets;
		if (m->workflow->unit > 0)
			to->workflow_latency_unit = m->workflow->unit;
	}
	to->nrules = m->nrules;
	to->rules = m->rules;
}

static struct configuration_feature *find_feature(struct configuration_feature *p, size_t n, struct str name)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (str_eq(p[i].name, name))
			return &p[i];
	return NULL;
}

/* One entry a name, the last one's word, and behind them the defaults that no file speaks of. */
static void finish_features(struct loader *l)
{
	size_t ndefaults = sizeof(default_features) / sizeof(default_features[0]), i, n = 0;
	struct configuration *c = &l->raw->c;
	struct configuration_feature *p = arena_alloc(l->arena, (c->nfeatures + ndefaults) * sizeof(*p)), *old;

	for (i = 0; i < c->nfeatures; i++) {
		if (c->features[i].name.n == 0)
			continue;
		old = find_feature(p, n, c->features[i].name);
		if (old == NULL)
			old = &p[n++];
		*old = c->features[i];
	}
	for (i = 0; i < ndefaults; i++)
		if (find_feature(p, n, str_of(default_features[i].name)) == NULL)
			p[n++] = (struct configuration_feature){ str_of(default_features[i].name),
								 default_features[i].enabled };
	c->features = p;
	c->nfeatures = n;
}

static void finish_pipeline(struct arena *a, struct configuration_pipeline *p)
{
	size_t i;

	for (i = 0; i < p->nhandlers; i++) {
		struct configuration_handler *h = &p->handlers[i];

		h->log_name = h->version.n
				      ? arena_printf(a, STR_FMT " (" STR_FMT "/" STR_FMT ")", STR_ARG(h->name),
						     STR_ARG(h->type), STR_ARG(h->version))
				      : arena_printf(a, STR_FMT " (" STR_FMT ")", STR_ARG(h->name), STR_ARG(h->type));
	}
}

static int32_t limit(int32_t n)
{
	return n > 0 ? n : 0;
}

static void finish_workflow(struct configuration_workflow *w)
{
	w->max_workflows = limit(w->max_workflows);
	w->max_activities = limit(w->max_activities);
	w->global_max_workflows = limit(w->global_max_workflows);
	w->global_max_activities = limit(w->global_max_activities);
}

static int load(struct loader *l)
{
	const char *fault;
	struct configuration *c;
	size_t i;

	l->raw = arena_zalloc(l->arena, sizeof(*l->raw));
	c = &l->raw->c;
	field_defaults(configuration_fields, l->raw);
	c->arena = l->arena;
	c->access.default_action = STR("allow");
	c->access.trust_domain = STR("public");
	for (i = 0; i < l->nfiles; i++)
		if (lay_over(l, l->files[i]) < 0)
			return -1;
	if (check_scopes(l) < 0)
		return -1;
	finish_metric(l->raw);
	finish_features(l);
	finish_pipeline(l->arena, &c->http_pipeline);
	finish_pipeline(l->arena, &c->app_http_pipeline);
	finish_workflow(&c->workflow);
	c->tracing.otel.is_secure = or_default(c->tracing.otel.is_secure, 1);
	fault = environment_otel(l->arena, &c->tracing);
	if (fault != NULL)
		return fail(l, "error setting tracing spec from env", "%s", fault);
	return 0;
}

static int load_or_out_of_memory(struct loader *l)
{
	jmp_buf oom;

	if (setjmp(oom) != 0) {
		l->error = (struct error){ .code = ERROR_RESOURCE_EXHAUSTED,
					   .tag = FAILED_LOADING,
					   .message = STR("out of memory") };
		return -1;
	}
	arena_on_oom(l->arena, &oom);
	arena_on_oom(l->work, &oom);
	return load(l);
}

struct configuration *configuration_load(const char *const *files, size_t nfiles, struct arena *scratch,
					 struct error *ret_error)
{
	struct loader l = { .files = files, .nfiles = nfiles };
	struct configuration *c = NULL;

	l.arena = arena_new();
	l.work = arena_new();
	l.error = (struct error){ .code = ERROR_RESOURCE_EXHAUSTED,
				  .tag = FAILED_LOADING,
				  .message = STR("out of memory") };
	if (l.arena != NULL && l.work != NULL && load_or_out_of_memory(&l) == 0)
		c = &l.raw->c;
	if (l.arena != NULL)
		arena_on_oom(l.arena, NULL);
	if (c == NULL) {
		*ret_error = folder_move_error(scratch, &l.error);
		arena_unref(l.arena);
	}
	arena_unref(l.work);
	return c;
}

struct configuration *configuration_ref(struct configuration *c)
{
	arena_ref(c->arena);
	return c;
}

void configuration_unref(struct configuration *c)
{
	if (c != NULL)
		arena_unref(c->arena);
}

int configuration_feature(const struct configuration *c, const char *name)
{
	const struct configuration_feature *f = find_feature(c->features, c->nfeatures, str_of(name));

	return f != NULL && f->enabled;
}

static int listed(const struct strs *list, struct str text)
{
	return list->n > 0 && bsearch(&text, list->p, list->n, sizeof(*list->p), by_text) != NULL;
}

int configuration_secret_allowed(const struct configuration *c, struct str store, struct str secret)
{
	size_t i;

	for (i = 0; i < c->nsecret_scopes; i++) {
		const struct configuration_scope *s = &c->secret_scopes[i];

		if (!str_eq(s->store_name, store))
			continue;
		if (s->allowed.n > 0)
			return listed(&s->allowed, secret);
		return !listed(&s->denied, secret) && !str_ieq(s->default_access, STR("deny"));
	}
	return 1;
}

int configuration_component_denied(const struct configuration *c, struct str type, struct str version)
{
	struct str denied_type, denied_version;
	size_t i;

	for (i = 0; i < c->components_deny.n; i++) {
		int with_version = str_cut(c->components_deny.p[i], '/', &denied_type, &denied_version);

		if (str_eq(denied_type, type) && denied_type.n > 0 &&
		    (!with_version || denied_version.n == 0 || str_eq(denied_version, version)))
			return 1;
	}
	return 0;
}
