/* SPDX-License-Identifier: Apache-2.0 */
/* What a component's operations are called, and which of them it has: for what is told of them. */
#ifndef BENCH_OPERATION_H
#define BENCH_OPERATION_H
#include <davit/plugin.h>

/* "get", "open" ...; "an operation" for one that is not the component's. Lives as long as the program. */
const char *operation_name(const struct davit_component *c, davit_op *op);
/* Whether the component's table has an operation of this name. */
int operation_there(const struct davit_component *c, const char *name);
/* The first operation of its block that it must have and has not; NULL: none is missing. */
const char *operation_missing(const struct davit_component *c);
/* "ABORTED" for DAVIT_ABORTED; "no status of the line" for what is none. */
const char *operation_status(davit_status status);
#endif
