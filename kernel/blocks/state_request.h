/* SPDX-License-Identifier: Apache-2.0 */
/* A client's item as the request that crosses the plugin line. */
#ifndef BLOCKS_STATE_REQUEST_H
#define BLOCKS_STATE_REQUEST_H
#include "blocks/state.h"

/* Each in arena a. A failure with this tag, the operation's errorCode, has the bare reason as its message, for the operation
 * to put its own words before (they are made only then); any other is complete. */
struct error state_request_set(struct arena *a, const struct state_store *store, const struct state_item *item,
			       const char *tag, const struct davit_state_set **ret_set);
struct error state_request_key(struct arena *a, const struct state_store *store, const struct state_item *item,
			       const char *tag, const struct davit_state_key **ret_key);
/* The value a plugin emitted, decrypted, under the client's key. */
struct error state_request_value(struct arena *a, const struct state_store *store, struct str key,
				 const struct davit_state_item *from, struct state_value *ret_value);
#endif
