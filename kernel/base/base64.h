/* SPDX-License-Identifier: Apache-2.0 */
/* Base64 with the standard alphabet and padding (RFC 4648, 4), as Go's base64.StdEncoding reads and writes it. */
#ifndef BASE_BASE64_H
#define BASE_BASE64_H
#include "base/buf.h"

void base64_put(struct buf *b, struct str bytes);
/* Line ends are skipped. 0: *ret_bytes in a, with a NUL behind it; -1: this is no base64. */
int base64_read(struct arena *a, struct str text, struct str *ret_bytes);
/* Where a text that base64_read() refused goes wrong, by the count of Go's decoder. */
size_t base64_fault(struct str text);
#endif
