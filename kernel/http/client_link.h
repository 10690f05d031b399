/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A byte stream to another process, for the client: a TCP connection or a Unix socket, in the clear or sealed by TLS, which
 * nobody above it sees. Belongs to its loop. For http/ alone.
 */
#ifndef HTTP_CLIENT_LINK_H
#define HTTP_CLIENT_LINK_H
#include <uv.h>

#define CLIENT_LINK_BUFS 4

struct client_sealed;
struct fiber;
struct loop;

struct client_link {
	union {
		uv_handle_t handle;
		uv_stream_t stream;
		uv_tcp_t tcp;
		uv_pipe_t pipe;
	};
	uv_connect_t connecting;
	uv_write_t write;
	struct loop *loop;
	struct client_sealed *sealed; /* NULL: in the clear; see client_sealed.h */
	char *sealed_out;	      /* of a write that the close has cut off */
	void *owner;		      /* of the connection; with its two functions, set by who takes the link over */
	/* p is good until it returns. n: bytes; 0: the other side has ended; below: a code for client_link_reason(). */
	void (*came)(void *owner, const char *p, ssize_t n);
	void (*written)(void *owner, int status); /* the pending write; 0 or libuv's code. Not after a close */
	struct fiber *dialer;
	int dial_status, dial_done;
	unsigned char reading, writing, closed;
};

struct client_link *client_link_new(struct loop *l, int unix_socket); /* not connected; NULL: no memory */
/* Starts to connect: wakes the dialer when dial_done is set. libuv's code. */
int client_link_connect(struct client_link *l, const struct sockaddr *to, struct fiber *dialer);
void client_link_connect_unix(struct client_link *l, const char *path, struct fiber *dialer);
void client_link_read(struct client_link *l, int on);
/*
 * At most CLIENT_LINK_BUFS. 0: all of it left; 1: written() will be called, the bytes must stay until then or until the
 * link is closed; below: libuv's code. *ret_sent: bytes that left at once, or some of them. One write at a time.
 */
int client_link_write(struct client_link *l, const uv_buf_t *bufs, unsigned nbufs, size_t *ret_sent);
int client_link_gone(
	struct client_link *l); /* 1: the other side has closed it; 2: something came that was not read yet */
/* We have no more to say, whatever was left: the other side sees the end, and reading will tell what it makes of it. */
void client_link_end(struct client_link *l);
int client_link_push(struct client_link *l, const uv_buf_t *buf); /* for client_sealed.c: to the socket, as it is */
const char *client_link_reason(const struct client_link *l, ssize_t code); /* of a failure, good until the close */
void client_link_close(struct client_link *l); /* frees it; nothing is called any more. NULL is fine */
#endif
