/* SPDX-License-Identifier: Apache-2.0 */
/* davit/sleep.h - the service "davit.sleep/1": letting time pass. On a worker it blocks, on a loop it parks the fiber. */
#ifndef DAVIT_SLEEP_H
#define DAVIT_SLEEP_H
#include <davit/plugin.h>

#ifdef __cplusplus
extern "C" {
#endif

#define DAVIT_SLEEP "davit.sleep/1"

enum { davit_sleep_service_kind = 10300 };

struct davit_sleep_service {
	uint32_t size, kind;
	/* DAVIT_OK: the time has passed. DAVIT_DEADLINE_EXCEEDED, DAVIT_CANCELLED: the call's deadline or end came first.
	 * call: NULL for work that belongs to none. */
	davit_status (*sleep)(struct davit_instance *instance, struct davit_call *call, int64_t ms);
};

/* NULL: this kernel does not offer it. */
static inline const struct davit_sleep_service *davit_sleep_service(struct davit_instance *instance)
{
	return (const struct davit_sleep_service *)instance->host->service(instance, DAVIT_SLEEP);
}

#ifdef __cplusplus
}
#endif
#endif
