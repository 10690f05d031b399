/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All policies there are, and what is meant for a target. Built once from the resources; immutable but for the breakers, which
 * all loops share. Everything takes NULL policies: then nothing is meant for anybody but the built-in retries.
 */
#ifndef POLICY_POLICIES_H
#define POLICY_POLICIES_H
#include "policy/breaker.h"
#include "policy/retry.h"
#include "telemetry/metrics.h"

enum policy_kind { /* of a component */
		   POLICY_STATE,
		   POLICY_SECRETS,
		   POLICY_PUBSUB,
		   POLICY_BINDING,
		   POLICY_CONFIGURATION,
		   POLICY_LOCK,
		   POLICY_CRYPTO,
		   POLICY_CONVERSATION
};

enum policy_built_in { /* retries that Dapr has without any resource; a resource may define them anew */
		       POLICY_SERVICE_RETRIES,
		       POLICY_ACTOR_RETRIES,
		       POLICY_ACTOR_REMINDER_RETRIES,
		       POLICY_ACTOR_NOT_FOUND_RETRIES,
		       POLICY_INITIALIZATION_RETRIES,
		       POLICY_BUILT_INS
};

struct policies;

struct policy {			   /* what is meant for one target */
	struct str name;	   /* as logs have it: "endpoint[app, app:method]" */
	int64_t timeout_ns;	   /* of each try; 0: none */
	const struct retry *retry; /* NULL: none */
	struct breaker *breaker;   /* NULL: none */
	struct metrics *metrics;   /* NULL: a built-in, which Dapr does not count */
	struct metrics_policy about;
};

/* Warns of each resource that is not well, and leaves it out. resources outlives it. NULL: no memory. */
struct policies *policies_new(const struct resources *resources, struct metrics *m);
void policies_free(struct policies *p); /* NULL is fine; nobody runs under a policy any more */

/* Lives as long as a. NULL: nothing is meant for it. Each method has a breaker of its own. */
const struct policy *policies_app(struct policies *p, struct arena *a, struct str app, struct str method);
int policies_has_app(const struct policies *p, struct str app); /* 1: a target of its own, the defaults aside */
/* For a component that stays; lives as long as p. NULL: nothing is meant for it, or no memory. */
const struct policy *policies_component(struct policies *p, struct str name, enum policy_kind kind, int inbound);
struct policy policies_built_in(const struct policies *p, enum policy_built_in which);

size_t policies_count(const struct policies *p);	      /* resources that were loaded */
struct str policies_name(const struct policies *p, size_t i); /* of the i-th */
#endif
