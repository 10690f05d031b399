/* SPDX-License-Identifier: Apache-2.0 */
#include "blocks/outbox.h"

#include "base/banned.h"
#include "base/clock.h"
#include "base/jstream.h"
#include "base/log.h"
#include "base/random.h"
#include "blocks/cloudevent.h"
#include "blocks/properties.h"
#include "blocks/pubsub_error.h"
#include "loop/fiber.h"
#include "policy/call.h"

#define LOG_SCOPE "dapr.outbox"
#define MS INT64_C(1000000)
#define CALL_NS (30 * 1000 * MS) /* a store or broker has this long */
#define PROJECTION "outbox.projection"

struct outbox *outbox_new(struct arena *a, struct state_store *store, const struct davit_pair *props, size_t n,
			  struct str app_id, struct str name_space)
{
	struct str pubsub = properties_get(props, n, "outboxPublishPubsub"), why;
	struct str topic = properties_get(props, n, "outboxPublishTopic");
	struct str through = properties_get(props, n, "outboxPubsub");
	struct subscription_rule *rule = arena_zalloc(a, sizeof(*rule));
	struct outbox *o;

	if (pubsub.n == 0 || topic.n == 0)
		return NULL;
	o = arena_zalloc(a, sizeof(*o));
	o->publish_pubsub = pubsub;
	o->publish_topic = topic;
	o->discard = str_truthy(properties_get(props, n, "outboxDiscardWhenMissingState"));
	o->store = store;
	rule->match = STR("");
	rule->path = STR("/");
	o->about = (struct subscription){ .name = STR(""), .dead_letter_topic = STR(""), .nrules = 1, .rules = rule };
	o->about.pubsub = through.n > 0 ? through : pubsub;
	o->about.topic = arena_printf(a, STR_FMT STR_FMT STR_FMT "outbox", STR_ARG(name_space), STR_ARG(app_id),
				      STR_ARG(topic));
	o->routing = routing_new(a, &o->about, &why);
	return o->routing != NULL ? o : NULL;
}

static struct str metadata_of(const struct state_item *item, const char *name)
{
	size_t i;

	for (i = item->nmetadata; i-- > 0;)
		if (davit_str_is(item->metadata[i].key, name))
			return (struct str){ item->metadata[i].value.p, item->metadata[i].value.n };
	return STR("");
}

/* ---- Publishing ---- */

static int is_projection(const struct state_step *step)
{
	return step->operation == STATE_UPSERT && str_truthy(metadata_of(&step->item, PROJECTION));
}

/* What is published of a step: the last that is only there for that, or the step itself. */
static const struct state_item *shown(const struct state_step *steps, size_t n, const struct state_item *item)
{
	const struct state_item *found = item;
	size_t i;

	for (i = 0; i < n; i++)
		if (is_projection(&steps[i]) && str_eq(steps[i].item.key, item->key))
			found = &steps[i].item;
	return found;
}

/* The object with these members in place of its own of the same names; raw: values are JSON, else texts. */
static struct str with_members(struct arena *a, struct str json, const struct davit_pair *pairs, size_t n, int raw)
{
	struct jstream j = jstream_read(json);
	struct buf b = buf_in(a);
	struct str key, value;
	int some = 0;
	size_t i;

	buf_addc(&b, '{');
	if (jstream_enter_object(&j))
		while (jstream_key(&j, a, &key)) {
			value = jstream_raw(&j);
			for (i = 0; i < n && !(pairs[i].key.n == key.n && memcmp(pairs[i].key.p, key.p, key.n) == 0);
			     i++)
				;
			if (i < n)
				continue;
			buf_adds(&b, some++ ? STR(",") : STR(""));
			jstream_put_html(&b, key);
			buf_addc(&b, ':');
			buf_adds(&b, value);
		}
	for (i = 0; i < n; i++) {
		buf_adds(&b, some++ ? STR(",") : STR(""));
		jstream_put_html(&b, (struct str){ pairs[i].key.p, pairs[i].key.n });
		buf_addc(&b, ':');
		if (raw)
			buf_adds(&b, (struct str){ pairs[i].value.p, pairs[i].value.n });
		else
			jstream_put_html(&b, (struct str){ pairs[i].value.p, pairs[i].value.n });
	}
	buf_addc(&b, '}');
	return buf_str(&b);
}

/* As Dapr: the operation's metadata become members of the event, but for its data and id. */
static struct str add_metadata(struct arena *a, struct str json, const struct state_item *item)
{
	struct davit_pair *pairs = arena_alloc(a, (item->nmetadata + 1) * sizeof(*pairs));
	size_t i, k, n = 0;

	for (i = 0; i < item->nmetadata; i++) {
		const struct davit_pair *p = &item->metadata[i];

		if (davit_str_is(p->key, "data") || davit_str_is(p->key, "id"))
			continue;
		for (k = 0; k < n && !(pairs[k].key.n == p->key.n && memcmp(pairs[k].key.p, p->key.p, p->key.n) == 0);
		     k++)
			;
		pairs[k] = *p;
		n += k == n;
	}
	return n > 0 ? with_members(a, json, pairs, n, 0) : json;
}

static int make_event(struct blocks *b, struct arena *a, const struct outbox *o, const struct state_item *item,
		      const struct state_item *of, struct str key, struct str *ret_json, struct str *ret_why)
{
	struct davit_pair id = { davit_str("cloudevent.id"), { key.p, key.n } };
	struct cloudevent e = { .data = of->value,
				.content_type = metadata_of(of, "contentType"),
				.source = b->o.app_id,
				.topic = STR(""),
				.pubsub = o->about.pubsub,
				.trace_parent = STR(""),
				.trace_state = STR(""),
				.metadata = &id,
				.nmetadata = 1,
				.ttl_ns = -1,
				.now_ns = clock_wall_ns() };

	if (of->json && !str_ieq(e.content_type, STR("application/json")))
		e.data = jstream_unquote(a, of->value);
	if (cloudevent_wrap(a, &e, ret_json, ret_why) < 0)
		return -1;
	*ret_json = add_metadata(a, *ret_json, item);
	return 0;
}

static const struct davit_state_op *make_marker(struct arena *a, struct str key)
{
	struct davit_state_set *set = arena_alloc(a, sizeof(*set));
	struct davit_state_op *op = arena_alloc(a, sizeof(*op));

	*set = (struct davit_state_set)DAVIT_INIT(davit_state_set, .flags = DAVIT_STATE_JSON, .key = { key.p, key.n },
						  .value = { "\"0\"", 3 });
	*op = (struct davit_state_op)DAVIT_INIT(davit_state_op, .set = set);
	return op;
}

/* "" or why not. */
static struct str send(struct blocks *b, struct scope *s, struct str pubsub, struct str topic, struct str data,
		       struct str content_type)
{
	struct pubsub *p = map_get(&b->pubsub, pubsub);

	if (p == NULL)
		return arena_printf(s->arena, "pubsub '" STR_FMT "' not found", STR_ARG(pubsub));
	if (!pubsub_scope_publish(&p->scope, topic))
		return arena_printf(s->arena, "topic " STR_FMT " is not allowed for app id " STR_FMT, STR_ARG(topic),
				    STR_ARG(b->o.app_id));
	return pubsub_send(s, p, pubsub_topic_out(s->arena, p, topic), data, content_type, NULL, 0);
}

struct error outbox_publish(struct blocks *b, struct scope *s, struct state_store *store,
			    const struct state_step *steps, size_t n, const struct state_step **ret_steps,
			    size_t *ret_n, const struct davit_state_op **ret_markers, size_t *ret_nmarkers)
{
	struct state_step *kept = arena_alloc(s->arena, (n + 1) * sizeof(*kept));
	const struct outbox *o = store->outbox;
	char uuid[UUID_TEXT];
	struct str key, json, why;
	size_t i, nkept = 0, nmarkers = 0;

	for (i = 0; i < n; i++) {
		if (is_projection(&steps[i]))
			continue;
		kept[nkept++] = steps[i];
		if (steps[i].operation != STATE_UPSERT)
			continue;
		random_uuid(uuid);
		key = arena_printf(s->arena, "outbox-%s", uuid);
		if (make_event(b, s->arena, o, &steps[i].item, shown(steps, n, &steps[i].item), key, &json, &why) == 0)
			why = send(b, s, o->about.pubsub, o->about.topic, json, STR(""));
		if (why.n > 0)
			return pubsub_error_outbox(s->arena, b->o.app_id, why);
		ret_markers[nmarkers++] = make_marker(s->arena, key);
	}
	*ret_steps = kept;
	*ret_n = nkept;
	*ret_nmarkers = nmarkers;
	return ERROR_NONE;
}

/* ---- Delivering ---- */

/* -1: it was cancelled. */
static int rest(struct topic_cancel *cancel, int64_t ns)
{
	int64_t until = clock_ns() + ns;

	cancel->waiting = fiber_self();
	while (!cancel->cancelled && clock_ns() < until)
		fiber_park_until(until);
	cancel->waiting = NULL;
	return cancel->cancelled ? -1 : 0;
}

static struct answer ask(struct outbox *o, struct arena *a, struct str key, davit_op *op)
{
	struct davit_state_key *in = arena_alloc(a, sizeof(*in));
	struct scope *s = arena_zalloc(a, sizeof(*s));

	s->arena = a;
	s->deadline_ns = clock_ns() + CALL_NS;
	*in = (struct davit_state_key)DAVIT_INIT(davit_state_key, .key = { key.p, key.n });
	return call_instance(s, o->store->instance, op, in);
}

static int is_there(const struct answer *got)
{
	const struct record *r;

	for (r = got->records; got->status == DAVIT_OK && r != NULL; r = r->next)
		if (r->kind == davit_state_item_kind && ((const struct davit_state_item *)r->data)->value.n > 0)
			return 1;
	return 0;
}

/* 1: the transaction was made; 0: no trace of it; -1: cancelled. */
static int wait_for_marker(struct outbox *o, struct arena *a, struct str key, struct topic_cancel *cancel)
{
	static const int64_t waits[] = { 1000 * MS, 500 * MS, 1500 * MS, 3000 * MS, 3000 * MS };
	size_t i;

	for (i = 0; i < sizeof(waits) / sizeof(waits[0]); i++) {
		struct answer got;

		if (rest(cancel, waits[i]) < 0)
			return -1;
		got = ask(o, a, key, (davit_op *)(void *)o->store->ops->get);
		if (is_there(&got))
			return 1;
	}
	return 0;
}

static struct topic_answer again(struct arena *a, const struct outbox *o, struct str why)
{
	return (struct topic_answer){
		.verdict = TOPIC_RETRY,
		.why = arena_printf(a, "failed to publish outbox topic to pubsub " STR_FMT ": " STR_FMT,
				    STR_ARG(o->publish_pubsub), STR_ARG(why))
	};
}

static struct topic_answer missing(struct arena *a, const struct outbox *o)
{
	struct str why = arena_printf(a,
				      "cannot publish outbox message to topic " STR_FMT " with pubsub " STR_FMT
				      ": outbox state not found",
				      STR_ARG(o->publish_topic), STR_ARG(o->publish_pubsub));

	log_error("failed to publish outbox topic to pubsub " STR_FMT ": " STR_FMT ", %s", STR_ARG(o->publish_pubsub),
		  STR_ARG(why), o->discard ? "discarding message" : "rejecting for later processing");
	return o->discard ? (struct topic_answer){ .verdict = TOPIC_SUCCESS } : again(a, o, why);
}

static struct str quoted(struct arena *a, struct str text)
{
	struct buf b = buf_in(a);

	jstream_put_html(&b, text);
	return buf_str(&b);
}

struct topic_answer outbox_deliver(struct blocks *b, struct outbox *o, struct arena *a, const struct topic_event *e,
				   struct topic_cancel *cancel)
{
	struct str topic = quoted(a, o->publish_topic), pubsub = quoted(a, o->publish_pubsub), why;
	struct davit_pair members[] = { { davit_str("pubsubname"), { pubsub.p, pubsub.n } },
					{ davit_str("topic"), { topic.p, topic.n } } };
	struct scope *s = arena_zalloc(a, sizeof(*s));
	struct str key = topic_text(a, e->is.id);
	struct answer gone;
	int found = wait_for_marker(o, a, key, cancel);

	if (found < 0)
		return again(a, o, STR("the subscription ends"));
	if (!found)
		return missing(a, o);
	s->arena = a;
	s->deadline_ns = clock_ns() + CALL_NS;
	why = send(b, s, o->publish_pubsub, o->publish_topic, with_members(a, e->json, members, 2, 1),
		   topic_text(a, e->is.datacontenttype));
	if (why.n > 0)
		return again(a, o, why);
	gone = ask(o, a, key, (davit_op *)(void *)o->store->ops->del);
	/* A second event is worse than a marker that stays. */
	if (gone.status != DAVIT_OK)
		log_warn("the outbox marker " STR_FMT " could not be removed from state store " STR_FMT ": " STR_FMT,
			 STR_ARG(key), STR_ARG(o->store->name), STR_ARG(gone.message));
	return (struct topic_answer){ .verdict = TOPIC_SUCCESS };
}
