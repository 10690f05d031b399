/* SPDX-License-Identifier: Apache-2.0 */
/* Absolute http and https URLs, taken apart but not decoded (RFC 3986). */
#ifndef HTTP_URL_H
#define HTTP_URL_H
#include "base/arena.h"
#include "base/error.h"

/* Parts of the text that was read, but for target, where the text has none, and authority. */
struct http_url {
	int tls;	 /* https */
	struct str host; /* without brackets */
	int port;
	struct str authority; /* as Host says it: no port where it is the scheme's own. In the arena */
	struct str target;    /* "/path?query"; "/" if there is none */
	struct str path;      /* target without its query */
};

/* INVALID_ARGUMENT: no http or https URL, a name or password in it, no host, no port, bytes that cannot be sent.
 * RESOURCE_EXHAUSTED: no memory. The text of an error does not quote the URL. */
struct error http_url_parse(struct arena *a, struct str text, struct http_url *ret_url);

/*
 * What a Location means beside the URL it came for: absolute, "//host/path", "/path" or relative to the path. In the arena;
 * p == NULL: no memory.
 */
struct str http_url_join(struct arena *a, const struct http_url *base, struct str location);
#endif
