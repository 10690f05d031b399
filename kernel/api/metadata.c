/* SPDX-License-Identifier: Apache-2.0 */
#include "api/metadata.h"

#include "base/banned.h"
#include "base/mem.h"
#include "base/version.h"
#include "blocks/invoke.h"

#define KEYS_MOST 1000
#define VALUE_MOST 65536u

static const struct {
	uint32_t bit;
	struct str name;
} state_capabilities[] = {
	{ DAVIT_STATE_ETAG, STR("ETAG") },
	{ DAVIT_STATE_TRANSACTIONAL, STR("TRANSACTIONAL") },
	{ DAVIT_STATE_TTL, STR("TTL") },
	{ DAVIT_STATE_QUERY, STR("QUERY_API") },
	{ DAVIT_STATE_DEL_PREFIX, STR("DELETE_WITH_PREFIX") },
	{ DAVIT_STATE_KEYS_LIKE, STR("KEYS_LIKE") },
	{ DAVIT_STATE_PARTITION_KEY, STR("PARTITION_KEY") },
};

static const struct {
	uint32_t bit;
	struct str name;
} pubsub_capabilities[] = {
	{ DAVIT_PUBSUB_TTL, STR("MESSAGE_TTL") },
	{ DAVIT_PUBSUB_WILDCARDS, STR("SUBSCRIBE_WILDCARDS") },
	{ DAVIT_PUBSUB_BULK, STR("BULK_PUBSUB") },
	{ DAVIT_PUBSUB_BULK_SUBSCRIBE_IMMEDIATE, STR("BULK_SUBSCRIBE_IMMEDIATE") },
};

static void read_pubsub_capabilities(uint32_t features, struct str *list, struct metadata_component *c)
{
	size_t i;

	for (i = 0; i < sizeof(pubsub_capabilities) / sizeof(pubsub_capabilities[0]); i++)
		if (features & pubsub_capabilities[i].bit)
			list[c->ncapabilities++] = pubsub_capabilities[i].name;
}

static void read_capabilities(struct arena *a, const struct opened *o, struct metadata_component *c)
{
	const uint32_t actor = DAVIT_STATE_ETAG | DAVIT_STATE_TRANSACTIONAL;
	struct str *list = arena_alloc(a, sizeof(*list) * 8);
	const struct component_type *t = o->type;
	uint32_t features = instance_features(o->instance);
	size_t i;

	c->capabilities = list;
	if (t->component.block == DAVIT_BLOCK_SECRETS &&
	    ((features | ((const struct davit_secrets_ops *)t->ops)->features) & DAVIT_SECRETS_MULTIPLE))
		list[c->ncapabilities++] = STR("MULTIPLE_KEY_VALUES_PER_SECRET");
	if (t->component.block == DAVIT_BLOCK_PUBSUB)
		read_pubsub_capabilities(features | ((const struct davit_pubsub_ops *)t->ops)->features, list, c);
	if (t->component.block != DAVIT_BLOCK_STATE)
		return;
	features |= ((const struct davit_state_ops *)t->ops)->features;
	for (i = 0; i < sizeof(state_capabilities) / sizeof(state_capabilities[0]); i++)
		if (features & state_capabilities[i].bit)
			list[c->ncapabilities++] = state_capabilities[i].name;
	if ((features & actor) == actor)
		list[c->ncapabilities++] = STR("ACTOR");
}

static void read_components(struct arena *a, const struct blocks *b, struct metadata *m, struct error_pair *extended)
{
	struct metadata_component *list = arena_zalloc(a, sizeof(*list) * (b->ncomponents + 1));
	size_t i;

	for (i = 0; i < b->ncomponents; i++) {
		const struct opened *o = &b->components[i];
		struct metadata_component *c = &list[m->ncomponents];

		if (o->instance == NULL) {
			if (o->error.n > 0)
				extended[m->nextended++] = (struct error_pair){
					arena_printf(a, "davit.component." STR_FMT, STR_ARG(o->resource->name)),
					arena_printf(a, "failed: " STR_FMT, STR_ARG(o->error))
				};
			continue;
		}
		c->name = o->resource->name;
		c->type = o->resource->type;
		c->version = o->resource->version;
		read_capabilities(a, o, c);
		m->ncomponents++;
		extended[m->nextended++] = (struct error_pair){
			arena_printf(a, "davit.component." STR_FMT, STR_ARG(o->resource->name)),
			arena_printf(a, "tier=%s plugin=" STR_FMT, tier_name(o->type->tier),
				     STR_ARG(o->type->manifest->version))
		};
	}
	m->components = list;
}

static struct str try_copy(struct arena *a, struct str s)
{
	char *p = arena_try(a, s.n + 1);

	if (p == NULL)
		return STR("");
	memcpy(p, s.p, s.n);
	p[s.n] = '\0';
	return (struct str){ p, s.n };
}

/* Under the lock: an arena that runs out must not jump away from here. */
static void read_put(struct api *api, struct arena *a, struct metadata *m, struct error_pair *extended)
{
	const struct map_entry *e;
	size_t at = 0;

	while ((e = map_next(&api->extended, &at)) != NULL)
		extended[m->nextended++] = (struct error_pair){ try_copy(a, e->key), try_copy(a, str_of(e->value)) };
}

static int by_key(const void *a, const void *b)
{
	return str_cmp(((const struct error_pair *)a)->key, ((const struct error_pair *)b)->key);
}

static void read_features(struct arena *a, const struct configuration *c, struct metadata *m)
{
	struct str *list = arena_alloc(a, sizeof(*list) * (c->nfeatures + 1));
	size_t i;

	for (i = 0; i < c->nfeatures; i++)
		if (c->features[i].enabled)
			list[m->nfeatures++] = c->features[i].name;
	m->features = list;
}

static void read_resiliencies(struct arena *a, const struct policies *p, struct metadata *m)
{
	struct str *list = arena_alloc(a, sizeof(*list) * (policies_count(p) + 1));

	for (; m->nresiliencies < policies_count(p); m->nresiliencies++)
		list[m->nresiliencies] = policies_name(p, m->nresiliencies);
	m->resiliencies = list;
}

void metadata_read(struct api *api, struct arena *a, struct metadata *ret)
{
	const struct blocks *b = atomic_load_explicit(&api->blocks, memory_order_acquire);
	struct metadata m = { .ncomponents = 0 };
	struct error_pair *extended;
	size_t room = 2 + (b ? b->ncomponents : 0) + KEYS_MOST;

	extended = arena_alloc(a, sizeof(*extended) * room);
	extended[m.nextended++] = (struct error_pair){ STR("daprRuntimeVersion"), STR(DAPR_LEVEL) };
	if (b != NULL)
		read_components(a, b, &m, extended);
	pthread_mutex_lock(&api->extended_lock);
	read_put(api, a, &m, extended);
	pthread_mutex_unlock(&api->extended_lock);
	qsort(extended, m.nextended, sizeof(*extended), by_key);
	m.extended = extended;
	m.subscriptions = subscribers_list(api->subscribers, a, &m.nsubscriptions);
	m.endpoints = api->invoker ? outside_known(api->invoker->outside) : NULL;
	read_features(a, api->configuration, &m);
	read_resiliencies(a, api->invoker->policies, &m);
	*ret = m;
}

int metadata_put(struct api *api, struct str key, struct str value)
{
	void *old = NULL;
	char *copy;
	int failed;

	if (key.n == 0)
		return 0;
	copy = value.n > VALUE_MOST || key.n > VALUE_MOST ? NULL : mem_dup(value.p, value.n);
	if (copy == NULL)
		return -1;
	pthread_mutex_lock(&api->extended_lock);
	failed = (api->extended.n >= KEYS_MOST && map_get(&api->extended, key) == NULL) ||
		 map_set(&api->extended, key, copy, &old) < 0;
	pthread_mutex_unlock(&api->extended_lock);
	mem_free(failed ? copy : old);
	return failed ? -1 : 0;
}
