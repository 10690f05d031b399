/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a connection has to send: small things are copied into blocks of a loop's stock, large bodies stay where they
 * are. Nothing is sent before output_send(). Running out of memory is remembered in `failed`; what follows is ignored.
 */
#ifndef HTTP_OUTPUT_H
#define HTTP_OUTPUT_H
#include <sys/types.h>

#include "base/arena.h"
#include "base/str.h"

#define OUTPUT_BLOCK 4096u /* with its head */
#define OUTPUT_SPARE 64	   /* blocks a stock keeps */

/* A loop's own, so that a reply costs no malloc. */
struct output_stock {
	struct output_piece *spare;
	int nspare;
};

struct output_piece {
	struct output_piece *next;
	const char *p; /* what is left of it */
	size_t n;
	size_t room;	    /* a block: bytes still free behind p + n */
	struct arena *hold; /* it lies in this arena, a reference to which goes when it is sent */
	int lent;	    /* the sender's: n becomes 0 when it was sent or dropped, and that is all */
};

struct output {
	struct output_stock *stock;
	struct output_piece *first, *last;
	size_t n; /* bytes not sent yet */
	int failed;
};

void output_add(struct output *o, const char *p, size_t n);
/* Room for n bytes (at most half a block) in one place; output_took() says how many were written there. */
char *output_room(struct output *o, size_t n); /* NULL: no memory */
void output_took(struct output *o, size_t n);
/* Without copying: p lives in the arena, or as long as it, and the arena is kept until it was sent. */
void output_hold(struct output *o, const char *p, size_t n, struct arena *a);
/* Without copying: piece->p and ->n are set, and stay valid until ->n is 0. */
void output_lend(struct output *o, struct output_piece *piece);

/* One sendmsg. Bytes sent, 0 when the socket takes none now, -1 when it is broken. */
ssize_t output_send(struct output *o, int fd);
void output_drop(struct output *o); /* everything that was not sent */
void output_drop_stock(struct output_stock *s);
#endif
