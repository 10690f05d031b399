/* SPDX-License-Identifier: Apache-2.0 */
/* The secrets API over gRPC (dapr/proto/runtime/v1/dapr.proto). */
#include "api/grpc.h"
#include "api/span.h"
#include "base/banned.h"
#include "blocks/secrets.h"

static struct error get(struct grpc_call *c, const void *request, const ProtobufCMessage **ret_reply)
{
	const Dapr__Proto__Runtime__V1__GetSecretRequest *in = request;
	Dapr__Proto__Runtime__V1__GetSecretResponse *out = arena_alloc(c->arena, sizeof(*out));
	Dapr__Proto__Runtime__V1__GetSecretResponse__DataEntry *entries;
	const struct secret_pair *pairs;
	struct secret_store *store;
	struct skin *s = skin_of(c);
	struct error e;
	size_t n, i;

	span_of_store(c, "secrets", skin_text(in->store_name));
	e = secrets_find(s->blocks, c->arena, skin_text(in->store_name), &store);
	if (error_is(&e))
		return e;
	e = secrets_get(s->blocks, &s->scope, store, skin_text(in->key),
			skin_pairs(c->arena, in->metadata, in->n_metadata), in->n_metadata, &pairs, &n);
	if (error_is(&e))
		return e;
	dapr__proto__runtime__v1__get_secret_response__init(out);
	entries = arena_alloc(c->arena, sizeof(*entries) * (n + 1));
	out->data = arena_alloc(c->arena, sizeof(*out->data) * (n + 1));
	out->n_data = n;
	for (i = 0; i < n; i++) {
		dapr__proto__runtime__v1__get_secret_response__data_entry__init(&entries[i]);
		entries[i].key = (char *)pairs[i].key.p;
		entries[i].value = (char *)pairs[i].value.p;
		out->data[i] = &entries[i];
	}
	*ret_reply = &out->base;
	return ERROR_NONE;
}

/* The pairs of one secret, which stand together; returns how many they were. */
static size_t write_secret(struct arena *a, const struct secret_pair *pairs, size_t n,
			   Dapr__Proto__Runtime__V1__GetBulkSecretResponse__DataEntry *out)
{
	Dapr__Proto__Runtime__V1__SecretResponse *secret = arena_alloc(a, sizeof(*secret));
	Dapr__Proto__Runtime__V1__SecretResponse__SecretsEntry *entry;
	size_t i, same = 1;

	while (same < n && str_eq(pairs[same].name, pairs[0].name))
		same++;
	dapr__proto__runtime__v1__get_bulk_secret_response__data_entry__init(out);
	dapr__proto__runtime__v1__secret_response__init(secret);
	out->key = (char *)pairs[0].name.p;
	out->value = secret;
	secret->secrets = arena_alloc(a, sizeof(*secret->secrets) * same);
	secret->n_secrets = same;
	for (i = 0; i < same; i++) {
		entry = arena_alloc(a, sizeof(*entry));
		dapr__proto__runtime__v1__secret_response__secrets_entry__init(entry);
		entry->key = (char *)pairs[i].key.p;
		entry->value = (char *)pairs[i].value.p;
		secret->secrets[i] = entry;
	}
	return same;
}

static struct error bulk(struct grpc_call *c, const void *request, const ProtobufCMessage **ret_reply)
{
	const Dapr__Proto__Runtime__V1__GetBulkSecretRequest *in = request;
	Dapr__Proto__Runtime__V1__GetBulkSecretResponse *out = arena_alloc(c->arena, sizeof(*out));
	const struct secret_pair *pairs;
	struct secret_store *store;
	struct skin *s = skin_of(c);
	struct error e;
	size_t n, i;

	e = secrets_find(s->blocks, c->arena, skin_text(in->store_name), &store);
	if (error_is(&e))
		return e;
	e = secrets_bulk(s->blocks, &s->scope, store, skin_pairs(c->arena, in->metadata, in->n_metadata),
			 in->n_metadata, &pairs, &n);
	if (error_is(&e))
		return e;
	dapr__proto__runtime__v1__get_bulk_secret_response__init(out);
	out->data = arena_alloc(c->arena, sizeof(*out->data) * (n + 1));
	for (i = 0; i < n;) {
		out->data[out->n_data] = arena_alloc(c->arena, sizeof(**out->data));
		i += write_secret(c->arena, pairs + i, n - i, out->data[out->n_data]);
		out->n_data++;
	}
	*ret_reply = &out->base;
	return ERROR_NONE;
}

const struct grpc_method secrets_grpc_methods[] = {
	{ "GetSecret", GRPC_UNARY, &dapr__proto__runtime__v1__get_secret_request__descriptor,
	  &dapr__proto__runtime__v1__get_secret_response__descriptor, get, NULL },
	{ "GetBulkSecret", GRPC_UNARY, &dapr__proto__runtime__v1__get_bulk_secret_request__descriptor,
	  &dapr__proto__runtime__v1__get_bulk_secret_response__descriptor, bulk, NULL },
};
const size_t secrets_grpc_nmethods = sizeof(secrets_grpc_methods) / sizeof(secrets_grpc_methods[0]);
