/* SPDX-License-Identifier: Apache-2.0 */
#include "plugin/manifest.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <unistd.h>

#include "base/banned.h"
#include "base/jstream.h"
#include "plugin/file.h"
#include "plugin/version.h"

static const char *const tiers[] = { "community", "standard", "managed" };

int tier_of(struct str word, enum tier *ret_tier)
{
	size_t i;

	for (i = 0; i < sizeof(tiers) / sizeof(tiers[0]); i++) {
		if (str_ieq(word, str_of(tiers[i]))) {
			*ret_tier = (enum tier)i;
			return 0;
		}
	}
	return -1;
}

const char *tier_name(enum tier t)
{
	return tiers[t];
}

/* Reading on: the first thing that is wrong is kept, the rest reads as empty. */
struct reader {
	struct arena *a;
	const char *path;
	struct str message; /* p == NULL: all well */
};

static void wrong(struct reader *r, const char *where, const char *what)
{
	if (r->message.p == NULL)
		r->message = arena_printf(r->a, "%s: %s %s", r->path, where, what);
}

static struct str text(struct reader *r, json_t *from, const char *name, int required)
{
	json_t *v = json_object_get(from, name);

	if (v == NULL || json_is_null(v)) {
		if (required)
			wrong(r, name, "is missing");
		return STR_NONE;
	}
	if (!json_is_string(v)) {
		wrong(r, name, "must be a string");
		return STR_NONE;
	}
	return arena_str(r->a, (struct str){ json_string_value(v), json_string_length(v) });
}

/* A default may be written as any scalar. */
static struct str scalar(struct reader *r, json_t *v)
{
	if (json_is_string(v))
		return arena_str(r->a, (struct str){ json_string_value(v), json_string_length(v) });
	if (json_is_boolean(v))
		return json_is_true(v) ? STR("true") : STR("false");
	if (json_is_integer(v))
		return arena_printf(r->a, "%lld", (long long)json_integer_value(v));
	if (json_is_real(v))
		return arena_printf(r->a, "%g", json_real_value(v));
	return STR_NONE;
}

static int flag(struct reader *r, json_t *from, const char *name)
{
	json_t *v = json_object_get(from, name);

	if (v != NULL && !json_is_boolean(v))
		wrong(r, name, "must be true or false");
	return json_is_true(v);
}

static const struct str *texts(struct reader *r, json_t *from, const char *name, size_t *ret_n)
{
	json_t *list = json_object_get(from, name);
	struct str *s;
	size_t i;

	*ret_n = 0;
	if (list == NULL)
		return NULL;
	if (!json_is_array(list)) {
		wrong(r, name, "must be an array");
		return NULL;
	}
	s = arena_alloc(r->a, sizeof(*s) * (json_array_size(list) + 1));
	for (i = 0; i < json_array_size(list); i++)
		s[i] = scalar(r, json_array_get(list, i));
	*ret_n = json_array_size(list);
	return s;
}

static void read_field(struct reader *r, json_t *from, struct manifest_field *f)
{
	f->name = text(r, from, "name", 1);
	f->type = text(r, from, "type", 0);
	f->missing = text(r, from, "missing", 0);
	f->fallback = scalar(r, json_object_get(from, "default"));
	f->required = flag(r, from, "required");
	f->sensitive = flag(r, from, "sensitive");
	f->aliases = texts(r, from, "aliases", &f->naliases);
	f->allowed = texts(r, from, "allowed", &f->nallowed);
}

static void read_component(struct reader *r, json_t *from, struct manifest_component *c)
{
	json_t *fields = json_object_get(from, "metadata");
	struct manifest_field *list;
	struct str tier, rest;
	size_t i;

	c->type = text(r, from, "type", 1);
	c->version = text(r, from, "version", 1);
	c->status = text(r, from, "status", 0);
	c->is_default = flag(r, from, "default");
	c->open = flag(r, from, "openMetadata");
	tier = text(r, from, "tier", 1);
	if (tier.p != NULL && tier_of(tier, &c->tier) < 0)
		wrong(r, "tier", "must be managed, standard or community");
	if (!str_cut(c->type.p ? c->type : STR(""), '.', &c->block, &rest) && c->type.p != NULL)
		wrong(r, "type", "must begin with its block, as in state.acme");
	if (fields != NULL && !json_is_array(fields))
		wrong(r, "metadata", "must be an array");
	list = arena_zalloc(r->a, sizeof(*list) * (json_array_size(fields) + 1));
	for (i = 0; i < json_array_size(fields); i++)
		read_field(r, json_array_get(fields, i), &list[i]);
	c->fields = list;
	c->nfields = json_array_size(fields);
}

static void read_manifest(struct reader *r, json_t *from, struct manifest *m)
{
	json_t *components = json_object_get(from, "components");
	struct manifest_component *list;
	size_t i;

	m->name = text(r, from, "name", 1);
	m->version = text(r, from, "version", 1);
	m->vendor = text(r, from, "vendor", 0);
	m->licence = text(r, from, "licence", 0);
	m->library = text(r, from, "library", 1);
	m->sha256 = text(r, from, "sha256", 0);
	m->kernel = text(r, from, "kernel", 0);
	if (m->kernel.p != NULL && version_in_range(STR("0.0.0"), m->kernel) < 0)
		wrong(r, "kernel", "must be a range of versions, such as >=0.2 <0.3");
	m->abi = json_integer_value(json_object_get(from, "abi"));
	if (json_array_size(components) == 0)
		wrong(r, "components", "must be a list with at least one entry");
	if (m->library.p != NULL && memchr(m->library.p, '/', m->library.n) != NULL)
		wrong(r, "library", "must be a file name without a folder");
	list = arena_zalloc(r->a, sizeof(*list) * (json_array_size(components) + 1));
	for (i = 0; i < json_array_size(components); i++)
		read_component(r, json_array_get(components, i), &list[i]);
	m->components = list;
	m->ncomponents = json_array_size(components);
}

int manifest_load(struct arena *a, const char *path, struct manifest *ret_manifest, struct str *ret_message)
{
	struct reader r = { a, path, STR_NONE };
	struct manifest m = { .abi = 0 };
	json_error_t where;
	struct str bytes;
	json_t *root;

	if (file_read(a, path, MANIFEST_LIMIT, &bytes, ret_message) < 0)
		return -1;
	if (jstream_check(bytes) < 0) { /* jansson recurses: the depth is checked first */
		*ret_message = arena_printf(a, "%s: not well-formed JSON, or nested deeper than %d", path,
					    JSTREAM_DEPTH);
		return -1;
	}
	root = json_loadb(bytes.p, bytes.n, JSON_REJECT_DUPLICATES, &where);
	if (root == NULL) {
		*ret_message = arena_printf(a, "%s:%d: %s", path, where.line, where.text);
		return -1;
	}
	read_manifest(&r, root, &m);
	json_decref(root);
	if (r.message.p != NULL) {
		*ret_message = r.message;
		return -1;
	}
	*ret_manifest = m;
	return 0;
}

const struct manifest_field *manifest_field(const struct manifest_component *c, struct str name)
{
	size_t i, k;

	for (i = 0; i < c->nfields; i++) {
		if (str_ieq(c->fields[i].name, name))
			return &c->fields[i];
		for (k = 0; k < c->fields[i].naliases; k++)
			if (str_ieq(c->fields[i].aliases[k], name))
				return &c->fields[i];
	}
	return NULL;
}
