/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SCHEMA_H
#define SCHEMA_H
#include "database.h"

/* Brings the tables to the level of this program, and forgets what belongs to an earlier boot. 0; -1: ret_fault is set. */
int schema_bring(struct database *d, struct fault *ret_fault);
#endif
