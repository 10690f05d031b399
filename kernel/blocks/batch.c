/* SPDX-License-Identifier: Apache-2.0 */
/* Several messages' way together: each becomes an entry, entries of one path go out in one request. */
#include "base/banned.h"
#include "base/clock.h"
#include "base/jstream.h"
#include "base/log.h"
#include "base/random.h"
#include "blocks/cloudevent.h"
#include "blocks/subscriber_inside.h"
#include "mesh/call.h"
#include "policy/run.h"

#define LOG_SCOPE "dapr.runtime.processor.subscription"

struct batch {
	struct subscriber *s;
	struct arena *a;
	size_t n;
	struct topic_entry *entries;
	struct topic_event *events; /* one an entry */
	struct delivery **deliveries;
	int64_t ns; /* what the application took */
};

static const struct davit_message *message_of(const struct batch *b, size_t i)
{
	return b->deliveries[i]->m->record;
}

static void fail(struct topic_entry *e, struct str why)
{
	e->state = TOPIC_ENTRY_FAILED;
	e->why = why;
}

static int bury(struct batch *b, size_t i)
{
	return delivery_bury(b->s, b->a, message_of(b, i), b->entries[i].metadata, b->entries[i].nmetadata);
}

/* An envelope, or for rules alone a raw payload as a text. */
static int read_event(struct batch *b, size_t i, struct str *ret_why)
{
	const struct davit_message *m = message_of(b, i);
	struct topic_event *event = &b->events[i];
	struct topic_entry *e = &b->entries[i];
	struct buf text = buf_in(b->a);

	if (b->s->raw) {
		jstream_put(&text, e->raw);
		*event = (struct topic_event){ .json = buf_str(&text) };
		return 0;
	}
	if (event_read(b->a, m, b->s->o.pubsub->name, b->s->o.about->topic, 0, event, ret_why) < 0)
		return -1;
	e->event = event;
	return 0;
}

/* Which path it goes to, if any; what does not is settled in its state. */
static void prepare(struct batch *b, size_t i)
{
	const struct subscriber *s = b->s;
	struct topic_event *event = &b->events[i];
	struct topic_entry *e = &b->entries[i];
	struct str why;
	int found;

	if (s->raw < 0) {
		log_error(
			"error deserializing pubsub metadata: the subscription's rawPayload is neither true nor false");
		fail(e, STR("the subscription's rawPayload is neither true nor false"));
		return;
	}
	if (read_event(b, i, &why) < 0) {
		log_error("error deserializing one of the messages in bulk cloud event in pubsub " STR_FMT
			  " and topic " STR_FMT ": " STR_FMT,
			  STR_ARG(s->o.pubsub->name), STR_ARG(s->o.about->topic), STR_ARG(why));
		fail(e, why);
		return;
	}
	if (e->event != NULL && event_expired(b->a, event, clock_wall_ns())) {
		log_warn("dropping expired pub/sub event " STR_FMT " as of " STR_FMT,
			 STR_ARG(topic_shown(b->a, event->is.id)), STR_ARG(topic_shown(b->a, event->is.expiration)));
		e->state = TOPIC_ENTRY_DROPPED;
		e->dead_letter = 1;
		return;
	}
	found = routing_find(s->o.routing, b->a, event, &event->path, &why);
	if (found < 0) {
		log_error("Error finding matching route for event in bulk subscribe " STR_FMT " and topic " STR_FMT
			  " for entry id " STR_FMT ": " STR_FMT,
			  STR_ARG(s->o.pubsub->name), STR_ARG(s->o.about->topic), STR_ARG(e->id), STR_ARG(why));
		fail(e, why);
	} else if (!found) {
		log_warn("No matching route for event in pubsub " STR_FMT " and topic " STR_FMT "; skipping",
			 STR_ARG(s->o.pubsub->name), STR_ARG(s->o.about->topic));
		e->state = TOPIC_ENTRY_DROPPED;
		e->dead_letter = 1;
	}
}

static void make_entry(struct batch *b, size_t i)
{
	const struct davit_message *m = message_of(b, i);
	char id[UUID_TEXT];

	random_uuid(id);
	b->entries[i] = (struct topic_entry){ .id = arena_str(b->a, str_of(id)),
					      .content_type = { m->content_type.p ? m->content_type.p : "",
								m->content_type.n },
					      .metadata = m->metadata,
					      .nmetadata = m->nmetadata,
					      .raw = { m->data.p ? m->data.p : "", m->data.n } };
	prepare(b, i);
}

/* All that wait for the path of the first that waits. 0: none waits. */
static int gather(struct batch *b, struct topic_bulk *bulk, size_t *from)
{
	size_t i;

	bulk->nentries = 0;
	for (i = *from; i < b->n; i++) {
		if (b->entries[i].state != TOPIC_ENTRY_OPEN)
			continue;
		if (bulk->nentries == 0) {
			bulk->path = b->events[i].path;
			*from = i + 1;
		}
		if (str_eq(bulk->path, b->events[i].path))
			bulk->entries[bulk->nentries++] = &b->entries[i];
	}
	return bulk->nentries > 0;
}

struct attempt {
	struct batch *b;
	struct topic_bulk *bulk;
	struct topic_bulk_answer got;
};

static struct error try_once(void *attempt)
{
	struct attempt *t = attempt;
	struct subscriber *s = t->b->s;
	int64_t began = clock_ns();

	t->got = s->o.sink->send_bulk(s->o.ctx, t->b->a, t->bulk, &s->bulk_cancel);
	t->b->ns += clock_ns() - began;
	if (t->got.why.n > 0 && !s->bulk_cancel.cancelled)
		log_warn("bulk subscribe on topic " STR_FMT ": " STR_FMT, STR_ARG(t->bulk->topic), STR_ARG(t->got.why));
	return ERROR_NONE;
}

static size_t count_failed(const struct topic_bulk *bulk)
{
	size_t i, n = 0;

	for (i = 0; i < bulk->nentries; i++)
		n += bulk->entries[i]->state == TOPIC_ENTRY_FAILED || bulk->entries[i]->state == TOPIC_ENTRY_OPEN;
	return n;
}

/* What was taken does not go again. */
static void keep_failed(struct topic_bulk *bulk)
{
	size_t i, kept = 0;

	for (i = 0; i < bulk->nentries; i++) {
		struct topic_entry *e = bulk->entries[i];

		if (e->state != TOPIC_ENTRY_FAILED && e->state != TOPIC_ENTRY_OPEN)
			continue;
		e->state = TOPIC_ENTRY_OPEN;
		bulk->entries[kept++] = e;
	}
	bulk->nentries = kept;
}

static void fail_open(struct topic_bulk *bulk, struct str why)
{
	size_t i;

	for (i = 0; i < bulk->nentries; i++)
		if (bulk->entries[i]->state == TOPIC_ENTRY_OPEN)
			fail(bulk->entries[i], why);
}

static void try_under(struct attempt *t, const struct policy *p)
{
	struct topic_cancel *cancel = &t->b->s->bulk_cancel;
	struct scope *scope = arena_zalloc(t->b->a, sizeof(*scope));
	enum policy_verdict v;
	struct policy_run run;
	struct error e;

	scope->arena = t->b->a;
	cancel->scope = scope;
	policy_start(&run, p, scope);
	do {
		keep_failed(t->bulk);
		if (!policy_enter(&run, &e)) {
			fail_open(t->bulk, e.message);
			break;
		}
		cancel->until_ns = run.until_ns;
		e = mesh_guard(t->b->a, try_once, t);
		if (error_is(&e))
			fail_open(t->bulk, e.message);
		v = count_failed(t->bulk) == 0 ? POLICY_WELL
		    : cancel->cancelled	       ? POLICY_FAILED_FOR_GOOD
					       : POLICY_FAILED;
	} while (policy_again(&run, v, POLICY_NO_CODE));
	cancel->until_ns = 0;
	cancel->scope = NULL;
}

static void send_all(struct batch *b)
{
	struct str name = b->s->o.pubsub->name;
	struct davit_pair *metadata = arena_alloc(b->a, sizeof(*metadata));
	struct topic_bulk bulk = {
		.topic = b->s->o.about->topic, .pubsub = name, .metadata = metadata, .nmetadata = 1
	};
	struct attempt t = { .b = b, .bulk = &bulk };
	size_t from = 0;

	*metadata = (struct davit_pair){ davit_str("pubsubName"), { name.p, name.n } };
	bulk.entries = arena_alloc(b->a, (b->n + 1) * sizeof(*bulk.entries));
	while (gather(b, &bulk, &from)) {
		if (b->s->o.pubsub->in != NULL)
			try_under(&t, b->s->o.pubsub->in);
		else
			try_once(&t);
	}
}

/* How each is settled, with its dead letter where it becomes one. */
static void conclude(struct batch *b, int *outcomes)
{
	int64_t done = 0, dropped = 0, failed = 0;
	size_t i;

	for (i = 0; i < b->n; i++) {
		const struct topic_entry *e = &b->entries[i];

		outcomes[i] = DAVIT_SETTLE_RETRY;
		if (e->state == TOPIC_ENTRY_DONE) {
			outcomes[i] = DAVIT_SETTLE_OK;
			done++;
		} else if (e->state == TOPIC_ENTRY_DROPPED) {
			outcomes[i] = e->dead_letter && bury(b, i) == 0 ? DAVIT_SETTLE_OK : DAVIT_SETTLE_DROP;
			dropped++;
		} else if (!b->s->bulk_cancel.cancelled && bury(b, i) == 0) {
			outcomes[i] = DAVIT_SETTLE_OK;
			dropped++;
		} else {
			failed++;
		}
	}
	metrics_pubsub_bulk_received(b->s->o.blocks->o.metrics, b->s->o.pubsub->name, b->s->o.about->topic, done,
				     failed, dropped, b->ns);
}

static void run(struct batch *b, int *outcomes)
{
	size_t i;

	b->entries = arena_zalloc(b->a, b->n * sizeof(*b->entries));
	b->events = arena_zalloc(b->a, b->n * sizeof(*b->events));
	for (i = 0; i < b->n; i++)
		make_entry(b, i);
	send_all(b);
	conclude(b, outcomes);
}

void batch_send(struct subscriber *s, struct delivery **list, size_t n)
{
	struct batch b = { .s = s, .a = arena_new(), .n = n, .deliveries = list };
	int *outcomes = b.a ? arena_try(b.a, n * sizeof(*outcomes)) : NULL;
	jmp_buf oom;
	size_t i;

	if (outcomes != NULL) {
		for (i = 0; i < n; i++)
			outcomes[i] = DAVIT_SETTLE_RETRY;
		if (setjmp(oom) == 0) {
			arena_on_oom(b.a, &oom);
			run(&b, outcomes);
		} else {
			log_error("out of memory while events were delivered: they are left to their broker");
		}
		arena_on_oom(b.a, NULL);
	}
	for (i = 0; i < n; i++)
		delivery_settle(list[i], outcomes ? outcomes[i] : DAVIT_SETTLE_RETRY);
	arena_unref(b.a);
}
