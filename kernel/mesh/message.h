/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An invocation and its answer, in the one form that every side of it takes: the application behind HTTP or gRPC, another
 * sidecar, and the APIs. Bodies are pulled piece by piece.
 */
#ifndef MESH_MESSAGE_H
#define MESH_MESSAGE_H
#include <dapr/proto/internals/v1/service_invocation.pb-c.h>

#include "base/error.h"
#include "http/exchange.h"
#include "telemetry/trace.h"

#define MESH_WHOLE (64u << 10) /* bytes of a body that is read before it is passed on */
#define MESH_PIECE (64u << 10) /* bytes of a body in one message to another sidecar */

/*
 * Where a body comes from. read runs on a fiber of its own, which must not allocate from the call's arena by what may jump:
 * 1: *ret_piece, good until the next read; 0: the end; -1: *ret_error. stop makes the read that waits, or the next, fail.
 */
struct mesh_body {
	int (*read)(void *ctx, struct str *ret_piece, struct error *ret_error); /* NULL: it is whole */
	void (*stop)(void *ctx);
	void *ctx;
	struct str whole;
	int64_t length; /* -1: not known */
	const struct http_field
		*trailers; /* of HTTP, known when read has answered 0; for whom is asked by HTTP alone */
	size_t ntrailers;
};

/*
 * Metadata: names in Go's canonical spelling when they were HTTP fields, in lower case when they were gRPC's, and then
 * "-bin" values are base64: by that Dapr's sidecars tell them apart.
 */
struct mesh_request {
	struct str method; /* normalized: no '/' at the ends unless that is all */
	int verb;	   /* Dapr's HTTPExtension.Verb */
	int has_http;	   /* verb and query are given */
	struct str query;
	struct str content_type, type_url;
	const struct http_field *fields;
	size_t nfields;
	struct mesh_body body;
	int64_t deadline_ns;	    /* steady clock; 0: none */
	struct trace_context trace; /* of the span below which the call is; none: not valid */
};

struct mesh_response {
	int status;	    /* from 100 on HTTP's, below gRPC's */
	struct str message; /* with gRPC's */
	size_t ndetails;
	Google__Protobuf__Any **details;
	struct str content_type, type_url;
	const struct http_field *fields, *trailers; /* spelled as a request's */
	size_t nfields, ntrailers;
};

static inline int mesh_is_http(const struct mesh_response *r)
{
	return r->status >= 100;
}

const char *mesh_verb_name(int verb); /* NULL: no such verb */
int mesh_verb(struct str method);     /* in any case; one that Dapr's wire does not know is POST */

struct str mesh_metadata(const struct http_field *fields, size_t n,
			 const char *name); /* the first, in any case; or none */
int mesh_came_by_grpc(const struct http_field *fields, size_t n);

/* HTTP fields as metadata: canonical names, in arena a. */
struct http_field *mesh_from_http(struct arena *a, const struct http_field *fields, size_t n, size_t more,
				  size_t *ret_n);
/* Metadata as HTTP fields, as Dapr maps them: without what belongs to the connection, the body, or the trace. room for
 * `more`. */
struct http_field *mesh_to_http(struct arena *a, const struct http_field *fields, size_t n, size_t more, size_t *ret_n);
/* Metadata as gRPC's, as Dapr maps it; permanent: HTTP's own names get "dapr-" before them. */
struct http_field *mesh_to_grpc(struct arena *a, const struct http_field *fields, size_t n, int permanent, size_t more,
				size_t *ret_n);
/* The fields that say where in the trace this is: at most 3, appended. binary: grpc-trace-bin as well. */
void mesh_add_trace(struct arena *a, const struct trace_context *t, int binary, struct http_field *fields, size_t *n);

/* Dapr's messages and back. What is made lies in a and borrows from what it was made of. */
typedef Dapr__Proto__Internals__V1__InternalInvokeRequest mesh_request_wire;
typedef Dapr__Proto__Internals__V1__InternalInvokeResponse mesh_response_wire;

mesh_request_wire *mesh_pack_request(struct arena *a, const struct mesh_request *q);
mesh_response_wire *mesh_pack_response(struct arena *a, const struct mesh_response *r);
/* The message's data becomes the body, whole. 0; -1: there is no message. */
int mesh_unpack_request(struct arena *a, const mesh_request_wire *w, struct mesh_request *ret);
void mesh_unpack_response(struct arena *a, const mesh_response_wire *w, struct mesh_response *ret,
			  struct str *ret_body);

/* The method as the target of a request to the application, as Go's url.Parse has it. -1: *ret_why. */
int mesh_target(struct arena *a, struct str method, struct str query, struct str *ret_target, struct str *ret_why);
/* Dapr's NormalizeMethod. -1: *ret_why says "method contains …". */
int mesh_normalize(struct arena *a, struct str method, struct str *ret_method, struct str *ret_why);

int mesh_http_of_code(int grpc_code); /* HTTP's status for gRPC's */
int mesh_code_of_http(int status);
#endif
