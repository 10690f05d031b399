/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An event on its way to whoever subscribed: the application over HTTP or gRPC, or a client's stream. What it is on each
 * wire, and what the answer means. Nothing here waits; topic_send.h does.
 */
#ifndef APP_TOPIC_EVENT_H
#define APP_TOPIC_EVENT_H
#include <dapr/proto/runtime/v1/appcallback.pb-c.h>
#include <dapr/proto/runtime/v1/pubsub.pb-c.h>
#include <davit/plugin.h>

#include "base/error.h"
#include "http/exchange.h"
#include "resources/subscription.h"

/* A CloudEvent's own members, as the JSON values they are; p == NULL: absent or null. */
struct topic_members {
	struct str id, source, type, specversion, datacontenttype, data, data_base64;
	struct str traceid, traceparent, tracestate, expiration;
};

struct topic_event {
	struct str topic, pubsub, path;
	const struct davit_pair *metadata; /* of the message, with pubsubName and content-type */
	size_t nmetadata;
	struct str body; /* for HTTP: what the component gave, or the envelope made around a raw payload */
	struct str json; /* the event as one JSON object, well-formed */
	struct topic_members is;
	struct str bytes; /* the data of an event in binary mode; p == NULL: it is in json */
};

/* A member's text; "" when it is none. */
struct str topic_text(struct arena *a, struct str json_value);
/* A member as Go prints any value, for messages. */
struct str topic_shown(struct arena *a, struct str json_value);

enum topic_verdict { TOPIC_SUCCESS, TOPIC_RETRY, TOPIC_DROP };

struct topic_answer {
	enum topic_verdict verdict;
	int quiet;	/* with TOPIC_DROP: it does not become a dead letter */
	int asked;	/* with TOPIC_DROP: the application said so itself */
	int code;	/* the HTTP status or gRPC code that made it RETRY, for a policy to look at; 0: none */
	struct str why; /* of RETRY and DROP: a sentence */
};

/* ---- HTTP ---- */

/* The path as a request's target: clean, starting with '/', escaped where it has to be. */
struct str topic_target(struct arena *a, struct str path);
/* The message's metadata as fields, those left out that HTTP or the connection owns. Room for `more` behind them. */
struct http_field *topic_fields(struct arena *a, const struct davit_pair *metadata, size_t n, size_t more,
				size_t *ret_n);
struct topic_answer topic_http_answer(struct arena *a, const struct topic_event *e, int status, struct str body);

/* ---- gRPC ---- */

/* NULL: the event has something that gRPC cannot say; *ret_why tells. */
Dapr__Proto__Runtime__V1__TopicEventRequest *topic_grpc_request(struct arena *a, const struct topic_event *e,
								struct str *ret_why);
/* error: the call's, ERROR_NONE with its reply. */
struct topic_answer topic_grpc_answer(struct arena *a, const struct topic_event *e, const struct error *error,
				      const Dapr__Proto__Runtime__V1__TopicEventResponse *reply);
/* status: the number that came, which need not be one of the enum's. */
struct topic_answer topic_status_answer(struct arena *a, const struct topic_event *e, int status);

/* JSON as google.protobuf.Struct and Value. NULL: deeper than TOPIC_STRUCT_DEPTH, or a number too large. leave_out: top-level
 * keys, NULL ends them. */
#define TOPIC_STRUCT_DEPTH 32
Google__Protobuf__Struct *topic_struct(struct arena *a, struct str json, const char *const *leave_out);

/* ---- What the application subscribes to ---- */

/* The body of GET /dapr/subscribe. 0; -1: *ret_why. Items without a route are left out with a warning. */
int topic_list_http(struct arena *a, struct str body, struct subscription **ret_list, size_t *ret_n,
		    struct str *ret_why);
void topic_list_grpc(struct arena *a, const Dapr__Proto__Runtime__V1__ListTopicSubscriptionsResponse *reply,
		     struct subscription **ret_list, size_t *ret_n);
#endif
