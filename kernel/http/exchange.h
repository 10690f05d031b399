/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One HTTP request and its reply, the same for HTTP/1.1 (RFC 9112) and HTTP/2 (RFC 9113). A server hands it to its
 * handler on a fiber of its own as soon as the header block is there. What the handler borrows from it lives until the
 * exchange ends, which is when the handler has returned and the reply has left. All functions may park the fiber; none
 * is for another thread.
 */
#ifndef HTTP_EXCHANGE_H
#define HTTP_EXCHANGE_H
#include "base/arena.h"
#include "base/str.h"

struct loop;
struct http_backend;
struct http_server;

struct http_field {
	struct str name; /* lower case */
	struct str value;
};

struct http_exchange {
	const struct http_backend *backend; /* the version's own functions; for http/ alone */
	struct http_server *server;
	struct loop *loop;
	struct arena *arena; /* of this call; the handler's to use */
	void *user;	     /* the handler's to use */

	int major;		      /* 1 or 2 */
	int keep_alive;		      /* HTTP/1: the connection goes on after this exchange, if nothing fails */
	struct str method;	      /* as sent, case kept */
	struct str target;	      /* raw, undecoded; of an absolute target (http://…/a) only path and query */
	struct str path, query;	      /* target before and behind the first '?'; query without it */
	struct str scheme, authority; /* authority: the Host field's value in HTTP/1 */
	const struct http_field *fields;
	size_t nfields;
	const struct http_field *trailers; /* behind the body, once http_read answered 0 */
	size_t ntrailers;
	int64_t content_length; /* -1: not told (chunked, or HTTP/2 without it); 0: no body */
	int64_t started_ns;	/* base/clock.h: when its first byte was looked at */
	struct str peer;	/* "127.0.0.1:4711", "[::1]:4711" or "unix" */

	int status;		 /* sent with the reply; 0 until then */
	uint64_t received, sent; /* body bytes so far */
};

/* The first field of that (lower-case) name; p == NULL: none. */
struct str http_field(const struct http_exchange *x, struct str name);

/* A piece of the body. 1: *ret_piece, valid until the next read; 0: the body has ended; -1: the client has gone or sent
 * nonsense; then the reply does not matter any more. Reading opens the client's window: what is not read is not sent. */
int http_read(struct http_exchange *x, struct str *ret_piece);
/* 1: the body has ended, and what is left of it is here: reads up to its end do not wait. 0: so it is not known. */
int http_read_here(const struct http_exchange *x);
/* A read that waits in another fiber, or comes later, answers -1: nobody wants the rest of the body. The reply goes on. */
void http_read_stop(struct http_exchange *x);
/* The whole body, in the arena. 0; -1 as above; -2: more than `limit` bytes (0: no limit); the rest is not read. */
int http_read_all(struct http_exchange *x, size_t limit, struct str *ret_body);

/* The whole reply. Fields and body must live as long as the exchange (in its arena, or static). `content-length` (HTTP/2:
 * unless the body is STR_NONE) and `date` are added. Returns 0; -1: the client has gone. Does not wait for it to leave. */
int http_reply(struct http_exchange *x, int status, const struct http_field *fields, size_t nfields, struct str body);

/* Or in pieces. length: of the body, -1 not known. http_write parks while the client is slow to take it; 0, or -1 when
 * the client has gone. http_end may add trailers. Bytes are copied or sent before they return. */
int http_begin(struct http_exchange *x, int status, const struct http_field *fields, size_t nfields, int64_t length);
int http_write(struct http_exchange *x, struct str piece);
int http_end(struct http_exchange *x, const struct http_field *trailers, size_t ntrailers);
/* Ends without finishing: HTTP/1 closes the connection, HTTP/2 resets the stream with this code (RFC 9113, 7). */
void http_abort(struct http_exchange *x, uint32_t h2_code);

/* The client left, or its stream was reset, before the reply was complete. fn runs on the loop, once, at most until the
 * handler returns; at once if it happened already. One fn at a time: NULL takes it away. */
void http_on_gone(struct http_exchange *x, void (*fn)(void *arg), void *arg);
int http_gone(const struct http_exchange *x);

const char *http_reason(int status); /* "Not Found"; "" for a code nobody registered */
#endif
