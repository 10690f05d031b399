/* SPDX-License-Identifier: Apache-2.0 */
/* gzip (RFC 1952) for the messages of one call, by zlib. For grpc/ alone. */
#ifndef GRPC_ZIP_H
#define GRPC_ZIP_H
#include "base/error.h"

struct grpc_zip;

/* zlib's own memory is the arena's, and taken when it is first needed. NULL: no memory. */
struct grpc_zip *grpc_zip_new(struct arena *a);

/* Both write to arena a. 0, or -1 and *ret_error. limit: bytes of the result, 0: none; the result is never larger. */
int grpc_unzip(struct grpc_zip *z, struct arena *a, struct str in, size_t limit, struct str *ret_out,
	       struct error *ret_error);
/* `head` bytes are left free in front; *ret_out begins with them. */
int grpc_zip(struct grpc_zip *z, struct arena *a, struct str in, size_t head, struct str *ret_out,
	     struct error *ret_error);
#endif
