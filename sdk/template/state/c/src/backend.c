/* SPDX-License-Identifier: Apache-2.0 */
#include "backend.h"

#include <davit/siphash.h>
#include <davit/uuid.h>
#include <stdlib.h>
#include <string.h>

#define SLOTS 1024

struct entry {
	struct entry *next;
	uint64_t revision;
	void *value;
	size_t n, nkey;
	char key[];
};

struct backend {
	struct davit_siphash_key secret; /* keys come from strangers: nobody shall make them collide */
	uint64_t revisions;
	struct entry *slots[SLOTS];
};

struct backend *backend_open(void)
{
	struct backend *b = calloc(1, sizeof(*b));

	if (b != NULL && davit_random(&b->secret, sizeof(b->secret)) < 0) {
		free(b);
		b = NULL;
	}
	return b;
}

static struct entry **find(struct backend *b, const char *key, size_t nkey)
{
	struct entry **at = &b->slots[davit_siphash(&b->secret, key, nkey) % SLOTS];

	while (*at != NULL && ((*at)->nkey != nkey || memcmp((*at)->key, key, nkey) != 0))
		at = &(*at)->next;
	return at;
}

static void drop(struct entry **at)
{
	struct entry *e = *at;

	*at = e->next;
	free(e->value);
	free(e);
}

void backend_close(struct backend *b)
{
	size_t i;

	for (i = 0; b != NULL && i < SLOTS; i++)
		while (b->slots[i] != NULL)
			drop(&b->slots[i]);
	free(b);
}

static int holds(const struct entry *e, enum backend_if condition, uint64_t revision)
{
	if (condition == BACKEND_IF_NONE)
		return e == NULL;
	return condition == BACKEND_ALWAYS || (e != NULL && e->revision == revision);
}

enum backend_result backend_read(struct backend *b, const char *key, size_t nkey, const void **ret_value, size_t *ret_n,
				 uint64_t *ret_revision)
{
	const struct entry *e = *find(b, key, nkey);

	if (e == NULL)
		return BACKEND_NONE;
	*ret_value = e->value;
	*ret_n = e->n;
	*ret_revision = e->revision;
	return BACKEND_OK;
}

enum backend_result backend_write(struct backend *b, const char *key, size_t nkey, const void *value, size_t n,
				  enum backend_if condition, uint64_t revision)
{
	struct entry **at = find(b, key, nkey), *e = *at;
	void *copy;

	if (!holds(e, condition, revision))
		return BACKEND_STALE;
	copy = malloc(n + 1);
	if (e == NULL)
		e = calloc(1, sizeof(*e) + nkey);
	if (copy == NULL || e == NULL) {
		free(copy);
		if (e != *at)
			free(e);
		return BACKEND_NO_MEMORY;
	}
	if (n > 0)
		memcpy(copy, value, n);
	memcpy(e->key, key, nkey);
	e->nkey = nkey;
	free(e->value);
	e->value = copy;
	e->n = n;
	e->revision = ++b->revisions;
	*at = e; /* it may be new, at the end of its slot */
	return BACKEND_OK;
}

enum backend_result backend_remove(struct backend *b, const char *key, size_t nkey, enum backend_if condition,
				   uint64_t revision)
{
	struct entry **at = find(b, key, nkey);

	if (!holds(*at, condition, revision))
		return BACKEND_STALE;
	if (*at == NULL)
		return BACKEND_NONE;
	drop(at);
	return BACKEND_OK;
}
