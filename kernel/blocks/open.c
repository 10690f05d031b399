/* SPDX-License-Identifier: Apache-2.0 */
#include "base/banned.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "blocks/blocks.h"
#include "blocks/outbox.h"
#include "blocks/properties.h"
#include "blocks/pubsub.h"
#include "blocks/state_crypt.h"
#include "blocks/state_key.h"
#include "loop/fiber.h"

#define LOG_SCOPE "dapr.runtime.processor"

/* The blocks of Dapr's component types and what its messages call them. */
static const struct {
	const char *name, *called;
} known[] = {
	{ "state", "state store" },
	{ "secretstores", "secret store" },
	{ "pubsub", "message bus" },
	{ "bindings", "binding" },
	{ "configuration", "configuration store" },
	{ "crypto", "crypto provider" },
	{ "lock", "lock store" },
	{ "middleware", "HTTP middleware" },
	{ "conversation", "conversation component" },
};

struct opening {
	struct blocks *b;
	struct fiber *waiter;
	size_t left;	     /* components that are neither open nor failed */
	char *finished;	     /* one flag a component */
	struct one *waiting; /* for a secret store */
};

struct one {
	struct opening *all;
	size_t at;
	struct one *next; /* among those that wait */
	struct fiber *fiber;
};

static const char *called(struct str type)
{
	size_t i;

	for (i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (str_starts(type, str_of(known[i].name)) && type.n > strlen(known[i].name) &&
		    type.p[strlen(known[i].name)] == '.')
			return known[i].called;
	return NULL;
}

const char *blocks_block_of(struct str type)
{
	size_t i;

	for (i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (called(type) == known[i].called)
			return known[i].name;
	return NULL;
}

static int reads_secrets(const struct component *c)
{
	size_t i;

	/* Of no store at all: its value stays empty, and opening says what is missing. */
	for (i = 0; i < c->nitems && c->secret_store.n > 0; i++)
		if (c->items[i].secret.name.n > 0)
			return 1;
	return 0;
}

/* Where the store lies that this one reads its secrets from; ncomponents: nowhere, or it reads none. */
static size_t store_of(const struct blocks *b, size_t at)
{
	const struct component *c = b->components[at].resource;
	size_t i;

	if (!reads_secrets(c))
		return b->ncomponents;
	for (i = 0; i < b->ncomponents; i++)
		if (i != at && str_eq(b->components[i].resource->name, c->secret_store) &&
		    str_starts(b->components[i].resource->type, STR("secretstores.")))
			break;
	return i;
}

/* Stores that read their secrets from one another would wait for ever. */
static int is_ring(const struct blocks *b, size_t at)
{
	size_t i = store_of(b, at), steps;

	for (steps = 0; steps < b->ncomponents && i < b->ncomponents; steps++) {
		if (i == at)
			return 1;
		i = store_of(b, i);
	}
	return 0;
}

/* Parks until the component's secret store is open or has failed. -1: no such store will ever be open. */
static int wait_for_store(struct one *o)
{
	struct opening *all = o->all;
	size_t i = store_of(all->b, o->at);

	if (i == all->b->ncomponents || is_ring(all->b, o->at))
		return -1;
	while (!all->finished[i]) {
		o->fiber = fiber_self();
		o->next = all->waiting;
		all->waiting = o;
		fiber_park();
	}
	return all->b->components[i].instance ? 0 : -1;
}

static struct error creation_failed(struct blocks *b, const struct component *c, const char *fmt, struct str why)
{
	metrics_component_init_failed(b->o.metrics, c->type, STR("creation"), c->name);
	return error_new(b->arena, ERROR_FAILED_PRECONDITION, NULL,
			 "[CREATE_COMPONENT_FAILURE]: creation error occurred for " STR_FMT ": %s" STR_FMT,
			 STR_ARG(c->log_name), fmt, STR_ARG(why));
}

static struct error init_failed(struct blocks *b, const struct component *c, struct str why)
{
	metrics_component_init_failed(b->o.metrics, c->type, STR("init"), c->name);
	return error_new(b->arena, ERROR_FAILED_PRECONDITION, NULL,
			 "[INIT_COMPONENT_FAILURE]: initialization error occurred for " STR_FMT ": " STR_FMT,
			 STR_ARG(c->log_name), STR_ARG(why));
}

static struct str secret_name(const struct component *c, const char *field)
{
	const struct component_item *item = component_item(c, field);

	return item ? item->secret.name : STR("");
}

static struct error add_state(struct blocks *b, struct opened *o, const struct davit_pair *props, size_t n)
{
	struct state_store *store = arena_zalloc(b->arena, sizeof(*store));
	struct str primary = properties_get(props, n, "primaryEncryptionKey");
	struct str secondary = properties_get(props, n, "secondaryEncryptionKey"), why;
	const struct component *c = o->resource;

	store->name = c->name;
	store->instance = o->instance;
	store->ops = o->type->ops;
	store->features = store->ops->features | instance_features(o->instance);
	store->policy = policies_component(b->o.policies, c->name, POLICY_STATE, 0);
	if (state_key_prefix(b->arena, properties_get(props, n, "keyPrefix"), c->name, b->o.app_id, b->o.name_space,
			     &store->prefix) < 0)
		return init_failed(
			b, c, STR("failed to save lock keyprefix: the metadata field keyPrefix can't contain '||'"));
	/* A key that is named and empty must not mean no encryption. */
	if ((primary.n == 0 && component_item(c, "primaryEncryptionKey") != NULL) ||
	    (secondary.n == 0 && component_item(c, "secondaryEncryptionKey") != NULL))
		return creation_failed(b, c,
				       "failed to extract encryption key: ", STR("encryption key cannot be empty"));
	if (primary.n > 0) {
		store->crypt = state_crypt_new(b->arena, primary, secret_name(c, "primaryEncryptionKey"), secondary,
					       secret_name(c, "secondaryEncryptionKey"), &why);
		if (store->crypt == NULL)
			return creation_failed(b, c, "failed to extract encryption key: ", why);
		log_info("Automatic encryption enabled for state store " STR_FMT, STR_ARG(c->name));
	}
	o->actor_store = str_truthy(properties_get(props, n, "actorStateStore"));
	store->outbox = outbox_new(b->arena, store, props, n, b->o.app_id, b->o.name_space);
	if (map_set(&b->state, c->name, store, NULL) < 0)
		return init_failed(b, c, STR("out of memory"));
	return ERROR_NONE;
}

static struct error add_secrets(struct blocks *b, struct opened *o)
{
	struct secret_store *store = arena_zalloc(b->arena, sizeof(*store));

	store->name = o->resource->name;
	store->instance = o->instance;
	store->ops = o->type->ops;
	store->policy = policies_component(b->o.policies, store->name, POLICY_SECRETS, 0);
	if (map_set(&b->secrets, store->name, store, NULL) < 0)
		return init_failed(b, o->resource, STR("out of memory"));
	return ERROR_NONE;
}

/* Who shares a subscription: the component's consumerID, and without one the application. */
static void add_consumer_id(struct blocks *b, const struct component_type *t, const struct davit_pair **props,
			    size_t *n)
{
	struct davit_pair *all;

	if (t->component.block != DAVIT_BLOCK_PUBSUB || str_trim(properties_get(*props, *n, "consumerID")).n > 0 ||
	    (!t->about->open && manifest_field(t->about, STR("consumerID")) == NULL))
		return;
	all = arena_alloc(b->arena, sizeof(*all) * (*n + 1));
	memcpy(all, *props, sizeof(*all) * *n);
	all[*n] = (struct davit_pair){ davit_str("consumerID"), { b->o.app_id.p, b->o.app_id.n } };
	*props = all;
	++*n;
}

static struct error add_block(struct blocks *b, struct opened *o, const struct davit_pair *props, size_t n)
{
	switch (o->type->component.block) {
	case DAVIT_BLOCK_STATE: return add_state(b, o, props, n);
	case DAVIT_BLOCK_PUBSUB:
		return pubsub_new(b, o, props, n) ? ERROR_NONE : init_failed(b, o->resource, STR("out of memory"));
	default: return add_secrets(b, o);
	}
}

/* One of ours that is misspelt would otherwise be a pin that does not hold. */
static void warn_of_annotations(const struct component *c)
{
	size_t i;

	for (i = 0; i < c->annotations.n; i++) {
		struct str name = c->annotations.p[i].key;

		if (str_starts(name, STR("davit.dev/")) && !str_is(name, REGISTRY_PLUGIN) &&
		    !str_is(name, REGISTRY_VERSION))
			log_warn("Component " STR_FMT ": there is no annotation " STR_FMT "; there are " REGISTRY_PLUGIN
				 " and " REGISTRY_VERSION,
				 STR_ARG(c->name), STR_ARG(name));
	}
}

static struct error find_type(struct blocks *b, const struct component *c, struct component_type **ret_type)
{
	struct registry_wish wish = { .type = c->type,
				      .version = c->version,
				      .plugin = component_annotation(c, REGISTRY_PLUGIN),
				      .range = component_annotation(c, REGISTRY_VERSION),
				      .min_tier = b->o.min_tier };
	struct component_type *t = NULL;
	struct str why, socket;

	warn_of_annotations(c);
	t = registry_find(b->o.registry, &wish, b->arena, &why);
	if (t == NULL) {
		t = pluggable_find(b->o.pluggable, c->type, c->version, clock_ns() + c->init_timeout, b->arena,
				   &socket);
		if (t == NULL && socket.n > 0)
			why = arena_printf(b->arena, STR_FMT "; " STR_FMT, STR_ARG(why), STR_ARG(socket));
	}
	if (t == NULL)
		return creation_failed(b, c, "",
				       arena_printf(b->arena, "couldn't find %s " STR_FMT "/" STR_FMT ": " STR_FMT,
						    called(c->type), STR_ARG(c->type), STR_ARG(c->version),
						    STR_ARG(why)));
	if (t->tier < b->o.min_tier)
		return creation_failed(b, c, "",
				       arena_printf(b->arena, "its tier is %s and --min-tier asks for %s",
						    tier_name(t->tier), tier_name(b->o.min_tier)));
	if (registry_load(b->o.registry, t, b->arena, &why) < 0)
		return creation_failed(b, c, "", why);
	if (str_is(t->about->status, "alpha") || str_is(t->about->status, "beta"))
		log_warn("Component " STR_FMT " has status " STR_FMT ": it is not supported for production",
			 STR_ARG(c->log_name), STR_ARG(t->about->status));
	*ret_type = t;
	return ERROR_NONE;
}

static void count_plugin(void *ctx, struct str component, struct str type, const char *name, int64_t n)
{
	struct metrics *m = ctx;
	char full[128];
	int id;

	snprintf(full, sizeof(full), "davit_plugin_%s", name);
	id = metrics_define(m, str_of(full), STR("Counted by a plugin."), METRIC_COUNTER, METRIC_NUMBER,
			    STR("component,type"));
	if (id >= 0)
		metrics_add(metrics_series(m, id, (const struct str[]){ component, type }), n);
}

static struct error open_instance(struct blocks *b, struct opened *o, const struct davit_pair *props, size_t n)
{
	const struct component *c = o->resource;
	struct instance_options i = {
		.type = (struct component_type *)o->type,
		.name = c->name,
		.app_id = b->o.app_id,
		.name_space = b->o.name_space,
		.props = props,
		.nprops = n,
		.loops = b->o.loops,
		.nloops = b->o.nloops,
		.timeout_ms = c->init_timeout / 1000000,
		.metrics = b->o.metrics,
		.count = count_plugin,
		.ctx = b->o.metrics,
	};
	struct error e = ERROR_NONE;

	o->instance = instance_open(b->arena, &i, &e);
	if (o->instance != NULL)
		return ERROR_NONE;
	if (e.code == ERROR_DEADLINE_EXCEEDED)
		e.message = arena_printf(b->arena, "init timeout for component " STR_FMT " exceeded after %llds",
					 STR_ARG(c->log_name), (long long)(c->init_timeout / 1000000000));
	return init_failed(b, c, e.message);
}

static struct error open_component(struct one *one, struct opened *o)
{
	struct blocks *b = one->all->b;
	const struct component *c = o->resource;
	const struct davit_pair *props;
	struct component_type *t = NULL;
	struct str why;
	struct error e;
	size_t n;

	if (called(c->type) == NULL)
		return error_new(b->arena, ERROR_INVALID_ARGUMENT, NULL, "incorrect type " STR_FMT, STR_ARG(c->type));
	if (reads_secrets(c) && wait_for_store(one) < 0) {
		log_warn("Component " STR_FMT " references a secret store that isn't loaded: " STR_FMT,
			 STR_ARG(c->name), STR_ARG(c->secret_store));
		o->error = STR("its secret store is not loaded");
		return ERROR_NONE;
	}
	e = find_type(b, c, &t);
	if (error_is(&e))
		return e;
	o->type = t;
	if (properties_of(b, b->arena, c, &props, &n, &why) < 0)
		return init_failed(b, c, why);
	add_consumer_id(b, t, &props, &n);
	e = open_instance(b, o, props, n);
	if (error_is(&e))
		return e;
	e = add_block(b, o, props, n);
	if (!error_is(&e)) {
		metrics_component_init(b->o.metrics, c->type);
		metrics_component_loaded(b->o.metrics);
		metrics_component_info(b->o.metrics, c->name, c->type, t->about->version, t->manifest->version,
				       str_of(tier_name(t->tier)), 1);
		log_info("Component loaded: " STR_FMT, STR_ARG(c->log_name));
		log_debug("Component " STR_FMT ": tier=%s plugin=" STR_FMT " %s", STR_ARG(c->name), tier_name(t->tier),
			  STR_ARG(t->manifest->version), t->file);
	}
	return e;
}

static void report(struct blocks *b, struct opened *o, const struct error *e)
{
	const struct component *c = o->resource;
	int wrapped = str_starts(e->message, STR("[")); /* our own refusals go out as they are */
	struct str text = wrapped ? arena_printf(b->arena,
						 "process component " STR_FMT " error: [INIT_COMPONENT_FAILURE]: "
						 "initialization error occurred for " STR_FMT ": " STR_FMT,
						 STR_ARG(c->name), STR_ARG(c->log_name), STR_ARG(e->message))
				  : arena_printf(b->arena, "process component " STR_FMT " error: " STR_FMT,
						 STR_ARG(c->name), STR_ARG(e->message));

	o->error = e->message;
	log_error("Failed to init component " STR_FMT ": " STR_FMT " (%s:%d)", STR_ARG(c->log_name),
		  STR_ARG(e->message), c->file ? c->file : "", c->line);
	if (c->ignore_errors)
		log_error("Ignoring error processing component: " STR_FMT, STR_ARG(text));
	else
		log_warn("Error processing component, daprd will exit gracefully: " STR_FMT, STR_ARG(text));
	if (!c->ignore_errors && b->failure.n == 0)
		b->failure = text;
}

/* Each looks whether it was its store that came. */
static void wake_waiting(struct opening *all)
{
	struct one *o = all->waiting, *next;

	all->waiting = NULL;
	for (; o != NULL; o = next) {
		next = o->next;
		fiber_wake(o->fiber);
	}
}

static void run_one(void *arg)
{
	struct one *one = arg;
	struct opening *all = one->all;
	struct opened *o = &all->b->components[one->at];
	struct error e = open_component(one, o);

	if (error_is(&e))
		report(all->b, o, &e);
	all->finished[one->at] = 1;
	all->left--;
	wake_waiting(all);
	fiber_wake(all->waiter);
}

static void open_all(struct blocks *b)
{
	struct opening all = { b, fiber_self(), b->ncomponents, arena_zalloc(b->arena, b->ncomponents + 1), NULL };
	struct one *ones = arena_zalloc(b->arena, sizeof(*ones) * (b->ncomponents + 1));
	size_t i, pass;

	/* Secret stores first: the others then rarely wait, and a start with few fibers free still comes to an end. */
	for (pass = 0; pass < 2; pass++) {
		for (i = 0; i < b->ncomponents; i++) {
			if (str_starts(b->components[i].resource->type, STR("secretstores.")) != (pass == 0))
				continue;
			ones[i] = (struct one){ .all = &all, .at = i };
			while (fiber_start(fiber_loop(all.waiter), run_one, &ones[i]) < 0)
				fiber_park(); /* until one that runs has ended */
		}
	}
	while (all.left > 0)
		fiber_park();
}

static size_t choose(struct blocks *b)
{
	size_t i, n = 0;

	for (i = 0; i < b->o.resources->ncomponents; i++) {
		const struct component *c = &b->o.resources->components[i];

		if (configuration_component_denied(b->o.configuration, c->type, c->version)) {
			log_warn("Component " STR_FMT
				 " is denied by the Configuration's components.deny and not loaded",
				 STR_ARG(c->log_name));
			continue;
		}
		b->components[n++].resource = c;
	}
	return n;
}

struct blocks *blocks_open(const struct blocks_options *o)
{
	struct arena *a = arena_new();
	struct blocks *b;

	if (a == NULL)
		return NULL;
	b = arena_zalloc(a, sizeof(*b));
	b->arena = a;
	b->o = *o;
	b->components = arena_zalloc(a, sizeof(*b->components) * (o->resources->ncomponents + 1));
	b->ncomponents = choose(b);
	open_all(b);
	return b;
}

struct closing {
	struct instance *instance;
	struct str name;
	struct fiber *waiter;
	size_t *left;
	int within_ms, *stuck;
};

static void close_one(void *arg)
{
	struct closing *c = arg;

	if (instance_close(c->instance, c->within_ms) < 0) {
		log_error("Component " STR_FMT " did not close within %d ms and is left alone", STR_ARG(c->name),
			  c->within_ms);
		++*c->stuck;
	}
	--*c->left;
	fiber_wake(c->waiter);
}

int blocks_close(struct blocks *b, int within_ms)
{
	struct closing *list;
	size_t i, left = 0;
	int stuck = 0;

	if (b == NULL)
		return 0;
	list = arena_alloc(b->arena, sizeof(*list) * (b->ncomponents + 1));
	for (i = 0; i < b->ncomponents; i++) {
		const struct opened *o = &b->components[i];

		if (o->instance == NULL)
			continue;
		log_write(LOG_INFO, "dapr.runtime", "Shutting down component " STR_FMT, STR_ARG(o->resource->log_name));
		list[i] = (struct closing){ o->instance, o->resource->name, fiber_self(), &left, within_ms, &stuck };
		left++;
		while (fiber_start(fiber_loop(fiber_self()), close_one, &list[i]) < 0)
			fiber_park();
	}
	while (left > 0)
		fiber_park();
	map_free(&b->state);
	map_free(&b->secrets);
	map_free(&b->pubsub);
	if (stuck == 0) /* a stuck plugin may still read what it was given */
		arena_unref(b->arena);
	return stuck ? -1 : 0;
}
