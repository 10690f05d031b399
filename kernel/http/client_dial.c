/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Name to address to connection, then through a proxy and to TLS where the client is for that. Names go to libuv's resolver
 * threads, addresses and paths of sockets do not.
 */
#include <netdb.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/banned.h"
#include "base/clock.h"
#include "base/mem.h"
#include "http/client_inside.h"
#include "http/client_sealed.h"
#include "http/client_tunnel.h"

#define SHORTEST_TRY (INT64_C(2) * 1000000000) /* for one address, while others wait */

struct dial {
	struct http_client *c;
	struct arena *a;
	const char *host; /* the client's, or its proxy's */
	int port;
	int64_t until, deadline;
	int (*stop)(void *arg);
	void *arg;
	struct error e;
};

/* Outlives the fiber that asked: the resolver's threads cannot be interrupted. */
struct lookup {
	uv_getaddrinfo_t req;
	struct fiber *fiber; /* NULL: it does not wait any more */
	int done, status;
};

static int out_of_time(struct dial *d, const char *what)
{
	if (d->stop(d->arg))
		d->e = CLIENT_CANCELLED;
	else if (d->deadline > 0 && clock_ns() >= d->deadline)
		d->e = CLIENT_EXPIRED;
	else
		d->e = client_error(d->a, ERROR_UNAVAILABLE, "dial %s%s%s: i/o timeout", client_network(d->c),
				    what[0] ? " " : "", what);
	return -1;
}

static void on_resolved(uv_getaddrinfo_t *r, int status, struct addrinfo *list)
{
	struct lookup *l = r->data;

	if (l->fiber == NULL) {
		uv_freeaddrinfo(list);
		mem_free(l);
		return;
	}
	l->done = 1;
	l->status = status;
	fiber_wake(l->fiber);
}

static int resolve(struct dial *d, struct addrinfo **ret_list)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
	struct lookup *l = mem_zalloc(sizeof(*l));
	char port[12];
	int late = 0;

	if (l == NULL) {
		d->e = CLIENT_NO_MEMORY;
		return -1;
	}
	l->req.data = l;
	l->fiber = fiber_self();
	snprintf(port, sizeof(port), "%d", d->port);
	l->status = uv_getaddrinfo(loop_uv(d->c->loop), &l->req, on_resolved, d->host, port, &hints);
	l->done = l->status != 0;
	while (!l->done && !late && !d->stop(d->arg))
		late = fiber_park_until(d->until) < 0;
	if (!l->done) {
		l->fiber = NULL;
		uv_cancel((uv_req_t *)&l->req);
		return out_of_time(d, "");
	}
	*ret_list = l->req.addrinfo;
	if (l->status != 0)
		d->e = client_error(d->a, ERROR_UNAVAILABLE, "dial tcp: lookup %s: %s", d->host,
				    l->status == UV_EAI_NONAME ? "no such host" : uv_strerror(l->status));
	mem_free(l);
	return error_is(&d->e) ? -1 : 0;
}

static void name_address(const struct sockaddr *to, char *ret_name, size_t size)
{
	char ip[INET6_ADDRSTRLEN] = "?";
	int v6 = to->sa_family == AF_INET6;
	int port = ntohs(v6 ? ((const struct sockaddr_in6 *)to)->sin6_port
			    : ((const struct sockaddr_in *)to)->sin_port);

	if (v6)
		uv_ip6_name((const struct sockaddr_in6 *)to, ip, sizeof(ip));
	else
		uv_ip4_name((const struct sockaddr_in *)to, ip, sizeof(ip));
	snprintf(ret_name, size, v6 ? "[%s]:%d" : "%s:%d", ip, port);
}

static struct client_link *try_unix(struct dial *d, const char *path)
{
	struct client_link *l;
	int late = 0;

	if (strlen(path) >= sizeof(((struct sockaddr_un *)0)->sun_path)) { /* libuv would cut it */
		d->e = client_error(d->a, ERROR_UNAVAILABLE, "dial unix %s: connect: the path is too long", path);
		return NULL;
	}
	l = client_link_new(d->c->loop, 1);
	if (l == NULL) {
		d->e = CLIENT_NO_MEMORY;
		return NULL;
	}
	client_link_connect_unix(l, path, fiber_self());
	while (!l->dial_done && !late && !d->stop(d->arg))
		late = fiber_park_until(d->until) < 0;
	if (!l->dial_done)
		out_of_time(d, path);
	else if (l->dial_status != 0)
		d->e = client_error(d->a, ERROR_UNAVAILABLE, "dial unix %s: connect: %s", path,
				    uv_strerror(l->dial_status));
	else
		return l;
	client_link_close(l);
	return NULL;
}

static struct client_link *try_address(struct dial *d, const struct sockaddr *to, int64_t until)
{
	struct client_link *l = client_link_new(d->c->loop, 0);
	char name[INET6_ADDRSTRLEN + 16];
	int rc, late = 0;

	if (l == NULL) {
		d->e = CLIENT_NO_MEMORY;
		return NULL;
	}
	name_address(to, name, sizeof(name));
	rc = client_link_connect(l, to, fiber_self());
	while (rc == 0 && !l->dial_done && !late && !d->stop(d->arg))
		late = fiber_park_until(until) < 0;
	if (rc == 0 && l->dial_done)
		rc = l->dial_status;
	if (rc != 0)
		d->e = client_error(d->a, ERROR_UNAVAILABLE, "dial tcp %s: connect: %s", name, uv_strerror(rc));
	else if (!l->dial_done)
		out_of_time(d, name);
	else
		return l;
	client_link_close(l);
	return NULL;
}

static struct client_link *try_all(struct dial *d, const struct addrinfo *list)
{
	const struct addrinfo *at;
	struct client_link *l = NULL;
	int left = 0;

	for (at = list; at != NULL; at = at->ai_next)
		left++;
	for (at = list; at != NULL && l == NULL; at = at->ai_next, left--) {
		int64_t now = clock_ns(), until = d->until;

		if (d->until > 0 && left > 1) {
			int64_t share = (d->until - now) / left;

			share = share < SHORTEST_TRY ? SHORTEST_TRY : share;
			until = now + share < d->until ? now + share : d->until;
		}
		l = try_address(d, at->ai_addr, until);
		if (l == NULL && ((d->until > 0 && clock_ns() >= d->until) || d->stop(d->arg)))
			break;
	}
	return l;
}

static struct client_link *connect_host(struct dial *d)
{
	struct client_link *l = NULL;
	struct addrinfo *list = NULL;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;

	if (d->host[0] == '/')
		return try_unix(d, d->host);
	if (uv_ip4_addr(d->host, d->port, &v4) == 0)
		return try_address(d, (const struct sockaddr *)&v4, d->until);
	if (strchr(d->host, '%') == NULL && uv_ip6_addr(d->host, d->port, &v6) == 0)
		return try_address(d, (const struct sockaddr *)&v6, d->until);
	if (resolve(d, &list) == 0) {
		l = try_all(d, list);
		uv_freeaddrinfo(list);
	}
	return l;
}

/* 0: the proxy passes on what we say to the client's host. */
static int go_through_proxy(struct dial *d, struct client_link *l)
{
	char why[CLIENT_TUNNEL_WHY] = "";
	int rc = client_tunnel(l, http_client_authority(d->c), d->c->o.proxy_authorization, d->until, d->stop, d->arg,
			       why);

	if (rc == -2)
		return out_of_time(d, "through the proxy");
	if (rc < 0)
		d->e = client_error(d->a, ERROR_UNAVAILABLE, "proxy %s:%d: CONNECT %s: %s", d->host, d->port,
				    d->c->authority, why);
	return rc;
}

static int go_sealed(struct dial *d, struct client_link *l)
{
	struct str name = d->c->o.server_name.n > 0 ? d->c->o.server_name : str_of(d->c->host);
	const char *why = "";
	int rc = client_sealed_start(l, d->c->o.tls, name, d->until, d->stop, d->arg, &why);

	if (rc == -2)
		return out_of_time(d, "tls handshake");
	if (rc == -3)
		d->e = CLIENT_NO_MEMORY;
	else if (rc < 0)
		d->e = client_error(d->a, ERROR_UNAVAILABLE, "%s: %s", d->c->authority, why);
	return rc;
}

struct client_link *client_dial(struct http_client *c, struct arena *a, int connect_timeout_ms, int64_t deadline_ns,
				int (*stop)(void *arg), void *arg, struct error *ret_error)
{
	int64_t until = connect_timeout_ms > 0 ? clock_ns() + connect_timeout_ms * INT64_C(1000000) : 0;
	int proxied = c->o.proxy_host.n > 0;
	struct dial d = { c, a, c->host, c->o.port, until, deadline_ns, stop, arg, ERROR_NONE };
	struct client_link *l;

	if (deadline_ns > 0 && (until == 0 || deadline_ns < until))
		d.until = deadline_ns;
	if (proxied) {
		d.host = c->o.proxy_host.p;
		d.port = c->o.proxy_port;
	}
	l = connect_host(&d);
	if (l != NULL && ((proxied && go_through_proxy(&d, l) < 0) || (c->o.tls != NULL && go_sealed(&d, l) < 0))) {
		client_link_close(l);
		l = NULL;
	}
	if (l == NULL)
		*ret_error = d.e;
	return l;
}

static int stop_set(void *arg)
{
	const uint8_t *stop = arg;

	return stop != NULL && *stop;
}

int http_client_reach(struct http_client *c, int64_t until_ns, const uint8_t *stop)
{
	struct tls_context *tls = c->o.tls;
	struct arena *a = arena_new();
	struct client_link *l;
	struct error e;

	if (a == NULL)
		return -1;
	c->o.tls = NULL; /* that somebody listens is all that is asked */
	l = client_dial(c, a, c->o.connect_timeout_ms, until_ns, stop_set, (void *)stop, &e);
	c->o.tls = tls;
	client_link_close(l);
	arena_unref(a);
	return l != NULL ? 0 : -1;
}
