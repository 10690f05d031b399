/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Servers outside, which are invoked by a URL or by the name of an HTTPEndpoint: what is known of them, and the connections to
 * them, on every loop. Proxies are those of the environment, but never for this machine, as in Dapr.
 */
#ifndef MESH_OUTSIDE_H
#define MESH_OUTSIDE_H
#include <davit/dial.h>

#include "base/error.h"
#include "http/exchange.h"

struct loop;
struct outside;

/* A server known by name. All of it lives as long as it is listed. */
struct outside_server {
	struct str name, base_url;
	const struct http_field *headers; /* put in place of the caller's of that name */
	size_t nheaders;
	const struct davit_tls *tls; /* NULL: the system's trust anchors, no certificate of ours */
};

struct outside_list {
	size_t n;
	const struct outside_server *p;
};

struct outside *outside_new(struct loop *const *loops, int nloops); /* NULL: no memory */
void outside_free(struct outside *o); /* from the main thread, while the loops run; NULL is fine */

/* Once, before anything is invoked by name; borrowed until outside_free(). From any thread. */
void outside_know(struct outside *o, const struct outside_list *list);
const struct outside_list *outside_known(const struct outside *o);		     /* NULL: none (yet); of NULL too */
const struct outside_server *outside_find(const struct outside *o, struct str name); /* NULL: there is none */
void **outside_slot(struct outside *o); /* of this loop, for plugin/http_origin.h */
#endif
