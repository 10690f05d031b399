/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A subscription: which topic goes to which path of the application. From a Subscription resource (dapr.io/v1alpha1,
 * v2alpha1), from the application itself, or from a client that streams. Nothing is compiled or checked against a
 * component here.
 */
#ifndef RESOURCES_SUBSCRIPTION_H
#define RESOURCES_SUBSCRIPTION_H
#include "resources/load.h"

struct subscription_rule {
	struct str match; /* CEL, as written; blank: always */
	struct str path;
	int line, column; /* of match in its file; 0: from no file */
};

struct subscription {
	struct str name; /* of the resource; "" when it comes from none */
	struct str pubsub, topic;
	struct str dead_letter_topic; /* "" none */
	struct pairs metadata;	      /* sorted by key */
	size_t nrules;
	struct subscription_rule *rules; /* in the order of trying; the default path comes last, with an empty match */
	struct {
		int enabled;
		int32_t max_messages, max_await_ms; /* 0: not given */
	} bulk;
	const char *file; /* NULL: from no file */
	int line;
};

/* Of a resource of kind RESOURCE_SUBSCRIPTION; texts are in report->arena or borrowed from the snapshot. 0; -1: report->problems
 * says what is wrong. */
int subscription_read(struct field_report *report, const struct resource *r, struct subscription *ret);

/* All Subscriptions of a snapshot that can be read, in the order of loading; the others are warned of and left out. */
struct subscription *subscriptions_read(const struct resources *r, struct arena *a, size_t *ret_n);
#endif
