/* SPDX-License-Identifier: Apache-2.0 */
/* Text as URLs and forms carry it (RFC 3986, 2.1): all but letters, digits, '-', '.', '_' and '~' as %XX. */
#ifndef AZURE_ESCAPE_H
#define AZURE_ESCAPE_H
#include <davit/plugin.h>

/* In the call's memory, NUL behind it; p == NULL: none left. */
struct davit_str azure_escape(struct davit_call *call, struct davit_str s);

/* What printf makes, in the call's memory; p == NULL: none left. */
struct davit_str azure_print(struct davit_call *call, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
#endif
