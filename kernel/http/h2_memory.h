/* SPDX-License-Identifier: Apache-2.0 */
/* Memory for nghttp2, which takes some ten pieces a request and gives them back with it. */
#ifndef HTTP_H2_MEMORY_H
#define HTTP_H2_MEMORY_H
#include <nghttp2/nghttp2.h>

extern nghttp2_mem h2_memory; /* sessions of the server and of the client; kept for each thread, see base/recycle.h */
#endif
