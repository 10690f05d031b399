/* SPDX-License-Identifier: Apache-2.0 */
/* One HTTP/2 connection of a client and what its files share. For http/ alone. */
#ifndef HTTP_CLIENT_H2_H
#define HTTP_CLIENT_H2_H
#include <nghttp2/nghttp2.h>

#include "http/client_inside.h"
#include "http/h2_memory.h"

struct client_h2 {
	struct client_link *link;
	struct http_client *client; /* not referenced: it closes us before it goes */
	struct client_h2 *next;
	nghttp2_session *session;
	struct client_call *calls; /* with a stream on it */
	size_t ncalls;
	struct loop_task flush;
	struct buf out; /* being written, while the link writes */
	uv_timer_t timer;
	int64_t freed_ns;		     /* when its last call left it */
	uint64_t heard, idle_since, ping_at; /* uv_now() */
	uint8_t flushing;		     /* flush is in line */
	uint8_t going;			     /* takes no new streams */
	uint8_t closed, pinging, served;
};

/* client_h2.c */
void client_h2_flush(struct client_h2 *h);  /* sends before the loop sleeps: one write for all that was asked for */
void client_h2_part(struct client_call *k); /* the call has no stream any more */
/* All its calls fail with e, whose text need not last. Not from nghttp2's callbacks. */
void client_h2_close(struct client_h2 *h, struct error e);
/* Over a fresh link, which it takes. NULL: no memory. */
struct client_h2 *client_h2_new(struct http_client *c, struct client_link *l);

/* client_stream.c: nghttp2's callbacks; all have the connection as their user data. */
int client_stream_callbacks(nghttp2_session_callbacks **ret_callbacks); /* nghttp2's code */
/* Hands the request over. nghttp2's code: NGHTTP2_ERR_STREAM_ID_NOT_AVAILABLE when the connection is used up. */
int client_stream_start(struct client_h2 *h, struct client_call *k);
#endif
