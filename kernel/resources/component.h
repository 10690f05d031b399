/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The Component resource (dapr.io/v1alpha1). Part of a snapshot: immutable, everything in the snapshot's arena; hold
 * the snapshot (resources_ref) for as long as you look at one. References to secrets and the environment are only named
 * here.
 */
#ifndef RESOURCES_COMPONENT_H
#define RESOURCES_COMPONENT_H
#include "resources/field.h"

#define COMPONENT_INIT_TIMEOUT (INT64_C(5000000000)) /* nanoseconds, where a resource gives none */

struct component_secret {
	struct str name; /* empty: no reference */
	struct str key;	 /* empty: the same as name */
};

struct component_item {	  /* one entry of spec.metadata */
	struct str name;  /* as written; compare in any case (str_ieq) */
	struct str value; /* of a string its text, else its JSON (true, 5, {"a":1}); empty when there is none */
	struct str json;  /* the value as JSON; p NULL: no value was given */
	struct component_secret secret;
	struct str env;		      /* spec.metadata[].envRef, empty: none; read only when json.p is NULL */
	const struct yaml_node *node; /* the value as written; NULL: none */
	int line;
};

struct component {
	struct str name, namespace;
	struct str type;    /* "state.redis" */
	struct str version; /* as written; "" counts as "v1" for the registry */
	int ignore_errors;
	struct str init_timeout_text;
	int64_t init_timeout; /* nanoseconds; a value that Go's ParseDuration refuses: the default, with a warning */
	size_t nitems;
	struct component_item *items;
	struct str secret_store; /* auth.secretStore, empty: the mode's default */
	struct strs scopes;	 /* empty: every app; a snapshot only has components in scope */
	struct pairs annotations, labels;
	struct str log_name; /* "name (type/version)", "name (type)" without a version: as Dapr logs it */
	const char *file;
	int line;		      /* where its document starts */
	const struct yaml_node *spec; /* as written, for comparing two snapshots; may be NULL */
};

/* The item of that name in any case; of several the last. NULL: none. */
const struct component_item *component_item(const struct component *c, const char *name);
/* Its plain value; "" when there is none or it is a reference. */
struct str component_value(const struct component *c, const char *name);
struct str component_annotation(const struct component *c, const char *name); /* "" when there is none */

/* 1: both say the same (name, type, version, items, auth, scopes, timeouts), whatever file and order of keys. */
int component_same(const struct component *a, const struct component *b);

/*
 * May a resource read this environment variable? No for DAPR_* and APP_API_TOKEN (in any case) and names with a space;
 * where DAPR_ENV_KEYS is set only for names it lists (separated by spaces). `allowlist` is its value, NULL when unset.
 */
int component_env_allowed(struct str name, const char *allowlist);

/* Fills c from its document; borrows file. 0; -1: report->problems says why. Warns by itself of a wrong initTimeout. */
int component_read(struct field_report *report, const struct yaml_node *root, const char *file, struct component *c);
#endif
