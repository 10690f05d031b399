/* SPDX-License-Identifier: Apache-2.0 */
#include "pool.h"

#include <davit/sleep.h>
#include <stdlib.h>

#define FULL_MS 1000
#define LOOK_MS 60000 /* how often old ones are looked for, at most */

struct waiter {
	struct waiter *next;
	struct davit_fiber *fiber;
	struct pg_connection *got; /* handed over by who had it; NULL: there is room for a new one, perhaps */
	int called;
};

struct pg_pool {
	struct davit_instance *instance;
	const struct davit_fiber_service *fiber;
	const struct davit_sleep_service *sleep;
	const struct pg_options *options;
	struct pg_connection *idle;  /* the last used first */
	struct pg_connection **used; /* room for all; NULL: free */
	int most, live;		     /* live: idle, used, or being made */
	struct waiter *first, **end;
	struct davit_fiber *keeper, *closer; /* keeper: NULL if there is none */
	int keeping, stopped;
	int64_t full_ms; /* until then the server is not asked for more: it has refused one */
};

struct pg_pool *pg_pool_new(struct davit_instance *instance, const struct pg_options *options, uint64_t loop,
			    uint64_t loops)
{
	struct pg_pool *p = calloc(1, sizeof(*p));
	int n = loops > 1 ? (int)loops : 1;

	if (p == NULL)
		return NULL;
	p->instance = instance;
	p->options = options;
	p->fiber = davit_fiber_service(instance);
	p->sleep = davit_sleep_service(instance);
	p->end = &p->first;
	p->most = options->most / n + ((int)loop < options->most % n);
	if (p->most < 1)
		p->most = 1;
	p->used = calloc((size_t)p->most, sizeof(struct pg_connection *));
	if (p->used != NULL && p->fiber != NULL && p->sleep != NULL)
		return p;
	free(p->used);
	free(p);
	return NULL;
}

static int old(const struct pg_pool *p, const struct pg_connection *c, int64_t now)
{
	return now - c->used_ms >= p->options->idle_ms || now - c->made_ms >= p->options->life_ms;
}

static void close_one(struct pg_pool *p, struct pg_connection *c)
{
	pg_connection_close(c);
	p->live--;
}

static void close_old(struct pg_pool *p)
{
	struct pg_connection **at = &p->idle, *c;
	int64_t now = pg_now_ms();

	while ((c = *at) != NULL) {
		if (!old(p, c, now)) {
			at = &c->next;
			continue;
		}
		*at = c->next;
		close_one(p, c);
	}
}

/* Lives as long as there are connections that may grow old. */
static void run_keeper(void *arg)
{
	struct pg_pool *p = arg;
	int64_t pause = p->options->idle_ms / 2;

	if (p->options->life_ms / 2 < pause)
		pause = p->options->life_ms / 2;
	pause = pause > LOOK_MS ? LOOK_MS : pause < 100 ? 100 : pause;
	p->keeper = p->fiber->self(p->instance);
	while (!p->stopped && p->live > 0) {
		if (p->sleep->sleep(p->instance, NULL, pause) != DAVIT_OK)
			break;
		close_old(p);
	}
	p->keeper = NULL;
	p->keeping = 0;
	if (p->closer != NULL)
		p->fiber->wake(p->closer);
}

static void keep(struct pg_pool *p)
{
	if (p->keeping || p->stopped)
		return;
	p->keeping = 1; /* without a fiber they are looked at when they are taken */
	if (p->fiber->start(p->instance, run_keeper, p) != DAVIT_OK)
		p->keeping = 0;
}

static struct pg_connection **slot(struct pg_pool *p, const struct pg_connection *c)
{
	int i;

	for (i = 0; i < p->most; i++)
		if (p->used[i] == c)
			return &p->used[i];
	return NULL;
}

static void call_next(struct pg_pool *p, struct pg_connection *c)
{
	struct waiter *w = p->first;

	if (w == NULL)
		return;
	p->first = w->next;
	if (p->first == NULL)
		p->end = &p->first;
	w->got = c;
	w->called = 1;
	p->fiber->wake(w->fiber);
}

static void leave_queue(struct pg_pool *p, struct waiter *w)
{
	struct waiter **at;

	for (at = &p->first; *at != NULL && *at != w; at = &(*at)->next)
		;
	if (*at == NULL)
		return;
	*at = w->next;
	if (p->end == &w->next)
		p->end = at;
}

/* Not inlined, or the compiler takes the queue for one that keeps it beyond its life. */
__attribute__((noinline)) static void join_queue(struct pg_pool *p, struct waiter *w)
{
	*p->end = w;
	p->end = &w->next;
}

/* *ret_connection: what was handed over; NULL: the turn to make one. */
static davit_status wait_turn(struct pg_pool *p, struct davit_call *call, int64_t until_ms,
			      struct pg_connection **ret_connection, struct pg_fault *f)
{
	struct waiter w = { .fiber = p->fiber->self(p->instance) };
	davit_status status = DAVIT_OK;
	int64_t left;

	join_queue(p, &w);
	while (!w.called && status == DAVIT_OK && !p->stopped) {
		left = until_ms - pg_now_ms();
		status = left > 0 ? p->fiber->park(p->instance, call, left) : DAVIT_DEADLINE_EXCEEDED;
	}
	if (!w.called)
		leave_queue(p, &w);
	if (w.called && !p->stopped && status == DAVIT_OK) {
		*ret_connection = w.got;
		return DAVIT_OK;
	}
	if (w.got != NULL)
		pg_pool_give(p, w.got);
	else if (w.called) /* it was our turn, which we do not take */
		call_next(p, NULL);
	if (p->stopped)
		return pg_fault_set(f, DAVIT_CANCELLED, NULL, "the component is being closed");
	return pg_fault_set(f, status, NULL, "no connection to the database was free in time");
}

static struct pg_connection *take_idle(struct pg_pool *p)
{
	struct pg_connection *c;

	while ((c = p->idle) != NULL) {
		p->idle = c->next;
		if (!old(p, c, pg_now_ms()) && pg_connection_lives(c))
			return c;
		close_one(p, c);
	}
	return NULL;
}

/* Into a slot, so that stop() finds whoever makes or has it. */
static davit_status make(struct pg_pool *p, struct davit_call *call, int64_t until_ms,
			 struct pg_connection **ret_connection, struct pg_fault *f)
{
	struct pg_connection **at = slot(p, NULL);
	davit_status status;

	p->live++;
	status = pg_connection_open(p->instance, call, p->options, until_ms, at, f);
	if (status == DAVIT_OK) {
		*ret_connection = *at;
		keep(p);
		return DAVIT_OK;
	}
	p->live--;
	return status;
}

davit_status pg_pool_take(struct pg_pool *p, struct davit_call *call, int64_t until_ms,
			  struct pg_connection **ret_connection, struct pg_fault *f)
{
	davit_status status;
	struct pg_connection *c;

	for (;;) {
		if (p->stopped)
			return pg_fault_set(f, DAVIT_CANCELLED, NULL, "the component is being closed");
		c = take_idle(p);
		if (c != NULL) {
			*slot(p, NULL) = c;
			*ret_connection = c;
			return DAVIT_OK;
		}
		if (p->live < p->most && (p->live == 0 || pg_now_ms() >= p->full_ms)) {
			status = make(p, call, until_ms, ret_connection, f);
			/* The server has no room for another one: those that there are have to do. */
			if (status == DAVIT_OK)
				return DAVIT_OK;
			if (strcmp(f->code, "53300") != 0 || p->live == 0) {
				call_next(p, NULL);
				return status;
			}
			p->full_ms = pg_now_ms() + FULL_MS;
			if (p->idle != NULL) /* given back while the server was asked */
				continue;
		}
		status = wait_turn(p, call, until_ms, ret_connection, f);
		if (status != DAVIT_OK || *ret_connection != NULL)
			return status;
	}
}

void pg_pool_give(struct pg_pool *p, struct pg_connection *c)
{
	int64_t now = pg_now_ms();

	if (p->stopped || c->broken || now - c->made_ms >= p->options->life_ms) {
		*slot(p, c) = NULL;
		close_one(p, c);
		call_next(p, NULL);
		return;
	}
	c->used_ms = now;
	if (p->first != NULL) { /* to who waits longest, before anybody who comes now */
		call_next(p, c);
		return;
	}
	*slot(p, c) = NULL;
	c->next = p->idle;
	p->idle = c;
}

void pg_pool_stop(struct pg_pool *p)
{
	struct pg_connection *c;
	int i;

	if (p == NULL || p->stopped)
		return;
	p->stopped = 1;
	for (i = 0; i < p->most; i++)
		if (p->used[i] != NULL && p->used[i]->user != NULL)
			p->fiber->cancel(p->used[i]->user);
	while (p->first != NULL)
		call_next(p, NULL);
	while ((c = p->idle) != NULL) {
		p->idle = c->next;
		close_one(p, c);
	}
	if (p->keeper != NULL)
		p->fiber->cancel(p->keeper);
	p->closer = p->fiber->self(p->instance);
	while (p->keeping)
		p->fiber->park(p->instance, NULL, 0);
	p->closer = NULL;
}

void pg_pool_free(struct pg_pool *p)
{
	if (p == NULL)
		return;
	pg_pool_stop(p);
	free(p->used);
	free(p);
}
