/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The envelope of a published event (CloudEvents 1.0 in JSON, https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/
 * formats/json-format.md) with Dapr's own members: topic, pubsubname, traceid, traceparent, tracestate, expiration. Members
 * are written in the order of their names, as Dapr's are.
 */
#ifndef BLOCKS_CLOUDEVENT_H
#define BLOCKS_CLOUDEVENT_H
#include <davit/plugin.h>

#include "base/arena.h"

#define CLOUDEVENT_TYPE "com.dapr.event.sent"
#define CLOUDEVENT_SOURCE "Dapr"
#define CLOUDEVENT_CONTENT_TYPE "application/cloudevents+json"

/* What goes into an envelope; all borrowed. */
struct cloudevent {
	struct str data;
	struct str content_type; /* "": text/plain */
	struct str source;	 /* the application's id */
	struct str topic, pubsub;
	struct str trace_parent, trace_state; /* "" none */
	const struct davit_pair *metadata;    /* of the request: cloudevent.* replace what would stand there */
	size_t nmetadata;
	int64_t ttl_ns; /* -1: without expiration */
	int64_t now_ns; /* since 1970 */
};

/*
 * The JSON, in a. Data that is a CloudEvent already (by its content type) is kept, what it lacks is added. -1: *ret_message
 * says why it is none.
 */
int cloudevent_wrap(struct arena *a, const struct cloudevent *e, struct str *ret_body, struct str *ret_message);

/* Whether the bytes are a protobuf CloudEvent (io.cloudevents.v1.CloudEvent). */
int cloudevent_is_protobuf(struct str bytes);

/* metadata's ttl or ttlInSeconds, in any case: a duration or seconds. -1: none, or not one. */
int64_t cloudevent_ttl_ns(const struct davit_pair *metadata, size_t n);
#endif
