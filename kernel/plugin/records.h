/* SPDX-License-Identifier: Apache-2.0 */
/* Copies of what plugins emit, by a table of each kind's fields. */
#ifndef PLUGIN_RECORDS_H
#define PLUGIN_RECORDS_H
#include "base/arena.h"

/* A copy in the arena, kernel-sized, unknown tail cut, missing tail zero. deep: strings and bytes are copied too. NULL: no
 * memory, or (*ret_unknown) a kind that nobody expects. */
void *record_copy(struct arena *a, const void *from, int deep, int *ret_unknown);
#endif
