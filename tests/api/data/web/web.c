/* SPDX-License-Identifier: Apache-2.0 */
/*
 * state.web: keys as documents of a web server, by the services davit.http/1 and davit.metrics/1; v1 on the loops, v2 on workers,
 * by the same code. Compiled by the tests with the installed kit.
 */
#include <davit/http.h>
#include <davit/metrics.h>
#include <davit/state.h>
#include <stdlib.h>

struct store {
	struct davit_instance *instance;
	const struct davit_http_service *http;
	const struct davit_metrics_service *metrics;
	struct davit_str url, ca;
	int32_t requests, took;
};

static davit_status store_open(void *none, struct davit_call *call, const struct davit_open *in)
{
	struct davit_metric_about requests = DAVIT_INIT(davit_metric_about, .form = DAVIT_METRIC_COUNTER,
							.name = davit_str("web_requests_total"),
							.help = davit_str("Requests to the server."),
							.labels = davit_str("code,method"));
	struct davit_metric_about took = DAVIT_INIT(davit_metric_about, .form = DAVIT_METRIC_BYTES,
						    .name = davit_str("web_document_bytes"),
						    .help = davit_str("Documents that came."));
	struct store *s = calloc(1, sizeof(*s));
	davit_status status;

	(void)none;
	if (s == NULL)
		return DAVIT_EXHAUSTED;
	s->instance = in->instance;
	s->http = davit_http_service(in->instance);
	s->metrics = davit_metrics_service(in->instance);
	s->url = davit_prop(in, "url");
	s->ca = davit_prop(in, "caPEM");
	if (s->http == NULL || s->metrics == NULL ||
	    s->metrics->define(in->instance, &requests, &s->requests) != DAVIT_OK ||
	    s->metrics->define(in->instance, &took, &s->took) != DAVIT_OK) {
		free(s);
		return davit_fail(call, DAVIT_FAILED_PRECONDITION, NULL, "the kernel has no web or no metrics");
	}
	status = davit_emit_self(call, s);
	if (status != DAVIT_OK)
		free(s);
	return status;
}

static davit_status store_close(void *self, struct davit_call *call, const void *none)
{
	(void)call, (void)none;
	free(self);
	return DAVIT_OK;
}

/* The key's URL, escaped. */
static char *url_of(struct store *s, struct davit_call *call, struct davit_str key)
{
	static const char hex[] = "0123456789ABCDEF";
	char *url = davit_alloc(call, s->url.n + 3 * key.n + 2), *p = url;
	size_t i;

	if (url == NULL)
		return NULL;
	memcpy(p, s->url.p, s->url.n);
	p += s->url.n;
	*p++ = '/';
	for (i = 0; i < key.n; i++) {
		unsigned char c = (unsigned char)key.p[i];

		if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
		    c == '_') {
			*p++ = (char)c;
		} else {
			*p++ = '%';
			*p++ = hex[c >> 4];
			*p++ = hex[c & 15];
		}
	}
	*p = '\0';
	return url;
}

static davit_status ask(struct store *s, struct davit_call *call, const char *method, struct davit_str key,
			struct davit_bytes body, const struct davit_http_response **ret_response)
{
	struct davit_tls tls = DAVIT_INIT(davit_tls, .ca_pem = s->ca);
	struct davit_http_request q = DAVIT_INIT(davit_http_request, .method = davit_str(method), .body = body);
	struct davit_str values[2];
	char why[300] = "", code[16], *url = url_of(s, call, key);
	davit_status status;

	if (url == NULL)
		return DAVIT_EXHAUSTED;
	q.url = davit_str(url);
	q.tls = &tls;
	q.why = why;
	q.nwhy = sizeof(why);
	status = s->http->request(s->instance, call, &q, ret_response);
	if (status != DAVIT_OK)
		return davit_fail(call, status, NULL, "%s", why);
	snprintf(code, sizeof(code), "%d", (*ret_response)->code);
	values[0] = davit_str(code);
	values[1] = davit_str(method);
	s->metrics->add(s->metrics->series(s->instance, s->requests, values), 1);
	if ((*ret_response)->code >= 500)
		return davit_fail(call, DAVIT_UNAVAILABLE, NULL, "the server answered %d", (*ret_response)->code);
	return DAVIT_OK;
}

static davit_status store_get(void *self, struct davit_call *call, const struct davit_state_key *in)
{
	struct davit_state_item item = DAVIT_INIT(davit_state_item, .key = in->key);
	const struct davit_http_response *r;
	struct store *s = self;
	davit_status status = ask(s, call, "GET", in->key, (struct davit_bytes){ NULL, 0 }, &r);

	if (status != DAVIT_OK || r->code == 404)
		return status;
	s->metrics->observe(s->metrics->series(s->instance, s->took, NULL), (double)r->body.n);
	item.value = r->body;
	return davit_emit_state(call, &item);
}

static davit_status store_set(void *self, struct davit_call *call, const struct davit_state_set *in)
{
	const struct davit_http_response *r;

	return ask(self, call, "PUT", in->key, in->value, &r);
}

static davit_status store_del(void *self, struct davit_call *call, const struct davit_state_key *in)
{
	const struct davit_http_response *r;

	return ask(self, call, "DELETE", in->key, (struct davit_bytes){ NULL, 0 }, &r);
}

static const struct davit_state_ops ops = DAVIT_INIT(davit_state_ops, .get = store_get, .set = store_set,
						     .del = store_del);
static const struct davit_component on_loops = DAVIT_STATE("state.web", "v1", &ops,
							   .flags = DAVIT_LOOP | DAVIT_PER_LOOP, .open = store_open,
							   .close = store_close);
static const struct davit_component on_workers = DAVIT_STATE("state.web", "v2", &ops, .workers = 8, .open = store_open,
							     .close = store_close);

DAVIT_PLUGIN(PLUGIN_NAME, PLUGIN_VERSION, "Tests", &on_loops, &on_workers);
