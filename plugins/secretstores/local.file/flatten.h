/* SPDX-License-Identifier: Apache-2.0 */
/* From the file's JSON to pairs. */
#ifndef FLATTEN_H
#define FLATTEN_H
#include <jansson.h>

#include "secrets.h"

/* Adds all that root holds to s, unsorted; null is an empty file. -1: no memory. */
int flatten(struct secrets *s, json_t *root, struct davit_str separator, int multi);
#endif
