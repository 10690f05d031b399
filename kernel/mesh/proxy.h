/* SPDX-License-Identifier: Apache-2.0 */
/* Passing a gRPC call on, whatever its service: messages as bytes, metadata, status and trailers as they are. */
#ifndef MESH_PROXY_H
#define MESH_PROXY_H
#include "grpc/client.h"
#include "grpc/server.h"
#include "telemetry/trace.h"

struct mesh_proxy {
	struct grpc_client *to;
	const char *const *leave_out; /* names of metadata that do not go along; NULL ends the list */
	const struct http_field *add; /* what goes along besides */
	size_t nadd;
	struct trace_context trace; /* takes the place of what came; not valid: what came goes on */
	int took;		    /* set when a message of the client was read: no second try */
};

/* From the handler of c. The status is the answer to it. */
struct error mesh_proxy(struct grpc_call *c, struct mesh_proxy *p);
#endif
