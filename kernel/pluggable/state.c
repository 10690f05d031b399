/* SPDX-License-Identifier: Apache-2.0 */
/* State stores: dapr.proto.components.v1.StateStore and what it may serve beside it. Queries are in state_query.c. */
#include <dapr/proto/components/v1/state.pb-c.h>

#include "base/banned.h"
#include "pluggable/offers.h"
#include "pluggable/peer.h"

#define MESSAGE(name) &dapr__proto__components__v1__##name##__descriptor

typedef Dapr__Proto__Components__V1__GetRequest get_request;
typedef Dapr__Proto__Components__V1__SetRequest set_request;
typedef Dapr__Proto__Components__V1__DeleteRequest delete_request;

static const struct peer_feature features[] = {
	{ "ETAG", DAVIT_STATE_ETAG },	    { "TRANSACTIONAL", DAVIT_STATE_TRANSACTIONAL }, { "TTL", DAVIT_STATE_TTL },
	{ "QUERY_API", DAVIT_STATE_QUERY }, { "PARTITION_KEY", DAVIT_STATE_PARTITION_KEY }, { NULL, 0 },
};

/*
 * How many operations a transaction may have; 0: any number. Asked before the first one, as Dapr
 * does, and never while a component is opened: what has no such limit need not stand the question.
 */
static uint64_t max_ops(struct peer_job *j)
{
	Dapr__Proto__Components__V1__MultiMaxSizeRequest in = DAPR__PROTO__COMPONENTS__V1__MULTI_MAX_SIZE_REQUEST__INIT;
	int64_t *known = peer_max_ops(j->peer), most = 0;
	struct status end;
	void *out;

	if (*known >= 0)
		return (uint64_t)*known;
	if (peer_call(j, "TransactionalStoreMultiMaxSize/MultiMaxSize", &in.base, MESSAGE(multi_max_size_response),
		      &out, &end) == 0)
		most = ((const Dapr__Proto__Components__V1__MultiMaxSizeResponse *)out)->max_size;
	else if (!end.said)
		return 0; /* nor will the transaction be heard; ask again another time */
	*known = most > 0 ? most : 0;
	return (uint64_t)*known;
}

static davit_status first(struct peer_job *j, const void *none)
{
	(void)none;
	return peer_first(j, "StateStore/Features", features);
}

davit_status peer_state_open(void *none, struct davit_call *call, const struct davit_open *in)
{
	(void)none;
	return peer_open(call, in, "StateStore", first);
}

static int consistency(uint32_t flags)
{
	return flags & DAVIT_STATE_STRONG
		       ? DAPR__PROTO__COMPONENTS__V1__STATE_OPTIONS__STATE_CONSISTENCY__CONSISTENCY_STRONG
	       : flags & DAVIT_STATE_EVENTUAL
		       ? DAPR__PROTO__COMPONENTS__V1__STATE_OPTIONS__STATE_CONSISTENCY__CONSISTENCY_EVENTUAL
		       : DAPR__PROTO__COMPONENTS__V1__STATE_OPTIONS__STATE_CONSISTENCY__CONSISTENCY_UNSPECIFIED;
}

static Dapr__Proto__Components__V1__StateOptions *options(struct peer_job *j, uint32_t flags)
{
	Dapr__Proto__Components__V1__StateOptions *o = arena_alloc(j->arena, sizeof(*o));

	dapr__proto__components__v1__state_options__init(o);
	o->consistency = consistency(flags);
	if (flags & DAVIT_STATE_FIRST_WRITE)
		o->concurrency = DAPR__PROTO__COMPONENTS__V1__STATE_OPTIONS__STATE_CONCURRENCY__CONCURRENCY_FIRST_WRITE;
	return o;
}

static Dapr__Proto__Components__V1__Etag *etag(struct peer_job *j, uint32_t flags, struct davit_str value)
{
	Dapr__Proto__Components__V1__Etag *e;

	if (!(flags & DAVIT_STATE_HAS_ETAG))
		return NULL;
	e = arena_alloc(j->arena, sizeof(*e));
	dapr__proto__components__v1__etag__init(e);
	e->value = peer_text(j, value);
	return e;
}

static get_request *to_get(struct peer_job *j, const struct davit_state_key *in)
{
	get_request *m = arena_alloc(j->arena, sizeof(*m));

	dapr__proto__components__v1__get_request__init(m);
	m->key = peer_text(j, in->key);
	m->metadata = peer_map(j, MESSAGE(get_request__metadata_entry), in->metadata, in->nmetadata);
	m->n_metadata = in->nmetadata;
	m->consistency = consistency(in->flags);
	return m;
}

static delete_request *to_delete(struct peer_job *j, const struct davit_state_key *in)
{
	delete_request *m = arena_alloc(j->arena, sizeof(*m));

	dapr__proto__components__v1__delete_request__init(m);
	m->key = peer_text(j, in->key);
	m->etag = etag(j, in->flags, in->etag);
	m->metadata = peer_map(j, MESSAGE(delete_request__metadata_entry), in->metadata, in->nmetadata);
	m->n_metadata = in->nmetadata;
	m->options = options(j, in->flags);
	return m;
}

static set_request *to_set(struct peer_job *j, const struct davit_state_set *in)
{
	set_request *m = arena_alloc(j->arena, sizeof(*m));

	dapr__proto__components__v1__set_request__init(m);
	m->key = peer_text(j, in->key);
	m->value = (ProtobufCBinaryData){ in->value.n, (uint8_t *)in->value.p };
	m->etag = etag(j, in->flags, in->etag);
	m->metadata = peer_map(j, MESSAGE(set_request__metadata_entry), in->metadata, in->nmetadata);
	m->n_metadata = in->nmetadata;
	m->options = options(j, in->flags);
	m->content_type = peer_text(j, in->content_type);
	return m;
}

/* JSON's null is no value here, for Dapr. */
static int is_nothing(const struct davit_state_set *in)
{
	return (in->flags & DAVIT_STATE_JSON) && in->value.n == 4 && memcmp(in->value.p, "null", 4) == 0;
}

static davit_status refuse_nothing(struct peer_job *j)
{
	return davit_fail(j->call, DAVIT_INVALID_ARGUMENT, NULL,
			  "an attempt to set a nil value was received, try to use Delete instead");
}

/* What writes: a component's word on ETags or rows is the kernel's too, unless it comes as an error of Dapr's own. */
static davit_status change(struct peer_job *j, const char *method, const ProtobufCMessage *in,
			   const ProtobufCMessageDescriptor *type)
{
	int64_t expected, affected;
	const char *reason;
	struct status end;
	struct str why;
	void *out;

	if (peer_call(j, method, in, type, &out, &end) == 0)
		return DAVIT_OK;
	reason = end.said ? status_etag(j->arena, &end, &why) : NULL;
	if (reason != NULL)
		return davit_fail_text(j->call,
				       strcmp(reason, "ETAG_INVALID") == 0 ? DAVIT_INVALID_ARGUMENT : DAVIT_ABORTED,
				       reason, why.p, why.n);
	if (end.said && type == MESSAGE(bulk_delete_response) && status_rows(j->arena, &end, &expected, &affected))
		return davit_fail(j->call, DAVIT_INTERNAL, NULL, "delete affected only %lld rows, expected %lld",
				  (long long)affected, (long long)expected);
	return peer_fail(j, &end);
}

static davit_status get(struct peer_job *j, const void *arg)
{
	const struct davit_state_key *in = arg;
	const Dapr__Proto__Components__V1__GetResponse *reply;
	struct davit_state_item item = DAVIT_INIT(davit_state_item, .key = in->key);
	davit_status status;
	void *out;

	status = peer_ask(j, "StateStore/Get", &to_get(j, in)->base, MESSAGE(get_response), &out);
	if (status != DAVIT_OK)
		return status;
	reply = out;
	if (reply->data.len == 0) /* protobuf cannot tell an empty value from none */
		return DAVIT_OK;
	item.value = (struct davit_bytes){ reply->data.data, reply->data.len };
	if (reply->etag != NULL)
		item.etag = davit_str(reply->etag->value);
	if (reply->content_type[0] != '\0')
		item.content_type = davit_str(reply->content_type);
	item.metadata = peer_pairs(j, reply->metadata, reply->n_metadata);
	item.nmetadata = reply->n_metadata;
	return peer_emit(j, &item);
}

static davit_status set(struct peer_job *j, const void *in)
{
	if (is_nothing(in))
		return refuse_nothing(j);
	return change(j, "StateStore/Set", &to_set(j, in)->base, MESSAGE(set_response));
}

static davit_status del(struct peer_job *j, const void *in)
{
	return change(j, "StateStore/Delete", &to_delete(j, in)->base, MESSAGE(delete_response));
}

static davit_status emit_bulk_item(struct peer_job *j, const Dapr__Proto__Components__V1__BulkStateItem *from)
{
	struct davit_state_item item = DAVIT_INIT(davit_state_item, .key = davit_str(from->key));

	if (from->error[0] != '\0') {
		item.status = DAVIT_UNKNOWN;
		item.error = davit_str(from->error);
	} else if (from->data.len == 0 && from->etag == NULL) {
		return DAVIT_OK; /* not found */
	}
	item.value = (struct davit_bytes){ from->data.data, from->data.len };
	if (from->etag != NULL)
		item.etag = davit_str(from->etag->value);
	if (from->content_type[0] != '\0')
		item.content_type = davit_str(from->content_type);
	item.metadata = peer_pairs(j, from->metadata, from->n_metadata);
	item.nmetadata = from->n_metadata;
	return peer_emit(j, &item);
}

static davit_status bulk_get(struct peer_job *j, const void *arg)
{
	const struct davit_state_bulk *in = arg;
	Dapr__Proto__Components__V1__BulkGetRequest m = DAPR__PROTO__COMPONENTS__V1__BULK_GET_REQUEST__INIT;
	Dapr__Proto__Components__V1__BulkGetRequestOptions o =
		DAPR__PROTO__COMPONENTS__V1__BULK_GET_REQUEST_OPTIONS__INIT;
	const Dapr__Proto__Components__V1__BulkGetResponse *reply;
	davit_status status;
	void *out;
	size_t i;

	o.parallelism = (int64_t)in->parallelism;
	m.options = &o;
	m.n_items = in->n;
	m.items = arena_alloc(j->arena, sizeof(*m.items) * (in->n + 1));
	for (i = 0; i < in->n; i++)
		m.items[i] = to_get(j, in->keys[i]);
	status = peer_ask(j, "StateStore/BulkGet", &m.base, MESSAGE(bulk_get_response), &out);
	if (status != DAVIT_OK)
		return status;
	reply = out;
	for (i = 0; i < reply->n_items && status == DAVIT_OK; i++)
		status = emit_bulk_item(j, reply->items[i]);
	return status;
}

static davit_status bulk_set(struct peer_job *j, const void *arg)
{
	const struct davit_state_bulk *in = arg;
	Dapr__Proto__Components__V1__BulkSetRequest m = DAPR__PROTO__COMPONENTS__V1__BULK_SET_REQUEST__INIT;
	Dapr__Proto__Components__V1__BulkSetRequestOptions o =
		DAPR__PROTO__COMPONENTS__V1__BULK_SET_REQUEST_OPTIONS__INIT;
	size_t i;

	o.parallelism = (int64_t)in->parallelism;
	m.options = &o;
	m.n_items = in->n;
	m.items = arena_alloc(j->arena, sizeof(*m.items) * (in->n + 1));
	for (i = 0; i < in->n; i++) {
		if (is_nothing(in->sets[i]))
			return refuse_nothing(j);
		m.items[i] = to_set(j, in->sets[i]);
	}
	return change(j, "StateStore/BulkSet", &m.base, MESSAGE(bulk_set_response));
}

static davit_status bulk_del(struct peer_job *j, const void *arg)
{
	const struct davit_state_bulk *in = arg;
	Dapr__Proto__Components__V1__BulkDeleteRequest m = DAPR__PROTO__COMPONENTS__V1__BULK_DELETE_REQUEST__INIT;
	Dapr__Proto__Components__V1__BulkDeleteRequestOptions o =
		DAPR__PROTO__COMPONENTS__V1__BULK_DELETE_REQUEST_OPTIONS__INIT;
	size_t i;

	o.parallelism = (int64_t)in->parallelism;
	m.options = &o;
	m.n_items = in->n;
	m.items = arena_alloc(j->arena, sizeof(*m.items) * (in->n + 1));
	for (i = 0; i < in->n; i++)
		m.items[i] = to_delete(j, in->keys[i]);
	return change(j, "StateStore/BulkDelete", &m.base, MESSAGE(bulk_delete_response));
}

static davit_status too_many(struct peer_job *j, uint64_t most)
{
	struct davit_state_page page = DAVIT_INIT(davit_state_page, .count = (int64_t)most);
	davit_status status = peer_emit(j, &page);

	return status != DAVIT_OK
		       ? status
		       : davit_fail(j->call, DAVIT_INVALID_ARGUMENT, "TOO_MANY_OPS",
				    "a transaction may have at most %llu operations", (unsigned long long)most);
}

static davit_status multi(struct peer_job *j, const void *arg)
{
	const struct davit_state_multi *in = arg;
	Dapr__Proto__Components__V1__TransactionalStateRequest m =
		DAPR__PROTO__COMPONENTS__V1__TRANSACTIONAL_STATE_REQUEST__INIT;
	Dapr__Proto__Components__V1__TransactionalStateOperation *ops = arena_alloc(j->arena,
										    sizeof(*ops) * (in->nops + 1));
	uint64_t most = max_ops(j);
	void *out;
	size_t i;

	if (most > 0 && in->nops > most)
		return too_many(j, most);
	m.operations = arena_alloc(j->arena, sizeof(*m.operations) * (in->nops + 1));
	m.n_operations = in->nops;
	for (i = 0; i < in->nops; i++) {
		dapr__proto__components__v1__transactional_state_operation__init(&ops[i]);
		m.operations[i] = &ops[i];
		if (in->ops[i]->set == NULL) {
			ops[i].request_case =
				DAPR__PROTO__COMPONENTS__V1__TRANSACTIONAL_STATE_OPERATION__REQUEST_DELETE;
			ops[i].delete_ = to_delete(j, in->ops[i]->del);
			continue;
		}
		if (is_nothing(in->ops[i]->set))
			return refuse_nothing(j);
		ops[i].request_case = DAPR__PROTO__COMPONENTS__V1__TRANSACTIONAL_STATE_OPERATION__REQUEST_SET;
		ops[i].set = to_set(j, in->ops[i]->set);
	}
	m.metadata = peer_map(j, MESSAGE(transactional_state_request__metadata_entry), in->metadata, in->nmetadata);
	m.n_metadata = in->nmetadata;
	return peer_ask(j, "TransactionalStateStore/Transact", &m.base, MESSAGE(transactional_state_response), &out);
}

#define OPERATION(name, type) \
	static davit_status op_##name(void *self, struct davit_call *call, const struct type *in) \
	{ \
		return peer_run(self, call, name, in); \
	}
OPERATION(get, davit_state_key)
OPERATION(set, davit_state_set)
OPERATION(del, davit_state_key)
OPERATION(multi, davit_state_multi)
OPERATION(bulk_get, davit_state_bulk)
OPERATION(bulk_set, davit_state_bulk)
OPERATION(bulk_del, davit_state_bulk)

const struct davit_state_ops peer_state_ops = DAVIT_INIT(davit_state_ops, .get = op_get, .set = op_set, .del = op_del,
							 .multi = op_multi, .bulk_get = op_bulk_get,
							 .bulk_set = op_bulk_set, .bulk_del = op_bulk_del,
							 .query = peer_state_query);
