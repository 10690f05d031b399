/* SPDX-License-Identifier: Apache-2.0 */
#include "http/connection.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/banned.h"
#include "base/mem.h"
#include "http/inside.h"

#define PREFACE "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
#define SPARE_INPUTS 16

static void on_poll(uv_poll_t *p, int status, int events);

uint64_t connection_now(const struct connection *c)
{
	return uv_now(loop_uv(c->sl->loop));
}

void connection_ref(struct connection *c)
{
	c->refs++;
}

void connection_unref(struct connection *c)
{
	struct server_loop *sl = c->sl;

	if (--c->refs > 0)
		return;
	if (c->protocol != NULL)
		c->protocol->release(c);
	mem_free(c->in);
	mem_free(c);
	count(&sl->handles, -1);
}

/* The buffer for what has come. */

static void give_input(struct connection *c)
{
	struct server_loop *sl = c->sl;
	struct input_stock *b = (struct input_stock *)c->in;

	if (b != NULL && sl->ninputs < SPARE_INPUTS && !sl->closing) {
		b->next = sl->inputs;
		sl->inputs = b;
		sl->ninputs++;
	} else {
		mem_free(b);
	}
	c->in = NULL;
	c->at = c->n = 0;
}

static int take_input(struct connection *c)
{
	struct server_loop *sl = c->sl;

	if (sl->inputs != NULL) {
		c->in = (char *)sl->inputs;
		sl->inputs = sl->inputs->next;
		sl->ninputs--;
	} else if ((c->in = mem_alloc(sl->server->input_size)) == NULL) {
		return -1;
	}
	c->at = c->n = 0;
	return 0;
}

struct str connection_peek(struct connection *c)
{
	if (c->in != NULL)
		return (struct str){ c->in + c->at, c->n - c->at };
	return c->view;
}

void connection_drop(struct connection *c, size_t n)
{
	if (c->in == NULL) {
		c->view = str_from(c->view, n);
		return;
	}
	c->at += n;
	if (c->at == c->n && !c->lent)
		give_input(c);
}

int connection_keep(struct connection *c)
{
	if (c->view.n == 0)
		return 0;
	if (take_input(c) < 0) {
		connection_cut(c);
		return -1;
	}
	memcpy(c->in, c->view.p, c->view.n);
	c->n = c->view.n;
	c->view = STR_NONE;
	return 0;
}

static size_t input_room(struct connection *c)
{
	size_t size = c->sl->server->input_size;

	if (!c->lent && c->at > 0 && size - c->n < size / 2) {
		memmove(c->in, c->in + c->at, c->n - c->at);
		c->n -= c->at;
		c->at = 0;
	}
	return size - c->n;
}

void connection_watch(struct connection *c)
{
	int events = 0;

	if (c->dead)
		return;
	if (c->eof && !c->lingering)
		;
	else if (c->in == NULL || c->finishing || input_room(c) > 0)
		events |= UV_READABLE;
	else if (!c->left)
		events |= UV_DISCONNECT; /* it may leave without our reading that */
	if (c->out.n > 0 && !c->flushing)
		events |= UV_WRITABLE;
	if (events == c->events)
		return;
	c->events = events;
	if (events != 0)
		uv_poll_start(&c->poll, events, on_poll);
	else
		uv_poll_stop(&c->poll);
}

/* The deadlines. The timer is moved only when it would come too late, and finds out itself that it came too early. */

static void on_timer(uv_timer_t *t);

static void arm(struct connection *c, uint64_t due)
{
	uint64_t now = connection_now(c);

	if (c->dead || due == 0 || (c->timer_due != 0 && c->timer_due <= due))
		return;
	c->timer_due = due;
	uv_timer_start(&c->timer, on_timer, due > now ? due - now : 0, 0);
}

void connection_read_by(struct connection *c, int ms)
{
	c->read_deadline = ms > 0 ? connection_now(c) + (uint64_t)ms : 0;
	arm(c, c->read_deadline);
}

void connection_write_by(struct connection *c, int ms)
{
	uint64_t at = connection_now(c) + (uint64_t)ms;

	if (ms <= 0 || (c->write_deadline != 0 && c->write_deadline <= at))
		return;
	c->write_deadline = at;
	arm(c, at);
}

static void refuse_version(struct connection *c);
static int become(struct connection *c, int version);

static void read_deadline_came(struct connection *c)
{
	c->read_deadline = 0;
	if (c->lingering || c->finishing)
		connection_cut(c);
	else if (c->protocol != NULL)
		c->protocol->timeout(c);
	else if (connection_peek(c).n == 0)
		connection_cut(c);
	else if (become(c, HTTP_1) == 0)
		c->protocol->input(c);
}

static void write_deadline_came(struct connection *c)
{
	int limit = c->sl->server->o.stall_timeout_ms;

	c->write_deadline = 0;
	if (c->out.n > 0 && limit > 0 && connection_now(c) >= c->sent_at + (uint64_t)limit) {
		connection_cut(c);
		return;
	}
	if (c->protocol != NULL && c->protocol->stalled != NULL)
		c->protocol->stalled(c);
	if (c->out.n > 0)
		connection_write_by(c, (int)(c->sent_at + (uint64_t)limit - connection_now(c)));
}

static void on_timer(uv_timer_t *t)
{
	struct connection *c = t->data;
	uint64_t now = connection_now(c);

	c->timer_due = 0;
	connection_ref(c);
	if (c->read_deadline != 0 && c->read_deadline <= now)
		read_deadline_came(c);
	if (!c->dead && c->write_deadline != 0 && c->write_deadline <= now)
		write_deadline_came(c);
	if (!c->dead) {
		arm(c, c->read_deadline);
		arm(c, c->write_deadline);
	}
	connection_unref(c);
}

/* Sending. */

static void end_output(struct connection *c)
{
	if (c->eof || c->no_linger) {
		connection_cut(c);
		return;
	}
	if (c->lingering)
		return;
	shutdown(c->fd, SHUT_WR);
	c->lingering = 1;
	connection_read_by(c, LINGER);
}

static void send_all(struct connection *c)
{
	ssize_t sent, total = 0;

	for (;;) {
		if (c->protocol != NULL && c->protocol->fill != NULL && c->out.n < WRITE_HIGH)
			c->protocol->fill(c);
		if (c->out.n == 0 || c->out.failed || c->dead)
			break;
		sent = output_send(&c->out, c->fd);
		if (sent < 0)
			c->out.failed = 1;
		if (sent <= 0)
			break;
		total += sent;
	}
	if (c->dead)
		return;
	if (c->out.failed) {
		connection_cut(c);
		return;
	}
	if (c->out.n > 0 && (total > 0 || !c->waits))
		c->sent_at = connection_now(c);
	c->waits = c->out.n > 0;
	if (c->waits)
		connection_write_by(c, c->sl->server->o.stall_timeout_ms);
	if (total > 0 && c->protocol != NULL)
		c->protocol->written(c);
	if (!c->dead && c->finishing && c->out.n == 0)
		end_output(c);
	connection_watch(c);
}

static void flush_now(struct loop_task *t)
{
	struct connection *c = (struct connection *)((char *)t - offsetof(struct connection, flush));

	c->flushing = 0;
	if (!c->dead)
		send_all(c);
	connection_unref(c);
}

void connection_flush(struct connection *c)
{
	if (c->flushing || c->dead)
		return;
	c->flushing = 1;
	connection_ref(c);
	loop_defer(c->sl->loop, &c->flush);
}

void connection_finish(struct connection *c)
{
	if (c->finishing || c->dead)
		return;
	c->finishing = 1;
	c->read_deadline = 0;
	c->view = STR_NONE;
	c->lent = 0;
	give_input(c);
	connection_flush(c);
}

static void on_closed(uv_handle_t *h)
{
	struct connection *c = h->data;

	if (--c->handles == 0)
		connection_unref(c);
}

void connection_cut(struct connection *c)
{
	if (c->dead)
		return;
	c->dead = 1;
	*c->link = c->next;
	if (c->next != NULL)
		c->next->link = c->link;
	count(&c->sl->nconnections, -1);
	server_connection_left();
	output_drop(&c->out);
	c->view = STR_NONE;
	connection_ref(c);
	uv_close((uv_handle_t *)&c->poll, on_closed);
	uv_close((uv_handle_t *)&c->timer, on_closed);
	close(c->fd);
	c->fd = -1;
	if (c->protocol != NULL)
		c->protocol->cut(c);
	if (!c->lent)
		give_input(c);
	connection_unref(c);
}

/* Reading. */

static int become(struct connection *c, int version)
{
	struct server_loop *sl = c->sl;
	int failed;

	if (!(sl->server->o.protocols & version)) {
		if (version == HTTP_2)
			return become(c, HTTP_1); /* which will not know that version */
		refuse_version(c);
		return -1;
	}
	failed = version == HTTP_2 ? h2_open(c) : h1_open(c);
	if (failed)
		connection_cut(c);
	return failed;
}

/* A client of HTTP/1 is told what this port speaks; who speaks neither version is not. */
static void refuse_version(struct connection *c)
{
	static const char text[] = "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\n"
				   "Connection: close\r\nContent-Length: 29\r\n\r\nThis port speaks HTTP/2 only\n";

	if (str_find(connection_peek(c), STR(" HTTP/1.")) > 0)
		output_add(&c->out, text, sizeof(text) - 1);
	connection_finish(c);
}

/* By the first bytes: as soon as one differs from the preface it is HTTP/1. A method PRIX is, too. */
static void tell_protocol(struct connection *c)
{
	struct str d = connection_peek(c);
	size_t n = d.n < sizeof(PREFACE) - 1 ? d.n : sizeof(PREFACE) - 1;
	int same = memcmp(d.p, PREFACE, n) == 0;

	if (same && n < sizeof(PREFACE) - 1) {
		if (c->in == NULL)
			connection_read_by(c, PREFACE_WAIT);
		return;
	}
	if (become(c, same ? HTTP_2 : HTTP_1) == 0)
		c->protocol->input(c);
}

static void end_of_input(struct connection *c)
{
	if (c->protocol == NULL && connection_peek(c).n > 0 && become(c, HTTP_1) == 0)
		c->protocol->input(c); /* half a preface */
	c->eof = 1;
	if (c->dead || c->finishing)
		return;
	if (c->protocol != NULL)
		c->protocol->eof(c);
	else
		connection_cut(c);
}

/* Its end has come while nothing is read: what it sent before may still be. */
static void client_left(struct connection *c)
{
	c->left = 1;
	if (c->protocol != NULL && c->protocol->left != NULL)
		c->protocol->left(c);
}

static void read_some(struct connection *c)
{
	struct server_loop *sl = c->sl;
	size_t room = c->in != NULL ? input_room(c) : sl->server->input_size;
	char *to = c->in != NULL ? c->in + c->n : sl->read_buffer;
	ssize_t n;

	if (room == 0) {
		connection_watch(c);
		return;
	}
	do {
		n = recv(c->fd, to, room, 0);
	} while (n < 0 && errno == EINTR);
	if (n < 0) {
		if (errno != EAGAIN && errno != EWOULDBLOCK)
			connection_cut(c);
		return;
	}
	if (c->finishing) {
		c->eof = n == 0;
		if (n == 0 && c->out.n == 0)
			connection_cut(c);
		return;
	}
	if (n == 0) {
		end_of_input(c);
		return;
	}
	if (c->in != NULL)
		c->n += (size_t)n;
	else
		c->view = (struct str){ to, (size_t)n };
	if (c->protocol != NULL)
		c->protocol->input(c);
	else
		tell_protocol(c);
	if (!c->dead)
		connection_keep(c);
}

static void on_poll(uv_poll_t *p, int status, int events)
{
	struct connection *c = p->data;

	connection_ref(c);
	if (status < 0) {
		c->events = 0;
		connection_cut(c);
	} else {
		if (events & UV_READABLE)
			read_some(c);
		else if (events & UV_DISCONNECT)
			client_left(c);
		if (!c->dead && events & UV_WRITABLE)
			send_all(c);
		connection_watch(c);
	}
	connection_unref(c);
}

struct connection *connection_new(struct server_loop *sl, int fd, struct str peer)
{
	struct connection *c = mem_zalloc(sizeof(*c));

	if (c == NULL)
		return NULL;
	if (uv_poll_init(loop_uv(sl->loop), &c->poll, fd) < 0) {
		mem_free(c);
		return NULL;
	}
	uv_timer_init(loop_uv(sl->loop), &c->timer);
	c->poll.data = c->timer.data = c;
	c->sl = sl;
	c->fd = fd;
	c->refs = 1; /* the handles' */
	c->handles = 2;
	c->flush.run = flush_now;
	c->out.stock = &sl->stock;
	c->peer_n = peer.n < sizeof(c->peer) ? peer.n : sizeof(c->peer);
	memcpy(c->peer, peer.p, c->peer_n);
	c->link = &sl->connections;
	c->next = sl->connections;
	if (c->next != NULL)
		c->next->link = &c->next;
	sl->connections = c;
	count(&sl->nconnections, 1);
	count(&sl->handles, 1);
	connection_read_by(c, sl->server->o.header_timeout_ms);
	connection_watch(c);
	return c;
}
