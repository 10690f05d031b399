/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Calls beyond the limit wait in line: a connection that comes free is handed to the first of them, or, when it must be
 * closed, the right to make another one. So nobody who comes later gets in between.
 */
#include "http/client_pool.h"

#include "base/banned.h"
#include "base/clock.h"
#include "base/mem.h"

static void on_idle(uv_timer_t *t);

static void watch_idle(struct http_client *c)
{
	struct client_h1 *h = c->idle;
	uint64_t now = uv_now(loop_uv(c->loop)), due;

	if (h == NULL || c->o.idle_timeout_ms <= 0) {
		uv_timer_stop(&c->timer);
		return;
	}
	while (h->next != NULL)
		h = h->next;
	due = h->idle_since + (uint64_t)c->o.idle_timeout_ms;
	uv_timer_start(&c->timer, on_idle, due > now ? due - now : 0, 0);
}

static void leave_idle(struct client_h1 *h)
{
	struct client_h1 **at = &h->client->idle;

	while (*at != h)
		at = &(*at)->next;
	*at = h->next;
	h->client->nidle--;
}

/* A connection less: the first in line may make one instead. */
static void drop(struct client_h1 *h)
{
	struct http_client *c = h->client;
	struct client_waiter *w = c->waiting;

	client_h1_free(h);
	if (w == NULL) {
		c->nconnections--;
		return;
	}
	c->waiting = w->next;
	w->may_dial = 1;
	fiber_wake(w->fiber);
}

static void on_idle(uv_timer_t *t)
{
	struct http_client *c = t->data;
	uint64_t now = uv_now(loop_uv(c->loop));
	struct client_h1 *h, *next;

	for (h = c->idle; h != NULL; h = next) {
		next = h->next;
		if (h->idle_since + (uint64_t)c->o.idle_timeout_ms <= now) {
			leave_idle(h);
			drop(h);
		}
	}
	watch_idle(c);
}

void client_pool_lost(struct client_h1 *h)
{
	leave_idle(h);
	drop(h);
}

void client_pool_give(struct client_h1 *h, int again)
{
	struct http_client *c = h->client;
	struct client_waiter *w = c->waiting;

	h->k = NULL;
	if (!again || c->closed || (w == NULL && c->nidle >= c->o.idle_limit)) {
		drop(h);
		return;
	}
	if (w != NULL) {
		c->waiting = w->next;
		w->got = h;
		client_link_read(h->link, 0); /* nobody looks at it until the waiter runs */
		fiber_wake(w->fiber);
		return;
	}
	h->idle_since = uv_now(loop_uv(c->loop));
	h->freed_ns = clock_ns();
	h->next = c->idle;
	c->idle = h;
	c->nidle++;
	client_link_read(h->link, 1); /* to see when it is closed */
	if (c->nidle == 1)
		watch_idle(c);
}

static struct client_h1 *take_idle(struct http_client *c)
{
	struct client_h1 *h;

	while ((h = c->idle) != NULL) {
		c->idle = h->next;
		c->nidle--;
		if (clock_ns() - h->freed_ns < CLIENT_FRESH || !client_link_gone(h->link))
			return h;
		drop(h);
	}
	return NULL;
}

/* 1: *ret_got, or the right to dial if that is NULL; 0: the call has failed. */
static int wait_in_line(struct client_call *k, struct client_h1 **ret_got)
{
	struct client_waiter w = { .fiber = fiber_self() }, **at = &k->client->waiting;

	while (*at != NULL)
		at = &(*at)->next;
	*at = &w;
	while (w.got == NULL && !w.may_dial && !k->stopped)
		client_call_wait(k, &k->reader);
	if (w.got == NULL && !w.may_dial) {
		for (at = &k->client->waiting; *at != &w; at = &(*at)->next)
			;
		*at = w.next;
		return 0;
	}
	*ret_got = w.got;
	return 1;
}

static struct client_h1 *dial(struct client_call *k)
{
	struct http_client *c = k->client;
	struct client_h1 *h = NULL;
	struct error e = ERROR_NONE;
	struct client_link *l;

	k->reader = fiber_self();
	l = client_dial(c, k->c.arena, k->q.connect_timeout_ms > 0 ? k->q.connect_timeout_ms : c->o.connect_timeout_ms,
			k->q.deadline_ns, client_call_stopped, k, &e);
	k->reader = NULL;
	if (l != NULL && k->stopped) {
		client_link_close(l);
		l = NULL;
	}
	if (l != NULL && (h = client_h1_new(c, l)) == NULL)
		e = CLIENT_NO_MEMORY;
	if (h != NULL)
		return h;
	client_call_fail(k, e);
	if (c->waiting != NULL) {
		struct client_waiter *w = c->waiting;

		c->waiting = w->next;
		w->may_dial = 1;
		fiber_wake(w->fiber);
	} else {
		c->nconnections--;
	}
	return NULL;
}

struct client_h1 *client_pool_take(struct client_call *k, int fresh)
{
	struct http_client *c = k->client;
	struct client_h1 *h = NULL;

	if (!fresh || c->nconnections >= c->o.connection_limit)
		h = take_idle(c);
	if (h == NULL && c->nconnections < c->o.connection_limit)
		c->nconnections++;
	else if (h == NULL && !wait_in_line(k, &h))
		return NULL;
	if (h != NULL && (k->stopped || fresh)) {
		client_h1_free(h); /* its place in the count is ours */
		h = NULL;
	} else if (h != NULL) {
		k->reused = 1;
		return h;
	}
	return dial(k);
}

void client_pool_close(struct http_client *c)
{
	struct client_h1 *h;

	while ((h = c->idle) != NULL) {
		leave_idle(h);
		drop(h);
	}
	uv_timer_stop(&c->timer);
}
