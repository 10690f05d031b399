/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The runtime: everything of one start, from the configuration to the servers, in the order in which Dapr starts it. Driven by
 * the main thread; what takes long runs on the first loop and reports back by runtime_hook.
 */
#ifndef MAIN_RUNTIME_H
#define MAIN_RUNTIME_H
#include "main/options.h"

struct runtime;

/* What the main thread is told, from any thread. */
enum runtime_event { RUNTIME_OPENED, RUNTIME_APP_READY, RUNTIME_APP_UNHEALTHY, RUNTIME_SHUTDOWN, RUNTIME_FORCED };

struct runtime_hook {
	void (*tell)(void *ctx, enum runtime_event e);
	void *ctx;
};

/* Reads configuration and resources, makes the loops and begins to open the components. NULL: *ret_message (in a) says why,
 * to be logged behind "Fatal error from runtime: ". */
struct runtime *runtime_new(const struct options *o, const struct runtime_hook *hook, struct arena *a,
			    struct str *ret_message);
/* After RUNTIME_OPENED: opens the servers and begins to wait for the application. 0; -1: *ret_message as above. */
int runtime_serve(struct runtime *r, struct arena *a, struct str *ret_message);
/* After RUNTIME_APP_READY: the sidecar is ready. */
void runtime_ready(struct runtime *r);
/* No more events for the application, those on their way have within_ms; the rest goes on. Parks the caller's thread. */
void runtime_stop_events(struct runtime *r, int within_ms);
void runtime_look(struct runtime *r); /* about once a second: does everything still move? */
/* Stops taking calls, waits for those under way, closes the components, frees. within_ms: for all of it. */
void runtime_free(struct runtime *r, int within_ms);
#endif
