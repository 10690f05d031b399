/* SPDX-License-Identifier: Apache-2.0 */
#include "main/places.h"

#include <unistd.h>

#include "base/banned.h"

#ifndef DAVIT_PLUGINS
#define DAVIT_PLUGINS "/usr/lib/davit/plugins" /* the build says where it installs */
#endif

struct str *places_plugins(const struct options *o, struct arena *a, size_t *ret_n)
{
	struct str *list = arena_alloc(a, sizeof(*list) * (o->plugins_path.n + 2));
	char program[4096];
	ssize_t length = readlink("/proc/self/exe", program, sizeof(program) - 1);
	char *slash;
	size_t n = 0, i;

	for (i = 0; i < o->plugins_path.n; i++)
		list[n++] = o->plugins_path.at[i];
	if (length > 0) {
		program[length] = '\0';
		slash = strrchr(program, '/');
		if (slash != NULL) {
			*slash = '\0';
			list[n++] = arena_printf(a, "%s/../lib/davit/plugins", program);
		}
	}
	list[n++] = STR(DAVIT_PLUGINS);
	*ret_n = n;
	return list;
}
