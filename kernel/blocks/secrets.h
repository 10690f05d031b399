/* SPDX-License-Identifier: Apache-2.0 */
/* The secrets block: reading one secret or all, within what the Configuration's scopes allow. */
#ifndef BLOCKS_SECRETS_H
#define BLOCKS_SECRETS_H
#include "blocks/blocks.h"

struct secret_pair {
	struct str name; /* of the secret; pairs of one secret stand together */
	struct str key, value;
};

struct error secrets_find(const struct blocks *b, struct arena *a, struct str name, struct secret_store **ret_store);
struct error secrets_get(struct blocks *b, struct scope *s, struct secret_store *store, struct str name,
			 const struct davit_pair *metadata, size_t nmetadata, const struct secret_pair **ret_pairs,
			 size_t *ret_n);
/* What the scopes do not allow is left out. */
struct error secrets_bulk(struct blocks *b, struct scope *s, struct secret_store *store,
			  const struct davit_pair *metadata, size_t nmetadata, const struct secret_pair **ret_pairs,
			  size_t *ret_n);
/* For the runtime's own use, past the scopes: one key of one secret; "" when the secret has no such key. */
struct error secrets_read(struct scope *s, struct secret_store *store, struct str name, struct str key,
			  struct str name_space, struct str *ret_value);
#endif
