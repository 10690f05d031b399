/* SPDX-License-Identifier: Apache-2.0 */
#include "resources/load.h"

#include "base/banned.h"
#include "base/jstream.h"
#include "base/log.h"
#include "resources/folder.h"

#define LOG_SCOPE "dapr.runtime.loader.disk"
#define FAILED_COMPONENTS "failed to load components"

enum { UNIQUE = 1, NAMESPACED = 2, FATAL = 4 };

/* A new kind is a line here, and its tables where it is read. */
static const struct kind {
	const char *name, *versions[2];
	int rules;
	const char *failed;   /* what Dapr says where two of this kind have one name */
	const char *about[2]; /* log_name is "name (…)" with the first of these that is there */
} kinds[] = {
	[RESOURCE_COMPONENT] = { "Component",
				 { "dapr.io/v1alpha1" },
				 UNIQUE | NAMESPACED | FATAL,
				 FAILED_COMPONENTS,
				 { NULL } },
	[RESOURCE_CONFIGURATION] = { "Configuration", { "dapr.io/v1alpha1" }, NAMESPACED, "", { NULL } },
	[RESOURCE_HTTP_ENDPOINT] = { "HTTPEndpoint",
				     { "dapr.io/v1alpha1" },
				     UNIQUE | NAMESPACED,
				     "failed to load HTTP endpoints",
				     { "spec.baseUrl" } },
	[RESOURCE_SUBSCRIPTION] = { "Subscription", { "dapr.io/v1alpha1", "dapr.io/v2alpha1" }, 0, "", { NULL } },
	[RESOURCE_RESILIENCY] = { "Resiliency", { "dapr.io/v1alpha1" }, 0, "", { NULL } },
	[RESOURCE_MCP_SERVER] = { "MCPServer",
				  { "dapr.io/v1alpha1" },
				  UNIQUE | NAMESPACED | FATAL,
				  "failed to load mcpservers",
				  { "spec.endpoint.streamableHTTP.url", "spec.endpoint.sse.url" } },
	[RESOURCE_WORKFLOW_ACCESS_POLICY] = { "WorkflowAccessPolicy",
					      { "dapr.io/v1alpha1" },
					      UNIQUE | NAMESPACED | FATAL,
					      "failed to load workflow access policies",
					      { NULL } },
};

struct candidate {
	struct candidate *next;
	struct resource resource;
	struct component *component; /* NULL: another kind */
	int taken;
};

struct loader {
	struct arena *arena; /* of the snapshot */
	struct arena *work;  /* ends with the load */
	struct resources *r;
	const char *const *paths;
	size_t npaths;
	struct str app_id, namespace;
	const char *file; /* being read, in the snapshot's arena */
	struct candidate *first, **last;
	size_t ncandidates;
	struct error error; /* its message is in work */
};

struct head {
	struct str kind, api_version, name, namespace;
	struct strs scopes;
	int line;
};

static const struct field head_metadata_fields[] = {
	FIELD("name", FIELD_STR, struct head, name),
	FIELD("namespace", FIELD_STR, struct head, namespace),
	FIELD_END,
};

static const struct field head_fields[] = {
	FIELD("", FIELD_LINE, struct head, line),
	FIELD("kind", FIELD_STR, struct head, kind),
	FIELD("apiVersion", FIELD_STR, struct head, api_version),
	FIELD_INLINE("metadata", head_metadata_fields),
	FIELD("scopes", FIELD_STRS, struct head, scopes),
	FIELD_END,
};

const char *resource_kind_name(enum resource_kind kind)
{
	return kinds[kind].name;
}

static void skip(struct loader *l, const char *kind, struct str why)
{
	l->r->nskipped++;
	log_warn("daprd load %s error when parsing manifests yaml resource in %s: " STR_FMT, kind, l->file,
		 STR_ARG(why));
}

static void unknown_field(void *arg, const char *path, const struct yaml_node *key)
{
	const struct loader *l = arg;

	if (strncmp(path, "metadata.", 9) == 0)
		log_debug("%s:%d: %s is not read", l->file, key->line, path);
	else
		log_warn("%s:%d: %s is no field of a Component and is ignored: check its spelling and indentation",
			 l->file, key->line, path);
}

/* What Kubernetes calls a path segment; empty text: the name is well. */
static struct str name_fault(struct loader *l, const struct head *h)
{
	struct buf b = buf_in(l->work);
	int slash = memchr(h->name.p, '/', h->name.n) != NULL, percent = memchr(h->name.p, '%', h->name.n) != NULL;
	int dots = str_is(h->name, ".") || str_is(h->name, "..");

	if (!slash && !percent && !dots)
		return STR("");
	buf_printf(&b, "line %d: metadata.name: invalid name ", h->line);
	jstream_put(&b, h->name);
	buf_printf(&b, " for \"" STR_FMT "\": ", STR_ARG(h->kind));
	if (dots)
		buf_printf(&b, "may not be '" STR_FMT "'", STR_ARG(h->name));
	buf_printf(&b, "%s%s%s", slash ? "may not contain '/'" : "", slash && percent ? "; " : "",
		   percent ? "may not contain '%'" : "");
	return buf_str(&b);
}

static const struct kind *kind_of(const struct head *h)
{
	size_t i, v;

	for (i = 0; i < RESOURCE_KINDS; i++)
		for (v = 0; v < 2; v++)
			if (str_is(h->kind, kinds[i].name) && kinds[i].versions[v] != NULL &&
			    str_is(h->api_version, kinds[i].versions[v]))
				return &kinds[i];
	return NULL;
}

static struct str log_name(struct loader *l, const struct kind *k, const struct yaml_node *root, struct str name)
{
	size_t i;

	for (i = 0; i < 2 && k->about[i] != NULL; i++) {
		const struct yaml_node *n = yaml_at(root, k->about[i]);

		if (n != NULL && n->kind == YAML_SCALAR)
			return arena_printf(l->arena, STR_FMT " (" STR_FMT ")", STR_ARG(name), STR_ARG(n->text));
	}
	return name;
}

static void keep(struct loader *l, const struct kind *k, const struct head *h, const struct yaml_node *root,
		 struct component *c)
{
	struct candidate *n = arena_zalloc(l->work, sizeof(*n));

	n->component = c;
	n->resource = (struct resource){
		.kind = (enum resource_kind)(k - kinds),
		.api_version = h->api_version,
		.name = h->name,
		.namespace = h->namespace,
		.scopes = h->scopes,
		.log_name = c ? c->log_name : log_name(l, k, root, h->name),
		.file = l->file,
		.line = h->line,
		.root = root,
	};
	*l->last = n;
	l->last = &n->next;
	l->ncandidates++;
	if (h->name.n == 0)
		log_warn("%s:%d: this %s has no metadata.name: nothing can refer to it", l->file, h->line, k->name);
}

static struct field_report report(struct loader *l)
{
	return (struct field_report){
		.arena = l->arena, .rules = YAML_RESOURCE, .problems = buf_in(l->arena), .arg = l
	};
}

static void read_document(struct loader *l, struct str text, int line)
{
	struct field_report r = report(l);
	struct head h = { .kind = STR("") };
	struct component *c = NULL;
	const struct yaml_node *root;
	const struct kind *k;
	struct yaml_fault fault;
	struct str bad;

	root = yaml_parse(l->arena, text, line, &fault);
	if (root == NULL) {
		if (fault.message.n > 0)
			skip(l, "resource",
			     arena_printf(l->work, "line %d, column %d: " STR_FMT, fault.line, fault.column,
					  STR_ARG(fault.message)));
		return;
	}
	if (yaml_resolve(root, YAML_RESOURCE).type == YAML_NULL)
		return;
	field_defaults(head_fields, &h);
	if (field_decode(&r, head_fields, root, &h) < 0) {
		skip(l, h.kind.n ? h.kind.p : "resource", buf_str(&r.problems));
		return;
	}
	k = kind_of(&h);
	if (k == NULL) {
		log_debug("%s:%d: kind '" STR_FMT "' of apiVersion '" STR_FMT "' is none of ours: skipped", l->file,
			  h.line, STR_ARG(h.kind), STR_ARG(h.api_version));
		return;
	}
	bad = name_fault(l, &h);
	if (bad.n == 0 && k == &kinds[RESOURCE_COMPONENT]) {
		c = arena_zalloc(l->arena, sizeof(*c));
		r.unknown = unknown_field;
		if (component_read(&r, root, l->file, c) < 0)
			bad = buf_str(&r.problems);
	}
	if (bad.n > 0)
		skip(l, k->name, bad);
	else
		keep(l, k, &h, root, c);
}

static int read_file(void *arg, const char *path, struct str text, const char *fault)
{
	struct loader *l = arg;
	struct str document;
	int line = 1, first;

	if (fault != NULL) {
		log_warn("daprd load resource error when opening file %s: %s", path, fault);
		l->r->nskipped++;
		return 0;
	}
	l->file = arena_cstr(l->arena, path);
	l->r->nfiles++;
	while (yaml_split(&text, &line, &document, &first)) {
		if (l->ncandidates >= RESOURCES_MAX) {
			l->error = error_new(l->work, ERROR_RESOURCE_EXHAUSTED, FAILED_COMPONENTS,
					     "%s:%d: more than %d resources: spread them over several applications",
					     path, first, RESOURCES_MAX);
			return -1;
		}
		read_document(l, document, first);
	}
	return 0;
}

static int in_scope(const struct loader *l, const struct resource *r)
{
	size_t i;

	for (i = 0; i < r->scopes.n; i++)
		if (str_eq(r->scopes.p[i], l->app_id))
			return 1;
	return r->scopes.n == 0;
}

static struct candidate *taken_before(struct loader *l, const struct candidate *c)
{
	struct candidate *o;

	for (o = l->first; o != c; o = o->next)
		if (o->taken && o->resource.kind == c->resource.kind && str_eq(o->resource.name, c->resource.name))
			return o;
	return NULL;
}

/*
 * Takes what is of this kind and meant for this sidecar; 0 or, where two have one name, -1 with Dapr's sentence for
 * each in *ret_faults and behind them where they stand. As there, a name is compared before its scopes are.
 */
static int take_kind(struct loader *l, const struct kind *k, size_t *ret_n, struct str *ret_faults)
{
	struct buf faults = buf_in(l->work), places = buf_in(l->work);
	struct candidate *c, *other;
	size_t n = 0;

	for (c = l->first; c != NULL; c = c->next) {
		const struct resource *r = &c->resource;

		if (&kinds[r->kind] != k)
			continue;
		if ((k->rules & NAMESPACED) && l->namespace.n > 0 && r->namespace.n > 0 &&
		    !str_eq(r->namespace, l->namespace))
			continue;
		other = k->rules & UNIQUE ? taken_before(l, c) : NULL;
		if (other != NULL) {
			buf_printf(&faults, "%sduplicate definition of %s name " STR_FMT " with existing " STR_FMT,
				   faults.n ? "\n" : "", k->name, STR_ARG(r->log_name),
				   STR_ARG(other->resource.log_name));
			buf_printf(&places, "\n%s:%d has the name of %s:%d: rename or remove one of them", r->file,
				   r->line, other->resource.file, other->resource.line);
			continue;
		}
		c->taken = in_scope(l, r);
		n += (size_t)c->taken;
	}
	*ret_n = n;
	if (faults.n == 0)
		return 0;
	buf_adds(&faults, buf_str(&places));
	*ret_faults = buf_str(&faults);
	return -1;
}

static void fill(struct loader *l, enum resource_kind kind, size_t n)
{
	struct resource *list = arena_alloc(l->arena, n * sizeof(*list));
	struct component *components = kind == RESOURCE_COMPONENT ? arena_alloc(l->arena, n * sizeof(*components))
								  : NULL;
	struct candidate *c;
	size_t i = 0;

	for (c = l->first; c != NULL; c = c->next) {
		if (c->resource.kind != kind || !c->taken)
			continue;
		if (components != NULL)
			components[i] = *c->component;
		list[i++] = c->resource;
	}
	l->r->of[kind] = (struct resource_list){ n, list };
	if (components != NULL) {
		l->r->ncomponents = n;
		l->r->components = components;
	}
}

static int load(struct loader *l)
{
	struct str faults;
	size_t i, n;

	l->r = arena_zalloc(l->arena, sizeof(*l->r));
	l->r->arena = l->arena;
	for (i = 0; i < l->npaths; i++)
		if (folder_read(l->work, l->paths[i], read_file, l, &l->error) < 0)
			return -1;
	for (i = 0; i < RESOURCE_KINDS; i++) {
		if (take_kind(l, &kinds[i], &n, &faults) == 0) {
			fill(l, (enum resource_kind)i, n);
		} else if (kinds[i].rules & FATAL) {
			l->error = error_new(l->work, ERROR_ALREADY_EXISTS, kinds[i].failed, STR_FMT, STR_ARG(faults));
			return -1;
		} else {
			log_warn("%s: " STR_FMT, kinds[i].failed, STR_ARG(faults));
		}
	}
	return 0;
}

/* Runs load() with both arenas' way out of memory leading here. */
static int load_or_out_of_memory(struct loader *l)
{
	jmp_buf oom;

	if (setjmp(oom) != 0) {
		l->error = (struct error){ .code = ERROR_RESOURCE_EXHAUSTED,
					   .tag = FAILED_COMPONENTS,
					   .message = STR("out of memory") };
		return -1;
	}
	arena_on_oom(l->arena, &oom);
	arena_on_oom(l->work, &oom);
	return load(l);
}

struct resources *resources_load(const char *const *paths, size_t npaths, struct str app_id, struct str namespace,
				 struct arena *scratch, struct error *ret_error)
{
	struct loader l = { .paths = paths, .npaths = npaths, .app_id = app_id, .namespace = namespace };
	struct resources *r = NULL;

	l.last = &l.first;
	l.arena = arena_new();
	l.work = arena_new();
	l.error = (struct error){ .code = ERROR_RESOURCE_EXHAUSTED,
				  .tag = FAILED_COMPONENTS,
				  .message = STR("out of memory") };
	if (l.arena != NULL && l.work != NULL && load_or_out_of_memory(&l) == 0)
		r = l.r;
	if (l.arena != NULL)
		arena_on_oom(l.arena, NULL);
	if (r == NULL) {
		*ret_error = folder_move_error(scratch, &l.error);
		arena_unref(l.arena);
	}
	arena_unref(l.work);
	return r;
}

struct resources *resources_ref(struct resources *r)
{
	arena_ref(r->arena);
	return r;
}

void resources_unref(struct resources *r)
{
	if (r != NULL)
		arena_unref(r->arena);
}

const struct component *resources_component(const struct resources *r, struct str name)
{
	size_t i;

	for (i = 0; i < r->ncomponents; i++)
		if (str_eq(r->components[i].name, name))
			return &r->components[i];
	return NULL;
}

void resource_unknown_field(void *arg, const char *path, const struct yaml_node *key)
{
	const struct resource *r = arg;

	log_warn("%s:%d: %s is no field of kind %s and is ignored: check its spelling and indentation", r->file,
		 key->line, path, resource_kind_name(r->kind));
}

void *resources_read(const struct resources *r, enum resource_kind kind, resource_read *read, size_t size,
		     struct arena *a, size_t *ret_n)
{
	const struct resource_list *list = &r->of[kind];
	char *all = arena_zalloc(a, (list->n + 1) * size);
	size_t i, n = 0;

	for (i = 0; i < list->n; i++) {
		struct field_report report = { .arena = a,
					       .rules = YAML_RESOURCE,
					       .problems = buf_in(a),
					       .unknown = resource_unknown_field,
					       .arg = (void *)&list->p[i] };

		if (read(&report, &list->p[i], all + n * size) == 0)
			n++;
		else
			log_warn("daprd load %s error when parsing manifests yaml resource in %s: " STR_FMT,
				 resource_kind_name(kind), list->p[i].file, STR_ARG(buf_str(&report.problems)));
	}
	*ret_n = n;
	return all;
}
