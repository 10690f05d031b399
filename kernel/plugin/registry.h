/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The registry: which plugins lie in the plugin folders, by their manifests alone, and the ones that were loaded. A
 * plugin is a folder <root>/<type>/<plugin version>/ with <type>.json (its manifest) and the .so that names. A .so is opened
 * only when a resource names its type; it is never unloaded.
 *
 * Made once at the start, on the main thread; loading takes a lock of its own and may happen on any thread.
 */
#ifndef PLUGIN_REGISTRY_H
#define PLUGIN_REGISTRY_H
#include <davit/plugin.h>

#include "plugin/manifest.h"

struct registry;

/* A component (type, version) of one plugin file. Lives as long as the registry. */
struct component_type {
	const struct manifest *manifest;
	const struct manifest_component *about;
	enum tier tier; /* as granted by the index of its folder, not as claimed */
	const char *file; /* the .so */

	/* After registry_load: the kernel's own copies, zero where the plugin's header was older. */
	struct davit_component component;
	void *ops; /* struct davit_state_ops …, by component.block; kernel-sized */
	int loaded;
	void *adapter; /* of a type that a room of the kernel offers itself: what that knows of it; NULL: a plugin */
};

/*
 * Looks through the roots, first one first; a manifest that cannot be read is a warning in the log. Without memory NULL.
 * A root that does not exist is passed over.
 */
struct registry *registry_new(const struct str *roots, size_t nroots);
void registry_free(struct registry *r);

/*
 * The newest plugin that offers type and component version ("" or "v0": its default version, else "v1"). NULL: none;
 * *ret_message (in a) says what there is instead.
 */
struct component_type *registry_find(struct registry *r, struct str type, struct str version, struct arena *a,
				     struct str *ret_message);
/* Opens the .so once and adopts the component. 0; -1: *ret_message says which file, what is wrong and what to do. */
int registry_load(struct registry *r, struct component_type *t, struct arena *a, struct str *ret_message);

/* Walks all components in the order they were found; NULL at the end. *at starts at 0. */
struct component_type *registry_next(struct registry *r, size_t *at);

/* Semantic versions (semver.org, 11): negative, 0, positive as memcmp. */
int registry_compare_versions(struct str a, struct str b);
#endif
