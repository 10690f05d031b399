/* SPDX-License-Identifier: Apache-2.0 */
/* Azure's clouds: where each has its login and its services. Source: azcore's cloud configurations and Dapr's endpoints.go. */
#ifndef AZURE_CLOUD_H
#define AZURE_CLOUD_H
#include <davit/plugin.h>

struct azure_cloud {
	const char *authority; /* of tokens, without a slash at its end */
	const char *storage;   /* what follows "<account>.blob." */
	const char *vault;     /* what follows "<vault>." */
};

/* Any case, with "Cloud" at the end or without; "" is the public one. NULL: there is none of that name. */
const struct azure_cloud *azure_cloud_of(struct davit_str name);
#endif
