/* SPDX-License-Identifier: Apache-2.0 */
/* What a body is, told from how it begins, where nobody said it. */
#ifndef HTTP_SNIFF_H
#define HTTP_SNIFF_H

#include "base/str.h"

/* A media type as the WHATWG's MIME Sniffing names it; of the bytes the first 512 count. A text of the program's life. */
struct str http_sniff(struct str bytes);

#endif
