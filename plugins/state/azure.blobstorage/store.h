/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The store of one loop: each value a block blob of one container, in Dapr's layout. v1 names the blob by what follows the
 * key's "||" (so that keys of different applications collide, which v2 mends); v2 by the whole key.
 */
#ifndef STORE_H
#define STORE_H
#include <davit/state.h>

#include "azure/storage.h"

struct store {
	struct azure_storage storage;
	char *container; /* escaped, with a slash before it */
	int whole_key;	 /* v2 */
	uint64_t users;	 /* operations under way */
	struct davit_fiber *closer;
};

davit_status blob_get(struct store *s, struct davit_call *call, const struct davit_state_key *in);
davit_status blob_set(struct store *s, struct davit_call *call, const struct davit_state_set *in);
davit_status blob_del(struct store *s, struct davit_call *call, const struct davit_state_key *in);

/* Dapr's rules for what goes along with a value; see properties.c. -1: *f says what is wrong. */
int blob_properties(struct davit_call *call, const struct davit_state_set *in, struct azure_storage_request *q,
		    struct azure_fault *f);
#endif
