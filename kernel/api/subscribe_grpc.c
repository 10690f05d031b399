/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SubscribeTopicEventsAlpha1: a client subscribes for as long as its call lasts, gets events on it and answers each by its
 * id. Three kinds of fiber work on one call: the handler receives, one a message sends it and waits for its answer, and at
 * the process's end one stops the subscription while the others go on.
 */
#include "api/grpc.h"
#include "base/banned.h"
#include "base/log.h"
#include "loop/fiber.h"
#include "policy/run.h"

#define LOG_SCOPE "dapr.runtime.pubsub.streamer"
#define LEAVE_MS 5000 /* after the client has gone only what is settled already is waited for */

typedef Dapr__Proto__Runtime__V1__SubscribeTopicEventsRequestAlpha1 request_type;
typedef Dapr__Proto__Runtime__V1__SubscribeTopicEventsResponseAlpha1 response_type;
typedef Dapr__Proto__Runtime__V1__SubscribeTopicEventsRequestInitialAlpha1 initial_type;

/* An event that was sent, or waits for its turn to be; on the stack of its fiber. */
struct sent {
	struct sent *next, **link;
	struct fiber *fiber;
	struct str id;
	int answered, status;
};

struct streaming {
	struct grpc_call *call;
	struct subscriber_stream stream;
	struct sent *first;
	int sending;	   /* somebody is: one message at a time */
	int gone;	   /* no answers come any more */
	int joining;	   /* the component has not subscribed yet */
	const char *early; /* why it is to leave as soon as it has; NULL: it is not */
	int leaving;	   /* a fiber is stopping the subscription */
	int within_ms;	   /* it has so long */
	struct error end;  /* what the client is told when it is done */
	struct fiber *handler;
};

static void wake_all(struct streaming *st)
{
	struct sent *s;

	for (s = st->first; s != NULL; s = s->next)
		fiber_wake(s->fiber);
}

/* ---- An event, on its own fiber ---- */

static void enlist(struct streaming *st, struct sent *s)
{
	struct sent **at = &st->first;

	while (*at != NULL)
		at = &(*at)->next;
	s->link = at;
	*at = s;
}

static void unlist(struct sent *s)
{
	*s->link = s->next;
	if (s->next != NULL)
		s->next->link = s->link;
}

static int is_over(const struct streaming *st, const struct topic_cancel *cancel)
{
	return st->gone || cancel->cancelled;
}

/* 0: the client has it; -1: it has gone. */
static int send_message(struct streaming *st, const response_type *message, const struct topic_cancel *cancel)
{
	int rc;

	while (st->sending && !is_over(st, cancel))
		fiber_park();
	if (is_over(st, cancel))
		return -1;
	st->sending = 1;
	rc = grpc_send(st->call, &message->base);
	st->sending = 0;
	wake_all(st);
	return rc;
}

static struct topic_answer ask(struct streaming *st, struct arena *a, const struct topic_event *e,
			       const response_type *message, struct topic_cancel *cancel)
{
	struct sent s = { .fiber = fiber_self(), .id = topic_text(a, e->is.id) };
	int rc, late = 0;

	enlist(st, &s);
	cancel->waiting = s.fiber;
	rc = send_message(st, message, cancel);
	while (rc == 0 && !s.answered && !is_over(st, cancel) && !late)
		late = fiber_park_until(cancel->until_ns) < 0;
	cancel->waiting = NULL;
	unlist(&s);
	if (s.answered)
		return topic_status_answer(a, e, s.status);
	if (late && !is_over(st, cancel))
		return (struct topic_answer){ .verdict = TOPIC_RETRY, .why = policy_timed_out().message };
	cancel->cancelled = 1; /* nobody has refused it: it comes again, and is no dead letter */
	return (struct topic_answer){ .verdict = TOPIC_RETRY, .why = STR("stream closed") };
}

static struct topic_answer deliver(void *ctx, struct arena *a, const struct topic_event *e, struct topic_cancel *cancel)
{
	response_type message = DAPR__PROTO__RUNTIME__V1__SUBSCRIBE_TOPIC_EVENTS_RESPONSE_ALPHA1__INIT;
	struct streaming *st = ctx;
	struct topic_answer answer = { .verdict = TOPIC_RETRY };
	struct trace_span *span;

	message.event_message = topic_grpc_request(a, e, &answer.why);
	if (message.event_message == NULL)
		return answer;
	message.subscribe_topic_events_response_type_case =
		DAPR__PROTO__RUNTIME__V1__SUBSCRIBE_TOPIC_EVENTS_RESPONSE_ALPHA1__SUBSCRIBE_TOPIC_EVENTS_RESPONSE_TYPE_EVENT_MESSAGE;
	span = topic_span(&skin_of(st->call)->api->tracer, a, e);
	answer = ask(st, a, e, &message, cancel);
	if (span != NULL) {
		trace_attribute(span, "messaging.system", STR("pubsub"));
		trace_attribute(span, "messaging.destination.name", e->topic);
		if (cancel->cancelled)
			trace_status_error(span, answer.why);
		trace_end(span);
	}
	return answer;
}

/* ---- The end ---- */

static void leave(void *arg)
{
	struct streaming *st = arg;

	subscribers_leave(&st->stream, 1, st->within_ms);
	st->leaving = 0;
	grpc_finish(st->call, &st->end);
	if (st->handler != NULL)
		fiber_wake(st->handler);
}

static void start_leaving(struct streaming *st, int within_ms, const char *why)
{
	if (st->leaving || st->gone)
		return;
	st->end = (struct error){ .code = ERROR_UNAVAILABLE, .message = str_of(why) };
	if (st->joining) {
		st->early = why;
		return;
	}
	if (st->stream.subscriber == NULL) {
		grpc_finish(st->call, &st->end);
		return;
	}
	st->leaving = 1;
	st->within_ms = within_ms;
	if (fiber_start(fiber_loop(st->handler), leave, st) == 0)
		return;
	st->leaving = 0;
	grpc_finish(st->call, &st->end);
}

static void closing(void *ctx, int within_ms)
{
	start_leaving(ctx, within_ms, "stream closed");
}

static void lost(void *ctx)
{
	start_leaving(ctx, LEAVE_MS, "the component has ended the subscription");
}

static const struct subscriber_sink sink = { .send = deliver, .lost = lost };

/* ---- The handler ---- */

static struct error unknown(const char *why)
{
	return (struct error){ .code = ERROR_UNKNOWN, .message = str_of(why) };
}

static struct str keep(struct arena *a, const char *text)
{
	return arena_str(a, skin_text(text));
}

/* The message goes with the next one. */
static void take(struct arena *a, const initial_type *in, struct subscription *ret)
{
	size_t i;

	*ret = (struct subscription){ .name = STR(""),
				      .pubsub = keep(a, in->pubsub_name),
				      .topic = keep(a, in->topic),
				      .dead_letter_topic = STR("") };
	if (in->_dead_letter_topic_case ==
	    DAPR__PROTO__RUNTIME__V1__SUBSCRIBE_TOPIC_EVENTS_REQUEST_INITIAL_ALPHA1___DEAD_LETTER_TOPIC_DEAD_LETTER_TOPIC)
		ret->dead_letter_topic = keep(a, in->dead_letter_topic);
	ret->metadata.p = arena_alloc(a, sizeof(*ret->metadata.p) * (in->n_metadata + 1));
	ret->metadata.n = in->n_metadata;
	for (i = 0; i < in->n_metadata; i++)
		ret->metadata.p[i] = (struct error_pair){ keep(a, in->metadata[i]->key),
							  keep(a, in->metadata[i]->value) };
}

static struct error receive_initial(struct grpc_call *c, struct subscription *ret)
{
	struct error e = ERROR_NONE;
	const request_type *q;
	void *message;
	int rc = grpc_recv(c, &dapr__proto__runtime__v1__subscribe_topic_events_request_alpha1__descriptor, &message,
			   &e);

	if (rc <= 0)
		return rc < 0 ? e : unknown("EOF");
	q = message;
	if (q->subscribe_topic_events_request_type_case !=
	    DAPR__PROTO__RUNTIME__V1__SUBSCRIBE_TOPIC_EVENTS_REQUEST_ALPHA1__SUBSCRIBE_TOPIC_EVENTS_REQUEST_TYPE_INITIAL_REQUEST)
		return unknown("initial request is required");
	take(c->arena, q->initial_request, ret);
	if (ret->pubsub.n == 0)
		return unknown("pubsubName is required");
	return ret->topic.n == 0 ? unknown("topic is required") : ERROR_NONE;
}

static void take_answer(struct streaming *st,
			const Dapr__Proto__Runtime__V1__SubscribeTopicEventsRequestProcessedAlpha1 *in)
{
	struct str id = skin_text(in->id);
	struct sent *s;

	for (s = st->first; s != NULL; s = s->next) {
		if (s->answered || !str_eq(s->id, id))
			continue;
		s->answered = 1;
		s->status = in->status ? (int)in->status->status : 0;
		fiber_wake(s->fiber);
		return;
	}
	log_error("no client stream expecting publish response for id " STR_FMT, STR_ARG(id));
}

static struct error receive_answers(struct streaming *st)
{
	struct error e = ERROR_NONE;
	const request_type *q;
	void *message;
	int rc;

	while ((rc = grpc_recv(st->call, &dapr__proto__runtime__v1__subscribe_topic_events_request_alpha1__descriptor,
			       &message, &e)) > 0) {
		q = message;
		if (q->subscribe_topic_events_request_type_case !=
		    DAPR__PROTO__RUNTIME__V1__SUBSCRIBE_TOPIC_EVENTS_REQUEST_ALPHA1__SUBSCRIBE_TOPIC_EVENTS_REQUEST_TYPE_EVENT_PROCESSED)
			return unknown("duplicate initial request received");
		take_answer(st, q->event_processed);
	}
	log_info("Unsubscribed from pubsub '" STR_FMT "' topic '" STR_FMT "'", STR_ARG(st->stream.about.pubsub),
		 STR_ARG(st->stream.about.topic));
	return rc < 0 ? e : ERROR_NONE;
}

static int send_initial(struct streaming *st)
{
	Dapr__Proto__Runtime__V1__SubscribeTopicEventsResponseInitialAlpha1 initial =
		DAPR__PROTO__RUNTIME__V1__SUBSCRIBE_TOPIC_EVENTS_RESPONSE_INITIAL_ALPHA1__INIT;
	response_type message = DAPR__PROTO__RUNTIME__V1__SUBSCRIBE_TOPIC_EVENTS_RESPONSE_ALPHA1__INIT;
	int rc;

	message.subscribe_topic_events_response_type_case =
		DAPR__PROTO__RUNTIME__V1__SUBSCRIBE_TOPIC_EVENTS_RESPONSE_ALPHA1__SUBSCRIBE_TOPIC_EVENTS_RESPONSE_TYPE_INITIAL_RESPONSE;
	message.initial_response = &initial;
	rc = grpc_send(st->call, &message.base);
	st->sending = 0; /* what came meanwhile waits behind it */
	wake_all(st);
	return rc;
}

static struct error join(struct streaming *st)
{
	struct error e;

	st->joining = 1;
	e = subscribers_join(&st->stream, st->call->arena);
	st->joining = 0;
	if (error_is(&e))
		return e;
	log_info("Subscribing to pubsub '" STR_FMT "' topic '" STR_FMT "'", STR_ARG(st->stream.about.pubsub),
		 STR_ARG(st->stream.about.topic));
	if (st->early != NULL)
		start_leaving(st, LEAVE_MS, st->early);
	return send_initial(st) == 0 ? receive_answers(st)
				     : (struct error){ .code = ERROR_CANCELLED, .message = STR("context canceled") };
}

static struct error subscribe(struct grpc_call *c)
{
	struct streaming *st = arena_zalloc(c->arena, sizeof(*st));
	struct error e;

	st->call = c;
	st->handler = fiber_self();
	st->sending = 1;
	st->stream.sink = &sink;
	st->stream.ctx = st;
	st->stream.closing = closing;
	if (subscribers_enter(skin_of(c)->api->subscribers, &st->stream) < 0)
		return (struct error){ .code = ERROR_UNAVAILABLE, .message = STR("subscriber is closed") };
	e = receive_initial(c, &st->stream.about);
	if (!error_is(&e))
		e = join(st);
	st->gone = 1;
	wake_all(st);
	while (st->leaving)
		fiber_park();
	if (st->stream.all != NULL)
		subscribers_leave(&st->stream, 0, LEAVE_MS);
	return e;
}

const struct grpc_method subscribe_grpc_methods[] = {
	{ "SubscribeTopicEventsAlpha1", GRPC_BIDI,
	  &dapr__proto__runtime__v1__subscribe_topic_events_request_alpha1__descriptor,
	  &dapr__proto__runtime__v1__subscribe_topic_events_response_alpha1__descriptor, NULL, subscribe },
};
const size_t subscribe_grpc_nmethods = sizeof(subscribe_grpc_methods) / sizeof(subscribe_grpc_methods[0]);
