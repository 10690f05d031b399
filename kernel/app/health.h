/* SPDX-License-Identifier: Apache-2.0 */
/* Whether the application is healthy, by probes at an interval: unhealthy until one has succeeded, and again after
 * `threshold` of them in a row have failed. */
#ifndef APP_HEALTH_H
#define APP_HEALTH_H
#include "base/arena.h"

struct app_health;
struct loop;

struct app_probe {
	int healthy;
	int broken;	   /* it could not be carried out, as Dapr calls a failed call over gRPC */
	struct str reason; /* in the probe's arena, when not healthy */
};

struct app_health_hooks {
	/* On a fiber, until the deadline. The arena is for this probe alone. */
	struct app_probe (*probe)(void *ctx, struct arena *a, int64_t deadline_ns);
	void (*changed)(void *ctx, int healthy); /* on the same fiber; must not park for long */
	void *ctx;
};

struct app_health *app_health_new(int64_t interval_ns, int64_t timeout_ns, int threshold,
				  const struct app_health_hooks *hooks); /* NULL: no memory */
void app_health_free(struct app_health *h);
void app_health_run(struct app_health *h);     /* the body of a fiber: probes, the first at once, until it is stopped */
void app_health_stop(struct app_health *h);    /* on the loop; a probe under way is its owner's to cancel */
int app_health_is(const struct app_health *h); /* healthy; any thread */
#endif
