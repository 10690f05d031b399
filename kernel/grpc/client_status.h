/* SPDX-License-Identifier: Apache-2.0 */
/* What an HTTP response says about the call. For grpc/ alone. No function jumps when there is no memory. */
#ifndef GRPC_CLIENT_STATUS_H
#define GRPC_CLIENT_STATUS_H
#include "http/client.h"

/* Whether the header block is gRPC's. -1: *ret_error, the status that takes its place. */
int grpc_status_of_head(const struct http_call *c, struct error *ret_error);
/* The status that the ended response carries, in its trailers or, without them, its header block. */
struct error grpc_status_of_end(const struct http_call *c);
/* A failure of the HTTP client as gRPC calls it. */
struct error grpc_status_of_failure(struct arena *a, struct error e);
/* A grpc-timeout value for what is left until then. Bytes, at most 9 and a NUL; 0: nothing is left. */
size_t grpc_timeout_text(int64_t left_ns, char ret_text[12]);
#endif
