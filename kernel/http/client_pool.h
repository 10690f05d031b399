/* SPDX-License-Identifier: Apache-2.0 */
/* The HTTP/1 connections of a client, at most connection_limit of them. For http/ alone. */
#ifndef HTTP_CLIENT_POOL_H
#define HTTP_CLIENT_POOL_H
#include <http_parser.h>

#include "http/client_inside.h"

struct client_h1 {
	struct client_link *link;
	struct http_client *client; /* not referenced: it closes us before it goes */
	struct client_call *k;	    /* NULL: idle, or being handed over */
	struct client_h1 *next;	    /* idle ones */
	int64_t freed_ns;
	uint64_t idle_since; /* uv_now() */

	http_parser parser;
	struct buf head;   /* names and values of the block that is coming in, one behind the other */
	struct buf parts;  /* struct client_part for each field of it */
	size_t head_bytes; /* read before the response's fields were complete */
	int informational; /* 1xx responses so far */
	uint8_t in_value, complete, keep;
	uint8_t broken;	   /* a write failed */
	const char *fault; /* why a callback stopped the parser */
};

/* On the call's fiber, may park: a connection that nobody else has, an idle one unless fresh. NULL: k failed. */
struct client_h1 *client_pool_take(struct client_call *k, int fresh);
/* Gives it back, to be used again or closed. */
void client_pool_give(struct client_h1 *h, int again);
void client_pool_lost(struct client_h1 *h);    /* an idle one that the other side closed */
void client_pool_close(struct http_client *c); /* the idle ones */

struct client_part {
	uint32_t name, value, end; /* offsets into head */
};

/* client_response.c: what comes in. client_link's functions for an HTTP/1 connection. */
void client_response_came(void *h1, const char *p, ssize_t n);
void client_response_begin(struct client_h1 *h); /* a request goes out on it */

/* client_h1.c */
void client_h1_written(void *h1, int status);
void client_h1_part(struct client_h1 *h, int again); /* the call is done with the connection */
struct client_h1 *client_h1_new(struct http_client *c, struct client_link *l); /* NULL: no memory, the link is closed */
void client_h1_free(struct client_h1 *h);
#endif
