/* SPDX-License-Identifier: Apache-2.0 */
/* The metadata API over HTTP (https://docs.dapr.io/reference/api/metadata_api/). */
#include "api/handlers.h"
#include "api/metadata.h"
#include "base/banned.h"
#include "mesh/outside.h"
#include "base/buf.h"
#include "base/jstream.h"
#include "base/version.h"

static void put_pair(struct buf *b, const char *name, struct str value)
{
	if (value.n == 0)
		return;
	if (b->p[b->n - 1] != '{')
		buf_addc(b, ',');
	buf_printf(b, "\"%s\":", name);
	jstream_put_html(b, value);
}

static void put_number(struct buf *b, const char *name, int value)
{
	if (value == 0)
		return;
	if (b->p[b->n - 1] != '{')
		buf_addc(b, ',');
	buf_printf(b, "\"%s\":%d", name, value);
}

static void put_list(struct buf *b, const char *name, const struct str *list, size_t n)
{
	size_t i;

	if (n == 0)
		return;
	buf_printf(b, ",\"%s\":[", name);
	for (i = 0; i < n; i++) {
		if (i > 0)
			buf_addc(b, ',');
		jstream_put_html(b, list[i]);
	}
	buf_addc(b, ']');
}

static void put_components(struct buf *b, const struct metadata *m)
{
	size_t i;

	for (i = 0; i < m->ncomponents; i++) {
		const struct metadata_component *c = &m->components[i];

		buf_adds(b, i ? STR(",{") : STR(",\"components\":[{"));
		put_pair(b, "name", c->name);
		put_pair(b, "type", c->type);
		put_pair(b, "version", c->version);
		put_list(b, "capabilities", c->capabilities, c->ncapabilities);
		buf_addc(b, '}');
	}
	if (m->ncomponents > 0)
		buf_addc(b, ']');
}

static void put_extended(struct buf *b, const struct metadata *m)
{
	size_t i;

	buf_lit(b, ",\"extended\":{");
	for (i = 0; i < m->nextended; i++) {
		if (i > 0)
			buf_addc(b, ',');
		jstream_put_html(b, m->extended[i].key);
		buf_addc(b, ':');
		jstream_put_html(b, m->extended[i].value);
	}
	buf_addc(b, '}');
}

static void put_resiliencies(struct buf *b, const struct metadata *m)
{
	size_t i;

	for (i = 0; i < m->nresiliencies; i++) {
		buf_adds(b, i ? STR(",{\"name\":") : STR(",\"resiliencies\":[{\"name\":"));
		jstream_put_html(b, m->resiliencies[i]);
		buf_addc(b, '}');
	}
	if (m->nresiliencies > 0)
		buf_addc(b, ']');
}

static void put_rules(struct buf *b, const struct subscription *s)
{
	size_t i;

	for (i = 0; i < s->nrules; i++) {
		buf_adds(b, i ? STR(",{") : STR(",\"rules\":[{"));
		put_pair(b, "match", str_trim(s->rules[i].match));
		put_pair(b, "path", s->rules[i].path);
		buf_addc(b, '}');
	}
	if (s->nrules > 0)
		buf_addc(b, ']');
}

static void put_subscription(struct buf *b, const struct subscriber_shown *shown)
{
	static const char *const types[] = { "DECLARATIVE", "PROGRAMMATIC", "STREAMING" };
	const struct subscription *s = shown->about;
	size_t i;

	buf_lit(b, "{\"pubsubname\":");
	jstream_put_html(b, s->pubsub);
	buf_lit(b, ",\"topic\":");
	jstream_put_html(b, s->topic);
	for (i = 0; i < s->metadata.n; i++) {
		buf_adds(b, i ? STR(",") : STR(",\"metadata\":{"));
		jstream_put_html(b, s->metadata.p[i].key);
		buf_addc(b, ':');
		jstream_put_html(b, s->metadata.p[i].value);
	}
	if (s->metadata.n > 0)
		buf_addc(b, '}');
	put_rules(b, s);
	buf_lit(b, ",\"deadLetterTopic\":");
	jstream_put_html(b, s->dead_letter_topic);
	buf_printf(b, ",\"type\":\"%s\"}", types[shown->source]);
}

static void put_subscriptions(struct buf *b, const struct metadata *m)
{
	size_t i;

	for (i = 0; i < m->nsubscriptions; i++) {
		buf_adds(b, i ? STR(",") : STR(",\"subscriptions\":["));
		put_subscription(b, &m->subscriptions[i]);
	}
	if (m->nsubscriptions > 0)
		buf_addc(b, ']');
}

static void put_endpoints(struct buf *b, const struct outside_list *list)
{
	size_t i;

	for (i = 0; list != NULL && i < list->n; i++) {
		buf_adds(b, i ? STR(",{\"name\":") : STR(",\"httpEndpoints\":[{\"name\":"));
		jstream_put_html(b, list->p[i].name);
		buf_addc(b, '}');
	}
	if (list != NULL && list->n > 0)
		buf_addc(b, ']');
}

static void put_app(struct buf *b, const struct api *api)
{
	buf_lit(b, ",\"appConnectionProperties\":{");
	put_number(b, "port", api->app.port);
	put_pair(b, "protocol", api->app.protocol);
	put_pair(b, "channelAddress", api->app.channel_address);
	put_number(b, "maxConcurrency", api->app.max_concurrency);
	if (api->app.health) {
		buf_lit(b, ",\"health\":{");
		put_pair(b, "healthCheckPath", api->app.health_path);
		put_pair(b, "healthProbeInterval", api->app.health_interval);
		put_pair(b, "healthProbeTimeout", api->app.health_timeout);
		put_number(b, "healthThreshold", api->app.health_threshold);
		buf_addc(b, '}');
	}
	buf_addc(b, '}');
}

void metadata_http_get(struct request *r)
{
	struct buf b = buf_in(r->arena);
	struct metadata m;

	metadata_read(r->api, r->arena, &m);
	buf_addc(&b, '{');
	put_pair(&b, "id", r->api->app_id);
	put_pair(&b, "runtimeVersion", STR(DAPR_LEVEL));
	put_list(&b, "enabledFeatures", m.features, m.nfeatures);
	put_components(&b, &m);
	put_extended(&b, &m);
	put_subscriptions(&b, &m);
	put_endpoints(&b, m.endpoints);
	put_app(&b, r->api);
	/* Until the actor runtime is there it is what Dapr's is without a placement service. */
	buf_lit(&b, ",\"actorRuntime\":{\"runtimeStatus\":\"DISABLED\",\"hostReady\":false,"
		    "\"placement\":\"placement: disconnected\"}");
	put_resiliencies(&b, &m);
	buf_lit(&b, "}\n");
	request_json(r, 200, buf_str(&b));
}

void metadata_http_put(struct request *r)
{
	struct error e;
	struct str body;

	if (!request_raw_body(r, &body))
		return;
	if (metadata_put(r->api, r->params[0], body) == 0) {
		request_empty(r);
		return;
	}
	e = error_new(r->arena, ERROR_RESOURCE_EXHAUSTED, "ERR_BODY_READ",
		      "failed to read request body: at most 1000 keys of 64 KiB are kept");
	e.http = 400;
	request_fail(r, &e);
}
