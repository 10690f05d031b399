/* SPDX-License-Identifier: Apache-2.0 */
#include "plugin/http_origin.h"

#include "base/banned.h"
#include "base/clock.h"
#include "base/mem.h"
#include "plugin/instance.h"
#include "plugin/tls_settings.h"

static int text_is(const char *text, struct str s)
{
	return text == NULL ? s.n == 0 : str_is(s, text);
}

static int is(const struct http_origin *o, const struct http_url *url, const struct http_proxy *proxy,
	      const struct davit_tls *tls)
{
	return (o->tls != NULL) == url->tls && o->port == url->port && str_is(url->host, o->host) &&
	       text_is(o->proxy_host, proxy->host) && (proxy->host.n == 0 || o->proxy_port == proxy->port) &&
	       text_is(o->proxy_authorization, proxy->authorization) && (!url->tls || tls_settings_equal(o->tls, tls));
}

static void origin_free(struct http_origin *o)
{
	http_client_free(o->client);
	mem_free(o->tls);
	mem_free(o->host);
	mem_free(o->proxy_host);
	mem_free(o->proxy_authorization);
	mem_free(o);
}

static struct http_client *make_client(const struct http_origin *o, const struct http_proxy *proxy, struct loop *l,
				       struct tls_context *context)
{
	struct http_client_options c = http_client_defaults();

	/* In the clear the proxy is whom we speak to; for TLS it only makes the way. */
	c.host = context == NULL && proxy->host.n > 0 ? proxy->host : str_of(o->host);
	c.port = context == NULL && proxy->host.n > 0 ? proxy->port : o->port;
	c.connection_limit = HTTP_CONNECTIONS;
	c.idle_limit = HTTP_IDLE;
	c.tls = context;
	if (context == NULL)
		return http_client_new(l, &c);
	c.proxy_host = proxy->host;
	c.proxy_port = proxy->port;
	c.proxy_authorization = proxy->authorization;
	c.server_name = (struct str){ o->tls->server_name.p, o->tls->server_name.p ? o->tls->server_name.n : 0 };
	return http_client_new(l, &c);
}

static int keep(struct str s, char **ret_text)
{
	if (s.n == 0)
		return 0;
	*ret_text = mem_dup(s.p, s.n);
	return *ret_text != NULL ? 0 : -1;
}

/* NULL: no memory. */
static struct http_origin *origin_new(const struct http_url *url, const struct http_proxy *proxy,
				      const struct davit_tls *tls, struct loop *l, struct tls_context *context)
{
	struct http_origin *o = mem_zalloc(sizeof(*o));

	if (o == NULL)
		return NULL;
	o->port = url->port;
	o->proxy_port = proxy->port;
	o->made_ns = clock_ns();
	if (keep(url->host, &o->host) == 0 && keep(proxy->host, &o->proxy_host) == 0 &&
	    keep(proxy->authorization, &o->proxy_authorization) == 0 &&
	    (!url->tls || (o->tls = tls_settings_copy(tls)) != NULL) &&
	    (o->client = make_client(o, proxy, l, context)) != NULL)
		return o;
	origin_free(o);
	return NULL;
}

static struct http_origin *find(void *const *slot, const struct http_url *url, const struct http_proxy *proxy,
				const struct davit_tls *tls)
{
	struct http_origin *o;

	for (o = *slot; o != NULL; o = o->next)
		if (is(o, url, proxy, tls))
			return o;
	return NULL;
}

/* Room for one more: the one not used for longest goes. -1: all are in use. */
static int make_room(void **slot)
{
	struct http_origin **at, **oldest = NULL, *o;
	int n = 0;

	for (at = (struct http_origin **)slot; *at != NULL; at = &(*at)->next, n++)
		if ((*at)->users == 0 && (oldest == NULL || (*at)->used_ns < (*oldest)->used_ns))
			oldest = at;
	if (n < HTTP_ORIGINS)
		return 0;
	if (oldest == NULL)
		return -1;
	o = *oldest;
	*oldest = o->next;
	origin_free(o);
	return 0;
}

static davit_status context_for(struct service_work *w, const struct davit_tls *tls, struct tls_context **ret_context,
				char *why, size_t nwhy)
{
	char reason[200] = "";
	davit_status status = tls_settings_context(w, tls, STR("http/1.1"), 1, ret_context, reason, sizeof(reason));

	if (status != DAVIT_OK)
		service_say(why, nwhy, "tls: %s", reason);
	return status;
}

static davit_status add(struct service_work *w, void **slot, const struct http_url *url, const struct http_proxy *proxy,
			const struct davit_tls *tls, struct http_origin **ret_origin, char *why, size_t nwhy)
{
	struct tls_context *context = NULL;
	davit_status status = url->tls ? context_for(w, tls, &context, why, nwhy) : DAVIT_OK;
	struct http_origin *o;

	if (status != DAVIT_OK)
		return status;
	o = find(slot, url, proxy, tls); /* somebody may have made it meanwhile */
	if (o == NULL && make_room(slot) < 0) {
		service_say(why, nwhy, "requests to %d other servers are under way", HTTP_ORIGINS);
		status = DAVIT_EXHAUSTED;
	} else if (o == NULL) {
		o = origin_new(url, proxy, tls, w->loop, context);
		if (o == NULL) {
			service_say(why, nwhy, "out of memory");
			status = DAVIT_EXHAUSTED;
		} else {
			o->next = *slot;
			*slot = o;
		}
	}
	tls_context_unref(context);
	*ret_origin = o;
	return status;
}

/* Its context anew, for connections that are made from now on. */
static davit_status renew(struct service_work *w, struct http_origin *o, char *why, size_t nwhy)
{
	struct tls_context *context = NULL;
	int64_t was = o->made_ns;
	davit_status status;

	o->made_ns = clock_ns(); /* others go on with the old one meanwhile */
	status = context_for(w, o->tls, &context, why, nwhy);
	if (status != DAVIT_OK) {
		o->made_ns = was;
		return status;
	}
	http_client_use_tls(o->client, context);
	tls_context_unref(context);
	return DAVIT_OK;
}

davit_status http_origin_enter(struct service_work *w, void **slot, const struct http_url *url,
			       const struct http_proxy *proxy, const struct davit_tls *tls,
			       struct http_origin **ret_origin, char *why, size_t nwhy)
{
	struct http_origin *o = find(slot, url, proxy, tls);
	davit_status status = o ? DAVIT_OK : add(w, slot, url, proxy, tls, &o, why, nwhy);

	if (status != DAVIT_OK)
		return status;
	o->users++;
	o->used_ns = clock_ns();
	if (o->tls != NULL && tls_settings_old(o->tls, o->made_ns))
		status = renew(w, o, why, nwhy);
	if (status != DAVIT_OK)
		http_origin_leave(o);
	else
		*ret_origin = o;
	return status;
}

void http_origin_leave(struct http_origin *o)
{
	o->users--;
	o->used_ns = clock_ns();
}

struct closing {
	struct service_work work;
	void **slot;
};

void http_origins_free(void **slot)
{
	struct http_origin *o;

	while ((o = *slot) != NULL) {
		*slot = o->next;
		origin_free(o);
	}
}

static void close_here(struct service_work *w)
{
	http_origins_free(((struct closing *)w)->slot);
	w->status = DAVIT_OK;
}

void http_origins_close(struct instance *i)
{
	struct loop *l;
	int k;

	for (k = 0; k < instance_loops(i); k++) {
		struct closing c = { .work.run = close_here, .work.brief = 1, .slot = instance_slot(i, k) };

		l = instance_loop(i, (unsigned)k);
		service_do(&c.work, l, NULL, 0);
	}
}
