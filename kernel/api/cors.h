/* SPDX-License-Identifier: Apache-2.0 */
/* Cross-origin requests (https://fetch.spec.whatwg.org/#http-cors-protocol), as --allowed-origins asks. */
#ifndef API_CORS_H
#define API_CORS_H
#include "api/request.h"

const struct api_cors *cors_new(struct arena *a, struct str origins); /* NULL: "" switches it off */
int cors_apply(const struct api_cors *c, struct request *r);	      /* adds its fields; 1: a preflight, answered */
#endif
