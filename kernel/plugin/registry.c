/* SPDX-License-Identifier: Apache-2.0 */
#include "plugin/registry.h"

#include <dirent.h>
#include <errno.h>
#include <pthread.h>

#include "base/banned.h"
#include "base/buf.h"
#include "base/log.h"
#include "base/version.h"
#include "plugin/index.h"
#include "plugin/minor.h"
#include "plugin/open_library.h"
#include "plugin/version.h"

#define LOG_SCOPE "davit.plugin"

struct passed { /* a plugin that could not be taken */
	struct passed *next;
	struct str why;
};

struct registry {
	struct arena *a;
	struct component_type **types;
	size_t n, cap;
	struct passed *passed, **passed_end;
	pthread_mutex_t loading; /* held while a .so is opened; nothing else is locked under it */
};

static void add_type(struct registry *r, struct component_type *t)
{
	if (r->n == r->cap) {
		size_t cap = r->cap ? 2 * r->cap : 32;

		r->types = arena_grow(r->a, r->types, r->cap * sizeof(*r->types), cap * sizeof(*r->types));
		r->cap = cap;
	}
	r->types[r->n++] = t;
}

static void add_manifest(struct registry *r, const struct plugin_index *index, const char *folder,
			 const struct manifest *m)
{
	struct component_type *t;
	size_t i;

	for (i = 0; i < m->ncomponents; i++) {
		t = arena_zalloc(r->a, sizeof(*t));
		t->manifest = m;
		t->about = &m->components[i];
		t->file = arena_printf(r->a, "%s/" STR_FMT, folder, STR_ARG(m->library)).p;
		t->tier = index_grants(index, m, t->about);
		if (t->tier < t->about->tier)
			log_warn("%s: " STR_FMT "/" STR_FMT " claims tier %s, the index grants %s: it opens as %s",
				 t->file, STR_ARG(t->about->type), STR_ARG(t->about->version),
				 tier_name(t->about->tier), tier_name(t->tier), tier_name(t->tier));
		add_type(r, t);
	}
}

static int is_name(const struct dirent *d)
{
	return d->d_name[0] != '.';
}

/* Calls fn for each entry of a folder, in alphabetical order. */
static void each_entry(const char *folder, void (*fn)(void *arg, const char *name), void *arg)
{
	struct dirent **list;
	int n = scandir(folder, &list, is_name, alphasort), i;

	for (i = 0; i < n; i++) {
		fn(arg, list[i]->d_name);
		free(list[i]);
	}
	if (n >= 0)
		free(list);
}

struct scan {
	struct registry *r;
	struct plugin_index index;
	const char *root, *type;
};

static void pass_over(struct registry *r, struct str why)
{
	struct passed *p = arena_zalloc(r->a, sizeof(*p));

	p->why = why;
	*r->passed_end = p;
	r->passed_end = &p->next;
	log_warn("Plugin passed over: " STR_FMT, STR_ARG(why));
}

struct str registry_passed_over(struct registry *r, size_t *at)
{
	const struct passed *p = r->passed;
	size_t i;

	for (i = 0; i < *at && p != NULL; i++)
		p = p->next;
	++*at;
	return p ? p->why : STR_NONE;
}

static void scan_version(void *arg, const char *version)
{
	struct scan *s = arg;
	struct arena *a = s->r->a;
	struct manifest *m = arena_zalloc(a, sizeof(*m));
	const char *folder = arena_printf(a, "%s/%s/%s", s->root, s->type, version).p;
	const char *path = arena_printf(a, "%s/%s.json", folder, s->type).p;
	struct str message;

	if (manifest_load(a, path, m, &message) < 0) {
		pass_over(s->r, message);
		return;
	}
	if (!str_is(m->version, version)) {
		pass_over(s->r, arena_printf(a, "%s says version " STR_FMT ", its folder is named %s", path,
					     STR_ARG(m->version), version));
		return;
	}
	add_manifest(s->r, &s->index, folder, m);
}

static void scan_type(void *arg, const char *type)
{
	struct scan *s = arg;

	if (str_ends(str_of(type), STR(".json")))
		return; /* the index */
	s->type = type;
	each_entry(arena_printf(s->r->a, "%s/%s", s->root, type).p, scan_version, s);
}

struct registry *registry_new(const struct str *roots, size_t nroots)
{
	struct arena *a = arena_new();
	struct registry *r;
	jmp_buf oom;
	size_t i;

	if (a == NULL)
		return NULL;
	arena_on_oom(a, &oom);
	if (setjmp(oom)) {
		arena_unref(a);
		return NULL;
	}
	r = arena_zalloc(a, sizeof(*r));
	r->a = a;
	r->passed_end = &r->passed;
	pthread_mutex_init(&r->loading, NULL);
	for (i = 0; i < nroots; i++) {
		struct scan s = { .r = r, .root = arena_str(a, roots[i]).p };

		index_load(a, s.root, &s.index);
		each_entry(s.root, scan_type, &s);
	}
	arena_on_oom(a, NULL);
	return r;
}

void registry_free(struct registry *r)
{
	if (r == NULL)
		return;
	pthread_mutex_destroy(&r->loading);
	arena_unref(r->a);
}

struct component_type *registry_next(struct registry *r, size_t *at)
{
	return *at < r->n ? r->types[(*at)++] : NULL;
}

static int offers(const struct component_type *t, struct str version)
{
	if (version.n == 0 || str_ieq(version, STR("v0")))
		return t->about->is_default || str_is(t->about->version, "v1");
	return str_ieq(t->about->version, version);
}

/* Why this one will not do, in the arena; p == NULL: it fits. */
static struct str unfit(const struct component_type *t, const struct registry_wish *w, struct arena *a)
{
	const struct manifest *m = t->manifest;

	if (w->plugin.n > 0 && !str_eq(m->name, w->plugin))
		return arena_printf(a, "is not the plugin " STR_FMT, STR_ARG(w->plugin));
	if (w->range.n > 0 && version_in_range(m->version, w->range) != 1)
		return arena_printf(a, "is not in the range " STR_FMT, STR_ARG(w->range));
	if (m->abi != 0 && m->abi != DAVIT_ABI)
		return arena_printf(a, "is for plugin ABI %lld, this kernel has %u", (long long)m->abi, DAVIT_ABI);
	if (m->kernel.n > 0 && version_in_range(STR(DAVIT_VERSION), m->kernel) == 0)
		return arena_printf(a, "is for kernels " STR_FMT ", this is %s", STR_ARG(m->kernel), DAVIT_VERSION);
	if (t->tier < w->min_tier)
		return arena_printf(a, "has the tier %s and --min-tier asks for %s", tier_name(t->tier),
				    tier_name(w->min_tier));
	return STR_NONE;
}

static int is_own(const struct component_type *t)
{
	return str_ieq(t->manifest->name, t->about->type);
}

static int is_better(const struct component_type *t, const struct component_type *best, int pre_too)
{
	struct str x = t->manifest->version, y = best->manifest->version;

	if (is_own(t) != is_own(best))
		return is_own(t);
	if (!pre_too && version_is_prerelease(x) != version_is_prerelease(y))
		return version_is_prerelease(y);
	return version_compare(x, y) > 0;
}

static void tell_claimants(struct registry *r, const struct component_type *best, const struct registry_wish *w)
{
	const struct component_type *t;
	size_t at = 0;

	while ((t = registry_next(r, &at)) != NULL) {
		if (t == best || !str_ieq(t->about->type, best->about->type) ||
		    !str_ieq(t->about->version, best->about->version))
			continue;
		if (w->plugin.n == 0 && !str_eq(t->manifest->name, best->manifest->name))
			log_warn(STR_FMT "/" STR_FMT " is claimed by the plugins " STR_FMT " (%s) and " STR_FMT
					 " (%s): the first is used; the annotation " REGISTRY_PLUGIN
					 " of the resource chooses",
				 STR_ARG(best->about->type), STR_ARG(best->about->version),
				 STR_ARG(best->manifest->name), best->file, STR_ARG(t->manifest->name), t->file);
		else if (str_eq(t->manifest->name, best->manifest->name) &&
			 version_compare(t->manifest->version, best->manifest->version) == 0)
			log_info("%s is not used: the same plugin and version lies in %s, which comes first", t->file,
				 best->file);
	}
}

struct component_type *registry_find(struct registry *r, const struct registry_wish *w, struct arena *a,
				     struct str *ret_message)
{
	struct component_type *best = NULL, *t;
	struct buf others = buf_in(a), unfits = buf_in(a);
	struct str why;
	size_t at = 0;

	if (w->range.n > 0 && version_in_range(STR("0.0.0"), w->range) < 0) {
		*ret_message = arena_printf(a,
					    "its annotation " REGISTRY_VERSION
					    " is no range of versions, such as >=0.2 <0.3: " STR_FMT,
					    STR_ARG(w->range));
		return NULL;
	}
	while ((t = registry_next(r, &at)) != NULL) {
		if (!str_ieq(t->about->type, w->type))
			continue;
		if (!offers(t, w->version)) {
			buf_printf(&others, " " STR_FMT, STR_ARG(t->about->version));
			continue;
		}
		why = unfit(t, w, a);
		if (why.p != NULL)
			buf_printf(&unfits, "%s" STR_FMT " " STR_FMT " " STR_FMT, unfits.n ? "; " : "",
				   STR_ARG(t->manifest->name), STR_ARG(t->manifest->version), STR_ARG(why));
		else if (best == NULL || is_better(t, best, w->range.n > 0))
			best = t;
	}
	if (best != NULL)
		tell_claimants(r, best, w);
	else if (unfits.n > 0)
		*ret_message = arena_printf(a, "no plugin of it fits: " STR_FMT, STR_ARG(buf_str(&unfits)));
	else
		*ret_message = others.n ? arena_printf(a, "there is no version " STR_FMT " of it, only" STR_FMT,
						       STR_ARG(w->version), STR_ARG(buf_str(&others)))
					: arena_printf(a, "no plugin of this type was found: install it, or name its "
							  "folder with --plugins-path");
	return best;
}

int registry_load(struct registry *r, struct component_type *t, struct arena *a, struct str *ret_message)
{
	int failed = 0;

	pthread_mutex_lock(&r->loading);
	if (!t->loaded) {
		failed = open_library(r->a, t, a, ret_message) < 0;
		t->loaded = !failed;
		if (!failed)
			log_info("Plugin loaded: " STR_FMT " " STR_FMT " by " STR_FMT " from %s (tier %s, SDK 0.%u)",
				 STR_ARG(t->manifest->name), STR_ARG(t->manifest->version),
				 STR_ARG(t->manifest->vendor.p ? t->manifest->vendor : STR("unknown")), t->file,
				 tier_name(t->tier), (unsigned)KERNEL_MINOR);
	}
	pthread_mutex_unlock(&r->loading);
	return failed ? -1 : 0;
}
