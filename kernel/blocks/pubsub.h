/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Publishing: what the publish side of the pub/sub block means, whatever wire it came by. All functions run on a fiber; what
 * they return lives in the scope's arena. Inputs are borrowed and must live there too.
 */
#ifndef BLOCKS_PUBSUB_H
#define BLOCKS_PUBSUB_H
#include "blocks/blocks.h"
#include "blocks/pubsub_scope.h"
#include "plugin/scope.h"
#include "telemetry/trace.h"

#define PUBSUB_BULK_ENTRIES 10000 /* of one bulk request */

struct pubsub {
	struct str name;
	struct instance *instance;
	const struct davit_pubsub_ops *ops;
	uint32_t features; /* of the component's table and of this instance */
	struct pubsub_scope scope;
	const struct policy *out, *in; /* around publishing, and around delivering; NULL: none */
	struct str
		topic_prefix; /* of the topics at the broker: the namespace where the metadata asks for it; "" none */
};

/* What a client publishes. */
struct pubsub_event {
	struct str data;
	struct str content_type; /* "" not told */
	const struct davit_pair *metadata;
	size_t nmetadata;
	struct str entry_id; /* bulk */
};

/* An entry that was not published. */
struct pubsub_failed {
	struct str entry_id, error;
};

/* A request's metadata, and how to trace it. */
struct pubsub_request {
	struct str topic; /* as the application names it */
	const struct davit_pair *metadata;
	size_t nmetadata;
	int raw; /* no envelope: pubsub_find() reads it from the metadata */
	const struct tracer *tracer;
	const struct trace_context *trace; /* the request's; NULL: none */
	struct str span_name;		   /* of each entry's span */
	int http;			   /* it came by HTTP: a policy's matching looks at HTTP's codes */
};

/* Of the component whose resource has these properties; NULL: no memory. */
struct pubsub *pubsub_new(struct blocks *b, const struct opened *o, const struct davit_pair *props, size_t n);

/* The component that a request names, the request checked: its topic, and metadata's rawPayload. */
struct error pubsub_find(const struct blocks *b, struct arena *a, struct str name, struct pubsub_request *request,
			 struct pubsub **ret_pubsub);
struct error pubsub_publish(struct blocks *b, struct scope *s, struct pubsub *p, const struct pubsub_request *request,
			    const struct pubsub_event *event);
/*
 * As many as can be; each with a trace of its own. An error without failed entries: nothing was published. Entry ids must
 * be there and differ.
 */
struct error pubsub_publish_bulk(struct blocks *b, struct scope *s, struct pubsub *p,
				 const struct pubsub_request *request, const struct pubsub_event *events, size_t n,
				 const struct pubsub_failed **ret_failed, size_t *ret_nfailed);

/* For telling the ids of a bulk apart: an empty map that ends with the arena, and whether the next id may stand in it. */
struct map *pubsub_ids(struct arena *a);
struct error pubsub_check_id(const struct blocks *b, struct arena *a, struct map *ids, struct str id,
			     const struct pubsub *p, struct str topic);

/* Bytes as they are to a topic as the broker names it, past scopes and envelopes: for a dead letter, say. "" or why not. */
struct str pubsub_send(struct scope *s, struct pubsub *p, struct str topic, struct str data, struct str content_type,
		       const struct davit_pair *metadata, size_t nmetadata);
/* A topic as the broker names it, and back. */
struct str pubsub_topic_out(struct arena *a, const struct pubsub *p, struct str topic);
struct str pubsub_topic_in(const struct pubsub *p, struct str topic);
#endif
