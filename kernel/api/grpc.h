/* SPDX-License-Identifier: Apache-2.0 */
/* What the gRPC skins share: maps to pairs and back, and the services with their methods. */
#ifndef API_GRPC_H
#define API_GRPC_H
#include <dapr/proto/runtime/v1/dapr.pb-c.h>

#include "api/api.h"

/* Of one call: kept in grpc_call.user by grpc_skin_begin(). */
struct skin {
	struct api *api;
	struct blocks *blocks;
	struct scope scope;
	int64_t began_ns;
	struct trace_span *span; /* NULL: not traced */
};

static inline struct skin *skin_of(struct grpc_call *c)
{
	return c->user;
}

/* Text of protobuf-c, which has NULL for "". */
static inline struct str skin_text(const char *s)
{
	return s ? str_of(s) : STR("");
}

/* A protobuf-c map field of strings as pairs: MAP(a, request->metadata, request->n_metadata, &n). Every map<string, string>
 * of protobuf-c has the same layout but its own type. */
struct skin_entry {
	ProtobufCMessage base;
	char *key, *value;
};
const struct davit_pair *skin_pairs(struct arena *a, void *entries, size_t n);

extern const struct grpc_method state_grpc_methods[], secrets_grpc_methods[], pubsub_grpc_methods[],
	subscribe_grpc_methods[], invoke_grpc_methods[], runtime_grpc_methods[];
extern const size_t state_grpc_nmethods, secrets_grpc_nmethods, pubsub_grpc_nmethods, subscribe_grpc_nmethods,
	invoke_grpc_nmethods, runtime_grpc_nmethods;
extern const struct grpc_service reflection_v1_service, reflection_v1alpha_service, health_service,
	invoke_internal_service;
struct error invoke_grpc_proxy(void *api, struct grpc_call *c); /* for whatever service */
struct error metadata_grpc_get(struct grpc_call *c, const void *request, const ProtobufCMessage **ret_reply);
struct error metadata_grpc_set(struct grpc_call *c, const void *request, const ProtobufCMessage **ret_reply);

extern const ProtobufCMessage *const skin_empty; /* google.protobuf.Empty */
#endif
