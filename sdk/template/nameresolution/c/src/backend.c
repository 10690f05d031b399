/* SPDX-License-Identifier: Apache-2.0 */
#include "backend.h"

#include <stdlib.h>
#include <string.h>

struct backend {
	char hosts[1];
};

struct backend *backend_open(const char *hosts)
{
	struct backend *b = malloc(sizeof(*b) + strlen(hosts));

	if (b != NULL)
		memcpy(b->hosts, hosts, strlen(hosts) + 1);
	return b;
}

void backend_close(struct backend *b)
{
	free(b);
}

const char *backend_find(const struct backend *b, const char *app, size_t n, size_t *ret_n)
{
	const char *at = b->hosts;

	while (*at != '\0') {
		size_t name = strcspn(at, "=,"), all = strcspn(at, ",");

		if (name == n && name < all && memcmp(at, app, n) == 0) {
			*ret_n = all - name - 1;
			return at + name + 1;
		}
		at += at[all] == ',' ? all + 1 : all;
	}
	return NULL;
}
