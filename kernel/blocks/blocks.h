/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What this sidecar has opened: its stores by name. Made at the start by blocks_open(), on a fiber; after that it does not
 * change, and every loop reads it without a lock.
 */
#ifndef BLOCKS_BLOCKS_H
#define BLOCKS_BLOCKS_H
#include <davit/pubsub.h>
#include <davit/secrets.h>
#include <davit/state.h>

#include "base/map.h"
#include "pluggable/pluggable.h"
#include "plugin/instance.h"
#include "policy/policies.h"
#include "resources/configuration.h"
#include "resources/load.h"
#include "telemetry/metrics.h"

struct state_crypt;
struct outbox;

struct state_store {
	struct str name;
	struct instance *instance;
	const struct davit_state_ops *ops;
	uint32_t features;	     /* of the component's table and of this instance */
	struct str prefix;	     /* put before each key, "||" included; "" none */
	struct state_crypt *crypt;   /* NULL: values are kept as they come */
	const struct policy *policy; /* around each operation; NULL: none */
	struct outbox *outbox;	     /* what its transactions publish; NULL: nothing */
};

struct secret_store {
	struct str name;
	struct instance *instance;
	const struct davit_secrets_ops *ops;
	const struct policy *policy; /* NULL: none */
};

/* One component of a resource, opened or not: what the metadata API shows. */
struct opened {
	const struct component *resource;
	struct instance *instance; /* NULL: it failed, and ignoreErrors let the start go on */
	const struct component_type *type;
	struct str error; /* why it failed; "" */
	int actor_store;  /* its metadata says actorStateStore */
};

struct blocks_options {
	struct str app_id, name_space, pod_name;
	struct registry *registry;
	struct pluggable *pluggable; /* NULL: no components of other processes */
	const struct configuration *configuration;
	const struct resources *resources;
	struct metrics *metrics;
	struct policies *policies; /* NULL: none */
	struct loop *const *loops;
	int nloops;
	enum tier min_tier;
	const char *env_keys; /* DAPR_ENV_KEYS, NULL when unset */
};

struct blocks {
	struct blocks_options o;
	struct arena *arena;
	struct map state, secrets, pubsub; /* name to struct state_store, secret_store, pubsub (pubsub.h) */
	struct opened *components;	   /* in the order of the resources */
	size_t ncomponents;
	struct str failure; /* the first that ends the start; "" none */
};

/* From a fiber: opens every component, each beside the others; one that reads secrets waits for its store. NULL: no memory.
 * failure then tells whether the sidecar may start. */
struct blocks *blocks_open(const struct blocks_options *o);
/* From a fiber: closes every instance, each beside the others, and frees. -1: some did not close in time. */
int blocks_close(struct blocks *b, int within_ms);

const char *blocks_block_of(struct str type); /* "state" of "state.redis"; NULL: no block of that name is known */
#endif
