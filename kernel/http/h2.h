/* SPDX-License-Identifier: Apache-2.0 */
/* What h2.c, h2_receive.c and h2_send.c share. */
#ifndef HTTP_H2_H
#define HTTP_H2_H
#include <nghttp2/nghttp2.h>

#include "http/h1_head.h" /* h1_token: a name is a token in both */
#include "http/h2_memory.h"
#include "http/inside.h"

#define H2_WRITE_HIGH 65536u /* bytes a stream may have waiting for the client's window */
#define H2_WRITE_LOW 32768u
#define H2_TOKENS 1000	     /* frames that carry nothing which a client may send at once */
#define H2_TOKENS_REFILL 100 /* and again each second */
#define H2_END_WAIT 5000     /* ms that a request may go on when its reply has left */
#define H2_CLOSED 128	     /* streams remembered after their end */
#define H2_IN_ARENA 32768u   /* a body's first bytes lie in the arena; beyond, each piece is freed once it was used */

/* Bytes of a body on their way in or out. */
struct h2_piece {
	struct h2_piece *next;
	const char *p;
	size_t n;
	int heap; /* is freed alone; else it goes with the arena */
};

struct h2_queue {
	struct h2_piece *first, **end;
	size_t n, ever; /* bytes now, bytes since the start */
};

struct h2_call {
	struct call k;
	struct h2_call *next, **link; /* among the connection's */
	struct h2_call *next_start;
	int32_t id;
	/* the request */
	struct http_field *fields;
	size_t nfields, fields_cap, fields_size;
	struct h2_queue in;
	struct h2_piece *lent; /* the handler's, until it reads again */
	/* the reply */
	struct str body; /* what is left of http_reply()'s */
	struct h2_queue out;
	const struct http_field *trailers;
	size_t ntrailers;
	size_t skipped; /* of the request, after the reply */
	uint64_t moved; /* uv_now() when something was last sent, or nothing was left to send */

	uint8_t too_large, no_memory; /* the fields */
	uint8_t started;	      /* its header block was complete */
	uint8_t in_done;
	uint8_t submitted, deferred, sent_all;
	uint8_t closed, handled; /* the stream, the handler has ended: when both have, this goes */
};

/* The frames of the input, and the streams that ended last: numbers, negative where the client had ended its side. */
struct h2_frames {
	uint8_t head[9], have; /* what has come of the next frame's head */
	uint8_t preface_left;
	uint8_t headers_open; /* a header block is not complete */
	uint32_t left;	      /* of the present frame */
	int32_t greatest, closed[H2_CLOSED];
	uint32_t nclosed;
};

struct h2 {
	nghttp2_session *session; /* NULL: the connection is gone */
	struct connection *c;
	struct h2_call *calls;
	int ncalls;
	struct h2_call *starting, **starting_end;
	struct h2_call *heading; /* whose header block is coming in; NULL: nobody reads it */
	uint8_t headers_timed, draining, said_goodbye;
	int tokens;
	uint64_t tokens_at;
	struct h2_frames frames;
};

extern const struct http_backend h2_backend;

static inline struct h2_call *h2_call_of(struct http_exchange *x)
{
	return (struct h2_call *)x;
}

/* h2.c */
void h2_call_end(struct h2_call *m);	 /* if stream and handler have ended */
void h2_spend(struct h2 *h, int tokens); /* less than 0: gives some back */
void h2_ping_answered(struct h2 *h, const uint8_t *opaque);
int h2_queue_add(struct h2_call *m, struct h2_queue *q, const char *p, size_t n); /* a copy; -1: no memory */
void h2_queue_drop(struct h2_queue *q);
void h2_piece_free(struct h2_piece *p);

/* h2_frames.c */
void h2_frames_init(struct h2_frames *w);
int h2_frames_next(struct h2 *h, struct str data, size_t *ret_n);
void h2_remember_closed(struct h2 *h, int32_t id, int by_client);

/* h2_receive.c */
void h2_set_receive(nghttp2_session_callbacks *cb);
/* Those whose header block is complete. whole: only the first of them whose body is, too. */
void h2_start_calls(struct h2 *h, int whole);
/* The request that asked for the upgrade, as stream 1; takes over its arena. -1: no memory, the arena is still the caller's. */
int h2_take_upgraded(struct h2 *h, struct arena *a, const struct h1_head *head);
int h2_read(struct http_exchange *x, struct str *ret_piece);
int h2_read_here(const struct http_exchange *x);

/* h2_send.c */
void h2_set_send(nghttp2_session_callbacks *cb);
int h2_reply(struct http_exchange *x, int status, const struct http_field *fields, size_t nfields, struct str body);
int h2_begin(struct http_exchange *x, int status, const struct http_field *fields, size_t nfields, int64_t length);
int h2_write(struct http_exchange *x, struct str piece);
int h2_end(struct http_exchange *x, const struct http_field *trailers, size_t ntrailers);
void h2_abort(struct http_exchange *x, uint32_t code);
#endif
