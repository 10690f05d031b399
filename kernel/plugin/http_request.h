/* SPDX-License-Identifier: Apache-2.0 */
/* One request of "davit.http/1" on its way, shared by the two forms of asking: http.c (whole) and http_exchange.c (in pieces). */
#ifndef PLUGIN_HTTP_REQUEST_H
#define PLUGIN_HTTP_REQUEST_H
#include "plugin/http_origin.h"

/* What a plugin's struct holds, in full length. */
struct davit_http_request http_request_read(const struct davit_http_request *in);
struct davit_instance;

/* A request to one server. Lives on one loop; its memory is the arena's. */
struct http_asking {
	struct arena *arena;
	struct davit_http_request in; /* in full length */
	struct http_url url;
	struct http_origin *origin; /* entered; NULL: none */
	struct http_call *call;
};

/*
 * On the work's loop, on a fiber: finds the server and sends the request, all of it or its head. `in` and the arena
 * are set. gone: see http_request. On failure `why` of the request is set; end it in any case.
 */
davit_status http_asking_start(struct http_asking *q, struct service_work *w, struct instance *i,
			       int (*gone)(void *arg), void *arg);
davit_status http_asking_fail(const struct http_asking *q, struct error e); /* says why */
void http_asking_end(struct http_asking *q);				    /* on the loop; twice is fine */

/* Fields as a plugin reads them, in the arena. -1: no memory. */
int http_asking_pairs(struct arena *a, const struct http_field *fields, size_t n, const struct davit_pair **ret_pairs);
#endif
