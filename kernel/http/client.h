/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The client side of HTTP: requests to one origin over connections that are kept, straight-line on fibers. Requests and
 * responses are the same for HTTP/1.1 (a pool of connections) and HTTP/2 (many streams on one connection, or few), and both
 * bodies may stream at once. A client belongs to one loop; so do its calls. Those who talk to an origin from several
 * loops have a client on each.
 *
 *	struct http_request q = { .method = STR("GET"), .target = STR("/dapr/config"), .deadline_ns = … };
 *	struct error e = http_client_request(client, &q, arena, &call);
 *	if (!error_is(&e)) e = http_call_read_all(call, limit, &body);
 *	http_call_close(call);
 *
 * Failures: UNAVAILABLE (nobody listens, the connection broke), DEADLINE_EXCEEDED, CANCELLED, INTERNAL (the other side
 * sent nonsense), RESOURCE_EXHAUSTED (no memory, a limit), INVALID_ARGUMENT (the request cannot be sent). Their texts are
 * in the call's arena and worded as Go's net package does.
 *
 * A request that was given whole is sent once more by itself, on a new connection, if the connection was an old one that
 * turned out to be closed: only when nothing of a response was received, and, after some of it was sent, only GET, HEAD,
 * OPTIONS and TRACE. One that an HTTP/2 peer refused to look at (RFC 9113, 8.7) is sent up to eleven times more, within 2 s.
 */
#ifndef HTTP_CLIENT_H
#define HTTP_CLIENT_H
#include "base/error.h"
#include "http/exchange.h"
#include "tls/context.h"

struct http_client;

struct http_client_options {
	struct str host;	 /* a name, an address with or without brackets, or the path of a Unix socket; copied */
	int port;		 /* not for a Unix socket */
	int major;		 /* 1, or 2: by prior knowledge (RFC 9113, 3.3), with TLS as without */
	struct tls_context *tls; /* NULL: none; the client holds it. Its names for ALPN are not looked at afterwards */
	struct str server_name;	 /* asked for, and what the certificate must be for; n == 0: the host. Copied */
	struct str proxy_host;	 /* n == 0: none; connections go through it by CONNECT. A name or an address; copied */
	int proxy_port;
	struct str proxy_authorization; /* value of proxy-authorization; n == 0: none. Copied */
	int connect_timeout_ms;		/* name, connection, proxy and TLS; 0: only the call's deadline. 15 s */
	int connection_limit;		/* HTTP/1: at once; calls beyond wait in line. 1,024 */
	int idle_limit;			/* HTTP/1: kept without a call. 64 */
	int idle_timeout_ms;		/* a connection without a call is closed then; 0: never. 90 s */
	size_t header_limit; /* bytes of a response's status line and fields; trailers the same again. 64 KiB */
	int growth;	     /* HTTP/2: connections at most. 1 */
	int crowd;	     /* HTTP/2: calls on each of them from which on another one is made. 512 */
	size_t window;	     /* HTTP/2: bytes of a response that may come before they are read. 256 KiB */
	int ping_ms;	     /* HTTP/2: a connection silent for so long is pinged; 0: never, the default */
	int ping_timeout_ms; /* and given up when it then stays silent. 5 s */
};

struct http_client_options http_client_defaults(void);

/* All three on the loop's own thread. NULL: no memory. */
struct http_client *http_client_new(struct loop *l, const struct http_client_options *o);
/* Calls under way end CANCELLED; they must still be closed, before the loop ends. NULL is fine. */
void http_client_free(struct http_client *c);
/* 0: somebody listens there (a connection was made and closed); -1: nobody before until_ns (steady clock), or *stop was
 * set and the fiber woken. On a fiber; parks. */
int http_client_reach(struct http_client *c, int64_t until_ns, const uint8_t *stop);
void http_client_use_tls(struct http_client *c, struct tls_context *tls); /* for connections made from now on */
struct str http_client_authority(
	const struct http_client *c); /* "localhost:3000", "[::1]:3000"; "localhost": Unix socket */
int http_client_connections(const struct http_client *c);

/* Texts, fields and body are borrowed until the call is closed. */
struct http_request {
	struct str method;    /* "GET" */
	struct str target;    /* raw: "/a%2Fb?q=1" */
	struct str authority; /* n == 0: the client's */
	/* Names in any case. The connection's own (host, connection, content-length, transfer-encoding, upgrade, …) are
	 * left out: they are made from the rest. */
	const struct http_field *fields;
	size_t nfields;
	struct str body; /* whole, if not streamed */
	int streamed;	 /* the body follows by http_call_write() and http_call_end() */
	int64_t length; /* of a streamed body; -1: not known, and HTTP/2 is not told a whole one's either, as in gRPC */
	int64_t deadline_ns;	/* steady clock, for all of the call; 0: none */
	int connect_timeout_ms; /* HTTP/1: in place of the client's; 0: that */
	/* Asked each time a fiber in the call has been woken; 1: nobody wants it any more, it ends CANCELLED. May be NULL. */
	int (*gone)(void *arg);
	void *gone_arg;
};

/* One request and its response. What is shown here is for reading, when http_call_head() has answered. */
struct http_call {
	struct arena *arena;
	void *user;			 /* the caller's */
	int status;			 /* 200 and above */
	const struct http_field *fields; /* names in lower case */
	size_t nfields;
	int64_t content_length;		   /* -1: not told */
	const struct http_field *trailers; /* when the body has ended */
	size_t ntrailers;
	uint64_t received, sent; /* body bytes so far */
};

/* Lies in the arena, which closes it at its end if nobody did (so the arena must end on the loop). NULL: no memory. */
struct http_call *http_call_new(struct http_client *c, struct arena *a);

/* Another end for the next waits to write, or for the response (steady clock); 0: none. It ends the call as its deadline. */
void http_call_within(struct http_call *c, int writing, int64_t until_ns);

/* Sends the request: all of it, or its head when it is streamed. Does not wait for the response. */
struct error http_call_start(struct http_call *c, const struct http_request *q);
/*
 * Parks until the piece was taken. The response may come before the body was sent: one fiber may write while another
 * reads. Fails with ABORTED when the response has ended: the other side wants no more, and what it said can be read.
 */
struct error http_call_write(struct http_call *c, struct str piece);
int http_call_left(const struct http_call *c); /* 1: some of the request may have reached a server */
struct error http_call_end(struct http_call *c, const struct http_field *trailers, size_t ntrailers);

struct error http_call_head(struct http_call *c); /* waits for status and fields */
/* 1: *ret_piece, valid until the next read or close; 0: the body has ended; -1: *ret_error. What is not read is not sent
 * for long. */
int http_call_read(struct http_call *c, struct str *ret_piece, struct error *ret_error);
/* The whole body, in the arena. More than `limit` bytes (0: no limit): RESOURCE_EXHAUSTED. */
struct error http_call_read_all(struct http_call *c, size_t limit, struct str *ret_body);
struct str http_call_field(const struct http_call *c, struct str name); /* the first; p == NULL: none */

/* From the loop, a fiber or not: what is parked in the call, or comes later, ends CANCELLED. */
void http_call_cancel(struct http_call *c);
/* Ends it. A connection whose request and response are complete is kept, others are closed, a stream is reset. No fiber
 * may be in the call. NULL, and twice, is fine. */
void http_call_close(struct http_call *c);

/* New, start and head in one. On failure nothing is left to close. */
struct error http_client_request(struct http_client *c, const struct http_request *q, struct arena *a,
				 struct http_call **ret_call);
#endif
