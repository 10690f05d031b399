/* SPDX-License-Identifier: Apache-2.0 */
/* davit/truth.h - a yes or no as components' metadata writes it. A helper of libdavit-sdk.a, not of the line. */
#ifndef DAVIT_TRUTH_H
#define DAVIT_TRUTH_H
#include <davit/plugin.h>

#ifdef __cplusplus
extern "C" {
#endif

/* 1 for y, yes, true, t, on and 1 in any case and with white space around; 0 for anything else, as Dapr reads it. */
int davit_truth(struct davit_str s);

#ifdef __cplusplus
}
#endif
#endif
