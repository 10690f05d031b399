/* SPDX-License-Identifier: Apache-2.0 */
#include "plugin/resolve.h"

#include <davit/resolve.h>
#include <netdb.h>

#include "base/banned.h"
#include "base/mem.h"

#define NAME_MOST 254 /* bytes of a name with its NUL (RFC 1035, 2.3.4) */

/* Outlives the work that asked: the resolver's threads cannot be interrupted. */
struct lookup {
	uv_getaddrinfo_t req;
	struct fiber *fiber; /* NULL: it does not wait any more */
	int done, status;
};

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

static size_t count(const struct addrinfo *at)
{
	size_t n = 0;

	for (; at != NULL; at = at->ai_next)
		n++;
	return n;
}

static davit_status take(const struct addrinfo *list, struct resolved *ret)
{
	size_t n = count(list), i;

	ret->addresses = mem_zalloc(sizeof(*ret->addresses) * (n ? n : 1));
	if (ret->addresses == NULL)
		return DAVIT_EXHAUSTED;
	for (i = 0; i < n; i++, list = list->ai_next)
		memcpy(&ret->addresses[i], list->ai_addr, list->ai_addrlen);
	ret->n = n;
	return DAVIT_OK;
}

static davit_status failed(int code, const char *host, char *why, uint64_t nwhy)
{
	int none = code == UV_EAI_NONAME || code == UV_EAI_NODATA;

	service_say(why, nwhy, "lookup %s: %s", host, none ? "no such host" : uv_strerror(code));
	return none					    ? DAVIT_NOT_FOUND
	       : code == UV_EAI_MEMORY || code == UV_ENOMEM ? DAVIT_EXHAUSTED
							    : DAVIT_UNAVAILABLE;
}

static davit_status look_up(struct service_work *w, const char *host, int port, struct resolved *ret, char *why,
			    uint64_t nwhy)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
	struct lookup *l = mem_zalloc(sizeof(*l));
	davit_status status = DAVIT_OK;
	char service[12];

	if (l == NULL)
		return DAVIT_EXHAUSTED;
	l->req.data = l;
	l->fiber = fiber_self();
	snprintf(service, sizeof(service), "%d", port);
	l->status = uv_getaddrinfo(loop_uv(w->loop), &l->req, on_resolved, host, service, &hints);
	l->done = l->status != 0;
	while (!l->done && status == DAVIT_OK)
		status = service_park(w);
	if (!l->done) {
		l->fiber = NULL;
		uv_cancel((uv_req_t *)&l->req);
		service_say(why, nwhy, "lookup %s: %s", host, status == DAVIT_CANCELLED ? "cancelled" : "i/o timeout");
		return status;
	}
	status = l->status != 0 ? failed(l->status, host, why, nwhy) : take(l->req.addrinfo, ret);
	uv_freeaddrinfo(l->req.addrinfo);
	mem_free(l);
	return status;
}

/* 1: the text is an address. */
static int as_address(const char *host, int port, struct sockaddr_storage *ret)
{
	return uv_ip4_addr(host, port, (struct sockaddr_in *)ret) == 0 ||
	       uv_ip6_addr(host, port, (struct sockaddr_in6 *)ret) == 0;
}

davit_status resolve_host(struct service_work *w, struct davit_str host, int port, struct resolved *ret, char *why,
			  uint64_t nwhy)
{
	struct sockaddr_storage one = { .ss_family = AF_UNSPEC };
	char name[NAME_MOST];

	if (host.n >= 2 && host.p[0] == '[' && host.p[host.n - 1] == ']')
		host = (struct davit_str){ host.p + 1, host.n - 2 };
	if (host.n == 0 || host.n >= NAME_MOST || memchr(host.p, '\0', host.n) != NULL) {
		service_say(why, nwhy, "lookup: a host name has 1 to %d bytes", NAME_MOST - 1);
		return DAVIT_INVALID_ARGUMENT;
	}
	memcpy(name, host.p, host.n);
	name[host.n] = '\0';
	if (!as_address(name, port, &one))
		return look_up(w, name, port, ret, why, nwhy);
	ret->addresses = mem_alloc(sizeof(one));
	if (ret->addresses == NULL)
		return DAVIT_EXHAUSTED;
	ret->addresses[0] = one;
	ret->n = 1;
	return DAVIT_OK;
}

void resolve_release(struct resolved *r)
{
	mem_free(r->addresses);
	*r = (struct resolved){ NULL, 0 };
}

struct resolving {
	struct service_work work;
	const struct davit_resolve_in *in;
	struct davit_address *addresses;
	uint64_t room, n;
};

static void text_of(const struct sockaddr_storage *from, struct davit_address *ret)
{
	const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)from;
	char zone[UV_IF_NAMESIZE] = "";
	size_t size = sizeof(zone), n;

	if (from->ss_family == AF_INET) {
		uv_ip4_name((const struct sockaddr_in *)from, ret->text, DAVIT_ADDRESS_TEXT);
		return;
	}
	uv_ip6_name(v6, ret->text, DAVIT_ADDRESS_TEXT);
	n = strlen(ret->text);
	if (v6->sin6_scope_id != 0 && uv_if_indextoname(v6->sin6_scope_id, zone, &size) == 0)
		snprintf(ret->text + n, DAVIT_ADDRESS_TEXT - n, "%%%s", zone);
}

static void resolve_work(struct service_work *w)
{
	struct resolving *r = (struct resolving *)w;
	struct resolved got;

	w->status = resolve_host(w, r->in->host, 0, &got, r->in->why, r->in->nwhy);
	if (w->status != DAVIT_OK)
		return;
	for (r->n = 0; r->n < r->room && r->n < got.n; r->n++)
		text_of(&got.addresses[r->n], &r->addresses[r->n]);
	resolve_release(&got);
}

static davit_status resolve_resolve(struct davit_instance *instance, struct davit_call *call,
				    const struct davit_resolve_in *in, struct davit_address *addresses, uint64_t room,
				    uint64_t *ret_n)
{
	struct resolving r = { .work.run = resolve_work, .in = in, .addresses = addresses, .room = room };

	service_say(in->why, in->nwhy, "%s", "");
	service_do(&r.work, service_loop(instance), call, in->timeout_ms);
	if (r.work.status == DAVIT_OK)
		*ret_n = r.n;
	return r.work.status;
}

const struct davit_resolve_service resolve_service = DAVIT_INIT(davit_resolve_service, .resolve = resolve_resolve);
