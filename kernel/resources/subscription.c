/* SPDX-License-Identifier: Apache-2.0 */
#include "resources/subscription.h"

#include "base/banned.h"
#include "base/log.h"

#define LOG_SCOPE "dapr.runtime.loader.disk"

struct written_rule {
	struct str match, path;
	const struct yaml_node *node; /* of match */
	int line;
};

struct written { /* both versions; v1alpha1 has route, v2alpha1 routes */
	struct subscription s;
	struct str route, default_path;
	size_t nrules;
	struct written_rule *rules;
};

static const struct field rule_fields[] = {
	FIELD("", FIELD_LINE, struct written_rule, line),
	FIELD("match", FIELD_STR, struct written_rule, match),
	FIELD("match", FIELD_NODE, struct written_rule, node),
	FIELD("path", FIELD_STR, struct written_rule, path),
	FIELD_END,
};

static const struct field routes_fields[] = {
	FIELD_ARRAY("rules", struct written, rules, nrules, rule_fields),
	FIELD("default", FIELD_STR, struct written, default_path),
	FIELD_END,
};

static const struct field bulk_fields[] = {
	FIELD("enabled", FIELD_BOOL, struct written, s.bulk.enabled),
	FIELD("maxMessagesCount", FIELD_INT32, struct written, s.bulk.max_messages),
	FIELD("maxAwaitDurationMs", FIELD_INT32, struct written, s.bulk.max_await_ms),
	FIELD_END,
};

#define SPEC_FIELDS \
	FIELD("pubsubname", FIELD_STR, struct written, s.pubsub), FIELD("topic", FIELD_STR, struct written, s.topic), \
		FIELD("metadata", FIELD_PAIRS, struct written, s.metadata), \
		FIELD("deadLetterTopic", FIELD_STR, struct written, s.dead_letter_topic), \
		FIELD_INLINE("bulkSubscribe", bulk_fields)

static const struct field v1_fields[] = {
	SPEC_FIELDS,
	FIELD("route", FIELD_STR, struct written, route),
	FIELD_END,
};

static const struct field v2_fields[] = {
	SPEC_FIELDS,
	FIELD_INLINE("routes", routes_fields),
	FIELD_END,
};

#define DOCUMENT_FIELDS \
	FIELD_KNOWN("apiVersion"), FIELD_KNOWN("kind"), FIELD_KNOWN("metadata"), FIELD_KNOWN("scopes"), \
		FIELD_KNOWN("status")

static const struct field v1_document[] = {
	DOCUMENT_FIELDS,
	FIELD_INLINE("spec", v1_fields),
	FIELD_END,
};

static const struct field v2_document[] = {
	DOCUMENT_FIELDS,
	FIELD_INLINE("spec", v2_fields),
	FIELD_END,
};

static void take_rules(struct arena *a, const struct written *w, struct subscription *s)
{
	struct str last = w->route.n > 0 ? w->route : w->default_path;
	struct subscription_rule *rules = arena_zalloc(a, (w->nrules + 1) * sizeof(*rules));
	size_t i;

	for (i = 0; i < w->nrules; i++) {
		const struct written_rule *from = &w->rules[i];

		rules[i] = (struct subscription_rule){ from->match, from->path, from->line, 0 };
		if (from->node != NULL) {
			rules[i].line = from->node->line;
			rules[i].column = from->node->column;
		}
	}
	s->nrules = w->nrules;
	if (last.n > 0)
		rules[s->nrules++].path = last;
	s->rules = rules;
}

int subscription_read(struct field_report *report, const struct resource *r, struct subscription *ret)
{
	const struct field *fields = str_is(r->api_version, "dapr.io/v1alpha1") ? v1_document : v2_document;
	struct written w = { .route = STR(""), .default_path = STR("") };

	field_defaults(fields, &w);
	if (field_decode(report, fields, r->root, &w) < 0)
		return -1;
	*ret = w.s;
	ret->name = r->name;
	ret->file = r->file;
	ret->line = r->line;
	take_rules(report->arena, &w, ret);
	return 0;
}

static int read_one(struct field_report *report, const struct resource *r, void *subscription)
{
	return subscription_read(report, r, subscription);
}

struct subscription *subscriptions_read(const struct resources *r, struct arena *a, size_t *ret_n)
{
	return resources_read(r, RESOURCE_SUBSCRIPTION, read_one, sizeof(struct subscription), a, ret_n);
}
