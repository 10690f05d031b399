/* SPDX-License-Identifier: Apache-2.0 */
/* Breakers by key, made as they are first asked for; of too many the one that was not asked for longest goes. Any thread. */
#ifndef POLICY_BREAKERS_H
#define POLICY_BREAKERS_H
#include "policy/breaker.h"

struct breakers;

struct breakers *breakers_new(size_t most); /* NULL: no memory */
void breakers_free(struct breakers *s);	    /* NULL is fine */
/* One reference; NULL: no memory. about and name: of the one that is made if there is none. */
struct breaker *breakers_get(struct breakers *s, struct str key, const struct breaker_about *about, struct str name);
#endif
