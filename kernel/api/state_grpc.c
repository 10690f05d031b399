/* SPDX-License-Identifier: Apache-2.0 */
/* The state API over gRPC (dapr/proto/runtime/v1/dapr.proto). */
#include <google/protobuf/empty.pb-c.h>

#include "api/decode.h"
#include "api/grpc.h"
#include "api/span.h"
#include "base/banned.h"
#include "blocks/state.h"
#include "blocks/state_error.h"
#include "blocks/state_key.h"

static struct error find(struct grpc_call *c, const char *name, struct state_store **ret_store)
{
	return state_find(skin_of(c)->blocks, c->arena, skin_text(name), ret_store);
}

/* A block may have other words for gRPC's clients. */
static struct error told(struct error e)
{
	return e.grpc != NULL ? *e.grpc : e;
}

static struct str concurrency_word(int v)
{
	return v == DAPR__PROTO__COMMON__V1__STATE_OPTIONS__STATE_CONCURRENCY__CONCURRENCY_FIRST_WRITE
		       ? STR("first-write")
	       : v == DAPR__PROTO__COMMON__V1__STATE_OPTIONS__STATE_CONCURRENCY__CONCURRENCY_LAST_WRITE
		       ? STR("last-write")
		       : STR("");
}

static struct str consistency_word(int v)
{
	return v == DAPR__PROTO__COMMON__V1__STATE_OPTIONS__STATE_CONSISTENCY__CONSISTENCY_STRONG     ? STR("strong")
	       : v == DAPR__PROTO__COMMON__V1__STATE_OPTIONS__STATE_CONSISTENCY__CONSISTENCY_EVENTUAL ? STR("eventual")
												      : STR("");
}

static void read_options(const Dapr__Proto__Common__V1__StateOptions *o, struct state_item *item)
{
	if (o == NULL)
		return;
	item->concurrency = concurrency_word(o->concurrency);
	item->consistency = consistency_word(o->consistency);
}

static int is_json(const struct state_item *item)
{
	size_t i;

	for (i = 0; i < item->nmetadata; i++)
		if (davit_str_is(item->metadata[i].key, "contentType"))
			return davit_str_is(item->metadata[i].value, "application/json");
	return 0;
}

static void read_item(struct arena *a, const Dapr__Proto__Common__V1__StateItem *from, struct state_item *item)
{
	*item = (struct state_item){ .key = skin_text(from->key),
				     .value = { (const char *)from->value.data, from->value.len } };
	if (from->etag != NULL) {
		item->has_etag = 1;
		item->etag = skin_text(from->etag->value);
	}
	read_options(from->options, item);
	item->metadata = skin_pairs(a, from->metadata, from->n_metadata);
	item->nmetadata = from->n_metadata;
	item->json = is_json(item);
}

static Dapr__Proto__Runtime__V1__GetStateResponse__MetadataEntry **write_pairs(struct arena *a,
									       const struct davit_pair *pairs, size_t n)
{
	Dapr__Proto__Runtime__V1__GetStateResponse__MetadataEntry *e = arena_alloc(a, sizeof(*e) * (n + 1));
	Dapr__Proto__Runtime__V1__GetStateResponse__MetadataEntry **list = arena_alloc(a, sizeof(*list) * (n + 1));
	size_t i;

	for (i = 0; i < n; i++) {
		dapr__proto__runtime__v1__get_state_response__metadata_entry__init(&e[i]);
		e[i].key = (char *)pairs[i].key.p;
		e[i].value = (char *)pairs[i].value.p;
		list[i] = &e[i];
	}
	return list;
}

static struct error get(struct grpc_call *c, const void *request, const ProtobufCMessage **ret_reply)
{
	const Dapr__Proto__Runtime__V1__GetStateRequest *in = request;
	Dapr__Proto__Runtime__V1__GetStateResponse *out = arena_alloc(c->arena, sizeof(*out));
	struct skin *s = skin_of(c);
	struct state_store *store;
	struct state_value v;
	struct error e = find(c, in->store_name, &store);

	span_of_store(c, "state", skin_text(in->store_name));
	if (error_is(&e))
		return e;
	e = state_get(s->blocks, &s->scope, store, skin_text(in->key), consistency_word(in->consistency),
		      skin_pairs(c->arena, in->metadata, in->n_metadata), in->n_metadata, &v);
	if (error_is(&e))
		return told(e);
	dapr__proto__runtime__v1__get_state_response__init(out);
	out->data = (ProtobufCBinaryData){ v.value.n, (uint8_t *)v.value.p };
	if (v.etag.p != NULL)
		out->etag = (char *)v.etag.p;
	if (v.nmetadata > 0) {
		out->metadata = write_pairs(c->arena, v.metadata, v.nmetadata);
		out->n_metadata = v.nmetadata;
	}
	*ret_reply = &out->base;
	return ERROR_NONE;
}

static void write_bulk_item(struct arena *a, const struct state_value *v, Dapr__Proto__Runtime__V1__BulkStateItem *out)
{
	Dapr__Proto__Runtime__V1__BulkStateItem__MetadataEntry *e;
	size_t i;

	dapr__proto__runtime__v1__bulk_state_item__init(out);
	out->key = (char *)arena_str(a, v->key).p;
	out->data = (ProtobufCBinaryData){ v->value.n, (uint8_t *)v->value.p };
	if (v->etag.p != NULL)
		out->etag = (char *)v->etag.p;
	if (v->error.p != NULL)
		out->error = (char *)arena_str(a, v->error).p;
	if (v->nmetadata == 0)
		return;
	e = arena_alloc(a, sizeof(*e) * v->nmetadata);
	out->metadata = arena_alloc(a, sizeof(*out->metadata) * v->nmetadata);
	out->n_metadata = v->nmetadata;
	for (i = 0; i < v->nmetadata; i++) {
		dapr__proto__runtime__v1__bulk_state_item__metadata_entry__init(&e[i]);
		e[i].key = (char *)v->metadata[i].key.p;
		e[i].value = (char *)v->metadata[i].value.p;
		out->metadata[i] = &e[i];
	}
}

static struct error bulk_get(struct grpc_call *c, const void *request, const ProtobufCMessage **ret_reply)
{
	const Dapr__Proto__Runtime__V1__GetBulkStateRequest *in = request;
	Dapr__Proto__Runtime__V1__GetBulkStateResponse *out = arena_alloc(c->arena, sizeof(*out));
	Dapr__Proto__Runtime__V1__BulkStateItem *items = arena_alloc(c->arena, sizeof(*items) * (in->n_keys + 1));
	struct str *keys = arena_alloc(c->arena, sizeof(*keys) * (in->n_keys + 1));
	const struct state_value *values;
	struct skin *s = skin_of(c);
	struct state_store *store;
	struct error e = find(c, in->store_name, &store);
	size_t i;

	if (error_is(&e))
		return e;
	for (i = 0; i < in->n_keys; i++)
		keys[i] = skin_text(in->keys[i]);
	e = state_bulk_get(s->blocks, &s->scope, store, keys, in->n_keys, in->parallelism,
			   skin_pairs(c->arena, in->metadata, in->n_metadata), in->n_metadata, &values);
	if (error_is(&e))
		return told(e);
	dapr__proto__runtime__v1__get_bulk_state_response__init(out);
	out->items = arena_alloc(c->arena, sizeof(*out->items) * (in->n_keys + 1));
	out->n_items = in->n_keys;
	for (i = 0; i < in->n_keys; i++) {
		write_bulk_item(c->arena, &values[i], &items[i]);
		out->items[i] = &items[i];
	}
	*ret_reply = &out->base;
	return ERROR_NONE;
}

/* Text that is said to be JSON is refused when it is none, in the words and with the code of Dapr's reader of JSON. */
static struct error read_json(struct arena *a, struct state_item *item)
{
	struct str why;

	if (!item->json || decode_value(a, item->value, &item->value, &why) == 0)
		return ERROR_NONE;
	return error_new(a, ERROR_UNKNOWN, NULL, STR_FMT, STR_ARG(why));
}

static struct error save(struct grpc_call *c, const void *request, const ProtobufCMessage **ret_reply)
{
	const Dapr__Proto__Runtime__V1__SaveStateRequest *in = request;
	struct state_item *items = arena_alloc(c->arena, sizeof(*items) * (in->n_states + 1));
	struct skin *s = skin_of(c);
	struct state_store *store;
	struct error e = find(c, in->store_name, &store);
	size_t i;

	span_of_store(c, "state", skin_text(in->store_name));
	if (error_is(&e))
		return e;
	for (i = 0; i < in->n_states; i++) {
		read_item(c->arena, in->states[i], &items[i]);
		e = read_json(c->arena, &items[i]);
		if (error_is(&e))
			return e;
		if (items[i].key.n == 0) {
			e = error_new(c->arena, ERROR_INVALID_ARGUMENT, "ERR_STATE_SAVE", "state key cannot be empty");
			e.category = "state";
			e.info_on_grpc = 1;
			return e;
		}
	}
	*ret_reply = skin_empty;
	return told(state_save(s->blocks, &s->scope, store, items, in->n_states));
}

static struct error delete_one(struct grpc_call *c, const void *request, const ProtobufCMessage **ret_reply)
{
	const Dapr__Proto__Runtime__V1__DeleteStateRequest *in = request;
	struct state_item item = { .key = skin_text(in->key), .has_etag = in->etag != NULL };
	struct skin *s = skin_of(c);
	struct state_store *store;
	struct error e = find(c, in->store_name, &store);

	span_of_store(c, "state", skin_text(in->store_name));
	if (error_is(&e))
		return e;
	if (in->etag != NULL)
		item.etag = skin_text(in->etag->value);
	read_options(in->options, &item);
	item.metadata = skin_pairs(c->arena, in->metadata, in->n_metadata);
	item.nmetadata = in->n_metadata;
	*ret_reply = skin_empty;
	return told(state_delete(s->blocks, &s->scope, store, &item));
}

static struct error delete_bulk(struct grpc_call *c, const void *request, const ProtobufCMessage **ret_reply)
{
	const Dapr__Proto__Runtime__V1__DeleteBulkStateRequest *in = request;
	struct state_item *items = arena_alloc(c->arena, sizeof(*items) * (in->n_states + 1));
	struct skin *s = skin_of(c);
	struct state_store *store;
	struct error e = find(c, in->store_name, &store);
	size_t i;

	if (error_is(&e))
		return e;
	for (i = 0; i < in->n_states; i++)
		read_item(c->arena, in->states[i], &items[i]);
	*ret_reply = skin_empty;
	return told(state_bulk_delete(s->blocks, &s->scope, store, items, in->n_states));
}

/* The key is looked at first, as in Dapr. */
static struct error unknown_operation(struct arena *a, const struct state_store *store, struct str key,
				      struct str operation)
{
	struct str full;
	struct error e = state_key_full(a, store, key, &full);

	return error_is(&e) ? e : state_error_operation(a, operation);
}

static struct error transact(struct grpc_call *c, const void *request, const ProtobufCMessage **ret_reply)
{
	const Dapr__Proto__Runtime__V1__ExecuteStateTransactionRequest *in = request;
	struct state_step *steps = arena_zalloc(c->arena, sizeof(*steps) * (in->n_operations + 1));
	struct skin *s = skin_of(c);
	struct state_store *store;
	struct error e = find(c, in->storename, &store);
	size_t i;

	if (error_is(&e))
		return e;
	e = state_can_transact(store, c->arena);
	for (i = 0; i < in->n_operations && !error_is(&e); i++) {
		struct str operation = skin_text(in->operations[i]->operationtype);

		steps[i].operation = str_is(operation, "delete") ? STATE_DELETE : STATE_UPSERT;
		if (in->operations[i]->request != NULL)
			read_item(c->arena, in->operations[i]->request, &steps[i].item);
		if (steps[i].item.json && jstream_check(steps[i].item.value) < 0)
			steps[i].item.json = 0; /* Dapr does not read it here, and keeps the bytes */
		if (!str_is(operation, "upsert") && !str_is(operation, "delete"))
			e = unknown_operation(c->arena, store, steps[i].item.key, operation);
	}
	if (error_is(&e))
		return e;
	*ret_reply = skin_empty;
	return state_transact(s->blocks, &s->scope, store, steps, in->n_operations,
			      skin_pairs(c->arena, in->metadata, in->n_metadata), in->n_metadata);
}

static struct error query(struct grpc_call *c, const void *request, const ProtobufCMessage **ret_reply)
{
	const Dapr__Proto__Runtime__V1__QueryStateRequest *in = request;
	Dapr__Proto__Runtime__V1__QueryStateResponse *out = arena_alloc(c->arena, sizeof(*out));
	Dapr__Proto__Runtime__V1__QueryStateItem *items;
	struct skin *s = skin_of(c);
	struct state_store *store;
	struct state_found found;
	struct error e = find(c, in->store_name, &store);
	size_t i;

	if (error_is(&e))
		return e;
	e = state_query(s->blocks, &s->scope, store, skin_text(in->query),
			skin_pairs(c->arena, in->metadata, in->n_metadata), in->n_metadata, &found);
	if (error_is(&e))
		return e;
	dapr__proto__runtime__v1__query_state_response__init(out);
	items = arena_alloc(c->arena, sizeof(*items) * (found.n + 1));
	out->results = arena_alloc(c->arena, sizeof(*out->results) * (found.n + 1));
	out->n_results = found.n;
	if (found.token.p != NULL)
		out->token = (char *)arena_str(c->arena, found.token).p;
	for (i = 0; i < found.n; i++) {
		dapr__proto__runtime__v1__query_state_item__init(&items[i]);
		items[i].key = (char *)arena_str(c->arena, found.values[i].key).p;
		items[i].data = (ProtobufCBinaryData){ found.values[i].value.n, (uint8_t *)found.values[i].value.p };
		if (found.values[i].etag.p != NULL)
			items[i].etag = (char *)found.values[i].etag.p;
		if (found.values[i].error.p != NULL)
			items[i].error = (char *)arena_str(c->arena, found.values[i].error).p;
		out->results[i] = &items[i];
	}
	*ret_reply = &out->base;
	return ERROR_NONE;
}

#define IN(name) &dapr__proto__runtime__v1__##name##__descriptor
#define EMPTY &google__protobuf__empty__descriptor

const struct grpc_method state_grpc_methods[] = {
	{ "GetState", GRPC_UNARY, IN(get_state_request), IN(get_state_response), get, NULL },
	{ "GetBulkState", GRPC_UNARY, IN(get_bulk_state_request), IN(get_bulk_state_response), bulk_get, NULL },
	{ "SaveState", GRPC_UNARY, IN(save_state_request), EMPTY, save, NULL },
	{ "DeleteState", GRPC_UNARY, IN(delete_state_request), EMPTY, delete_one, NULL },
	{ "DeleteBulkState", GRPC_UNARY, IN(delete_bulk_state_request), EMPTY, delete_bulk, NULL },
	{ "ExecuteStateTransaction", GRPC_UNARY, IN(execute_state_transaction_request), EMPTY, transact, NULL },
	{ "QueryStateAlpha1", GRPC_UNARY, IN(query_state_request), IN(query_state_response), query, NULL },
};
const size_t state_grpc_nmethods = sizeof(state_grpc_methods) / sizeof(state_grpc_methods[0]);
