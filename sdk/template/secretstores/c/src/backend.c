/* SPDX-License-Identifier: Apache-2.0 */
#include "backend.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct backend {
	char file[1];
};

struct backend *backend_open(const char *file)
{
	struct backend *b = malloc(sizeof(*b) + strlen(file));

	if (b != NULL)
		memcpy(b->file, file, strlen(file) + 1);
	return b;
}

void backend_close(struct backend *b)
{
	free(b);
}

const char *backend_file(const struct backend *b)
{
	return b->file;
}

int backend_each(struct backend *b, int (*each)(void *arg, const char *name, const char *value), void *arg)
{
	FILE *f = fopen(b->file, "re");
	char *line = NULL, *equals;
	size_t room = 0;
	ssize_t n;
	int r = 0;

	if (f == NULL)
		return -1;
	while (r == 0 && (n = getline(&line, &room, f)) > 0) {
		if (line[n - 1] == '\n')
			line[n - 1] = '\0';
		equals = strchr(line, '=');
		if (equals == NULL || line[0] == '#')
			continue;
		*equals = '\0';
		r = each(arg, line, equals + 1);
	}
	if (r == 0 && ferror(f))
		r = -1;
	if (line != NULL)
		explicit_bzero(line, room); /* secrets do not stay in memory that others get */
	free(line);
	fclose(f);
	return r;
}
