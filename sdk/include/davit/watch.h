/* SPDX-License-Identifier: Apache-2.0 */
/*
 * davit/watch.h - the service "davit.watch/1": waiting until a descriptor of a library that connects itself can be read or
 * written. On a worker it blocks, on a loop it parks the fiber.
 *
 *	status = watch->open(instance, PQsocket(pg), &w);
 *	status = watch->wait(w, call, DAVIT_WATCH_READ, 0, &ready);
 *	watch->close(w);	then the library may close the descriptor
 */
#ifndef DAVIT_WATCH_H
#define DAVIT_WATCH_H
#include <davit/plugin.h>

#ifdef __cplusplus
extern "C" {
#endif

#define DAVIT_WATCH "davit.watch/1"

enum { davit_watch_service_kind = 10200 };

/* What to wait for, and what is so. An error or a hang-up counts as both: reading or writing then tells it. */
enum { DAVIT_WATCH_READ = 1, DAVIT_WATCH_WRITE = 2 };

struct davit_watch;

struct davit_watch_service {
	uint32_t size, kind;
	/*
	 * A socket or pipe, one watch each; it is made non-blocking and stays the caller's, who closes the watch before it.
	 * DAVIT_INVALID_ARGUMENT: not a descriptor that can be waited for, or it is watched already; DAVIT_EXHAUSTED.
	 */
	davit_status (*open)(struct davit_instance *instance, int32_t fd, struct davit_watch **ret_watch);
	/*
	 * One wait at a time. timeout_ms 0: no limit of its own. *ret_ready: DAVIT_WATCH_… bits, at least one of those asked for.
	 * DAVIT_DEADLINE_EXCEEDED, DAVIT_CANCELLED, DAVIT_FAILED_PRECONDITION: somebody waits already.
	 */
	davit_status (*wait)(struct davit_watch *watch, struct davit_call *call, int32_t what, int64_t timeout_ms,
			     int32_t *ret_ready);
	void (*close)(struct davit_watch *watch); /* nobody may wait in it; NULL is fine */
};

/* NULL: this kernel does not offer it. */
static inline const struct davit_watch_service *davit_watch_service(struct davit_instance *instance)
{
	return (const struct davit_watch_service *)instance->host->service(instance, DAVIT_WATCH);
}

#ifdef __cplusplus
}
#endif
#endif
