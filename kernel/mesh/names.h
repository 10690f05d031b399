/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Name resolution: the one component that Configuration's spec.nameResolution names, and through it where other sidecars
 * listen. One a process.
 */
#ifndef MESH_NAMES_H
#define MESH_NAMES_H
#include "base/error.h"
#include "plugin/registry.h"
#include "plugin/scope.h"
#include "resources/configuration.h"

struct loop;
struct metrics;
struct names;

struct names_options {
	struct str app_id, name_space;
	struct str listen; /* --dapr-internal-grpc-listen-address: announced when it is of this host alone */
	int port;	   /* the internal port */
	const struct configuration *configuration;
	struct registry *registry;
	enum tier min_tier; /* nothing below it is opened */
	struct loop *const *loops;
	int nloops;
	struct metrics *metrics;
};

/* From a fiber. Opens the component and announces this sidecar; when that fails, resolving says why. NULL: no memory. */
struct names *names_open(const struct names_options *o);
int names_close(struct names *n, int within_ms); /* from a fiber; -1: it did not close in time. NULL is fine */

/* "10.0.0.7:50002" in the scope's arena, known for up to a second. From a fiber. */
struct error names_resolve(struct names *n, struct scope *s, struct str app_id, struct str name_space,
			   struct str *ret_address);

/* Nobody answered there: the next asks the component. On a loop; a: for the while. */
void names_forget(struct names *n, struct arena *a, struct str app_id, struct str name_space);

struct str names_find_host(struct arena *a);  /* this host's address, as others see it: DAPR_HOST_IP, or the route's */
struct str names_host(const struct names *n); /* the same, as it was at names_open() */
#endif
