/* SPDX-License-Identifier: Apache-2.0 */
/* The tables, in Dapr's layout. */
#ifndef SCHEMA_H
#define SCHEMA_H
#include "connection.h"

/* Makes what is not there yet. 0; -1: ret_fault says why. *ret_made: 1 if there was something to make. */
int schema_bring(struct connection *c, int *ret_made, struct fault *ret_fault);
#endif
