/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The Resiliency resource (dapr.io/v1alpha1): policies by name, and what they are for. Nothing is compiled here, and no name
 * is looked up: policies of several resources are merged by the policy room.
 */
#ifndef RESOURCES_RESILIENCY_H
#define RESOURCES_RESILIENCY_H
#include "resources/load.h"

#define RESILIENCY_APP_BREAKERS 100    /* endpoints of one application that have a breaker of their own, by default */
#define RESILIENCY_ACTOR_BREAKERS 5000 /* the same for actors of one type */

struct resiliency_timeout {
	struct str name;
	int64_t ns; /* 0 or less: none */
};

struct resiliency_range { /* of codes, both ends in it */
	int first, last;
};

struct resiliency_ranges {
	int given; /* 0: every code is tried again */
	size_t n;
	const struct resiliency_range *p;
};

struct resiliency_retry {
	struct str name;
	int exponential;	 /* 0: always duration */
	int64_t duration_ns;	 /* 5 s */
	int64_t max_interval_ns; /* 60 s */
	int32_t max_retries;	 /* -1: without end; 0: none */
	struct resiliency_ranges http, grpc;
};

struct resiliency_breaker {
	struct str name;
	uint32_t max_requests;		 /* while half-open; 0: the default, 1 */
	int64_t interval_ns, timeout_ns; /* 0: the defaults, never and 60 s */
	struct str trip;		 /* CEL, as written; "" the default, consecutiveFailures > 5 */
	const struct yaml_node *trip_at; /* NULL: not given */
};

struct resiliency_names { /* "" none */
	struct str timeout, retry, breaker;
};

enum resiliency_scope { RESILIENCY_TYPE, RESILIENCY_ID, RESILIENCY_BOTH };

struct resiliency_target { /* an application or an actor type */
	struct str name;
	struct resiliency_names use;
	int32_t breakers;	     /* circuitBreakerCacheSize, more than 0 */
	enum resiliency_scope scope; /* of an actor's breaker */
};

struct resiliency_component {
	struct str name;
	struct resiliency_names in, out;
};

struct resiliency {
	struct str name, namespace;
	const char *file;
	size_t ntimeouts, nretries, nbreakers, napps, nactors, ncomponents;
	struct resiliency_timeout *timeouts;
	struct resiliency_retry *retries;
	struct resiliency_breaker *breakers;
	struct resiliency_target *apps, *actors;
	struct resiliency_component *components;
};

/* Texts are in report->arena or borrowed from the snapshot. 0; -1: report->problems says what is wrong. */
int resiliency_read(struct field_report *report, const struct resource *r, struct resiliency *ret);
#endif
