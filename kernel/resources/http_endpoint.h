/* SPDX-License-Identifier: Apache-2.0 */
/* The HTTPEndpoint resource (dapr.io/v1alpha1): a server outside, invoked by its name. Secrets are only named here. */
#ifndef RESOURCES_HTTP_ENDPOINT_H
#define RESOURCES_HTTP_ENDPOINT_H
#include "resources/load.h"

/* Where the items of `values` stand; the headers follow. */
enum { HTTP_ENDPOINT_CA, HTTP_ENDPOINT_CERTIFICATE, HTTP_ENDPOINT_KEY, HTTP_ENDPOINT_HEADERS };

struct http_endpoint {
	struct str name;
	struct str base_url;
	struct str renegotiation; /* "" or as written */
	/* What may refer to a secret or the environment, as a component's metadata: of it name, namespace, items and
	 * secret_store are set. */
	struct component values;
	const char *file;
	int line;
};

/* All of a snapshot that can be read, in the order of loading; the others are warned of and left out. */
struct http_endpoint *http_endpoints_read(const struct resources *r, struct arena *a, size_t *ret_n);
#endif
