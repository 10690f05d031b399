/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A manifest: what a plugin says of itself, as JSON beside its .so (manifests/schema/manifest.schema.json). It is the only
 * description of a component's options: the kernel checks and completes them from here before it opens anything.
 */
#ifndef PLUGIN_MANIFEST_H
#define PLUGIN_MANIFEST_H
#include "base/arena.h"
#include "base/str.h"

#define MANIFEST_LIMIT (256u * 1024) /* bytes of a file */

enum tier { TIER_COMMUNITY, TIER_STANDARD, TIER_MANAGED };

struct manifest_field {
	struct str name;
	struct str type;     /* "string", "number", "bool", "duration", "bytesize" */
	struct str fallback; /* the default; p == NULL: none */
	struct str missing;  /* what to say when it is required and not given; p == NULL: the kernel's own sentence */
	int required, sensitive;
	const struct str *aliases;
	size_t naliases;
	const struct str *allowed; /* compared without case; none: anything */
	size_t nallowed;
};

struct manifest_component {
	struct str type, version; /* "state.sqlite", "v1" */
	struct str block;	  /* "state" */
	struct str status;	  /* "alpha", "beta", "stable" */
	enum tier tier;		  /* as claimed */
	int is_default;		  /* of several versions, what "" and "v1" mean */
	const struct manifest_field *fields;
	size_t nfields;
	int open; /* fields that are not listed are passed on without a word */
};

struct manifest {
	struct str name, version, vendor, licence, library;
	struct str sha256; /* hexadecimal; p == NULL: not told */
	struct str kernel; /* the range of kernels it is for; p == NULL: any with this abi */
	int64_t abi;	   /* 0: not told */
	const struct manifest_component *components;
	size_t ncomponents;
};

/* All in arena a. 0; -1: *ret_message says which file and what is wrong with it. */
int manifest_load(struct arena *a, const char *path, struct manifest *ret_manifest, struct str *ret_message);
/* The field of that name or alias, without regard to case; NULL: none. */
const struct manifest_field *manifest_field(const struct manifest_component *c, struct str name);
int tier_of(struct str word, enum tier *ret_tier); /* -1: no such tier */
const char *tier_name(enum tier t);
#endif
