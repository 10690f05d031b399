/* SPDX-License-Identifier: Apache-2.0 */
/* From the first look at the port to the last change of health, in Dapr's order and words. All on the first loop. */
#include "app/inside.h"
#include "base/banned.h"
#include "base/clock.h"
#include "base/log.h"
#include "loop/fiber.h"

#define LOG_SCOPE "dapr.runtime"
#define DIAL_NS (INT64_C(500) * 1000000)
#define PAUSE_NS (INT64_C(100) * 1000000)
#define PATIENCE 100 /* attempts between two lines of the log */

static void pause_until(struct app *p, int64_t until)
{
	while (!p->stopping && clock_ns() < until)
		fiber_park_until(until);
}

static struct http_client *any_client(struct app *p)
{
	struct grpc_client *g;

	if (app_channel_is_http(p->o.channel))
		return app_http(p);
	g = app_grpc(p);
	return g != NULL ? grpc_client_http(g) : NULL;
}

static void wait_for_port(struct app *p)
{
	struct http_client *c;
	int tries = 0;

	log_info("application protocol: %s. waiting on port %d.  This will block until the app is listening on that "
		 "port.",
		 app_channel_name(p->o.channel), p->o.port);
	while (!p->stopping) {
		c = any_client(p);
		if (c != NULL && http_client_reach(c, clock_ns() + DIAL_NS, &p->stopping) == 0)
			break;
		pause_until(p, clock_ns() + PAUSE_NS);
		if (++tries % PATIENCE == 0 && !p->stopping)
			log_info("waiting for application to listen on port %d", p->o.port);
	}
	if (!p->stopping)
		log_info("application discovered on port %d", p->o.port);
}

static void tell(struct app *p, int healthy)
{
	if (healthy && !p->configured) {
		p->configured = 1;
		app_load_config(p);
	}
	if (!p->stopping && p->o.changed != NULL)
		p->o.changed(p->o.ctx, healthy);
}

void app_health_changed(void *app, int healthy)
{
	struct app *p = app;

	(void)healthy; /* the teller looks itself: what changed back meanwhile is not worth a word */
	if (p->teller != NULL)
		fiber_wake(p->teller);
}

/* Tells each change in a fiber of its own, so that probing goes on. */
static void tell_changes(void *app)
{
	struct app *p = app;
	int now;

	p->teller = fiber_self();
	p->told = 0;
	while (!p->stopping) {
		now = app_health_is(p->health);
		if (now == p->told) {
			fiber_park();
			continue;
		}
		p->told = now;
		tell(p, now);
	}
	p->teller = NULL;
	app_fiber_ended(p);
}

static void probe(void *app)
{
	struct app *p = app;

	app_health_run(p->health);
	app_fiber_ended(p);
}

static void start_fiber(struct app *p, void (*fn)(void *app))
{
	p->nfibers++;
	if (fiber_start(p->loops[0], fn, p) == 0)
		return;
	p->nfibers--;
	log_error("The application's health is not checked: no more fibers");
}

void app_run(void *app)
{
	struct app *p = app;

	p->starter = fiber_self();
	if (p->o.port == 0)
		log_write(LOG_WARN, "dapr.runtime.channels",
			  "App channel is not initialized. Did you configure an app-port?");
	else if (!p->stopping)
		wait_for_port(p);
	if (p->o.max_concurrency > 0 && !p->stopping)
		log_info("app max concurrency set to %d", p->o.max_concurrency);
	if (p->health == NULL) {
		tell(p, 1);
	} else if (!p->stopping) {
		start_fiber(p, tell_changes);
		start_fiber(p, probe);
	}
	if (!p->stopping && p->o.ready != NULL)
		p->o.ready(p->o.ctx);
	p->starter = NULL;
	app_fiber_ended(p);
}
