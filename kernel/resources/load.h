/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One load of all resource folders: a snapshot, immutable, in one arena. A reload makes another one.
 *
 * Every *.yaml and *.yml (in any case) directly in each folder is read, in the order of folders and then of names by
 * bytes. A document that is not well is warned of and skipped, the others go on; a folder that is not there, and two
 * resources of one kind and name, end the load.
 */
#ifndef RESOURCES_LOAD_H
#define RESOURCES_LOAD_H
#include "base/error.h"
#include "resources/component.h"

#define RESOURCES_MAX 10000 /* of one load, all kinds together */

enum resource_kind {
	RESOURCE_COMPONENT,
	RESOURCE_CONFIGURATION,
	RESOURCE_HTTP_ENDPOINT,
	RESOURCE_SUBSCRIPTION,
	RESOURCE_RESILIENCY,
	RESOURCE_MCP_SERVER,
	RESOURCE_WORKFLOW_ACCESS_POLICY,
	RESOURCE_KINDS
};

struct resource { /* what every kind has */
	enum resource_kind kind;
	struct str api_version; /* "dapr.io/v1alpha1" */
	struct str name, namespace;
	struct strs scopes;
	struct str log_name; /* as Dapr names it in messages */
	const char *file;
	int line;		      /* where its document starts */
	const struct yaml_node *root; /* the whole document */
};

struct resource_list {
	size_t n;
	const struct resource *p;
};

struct resources {
	struct arena *arena; /* holds all of it; resources_ref/unref count on it */
	size_t ncomponents;
	const struct component *components;	 /* in scope and namespace, in the order of loading */
	struct resource_list of[RESOURCE_KINDS]; /* every kind, in scope and namespace, in the order of loading */
	size_t nfiles, nskipped;		 /* files read; documents and files that were warned of and left out */
};

/*
 * namespace: of this sidecar, empty when NAMESPACE is not set: then metadata.namespace filters nothing. One reference;
 * NULL: ret_error, its message in `scratch`; ret_error->tag is what Dapr says before it at start, such as "failed to
 * load components" (a reload says "failed to load resources from disk" instead). Blocks on files: not for a loop's thread.
 */
struct resources *resources_load(const char *const *paths, size_t npaths, struct str app_id, struct str namespace,
				 struct arena *scratch, struct error *ret_error);
struct resources *resources_ref(struct resources *r);
void resources_unref(struct resources *r); /* NULL is fine */

const struct component *resources_component(const struct resources *r, struct str name); /* NULL: none */
const char *resource_kind_name(enum resource_kind kind);				 /* "Component", … */

/*
 * All resources of a kind that can be read, as an array of structs of this size in the order of loading; the others are warned of
 * and left out, fields that nobody knows as well. read: 0; -1: the report says what is wrong.
 */
typedef int resource_read(struct field_report *report, const struct resource *r, void *ret);
void *resources_read(const struct resources *r, enum resource_kind kind, resource_read *read, size_t size,
		     struct arena *a, size_t *ret_n);
void resource_unknown_field(void *resource, const char *path, const struct yaml_node *key); /* field_report's unknown */
#endif
