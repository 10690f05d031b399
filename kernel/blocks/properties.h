/* SPDX-License-Identifier: Apache-2.0 */
/* The metadata of a resource as a component gets it: secrets and environment read, templates filled in. */
#ifndef BLOCKS_PROPERTIES_H
#define BLOCKS_PROPERTIES_H
#include "blocks/blocks.h"

/* The pairs, in arena a. Reads secrets: from a fiber. -1: *ret_message says why they cannot be had. */
int properties_of(struct blocks *b, struct arena *a, const struct component *c, const struct davit_pair **ret_props,
		  size_t *ret_n, struct str *ret_message);
/* A value of them, by name in any case; p == NULL: none. */
struct str properties_get(const struct davit_pair *props, size_t n, const char *name);
#endif
