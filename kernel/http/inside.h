/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of http/ share; nobody else includes it. */
#ifndef HTTP_INSIDE_H
#define HTTP_INSIDE_H
#include <stdatomic.h>

#include "http/connection.h"
#include "http/exchange.h"
#include "http/server.h"
#include "loop/fiber.h"
#include "loop/loop.h"

/* What a version of HTTP does for an exchange; the functions are those of exchange.h. */
struct http_backend {
	int (*read)(struct http_exchange *x, struct str *ret_piece);
	int (*here)(const struct http_exchange *x); /* NULL: never known */
	int (*reply)(struct http_exchange *x, int status, const struct http_field *fields, size_t nfields,
		     struct str body);
	int (*begin)(struct http_exchange *x, int status, const struct http_field *fields, size_t nfields,
		     int64_t length);
	int (*write)(struct http_exchange *x, struct str piece);
	int (*end)(struct http_exchange *x, const struct http_field *trailers, size_t ntrailers);
	void (*abort)(struct http_exchange *x, uint32_t h2_code);
	void (*done)(struct http_exchange *x); /* the handler has returned; x may be gone after it */
};

/* An exchange and what its handler does not see. Each version embeds it first; it lies in the exchange's arena. */
struct call {
	struct http_exchange x;
	struct connection *connection; /* referenced */
	void (*gone_fn)(void *arg);
	void *gone_arg;
	struct fiber *reader, *writer; /* parked in http_read, http_write */
	uint8_t gone;		       /* the client has left; HTTP/1: it may still read */
	uint8_t cut;		       /* nothing can be sent any more */
	uint8_t whole;		       /* the piece just read is the whole body, in the arena, with a NUL behind it */
	uint8_t began, ended;	       /* the reply: its header block, its end were handed over */
	uint8_t unread;		       /* http_read_stop */
	uint8_t bodyless;	       /* the reply has no body whatever is written: to HEAD, 204, 304 */
	int64_t left;		       /* of the length announced by http_begin, -1: none was */
};

/* Counts the exchange and runs the handler. */
void call_start(struct call *k);
void call_gone(struct call *k); /* from the loop or a fiber: tells the handler once */
void call_wake(struct call *k);
/* Fields of a reply that the version itself decides on; a handler's are left out. */
int call_field_is_ours(struct str name);
/* Control characters, which would end a field, as blanks; to has v.n bytes. */
void call_clean_value(char *to, struct str v);
size_t call_decimal(char to[20], uint64_t v); /* digits written */

static inline struct call *call_of(struct http_exchange *x)
{
	return (struct call *)x; /* its first member */
}

/* A server's part on one loop. Only that loop touches it, but for the counters, which anyone may read. */
struct server_loop {
	struct http_server *server;
	struct loop *loop;
	struct connection *connections; /* all of them, newest first */
	struct output_stock stock;
	struct input_stock *inputs; /* spare input buffers */
	int ninputs;
	char *read_buffer; /* input_size bytes that every connection's read goes to first */
	atomic_int exchanges, nconnections, handles;
	uint64_t date_until; /* uv_now() */
	char date[40];	     /* "Sun, 06 Nov 1994 08:49:37 GMT" */
	size_t date_n;
	/* the listener */
	int fd; /* -1: none */
	int listening, closing;
	uv_poll_t accepting;
	uv_timer_t accept_again;
	struct loop_task start;
};

struct http_server {
	struct http_server_options o;
	char *name, *path;	  /* path: of a Unix socket, else NULL */
	int port, nloops, shared; /* shared: one listening socket for all loops */
	size_t input_size;
	atomic_int draining;
	struct server_loop *loops;
};

/* listen.c */
int listen_tcp(struct http_server *s, const char *host, int port, struct arena *a, struct str *ret_message);
int listen_unix(struct http_server *s, const char *path, struct arena *a, struct str *ret_message);
void listen_start(struct server_loop *sl); /* on the loop */
void listen_stop(struct server_loop *sl);  /* on the loop: takes what is in the queue, then no more */
void listen_close(struct http_server *s);  /* the descriptors and the Unix socket's file */

void server_connection_left(void); /* one less in the process */

/* server.c */
void server_handle_closed(uv_handle_t *h); /* for uv_close; h->data is the server_loop */
struct str server_date(struct server_loop *sl);

static inline void count(atomic_int *n, int by) /* one writer, so no locked instruction */
{
	atomic_store_explicit(n, atomic_load_explicit(n, memory_order_relaxed) + by, memory_order_release);
}

static inline int server_draining(const struct http_server *s)
{
	return atomic_load_explicit(&s->draining, memory_order_relaxed);
}
#endif
