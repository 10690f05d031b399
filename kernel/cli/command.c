/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/command.h"

#include <stdarg.h>
#include <unistd.h>

#include "base/banned.h"

const char *command_flag(const struct command_call *c, const char *name)
{
	int i;

	for (i = 0; c->command->flags[i].name != NULL; i++)
		if (strcmp(c->command->flags[i].name, name) == 0)
			return c->flags[i].n ? c->flags[i].values[c->flags[i].n - 1] : NULL;
	return NULL;
}

int command_wrong(const struct command_call *c, const char *fmt, ...)
{
	va_list ap;

	fputs("davit: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fprintf(stderr, "\nTry 'davit %s --help'.\n", c->command ? c->command->name : "");
	return 2;
}

int command_failed(const char *fmt, ...)
{
	va_list ap;

	fputs("davit: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	return 1;
}

static void add_paths(struct command_call *c, struct str list, struct str *roots, size_t *n)
{
	struct str part;

	while (list.n > 0 && str_split(&list, ':', &part) && *n < COMMAND_REPEATS)
		if (part.n > 0)
			roots[(*n)++] = arena_str(c->a, part);
}

const char *command_beside(struct arena *a, const char *path)
{
	char program[4096];
	ssize_t n = readlink("/proc/self/exe", program, sizeof(program) - 1);
	char *slash;

	program[n > 0 ? n : 0] = '\0';
	slash = strrchr(program, '/');
	if (slash == NULL)
		return path;
	*slash = '\0';
	return arena_printf(a, "%s/%s", program, path).p;
}

struct registry *command_registry(struct command_call *c)
{
	struct str roots[COMMAND_REPEATS + 2];
	const char *env = getenv("DAVIT_PLUGINS_PATH");
	size_t n = 0;
	int i, k;

	for (i = 0; c->command->flags[i].name != NULL; i++)
		for (k = 0; strcmp(c->command->flags[i].name, "plugins-path") == 0 && k < c->flags[i].n; k++)
			add_paths(c, str_of(c->flags[i].values[k]), roots, &n);
	if (n == 0 && env != NULL)
		add_paths(c, str_of(env), roots, &n);
	roots[n++] = str_of(command_beside(c->a, "../lib/davit/plugins"));
#ifdef DAVIT_PLUGINS
	roots[n++] = STR(DAVIT_PLUGINS);
#endif
	return registry_new(roots, n);
}
