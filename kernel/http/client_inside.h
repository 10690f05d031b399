/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the client share; nobody else includes it. */
#ifndef HTTP_CLIENT_INSIDE_H
#define HTTP_CLIENT_INSIDE_H
#include <uv.h>

#include "base/buf.h"
#include "http/client.h"
#include "http/client_link.h"
#include "loop/fiber.h"
#include "loop/loop.h"

#define CLIENT_INBOX (64u * 1024) /* body bytes that may wait for the reader before the socket is left alone */

/* An idle connection used within this time was seen to be open; an older one is looked at before it is used. */
#define CLIENT_FRESH (INT64_C(1000000)) /* ns */

struct client_call;
struct client_h1;
struct client_h2;

/* What a version of HTTP does for a call. */
struct client_backend {
	/* On the fiber, may park: gets a connection, hands over the head and a body that is whole. fresh: no old one. */
	void (*start)(struct client_call *k, int fresh);
	void (*write)(struct client_call *k, struct str piece); /* parks until it was taken */
	void (*end)(struct client_call *k, const struct http_field *trailers, size_t ntrailers);
	void (*took)(struct client_call *k, size_t n); /* the reader took n bytes of the body */
	void (*cut)(struct client_call *k);	       /* parts the call from its connection or stream, now */
	void (*close)(struct http_client *c);	       /* the connections, which have no calls any more */
};

/* What a caller does not see. */
struct client_call {
	struct http_call c;
	struct http_client *client; /* referenced; NULL: closed */
	struct http_request q;
	void *on; /* the connection, struct client_h1 or client_h2; NULL: none, or not any more */
	struct fiber *reader, *writer;
	int64_t read_until, write_until; /* http_call_within() */
	struct error failed;
	struct buf in, out;		      /* body that has come; what the reader has of it */
	struct client_call *later, **earlier; /* among the client's calls */
	uint8_t tries;
	uint8_t stopped;	/* failed is set: for what can only look at a byte */
	uint8_t reused;		/* its connection has served others before */
	uint8_t wrote;		/* some of the request may have got out */
	uint8_t refused;	/* the other side has certainly not looked at it */
	uint8_t got_head, done; /* the response's head, its end */
	uint8_t ended;		/* the request's end was handed over */

	/* HTTP/1 */
	uint8_t chunked;

	/* HTTP/2 */
	int32_t stream;
	struct client_call *next, **link; /* among its connection's calls */
	struct str piece;		  /* of the request's body, not yet taken */
	struct http_field *fields;	  /* being gathered */
	size_t nfields, fields_cap, head_bytes;
	int informational, coming_status;
	int64_t coming_length;
	const struct http_field *trailers; /* of the request */
	size_t ntrailers;
};

struct client_waiter {
	struct client_waiter *next;
	struct fiber *fiber;
	struct client_h1 *got; /* a connection */
	int may_dial;	       /* or the right to make one; HTTP/2: the attempt to make one has ended */
};

struct http_client {
	struct http_client_options o;
	const struct client_backend *backend;
	struct loop *loop;
	char *host, *authority, *server_name, *proxy_host, *proxy_authorization;
	size_t authority_n;
	int refs, nconnections;
	uint8_t closed;
	struct client_call *calls; /* that are not closed */

	/* HTTP/1 */
	struct client_h1 *idle; /* the one used last is first */
	int nidle;
	struct client_waiter *waiting;
	uv_timer_t timer; /* the oldest idle one's end */

	/* HTTP/2 */
	struct client_h2 *connections; /* the newest is first; older ones run out after a GOAWAY */
	struct fiber *dialer;	       /* NULL: no attempt is under way */
	struct client_waiter *dial_waiting;
	struct error dial_error; /* of the last attempt; its text in dial_text */
	char dial_text[200];
};

extern const struct client_backend client_h1_backend, client_h2_backend;

static inline struct client_call *client_call_of(struct http_call *c)
{
	return (struct client_call *)c; /* its first member */
}

static inline int client_is_unix(const struct http_client *c)
{
	return c->host[0] == '/';
}

static inline const char *client_network(const struct http_client *c)
{
	return client_is_unix(c) ? "unix" : "tcp";
}

/* client.c */
void client_unref(struct http_client *c);
void client_call_wake(struct client_call *k);
void client_call_fail(struct client_call *k, struct error e); /* the first counts, and only before the end */
/* Parks in *slot. The deadline, when it comes, fails the call and cuts it. */
void client_call_wait(struct client_call *k, struct fiber **slot);
/* As error_new(), but without memory it says so instead of a jump. */
struct error client_error(struct arena *a, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* n: 0 EOF, else the link's code; the link may be NULL. */
struct error client_read_error(struct client_call *k, const struct client_link *l, ssize_t n);
int client_call_stopped(void *k); /* it failed, or its owner has gone, with which it fails now */
int client_is_token(struct str s);

/* client_fields.c */
struct error client_check_request(struct arena *a, const struct http_request *q);
int client_own_field(struct str name);	  /* one that the connection makes itself */
int client_keeps_value(struct str value); /* no byte in it that would end the field */

/*
 * client_dial.c: on a fiber, parks. Resolves and connects, one address after another, then goes through the proxy and
 * to TLS. NULL: *ret_error, in the arena. It ends early when stop(arg), which is asked after each wake.
 */
struct client_link *client_dial(struct http_client *c, struct arena *a, int connect_timeout_ms, int64_t deadline_ns,
				int (*stop)(void *arg), void *arg, struct error *ret_error);

#define CLIENT_NO_MEMORY ((struct error){ .code = ERROR_RESOURCE_EXHAUSTED, .message = STR("out of memory") })
#define CLIENT_EXPIRED ((struct error){ .code = ERROR_DEADLINE_EXCEEDED, .message = STR("context deadline exceeded") })
#define CLIENT_CANCELLED ((struct error){ .code = ERROR_CANCELLED, .message = STR("context canceled") })
#endif
