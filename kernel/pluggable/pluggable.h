/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Components of other processes, which speak Dapr's pluggable component protocol over Unix sockets
 * in one folder
 * (https://docs.dapr.io/developing-applications/develop-components/pluggable-components/). The
 * socket NAME.EXT offers the types state.NAME, secretstores.NAME … for the services that its
 * reflection lists; nothing is asked of a socket that no resource names. What is found is a
 * component_type with the tables that a plugin has.
 */
#ifndef PLUGGABLE_PLUGGABLE_H
#define PLUGGABLE_PLUGGABLE_H
#include "plugin/registry.h"

#define PLUGGABLE_FOLDER "/tmp/dapr-components-sockets" /* where nothing else is said, as Dapr */

struct pluggable;

struct pluggable_options {
	struct str folder;
	int expected; /* somebody named the folder: its sockets are waited for even while there is no such folder */
};

/* On the main thread. NULL: no memory. */
struct pluggable *pluggable_new(const struct pluggable_options *o);
void pluggable_free(struct pluggable *p); /* when no instance of its types is left. NULL is fine */

/*
 * The type's component, loaded. On a fiber of one loop, always the same; parks: a socket may come
 * late, so it is waited for until until_ns (steady clock). NULL: there is none, and *ret_message
 * (in a) says what was looked for; empty when nobody would expect one (another block, another
 * version, no folder).
 */
struct component_type *pluggable_find(struct pluggable *p, struct str type, struct str version, int64_t until_ns,
				      struct arena *a, struct str *ret_message);
#endif
