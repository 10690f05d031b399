/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a name resolved to, remembered for a second on each loop: a call a millisecond need not ask a database each time.
 * Of several addresses each call gets one at random.
 */
#ifndef MESH_ADDRESSES_H
#define MESH_ADDRESSES_H
#include "base/arena.h"
#include "loop/loop.h"

#define ADDRESSES_NAMES 1024 /* remembered on a loop; then all are forgotten */
#define ADDRESSES_EACH 32    /* addresses of a name */

struct addresses;

struct addresses *addresses_new(struct loop *const *loops, int nloops); /* NULL: no memory. loops outlive it */
void addresses_free(struct addresses *d);				/* when no loop asks any more; NULL is fine */

/* On a loop, and only there. 1: *ret_address in a. 0: nothing is remembered, or it is too old. */
int addresses_get(struct addresses *d, struct arena *a, struct str key, struct str *ret_address);
/* Remembers n of them, or not where there is no memory. */
void addresses_put(struct addresses *d, struct str key, const struct str *list, size_t n);
void addresses_forget(struct addresses *d, struct str key);
#endif
