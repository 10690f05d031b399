/* SPDX-License-Identifier: Apache-2.0 */
/* The servers that somebody asks (a component over "davit.http/1", the mesh): for each, on each loop, a client with its kept
 * connections. */
#ifndef PLUGIN_HTTP_ORIGIN_H
#define PLUGIN_HTTP_ORIGIN_H
#include <davit/http.h>

#include "http/client.h"
#include "http/proxy.h"
#include "http/url.h"
#include "plugin/service.h"

#define HTTP_ORIGINS 64	     /* of one who asks, on a loop; those without a request make room for others */
#define HTTP_CONNECTIONS 256 /* to one of them at once */
#define HTTP_IDLE 64	     /* of which so many are kept without a request */

struct instance;

/* Where requests go: to a server, or for http to a proxy, which asks all servers. */
struct http_origin {
	struct http_origin *next;
	char *host, *proxy_host, *proxy_authorization;
	int port, proxy_port;
	struct davit_tls *tls; /* NULL: in the clear */
	struct http_client *client;
	int64_t made_ns, used_ns; /* its TLS context; its last use */
	int users;
};

/*
 * On the work's loop, on a fiber; may park. slot: where who asks keeps his servers on this loop, NULL at first. Of
 * the work only its loop is looked at. The origin cannot go before it is left. why: a sentence, when it fails.
 */
davit_status http_origin_enter(struct service_work *w, void **slot, const struct http_url *url,
			       const struct http_proxy *proxy, const struct davit_tls *tls,
			       struct http_origin **ret_origin, char *why, size_t nwhy);
const struct http_proxies *http_proxies_here(void); /* of this process's environment, read once */
void http_origin_leave(struct http_origin *o);

void http_origins_free(void **slot); /* on the loop; nobody is in them */
/* From a fiber, when the component's operations are over: its connections are closed, on all loops. */
void http_origins_close(struct instance *i);
#endif
