/* SPDX-License-Identifier: Apache-2.0 */
/* One message's way, from what the component gave to how it is settled. */
#include "base/banned.h"
#include "base/clock.h"
#include "base/log.h"
#include "blocks/subscriber_inside.h"
#include "mesh/call.h"
#include "policy/run.h"

#define LOG_SCOPE "dapr.runtime.processor.subscription"
#define BURY_NS (30 * INT64_C(1000000000)) /* a dead-letter topic's broker has this long */

struct handling {
	struct subscriber *s;
	struct arena *a;
	const struct davit_message *m;
	struct str topic;
	struct topic_event event;
};

static void count(const struct handling *h, const char *process, const char *status, int64_t ns)
{
	metrics_pubsub_received(h->s->o.blocks->o.metrics, h->s->o.pubsub->name, h->topic, str_of(process),
				str_of(status), ns);
}

int delivery_bury(struct subscriber *s, struct arena *a, const struct davit_message *m,
		  const struct davit_pair *metadata, size_t nmetadata)
{
	struct scope scope = { .arena = a, .deadline_ns = clock_ns() + BURY_NS };
	struct str topic = s->o.about->dead_letter_topic, why;
	struct pubsub *p = s->o.pubsub;

	if (topic.n == 0 || s->closing)
		return -1;
	if (!pubsub_scope_publish(&p->scope, topic))
		why = arena_printf(a, "topic " STR_FMT " is not allowed for app id " STR_FMT, STR_ARG(topic),
				   STR_ARG(s->o.blocks->o.app_id));
	else
		why = pubsub_send(&scope, p, pubsub_topic_out(a, p, topic), (struct str){ m->data.p, m->data.n },
				  (struct str){ m->content_type.p, m->content_type.n }, metadata, nmetadata);
	if (why.n == 0)
		return 0;
	log_error("error sending message to dead letter, origin topic: " STR_FMT " dead letter topic " STR_FMT
		  " err: " STR_FMT,
		  STR_ARG(s->o.about->topic), STR_ARG(topic), STR_ARG(why));
	return -1;
}

static int bury(struct handling *h)
{
	return delivery_bury(h->s, h->a, h->m, h->event.metadata, h->event.nmetadata);
}

/* Nothing more can be done with it here. */
static int give_up(struct handling *h)
{
	if (bury(h) == 0) {
		count(h, "drop", "", 0);
		return DAVIT_SETTLE_OK;
	}
	count(h, "retry", "", 0);
	return DAVIT_SETTLE_RETRY;
}

static int drop(struct handling *h)
{
	return bury(h) == 0 ? DAVIT_SETTLE_OK : DAVIT_SETTLE_DROP;
}

static int dropped(struct handling *h, const struct topic_answer *got, int64_t ns)
{
	if (got->asked || got->quiet)
		log_warn(STR_FMT, STR_ARG(got->why));
	else
		log_error(STR_FMT, STR_ARG(got->why));
	count(h, "drop", got->asked ? "success" : "", ns);
	if (got->quiet || h->s->o.about->dead_letter_topic.n == 0)
		return DAVIT_SETTLE_DROP;
	if (bury(h) == 0)
		return DAVIT_SETTLE_OK;
	count(h, "retry", "", 0);
	return DAVIT_SETTLE_RETRY;
}

struct attempt {
	struct handling *h;
	struct topic_cancel *cancel;
	struct topic_answer got;
	int64_t ns; /* what the application took */
};

static struct error try_once(void *attempt)
{
	struct attempt *t = attempt;
	struct handling *h = t->h;
	int64_t began = clock_ns();

	t->got = h->s->o.sink->send(h->s->o.ctx, h->a, &h->event, t->cancel);
	t->ns = clock_ns() - began;
	return ERROR_NONE;
}

static void told_to_retry(struct attempt *t)
{
	struct handling *h = t->h;

	if (t->got.verdict != TOPIC_RETRY || t->cancel->cancelled)
		return;
	count(h, "retry", "", t->ns);
	log_warn("encountered a retriable error while publishing a subscribed message to topic " STR_FMT
		 ", err: " STR_FMT,
		 STR_ARG(h->topic), STR_ARG(t->got.why));
}

static enum policy_verdict verdict_of(const struct attempt *t)
{
	if (t->got.verdict != TOPIC_RETRY)
		return POLICY_WELL;
	return t->cancel->cancelled ? POLICY_FAILED_FOR_GOOD : POLICY_FAILED;
}

/* What runs out of memory is a failure as others are: the breaker has to hear of it. */
static void try_under(struct attempt *t, const struct policy *p)
{
	struct arena *a = t->h->a;
	struct scope *scope = arena_zalloc(a, sizeof(*scope));
	struct policy_run run;
	struct error e;

	scope->arena = a;
	t->cancel->scope = scope;
	policy_start(&run, p, scope);
	do {
		t->got = (struct topic_answer){ .verdict = TOPIC_RETRY };
		if (!policy_enter(&run, &e)) {
			t->got.why = e.message;
			break;
		}
		t->cancel->until_ns = run.until_ns;
		e = mesh_guard(a, try_once, t);
		if (error_is(&e))
			t->got.why = e.message;
		told_to_retry(t);
	} while (policy_again(&run, verdict_of(t), t->got.code ? t->got.code : POLICY_NO_CODE));
	t->cancel->until_ns = 0;
	t->cancel->scope = NULL;
}

static int send(struct handling *h, struct topic_cancel *cancel)
{
	struct attempt t = { .h = h, .cancel = cancel };

	if (h->s->o.pubsub->in != NULL) {
		try_under(&t, h->s->o.pubsub->in);
	} else {
		try_once(&t);
		told_to_retry(&t);
	}
	switch (t.got.verdict) {
	case TOPIC_SUCCESS: count(h, "success", "", t.ns); return DAVIT_SETTLE_OK;
	case TOPIC_DROP: return dropped(h, &t.got, t.ns);
	default: return cancel->cancelled ? DAVIT_SETTLE_RETRY : give_up(h);
	}
}

int delivery_handle(struct subscriber *s, struct arena *a, const struct davit_message *m, struct topic_cancel *cancel)
{
	const struct pubsub *p = s->o.pubsub;
	struct handling h = { .s = s, .a = a, .m = m };
	struct str why;
	int found;

	h.topic = pubsub_topic_in(p, (struct str){ m->topic.p, m->topic.n });
	found = event_read(a, m, p->name, h.topic, s->raw > 0, &h.event, &why);
	if (s->raw < 0) {
		log_error(
			"error deserializing pubsub metadata: the subscription's rawPayload is neither true nor false");
		return give_up(&h);
	}
	if (found < 0) {
		log_error("error deserializing cloud event in pubsub " STR_FMT " and topic " STR_FMT ": " STR_FMT,
			  STR_ARG(p->name), STR_ARG(h.topic), STR_ARG(why));
		return give_up(&h);
	}
	if (event_expired(a, &h.event, clock_wall_ns())) {
		log_warn("dropping expired pub/sub event " STR_FMT " as of " STR_FMT,
			 STR_ARG(topic_shown(a, h.event.is.id)), STR_ARG(topic_shown(a, h.event.is.expiration)));
		count(&h, "drop", "", 0);
		return drop(&h);
	}
	found = routing_find(s->o.routing, a, &h.event, &h.event.path, &why);
	if (found < 0) {
		log_error("error finding matching route for event " STR_FMT " in pubsub " STR_FMT " and topic " STR_FMT
			  ": " STR_FMT,
			  STR_ARG(topic_shown(a, h.event.is.id)), STR_ARG(p->name), STR_ARG(h.topic), STR_ARG(why));
		return give_up(&h);
	}
	if (!found) {
		log_debug("no matching route for event " STR_FMT " in pubsub " STR_FMT " and topic " STR_FMT
			  "; skipping",
			  STR_ARG(topic_shown(a, h.event.is.id)), STR_ARG(p->name), STR_ARG(h.topic));
		count(&h, "drop", "success", 0);
		return drop(&h);
	}
	return send(&h, cancel);
}
