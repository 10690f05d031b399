/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A connection: its socket, what has come and was not used yet, what is to be sent, its two deadlines and how it ends.
 * What the bytes mean is its protocol's. Belongs to one loop.
 */
#ifndef HTTP_CONNECTION_H
#define HTTP_CONNECTION_H
#include <uv.h>

#include "base/str.h"
#include "http/output.h"
#include "loop/loop.h"

#define WRITE_HIGH (256u * 1024) /* bytes not sent above which a writer waits */
#define WRITE_LOW (128u * 1024)	 /* and below which it goes on */
#define PREFACE_WAIT 3000	 /* ms for the rest of what may become HTTP/2's preface */
#define LINGER 500		 /* ms to read on after the last byte, so that the client gets to see it */

struct connection;
struct server_loop;
struct h1;
struct h2;

struct protocol {
	void (*input)(struct connection *c); /* more has come, or may be looked at again */
	void (*eof)(struct connection *c);   /* the client has ended its side */
	void (*left)(struct connection *c);  /* the same, seen while nothing is read; may be NULL */
	void (*fill)(struct connection *c);  /* may put more into the output, which is below WRITE_HIGH; may be NULL */
	void (*written)(struct connection *c); /* some was sent */
	void (*timeout)(struct connection *c); /* the read deadline has come and was taken away */
	void (*stalled)(struct connection *c); /* the write deadline has come; may be NULL */
	void (*drain)(struct connection *c);   /* the server stops: end as soon as it is polite */
	void (*cut)(struct connection *c);     /* the socket is gone: tell and wake all exchanges */
	void (*release)(struct connection *c); /* the last reference goes */
};

/* A buffer of input_size bytes for what could not be used at once. */
struct input_stock {
	struct input_stock *next;
};

struct connection {
	uv_poll_t poll;
	uv_timer_t timer;
	struct server_loop *sl;
	struct connection *next, **link; /* among the loop's */
	const struct protocol *protocol; /* NULL: not told yet */
	union {
		struct h1 *h1;
		struct h2 *h2;
	} as;
	struct loop_task flush;
	struct output out;
	int fd, refs, handles;
	int events; /* what the loop is asked to watch */

	/* What has come: in[at..n) if there is a buffer, else view, which lasts until the read callback returns. */
	char *in;
	size_t at, n;
	struct str view;
	uint8_t lent; /* a piece of `in` is a handler's: nothing in it may move */

	uint8_t eof, left, finishing, lingering, no_linger, dead, flushing;
	uint8_t waits; /* for the socket to take more; since sent_at if nothing was taken */
	uint64_t sent_at;
	uint64_t read_deadline, write_deadline, timer_due; /* uv_now(), 0: none */
	char peer[64];
	size_t peer_n;
};

/* Takes over fd, which is non-blocking. NULL: no memory; fd is still the caller's. */
struct connection *connection_new(struct server_loop *sl, int fd, struct str peer);
void connection_ref(struct connection *c);
void connection_unref(struct connection *c);

struct str connection_peek(struct connection *c);      /* what has come */
void connection_drop(struct connection *c, size_t n);  /* the first n bytes of it were used */
int connection_keep(struct connection *c);	       /* moves view to a buffer of its own; -1: no memory, it is cut */
void connection_watch(struct connection *c);	       /* after anything that changes whether it can read */
void connection_flush(struct connection *c);	       /* sends before the loop sleeps */
void connection_finish(struct connection *c);	       /* no more input; sends what there is, lingers, closes */
void connection_cut(struct connection *c);	       /* closes now */
uint64_t connection_now(const struct connection *c);   /* uv_now() */
void connection_read_by(struct connection *c, int ms); /* sets the read deadline; 0: none */
void connection_write_by(struct connection *c, int ms); /* the write deadline, unless an earlier one is set */

extern const struct protocol h1_protocol, h2_protocol;
int h1_open(struct connection *c); /* sets protocol and `as`; -1: no memory */
int h2_open(struct connection *c);
void h1_free(struct h1 *h);

/* A request of HTTP/1.1 that asks for HTTP/2 on the same connection. */
struct h1_head;
int h2_upgrade_wanted(const struct connection *c, const struct h1_head *head);
/* 1: done, and the arena with the request is taken over (or the connection cut); 0: not to be done, all is as before. */
int h2_upgrade(struct connection *c, struct arena *a, const struct h1_head *head);
#endif
