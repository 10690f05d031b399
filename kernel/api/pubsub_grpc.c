/* SPDX-License-Identifier: Apache-2.0 */
/* Publishing over gRPC (dapr/proto/runtime/v1/dapr.proto). */
#include <google/protobuf/empty.pb-c.h>

#include "api/grpc.h"
#include "api/span.h"
#include "base/banned.h"
#include "base/map.h"
#include "blocks/pubsub.h"
#include "blocks/pubsub_error.h"

static const struct trace_context *trace_of(struct grpc_call *c)
{
	const struct skin *s = skin_of(c);

	return s->span ? &s->span->context : NULL;
}

static struct error find(struct grpc_call *c, const char *name, const char *topic, void *entries, size_t n,
			 struct pubsub_request *request, struct pubsub **ret_pubsub)
{
	*request = (struct pubsub_request){ .topic = skin_text(topic),
					    .tracer = &skin_of(c)->api->tracer,
					    .trace = trace_of(c),
					    .span_name = c->path };
	request->metadata = skin_pairs(c->arena, entries, n);
	request->nmetadata = n;
	span_of_topic(c, request->topic);
	return pubsub_find(skin_of(c)->blocks, c->arena, skin_text(name), request, ret_pubsub);
}

/* A raw payload has no envelope to carry the trace: over gRPC it goes with the metadata, as Dapr does. */
static void add_trace(struct grpc_call *c, const struct pubsub_request *request, struct pubsub_event *event)
{
	struct davit_pair *pairs = arena_alloc(c->arena, sizeof(*pairs) * (request->nmetadata + 2));
	const struct trace_context *trace = request->trace;
	char text[TRACE_PARENT_TEXT + 1] = "";
	struct str parent, state = STR("");
	size_t i, n = 0;

	if (trace != NULL && trace_valid(trace)) {
		trace_parent_text(trace, text);
		state = trace->state;
	}
	parent = arena_str(c->arena, str_of(text));
	for (i = 0; i < request->nmetadata; i++)
		if (!davit_str_is(request->metadata[i].key, "traceid") &&
		    !davit_str_is(request->metadata[i].key, "tracestate"))
			pairs[n++] = request->metadata[i];
	pairs[n++] = (struct davit_pair){ davit_str("traceid"), { parent.p, parent.n } };
	state = arena_str(c->arena, state);
	pairs[n++] = (struct davit_pair){ davit_str("tracestate"), { state.p, state.n } };
	event->metadata = pairs;
	event->nmetadata = n;
}

static struct error publish(struct grpc_call *c, const void *message, const ProtobufCMessage **ret_reply)
{
	const Dapr__Proto__Runtime__V1__PublishEventRequest *in = message;
	struct pubsub_event event = { .data = { (const char *)in->data.data, in->data.len },
				      .content_type = skin_text(in->data_content_type) };
	struct pubsub_request request;
	struct pubsub *p;
	struct error e;

	e = find(c, in->pubsub_name, in->topic, in->metadata, in->n_metadata, &request, &p);
	if (error_is(&e))
		return e;
	event.metadata = request.metadata;
	event.nmetadata = request.nmetadata;
	if (request.raw)
		add_trace(c, &request, &event);
	*ret_reply = skin_empty;
	return pubsub_publish(skin_of(c)->blocks, &skin_of(c)->scope, p, &request, &event);
}

/* The entry's own metadata over the request's; without any of its own it gets none. */
static void merge(struct grpc_call *c, const struct pubsub_request *request,
		  const Dapr__Proto__Runtime__V1__BulkPublishRequestEntry *from, struct pubsub_event *event)
{
	const struct davit_pair *own = skin_pairs(c->arena, from->metadata, from->n_metadata);
	struct davit_pair *all;
	size_t i, k, n = from->n_metadata;

	if (n == 0)
		return;
	all = arena_alloc(c->arena, sizeof(*all) * (n + request->nmetadata));
	memcpy(all, own, sizeof(*all) * n);
	for (i = 0; i < request->nmetadata; i++) {
		const struct davit_pair *given = &request->metadata[i];

		for (k = 0; k < from->n_metadata; k++)
			if (own[k].key.n == given->key.n && memcmp(own[k].key.p, given->key.p, given->key.n) == 0)
				break;
		if (k == from->n_metadata)
			all[n++] = *given;
	}
	event->metadata = all;
	event->nmetadata = n;
}

static struct error make_events(struct grpc_call *c, const struct pubsub_request *request, const struct pubsub *p,
				const Dapr__Proto__Runtime__V1__BulkPublishRequest *in, struct pubsub_event *events)
{
	struct map *seen = pubsub_ids(c->arena);
	struct error e = ERROR_NONE;
	size_t i;

	for (i = 0; i < in->n_entries && !error_is(&e); i++) {
		const Dapr__Proto__Runtime__V1__BulkPublishRequestEntry *from = in->entries[i];
		struct str id = skin_text(from->entry_id);

		e = pubsub_check_id(skin_of(c)->blocks, c->arena, seen, id, p, request->topic);
		events[i] = (struct pubsub_event){ .data = { (const char *)from->event.data, from->event.len },
						   .content_type = skin_text(from->content_type),
						   .entry_id = id };
		merge(c, request, from, &events[i]);
	}
	return e;
}

static struct error bulk(struct grpc_call *c, const void *message, const ProtobufCMessage **ret_reply)
{
	const Dapr__Proto__Runtime__V1__BulkPublishRequest *in = message;
	Dapr__Proto__Runtime__V1__BulkPublishResponse *out = arena_alloc(c->arena, sizeof(*out));
	struct pubsub_event *events = arena_alloc(c->arena, sizeof(*events) * (in->n_entries + 1));
	const struct pubsub_failed *failed;
	struct pubsub_request request;
	struct pubsub *p;
	struct error e;
	size_t nfailed;

	e = find(c, in->pubsub_name, in->topic, in->metadata, in->n_metadata, &request, &p);
	if (error_is(&e))
		return e;
	e = make_events(c, &request, p, in, events);
	if (error_is(&e))
		return e;
	/* An answer with entries that failed cannot be told from an error on this wire: Dapr sends the error. */
	dapr__proto__runtime__v1__bulk_publish_response__init(out);
	*ret_reply = &out->base;
	return pubsub_publish_bulk(skin_of(c)->blocks, &skin_of(c)->scope, p, &request, events, in->n_entries, &failed,
				   &nfailed);
}

#define IN(name) &dapr__proto__runtime__v1__##name##__descriptor

const struct grpc_method pubsub_grpc_methods[] = {
	{ "PublishEvent", GRPC_UNARY, IN(publish_event_request), &google__protobuf__empty__descriptor, publish, NULL },
	{ "BulkPublishEvent", GRPC_UNARY, IN(bulk_publish_request), IN(bulk_publish_response), bulk, NULL },
	{ "BulkPublishEventAlpha1", GRPC_UNARY, IN(bulk_publish_request), IN(bulk_publish_response), bulk, NULL },
};
const size_t pubsub_grpc_nmethods = sizeof(pubsub_grpc_methods) / sizeof(pubsub_grpc_methods[0]);
