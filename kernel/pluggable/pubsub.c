/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Brokers: dapr.proto.components.v1.PubSub. A subscription is a call of PullMessages for as long as it lasts: messages come
 * on it, what becomes of each goes back on it by the message's id.
 *
 * Told to end, it takes no more but stays open until what it has handed over is settled. What is then given back is not
 * refused on the wire: nobody refused it, and a broker may make a dead letter of what was.
 */
#include <dapr/proto/components/v1/pubsub.pb-c.h>

#include "base/banned.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "loop/fiber.h"
#include "loop/loop.h"
#include "pluggable/offers.h"
#include "pluggable/peer_inside.h"

#define LOG_SCOPE "davit.pluggable"
#define MESSAGE(name) &dapr__proto__components__v1__##name##__descriptor
#define PULL "/dapr.proto.components.v1.PubSub/PullMessages"
#define GOODBYE_NS (INT64_C(400) * 1000000) /* the last acknowledgements have so long to arrive */
#define AGAIN_NS (INT64_C(10) * 1000000)    /* until a message for which there was no memory is tried again */

/* ---- Opening ---- */

static const struct peer_feature features[] = {
	{ "MESSAGE_TTL", DAVIT_PUBSUB_TTL },
	{ "SUBSCRIBE_WILDCARDS", DAVIT_PUBSUB_WILDCARDS },
	{ "BULK_PUBSUB", DAVIT_PUBSUB_BULK },
	{ "BULK_SUBSCRIBE_IMMEDIATE", DAVIT_PUBSUB_BULK_SUBSCRIBE_IMMEDIATE },
	{ NULL, 0 },
};

static davit_status first(struct peer_job *j, const void *none)
{
	(void)none;
	return peer_first(j, "PubSub/Features", features);
}

davit_status peer_pubsub_open(void *none, struct davit_call *call, const struct davit_open *in)
{
	(void)none;
	return peer_open(call, in, "PubSub", first);
}

/* ---- Publishing ---- */

static ProtobufCBinaryData bytes_of(struct davit_bytes b)
{
	return (ProtobufCBinaryData){ b.n, (uint8_t *)b.p };
}

static davit_status publish(struct peer_job *j, const void *arg)
{
	const struct davit_publish *in = arg;
	Dapr__Proto__Components__V1__PublishRequest m = DAPR__PROTO__COMPONENTS__V1__PUBLISH_REQUEST__INIT;
	struct str name = j->peer->shared->name;
	void *out;

	m.data = bytes_of(in->data);
	m.pubsub_name = peer_text(j, (struct davit_str){ name.p, name.n });
	m.topic = peer_text(j, in->topic);
	m.content_type = peer_text(j, in->content_type);
	m.metadata = peer_map(j, MESSAGE(publish_request__metadata_entry), in->metadata, in->nmetadata);
	m.n_metadata = in->nmetadata;
	return peer_ask(j, "PubSub/Publish", &m.base, MESSAGE(publish_response), &out);
}

static Dapr__Proto__Components__V1__BulkMessageEntry *entry_of(struct peer_job *j, const struct davit_publish *in)
{
	Dapr__Proto__Components__V1__BulkMessageEntry *e = arena_alloc(j->arena, sizeof(*e));

	dapr__proto__components__v1__bulk_message_entry__init(e);
	e->entry_id = peer_text(j, in->entry_id);
	e->event = bytes_of(in->data);
	e->content_type = peer_text(j, in->content_type);
	e->metadata = peer_map(j, MESSAGE(bulk_message_entry__metadata_entry), in->metadata, in->nmetadata);
	e->n_metadata = in->nmetadata;
	return e;
}

static davit_status tell_failed(struct peer_job *j, const Dapr__Proto__Components__V1__BulkPublishResponse *reply)
{
	size_t i;

	for (i = 0; i < reply->n_failed_entries; i++) {
		struct davit_publish_result r = DAVIT_INIT(davit_publish_result, .status = DAVIT_UNKNOWN);

		r.entry_id = davit_str(reply->failed_entries[i]->entry_id);
		r.error = davit_str(reply->failed_entries[i]->error);
		if (peer_emit(j, &r) != DAVIT_OK)
			return davit_fail(j->call, DAVIT_EXHAUSTED, NULL, "out of memory");
	}
	if (reply->n_failed_entries == 0)
		return DAVIT_OK;
	return davit_fail(j->call, DAVIT_UNKNOWN, NULL, "%s", reply->failed_entries[0]->error);
}

static davit_status bulk_publish(struct peer_job *j, const void *arg)
{
	const struct davit_publish_bulk *in = arg;
	Dapr__Proto__Components__V1__BulkPublishRequest m = DAPR__PROTO__COMPONENTS__V1__BULK_PUBLISH_REQUEST__INIT;
	struct str name = j->peer->shared->name;
	davit_status status;
	uint64_t i;
	void *out;

	m.pubsub_name = peer_text(j, (struct davit_str){ name.p, name.n });
	m.topic = peer_text(j, in->topic);
	m.metadata = peer_map(j, MESSAGE(bulk_publish_request__metadata_entry), in->metadata, in->nmetadata);
	m.n_metadata = in->nmetadata;
	m.entries = arena_alloc(j->arena, sizeof(*m.entries) * (in->nentries + 1));
	m.n_entries = in->nentries;
	for (i = 0; i < in->nentries; i++)
		m.entries[i] = entry_of(j, in->entries[i]);
	status = peer_ask(j, "PubSub/BulkPublish", &m.base, MESSAGE(bulk_publish_response), &out);
	return status == DAVIT_OK ? tell_failed(j, out) : status;
}

/* ---- Subscribing ---- */

struct pull {
	int refs;	     /* the operation's, one a message that is not settled, one of who says goodbye */
	struct peer_job job; /* its arena is the current message's, or that of the beginning */
	struct arena *arena;
	struct grpc_stream *stream; /* NULL: not begun, or over */
	size_t unsettled;
	int draining;	      /* it was told to end */
	struct fiber *leaver; /* who says goodbye */
	int sending;	      /* fibers that are in the stream, beside the operation's */
	struct fiber *closer; /* the operation's, which waits for them */
};

/* A message that was handed over; its address is the token. */
struct pulled {
	struct pull *pull;
	char id[]; /* with a NUL behind it */
};

static void sent(struct pull *x)
{
	if (--x->sending == 0 && x->closer != NULL)
		fiber_wake(x->closer);
}

/* Nobody may be in a stream that is closed. */
static void close_stream(struct pull *x)
{
	struct grpc_stream *s = x->stream;

	x->stream = NULL;
	if (s == NULL)
		return;
	grpc_stream_cancel(s);
	x->closer = fiber_self();
	while (x->sending > 0)
		fiber_park();
	x->closer = NULL;
	grpc_stream_close(s);
	if (x->leaver != NULL)
		fiber_wake(x->leaver);
}

static void unref(struct pull *x)
{
	if (--x->refs == 0)
		arena_unref(x->arena); /* it lies there */
}

static void say_goodbye(void *arg)
{
	struct pull *x = arg;
	int64_t until = clock_ns() + GOODBYE_NS;

	x->leaver = fiber_self();
	if (x->stream != NULL) {
		x->sending++;
		grpc_stream_end(x->stream);
		sent(x);
	}
	while (x->stream != NULL && clock_ns() < until)
		fiber_park_until(until);
	if (x->stream != NULL)
		grpc_stream_cancel(x->stream);
	x->leaver = NULL;
	unref(x);
}

/* All is settled: the other side hears of the end, but not before it has heard of the last message. */
static void leave(struct pull *x)
{
	x->refs++;
	if (fiber_start(loop_self(), say_goodbye, x) == 0)
		return;
	x->refs--;
	grpc_stream_cancel(x->stream);
}

static void end_pulling(void *arg)
{
	struct pull *x = arg;

	x->draining = 1;
	if (x->stream == NULL && x->job.now != NULL)
		grpc_stream_cancel(x->job.now);
	else if (x->stream != NULL && x->unsettled == 0)
		grpc_stream_cancel(x->stream);
}

static int send_topic(struct pull *x, const struct davit_subscribe *in)
{
	Dapr__Proto__Components__V1__PullMessagesRequest m = DAPR__PROTO__COMPONENTS__V1__PULL_MESSAGES_REQUEST__INIT;
	Dapr__Proto__Components__V1__Topic topic = DAPR__PROTO__COMPONENTS__V1__TOPIC__INIT;

	topic.name = peer_text(&x->job, in->topic);
	topic.metadata = peer_map(&x->job, MESSAGE(topic__metadata_entry), in->metadata, in->nmetadata);
	topic.n_metadata = in->nmetadata;
	m.topic = &topic;
	return x->job.broken ? -1 : grpc_stream_send(x->stream, &m.base);
}

static davit_status begin(struct pull *x, const struct davit_subscribe *in)
{
	struct http_field instance = { STR("x-component-instance"), x->job.peer->shared->name };
	struct grpc_request q = { .path = STR(PULL), .metadata = &instance, .nmetadata = 1 };
	struct status end;
	struct str text;
	struct error e;

	if (peer_check_in(&x->job, &end) < 0) {
		text = status_text(x->arena, &end);
		return davit_fail_text(x->job.call, end.code, NULL, text.p, text.n);
	}
	x->stream = grpc_stream_new(x->job.peer->client, x->arena);
	if (x->stream == NULL)
		return davit_fail(x->job.call, DAVIT_EXHAUSTED, NULL, "out of memory");
	e = grpc_stream_start(x->stream, &q);
	if (error_is(&e))
		return davit_fail(x->job.call, e.code, NULL, "unable to subscribe: " STR_FMT, STR_ARG(e.message));
	if (send_topic(x, in) < 0 && x->job.broken)
		return davit_fail(x->job.call, DAVIT_INVALID_ARGUMENT, NULL,
				  "a text holds a NUL, which the protocol cannot carry");
	return davit_emit_subscribed(x->job.call); /* what else may have failed the first message tells */
}

static struct pulled *pulled_new(struct pull *x, const char *id)
{
	size_t n = strlen(id);
	struct pulled *m = mem_alloc(sizeof(*m) + n + 1);

	if (m == NULL)
		return NULL;
	m->pull = x;
	memcpy(m->id, id, n + 1);
	x->refs++;
	x->unsettled++;
	return m;
}

static void forget(struct pulled *m)
{
	struct pull *x = m->pull;

	x->unsettled--;
	mem_free(m);
	if (x->draining && x->unsettled == 0 && x->stream != NULL)
		leave(x);
	unref(x);
}

static void emit(struct pull *x, const Dapr__Proto__Components__V1__PullMessagesResponse *in)
{
	struct davit_message m = DAVIT_INIT(davit_message, .topic = davit_str(in->topic_name),
					    .data = { in->data.data, in->data.len },
					    .content_type = davit_str(in->content_type), .order = davit_str(""));
	struct pulled *held = NULL;
	davit_status status;

	m.metadata = peer_pairs(&x->job, in->metadata, in->n_metadata);
	m.nmetadata = in->n_metadata;
	do {
		if (held == NULL)
			held = pulled_new(x, in->id);
		m.token = (uint64_t)(uintptr_t)held;
		status = held ? davit_emit_message(x->job.call, &m) : DAVIT_EXHAUSTED;
		if (status == DAVIT_EXHAUSTED)
			fiber_park_until(clock_ns() + AGAIN_NS);
	} while (status == DAVIT_EXHAUSTED && !x->draining);
	if (status != DAVIT_OK && held != NULL)
		forget(held); /* nobody takes it any more: it stays the broker's */
}

/* What is made for one message goes with it. */
static void emit_within(struct pull *x, const void *in)
{
	struct arena *a = arena_new();
	jmp_buf oom;

	x->job.arena = a;
	if (a != NULL && setjmp(oom) == 0) {
		arena_on_oom(a, &oom);
		emit(x, in);
	} else {
		log_error("out of memory: a message of " STR_FMT " stays with its broker",
			  STR_ARG(x->job.peer->shared->name));
	}
	if (a != NULL)
		arena_on_oom(a, NULL);
	x->job.arena = x->arena;
	arena_unref(a);
}

static davit_status receive(struct pull *x)
{
	struct error e = ERROR_NONE;
	void *out;
	int rc;

	while ((rc = grpc_stream_recv(x->stream, MESSAGE(pull_messages_response), &out, &e)) > 0)
		if (!x->draining)
			emit_within(x, out);
	if (x->draining)
		return DAVIT_OK;
	if (rc == 0)
		return davit_fail(x->job.call, DAVIT_UNAVAILABLE, NULL, "the component has ended the stream");
	x->job.peer->doubtful = 1;
	return davit_fail(x->job.call, e.code, NULL, "Failed to receive pubsub message: " STR_FMT, STR_ARG(e.message));
}

static davit_status pull_or_out_of_memory(struct pull *x, const struct davit_subscribe *in)
{
	volatile davit_status status = DAVIT_EXHAUSTED;
	jmp_buf oom;

	if (setjmp(oom) != 0) {
		arena_on_oom(x->arena, NULL);
		return davit_fail(x->job.call, DAVIT_EXHAUSTED, NULL, "out of memory");
	}
	arena_on_oom(x->arena, &oom);
	status = begin(x, in);
	arena_on_oom(x->arena, NULL);
	return status == DAVIT_OK ? receive(x) : status;
}

static davit_status op_subscribe(void *self, struct davit_call *call, const struct davit_subscribe *in)
{
	struct arena *a = arena_new();
	struct pull *x = a ? arena_try(a, sizeof(*x)) : NULL;
	struct peer *p = self;
	davit_status status;

	if (x == NULL) {
		arena_unref(a);
		return davit_fail(call, DAVIT_EXHAUSTED, NULL, "out of memory");
	}
	*x = (struct pull){ .refs = 1, .job = { .peer = p, .call = call, .arena = a }, .arena = a };
	peer_hold(p);
	davit_on_cancel(call, end_pulling, x);
	status = pull_or_out_of_memory(x, in);
	davit_on_cancel(call, NULL, NULL);
	close_stream(x);
	peer_let_go(p);
	unref(x);
	return status;
}

/* ---- Settling ---- */

static void tell(struct pulled *m, int outcome)
{
	Dapr__Proto__Components__V1__PullMessagesRequest ack = DAPR__PROTO__COMPONENTS__V1__PULL_MESSAGES_REQUEST__INIT;
	Dapr__Proto__Components__V1__AckMessageError refusal = DAPR__PROTO__COMPONENTS__V1__ACK_MESSAGE_ERROR__INIT;
	struct pull *x = m->pull;

	if (x->stream == NULL || (outcome == DAVIT_SETTLE_RETRY && x->draining))
		return;
	ack.ack_message_id = m->id;
	if (outcome == DAVIT_SETTLE_RETRY) {
		refusal.message = (char *)"the message was not taken: it should come again";
		ack.ack_error = &refusal;
	}
	x->sending++;
	if (grpc_stream_send(x->stream, &ack.base) < 0)
		log_error("error when ack'ing message %s", m->id);
	sent(x);
}

static davit_status op_settle(void *self, struct davit_call *call, const struct davit_settle *in)
{
	struct pulled *m;
	uint64_t i;

	(void)self, (void)call;
	for (i = 0; i < in->ntokens; i++) {
		m = (struct pulled *)(uintptr_t)in->tokens[i];
		tell(m, in->outcome);
		forget(m);
	}
	return DAVIT_OK;
}

/* ---- Pausing ---- */

static davit_status pause_it(struct peer_job *j, const void *none)
{
	Dapr__Proto__Components__V1__PauseRequest in = DAPR__PROTO__COMPONENTS__V1__PAUSE_REQUEST__INIT;
	void *out;

	(void)none;
	return peer_ask(j, "PubSub/Pause", &in.base, MESSAGE(pause_response), &out);
}

static davit_status resume_it(struct peer_job *j, const void *none)
{
	Dapr__Proto__Components__V1__ResumeRequest in = DAPR__PROTO__COMPONENTS__V1__RESUME_REQUEST__INIT;
	void *out;

	(void)none;
	return peer_ask(j, "PubSub/Resume", &in.base, MESSAGE(resume_response), &out);
}

static davit_status op_publish(void *self, struct davit_call *call, const struct davit_publish *in)
{
	return peer_run(self, call, publish, in);
}

static davit_status op_bulk_publish(void *self, struct davit_call *call, const struct davit_publish_bulk *in)
{
	return peer_run(self, call, bulk_publish, in);
}

static davit_status op_pause(void *self, struct davit_call *call, const void *none)
{
	return peer_run(self, call, pause_it, none);
}

static davit_status op_resume(void *self, struct davit_call *call, const void *none)
{
	return peer_run(self, call, resume_it, none);
}

const struct davit_pubsub_ops peer_pubsub_ops = DAVIT_INIT(davit_pubsub_ops, .publish = op_publish,
							   .subscribe = op_subscribe, .bulk_publish = op_bulk_publish,
							   .settle = op_settle, .pause = op_pause, .resume = op_resume);
