/* SPDX-License-Identifier: Apache-2.0 */
/* What the metadata API tells, gathered once for both skins; in the call's arena. */
#ifndef API_METADATA_H
#define API_METADATA_H
#include "api/api.h"

struct metadata_component {
	struct str name, type, version;
	const struct str *capabilities;
	size_t ncapabilities;
};

struct metadata {
	const struct metadata_component *components;
	size_t ncomponents;
	const struct error_pair *extended; /* what clients put, daprRuntimeVersion, davit.component.<name> */
	size_t nextended;
	const struct subscriber_shown *subscriptions;
	size_t nsubscriptions;
	const struct outside_list *endpoints; /* NULL: none */
	const struct str *resiliencies;	      /* names of the resources that are in force */
	size_t nresiliencies;
	const struct str *features; /* enabled */
	size_t nfeatures;
};

void metadata_read(struct api *api, struct arena *a, struct metadata *ret);
/* Sets one value; an empty key is passed over. -1: no memory or more than 1,000 keys or 64 KiB in one. */
int metadata_put(struct api *api, struct str key, struct str value);
#endif
