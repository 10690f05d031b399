/* SPDX-License-Identifier: Apache-2.0 */
#include "plugin/http_request.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/banned.h"
#include "plugin/instance.h"

static struct http_proxies proxies;
static pthread_once_t proxies_once = PTHREAD_ONCE_INIT;

static const char *from_environment(const char *name)
{
	return getenv(name);
}

static void read_proxies(void)
{
	proxies = http_proxies_read(from_environment);
}

const struct http_proxies *http_proxies_here(void)
{
	pthread_once(&proxies_once, read_proxies);
	return &proxies;
}

struct davit_http_request http_request_read(const struct davit_http_request *in)
{
	struct davit_http_request all = { .size = 0 };

	memcpy(&all, in, in->size < sizeof(all) ? in->size : sizeof(all));
	return all;
}

static struct str as_str(struct davit_str s)
{
	return (struct str){ s.p, s.p ? s.n : 0 };
}

davit_status http_asking_fail(const struct http_asking *q, struct error e)
{
	struct str method = as_str(q->in.method);

	if (q->url.authority.n > 0)
		service_say(q->in.why, q->in.nwhy, STR_FMT " %s://" STR_FMT STR_FMT ": " STR_FMT, STR_ARG(method),
			    q->url.tls ? "https" : "http", STR_ARG(q->url.authority),
			    STR_ARG(str_upto(q->url.path, q->url.path.n < 200 ? q->url.path.n : 200)),
			    STR_ARG(e.message));
	else
		service_say(q->in.why, q->in.nwhy, "http: " STR_FMT, STR_ARG(e.message));
	return e.code;
}

static struct error find_proxy(const struct http_asking *q, struct http_proxy *ret_proxy)
{
	struct str own = as_str(q->in.proxy);

	*ret_proxy = (struct http_proxy){ .host = STR("") };
	if (q->in.proxy.p == NULL) {
		return http_proxy_for(q->arena, http_proxies_here(), q->url.tls, q->url.host, ret_proxy);
	}
	return own.n > 0 ? http_proxy_parse(q->arena, own, ret_proxy) : ERROR_NONE;
}

/* A proxy in the clear is asked for the whole URL, with its authorization among the fields. -1: no memory. */
static int for_proxy(const struct http_asking *q, const struct http_proxy *proxy, struct http_field *fields,
		     size_t *nfields, struct str *target)
{
	size_t n = q->url.authority.n + q->url.target.n + 8;
	char *p = arena_try(q->arena, n);

	if (p == NULL)
		return -1;
	snprintf(p, n, "http://" STR_FMT STR_FMT, STR_ARG(q->url.authority), STR_ARG(q->url.target));
	*target = str_of(p);
	if (proxy->authorization.n > 0)
		fields[(*nfields)++] = (struct http_field){ STR("proxy-authorization"), proxy->authorization };
	return 0;
}

static int make_request(const struct http_asking *q, const struct http_proxy *proxy, struct http_request *ret)
{
	struct http_field *fields = arena_try(q->arena, (q->in.nfields + 1) * sizeof(*fields));
	int streamed = (q->in.flags & DAVIT_HTTP_STREAMED) != 0;
	size_t n = 0, i;

	if (fields == NULL)
		return -1;
	for (i = 0; i < q->in.nfields; i++)
		fields[n++] = (struct http_field){ as_str(q->in.fields[i].key), as_str(q->in.fields[i].value) };
	ret->target = q->url.target;
	if (!q->url.tls && proxy->host.n > 0 && for_proxy(q, proxy, fields, &n, &ret->target) < 0)
		return -1;
	ret->method = as_str(q->in.method);
	ret->authority = q->url.authority;
	ret->fields = fields;
	ret->nfields = n;
	ret->body = streamed ? STR("") : (struct str){ q->in.body.p, q->in.body.p ? q->in.body.n : 0 };
	ret->streamed = streamed;
	ret->length = q->in.length;
	ret->connect_timeout_ms = q->in.connect_timeout_ms > INT32_MAX ? INT32_MAX : (int)q->in.connect_timeout_ms;
	return 0;
}

davit_status http_asking_start(struct http_asking *q, struct service_work *w, struct instance *i,
			       int (*gone)(void *arg), void *arg)
{
	static const struct error no_memory = { .code = ERROR_RESOURCE_EXHAUSTED, .message = STR("out of memory") };
	struct http_request request = { .deadline_ns = w->until_ns, .gone = gone, .gone_arg = arg };
	struct http_proxy proxy;
	char why[256] = "";
	davit_status status;
	struct error e = http_url_parse(q->arena, as_str(q->in.url), &q->url);

	if (!error_is(&e))
		e = find_proxy(q, &proxy);
	if (!error_is(&e) && make_request(q, &proxy, &request) < 0)
		e = no_memory;
	if (error_is(&e))
		return http_asking_fail(q, e);
	status = http_origin_enter(w, instance_slot(i, loop_index(w->loop)), &q->url, &proxy, q->in.tls, &q->origin,
				   why, sizeof(why));
	if (status != DAVIT_OK)
		return http_asking_fail(q, (struct error){ .code = status, .message = str_of(why) });
	q->call = http_call_new(q->origin->client, q->arena);
	e = q->call ? http_call_start(q->call, &request) : no_memory;
	return error_is(&e) ? http_asking_fail(q, e) : DAVIT_OK;
}

void http_asking_end(struct http_asking *q)
{
	http_call_close(q->call);
	q->call = NULL;
	if (q->origin != NULL)
		http_origin_leave(q->origin);
	q->origin = NULL;
}

static struct davit_str put(char **at, struct str s)
{
	struct davit_str r = { *at, s.n };

	if (s.n > 0)
		memcpy(*at, s.p, s.n);
	(*at)[s.n] = '\0';
	*at += s.n + 1;
	return r;
}

int http_asking_pairs(struct arena *a, const struct http_field *fields, size_t n, const struct davit_pair **ret_pairs)
{
	struct davit_pair *pairs;
	size_t i, text = 0;
	char *at;

	for (i = 0; i < n; i++)
		text += fields[i].name.n + fields[i].value.n + 2;
	pairs = arena_try(a, n * sizeof(*pairs) + text + 1);
	if (pairs == NULL)
		return -1;
	at = (char *)(pairs + n);
	for (i = 0; i < n; i++) {
		pairs[i].key = put(&at, fields[i].name);
		pairs[i].value = put(&at, fields[i].value);
	}
	*ret_pairs = pairs;
	return 0;
}
