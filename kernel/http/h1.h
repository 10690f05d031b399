/* SPDX-License-Identifier: Apache-2.0 */
/* What h1.c, h1_read.c and h1_write.c share. */
#ifndef HTTP_H1_H
#define HTTP_H1_H
#include "http/h1_body.h"
#include "http/h1_head.h"
#include "http/inside.h"

#define H1_SKIP (256u * 1024) /* bytes of a body nobody wanted that are read away to keep the connection; as Go */

/* A connection's state: one exchange at a time; what a client sends ahead waits in the connection's buffer. */
struct h1 {
	struct h1_call *call; /* under way, or NULL */
	struct h1_body body;  /* of the present request */
	size_t scanned;	      /* of the next head */
	uint64_t skipped;
	uint8_t processing;  /* h1_go_on() runs: it need not be called */
	uint8_t body_failed; /* broken off, malformed or too slow */
	uint8_t waits_head;  /* the first byte of a head has come, and its deadline runs */
};

struct h1_call {
	struct call k;
	struct str ready; /* the whole body, if it came with the head */
	uint8_t expects;  /* 100 is not sent yet */
	uint8_t old;	  /* HTTP/1.0 */
	uint8_t client_closes;
	uint8_t chunked; /* the reply's body ends so */
};

extern const struct http_backend h1_backend;

static inline struct h1_call *h1_call_of(struct http_exchange *x)
{
	return (struct h1_call *)x;
}

void h1_go_on(struct connection *c); /* takes the next requests, skips bodies, as far as it can */
int h1_read(struct http_exchange *x, struct str *ret_piece);
/* Reads the body away. 1: it has ended; 0: more must come; -1: not worth it. */
int h1_skip(struct connection *c);
void h1_refuse(struct connection *c, struct h1_refusal r);

int h1_reply(struct http_exchange *x, int status, const struct http_field *fields, size_t nfields, struct str body);
int h1_begin(struct http_exchange *x, int status, const struct http_field *fields, size_t nfields, int64_t length);
int h1_write(struct http_exchange *x, struct str piece);
int h1_end(struct http_exchange *x, const struct http_field *trailers, size_t ntrailers);
void h1_continue(struct h1_call *m); /* 100 */
#endif
