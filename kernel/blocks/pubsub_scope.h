/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which topics of a broker this application may publish to and subscribe to, by the component's metadata: allowedTopics,
 * protectedTopics, publishingScopes, subscriptionScopes (https://docs.dapr.io/developing-applications/building-blocks/
 * pubsub/pubsub-scopes/). Topics are the application's, without a namespace.
 */
#ifndef BLOCKS_PUBSUB_SCOPE_H
#define BLOCKS_PUBSUB_SCOPE_H
#include <davit/plugin.h>

#include "base/arena.h"

struct pubsub_topics {
	const struct str *list;
	size_t n;
};

struct pubsub_scope {
	struct pubsub_topics allowed, protected, publishing, subscribing;
};

struct pubsub_scope pubsub_scope_read(struct arena *a, const struct davit_pair *props, size_t n, struct str app_id);
int pubsub_scope_publish(const struct pubsub_scope *s, struct str topic); /* 1: it may */
int pubsub_scope_subscribe(const struct pubsub_scope *s, struct str topic);
#endif
