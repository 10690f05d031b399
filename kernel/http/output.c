/* SPDX-License-Identifier: Apache-2.0 */
#include "http/output.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "base/banned.h"
#include "base/mem.h"

#define IOV 64
#define BLOCK_ROOM (OUTPUT_BLOCK - sizeof(struct output_piece))

static struct output_piece *take_block(struct output_stock *s)
{
	struct output_piece *b = s->spare;

	if (b != NULL) {
		s->spare = b->next;
		s->nspare--;
	} else if ((b = mem_alloc(OUTPUT_BLOCK)) == NULL) {
		return NULL;
	}
	*b = (struct output_piece){ .p = (char *)(b + 1), .room = BLOCK_ROOM };
	return b;
}

static void give_back(struct output *o, struct output_piece *b)
{
	if (b->lent) {
		b->n = 0;
	} else if (b->hold != NULL) {
		arena_unref(b->hold); /* b itself lies in it */
	} else if (o->stock->nspare < OUTPUT_SPARE) {
		b->next = o->stock->spare;
		o->stock->spare = b;
		o->stock->nspare++;
	} else {
		mem_free(b);
	}
}

static void append(struct output *o, struct output_piece *b)
{
	b->next = NULL;
	if (o->last != NULL)
		o->last->next = b;
	else
		o->first = b;
	o->last = b;
	o->n += b->n;
}

char *output_room(struct output *o, size_t n)
{
	struct output_piece *b = o->last;

	if (o->failed)
		return NULL;
	if (b == NULL || b->room < n) {
		b = take_block(o->stock);
		if (b == NULL) {
			o->failed = 1;
			return NULL;
		}
		append(o, b);
	}
	return (char *)b->p + b->n;
}

void output_took(struct output *o, size_t n)
{
	o->last->n += n;
	o->last->room -= n;
	o->n += n;
}

void output_add(struct output *o, const char *p, size_t n)
{
	size_t part;
	char *to;

	while (n > 0) {
		to = output_room(o, 1);
		if (to == NULL)
			return;
		part = n < o->last->room ? n : o->last->room;
		memcpy(to, p, part);
		output_took(o, part);
		p += part;
		n -= part;
	}
}

void output_hold(struct output *o, const char *p, size_t n, struct arena *a)
{
	struct output_piece *b;

	if (n == 0 || o->failed)
		return;
	b = arena_try(a, sizeof(*b));
	if (b == NULL) {
		o->failed = 1;
		return;
	}
	*b = (struct output_piece){ .p = p, .n = n, .hold = arena_ref(a) };
	append(o, b);
}

void output_lend(struct output *o, struct output_piece *piece)
{
	piece->lent = 1;
	piece->room = 0;
	piece->hold = NULL;
	if (o->failed)
		piece->n = 0;
	else if (piece->n > 0)
		append(o, piece);
}

static void advance(struct output *o, size_t n)
{
	struct output_piece *b;

	o->n -= n;
	while ((b = o->first) != NULL && n >= b->n) {
		n -= b->n;
		o->first = b->next;
		if (o->first == NULL)
			o->last = NULL;
		give_back(o, b);
	}
	if (n > 0) {
		b->p += n;
		b->n -= n;
	}
}

ssize_t output_send(struct output *o, int fd)
{
	struct iovec v[IOV];
	struct msghdr m = { .msg_iov = v };
	struct output_piece *b;
	ssize_t sent;

	for (b = o->first; b != NULL && m.msg_iovlen < IOV; b = b->next)
		v[m.msg_iovlen++] = (struct iovec){ (char *)b->p, b->n };
	if (m.msg_iovlen == 0)
		return 0;
	do {
		sent = m.msg_iovlen == 1 ? send(fd, v[0].iov_base, v[0].iov_len, MSG_NOSIGNAL)
					 : sendmsg(fd, &m, MSG_NOSIGNAL);
	} while (sent < 0 && errno == EINTR);
	if (sent < 0)
		return errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS ? 0 : -1;
	advance(o, (size_t)sent);
	return sent;
}

void output_drop(struct output *o)
{
	struct output_piece *b;

	while ((b = o->first) != NULL) {
		o->first = b->next;
		give_back(o, b);
	}
	o->last = NULL;
	o->n = 0;
}

void output_drop_stock(struct output_stock *s)
{
	struct output_piece *b;

	while ((b = s->spare) != NULL) {
		s->spare = b->next;
		mem_free(b);
	}
	s->nspare = 0;
}
