/* SPDX-License-Identifier: Apache-2.0 */
/* davit/list.h - lists as components' metadata writes them. A helper of libdavit-sdk.a, not of the line. */
#ifndef DAVIT_LIST_H
#define DAVIT_LIST_H
#include <davit/plugin.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * The next of "a, b,c", without white space around it: 1, *rest is what stands behind it; 0: there is none. What is empty is
 * passed over. The item lies in the text and does not end in a NUL.
 *
 *	for (struct davit_str rest = davit_prop(in, "hosts"), host; davit_list_next(&rest, &host);)
 */
int davit_list_next(struct davit_str *rest, struct davit_str *ret_item);

#ifdef __cplusplus
}
#endif
#endif
