/* SPDX-License-Identifier: Apache-2.0 */
/* davit/size.h - sizes as components' metadata writes them: Kubernetes' quantities. A helper of libdavit-sdk.a, not of the line. */
#ifndef DAVIT_SIZE_H
#define DAVIT_SIZE_H
#include <davit/plugin.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * "4096", "4Ki", "1.5Mi", "10k", "1e3": the whole number of bytes, rounded up. Suffixes k M G T P E and Ki Mi Gi Ti Pi Ei, or an
 * exponent; "" is 0. 0; -1: not a size, below zero, or more than an int64_t holds.
 */
int davit_size_parse(struct davit_str s, int64_t *ret_bytes);

#ifdef __cplusplus
}
#endif
#endif
