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
	enum tier tier;	  /* as granted by the index of its folder, not as claimed */
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

/* What is wanted. Texts with n == 0 are not told. */
struct registry_wish {
	struct str type, version; /* of the component; version "" or "v0": its default version, else "v1" */
	struct str plugin;	  /* by its name; else any, the one whose name is the type before others */
	struct str range;	  /* of plugin versions, see version.h */
	enum tier min_tier;
};

#define REGISTRY_PLUGIN "davit.dev/plugin" /* the annotations of a resource that say so */
#define REGISTRY_VERSION "davit.dev/plugin-version"

/*
 * Of the plugins that fit, the newest: made for this kernel, in the range, not below the tier, and no pre-release unless the
 * range names one or there is nothing else. Of two that are the same in all that, the one found first. A type that several
 * plugins claim is a warning. NULL: none; *ret_message (in a) says what there is instead.
 */
struct component_type *registry_find(struct registry *r, const struct registry_wish *w, struct arena *a,
				     struct str *ret_message);
/* Opens the .so once and adopts the component. 0; -1: *ret_message says which file, what is wrong and what to do. */
int registry_load(struct registry *r, struct component_type *t, struct arena *a, struct str *ret_message);

/* Walks what was passed over, each a sentence; p == NULL at the end. *at starts at 0. */
struct str registry_passed_over(struct registry *r, size_t *at);
/* Walks all components in the order they were found; NULL at the end. *at starts at 0. */
struct component_type *registry_next(struct registry *r, size_t *at);
#endif
