/* SPDX-License-Identifier: Apache-2.0 */
/* A resource's metadata against the manifest: names in the manifest's spelling, defaults, what is missing or not allowed. */
#ifndef PLUGIN_PROPERTIES_H
#define PLUGIN_PROPERTIES_H
#include <davit/plugin.h>

#include "base/error.h"
#include "plugin/manifest.h"

/* Sorted by name, each name once (the last given wins). The values stay borrowed. */
struct error properties_check(struct arena *a, const struct manifest_component *c, const struct davit_pair *given,
			      size_t n, const char *log_name, const struct davit_pair **ret_props, size_t *ret_n);
#endif
