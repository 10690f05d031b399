/* SPDX-License-Identifier: Apache-2.0 */
/* Where things lie, relative to the real place of the program, so that a build tree works without a flag. */
#ifndef MAIN_PLACES_H
#define MAIN_PLACES_H
#include "main/options.h"

/* The folders of plugins, in the order of search: --plugins-path, else ../lib/davit/plugins beside the program's folder, else
 * the installed one. */
struct str *places_plugins(const struct options *o, struct arena *a, size_t *ret_n);
/* The folder of pluggable components' sockets. Dapr's sidecar reads one name, its injector sets another. */
struct str places_sockets(int *ret_named); /* named: by the environment */
#endif
