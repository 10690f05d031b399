/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Automatic encryption of state values: AES-GCM, kept as base64(nonce, text, tag) || "||" || name of the key, as Dapr keeps
 * them. The primary key writes; either reads, found by its name in the record. Thread-safe once made.
 */
#ifndef BLOCKS_STATE_CRYPT_H
#define BLOCKS_STATE_CRYPT_H
#include "base/arena.h"
#include "base/str.h"

struct state_crypt;

/* Keys are hexadecimal (16, 24 or 32 bytes of it), names those of their secrets; a secondary of "" is none. In arena a, for
 * the life of the store. NULL: *ret_message says what is wrong, without the key. */
struct state_crypt *state_crypt_new(struct arena *a, struct str primary, struct str primary_name, struct str secondary,
				    struct str secondary_name, struct str *ret_message);
/* Both in arena a. -1: *ret_message says why. */
int state_crypt_seal(const struct state_crypt *c, struct arena *a, struct str value, struct str *ret_sealed,
		     struct str *ret_message);
int state_crypt_open(const struct state_crypt *c, struct arena *a, struct str store, struct str sealed,
		     struct str *ret_value, struct str *ret_message);
#endif
