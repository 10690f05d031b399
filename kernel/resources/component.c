/* SPDX-License-Identifier: Apache-2.0 */
#include "resources/component.h"

#include "base/banned.h"
#include "base/duration.h"
#include "base/log.h"

#define LOG_SCOPE "dapr.runtime.loader.disk"

static const struct field secret_fields[] = {
	FIELD("name", FIELD_STR, struct component_secret, name),
	FIELD("key", FIELD_STR, struct component_secret, key),
	FIELD_END,
};

static const struct field item_fields[] = {
	FIELD("", FIELD_LINE, struct component_item, line),
	FIELD("name", FIELD_STR, struct component_item, name),
	FIELD("value", FIELD_JSON, struct component_item, json),
	FIELD("value", FIELD_NODE, struct component_item, node),
	FIELD_SUB("secretKeyRef", struct component_item, secret, secret_fields),
	FIELD("envRef", FIELD_STR, struct component_item, env),
	FIELD_END,
};

static const struct field spec_fields[] = {
	FIELD("type", FIELD_STR, struct component, type),
	FIELD("version", FIELD_STR, struct component, version),
	FIELD("ignoreErrors", FIELD_BOOL, struct component, ignore_errors),
	FIELD("initTimeout", FIELD_STR, struct component, init_timeout_text),
	FIELD_ARRAY("metadata", struct component, items, nitems, item_fields),
	FIELD_END,
};

static const struct field metadata_fields[] = {
	FIELD("name", FIELD_STR, struct component, name),
	FIELD("namespace", FIELD_STR, struct component, namespace),
	FIELD("annotations", FIELD_PAIRS, struct component, annotations),
	FIELD("labels", FIELD_PAIRS, struct component, labels),
	FIELD_END,
};

static const struct field auth_fields[] = {
	FIELD("secretStore", FIELD_STR, struct component, secret_store),
	FIELD_END,
};

static const struct field component_fields[] = {
	FIELD("", FIELD_LINE, struct component, line),
	FIELD_KNOWN("apiVersion"),
	FIELD_KNOWN("kind"),
	FIELD_INLINE("metadata", metadata_fields),
	FIELD_INLINE("spec", spec_fields),
	FIELD("spec", FIELD_NODE, struct component, spec),
	FIELD_INLINE("auth", auth_fields),
	FIELD("scopes", FIELD_STRS, struct component, scopes),
	FIELD_END,
};

/* Text goes in without its quotes; anything else is its JSON, as Dapr hands it to components. */
static void finish_item(struct arena *a, struct component_item *item)
{
	item->value = item->json.p ? item->json : STR("");
	if (item->node != NULL && yaml_resolve(item->node, YAML_RESOURCE).type == YAML_STRING)
		item->value = yaml_text(a, item->node, YAML_RESOURCE);
}

static void finish_timeout(struct component *c)
{
	c->init_timeout = COMPONENT_INIT_TIMEOUT;
	if (duration_parse(c->init_timeout_text, &c->init_timeout) < 0 && c->init_timeout_text.n > 0)
		log_warn("%s:%d: spec.initTimeout of component " STR_FMT
			 " is no duration such as 5s or 500ms: the default of 5s is taken",
			 c->file, c->line, STR_ARG(c->name));
}

int component_read(struct field_report *report, const struct yaml_node *root, const char *file, struct component *c)
{
	size_t i;

	field_defaults(component_fields, c);
	if (field_decode(report, component_fields, root, c) < 0)
		return -1;
	c->file = file;
	for (i = 0; i < c->nitems; i++)
		finish_item(report->arena, &c->items[i]);
	finish_timeout(c);
	if (c->version.n > 0)
		c->log_name = arena_printf(report->arena, STR_FMT " (" STR_FMT "/" STR_FMT ")", STR_ARG(c->name),
					   STR_ARG(c->type), STR_ARG(c->version));
	else
		c->log_name = arena_printf(report->arena, STR_FMT " (" STR_FMT ")", STR_ARG(c->name), STR_ARG(c->type));
	return 0;
}

const struct component_item *component_item(const struct component *c, const char *name)
{
	size_t i;

	for (i = c->nitems; i-- > 0;)
		if (str_ieq(c->items[i].name, str_of(name)))
			return &c->items[i];
	return NULL;
}

struct str component_annotation(const struct component *c, const char *name)
{
	size_t i;

	for (i = 0; i < c->annotations.n; i++)
		if (str_is(c->annotations.p[i].key, name))
			return c->annotations.p[i].value;
	return STR("");
}

struct str component_value(const struct component *c, const char *name)
{
	const struct component_item *item = component_item(c, name);

	return item ? item->value : STR("");
}

static int same_item(const struct component_item *a, const struct component_item *b)
{
	return str_eq(a->name, b->name) && (a->json.p == NULL) == (b->json.p == NULL) && str_eq(a->json, b->json) &&
	       str_eq(a->secret.name, b->secret.name) && str_eq(a->secret.key, b->secret.key) && str_eq(a->env, b->env);
}

int component_same(const struct component *a, const struct component *b)
{
	size_t i;

	if (!str_eq(a->name, b->name) || !str_eq(a->namespace, b->namespace) || !str_eq(a->type, b->type) ||
	    !str_eq(a->version, b->version) || a->ignore_errors != b->ignore_errors ||
	    !str_eq(a->init_timeout_text, b->init_timeout_text) || !str_eq(a->secret_store, b->secret_store) ||
	    a->nitems != b->nitems || a->scopes.n != b->scopes.n)
		return 0;
	for (i = 0; i < a->nitems; i++)
		if (!same_item(&a->items[i], &b->items[i]))
			return 0;
	for (i = 0; i < a->scopes.n; i++)
		if (!str_eq(a->scopes.p[i], b->scopes.p[i]))
			return 0;
	return 1;
}

/* Dapr looks for the name in upper case, so a word in lower case allows nothing. */
static int listed(struct str name, struct str list)
{
	struct str word;

	while (str_split(&list, ' ', &word)) {
		size_t i = 0;

		while (i < word.n && (word.p[i] < 'a' || word.p[i] > 'z'))
			i++;
		if (i == word.n && str_ieq(word, name))
			return 1;
	}
	return 0;
}

int component_env_allowed(struct str name, const char *allowlist)
{
	if (name.n == 0 || str_ieq(name, STR("APP_API_TOKEN")) || str_istarts(name, STR("DAPR_")) ||
	    memchr(name.p, ' ', name.n) != NULL)
		return 0;
	return allowlist == NULL || *allowlist == '\0' || listed(name, str_of(allowlist));
}
