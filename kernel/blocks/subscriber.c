/* SPDX-License-Identifier: Apache-2.0 */
#include "blocks/subscriber.h"

#include "base/banned.h"
#include "base/clock.h"
#include "base/log.h"
#include "blocks/subscriber_inside.h"
#include "loop/fiber.h"
#include "loop/loop.h"
#include "plugin/call.h"
#include "policy/run.h"

#define LOG_SCOPE "dapr.runtime.processor.subscription"
#define MS INT64_C(1000000)
#define STAND_NS (60 * 1000 * MS) /* a component has this long to subscribe */
#define PAUSE_NS (5 * 1000 * MS)
#define QUIET_NS (100 * MS) /* nothing on its way for so long: a paused component has given all it had */
#define LOOK_NS (20 * MS)
#define CANCEL_MS 2000 /* what was cancelled has this long to come back */
#define TELL_MS 2000   /* the component has this long to hear of what was settled */
#define END_MS 5000    /* and then to end */

void delivery_queue_add(struct delivery_queue *q, struct delivery *d)
{
	d->next = NULL;
	d->link = q->end;
	*q->end = d;
	q->end = &d->next;
	q->n++;
}

void delivery_queue_drop(struct delivery_queue *q, struct delivery *d)
{
	*d->link = d->next;
	if (d->next != NULL)
		d->next->link = d->link;
	else
		q->end = d->link;
	q->n--;
}

void delivery_settle(struct delivery *d, int outcome)
{
	stream_settle(d->m, outcome);
}

/* A message's arena is the place that running out of memory comes back to. */
static int handle_or_retry(struct delivery *d)
{
	struct arena *a = d->m->arena;
	volatile int outcome = DAVIT_SETTLE_RETRY;
	jmp_buf oom;

	if (setjmp(oom) == 0) {
		arena_on_oom(a, &oom);
		outcome = delivery_handle(d->s, a, d->m->record, &d->cancel);
	} else {
		log_error("out of memory while an event was delivered: it is left to its broker");
	}
	arena_on_oom(a, NULL);
	return outcome;
}

static void deliver(void *arg)
{
	struct delivery *d = arg;
	struct subscriber *s = d->s;
	int outcome = handle_or_retry(d);

	delivery_queue_drop(&s->active, d);
	delivery_settle(d, outcome);
	if (s->waiting.first != NULL && s->pump != NULL)
		fiber_wake(s->pump);
	if (s->closer != NULL)
		fiber_wake(s->closer);
}

static void message(void *ctx, struct stream_message *m)
{
	struct subscriber *s = ctx;
	struct delivery *d = m->user;

	*d = (struct delivery){ .s = s, .m = m };
	if (!s->bulk) {
		delivery_queue_add(&s->active, d);
		if (fiber_start(s->loop, deliver, d) == 0)
			return;
		delivery_queue_drop(&s->active, d);
	} else if (s->waiting.n == 0) {
		s->due_ns = clock_ns() + s->await_ms * MS;
	}
	delivery_queue_add(&s->waiting, d);
	if (s->pump != NULL)
		fiber_wake(s->pump);
}

static void ended(void *ctx, davit_status status, struct str why)
{
	struct subscriber *s = ctx;

	s->loss = why.n ? why : str_of(error_code_name(status));
	s->o.sink->lost(s->o.ctx);
}

static const struct stream_sink sink = { .message = message, .ended = ended };

/* ---- The pump ---- */

static void send_batch(struct subscriber *s)
{
	struct delivery **list = s->batch;
	size_t n = 0;

	while (s->waiting.first != NULL && n < (size_t)s->bulk) {
		list[n] = s->waiting.first;
		delivery_queue_drop(&s->waiting, list[n]);
		n++;
	}
	s->due_ns = clock_ns() + s->await_ms * MS; /* for what is left */
	s->busy = 1;
	batch_send(s, list, n);
	s->busy = 0;
	if (s->closer != NULL)
		fiber_wake(s->closer);
}

static void send_next(struct subscriber *s)
{
	struct delivery *d = s->waiting.first;

	delivery_queue_drop(&s->waiting, d);
	delivery_queue_add(&s->active, d);
	if (fiber_start(s->loop, deliver, d) < 0)
		deliver(d);
}

static void pump(void *arg)
{
	struct subscriber *s = arg;

	s->pump = fiber_self();
	while (!s->ending) {
		if (s->waiting.n == 0)
			fiber_park();
		else if (!s->bulk)
			send_next(s);
		else if (s->flushing || s->waiting.n >= (size_t)s->bulk || clock_ns() >= s->due_ns)
			send_batch(s);
		else
			fiber_park_until(s->due_ns);
	}
	s->pump = NULL;
	s->pump_ended = 1;
	if (s->closer != NULL)
		fiber_wake(s->closer);
}

/* ---- Start ---- */

static const struct davit_pair *pairs_of(struct arena *a, const struct pairs *from)
{
	struct davit_pair *pairs = arena_alloc(a, (from->n + 1) * sizeof(*pairs));
	size_t i;

	for (i = 0; i < from->n; i++)
		pairs[i] = (struct davit_pair){ { from->p[i].key.p, from->p[i].key.n },
						{ from->p[i].value.p, from->p[i].value.n } };
	return pairs;
}

/* 0 or 1; -1: it is neither. */
static int raw_of(const struct subscription *about)
{
	int raw = 0;
	size_t i;

	for (i = 0; i < about->metadata.n; i++)
		if (str_is(about->metadata.p[i].key, "rawPayload")) /* as Dapr, in this spelling only */
			return str_bool(about->metadata.p[i].value, &raw) == 0 ? raw : -1;
	return 0;
}

static void set_bulk(struct subscriber *s)
{
	const struct subscription *about = s->o.about;

	if (!about->bulk.enabled || s->o.sink->send_bulk == NULL)
		return;
	s->bulk = about->bulk.max_messages > 0 ? about->bulk.max_messages : SUBSCRIBER_BULK;
	if (s->bulk > SUBSCRIBER_BULK_MOST)
		s->bulk = SUBSCRIBER_BULK_MOST;
	s->await_ms = about->bulk.max_await_ms > 0 ? about->bulk.max_await_ms : SUBSCRIBER_BULK_MS;
	if (!(s->o.pubsub->features & DAVIT_PUBSUB_BULK_SUBSCRIBE_IMMEDIATE))
		return;
	if (about->bulk.max_await_ms > 0)
		log_warn("bulk subscribe on topic \"" STR_FMT
			 "\": maxAwaitDurationMs=%dms is ignored because the pubsub component "
			 "declares immediate-flush; each message is delivered as soon as it arrives",
			 STR_ARG(about->topic), about->bulk.max_await_ms);
	s->await_ms = 0;
}

/* Without a batch of its own a component that keeps an order gives one message at a time, as its subscriptions do anyway. */
static int keeps_order(const struct subscriber *s)
{
	uint32_t features = s->o.pubsub->features;

	return !s->bulk || !(features & DAVIT_PUBSUB_BULK) || (features & DAVIT_PUBSUB_BULK_SUBSCRIBE_IMMEDIATE);
}

static struct subscriber *subscriber_new(const struct subscriber_options *o)
{
	struct arena *a = arena_new();
	struct subscriber *s = a ? arena_try(a, sizeof(*s)) : NULL;

	if (s == NULL) {
		arena_unref(a);
		return NULL;
	}
	memset(s, 0, sizeof(*s));
	s->o = *o;
	s->arena = a;
	s->loop = loop_self();
	s->raw = raw_of(o->about);
	s->waiting.end = &s->waiting.first;
	s->active.end = &s->active.first;
	set_bulk(s);
	s->batch = s->bulk ? arena_try(a, (size_t)s->bulk * sizeof(*s->batch)) : NULL;
	if (s->bulk && s->batch == NULL) {
		arena_unref(a);
		return NULL;
	}
	return s;
}

static void wait_for_pump(struct subscriber *s)
{
	s->ending = 1;
	s->closer = fiber_self();
	if (s->pump != NULL)
		fiber_wake(s->pump);
	while (!s->pump_ended)
		fiber_park();
	s->closer = NULL;
}

static void describe(struct subscriber *s, struct davit_subscribe *in)
{
	struct str topic = pubsub_topic_out(s->arena, s->o.pubsub, s->o.about->topic);

	*in = (struct davit_subscribe)DAVIT_INIT(davit_subscribe, .topic = { topic.p, topic.n },
						 .metadata = pairs_of(s->arena, &s->o.about->metadata),
						 .nmetadata = s->o.about->metadata.n,
						 .credit = s->bulk ? 2 * (uint64_t)s->bulk : SUBSCRIBER_CREDIT,
						 .bulk = (uint64_t)s->bulk);
}

/* NULL: no memory. */
static const struct davit_subscribe *request_of(struct subscriber *s)
{
	struct davit_subscribe *in = arena_try(s->arena, sizeof(*in));
	jmp_buf oom;

	if (in == NULL || setjmp(oom) != 0)
		return NULL;
	arena_on_oom(s->arena, &oom);
	describe(s, in);
	arena_on_oom(s->arena, NULL);
	return in;
}

static struct stream *open_stream(struct subscriber *s, struct arena *a, struct error *ret_error)
{
	const struct pubsub *p = s->o.pubsub;
	const struct davit_subscribe *in = request_of(s);
	struct stream_options o = { .instance = p->instance,
				    .op = (davit_op *)(void *)p->ops->subscribe,
				    .settle = (davit_op *)(void *)p->ops->settle,
				    .in = in,
				    .arena = s->arena,
				    .kind = davit_message_kind,
				    .order_at = offsetof(struct davit_message, order),
				    .in_order = keeps_order(s),
				    .user_size = sizeof(struct delivery),
				    .sink = &sink,
				    .ctx = s };

	if (in == NULL)
		return NULL;
	o.credit = in->credit;
	return stream_start(&o, clock_ns() + STAND_NS, a, ret_error);
}

struct subscriber *subscriber_start(const struct subscriber_options *o, struct arena *a, struct error *ret_error)
{
	const struct pubsub *p = o->pubsub;
	struct subscriber *s;

	if (!pubsub_scope_subscribe(&p->scope, o->about->topic)) {
		*ret_error = error_new(a, ERROR_PERMISSION_DENIED, NULL,
				       "subscription to topic '" STR_FMT "' on pubsub '" STR_FMT "' is not allowed",
				       STR_ARG(o->about->topic), STR_ARG(p->name));
		return NULL;
	}
	if (p->ops->subscribe == NULL) {
		*ret_error = error_new(a, ERROR_UNIMPLEMENTED, NULL, "component " STR_FMT " does not deliver messages",
				       STR_ARG(p->name));
		return NULL;
	}
	s = subscriber_new(o);
	*ret_error = error_new(a, ERROR_RESOURCE_EXHAUSTED, NULL, "out of memory or fibers");
	if (s == NULL)
		return NULL;
	if (fiber_start(s->loop, pump, s) < 0) {
		arena_unref(s->arena);
		return NULL;
	}
	s->stream = open_stream(s, a, ret_error);
	if (s->stream != NULL) {
		policy_bound(p->in);
		return s;
	}
	wait_for_pump(s);
	arena_unref(s->arena);
	ret_error->message = arena_printf(a, "failed to subscribe to topic " STR_FMT ": " STR_FMT,
					  STR_ARG(o->about->topic), STR_ARG(ret_error->message));
	return NULL;
}

/* ---- Stop ---- */

static int under_way(const struct subscriber *s)
{
	return s->active.n > 0 || s->waiting.n > 0 || s->busy;
}

static void look_again(int64_t until_ns)
{
	int64_t look = clock_ns() + LOOK_NS;

	fiber_park_until(look < until_ns ? look : until_ns);
}

static int pause_component(struct subscriber *s)
{
	struct arena *a = arena_new();
	struct scope scope = { .arena = a, .deadline_ns = clock_ns() + PAUSE_NS };
	const struct pubsub *p = s->o.pubsub;
	struct answer got = { .status = DAVIT_EXHAUSTED };

	if (a != NULL && p->ops->pause != NULL) {
		log_info("pausing subscription on topic " STR_FMT " during graceful shutdown",
			 STR_ARG(s->o.about->topic));
		got = call_instance(&scope, p->instance, (davit_op *)(void *)p->ops->pause, NULL);
		if (got.status != DAVIT_OK && got.status != DAVIT_UNIMPLEMENTED)
			log_warn("failed to pause subscription on topic " STR_FMT " during graceful shutdown: " STR_FMT,
				 STR_ARG(s->o.about->topic), STR_ARG(got.message));
	}
	arena_unref(a);
	return got.status == DAVIT_OK;
}

/* Until nothing has been on its way for a while. */
static void wait_for_quiet(struct subscriber *s, int64_t until)
{
	int64_t quiet_since = clock_ns();

	while (clock_ns() < until) {
		if (under_way(s))
			quiet_since = clock_ns();
		else if (clock_ns() - quiet_since >= QUIET_NS)
			return;
		look_again(until);
	}
}

static void give_back_waiting(struct subscriber *s)
{
	struct delivery *d;

	while ((d = s->waiting.first) != NULL) {
		delivery_queue_drop(&s->waiting, d);
		delivery_settle(d, DAVIT_SETTLE_RETRY);
	}
}

static void cancel_all(struct subscriber *s)
{
	struct delivery *d;

	log_warn("drain exceeded its time; sealing with inflight=%zu on topic " STR_FMT, s->active.n + (size_t)s->busy,
		 STR_ARG(s->o.about->topic));
	for (d = s->active.first; d != NULL; d = d->next)
		topic_cancel(&d->cancel);
	topic_cancel(&s->bulk_cancel);
}

static void wait_for_all(struct subscriber *s, int64_t until)
{
	while (under_way(s) && clock_ns() < until)
		look_again(until);
}

void subscriber_stop(struct subscriber *s, int drain, int within_ms)
{
	int64_t until = clock_ns() + within_ms * MS;

	s->closer = fiber_self();
	s->flushing = drain;
	if (s->pump != NULL)
		fiber_wake(s->pump);
	if (drain && pause_component(s))
		wait_for_quiet(s, until);
	s->closing = 1;
	stream_stop(s->stream);
	if (!drain)
		give_back_waiting(s);
	wait_for_all(s, until);
	if (under_way(s)) {
		give_back_waiting(s);
		cancel_all(s);
		wait_for_all(s, clock_ns() + CANCEL_MS * MS);
	}
	stream_close(s->stream, TELL_MS, END_MS);
	if (under_way(s)) { /* whoever sends does not come back: what he uses has to stay */
		log_error("An event of topic " STR_FMT " is still being delivered and is left to itself",
			  STR_ARG(s->o.about->topic));
		return;
	}
	wait_for_pump(s);
	arena_unref(s->arena);
}

struct str subscriber_loss(const struct subscriber *s)
{
	return s->loss;
}
