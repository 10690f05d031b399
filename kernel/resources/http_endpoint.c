/* SPDX-License-Identifier: Apache-2.0 */
#include "resources/http_endpoint.h"

#include "base/banned.h"
#include "base/log.h"

#define LOG_SCOPE "dapr.runtime.loader.disk"

struct written {
	struct str base_url, renegotiation, secret_store, version;
	struct component_item tls[HTTP_ENDPOINT_HEADERS];
	struct component_item *headers;
	size_t nheaders;
};

static const struct field secret_fields[] = {
	FIELD("name", FIELD_STR, struct component_secret, name),
	FIELD("key", FIELD_STR, struct component_secret, key),
	FIELD_END,
};

static const struct field header_fields[] = {
	FIELD("", FIELD_LINE, struct component_item, line),
	FIELD("name", FIELD_STR, struct component_item, name),
	FIELD("value", FIELD_JSON, struct component_item, json),
	FIELD("value", FIELD_NODE, struct component_item, node),
	FIELD_SUB("secretKeyRef", struct component_item, secret, secret_fields),
	FIELD("envRef", FIELD_STR, struct component_item, env),
	FIELD_END,
};

static const struct field document_part[] = {
	FIELD("", FIELD_LINE, struct component_item, line),
	FIELD("value", FIELD_JSON, struct component_item, json),
	FIELD("value", FIELD_NODE, struct component_item, node),
	FIELD_SUB("secretKeyRef", struct component_item, secret, secret_fields),
	FIELD_END,
};

static const struct field tls_fields[] = {
	FIELD_SUB("rootCA", struct written, tls[HTTP_ENDPOINT_CA], document_part),
	FIELD_SUB("certificate", struct written, tls[HTTP_ENDPOINT_CERTIFICATE], document_part),
	FIELD_SUB("privateKey", struct written, tls[HTTP_ENDPOINT_KEY], document_part),
	FIELD("renegotiation", FIELD_STR, struct written, renegotiation),
	FIELD_END,
};

static const struct field spec_fields[] = {
	FIELD("version", FIELD_STR, struct written, version),
	FIELD("baseUrl", FIELD_STR, struct written, base_url),
	FIELD_ARRAY("headers", struct written, headers, nheaders, header_fields),
	FIELD_INLINE("clientTLS", tls_fields),
	FIELD_END,
};

static const struct field auth_fields[] = {
	FIELD("secretStore", FIELD_STR, struct written, secret_store),
	FIELD_END,
};

static const struct field document[] = {
	FIELD_KNOWN("apiVersion"),
	FIELD_KNOWN("kind"),
	FIELD_KNOWN("metadata"),
	FIELD_KNOWN("scopes"),
	FIELD_KNOWN("status"),
	FIELD_INLINE("spec", spec_fields),
	FIELD_INLINE("auth", auth_fields),
	FIELD_END,
};

static void finish(struct arena *a, struct component_item *item)
{
	item->value = item->json.p ? item->json : STR("");
	if (item->node != NULL && yaml_resolve(item->node, YAML_RESOURCE).type == YAML_STRING)
		item->value = yaml_text(a, item->node, YAML_RESOURCE);
}

static int read_one(struct field_report *report, const struct resource *r, void *endpoint)
{
	struct http_endpoint *ret = endpoint;
	static const char *const names[] = { "clientTLS.rootCA", "clientTLS.certificate", "clientTLS.privateKey" };
	struct written w = { .nheaders = 0 };
	struct component_item *items;
	size_t i;

	field_defaults(document, &w);
	if (field_decode(report, document, r->root, &w) < 0)
		return -1;
	if (w.base_url.n == 0) {
		field_problem(report, r->root, "spec.baseUrl",
			      "is required: the URL of the server, such as "
			      "https://example.com/path");
		return -1;
	}
	items = arena_zalloc(report->arena, (HTTP_ENDPOINT_HEADERS + w.nheaders) * sizeof(*items));
	memcpy(items, w.tls, sizeof(w.tls));
	if (w.nheaders > 0)
		memcpy(items + HTTP_ENDPOINT_HEADERS, w.headers, w.nheaders * sizeof(*items));
	for (i = 0; i < HTTP_ENDPOINT_HEADERS + w.nheaders; i++) {
		if (i < HTTP_ENDPOINT_HEADERS)
			items[i].name = str_of(names[i]);
		finish(report->arena, &items[i]);
	}
	*ret = (struct http_endpoint){ .name = r->name,
				       .base_url = w.base_url,
				       .renegotiation = w.renegotiation,
				       .file = r->file,
				       .line = r->line };
	ret->values = (struct component){ .name = r->name,
					  .namespace = r->namespace,
					  .items = items,
					  .nitems = HTTP_ENDPOINT_HEADERS + w.nheaders,
					  .secret_store = w.secret_store,
					  .file = r->file,
					  .line = r->line,
					  .log_name = r->log_name };
	return 0;
}

struct http_endpoint *http_endpoints_read(const struct resources *r, struct arena *a, size_t *ret_n)
{
	return resources_read(r, RESOURCE_HTTP_ENDPOINT, read_one, sizeof(struct http_endpoint), a, ret_n);
}
