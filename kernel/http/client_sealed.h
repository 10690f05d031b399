/* SPDX-License-Identifier: Apache-2.0 */
/* TLS between a link and its socket. For client_link.c and client_dial.c alone. */
#ifndef HTTP_CLIENT_SEALED_H
#define HTTP_CLIENT_SEALED_H
#include <stdint.h>

#include "http/client_link.h"
#include "loop/loop.h"
#include "tls/session.h"

struct client_sealed {
	struct tls_session *session;
	struct client_link *link;	  /* NULL: closed, only `again` has yet to run */
	uv_buf_t plain[CLIENT_LINK_BUFS]; /* the owner's write, what is left of it */
	unsigned nplain;
	char *out; /* sealed bytes that the socket has not taken yet; while busy */
	struct loop_task again;
	int error;		     /* how reading from the socket ended; 0: it has not */
	uint8_t busy, shaking, told; /* told: the owner knows that nothing more comes */
	uint8_t lined;		     /* `again` is in line */
};

/*
 * On a connected link, on a fiber: TLS from now on. name: of the other side. Parks until the handshake is over, until_ns or
 * stop(arg), which is asked after each wake. 0; -1: *ret_why says it, good until the link is closed; -2: out of time or
 * stopped; -3: no memory.
 */
int client_sealed_start(struct client_link *l, struct tls_context *c, struct str name, int64_t until_ns,
			int (*stop)(void *arg), void *arg, const char **ret_why);

void client_sealed_came(struct client_link *l, const char *p, ssize_t n); /* from the socket; n below 0: its end */
int client_sealed_write(struct client_link *l, const uv_buf_t *bufs, unsigned nbufs, size_t *ret_sent);
void client_sealed_written(struct client_link *l, int status); /* the socket has taken what was left */
void client_sealed_resume(struct client_link *l);	       /* the owner reads again */
void client_sealed_close(struct client_link *l); /* says so to the other side, if it can be said at once */
#endif
