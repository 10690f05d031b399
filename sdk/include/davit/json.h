/* SPDX-License-Identifier: Apache-2.0 */
/* davit/json.h - a look at JSON before a parser that recurses gets it. A helper of libdavit-sdk.a, not of the line. */
#ifndef DAVIT_JSON_H
#define DAVIT_JSON_H
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* How deep arrays and objects nest: 0 for a scalar. Says nothing about whether it is JSON. */
size_t davit_json_depth(const char *text, size_t n);

#ifdef __cplusplus
}
#endif
#endif
