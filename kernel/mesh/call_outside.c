/* SPDX-License-Identifier: Apache-2.0 */
/* A call to a server outside, by HTTP or HTTPS. */
#include "base/banned.h"
#include "base/buf.h"
#include "base/clock.h"
#include "mesh/call_inside.h"
#include "plugin/http_origin.h"

/* The URL as Dapr puts it together: base, the method behind a '/', the query. */
static struct error make_url(struct mesh_call *c, struct str base, struct http_url *ret_url, struct str *ret_target)
{
	const struct mesh_request *q = c->q;
	struct buf target = buf_in(c->arena);
	struct error e = http_url_parse(c->arena, base, ret_url);
	struct str rest, why;

	if (error_is(&e))
		return (struct error){ .code = ERROR_UNKNOWN, .message = e.message };
	if (mesh_target(c->arena, q->method, q->query, &rest, &why) < 0)
		return error_new(c->arena, ERROR_UNKNOWN, NULL, "parse \"" STR_FMT "/" STR_FMT "\": " STR_FMT,
				 STR_ARG(base), STR_ARG(q->method), STR_ARG(why));
	/* A base without a path has "/" as its target, which is the one before the method. */
	if (!str_is(ret_url->target, "/") || str_ends(base, STR("/")))
		buf_adds(&target, ret_url->target);
	if (q->method.n > 0 || target.n == 0)
		buf_adds(&target, rest);
	else
		buf_adds(&target, str_from(rest, 1)); /* only a query */
	*ret_target = buf_str(&target);
	str_cut(*ret_target, '?', &ret_url->path, &rest);
	return ERROR_NONE;
}

static int is_here(struct str host)
{
	return str_ieq(host, STR("localhost")) || str_ends(host, STR(".localhost")) ||
	       http_proxy_none(STR("127.0.0.0/8,::1"), host);
}

static struct error find_proxy(struct mesh_call *c, const struct http_url *url, struct http_proxy *ret_proxy)
{
	*ret_proxy = (struct http_proxy){ .host = STR("") };
	return is_here(url->host) ? ERROR_NONE
				  : http_proxy_for(c->arena, http_proxies_here(), url->tls, url->host, ret_proxy);
}

/* The server's own headers, in place of the caller's; a proxy in the clear is asked for the whole URL. */
static void add_own(struct mesh_call *c, const struct outside_server *s, const struct http_url *url,
		    const struct http_proxy *proxy, struct http_request *h)
{
	size_t more = s ? s->nheaders : 0, i, k, n = 0;
	struct http_field *f = arena_alloc(c->arena, (h->nfields + more + 1) * sizeof(*f));

	for (i = 0; i < h->nfields; i++) {
		for (k = 0; k < more; k++)
			if (str_ieq(h->fields[i].name, s->headers[k].name))
				break;
		if (k == more)
			f[n++] = h->fields[i];
	}
	for (k = 0; k < more; k++)
		f[n++] = s->headers[k];
	if (!url->tls && proxy->host.n > 0) {
		h->target = arena_printf(c->arena, "http://" STR_FMT STR_FMT, STR_ARG(url->authority),
					 STR_ARG(h->target));
		if (proxy->authorization.n > 0)
			f[n++] = (struct http_field){ STR("proxy-authorization"), proxy->authorization };
	}
	h->fields = f;
	h->nfields = n;
}

/* As Go's client says what it could not do. */
static struct error told(struct mesh_call *c, const struct http_request *h, const struct http_url *url, struct error e)
{
	if (c->cancelled || e.code == ERROR_CANCELLED)
		return (struct error){ .code = ERROR_CANCELLED, .message = STR("context canceled") };
	return (struct error){
		.code = ERROR_UNKNOWN,
		.message = mesh_told(c->arena, h->method, url->tls ? "https" : "http",
				     arena_printf(c->arena, STR_FMT STR_FMT, STR_ARG(url->authority),
						  STR_ARG(str_starts(h->target, STR("/")) ? h->target : url->path)),
				     e.message)
	};
}

static struct error start(struct mesh_call *c, struct outside *o, const struct outside_server *s,
			  const struct http_url *url, const struct http_proxy *proxy, const struct http_request *h)
{
	struct service_work w = { .loop = loop_self() };
	char why[256] = "";
	struct error e;
	davit_status status = http_origin_enter(&w, outside_slot(o), url, proxy, s ? s->tls : NULL, &c->origin, why,
						sizeof(why));

	if (status != DAVIT_OK)
		return error_new(c->arena, status, NULL, "%s", why);
	if (c->cancelled)
		return (struct error){ .code = ERROR_CANCELLED, .message = STR("context canceled") };
	c->http = http_call_new(c->origin->client, c->arena);
	if (c->http == NULL)
		return (struct error){ .code = ERROR_RESOURCE_EXHAUSTED, .message = STR("out of memory") };
	e = http_call_start(c->http, h);
	if (!error_is(&e) && h->streamed)
		e = mesh_pump_http(c);
	return error_is(&e) ? e : http_call_head(c->http);
}

struct error mesh_call_outside(struct mesh_call *c, struct outside *o, const struct outside_server *s, struct str url,
			       const struct mesh_request *q)
{
	struct http_request h = { .deadline_ns = q->deadline_ns };
	struct http_proxy proxy;
	struct http_url u;
	struct error e;

	c->q = q;
	e = mesh_http_method(c, &h);
	if (!error_is(&e))
		e = make_url(c, s ? s->base_url : url, &u, &h.target);
	if (!error_is(&e))
		e = find_proxy(c, &u, &proxy);
	if (error_is(&e))
		return e;
	h.authority = u.authority;
	mesh_http_fields(c, &h);
	add_own(c, s, &u, &proxy, &h);
	e = start(c, o, s, &u, &proxy, &h);
	if (!error_is(&e))
		mesh_take_http_head(c);
	if (error_is(&c->pump_error))
		return c->pump_error;
	return error_is(&e) ? told(c, &h, &u, e) : e;
}
