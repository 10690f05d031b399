/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The index of a plugin folder (<root>/index.json): which tier the distributor grants to which file, by its hash. Read only
 * if it belongs to root or the user. What it does not list is community.
 */
#ifndef PLUGIN_INDEX_H
#define PLUGIN_INDEX_H
#include "plugin/manifest.h"

struct index_entry {
	struct str type, version, plugin_version, sha256;
	enum tier tier;
};

struct plugin_index {
	const struct index_entry *entries;
	size_t n;
};

void index_load(struct arena *a, const char *root,
		struct plugin_index *ret_index); /* none or unreadable: empty, logged */
enum tier index_grants(const struct plugin_index *x, const struct manifest *m, const struct manifest_component *c);
#endif
