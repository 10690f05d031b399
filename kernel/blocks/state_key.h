/* SPDX-License-Identifier: Apache-2.0 */
/* How a client's key becomes the store's: the resource's keyPrefix strategy (facts: Dapr's keyPrefix page). */
#ifndef BLOCKS_STATE_KEY_H
#define BLOCKS_STATE_KEY_H
#include "blocks/blocks.h"

/* The prefix for a strategy: "appid" (also ""), "name", "namespace", "none" or any other text, taken as it is. -1: it holds
 * "||". The result lives in a. */
int state_key_prefix(struct arena *a, struct str strategy, struct str store, struct str app_id, struct str name_space,
		     struct str *ret_prefix);
/* The whole key, NUL behind it; an error when the client's holds "||". */
struct error state_key_full(struct arena *a, const struct state_store *s, struct str key, struct str *ret_key);
struct str state_key_short(struct str full); /* what stands behind the first "||", up to a second; all without one */
#endif
