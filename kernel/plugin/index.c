/* SPDX-License-Identifier: Apache-2.0 */
#include "plugin/index.h"

#include <jansson.h>
#include <unistd.h>

#include "base/banned.h"
#include "base/jstream.h"
#include "base/log.h"
#include "plugin/file.h"

#define LOG_SCOPE "davit.plugin"
#define INDEX_LIMIT (4u * 1024 * 1024)

static struct str text(struct arena *a, json_t *from, const char *name)
{
	json_t *v = json_object_get(from, name);

	return json_is_string(v) ? arena_str(a, (struct str){ json_string_value(v), json_string_length(v) }) : STR("");
}

static void read_entries(struct arena *a, json_t *list, struct plugin_index *x)
{
	struct index_entry *e = arena_zalloc(a, sizeof(*e) * (json_array_size(list) + 1));
	size_t i;

	for (i = 0; i < json_array_size(list); i++) {
		json_t *from = json_array_get(list, i);

		e[i].type = text(a, from, "type");
		e[i].version = text(a, from, "version");
		e[i].plugin_version = text(a, from, "pluginVersion");
		e[i].sha256 = text(a, from, "sha256");
		if (tier_of(text(a, from, "tier"), &e[i].tier) < 0)
			e[i].tier = TIER_COMMUNITY;
	}
	x->entries = e;
	x->n = json_array_size(list);
}

void index_load(struct arena *a, const char *root, struct plugin_index *ret_index)
{
	const char *path = arena_printf(a, "%s/index.json", root).p;
	struct str bytes, message;
	json_t *list;

	*ret_index = (struct plugin_index){ NULL, 0 };
	if (access(path, F_OK) < 0)
		return;
	if (file_trusted(a, path, &message) < 0 || file_read(a, path, INDEX_LIMIT, &bytes, &message) < 0) {
		log_warn("Plugin index passed over, all its plugins are community: " STR_FMT, STR_ARG(message));
		return;
	}
	list = jstream_check(bytes) < 0 ? NULL : json_loadb(bytes.p, bytes.n, 0, NULL);
	if (!json_is_array(list))
		log_warn("Plugin index passed over, all its plugins are community: %s: not a JSON array", path);
	else
		read_entries(a, list, ret_index);
	json_decref(list);
}

enum tier index_grants(const struct plugin_index *x, const struct manifest *m, const struct manifest_component *c)
{
	size_t i;

	for (i = 0; i < x->n; i++) {
		const struct index_entry *e = &x->entries[i];

		if (str_eq(e->type, c->type) && str_eq(e->version, c->version) &&
		    str_eq(e->plugin_version, m->version) && m->sha256.p != NULL && str_ieq(e->sha256, m->sha256))
			return e->tier < c->tier ? e->tier : c->tier;
	}
	return TIER_COMMUNITY;
}
