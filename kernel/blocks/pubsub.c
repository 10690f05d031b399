/* SPDX-License-Identifier: Apache-2.0 */
#include "blocks/pubsub.h"

#include "base/banned.h"
#include "base/clock.h"
#include "blocks/cloudevent.h"
#include "blocks/properties.h"
#include "blocks/pubsub_error.h"
#include "blocks/pubsub_inside.h"
#include "mesh/message.h"
#include "policy/call.h"

#define SECOND INT64_C(1000000000)

static int asks_for_namespace(const struct component *c)
{
	size_t i;

	for (i = 0; i < c->nitems; i++)
		if (str_find(c->items[i].value, STR("{namespace}")) >= 0)
			return 1;
	return 0;
}

struct pubsub *pubsub_new(struct blocks *b, const struct opened *o, const struct davit_pair *props, size_t n)
{
	struct pubsub *p = arena_zalloc(b->arena, sizeof(*p));

	p->name = o->resource->name;
	p->instance = o->instance;
	p->ops = o->type->ops;
	p->features = p->ops->features | instance_features(o->instance);
	p->out = policies_component(b->o.policies, p->name, POLICY_PUBSUB, 0);
	p->in = policies_component(b->o.policies, p->name, POLICY_PUBSUB, 1);
	p->scope = pubsub_scope_read(b->arena, props, n, b->o.app_id);
	p->topic_prefix = asks_for_namespace(o->resource) ? b->o.name_space : STR("");
	return map_set(&b->pubsub, p->name, p, NULL) < 0 ? NULL : p;
}

static struct error check_raw(struct arena *a, struct str name, struct pubsub_request *r)
{
	size_t i;

	for (i = r->nmetadata; i-- > 0;) {
		struct str value = { r->metadata[i].value.p, r->metadata[i].value.n };

		if (davit_str_is(r->metadata[i].key, "rawPayload") && value.n > 0)
			return str_bool(value, &r->raw) == 0
				       ? ERROR_NONE
				       : pubsub_error_raw_payload(a, name, value, r->metadata, r->nmetadata);
	}
	return ERROR_NONE;
}

struct error pubsub_find(const struct blocks *b, struct arena *a, struct str name, struct pubsub_request *r,
			 struct pubsub **ret_pubsub)
{
	struct pubsub *p;

	if (b == NULL) /* not open yet */
		return pubsub_error_not_configured(a, name, r->metadata, r->nmetadata);
	if (name.n == 0)
		return pubsub_error_name_empty(a, r->metadata, r->nmetadata);
	p = map_get(&b->pubsub, name);
	if (p == NULL)
		return pubsub_error_not_found(a, name, r->metadata, r->nmetadata);
	if (r->topic.n == 0)
		return pubsub_error_topic_empty(a, name, r->metadata, r->nmetadata);
	*ret_pubsub = p;
	return check_raw(a, name, r);
}

struct str pubsub_topic_out(struct arena *a, const struct pubsub *p, struct str topic)
{
	return p->topic_prefix.n ? arena_printf(a, STR_FMT STR_FMT, STR_ARG(p->topic_prefix), STR_ARG(topic)) : topic;
}

struct str pubsub_topic_in(const struct pubsub *p, struct str topic)
{
	return str_starts(topic, p->topic_prefix) ? str_from(topic, p->topic_prefix.n) : topic;
}

static struct davit_str out(struct str s)
{
	return (struct davit_str){ s.p ? s.p : "", s.n };
}

static int64_t ttl_seconds(const struct pubsub *p, const struct davit_pair *metadata, size_t n)
{
	int64_t ns = p->features & DAVIT_PUBSUB_TTL ? cloudevent_ttl_ns(metadata, n) : -1;

	return ns < 0 ? 0 : ns < SECOND ? 1 : ns / SECOND;
}

const struct davit_publish *pubsub_record(struct arena *a, const struct pubsub *p, struct str topic, struct str data,
					  const struct pubsub_event *e)
{
	struct davit_publish *in = arena_alloc(a, sizeof(*in));

	*in = (struct davit_publish)DAVIT_INIT(davit_publish, .topic = out(topic), .data = { data.p, data.n },
					       .ttl_s = ttl_seconds(p, e->metadata, e->nmetadata),
					       .metadata = e->metadata, .nmetadata = e->nmetadata);
	if (e->content_type.n > 0)
		in->content_type = out(e->content_type);
	if (e->entry_id.n > 0)
		in->entry_id = out(e->entry_id);
	return in;
}

struct str pubsub_why(const struct answer *got)
{
	return got->message.n ? got->message : str_of(error_code_name(got->status));
}

int pubsub_code(const struct answer *got, int http)
{
	if (got->error == NULL || got->error->code == ERROR_OK)
		return POLICY_NO_CODE; /* as Dapr: only components of other processes have codes */
	return http ? mesh_http_of_code(got->error->code) : got->error->code;
}

struct answer pubsub_send_record(struct scope *s, const struct pubsub *p, const struct davit_publish *in, int http)
{
	struct answer got = { .message = STR("") };
	struct error refusal = ERROR_NONE;
	struct policy_run run;

	if (p->ops->publish == NULL)
		return (struct answer){ .status = DAVIT_UNIMPLEMENTED,
					.message = STR("this component does not publish") };
	policy_start(&run, p->out, s);
	do {
		if (!policy_enter(&run, &refusal))
			break;
		got = call_until(s, run.until_ns, p->instance, (davit_op *)(void *)p->ops->publish, in);
	} while (policy_again(&run, got.status == DAVIT_OK ? POLICY_WELL : POLICY_FAILED, pubsub_code(&got, http)));
	return policy_answer(&run, got, &refusal);
}

struct str pubsub_send(struct scope *s, struct pubsub *p, struct str topic, struct str data, struct str content_type,
		       const struct davit_pair *metadata, size_t nmetadata)
{
	struct pubsub_event e = { .content_type = content_type, .metadata = metadata, .nmetadata = nmetadata };
	struct answer got = pubsub_send_record(s, p, pubsub_record(s->arena, p, topic, data, &e), 0);

	return got.status == DAVIT_OK ? STR("") : pubsub_why(&got);
}

struct error pubsub_envelope(const struct blocks *b, struct arena *a, const struct pubsub *p,
			     const struct pubsub_request *r, const struct pubsub_event *event,
			     const struct trace_context *trace, struct str *ret_data)
{
	struct cloudevent e = { .data = event->data,
				.content_type = event->content_type,
				.source = b->o.app_id,
				.topic = r->topic,
				.pubsub = p->name,
				.metadata = event->metadata,
				.nmetadata = event->nmetadata,
				.ttl_ns = -1,
				.now_ns = clock_wall_ns(),
				.trace_parent = STR(""),
				.trace_state = STR("") };
	char text[TRACE_PARENT_TEXT + 1];
	struct str why;

	if (trace != NULL && trace_valid(trace)) {
		trace_parent_text(trace, text);
		e.trace_parent = (struct str){ text, TRACE_PARENT_TEXT };
		e.trace_state = trace->state;
	}
	if (!(p->features & DAVIT_PUBSUB_TTL))
		e.ttl_ns = cloudevent_ttl_ns(event->metadata, event->nmetadata);
	if (cloudevent_wrap(a, &e, ret_data, &why) == 0)
		return ERROR_NONE;
	return pubsub_error_envelope(a, p->name, b->o.app_id, why);
}

struct error pubsub_publish(struct blocks *b, struct scope *s, struct pubsub *p, const struct pubsub_request *r,
			    const struct pubsub_event *event)
{
	struct pubsub_event plain = *event;
	struct str data = event->data;
	struct error e = ERROR_NONE;
	struct answer got;
	int64_t began;

	if (!r->raw)
		e = pubsub_envelope(b, s->arena, p, r, event, r->trace, &data);
	if (error_is(&e))
		return e;
	plain.content_type = STR(""); /* the envelope has it; without one a component is not told either, as in Dapr */
	began = clock_ns();
	if (!pubsub_scope_publish(&p->scope, r->topic)) {
		metrics_pubsub_published(b->o.metrics, p->name, r->topic, 0, clock_ns() - began);
		return pubsub_error_forbidden(s->arena, p->name, r->topic, b->o.app_id);
	}
	got = pubsub_send_record(s, p,
				 pubsub_record(s->arena, p, pubsub_topic_out(s->arena, p, r->topic), data, &plain),
				 r->http);
	metrics_pubsub_published(b->o.metrics, p->name, r->topic, got.status == DAVIT_OK, clock_ns() - began);
	return got.status == DAVIT_OK ? ERROR_NONE
				      : pubsub_error_publish(s->arena, p->name, r->topic, pubsub_why(&got));
}
