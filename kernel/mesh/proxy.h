/* SPDX-License-Identifier: Apache-2.0 */
/* Passing a gRPC call on, whatever its service: messages as bytes, metadata, status and trailers as they are. */
#ifndef MESH_PROXY_H
#define MESH_PROXY_H
#include "grpc/client.h"
#include "grpc/server.h"
#include "plugin/scope.h"
#include "telemetry/trace.h"

struct mesh_proxy {
	struct grpc_client *to;
	const char *const *leave_out; /* names of metadata that do not go along; NULL ends the list */
	const struct http_field *add; /* what goes along besides */
	size_t nadd;
	struct trace_context trace; /* takes the place of what came; not valid: what came goes on */
	int took;		    /* set when a message of the client was read: no second try */
	int64_t deadline_ns;	    /* steady clock; 0: the call's own */
	struct scope *scope;	    /* cancelled as the client leaves; NULL: none */

	/* What mesh_proxy found out. A call whose only message is kept and that never left may be passed on once more. */
	struct arena *kept; /* of the message, as long as the call; NULL: there is none, or more than one */
	struct str message;
	int left; /* some of the last try may have reached the callee */
};

/* From the handler of c. The status is the answer to it. */
struct error mesh_proxy(struct grpc_call *c, struct mesh_proxy *p);

/*
 * The same with several tries of a call that has one message: it is kept. A second one is FAILED_PRECONDITION, and
 * mesh_repeat_over() then. Nothing is tried again once mesh_repeat_over().
 *
 *	struct mesh_repeat *r = mesh_repeat_new(c);
 *	do
 *		e = mesh_repeat_try(r, &proxy);
 *	while (…);
 *	mesh_repeat_end(r, &e);
 */
struct mesh_repeat;
struct mesh_repeat *mesh_repeat_new(struct grpc_call *c);
struct error mesh_repeat_try(struct mesh_repeat *r, struct mesh_proxy *p);
int mesh_repeat_over(const struct mesh_repeat *r); /* the client has some of the answer, or has asked for too much */
void mesh_repeat_end(struct mesh_repeat *r, const struct error *outcome); /* the status is the answer to the call */
#endif
