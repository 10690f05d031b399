/* SPDX-License-Identifier: Apache-2.0 */
#include "app/topic_send.h"

#include <ctype.h>

#include "base/banned.h"
#include "base/base64.h"
#include "base/clock.h"
#include "base/log.h"
#include "grpc/server.h"
#include "loop/fiber.h"
#include "telemetry/metrics.h"

#define LOG_SCOPE "dapr.runtime.processor.pubsub.subscription"
#define ANSWER_MOST (1u << 20) /* bytes of an answer that are looked at */
#define BULK_ANSWER_MOST (16u << 20)
#define LIST_BYTES (16u << 20)
#define CALLBACK "/dapr.proto.runtime.v1.AppCallback/"

void topic_cancel(struct topic_cancel *c)
{
	c->cancelled = 1;
	if (c->scope != NULL)
		scope_cancel(c->scope);
	if (c->waiting != NULL)
		fiber_wake(c->waiting);
	if (c->http != NULL)
		http_call_cancel(c->http);
	if (c->grpc != NULL)
		grpc_stream_cancel(c->grpc);
}

struct trace_span *topic_span(const struct tracer *t, struct arena *a, const struct topic_event *e)
{
	struct str from = e->is.traceparent.p ? e->is.traceparent : e->is.traceid;
	struct trace_context parent = { .flags = 0 };
	struct trace_span *s;

	if (t->mode == TRACE_OFF || from.p == NULL || from.p[0] != '"')
		return NULL;
	if (trace_parse_parent(topic_text(a, from), &parent) == 0)
		parent.state = trace_parse_state(a, topic_text(a, e->is.tracestate));
	s = trace_start(t, a, &parent, STR(""), TRACE_CLIENT);
	if (trace_records(s))
		trace_rename(s, arena_printf(a, "pubsub/" STR_FMT, STR_ARG(e->topic)));
	return s;
}

static void end_span(struct trace_span *s, struct str topic, int http_status, const struct error *e)
{
	if (s == NULL)
		return;
	trace_attribute(s, "messaging.system", STR("pubsub"));
	trace_attribute(s, "messaging.destination.name", topic);
	if (http_status > 0)
		trace_status_http(s, http_status);
	else if (error_is(e))
		trace_status_error(s, e->message);
	trace_end(s);
}

/* ---- HTTP ---- */

/* What the span says of the trace takes the place of what the message's metadata said. */
static void add_trace(struct arena *a, const struct trace_span *s, struct http_field *fields, size_t *n)
{
	char text[TRACE_PARENT_TEXT + 1];
	int brought = 0;
	size_t i, kept = 0;

	if (s == NULL)
		return;
	for (i = 0; i < *n; i++)
		brought |= str_is(fields[i].name, "traceparent");
	if (brought && !trace_valid(&s->context))
		return;
	for (i = 0; i < *n; i++)
		if (!str_is(fields[i].name, "traceparent") && !str_is(fields[i].name, "tracestate"))
			fields[kept++] = fields[i];
	trace_parent_text(&s->context, text);
	fields[kept++] = (struct http_field){ STR("traceparent"),
					      arena_str(a, (struct str){ text, TRACE_PARENT_TEXT }) };
	if (s->context.state.n > 0)
		fields[kept++] = (struct http_field){ STR("tracestate"), trace_state_to_send(&s->context) };
	*n = kept;
}

struct http_answer {
	int status;
	struct str body;
};

/* One request with its answer; a body of more than `most` bytes counts as empty. */
static struct error exchange(struct app *p, const struct http_request *q, struct arena *a, size_t most,
			     struct topic_cancel *cancel, struct http_answer *ret)
{
	struct metrics *m = app_options(p)->metrics;
	struct str method = str_from(q->target, q->target.p[0] == '/'); /* as Dapr counts it */
	struct http_call *call = NULL;
	int64_t began;
	struct error e = app_begin(p, q, a, &call);

	if (error_is(&e))
		return e;
	metrics_http_client_started(m, q->method, method, (int64_t)q->body.n);
	began = clock_ns();
	cancel->http = call;
	if (cancel->cancelled)
		http_call_cancel(call);
	e = http_call_head(call);
	if (!error_is(&e)) {
		ret->status = call->status;
		e = http_call_read_all(call, most, &ret->body);
		if (e.code == ERROR_RESOURCE_EXHAUSTED) { /* nothing so long is an answer to an event */
			ret->body = STR("");
			e = ERROR_NONE;
		}
	}
	cancel->http = NULL;
	metrics_http_client_done(m, q->method, method, error_is(&e) ? 500 : ret->status, (int64_t)call->received,
				 clock_ns() - began);
	app_end(p, call);
	return e;
}

static struct http_request post(struct arena *a, struct str path, struct str body, struct http_field *fields, size_t n,
				int64_t deadline_ns)
{
	return (struct http_request){ .method = STR("POST"),
				      .target = topic_target(a, path),
				      .fields = fields,
				      .nfields = n,
				      .body = body,
				      .deadline_ns = deadline_ns };
}

static struct topic_answer send_http(struct app *p, struct trace_span *span, struct arena *a,
				     const struct topic_event *e, int64_t deadline_ns, struct topic_cancel *cancel)
{
	struct http_answer answer = { .body = STR("") };
	struct http_request q;
	struct http_field *fields;
	struct error error;
	size_t n;

	fields = topic_fields(a, e->metadata, e->nmetadata, 3, &n);
	add_trace(a, span, fields, &n);
	fields[n++] = (struct http_field){ STR("content-type"), STR("application/cloudevents+json") };
	q = post(a, e->path, e->body, fields, n, deadline_ns);
	error = exchange(p, &q, a, ANSWER_MOST, cancel, &answer);
	end_span(span, e->topic, answer.status, &error);
	if (!error_is(&error))
		return topic_http_answer(a, e, answer.status, answer.body);
	return (struct topic_answer){
		.verdict = TOPIC_RETRY,
		.why = arena_printf(a, "error returned from app channel while sending pub/sub event to app: " STR_FMT,
				    STR_ARG(error.message))
	};
}

/* ---- gRPC ---- */

static int grpc_can_say(struct str name, struct str value)
{
	size_t i;

	for (i = 0; i < name.n; i++)
		if (!islower((unsigned char)name.p[i]) && !isdigit((unsigned char)name.p[i]) && name.p[i] != '-' &&
		    name.p[i] != '_' && name.p[i] != '.')
			return 0;
	for (i = 0; i < value.n; i++)
		if (value.p[i] < ' ' || value.p[i] > '~')
			return 0;
	return name.n > 0;
}

static struct str grpc_name(struct arena *a, const struct davit_pair *pair)
{
	char *p = arena_alloc(a, pair->key.n + 1);
	size_t i;

	for (i = 0; i < pair->key.n; i++)
		p[i] = (char)tolower((unsigned char)pair->key.p[i]);
	p[i] = '\0';
	return (struct str){ p, pair->key.n };
}

static void add_grpc_trace(struct arena *a, const struct trace_span *s, struct http_field *fields, size_t *n)
{
	struct buf b = buf_in(a);
	uint8_t bytes[TRACE_BINARY];

	if (s == NULL)
		return;
	add_trace(a, s, fields, n);
	trace_binary(&s->context, bytes);
	base64_put(&b, (struct str){ (const char *)bytes, TRACE_BINARY });
	fields[(*n)++] = (struct http_field){ STR("grpc-trace-bin"), buf_str(&b) };
}

static struct http_field *grpc_fields(struct app *p, struct arena *a, const struct davit_pair *metadata, size_t n,
				      const struct trace_span *span, size_t *ret_n)
{
	struct http_field *fields = arena_alloc(a, (n + 5) * sizeof(*fields));
	size_t i, count = 0;

	for (i = 0; i < n; i++) {
		struct str name = grpc_name(a, &metadata[i]), value = { metadata[i].value.p, metadata[i].value.n };
		struct buf b = buf_in(a);

		if (str_is(name, "content-type") || str_is(name, "content-length") || str_starts(name, STR("grpc-")))
			continue;
		if (str_ends(name, STR("-bin"))) {
			base64_put(&b, value);
			value = buf_str(&b);
		}
		if (grpc_can_say(name, value))
			fields[count++] = (struct http_field){ name, value };
	}
	add_grpc_trace(a, span, fields, &count);
	if (app_token_field(p, &fields[count]))
		count++;
	*ret_n = count;
	return fields;
}

/* The call's only message, copied to the arena, and its status. Does not jump: the caller holds a turn of the application. */
static struct error receive_one(struct grpc_stream *s, struct arena *a, struct str *ret_bytes)
{
	struct error e = ERROR_NONE;
	struct str bytes, more;
	char *p;
	int got = grpc_stream_recv_bytes(s, &bytes, &e);

	if (got == 0)
		return (struct error){ .code = ERROR_INTERNAL,
				       .message = STR("the application ended the call without an answer") };
	if (got < 0)
		return e;
	p = arena_try(a, bytes.n + 1);
	if (p == NULL)
		return (struct error){ .code = ERROR_RESOURCE_EXHAUSTED, .message = STR("out of memory") };
	memcpy(p, bytes.p, bytes.n);
	*ret_bytes = (struct str){ p, bytes.n };
	got = grpc_stream_recv_bytes(s, &more, &e);
	if (got > 0)
		return (struct error){ .code = ERROR_INTERNAL,
				       .message = STR("the application gave two answers to one call") };
	return got == 0 ? ERROR_NONE : e;
}

/* One message there and one back, within the application's limit. */
static struct error call_grpc(struct app *p, const struct grpc_request *q, const ProtobufCMessage *request,
			      const ProtobufCMessageDescriptor *type, struct arena *a, struct topic_cancel *cancel,
			      void **ret_reply)
{
	size_t n = protobuf_c_message_get_packed_size(request);
	struct str packed = { arena_alloc(a, n + 1), n }, bytes = STR("");
	struct grpc_client *client = app_grpc(p);
	struct grpc_stream *s = client ? grpc_stream_new(client, a) : NULL;
	int64_t began = clock_ns();
	struct error e;

	if (s == NULL)
		return error_new(a, ERROR_UNAVAILABLE, NULL, "out of memory, or the application is being left");
	protobuf_c_message_pack(request, (uint8_t *)packed.p);
	e = app_enter(p, q->deadline_ns);
	if (error_is(&e))
		return e;
	cancel->grpc = s;
	e = grpc_stream_start_whole(s, q, packed);
	if (cancel->cancelled)
		grpc_stream_cancel(s);
	if (!error_is(&e))
		e = receive_one(s, a, &bytes);
	cancel->grpc = NULL;
	grpc_stream_close(s);
	app_leave(p);
	metrics_grpc_client_done(app_options(p)->metrics, q->path, e.code, (int64_t)n, (int64_t)bytes.n,
				 clock_ns() - began);
	if (!error_is(&e))
		*ret_reply = grpc_unpack(a, type, bytes, &e);
	return e;
}

static struct topic_answer send_grpc(struct app *p, struct trace_span *span, struct arena *a,
				     const struct topic_event *e, int64_t deadline_ns, struct topic_cancel *cancel)
{
	Dapr__Proto__Runtime__V1__TopicEventRequest *message;
	struct grpc_request q = { .path = STR(CALLBACK "OnTopicEvent"), .deadline_ns = deadline_ns };
	struct topic_answer answer = { .verdict = TOPIC_RETRY };
	struct error error;
	void *reply = NULL;

	message = topic_grpc_request(a, e, &answer.why);
	if (message == NULL) {
		end_span(span, e->topic, 0, &(struct error){ .code = ERROR_INTERNAL, .message = answer.why });
		return answer;
	}
	q.metadata = grpc_fields(p, a, e->metadata, e->nmetadata, span, &q.nmetadata);
	error = call_grpc(p, &q, &message->base, &dapr__proto__runtime__v1__topic_event_response__descriptor, a, cancel,
			  &reply);
	end_span(span, e->topic, 0, &error);
	return topic_grpc_answer(a, e, &error, reply);
}

struct topic_answer topic_send(struct app *p, const struct tracer *t, struct arena *a, const struct topic_event *e,
			       int64_t deadline_ns, struct topic_cancel *cancel)
{
	struct trace_span *span = topic_span(t, a, e);

	if (app_channel_is_http(app_options(p)->channel))
		return send_http(p, span, a, e, deadline_ns, cancel);
	return send_grpc(p, span, a, e, deadline_ns, cancel);
}

/* ---- Bulk ---- */

struct spans {
	struct trace_span **list;
	size_t n;
};

static struct spans start_spans(const struct tracer *t, struct arena *a, const struct topic_bulk *b)
{
	struct spans s = { .list = arena_alloc(a, (b->nentries + 1) * sizeof(*s.list)) };
	size_t i;

	for (i = 0; i < b->nentries; i++) {
		const struct topic_entry *e = b->entries[i];

		if (e->state == TOPIC_ENTRY_OPEN && e->event != NULL)
			s.list[s.n] = topic_span(t, a, e->event);
		else
			s.list[s.n] = NULL;
		s.n += s.list[s.n] != NULL;
	}
	return s;
}

static void end_spans(const struct spans *s, struct str topic, int status, const struct error *e)
{
	size_t i;

	for (i = 0; i < s->n; i++)
		end_span(s->list[i], topic, status, e);
}

static const struct trace_span *last_of(const struct spans *s)
{
	return s->n > 0 ? s->list[s->n - 1] : NULL;
}

static struct topic_bulk_answer bulk_http(struct app *p, const struct tracer *t, struct arena *a, struct topic_bulk *b,
					  int64_t deadline_ns, struct topic_cancel *cancel)
{
	struct http_answer answer = { .body = STR("") };
	struct spans spans = start_spans(t, a, b);
	struct http_request q;
	struct http_field *fields;
	struct error error;
	struct str why;
	size_t n;

	fields = topic_fields(a, b->metadata, b->nmetadata, 3, &n);
	add_trace(a, last_of(&spans), fields, &n);
	fields[n++] = (struct http_field){ STR("content-type"), STR("application/json") };
	q = post(a, b->path, topic_bulk_http_body(a, b), fields, n, deadline_ns);
	error = exchange(p, &q, a, BULK_ANSWER_MOST, cancel, &answer);
	end_spans(&spans, b->topic, answer.status, &error);
	if (!error_is(&error))
		return topic_bulk_http_answer(a, b, answer.status, answer.body);
	why = arena_printf(a, "error from app channel while sending pub/sub event to app: " STR_FMT,
			   STR_ARG(error.message));
	topic_bulk_settle(b, TOPIC_ENTRY_FAILED, why);
	return topic_bulk_count(b, 0, why);
}

static struct topic_bulk_answer bulk_grpc(struct app *p, const struct tracer *t, struct arena *a, struct topic_bulk *b,
					  int64_t deadline_ns, struct topic_cancel *cancel)
{
	struct grpc_request q = { .path = STR(CALLBACK "OnBulkTopicEvent"), .deadline_ns = deadline_ns };
	Dapr__Proto__Runtime__V1__TopicEventBulkRequest *message = topic_bulk_grpc_request(a, b);
	struct spans spans = start_spans(t, a, b);
	struct error error;
	void *reply = NULL;

	q.metadata = grpc_fields(p, a, b->metadata, b->nmetadata, last_of(&spans), &q.nmetadata);
	error = call_grpc(p, &q, &message->base, &dapr__proto__runtime__v1__topic_event_bulk_response__descriptor, a,
			  cancel, &reply);
	if (error.code == ERROR_UNIMPLEMENTED) {
		log_warn("falling back to OnBulkTopicEventAlpha1 due to unimplemented error: " STR_FMT,
			 STR_ARG(error.message));
		q.path = STR("/dapr.proto.runtime.v1.AppCallbackAlpha/OnBulkTopicEventAlpha1");
		error = call_grpc(p, &q, &message->base,
				  &dapr__proto__runtime__v1__topic_event_bulk_response__descriptor, a, cancel, &reply);
	}
	end_spans(&spans, b->topic, 0, &error);
	return topic_bulk_grpc_answer(a, b, &error, reply);
}

struct topic_bulk_answer topic_bulk_send(struct app *p, const struct tracer *t, struct arena *a, struct topic_bulk *b,
					 int64_t deadline_ns, struct topic_cancel *cancel)
{
	if (app_channel_is_http(app_options(p)->channel))
		return bulk_http(p, t, a, b, deadline_ns, cancel);
	return bulk_grpc(p, t, a, b, deadline_ns, cancel);
}

/* ---- What it subscribes to ---- */

static struct error list_http(struct app *p, struct arena *a, int64_t deadline_ns, struct topic_cancel *cancel,
			      struct subscription **ret_list, size_t *ret_n, int *ret_again)
{
	struct http_field fields[] = { { STR("dapr-app-id"), app_options(p)->app_id },
				       { STR("content-type"), STR("application/json") } };
	struct http_request q = { .method = STR("GET"),
				  .target = STR("/dapr/subscribe"),
				  .fields = fields,
				  .nfields = 2,
				  .deadline_ns = deadline_ns };
	struct http_answer answer = { .body = STR("") };
	struct error e = exchange(p, &q, a, LIST_BYTES, cancel, &answer);
	struct str why;

	*ret_again = error_is(&e);
	if (error_is(&e))
		return e;
	if (answer.status == 404) {
		log_debug("user app did not subscribe to any topic");
	} else if (answer.status != 200) {
		log_error("app returned http status code %d from subscription endpoint", answer.status);
	} else if (topic_list_http(a, answer.body, ret_list, ret_n, &why) < 0) {
		return error_new(a, ERROR_INVALID_ARGUMENT, NULL, "error getting topics from app: " STR_FMT,
				 STR_ARG(why));
	}
	return ERROR_NONE;
}

static struct error list_grpc(struct app *p, struct arena *a, int64_t deadline_ns, struct topic_cancel *cancel,
			      struct subscription **ret_list, size_t *ret_n, int *ret_again)
{
	Google__Protobuf__Empty nothing = GOOGLE__PROTOBUF__EMPTY__INIT;
	struct grpc_request q = { .path = STR(CALLBACK "ListTopicSubscriptions"), .deadline_ns = deadline_ns };
	void *reply = NULL;
	struct error e;

	q.metadata = grpc_fields(p, a, NULL, 0, NULL, &q.nmetadata);
	e = call_grpc(p, &q, &nothing.base, &dapr__proto__runtime__v1__list_topic_subscriptions_response__descriptor, a,
		      cancel, &reply);
	*ret_again = 0;
	if (e.code == ERROR_UNIMPLEMENTED) {
		log_info("pubsub subscriptions: gRPC app does not implement ListTopicSubscriptions");
		return ERROR_NONE;
	}
	*ret_again = error_is(&e);
	if (error_is(&e))
		return error_new(a, e.code, NULL,
				 "error getting topic list from app: rpc error: code = %s desc = " STR_FMT,
				 error_code_name(e.code), STR_ARG(e.message));
	topic_list_grpc(a, reply, ret_list, ret_n);
	return ERROR_NONE;
}

struct error topic_list(struct app *p, struct arena *a, int64_t deadline_ns, struct topic_cancel *cancel,
			struct subscription **ret_list, size_t *ret_n, int *ret_again)
{
	*ret_list = NULL;
	*ret_n = 0;
	if (app_channel_is_http(app_options(p)->channel))
		return list_http(p, a, deadline_ns, cancel, ret_list, ret_n, ret_again);
	return list_grpc(p, a, deadline_ns, cancel, ret_list, ret_n, ret_again);
}
