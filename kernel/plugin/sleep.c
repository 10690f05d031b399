/* SPDX-License-Identifier: Apache-2.0 */
/* The services "davit.sleep/1" and "davit.fiber/1". */
#include <davit/fiber.h>
#include <davit/sleep.h>

#include "base/banned.h"
#include "plugin/service.h"

static void pass(struct service_work *w)
{
	while ((w->status = service_park(w)) == DAVIT_OK)
		continue;
}

static davit_status sleep_sleep(struct davit_instance *instance, struct davit_call *call, int64_t ms)
{
	int64_t left = call ? davit_remaining_ms(call) : INT64_MAX;
	struct service_work w = { .run = pass };

	if (ms <= 0)
		return call && davit_cancelled(call) ? DAVIT_CANCELLED : DAVIT_OK;
	service_do(&w, service_loop(instance), call, ms);
	return w.status == DAVIT_DEADLINE_EXCEEDED && ms <= left ? DAVIT_OK : w.status;
}

const struct davit_sleep_service sleep_service = DAVIT_INIT(davit_sleep_service, .sleep = sleep_sleep);

static davit_status fiber_service_start(struct davit_instance *instance, void (*fn)(void *arg), void *arg)
{
	struct loop *l = loop_self();

	(void)instance;
	if (l == NULL)
		return DAVIT_FAILED_PRECONDITION;
	return fiber_start(l, fn, arg) == 0 ? DAVIT_OK : DAVIT_EXHAUSTED;
}

static struct davit_fiber *fiber_service_self(struct davit_instance *instance)
{
	(void)instance;
	return (struct davit_fiber *)fiber_self();
}

static void park_once(struct service_work *w)
{
	w->status = service_park(w);
	if (w->cancelled || (w->call != NULL && davit_cancelled(w->call)))
		w->status = DAVIT_CANCELLED;
}

static davit_status fiber_service_park(struct davit_instance *instance, struct davit_call *call, int64_t timeout_ms)
{
	struct service_work w = { .run = park_once };

	(void)instance;
	if (fiber_self() == NULL)
		return DAVIT_FAILED_PRECONDITION;
	service_do(&w, loop_self(), call, timeout_ms);
	return w.status;
}

static void fiber_service_wake(struct davit_fiber *fiber)
{
	fiber_wake((struct fiber *)fiber);
}

static void fiber_service_cancel(struct davit_fiber *fiber)
{
	service_cancel_fiber((struct fiber *)fiber);
}

const struct davit_fiber_service fiber_service = DAVIT_INIT(davit_fiber_service, .start = fiber_service_start,
							    .self = fiber_service_self, .park = fiber_service_park,
							    .wake = fiber_service_wake, .cancel = fiber_service_cancel);
