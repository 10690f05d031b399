/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The services that a plugin looks up by name, and what they share: a piece of work runs on a fiber of one loop while
 * whoever asked waits, be it that very fiber, a fiber of another loop, or a thread that may block.
 *
 *	struct reading r = { .work.run = read_some, ... };
 *	service_do(&r.work, stream->loop, call, timeout_ms);
 *	return r.work.status;
 */
#ifndef PLUGIN_SERVICE_H
#define PLUGIN_SERVICE_H
#include <davit/plugin.h>

#include "loop/fiber.h"
#include "loop/loop.h"

/* One piece of work; lies on the stack of whoever asks. */
struct service_work {
	void (*run)(struct service_work *w); /* sets status; waits with service_park() alone */
	davit_status status;
	int brief; /* run does not wait and needs no fiber: it cannot fail for want of one */
	/* The rest is service.c's. */
	struct davit_call *call;
	struct loop *loop, *home;
	struct fiber *fiber, *asker;
	int64_t until_ns;
	_Atomic int cancelled;
	int poked, poke_came, listed, over;
	struct loop_task task, poke;
	uv_sem_t done;
	struct service_work *next, **link;
};

/* Runs the work and waits for its end. call may be NULL; timeout_ms 0: no limit but the call's. */
void service_do(struct service_work *w, struct loop *where, struct davit_call *call, int64_t timeout_ms);
/* Within run: waits until this fiber is woken (DAVIT_OK, perhaps for no reason) or the work's time is over. */
davit_status service_park(struct service_work *w);
/* From where the work runs, for another wait in it: an earlier end, if timeout_ms is one. Returns what it was. */
int64_t service_within(struct service_work *w, int64_t timeout_ms);

/* Own loop: what this fiber waits for ends cancelled. */
void service_cancel_fiber(struct fiber *f);
/* Any thread: whoever waits in a service for this call is woken and told. */
void service_cancel(struct davit_call *call);

/* The loop for an instance's new things: this thread's own, else each in turn. */
struct loop *service_loop(struct davit_instance *instance);

/* What a plugin is told of a failure: into its buffer, cut to what fits. */
void service_say(char *why, uint64_t nwhy, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

extern const struct davit_dial_service dial_service;
extern const struct davit_resolve_service resolve_service;
extern const struct davit_watch_service watch_service;
extern const struct davit_sleep_service sleep_service;
extern const struct davit_fiber_service fiber_service;
extern const struct davit_http_service http_service;
extern const struct davit_metrics_service metrics_service;
#endif
