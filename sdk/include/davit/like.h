/* SPDX-License-Identifier: Apache-2.0 */
/* davit/like.h - SQL's LIKE for stores without SQL. A helper of libdavit-sdk.a, not of the line. */
#ifndef DAVIT_LIKE_H
#define DAVIT_LIKE_H
#include <davit/plugin.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * 1: the whole text matches. '%' is any run of characters, '_' one character (of UTF-8; one byte where it is not), and a
 * backslash takes the next character as it is. Case counts. Time at worst the product of the lengths.
 */
int davit_like(struct davit_str pattern, struct davit_str text);

#ifdef __cplusplus
}
#endif
#endif
