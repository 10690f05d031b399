/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of a call share; nobody else includes it. */
#ifndef MESH_CALL_INSIDE_H
#define MESH_CALL_INSIDE_H
#include "mesh/call.h"

struct mesh_call {
	struct arena *arena;
	const struct mesh_request *q; /* until it is closed */
	struct mesh_response response;
	int cancelled, closed;

	/* One of these is in use. */
	struct app *app;
	int entered; /* the application's turn is ours */
	struct http_call *http;
	struct grpc_stream *grpc;
	struct http_origin *origin; /* of a server outside; entered */
	struct peers *peers;
	struct str address;

	struct str ready; /* of the body: given with the head, not read yet */
	uint64_t expect;  /* the sequence number of the next part */
	uint64_t seq;	  /* of the next part that is sent */
	int64_t began_ns;

	/* Passing the request's body on. */
	int pumping, took_body;
	struct error pump_error; /* of its source */
	struct fiber *closer;
};

/* Takes a piece, parks until it was. -1: nobody wants more. */
typedef int mesh_sink(struct mesh_call *c, struct str piece);

/* Passes q's body on by put() and end(), on a fiber of its own. */
struct error mesh_pump(struct mesh_call *c, mesh_sink *put, void (*end)(struct mesh_call *c));

/* The request by HTTP, as far as it is the same for whoever it goes to. */
struct error mesh_http_method(struct mesh_call *c, struct http_request *h);
void mesh_http_fields(struct mesh_call *c, struct http_request *h); /* and its body */
struct error mesh_pump_http(struct mesh_call *c);
void mesh_take_http_head(struct mesh_call *c);
/* Why a request failed, in the words of Go's client: Post "http://127.0.0.1:80/a": EOF. */
struct str mesh_told(struct arena *a, struct str method, const char *scheme, struct str rest, struct str why);

struct error mesh_app_http(struct mesh_call *c);
struct error mesh_app_grpc(struct mesh_call *c);
int mesh_peer_read(struct mesh_call *c, struct str *ret_piece, struct error *ret_error);
#endif
