/* SPDX-License-Identifier: Apache-2.0 */
/* A single event over gRPC: TopicEventRequest, and what the application's answer means. */
#include "app/topic_bulk.h"
#include "base/banned.h"
#include "base/base64.h"
#include "base/jstream.h"

/* Members that have fields of their own. */
static const char *const not_extensions[] = { "id",	     "source", "datacontenttype", "type",
					      "specversion", "data",   "data_base64",	  NULL };

enum content { CONTENT_TEXT, CONTENT_JSON, CONTENT_ELSE };

static enum content content_of(struct str type)
{
	struct str head, rest;

	str_cut(type, ';', &head, &rest);
	head = str_trim(head);
	if (str_istarts(head, STR("text/")) || str_ieq(head, STR("application/xml")))
		return CONTENT_TEXT;
	if (str_ieq(head, STR("application/json")) || str_ieq(head, STR("application/cloudevents+json")))
		return CONTENT_JSON;
	return CONTENT_ELSE;
}

static ProtobufCBinaryData bytes_of(struct str s)
{
	return (ProtobufCBinaryData){ s.n, (uint8_t *)s.p };
}

/* 0; -1: *ret_why. */
static int data_of(struct arena *a, const struct topic_event *e, struct str type, ProtobufCBinaryData *ret,
		   struct str *ret_why)
{
	struct buf b = buf_in(a);
	struct str text;

	if (e->bytes.p != NULL) {
		*ret = bytes_of(e->bytes);
		return 0;
	}
	if (e->is.data_base64.p != NULL) {
		if (e->is.data_base64.p[0] != '"' || base64_read(a, topic_text(a, e->is.data_base64), &text) < 0) {
			*ret_why = STR("data_base64 is not base64");
			return -1;
		}
		*ret = bytes_of(text);
		return 0;
	}
	if (e->is.data.p == NULL)
		return 0;
	switch (content_of(type)) {
	case CONTENT_TEXT:
		if (e->is.data.p[0] != '"') {
			*ret_why = STR("unexpected data type encountered in envelope");
			return -1;
		}
		*ret = bytes_of(topic_text(a, e->is.data));
		return 0;
	case CONTENT_JSON:
		jstream_compact(&b, e->is.data);
		*ret = bytes_of(buf_str(&b));
		return 0;
	default: /* Dapr says nothing of what it cannot name */ return 0;
	}
}

static char *cstr(struct arena *a, struct str s)
{
	return (char *)arena_str(a, s).p;
}

static struct str retriable(struct arena *a, struct str why)
{
	return arena_printf(a, "error returned from app while processing pub/sub event: " STR_FMT, STR_ARG(why));
}

static Google__Protobuf__Struct *extensions_of(struct arena *a, const struct topic_event *e, struct str *ret_why)
{
	Google__Protobuf__Struct *s = topic_struct(a, e->json, not_extensions);

	if (s == NULL)
		*ret_why = STR("error processing internal cloud event data: unable to unmarshal cloudEvent extensions "
			       "to proto struct");
	return s;
}

Dapr__Proto__Runtime__V1__TopicEventRequest *topic_grpc_request(struct arena *a, const struct topic_event *e,
								struct str *ret_why)
{
	Dapr__Proto__Runtime__V1__TopicEventRequest *q = arena_alloc(a, sizeof(*q));
	struct str type = topic_text(a, e->is.datacontenttype);

	dapr__proto__runtime__v1__topic_event_request__init(q);
	q->id = cstr(a, topic_text(a, e->is.id));
	q->source = cstr(a, topic_text(a, e->is.source));
	q->type = cstr(a, topic_text(a, e->is.type));
	q->spec_version = cstr(a, topic_text(a, e->is.specversion));
	q->data_content_type = cstr(a, type);
	q->topic = cstr(a, e->topic);
	q->pubsub_name = cstr(a, e->pubsub);
	q->path = cstr(a, e->path);
	if (data_of(a, e, type, &q->data, ret_why) < 0) {
		*ret_why = retriable(a, *ret_why);
		return NULL;
	}
	q->extensions = extensions_of(a, e, ret_why);
	return q->extensions ? q : NULL;
}

Dapr__Proto__Runtime__V1__TopicEventCERequest *topic_grpc_event(struct arena *a, const struct topic_event *e,
								struct str *ret_why)
{
	Dapr__Proto__Runtime__V1__TopicEventCERequest *q = arena_alloc(a, sizeof(*q));
	struct str type = topic_text(a, e->is.datacontenttype);

	dapr__proto__runtime__v1__topic_event_cerequest__init(q);
	q->id = cstr(a, topic_text(a, e->is.id));
	q->source = cstr(a, topic_text(a, e->is.source));
	q->type = cstr(a, topic_text(a, e->is.type));
	q->spec_version = cstr(a, topic_text(a, e->is.specversion));
	q->data_content_type = cstr(a, type);
	if (data_of(a, e, type, &q->data, ret_why) < 0)
		return NULL;
	q->extensions = extensions_of(a, e, ret_why);
	return q->extensions ? q : NULL;
}

struct topic_answer topic_grpc_answer(struct arena *a, const struct topic_event *e, const struct error *error,
				      const Dapr__Proto__Runtime__V1__TopicEventResponse *reply)
{
	struct str id = topic_shown(a, e->is.id);

	if (!error_is(error))
		return topic_status_answer(a, e, (int)reply->status);
	if (error->code == ERROR_UNIMPLEMENTED)
		return (struct topic_answer){
			.verdict = TOPIC_DROP,
			.quiet = 1,
			.why = arena_printf(
				a,
				"non-retriable error returned from app while processing pub/sub event " STR_FMT
				": rpc error: code = %s desc = " STR_FMT,
				STR_ARG(id), error_code_name(error->code), STR_ARG(error->message))
		};
	return (struct topic_answer){
		.verdict = TOPIC_RETRY,
		.code = error->code,
		.why = arena_printf(a,
				    "error returned from app while processing pub/sub event " STR_FMT
				    ": rpc error: code = %s desc = " STR_FMT,
				    STR_ARG(id), error_code_name(error->code), STR_ARG(error->message))
	};
}
