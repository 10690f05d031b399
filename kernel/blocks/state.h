/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The state block: what an operation on a state store means, whatever wire it came by. All functions run on a fiber; what
 * they return lives in the scope's arena. Inputs are borrowed and must live there too.
 */
#ifndef BLOCKS_STATE_H
#define BLOCKS_STATE_H
#include "blocks/blocks.h"

#define STATE_BULK_KEYS 10000 /* of one bulk request */

/* One value to write or key to delete, as the client named it. */
struct state_item {
	struct str key;
	struct str value; /* NUL behind it is not needed */
	int json;	  /* the value is JSON text; else bytes */
	struct str etag;
	int has_etag;			     /* an ETag was given; one of "" counts as none */
	struct str concurrency, consistency; /* "first-write", "last-write"; "strong", "eventual"; "" not told */
	const struct davit_pair *metadata;
	size_t nmetadata;
};

enum state_operation { STATE_UPSERT, STATE_DELETE };

struct state_step {
	enum state_operation operation;
	struct state_item item;
};

/* What was found. */
struct state_value {
	int found;
	struct str key;				     /* as the client named it */
	struct str value, etag, content_type, error; /* p == NULL: none */
	const struct davit_pair *metadata;	     /* with ttlExpireTime where the value expires */
	size_t nmetadata;
};

struct state_found {
	const struct state_value *values;
	size_t n;
	struct str token;
};

struct error state_find(const struct blocks *b, struct arena *a, struct str name, struct state_store **ret_store);
struct error state_get(struct blocks *b, struct scope *s, struct state_store *store, struct str key,
		       struct str consistency, const struct davit_pair *metadata, size_t nmetadata,
		       struct state_value *ret_value);
/* In the order of the keys, one value for each. */
struct error state_bulk_get(struct blocks *b, struct scope *s, struct state_store *store, const struct str *keys,
			    size_t n, int64_t parallelism, const struct davit_pair *metadata, size_t nmetadata,
			    const struct state_value **ret_values);
/* All of them; when some fail the others may have been written. */
struct error state_save(struct blocks *b, struct scope *s, struct state_store *store, const struct state_item *items,
			size_t n);
struct error state_delete(struct blocks *b, struct scope *s, struct state_store *store, const struct state_item *item);
struct error state_bulk_delete(struct blocks *b, struct scope *s, struct state_store *store,
			       const struct state_item *items, size_t n);
struct error state_can_transact(const struct state_store *store, struct arena *a);
/* All or nothing. */
struct error state_transact(struct blocks *b, struct scope *s, struct state_store *store,
			    const struct state_step *steps, size_t n, const struct davit_pair *metadata,
			    size_t nmetadata);
struct error state_query(struct blocks *b, struct scope *s, struct state_store *store, struct str query,
			 const struct davit_pair *metadata, size_t nmetadata, struct state_found *ret_found);
#endif
