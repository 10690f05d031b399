/* SPDX-License-Identifier: Apache-2.0 */
/* The HTTPEndpoints of a snapshot with their secrets read: what mesh knows of servers outside. */
#ifndef BLOCKS_ENDPOINTS_H
#define BLOCKS_ENDPOINTS_H
#include "blocks/blocks.h"
#include "mesh/outside.h"

/* From a fiber, when the secret stores are open. In the blocks' arena. */
const struct outside_list *endpoints_read(struct blocks *b, const struct resources *r);
#endif
