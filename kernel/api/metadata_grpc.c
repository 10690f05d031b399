/* SPDX-License-Identifier: Apache-2.0 */
/* The metadata API over gRPC (dapr/proto/runtime/v1/metadata.proto). */
#include "api/grpc.h"
#include "api/metadata.h"
#include "base/banned.h"
#include "mesh/outside.h"
#include "base/version.h"

typedef Dapr__Proto__Runtime__V1__GetMetadataResponse reply_type; /* the generated name is half a line */

static char *text(struct arena *a, struct str s)
{
	return (char *)arena_str(a, s).p;
}

static void write_components(struct arena *a, const struct metadata *m, reply_type *out)
{
	Dapr__Proto__Runtime__V1__RegisteredComponents *list = arena_alloc(a, sizeof(*list) * (m->ncomponents + 1));
	size_t i, k;

	out->registered_components = arena_alloc(a, sizeof(*out->registered_components) * (m->ncomponents + 1));
	out->n_registered_components = m->ncomponents;
	for (i = 0; i < m->ncomponents; i++) {
		const struct metadata_component *c = &m->components[i];

		dapr__proto__runtime__v1__registered_components__init(&list[i]);
		list[i].name = text(a, c->name);
		list[i].type = text(a, c->type);
		list[i].version = text(a, c->version);
		list[i].capabilities = arena_alloc(a, sizeof(char *) * (c->ncapabilities + 1));
		list[i].n_capabilities = c->ncapabilities;
		for (k = 0; k < c->ncapabilities; k++)
			list[i].capabilities[k] = text(a, c->capabilities[k]);
		out->registered_components[i] = &list[i];
	}
}

static void write_extended(struct arena *a, const struct metadata *m, reply_type *out)
{
	Dapr__Proto__Runtime__V1__GetMetadataResponse__ExtendedMetadataEntry *list =
		arena_alloc(a, sizeof(*list) * (m->nextended + 1));
	size_t i;

	out->extended_metadata = arena_alloc(a, sizeof(*out->extended_metadata) * (m->nextended + 1));
	out->n_extended_metadata = m->nextended;
	for (i = 0; i < m->nextended; i++) {
		dapr__proto__runtime__v1__get_metadata_response__extended_metadata_entry__init(&list[i]);
		list[i].key = text(a, m->extended[i].key);
		list[i].value = text(a, m->extended[i].value);
		out->extended_metadata[i] = &list[i];
	}
}

typedef Dapr__Proto__Runtime__V1__PubsubSubscription subscription_type;

static Dapr__Proto__Runtime__V1__PubsubSubscriptionRules *write_rules(struct arena *a, const struct subscription *s)
{
	Dapr__Proto__Runtime__V1__PubsubSubscriptionRules *out = arena_alloc(a, sizeof(*out));
	Dapr__Proto__Runtime__V1__PubsubSubscriptionRule *list = arena_alloc(a, sizeof(*list) * (s->nrules + 1));
	size_t i;

	dapr__proto__runtime__v1__pubsub_subscription_rules__init(out);
	out->rules = arena_alloc(a, sizeof(*out->rules) * (s->nrules + 1));
	out->n_rules = s->nrules;
	for (i = 0; i < s->nrules; i++) {
		dapr__proto__runtime__v1__pubsub_subscription_rule__init(&list[i]);
		list[i].match = text(a, str_trim(s->rules[i].match));
		list[i].path = text(a, s->rules[i].path);
		out->rules[i] = &list[i];
	}
	return out;
}

static void write_subscription(struct arena *a, const struct subscriber_shown *shown, subscription_type *out)
{
	static const Dapr__Proto__Runtime__V1__PubsubSubscriptionType types[] = {
		DAPR__PROTO__RUNTIME__V1__PUBSUB_SUBSCRIPTION_TYPE__DECLARATIVE,
		DAPR__PROTO__RUNTIME__V1__PUBSUB_SUBSCRIPTION_TYPE__PROGRAMMATIC,
		DAPR__PROTO__RUNTIME__V1__PUBSUB_SUBSCRIPTION_TYPE__STREAMING,
	};
	const struct subscription *s = shown->about;
	Dapr__Proto__Runtime__V1__PubsubSubscription__MetadataEntry *pairs = arena_alloc(a,
											 sizeof(*pairs) *
												 (s->metadata.n + 1));
	size_t i;

	dapr__proto__runtime__v1__pubsub_subscription__init(out);
	out->pubsub_name = text(a, s->pubsub);
	out->topic = text(a, s->topic);
	out->dead_letter_topic = text(a, s->dead_letter_topic);
	out->type = types[shown->source];
	out->rules = write_rules(a, s);
	out->metadata = arena_alloc(a, sizeof(*out->metadata) * (s->metadata.n + 1));
	out->n_metadata = s->metadata.n;
	for (i = 0; i < s->metadata.n; i++) {
		dapr__proto__runtime__v1__pubsub_subscription__metadata_entry__init(&pairs[i]);
		pairs[i].key = text(a, s->metadata.p[i].key);
		pairs[i].value = text(a, s->metadata.p[i].value);
		out->metadata[i] = &pairs[i];
	}
}

static void write_subscriptions(struct arena *a, const struct metadata *m, reply_type *out)
{
	subscription_type *list = arena_alloc(a, sizeof(*list) * (m->nsubscriptions + 1));
	size_t i;

	out->subscriptions = arena_alloc(a, sizeof(*out->subscriptions) * (m->nsubscriptions + 1));
	out->n_subscriptions = m->nsubscriptions;
	for (i = 0; i < m->nsubscriptions; i++) {
		write_subscription(a, &m->subscriptions[i], &list[i]);
		out->subscriptions[i] = &list[i];
	}
}

static void write_endpoints(struct arena *a, const struct outside_list *list, reply_type *out)
{
	Dapr__Proto__Runtime__V1__MetadataHTTPEndpoint *all;
	size_t i;

	if (list == NULL || list->n == 0)
		return;
	all = arena_alloc(a, sizeof(*all) * list->n);
	out->http_endpoints = arena_alloc(a, sizeof(*out->http_endpoints) * list->n);
	out->n_http_endpoints = list->n;
	for (i = 0; i < list->n; i++) {
		dapr__proto__runtime__v1__metadata_httpendpoint__init(&all[i]);
		all[i].name = text(a, list->p[i].name);
		out->http_endpoints[i] = &all[i];
	}
}

static void write_app(struct arena *a, const struct api *api, reply_type *out)
{
	Dapr__Proto__Runtime__V1__AppConnectionProperties *p = arena_alloc(a, sizeof(*p));
	Dapr__Proto__Runtime__V1__AppConnectionHealthProperties *h;

	dapr__proto__runtime__v1__app_connection_properties__init(p);
	p->port = api->app.port;
	p->protocol = text(a, api->app.protocol);
	p->channel_address = text(a, api->app.channel_address);
	p->max_concurrency = api->app.max_concurrency;
	out->app_connection_properties = p;
	if (!api->app.health)
		return;
	h = arena_alloc(a, sizeof(*h));
	dapr__proto__runtime__v1__app_connection_health_properties__init(h);
	h->health_check_path = text(a, api->app.health_path);
	h->health_probe_interval = text(a, api->app.health_interval);
	h->health_probe_timeout = text(a, api->app.health_timeout);
	h->health_threshold = api->app.health_threshold;
	p->health = h;
}

static void write_resiliencies(struct arena *a, const struct metadata *m, reply_type *out)
{
	Dapr__Proto__Runtime__V1__MetadataResiliency *list = arena_alloc(a, sizeof(*list) * (m->nresiliencies + 1));
	size_t i;

	out->resiliencies = arena_alloc(a, sizeof(*out->resiliencies) * (m->nresiliencies + 1));
	out->n_resiliencies = m->nresiliencies;
	for (i = 0; i < m->nresiliencies; i++) {
		dapr__proto__runtime__v1__metadata_resiliency__init(&list[i]);
		list[i].name = text(a, m->resiliencies[i]);
		out->resiliencies[i] = &list[i];
	}
}

struct error metadata_grpc_get(struct grpc_call *c, const void *request, const ProtobufCMessage **ret_reply)
{
	Dapr__Proto__Runtime__V1__ActorRuntime *actors = arena_alloc(c->arena, sizeof(*actors));
	reply_type *out = arena_alloc(c->arena, sizeof(*out));
	struct api *api = skin_of(c)->api;
	struct metadata m;
	size_t i;

	(void)request;
	metadata_read(api, c->arena, &m);
	dapr__proto__runtime__v1__get_metadata_response__init(out);
	out->id = text(c->arena, api->app_id);
	out->runtime_version = (char *)DAPR_LEVEL;
	write_components(c->arena, &m, out);
	write_extended(c->arena, &m, out);
	write_subscriptions(c->arena, &m, out);
	write_endpoints(c->arena, m.endpoints, out);
	write_app(c->arena, api, out);
	write_resiliencies(c->arena, &m, out);
	out->enabled_features = arena_alloc(c->arena, sizeof(char *) * (m.nfeatures + 1));
	out->n_enabled_features = m.nfeatures;
	for (i = 0; i < m.nfeatures; i++)
		out->enabled_features[i] = text(c->arena, m.features[i]);
	dapr__proto__runtime__v1__actor_runtime__init(actors);
	actors->runtime_status = DAPR__PROTO__RUNTIME__V1__ACTOR_RUNTIME__ACTOR_RUNTIME_STATUS__DISABLED;
	actors->placement = (char *)"placement: disconnected";
	out->actor_runtime = actors;
	*ret_reply = &out->base;
	return ERROR_NONE;
}

struct error metadata_grpc_set(struct grpc_call *c, const void *request, const ProtobufCMessage **ret_reply)
{
	const Dapr__Proto__Runtime__V1__SetMetadataRequest *in = request;

	*ret_reply = skin_empty;
	if (metadata_put(skin_of(c)->api, skin_text(in->key), skin_text(in->value)) == 0)
		return ERROR_NONE;
	return error_new(c->arena, ERROR_RESOURCE_EXHAUSTED, NULL, "at most 1000 keys of 64 KiB are kept");
}
