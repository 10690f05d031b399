/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The service "davit.watch/1". A watch belongs to the loop it was opened for. The system is told once what
 * to look for and not again after each wait: who waits for the next answer of a connection mostly waits for the same.
 * What comes while nobody waits ends that, and is seen by the next wait.
 */
#include <davit/watch.h>

#include "base/banned.h"
#include "base/mem.h"
#include "plugin/service.h"

struct davit_watch {
	struct loop *loop;
	uv_poll_t poll;
	struct fiber *waiter; /* NULL: nobody waits */
	int32_t ready;
	int armed; /* UV_… that is looked for; 0: nothing */
};

struct watching {
	struct service_work work;
	struct davit_watch *watch;
	int32_t fd, what, ready;
};

static void open_work(struct service_work *w)
{
	struct watching *o = (struct watching *)w;
	struct davit_watch *watch = mem_zalloc(sizeof(*watch));
	int rc;

	w->status = DAVIT_EXHAUSTED;
	if (watch == NULL)
		return;
	watch->loop = w->loop;
	rc = uv_poll_init(loop_uv(w->loop), &watch->poll, o->fd);
	if (rc < 0) {
		mem_free(watch);
		w->status = rc == UV_ENOMEM ? DAVIT_EXHAUSTED : DAVIT_INVALID_ARGUMENT;
		return;
	}
	watch->poll.data = watch;
	o->watch = watch;
	w->status = DAVIT_OK;
}

static davit_status watch_open(struct davit_instance *instance, int32_t fd, struct davit_watch **ret_watch)
{
	struct watching o = { .work.run = open_work, .work.brief = 1, .fd = fd };

	if (fd < 0)
		return DAVIT_INVALID_ARGUMENT;
	service_do(&o.work, service_loop(instance), NULL, 0);
	if (o.work.status == DAVIT_OK)
		*ret_watch = o.watch;
	return o.work.status;
}

static void on_ready(uv_poll_t *p, int status, int events)
{
	struct davit_watch *watch = p->data;

	if (watch->waiter == NULL || status < 0) {
		uv_poll_stop(p);
		watch->armed = 0;
	}
	watch->ready = 0;
	if (status < 0 || (events & UV_READABLE))
		watch->ready |= DAVIT_WATCH_READ;
	if (status < 0 || (events & UV_WRITABLE))
		watch->ready |= DAVIT_WATCH_WRITE;
	if (watch->waiter != NULL)
		fiber_wake(watch->waiter);
}

static void wait_work(struct service_work *w)
{
	struct watching *o = (struct watching *)w;
	struct davit_watch *watch = o->watch;
	int events = (o->what & DAVIT_WATCH_READ ? UV_READABLE : 0) | (o->what & DAVIT_WATCH_WRITE ? UV_WRITABLE : 0);

	w->status = DAVIT_OK;
	if (watch->waiter != NULL || events == 0) {
		w->status = events ? DAVIT_FAILED_PRECONDITION : DAVIT_INVALID_ARGUMENT;
		return;
	}
	watch->ready = 0;
	if (watch->armed != events && uv_poll_start(&watch->poll, events, on_ready) < 0) {
		watch->armed = 0;
		w->status = DAVIT_INVALID_ARGUMENT;
		return;
	}
	watch->armed = events;
	watch->waiter = fiber_self();
	while (watch->ready == 0 && w->status == DAVIT_OK)
		w->status = service_park(w);
	watch->waiter = NULL;
	if (watch->ready != 0)
		w->status = DAVIT_OK;
	o->ready = watch->ready;
}

static davit_status watch_wait(struct davit_watch *watch, struct davit_call *call, int32_t what, int64_t timeout_ms,
			       int32_t *ret_ready)
{
	struct watching o = { .work.run = wait_work, .watch = watch, .what = what };

	service_do(&o.work, watch->loop, call, timeout_ms);
	if (o.work.status == DAVIT_OK)
		*ret_ready = o.ready;
	return o.work.status;
}

static void on_closed(uv_handle_t *h)
{
	mem_free(h->data);
}

static void close_work(struct service_work *w)
{
	struct watching *o = (struct watching *)w;

	uv_close((uv_handle_t *)&o->watch->poll, on_closed);
	w->status = DAVIT_OK;
}

static void watch_close(struct davit_watch *watch)
{
	struct watching o = { .work.run = close_work, .work.brief = 1, .watch = watch };

	if (watch != NULL)
		service_do(&o.work, watch->loop, NULL, 0);
}

const struct davit_watch_service watch_service = DAVIT_INIT(davit_watch_service, .open = watch_open, .wait = watch_wait,
							    .close = watch_close);
