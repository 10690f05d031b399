/* SPDX-License-Identifier: Apache-2.0 */
/* What a start has made, for the files that make it: runtime.c in which order, runtime_make.c of what, runtime_app.c the application's. */
#ifndef MAIN_RUNTIME_INSIDE_H
#define MAIN_RUNTIME_INSIDE_H
#include "api/api.h"
#include "app/app.h"
#include "blocks/blocks.h"
#include "main/runtime.h"
#include "main/servers.h"
#include "main/spans.h"
#include "pluggable/pluggable.h"
#include "policy/policies.h"

#define LOOPS_MOST 64

struct runtime {
	struct arena *arena; /* of this start */
	const struct options *o;
	struct runtime_hook hook;
	struct configuration *configuration;
	struct resources *resources;
	struct metrics *metrics;
	struct exporters *exporters; /* NULL: spans go nowhere */
	struct registry *registry;
	struct policies *policies; /* NULL: no Resiliency resource */
	struct pluggable *pluggable;
	struct loop *loops[LOOPS_MOST];
	int nloops;
	struct watchdog *watchdog;
	struct blocks *blocks; /* set on the first loop, read after RUNTIME_OPENED */
	struct api api;
	int api_made;
	struct servers servers;
	struct app *app; /* NULL: no --app-port */
	struct subscribers *subscribers;
	struct invoker invoker;
	struct names *names; /* set on the first loop, as blocks is */
	struct loop_task task;
	int64_t began_ms;
	int within_ms; /* while closing */
	uv_sem_t closed, opened;
	int opening; /* opened is there to be waited for */
};

/* Each: 0; -1 and the sentence. What it has made is freed by runtime_free(). */
int runtime_read(struct runtime *r, struct arena *a, struct str *ret_message); /* configuration, resources, plugins */
int runtime_make_metrics(struct runtime *r, struct arena *a, struct str *ret_message);
int runtime_make_policies(struct runtime *r, struct str *ret_message);
int runtime_make_api(struct runtime *r);
int runtime_make_subscribers(struct runtime *r, struct arena *a, struct str *ret_message);
/* Begins to wait for the application, which ends in RUNTIME_APP_READY. */
int runtime_start_app(struct runtime *r, struct arena *a, struct str *ret_message);
void runtime_describe_app(struct runtime *r); /* for the metadata API */

struct str runtime_environment(const char *name); /* "": not set */
#endif
