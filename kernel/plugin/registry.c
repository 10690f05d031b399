/* SPDX-License-Identifier: Apache-2.0 */
#include "plugin/registry.h"

#include <dirent.h>
#include <errno.h>
#include <pthread.h>

#include "base/banned.h"
#include "base/buf.h"
#include "base/log.h"
#include "plugin/index.h"
#include "plugin/open_library.h"

#define LOG_SCOPE "davit.plugin"

struct registry {
	struct arena *a;
	struct component_type **types;
	size_t n, cap;
	pthread_mutex_t loading; /* held while a .so is opened; nothing else is locked under it */
};

static int number_of(struct str *s, uint64_t *ret_value)
{
	uint64_t v = 0;
	size_t i = 0;

	while (i < s->n && s->p[i] >= '0' && s->p[i] <= '9')
		v = v * 10 + (uint64_t)(s->p[i++] - '0');
	*s = str_from(*s, i);
	*ret_value = v;
	return i > 0;
}

int registry_compare_versions(struct str a, struct str b)
{
	uint64_t x, y;
	int i, has_x, has_y;

	for (i = 0; i < 3; i++) {
		has_x = number_of(&a, &x);
		has_y = number_of(&b, &y);
		if (!has_x || !has_y)
			return has_x - has_y;
		if (x != y)
			return x < y ? -1 : 1;
		if (a.n > 0 && a.p[0] == '.')
			a = str_from(a, 1);
		if (b.n > 0 && b.p[0] == '.')
			b = str_from(b, 1);
	}
	/* A pre-release comes before its release; beyond that the text decides. */
	if ((a.n == 0) != (b.n == 0))
		return a.n == 0 ? 1 : -1;
	return str_cmp(a, b);
}

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
			log_warn("%s: " STR_FMT "/" STR_FMT " claims tier %s, the index grants %s: it opens as %s", t->file,
				 STR_ARG(t->about->type), STR_ARG(t->about->version), tier_name(t->about->tier),
				 tier_name(t->tier), tier_name(t->tier));
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

static void scan_version(void *arg, const char *version)
{
	struct scan *s = arg;
	struct arena *a = s->r->a;
	struct manifest *m = arena_zalloc(a, sizeof(*m));
	const char *folder = arena_printf(a, "%s/%s/%s", s->root, s->type, version).p;
	const char *path = arena_printf(a, "%s/%s.json", folder, s->type).p;
	struct str message;

	if (manifest_load(a, path, m, &message) < 0) {
		log_warn("Plugin passed over: " STR_FMT, STR_ARG(message));
		return;
	}
	if (!str_is(m->version, version)) {
		log_warn("Plugin passed over: %s says version " STR_FMT ", its folder is named %s", path,
			 STR_ARG(m->version), version);
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

static int wants(const struct component_type *t, struct str version)
{
	if (version.n == 0 || str_ieq(version, STR("v0")))
		return t->about->is_default || str_is(t->about->version, "v1");
	return str_ieq(t->about->version, version);
}

struct component_type *registry_find(struct registry *r, struct str type, struct str version, struct arena *a,
				     struct str *ret_message)
{
	struct component_type *best = NULL, *t;
	struct buf others = buf_in(a);
	size_t at = 0;

	while ((t = registry_next(r, &at)) != NULL) {
		if (!str_ieq(t->about->type, type))
			continue;
		if (!wants(t, version))
			buf_printf(&others, " " STR_FMT, STR_ARG(t->about->version));
		else if (best == NULL || registry_compare_versions(t->manifest->version, best->manifest->version) > 0)
			best = t;
	}
	if (best == NULL)
		*ret_message = others.n ? arena_printf(a, "there is no version " STR_FMT " of it, only" STR_FMT,
						       STR_ARG(version), STR_ARG(buf_str(&others)))
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
				 tier_name(t->tier), (unsigned)DAVIT_SDK_MINOR);
	}
	pthread_mutex_unlock(&r->loading);
	return failed ? -1 : 0;
}
