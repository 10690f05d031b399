/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which proxy a request goes through, as curl reads it from the environment: http_proxy; https_proxy, HTTPS_PROXY;
 * all_proxy, ALL_PROXY; no_proxy, NO_PROXY. HTTP_PROXY is never read: a CGI program has a client's field there.
 */
#ifndef HTTP_PROXY_H
#define HTTP_PROXY_H
#include "base/arena.h"
#include "base/error.h"

struct http_proxy {
	struct str host; /* without brackets, ended by a NUL; n == 0: no proxy */
	int port;
	struct str authorization; /* "Basic …"; n == 0: none */
};

/* The value of a variable, NULL: not set. For tests; getenv else. */
typedef const char *http_environment(const char *name);

struct http_proxies {
	struct str http, https, none; /* as in the environment */
};

/* Borrows the environment's texts, which must not change any more. */
struct http_proxies http_proxies_read(http_environment *get);

/*
 * The proxy for a host, in the arena. ret_proxy->host.n == 0: none. INVALID_ARGUMENT, UNIMPLEMENTED: what is set cannot be
 * used; the text does not quote it. RESOURCE_EXHAUSTED: no memory.
 */
struct error http_proxy_for(struct arena *a, const struct http_proxies *p, int tls, struct str host,
			    struct http_proxy *ret_proxy);
/* From one variable's value. */
struct error http_proxy_parse(struct arena *a, struct str text, struct http_proxy *ret_proxy);
int http_proxy_none(struct str list, struct str host); /* 1: no_proxy has the host */
#endif
