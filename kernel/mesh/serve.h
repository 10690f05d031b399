/* SPDX-License-Identifier: Apache-2.0 */
/* The internal port: what other sidecars ask of this one's application. */
#ifndef MESH_SERVE_H
#define MESH_SERVE_H
#include <stdatomic.h>

#include "grpc/server.h"
#include "mesh/call.h"

struct metrics;

/* Set up before the internal server opens; lives as long as it. */
struct mesh_server {
	struct str app_id;
	_Atomic(struct app *) app; /* NULL: there is none (yet) */
	const struct tracer *tracer;
	struct metrics *metrics;
	size_t body_limit; /* bytes of a body that is taken whole; 0: none */
};

/* The methods of dapr.proto.internals.v1.ServiceInvocation, as grpc_method wants them but for the server. */
struct error mesh_serve_local(struct mesh_server *s, struct grpc_call *c, const void *request,
			      const ProtobufCMessage **ret_reply);
struct error mesh_serve_stream(struct mesh_server *s, struct grpc_call *c);
#endif
