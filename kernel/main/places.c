/* SPDX-License-Identifier: Apache-2.0 */
#include "main/places.h"

#include <unistd.h>

#include "base/banned.h"
#include "pluggable/pluggable.h"

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

struct str places_sockets(int *ret_named)
{
	static const char *const names[] = { "DAPR_COMPONENTS_SOCKETS_FOLDER", "DAPR_COMPONENT_SOCKETS_FOLDER" };
	const char *v;
	size_t i;

	*ret_named = 1;
	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if ((v = getenv(names[i])) != NULL && v[0] != '\0')
			return str_of(v);
	*ret_named = 0;
	return STR(PLUGGABLE_FOLDER);
}
