/* SPDX-License-Identifier: Apache-2.0 */
#include "blocks/pubsub_scope.h"

#include "base/banned.h"
#include "blocks/properties.h"

static struct str without_spaces(struct arena *a, struct str s)
{
	char *out = arena_alloc(a, s.n + 1);
	size_t i, n = 0;

	for (i = 0; i < s.n; i++)
		if (s.p[i] != ' ')
			out[n++] = s.p[i];
	out[n] = '\0';
	return (struct str){ out, n };
}

static void add_topics(struct arena *a, struct str text, struct pubsub_topics *topics)
{
	struct str *list, topic;
	size_t i, most = topics->n + 1;

	for (i = 0; i < text.n; i++)
		most += text.p[i] == ',';
	list = arena_alloc(a, most * sizeof(*list));
	if (topics->n > 0)
		memcpy(list, topics->list, topics->n * sizeof(*list));
	topics->list = list;
	if (text.n == 0) { /* "app=": the one topic of no name, so none at all */
		list[topics->n++] = STR("");
		return;
	}
	while (str_split(&text, ',', &topic))
		list[topics->n++] = topic;
}

static struct pubsub_topics plain(struct arena *a, struct str text)
{
	struct pubsub_topics topics = { .n = 0 };

	if (text.n > 0)
		add_topics(a, without_spaces(a, text), &topics);
	return topics;
}

/* "app1=t1,t2;app2=t3": what stands behind a second '=' is nobody's. */
static struct pubsub_topics scoped(struct arena *a, struct str text, struct str app_id)
{
	struct pubsub_topics topics = { .n = 0 };
	struct str rest = without_spaces(a, text.p ? text : STR("")), one, app, behind, more;

	while (str_split(&rest, ';', &one)) {
		if (!str_cut(one, '=', &app, &behind) || !str_eq(app, app_id))
			continue;
		str_cut(behind, '=', &behind, &more);
		add_topics(a, behind, &topics);
	}
	return topics;
}

struct pubsub_scope pubsub_scope_read(struct arena *a, const struct davit_pair *props, size_t n, struct str app_id)
{
	return (struct pubsub_scope){
		.allowed = plain(a, properties_get(props, n, "allowedTopics")),
		.protected = plain(a, properties_get(props, n, "protectedTopics")),
		.publishing = scoped(a, properties_get(props, n, "publishingScopes"), app_id),
		.subscribing = scoped(a, properties_get(props, n, "subscriptionScopes"), app_id),
	};
}

static int has(const struct pubsub_topics *topics, struct str topic)
{
	size_t i;

	for (i = 0; i < topics->n; i++)
		if (str_eq(topics->list[i], topic))
			return 1;
	return 0;
}

static int may(const struct pubsub_scope *s, const struct pubsub_topics *scope, struct str topic)
{
	if (s->allowed.n > 0 && !has(&s->allowed, topic))
		return 0;
	if (scope->n == 0 && !has(&s->protected, topic))
		return 1;
	return has(scope, topic);
}

int pubsub_scope_publish(const struct pubsub_scope *s, struct str topic)
{
	return may(s, &s->publishing, topic);
}

int pubsub_scope_subscribe(const struct pubsub_scope *s, struct str topic)
{
	return may(s, &s->subscribing, topic);
}
