/* SPDX-License-Identifier: Apache-2.0 */
/* Secret stores: dapr.proto.components.v1.SecretStore. */
#include <dapr/proto/components/v1/secretstore.pb-c.h>

#include "base/banned.h"
#include "pluggable/offers.h"
#include "pluggable/peer.h"

#define MESSAGE(name) &dapr__proto__components__v1__##name##__descriptor

static const struct peer_feature features[] = { { "MULTIPLE_KEY_VALUES_PER_SECRET", DAVIT_SECRETS_MULTIPLE },
						{ NULL, 0 } };

static davit_status first(struct peer_job *j, const void *none)
{
	(void)none;
	return peer_first(j, "SecretStore/Features", features);
}

davit_status peer_secrets_open(void *none, struct davit_call *call, const struct davit_open *in)
{
	(void)none;
	return peer_open(call, in, "SecretStore", first);
}

static davit_status emit(struct peer_job *j, struct davit_str name, void *entries, size_t n)
{
	const struct davit_pair *pairs = peer_pairs(j, entries, n);
	davit_status status = DAVIT_OK;
	size_t i;

	for (i = 0; i < n && status == DAVIT_OK; i++) {
		struct davit_secret_item item = DAVIT_INIT(davit_secret_item, .name = name, .key = pairs[i].key,
							   .value = pairs[i].value);

		status = peer_emit(j, &item);
	}
	return status;
}

static davit_status get(struct peer_job *j, const void *arg)
{
	const struct davit_secret_key *in = arg;
	Dapr__Proto__Components__V1__GetSecretRequest m = DAPR__PROTO__COMPONENTS__V1__GET_SECRET_REQUEST__INIT;
	const Dapr__Proto__Components__V1__GetSecretResponse *reply;
	davit_status status;
	void *out;

	m.key = peer_text(j, in->name);
	m.metadata = peer_map(j, MESSAGE(get_secret_request__metadata_entry), in->metadata, in->nmetadata);
	m.n_metadata = in->nmetadata;
	status = peer_ask(j, "SecretStore/Get", &m.base, MESSAGE(get_secret_response), &out);
	if (status != DAVIT_OK)
		return status;
	reply = out;
	return emit(j, in->name, reply->data, reply->n_data);
}

static davit_status bulk_get(struct peer_job *j, const void *arg)
{
	const struct davit_secret_key *in = arg;
	Dapr__Proto__Components__V1__BulkGetSecretRequest m =
		DAPR__PROTO__COMPONENTS__V1__BULK_GET_SECRET_REQUEST__INIT;
	const Dapr__Proto__Components__V1__BulkGetSecretResponse *reply;
	davit_status status;
	void *out;
	size_t i;

	m.metadata = peer_map(j, MESSAGE(bulk_get_secret_request__metadata_entry), in->metadata, in->nmetadata);
	m.n_metadata = in->nmetadata;
	status = peer_ask(j, "SecretStore/BulkGet", &m.base, MESSAGE(bulk_get_secret_response), &out);
	if (status != DAVIT_OK)
		return status;
	reply = out;
	for (i = 0; i < reply->n_data && status == DAVIT_OK; i++)
		if (reply->data[i]->value != NULL)
			status = emit(j, davit_str(reply->data[i]->key), reply->data[i]->value->secrets,
				      reply->data[i]->value->n_secrets);
	return status;
}

static davit_status op_get(void *self, struct davit_call *call, const struct davit_secret_key *in)
{
	return peer_run(self, call, get, in);
}

static davit_status op_bulk_get(void *self, struct davit_call *call, const struct davit_secret_key *in)
{
	return peer_run(self, call, bulk_get, in);
}

const struct davit_secrets_ops peer_secrets_ops = DAVIT_INIT(davit_secrets_ops, .get = op_get, .bulk_get = op_bulk_get);
