/* SPDX-License-Identifier: Apache-2.0 */
/* Opens a plugin's .so after every check that can be made before its code runs, and adopts what it offers. */
#ifndef PLUGIN_OPEN_LIBRARY_H
#define PLUGIN_OPEN_LIBRARY_H
#include "plugin/registry.h"

/* Fills t->component and t->ops (in keep). 0; -1: *ret_message (in a) names the file, the fault and the cure. */
int open_library(struct arena *keep, struct component_type *t, struct arena *a, struct str *ret_message);

/* The kernel-sized copy of a struct that says its own size first; what it lacks is zero. */
void adopt(void *to, size_t size, const void *from);
#endif
