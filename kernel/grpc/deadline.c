/* SPDX-License-Identifier: Apache-2.0 */
#include "grpc/deadline.h"

#include <uv.h>

#include "base/banned.h"
#include "base/clock.h"
#include "base/mem.h"
#include "grpc/inside.h"
#include "loop/loop.h"

/*
 * Clients mostly ask for the same time, so a new deadline is nearly always the last one: a sorted list, searched from its
 * end, beats a heap. The limit on fibers bounds it. The timer goes with the last call, so that it is nobody's to close.
 */
struct deadlines {
	uv_timer_t timer;
	int64_t armed_ns;
	struct grpc_call *first, *last;
};

static _Thread_local struct deadlines *deadlines;

static void arm(struct deadlines *d);

static void closed(uv_handle_t *h)
{
	mem_free(h->data);
}

static void unlink_call(struct deadlines *d, struct grpc_call *c)
{
	*(c->sooner ? &c->sooner->later : &d->first) = c->later;
	*(c->later ? &c->later->sooner : &d->last) = c->sooner;
	c->timed = 0;
	if (d->first == NULL) {
		deadlines = NULL;
		uv_close((uv_handle_t *)&d->timer, closed);
	}
}

static void on_timer(uv_timer_t *t)
{
	struct deadlines *d = t->data;
	int64_t now = clock_ns();
	struct grpc_call *c;
	int last;

	d->armed_ns = INT64_MAX;
	while ((c = d->first)->deadline_ns <= now) {
		last = c->later == NULL;
		unlink_call(d, c);
		grpc_call_expired(c);
		if (last)
			return; /* d is closing */
	}
	arm(d);
}

static void arm(struct deadlines *d)
{
	int64_t left = d->first->deadline_ns - clock_ns();

	if (d->armed_ns <= d->first->deadline_ns)
		return; /* it rings too early, once, if that call has ended */
	d->armed_ns = d->first->deadline_ns;
	uv_update_time(d->timer.loop);
	uv_timer_start(&d->timer, on_timer, left > 0 ? (uint64_t)(left + 999999) / 1000000 : 0, 0);
}

int grpc_deadline_set(struct grpc_call *c)
{
	struct deadlines *d = deadlines;
	struct grpc_call *before;

	if (d == NULL) {
		d = mem_zalloc(sizeof(*d));
		if (d == NULL)
			return -1;
		uv_timer_init(loop_uv(c->x->loop), &d->timer);
		uv_unref((uv_handle_t *)&d->timer);
		d->timer.data = d;
		d->armed_ns = INT64_MAX;
		deadlines = d;
	}
	for (before = d->last; before != NULL && before->deadline_ns > c->deadline_ns; before = before->sooner)
		;
	c->sooner = before;
	c->later = before ? before->later : d->first;
	*(c->sooner ? &c->sooner->later : &d->first) = c;
	*(c->later ? &c->later->sooner : &d->last) = c;
	c->timed = 1;
	arm(d);
	return 0;
}

void grpc_deadline_clear(struct grpc_call *c)
{
	if (c->timed)
		unlink_call(deadlines, c);
}
