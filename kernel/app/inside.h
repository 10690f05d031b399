/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of app/ share; nobody else includes it. */
#ifndef APP_INSIDE_H
#define APP_INSIDE_H
#include <stdatomic.h>
#include <uv.h>

#include "app/app.h"
#include "app/health.h"
#include "app/limit.h"
#include "loop/loop.h"

/* A loop's part. Only that loop touches it. */
struct app_side {
	struct http_client *http;
	struct grpc_client *grpc;
	int freed;
};

struct app {
	struct app_options o;
	struct arena *arena; /* of the texts and the configuration */
	struct loop **loops;
	struct app_side *sides;
	int nloops;
	struct app_limit *limit; /* NULL: none */
	struct tls_context *tls; /* NULL: none */
	_Atomic(struct app_config *) config;

	/* On the first loop. */
	struct loop_task start, stop;
	atomic_int started, stop_asked;
	uint8_t stopping;
	int nfibers;
	uv_sem_t ended;
	struct fiber *starter, *teller;
	struct http_call *config_call, *probe_call; /* under way, to be cancelled */
	struct grpc_stream *probe_stream;
	struct arena *config_arena;
	struct app_health *health; /* NULL: no health checks */
	int told;		   /* what `changed` was told last; -1: nothing yet */
	int configured;		   /* the application was asked */
};

/* start.c */
void app_run(void *app); /* the starter's fiber */
void app_health_changed(void *app, int healthy);
/* app.c */
void app_fiber_ended(struct app *p);
/* probe.c */
struct app_probe app_probe(void *app, struct arena *a, int64_t deadline_ns);
void app_load_config(struct app *p); /* once; parks */
#endif
