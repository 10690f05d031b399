/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An instance: a component opened with a resource's metadata, and the lane where its operations run. Opened and closed
 * from a fiber; used from every loop.
 */
#ifndef PLUGIN_INSTANCE_H
#define PLUGIN_INSTANCE_H
#include "base/error.h"
#include "plugin/registry.h"
#include "plugin/scope.h"

struct instance;
struct loop;
struct measures;
struct metrics;

struct instance_options {
	struct component_type *type; /* loaded */
	struct str name, app_id, name_space;
	const struct davit_pair *props; /* as in the resource, secrets resolved */
	size_t nprops;
	struct loop *const *loops;
	int nloops;
	int64_t timeout_ms;	 /* for open: initTimeout */
	struct metrics *metrics; /* for what it measures itself; may be NULL */
	/* Counts davit_count() of this instance; may be NULL. */
	void (*count)(void *ctx, struct str component, struct str type, const char *name, int64_t n);
	void *ctx;
};

/*
 * Checks the properties against the manifest, fills in defaults, makes the lane and calls open. NULL: *ret_error says why.
 * What misses the timeout is left to itself, and closed if it ever opens.
 */
struct instance *instance_open(struct arena *a, const struct instance_options *o, struct error *ret_error);
/* 0: closed and freed. -1: it did not close within the time; it is left alone, reported and counted. */
int instance_close(struct instance *i, int within_ms);

const struct component_type *instance_type(const struct instance *i);
struct str instance_name(const struct instance *i);
struct davit_instance *instance_handle(struct instance *i);
uint32_t instance_features(const struct instance *i); /* as open() told, beside those of the component's table */

struct loop *instance_loop(const struct instance *i,
			   unsigned n); /* the n-th loop it may use, counted round and round */
int instance_loops(const struct instance *i);
struct measures *instance_measures(struct instance *i);
void **instance_slot(struct instance *i, int loop); /* of this loop alone, for http_origin.c; NULL at first */

/* For call.c: where the operation of this call runs. */
enum lane_kind { LANE_LOOP, LANE_WORKER };
enum lane_kind instance_lane(const struct instance *i);
void *instance_self(const struct instance *i, int loop); /* what open() gave */
struct lane_job;
int instance_submit(struct instance *i, struct lane_job *j); /* -1: the queue is full */
#endif
