/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One invocation under way, to this sidecar's application or to another sidecar: it is sent, its answer's head waited
 * for, its body read piece by piece. While the body of a request comes piece by piece, a fiber of its own passes it
 * on.
 *
 *	struct mesh_call *c = mesh_call_new(arena);
 *	struct error e = mesh_call_app(c, app, &request);	or mesh_call_peer()
 *	while (!error_is(&e) && mesh_call_read(c, &piece, &e) > 0) …
 *	mesh_call_close(c);
 *
 * The arena may jump out of any of it but close (arena_on_oom): who owns a call sees to it that close runs all the
 * same.
 */
#ifndef MESH_CALL_H
#define MESH_CALL_H
#include "app/app.h"
#include "mesh/message.h"
#include "mesh/outside.h"
#include "mesh/peers.h"

struct mesh_call;

struct mesh_call *mesh_call_new(struct arena *a);

/* All wait for the head of the answer, which is then mesh_call_response(). Fail with gRPC's codes. */
struct error mesh_call_app(struct mesh_call *c, struct app *p, const struct mesh_request *q);
/* To a server outside: one that is known, or (NULL) at that URL. Fails with UNKNOWN but for what is wrong with the request. */
struct error mesh_call_outside(struct mesh_call *c, struct outside *o, const struct outside_server *s, struct str url,
			       const struct mesh_request *q);
struct error mesh_call_peer(struct mesh_call *c, struct peers *peers, struct str address, const struct mesh_request *q);

const struct mesh_response *mesh_call_response(const struct mesh_call *c);
int mesh_call_took_body(const struct mesh_call *c); /* 1: some of a body that is not whole was read: no second try */
/* 1: *ret_piece, good until the next read; 0: the end; -1: *ret_error. */
int mesh_call_read(struct mesh_call *c, struct str *ret_piece, struct error *ret_error);
/* The trailers of an HTTP answer that has ended, as HTTP fields in the call's arena; another sidecar's wire has none. */
const struct http_field *mesh_call_trailers(struct mesh_call *c, size_t *ret_n);
/* All of it, in the call's arena; more than limit bytes (0: none): RESOURCE_EXHAUSTED. */
struct error mesh_call_read_all(struct mesh_call *c, size_t limit, struct str *ret_body);
void mesh_call_cancel(struct mesh_call *c); /* on the loop, a fiber or not: what is waited for ends CANCELLED */
/* Runs fn(arg), to which the arena may jump: then the answer is RESOURCE_EXHAUSTED. */
struct error mesh_guard(struct arena *a, struct error (*fn)(void *arg), void *arg);
void mesh_call_close(struct mesh_call *c); /* waits for the fiber that passes the body on. NULL, and twice, is fine */
#endif
