/* SPDX-License-Identifier: Apache-2.0 */
/* The servers that a component asks over "davit.http/1": for each, on each loop, a client with its kept connections. */
#ifndef PLUGIN_HTTP_ORIGIN_H
#define PLUGIN_HTTP_ORIGIN_H
#include <davit/http.h>

#include "http/client.h"
#include "http/proxy.h"
#include "http/url.h"
#include "plugin/service.h"

#define HTTP_ORIGINS 64	    /* of a component on a loop; those without a request make room for others */
#define HTTP_CONNECTIONS 256 /* to one of them at once */
#define HTTP_IDLE 64	    /* of which so many are kept without a request */

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

/* On the work's loop, on a fiber; may park. The origin cannot go before it is left. why: a sentence, when it fails. */
davit_status http_origin_enter(struct service_work *w, struct instance *i, const struct http_url *url,
			       const struct http_proxy *proxy, const struct davit_tls *tls,
			       struct http_origin **ret_origin, char *why, size_t nwhy);
void http_origin_leave(struct http_origin *o);

/* From a fiber, when the component's operations are over: its connections are closed, on all loops. */
void http_origins_close(struct instance *i);
#endif
