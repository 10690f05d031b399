/* SPDX-License-Identifier: Apache-2.0 */
/* What an application says that it subscribes to, over either wire. */
#include "app/topic_event.h"
#include "base/banned.h"
#include "base/jstream.h"
#include "base/log.h"

#define LOG_SCOPE "dapr.runtime.processor.subscription"
#define LIST_MOST 10000 /* subscriptions, and rules of one */

struct reading {
	struct arena *a;
	struct jstream j;
	struct str wrong; /* the first member that was of another type than wanted; p == NULL: none */
};

static int go_on(const struct reading *r)
{
	return r->j.error == NULL && r->wrong.p == NULL;
}

static void mismatch(struct reading *r, const char *name, const char *wanted)
{
	if (r->wrong.p == NULL && r->j.error == NULL)
		r->wrong = arena_printf(r->a, "%s must be %s", name, wanted);
}

/* 1: the next value is null, which changes nothing, and was read. */
static int read_null(struct reading *r)
{
	if (jstream_peek(&r->j) != JSTREAM_NULL)
		return 0;
	jstream_skip(&r->j);
	return 1;
}

static void read_text(struct reading *r, const char *name, struct str *ret)
{
	if (!read_null(r) && !jstream_string(&r->j, r->a, ret))
		mismatch(r, name, "a text");
}

static void read_number(struct reading *r, const char *name, int32_t *ret)
{
	int64_t v;

	if (read_null(r))
		return;
	if (jstream_peek(&r->j) == JSTREAM_NUMBER && str_int(jstream_raw(&r->j), &v) == 0 && v >= INT32_MIN &&
	    v <= INT32_MAX)
		*ret = (int32_t)v;
	else
		mismatch(r, name, "a whole number");
}

static void read_bool(struct reading *r, const char *name, int *ret)
{
	if (read_null(r))
		return;
	if (jstream_peek(&r->j) == JSTREAM_BOOL)
		*ret = str_is(jstream_raw(&r->j), "true"); /* nothing when it only begins like one */
	else
		mismatch(r, name, "true or false");
}

static int enter_object(struct reading *r, const char *name)
{
	if (read_null(r))
		return 0;
	if (jstream_enter_object(&r->j))
		return 1;
	mismatch(r, name, "an object");
	return 0;
}

static int by_key(const void *a, const void *b)
{
	return str_cmp(((const struct error_pair *)a)->key, ((const struct error_pair *)b)->key);
}

static void read_metadata(struct reading *r, struct pairs *ret)
{
	struct pairs list = { 0, NULL };
	size_t room = 0, i;
	struct str key, value;

	if (!enter_object(r, "metadata"))
		return;
	while (go_on(r) && jstream_key(&r->j, r->a, &key)) {
		value = STR("");
		read_text(r, "a value of metadata", &value);
		for (i = 0; i < list.n && !str_eq(list.p[i].key, key); i++)
			;
		if (i == list.n) {
			if (list.n == room) {
				list.p = arena_grow(r->a, list.p, room * sizeof(*list.p),
						    (2 * room + 8) * sizeof(*list.p));
				room = 2 * room + 8;
			}
			list.n++;
		}
		list.p[i] = (struct error_pair){ arena_str(r->a, key), arena_str(r->a, value) };
	}
	if (list.n > 1)
		qsort(list.p, list.n, sizeof(*list.p), by_key);
	*ret = list;
}

static struct subscription_rule *add_rule(struct arena *a, struct subscription *s, size_t *room)
{
	if (s->nrules + 1 >= *room) { /* one more for the default path */
		s->rules = arena_grow(a, s->rules, *room * sizeof(*s->rules), (2 * *room + 4) * sizeof(*s->rules));
		*room = 2 * *room + 4;
	}
	s->rules[s->nrules] = (struct subscription_rule){ .match = STR(""), .path = STR("") };
	return &s->rules[s->nrules++];
}

static void read_rules(struct reading *r, struct subscription *s, size_t *room)
{
	struct subscription_rule *rule;
	struct str key;

	if (read_null(r))
		return;
	if (!jstream_enter_array(&r->j)) {
		mismatch(r, "routes.rules", "a list");
		return;
	}
	while (go_on(r) && s->nrules < LIST_MOST && jstream_next(&r->j)) {
		rule = add_rule(r->a, s, room);
		if (!enter_object(r, "a rule"))
			continue;
		while (go_on(r) && jstream_key(&r->j, r->a, &key)) {
			if (str_ieq(key, STR("match")))
				read_text(r, "routes.rules.match", &rule->match);
			else if (str_ieq(key, STR("path")))
				read_text(r, "routes.rules.path", &rule->path);
			else
				jstream_skip(&r->j);
		}
	}
}

static void read_routes(struct reading *r, struct subscription *s, size_t *room, struct str *ret_default)
{
	struct str key;

	if (!enter_object(r, "routes"))
		return;
	while (go_on(r) && jstream_key(&r->j, r->a, &key)) {
		if (str_ieq(key, STR("rules")))
			read_rules(r, s, room);
		else if (str_ieq(key, STR("default")))
			read_text(r, "routes.default", ret_default);
		else
			jstream_skip(&r->j);
	}
}

static void read_bulk(struct reading *r, struct subscription *s)
{
	struct str key;

	if (!enter_object(r, "bulkSubscribe"))
		return;
	while (go_on(r) && jstream_key(&r->j, r->a, &key)) {
		if (str_ieq(key, STR("enabled")))
			read_bool(r, "bulkSubscribe.enabled", &s->bulk.enabled);
		else if (str_ieq(key, STR("maxMessagesCount")))
			read_number(r, "bulkSubscribe.maxMessagesCount", &s->bulk.max_messages);
		else if (str_ieq(key, STR("maxAwaitDurationMs")))
			read_number(r, "bulkSubscribe.maxAwaitDurationMs", &s->bulk.max_await_ms);
		else
			jstream_skip(&r->j);
	}
}

static void read_member(struct reading *r, struct str key, struct subscription *s, size_t *room, struct str *route,
			struct str *last)
{
	if (str_ieq(key, STR("pubsubname")))
		read_text(r, "pubsubname", &s->pubsub);
	else if (str_ieq(key, STR("topic")))
		read_text(r, "topic", &s->topic);
	else if (str_ieq(key, STR("deadLetterTopic")))
		read_text(r, "deadLetterTopic", &s->dead_letter_topic);
	else if (str_ieq(key, STR("metadata")))
		read_metadata(r, &s->metadata);
	else if (str_ieq(key, STR("route")))
		read_text(r, "route", route);
	else if (str_ieq(key, STR("routes")))
		read_routes(r, s, room, last);
	else if (str_ieq(key, STR("bulkSubscribe")))
		read_bulk(r, s);
	else
		jstream_skip(&r->j);
}

static struct subscription empty_subscription(void)
{
	return (struct subscription){
		.name = STR(""), .pubsub = STR(""), .topic = STR(""), .dead_letter_topic = STR("")
	};
}

/* Texts may borrow from the body so far. */
static void keep(struct arena *a, struct subscription *s)
{
	size_t i;

	s->pubsub = arena_str(a, s->pubsub);
	s->topic = arena_str(a, s->topic);
	s->dead_letter_topic = arena_str(a, s->dead_letter_topic);
	for (i = 0; i < s->nrules; i++) {
		s->rules[i].match = arena_str(a, s->rules[i].match);
		s->rules[i].path = arena_str(a, s->rules[i].path);
	}
}

static void read_subscription(struct reading *r, struct subscription *s)
{
	struct str key, route = STR(""), last = STR("");
	size_t room = 0;

	*s = empty_subscription();
	if (!enter_object(r, "a subscription"))
		return;
	while (go_on(r) && jstream_key(&r->j, r->a, &key))
		read_member(r, key, s, &room, &route, &last);
	if (last.n == 0)
		last = route;
	if (last.n > 0)
		add_rule(r->a, s, &room)->path = last;
	keep(r->a, s);
}

int topic_list_http(struct arena *a, struct str body, struct subscription **ret_list, size_t *ret_n,
		    struct str *ret_why)
{
	struct reading r = { .a = a, .j = jstream_read(body) };
	struct subscription *list = NULL;
	size_t n = 0, room = 0;

	*ret_list = NULL;
	*ret_n = 0;
	if (str_trim(body).n == 0 || read_null(&r))
		return 0;
	if (!jstream_enter_array(&r.j))
		mismatch(&r, "the answer", "a list");
	while (go_on(&r) && n < LIST_MOST && jstream_next(&r.j)) {
		if (n == room) {
			list = arena_grow(a, list, room * sizeof(*list), (2 * room + 8) * sizeof(*list));
			room = 2 * room + 8;
		}
		read_subscription(&r, &list[n]);
		if (go_on(&r) && list[n].nrules == 0)
			log_warn("topic " STR_FMT " has an empty routes. removing from subscriptions list",
				 STR_ARG(list[n].topic));
		else
			n++;
	}
	if (!go_on(&r)) {
		*ret_why = r.wrong.p ? r.wrong : arena_printf(a, "%s at byte %zu", r.j.error, r.j.at);
		return -1;
	}
	*ret_list = list;
	*ret_n = n;
	return 0;
}

static struct str text_of(struct arena *a, const char *s)
{
	return arena_str(a, str_of(s ? s : ""));
}

static void take_routes(struct arena *a, const Dapr__Proto__Runtime__V1__TopicRoutes *from, struct subscription *s)
{
	size_t i, n = from ? from->n_rules : 0;

	s->rules = arena_zalloc(a, (n + 1) * sizeof(*s->rules));
	for (i = 0; i < n; i++)
		s->rules[s->nrules++] = (struct subscription_rule){ .match = text_of(a, from->rules[i]->match),
								    .path = text_of(a, from->rules[i]->path) };
	if (n == 0 || (from->default_ != NULL && from->default_[0] != '\0'))
		s->rules[s->nrules++] = (struct subscription_rule){ .match = STR(""),
								    .path = text_of(a, from ? from->default_ : "") };
}

void topic_list_grpc(struct arena *a, const Dapr__Proto__Runtime__V1__ListTopicSubscriptionsResponse *reply,
		     struct subscription **ret_list, size_t *ret_n)
{
	struct subscription *list = arena_zalloc(a, (reply->n_subscriptions + 1) * sizeof(*list));
	size_t i, k;

	for (i = 0; i < reply->n_subscriptions; i++) {
		const Dapr__Proto__Runtime__V1__TopicSubscription *from = reply->subscriptions[i];
		struct subscription *s = &list[i];

		*s = empty_subscription();
		s->pubsub = text_of(a, from->pubsub_name);
		s->topic = text_of(a, from->topic);
		s->dead_letter_topic = text_of(a, from->dead_letter_topic);
		s->metadata.p = arena_zalloc(a, (from->n_metadata + 1) * sizeof(*s->metadata.p));
		s->metadata.n = from->n_metadata;
		for (k = 0; k < from->n_metadata; k++)
			s->metadata.p[k] = (struct error_pair){ text_of(a, from->metadata[k]->key),
								text_of(a, from->metadata[k]->value) };
		qsort(s->metadata.p, s->metadata.n, sizeof(*s->metadata.p), by_key);
		take_routes(a, from->routes, s);
		if (from->bulk_subscribe != NULL) {
			s->bulk.enabled = from->bulk_subscribe->enabled;
			s->bulk.max_messages = from->bulk_subscribe->max_messages_count;
			s->bulk.max_await_ms = from->bulk_subscribe->max_await_duration_ms;
		}
	}
	*ret_list = list;
	*ret_n = reply->n_subscriptions;
}
