/* SPDX-License-Identifier: Apache-2.0 */
#include "blocks/endpoints.h"

#include "base/banned.h"
#include "base/log.h"
#include "blocks/properties.h"
#include "resources/http_endpoint.h"

#define LOG_SCOPE "dapr.runtime"

static const struct davit_tls *tls_of(struct arena *a, const struct http_endpoint *from,
				      const struct davit_pair *values)
{
	struct davit_str ca = values[HTTP_ENDPOINT_CA].value, certificate = values[HTTP_ENDPOINT_CERTIFICATE].value,
			 key = values[HTTP_ENDPOINT_KEY].value;
	struct davit_tls *t;

	if (from->renegotiation.n > 0 && !str_is(from->renegotiation, "Never"))
		log_warn("HTTPEndpoint " STR_FMT ": a server that asks to renegotiate TLS is refused, whatever "
			 "clientTLS.renegotiation says",
			 STR_ARG(from->name));
	if (ca.n == 0 && certificate.n == 0 && key.n == 0)
		return NULL;
	t = arena_alloc(a, sizeof(*t));
	*t = (struct davit_tls)DAVIT_INIT(davit_tls, .flags = ca.n > 0 ? DAVIT_TLS_ONLY_OWN : 0);
	if (ca.n > 0)
		t->ca_pem = ca;
	if (certificate.n > 0)
		t->cert_pem = certificate;
	if (key.n > 0)
		t->key_pem = key;
	return t;
}

static int read_one(struct blocks *b, const struct http_endpoint *from, struct outside_server *ret)
{
	const struct davit_pair *values;
	struct http_field *headers;
	struct str why;
	size_t n, i;

	if (properties_of(b, b->arena, &from->values, &values, &n, &why) < 0) {
		log_error("HTTPEndpoint " STR_FMT " is left out: " STR_FMT, STR_ARG(from->name), STR_ARG(why));
		return -1;
	}
	headers = arena_alloc(b->arena, n * sizeof(*headers));
	for (i = HTTP_ENDPOINT_HEADERS; i < n; i++)
		headers[i - HTTP_ENDPOINT_HEADERS] = (struct http_field){ { values[i].key.p, values[i].key.n },
									  { values[i].value.p, values[i].value.n } };
	*ret = (struct outside_server){ .name = from->name,
					.base_url = from->base_url,
					.headers = headers,
					.nheaders = n - HTTP_ENDPOINT_HEADERS,
					.tls = tls_of(b->arena, from, values) };
	log_info("Found http endpoint: " STR_FMT, STR_ARG(from->name));
	return 0;
}

static const struct outside_list *read_all(struct blocks *b, const struct resources *r)
{
	struct outside_list *list = arena_zalloc(b->arena, sizeof(*list));
	struct outside_server *servers;
	struct http_endpoint *all;
	size_t n, i;

	all = http_endpoints_read(r, b->arena, &n);
	servers = arena_zalloc(b->arena, (n + 1) * sizeof(*servers));
	for (i = 0; i < n; i++)
		if (read_one(b, &all[i], &servers[list->n]) == 0)
			list->n++;
	list->p = servers;
	return list;
}

const struct outside_list *endpoints_read(struct blocks *b, const struct resources *r)
{
	jmp_buf here, *volatile outer = arena_on_oom(b->arena, &here);
	const struct outside_list *list = NULL;

	log_info("Loading endpoints…");
	if (setjmp(here) == 0)
		list = read_all(b, r);
	else
		log_error("HTTPEndpoints are left out: out of memory");
	arena_on_oom(b->arena, outer);
	log_info("All outstanding http endpoints processed");
	return list;
}
