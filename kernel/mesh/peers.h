/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections to other sidecars: one an address and loop, made when it is first needed, given up when it was idle for
 * long, forgotten when there are too many.
 */
#ifndef MESH_PEERS_H
#define MESH_PEERS_H
#include "base/error.h"
#include "grpc/client.h"

#define PEERS_MOST 1024 /* of a loop */

struct peers;

struct peers_options {
	size_t body_limit;   /* bytes of one message; 0: none */
	size_t header_limit; /* bytes of metadata */
	int64_t idle_ms;     /* a connection without calls is given up then */
	int64_t look_ms;     /* how often that is looked at */
};

struct peers *peers_new(const struct peers_options *o, struct loop *const *loops, int nloops); /* NULL: no memory */
void peers_free(struct peers *p); /* from the main thread, while the loops run; NULL is fine */

/* On a loop. The client of this loop to "host:port"; held until peers_give(). NULL: *ret_error. */
struct grpc_client *peers_take(struct peers *p, struct str address, struct error *ret_error);
void peers_give(struct peers *p, struct str address);
#endif
