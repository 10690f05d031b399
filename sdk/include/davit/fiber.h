/* SPDX-License-Identifier: Apache-2.0 */
/*
 * davit/fiber.h - the service "davit.fiber/1": straight-line code on a loop beside the operations, and waiting for it.
 *
 * Only for components with DAVIT_LOOP: a component on worker lanes has threads. A fiber belongs to the loop it was started
 * on, and so do the functions here that name one. Fibers of a loop never run at once: what they share needs no lock as long
 * as nothing between two looks at it waits.
 *
 * Limits: 4,096 fibers live in a process at once, operations and requests included; each has at least 192 KiB of stack.
 */
#ifndef DAVIT_FIBER_H
#define DAVIT_FIBER_H
#include <davit/plugin.h>

#ifdef __cplusplus
extern "C" {
#endif

#define DAVIT_FIBER "davit.fiber/1"

enum { davit_fiber_service_kind = 10400 };

struct davit_fiber;

struct davit_fiber_service {
	uint32_t size, kind;
	/*
	 * Runs fn(arg) on a fiber of its own, on this loop, soon. DAVIT_EXHAUSTED: no fiber or memory left, nothing was started;
	 * DAVIT_FAILED_PRECONDITION: this thread is not a loop. Whoever starts a fiber sees to it that it has ended before close()
	 * returns.
	 */
	davit_status (*start)(struct davit_instance *instance, void (*fn)(void *arg), void *arg);
	/* The fiber that runs now, good until it ends; NULL: this is none. */
	struct davit_fiber *(*self)(struct davit_instance *instance);
	/*
	 * Waits until somebody wakes this fiber: DAVIT_OK, which may also come for no reason, so look again at what you wait for.
	 * DAVIT_DEADLINE_EXCEEDED: timeout_ms (0: no limit of its own) or the call's deadline; DAVIT_CANCELLED: the call was.
	 * call: NULL for work that belongs to none.
	 */
	davit_status (*park)(struct davit_instance *instance, struct davit_call *call, int64_t timeout_ms);
	/* Puts it in line to go on; many wakes before it runs are one. A fiber that has ended must not be woken. */
	void (*wake)(struct davit_fiber *fiber);
	/* What it waits for in a service at this moment ends with DAVIT_CANCELLED; nothing else does. */
	void (*cancel)(struct davit_fiber *fiber);
};

/* NULL: this kernel does not offer it. */
static inline const struct davit_fiber_service *davit_fiber_service(struct davit_instance *instance)
{
	return (const struct davit_fiber_service *)instance->host->service(instance, DAVIT_FIBER);
}

#ifdef __cplusplus
}
#endif
#endif
