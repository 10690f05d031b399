/* SPDX-License-Identifier: Apache-2.0 */
#include "app/health.h"

#include <setjmp.h>
#include <stdatomic.h>

#include "base/banned.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "loop/fiber.h"

#define LOG_SCOPE "dapr.apphealth"

struct app_health {
	int64_t interval, timeout;
	int threshold;
	struct app_health_hooks hooks;
	atomic_int failures; /* in a row; at first as many as make it unhealthy */
	int stopped;
	struct fiber *fiber;
};

struct app_health *app_health_new(int64_t interval_ns, int64_t timeout_ns, int threshold,
				  const struct app_health_hooks *hooks)
{
	struct app_health *h = mem_zalloc(sizeof(*h));

	if (h == NULL)
		return NULL;
	h->interval = interval_ns;
	h->timeout = timeout_ns;
	h->threshold = threshold;
	h->hooks = *hooks;
	h->failures = threshold;
	return h;
}

void app_health_free(struct app_health *h)
{
	mem_free(h);
}

int app_health_is(const struct app_health *h)
{
	return atomic_load_explicit(&h->failures, memory_order_acquire) < h->threshold;
}

static void succeeded(struct app_health *h)
{
	int was = app_health_is(h);

	h->failures = 0;
	if (was)
		return;
	log_info("App entered healthy status");
	h->hooks.changed(h->hooks.ctx, 1);
}

static void failed(struct app_health *h, struct str reason)
{
	int was = app_health_is(h);

	if (!was)
		return;
	h->failures++;
	if (app_health_is(h))
		return;
	log_warn("App entered un-healthy status: " STR_FMT, STR_ARG(reason));
	h->hooks.changed(h->hooks.ctx, 0);
}

static void probe(struct app_health *h, struct arena *a)
{
	struct app_probe p = h->hooks.probe(h->hooks.ctx, a, clock_ns() + h->timeout);
	int was = app_health_is(h);

	if (h->stopped)
		return;
	log_debug("App health probe %s - health probe successful: %s",
		  was == p.healthy ? "status is unchanged" : "detected status change", p.healthy ? "true" : "false");
	if (p.healthy) {
		succeeded(h);
		return;
	}
	failed(h, p.broken ? arena_printf(a, "Probe error: " STR_FMT, STR_ARG(p.reason)) : p.reason);
	if (p.broken)
		log_error("App health probe could not complete with error: " STR_FMT, STR_ARG(p.reason));
}

/* In an arena of its own. Without memory the probe fails. */
static void probe_once(struct app_health *h)
{
	struct arena *a = arena_new();
	jmp_buf out;

	log_debug("Probing app health");
	if (a == NULL || setjmp(out) != 0) {
		failed(h, STR("out of memory"));
	} else {
		arena_on_oom(a, &out);
		probe(h, a);
	}
	arena_unref(a);
}

void app_health_run(struct app_health *h)
{
	int64_t next = clock_ns(), now;

	h->fiber = fiber_self();
	log_info("App health probes starting");
	while (!h->stopped) {
		probe_once(h);
		now = clock_ns();
		for (next += h->interval; next <= now; next += h->interval)
			; /* a tick that came while the probe ran is not made up for */
		while (!h->stopped && clock_ns() < next)
			fiber_park_until(next);
	}
	log_info("App health probes stopping");
	h->fiber = NULL;
}

void app_health_stop(struct app_health *h)
{
	h->stopped = 1;
	if (h->fiber != NULL)
		fiber_wake(h->fiber);
}
