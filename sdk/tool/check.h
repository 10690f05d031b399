/* SPDX-License-Identifier: Apache-2.0 */
/* What a vendor writes into a manifest, against the schema: what is misspelt would otherwise just be without effect. */
#ifndef TOOL_CHECK_H
#define TOOL_CHECK_H
#include <jansson.h>

/* 0; -1: each fault has been told on standard error, as "PATH: place: what is wrong". */
int check_source(const char *path, json_t *source);
#endif
