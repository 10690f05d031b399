/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Trace context (W3C traceparent and tracestate, gRPC's grpc-trace-bin), the decision to sample, and spans. A span lives in
 * its call's arena and on one fiber; when it ends and is sampled it is shown to the tracer's hook, which must copy what it
 * keeps. Who exports it is somebody else's business.
 *
 * As in Dapr a call has one of three forms, by Configuration's tracing:
 *	TRACE_OFF   samplingRate is 0: nothing is read, nothing is answered, nothing is passed on
 *	TRACE_PASS  no exporter and no samplingRate: what came in is what goes out; who sends nothing gets nothing,
 *		    where Dapr answers a traceparent of zeros, which W3C has readers throw away
 *	TRACE_ON    each call is a span of its own with a new id, sampled or not
 */
#ifndef TELEMETRY_TRACE_H
#define TELEMETRY_TRACE_H
#include <stdint.h>

#include "base/arena.h"
#include "base/str.h"

struct trace_context {
	uint8_t trace_id[16]; /* all zero: there is no context */
	uint8_t span_id[8];
	uint8_t flags;	  /* bit 0: sampled */
	struct str state; /* tracestate, well-formed, borrowed; "" none */
};

#define TRACE_SAMPLED 1
#define TRACE_PARENT_TEXT 55 /* bytes of a traceparent */
#define TRACE_BINARY 29	     /* bytes of a grpc-trace-bin */
#define TRACE_STATE_MAX 512  /* a longer tracestate is not sent on */

int trace_valid(const struct trace_context *c); /* 1: both ids are there */
int trace_sampled(const struct trace_context *c);

/* -1: not a traceparent (any version but ff; more fields only in versions above 00); *ret is untouched. No state. */
int trace_parse_parent(struct str text, struct trace_context *ret);
/* The state in the form in which it goes out, copied into a; STR_NONE when it is not well-formed, as if none came. */
struct str trace_parse_state(struct arena *a, struct str text);
/* -1: no version 0, or no trace id. As in Dapr the span id may be missing. */
int trace_parse_binary(struct str bytes, struct trace_context *ret);

/* What a request brought. Each text may be STR_NONE; binary (gRPC's, decoded) wins over parent. */
struct trace_context trace_from_request(struct arena *a, struct str binary, struct str parent, struct str state);

void trace_parent_text(const struct trace_context *c, char ret_text[TRACE_PARENT_TEXT + 1]);
void trace_binary(const struct trace_context *c, uint8_t ret_bytes[TRACE_BINARY]);
/* The tracestate to send: "" when there is none or it is longer than TRACE_STATE_MAX. */
struct str trace_state_to_send(const struct trace_context *c);

/*
 * Baggage (W3C): 0 when it may be passed on as it is. -1: ret_why is what Dapr says behind "invalid baggage header: ".
 * Several header lines are joined by ',' first. "" is fine.
 */
int trace_check_baggage(struct arena *a, struct str text, struct str *ret_why);

int trace_is_healthz(struct str path); /* 1: never traced */

/* ---- Sampling and spans ---- */

enum trace_mode { TRACE_OFF, TRACE_PASS, TRACE_ON };
enum trace_kind { TRACE_INTERNAL, TRACE_SERVER, TRACE_CLIENT, TRACE_PRODUCER, TRACE_CONSUMER };
enum trace_status { TRACE_UNSET, TRACE_OK, TRACE_ERROR };

struct trace_span;

struct tracer {
	enum trace_mode mode;
	double rate;	/* as Configuration has it; a text that is no number is 1e-4 */
	uint64_t bound; /* of 63 bits: a new trace whose id is below is sampled */
	void (*ended)(void *arg, const struct trace_span *span); /* sampled spans only, on their thread; NULL: nobody */
	void *arg;
};

/* sampling_rate: Configuration's text, "" when there is none. exporter: 1 when any is configured. */
struct tracer tracer_of(struct str sampling_rate, int exporter);

struct trace_attribute {
	struct trace_attribute *next;
	struct str key, value; /* value is text, or decimal when number is 1 */
	int number;
};

struct trace_event {
	struct trace_event *next;
	struct str name;
	int64_t at_ns; /* since 1970 */
	struct trace_attribute *attributes;
};

struct trace_span {
	const struct tracer *tracer;
	struct arena *arena;
	struct trace_context context;
	uint8_t parent_id[8]; /* zero: the root of its trace */
	struct str name;
	enum trace_kind kind;
	int64_t start_ns, end_ns; /* since 1970 */
	enum trace_status status;
	struct str status_message;
	struct trace_attribute *attributes; /* in no particular order */
	struct trace_event *events;	    /* newest first */
};

/*
 * Starts a span below parent (not valid: a new trace). NULL when the tracer is off. In TRACE_PASS its context is the
 * parent's, which may be none. The parent's sampled flag decides, wherever the parent is; a root is sampled by rate.
 */
struct trace_span *trace_start(const struct tracer *t, struct arena *a, const struct trace_context *parent,
			       struct str name, enum trace_kind kind);
int trace_records(const struct trace_span *s); /* 1: what is put on it will be seen; 0: not sampled, or NULL */
/* These take NULL, and do nothing on a span that is not sampled. Texts are copied into the span's arena. */
void trace_attribute(struct trace_span *s, const char *key, struct str value); /* "" is left out, as Dapr does */
void trace_number(struct trace_span *s, const char *key, int64_t value);
struct trace_event *trace_event(struct trace_span *s, const char *name);
void trace_event_attribute(struct trace_span *s, struct trace_event *e, const char *key, struct str value);
void trace_rename(struct trace_span *s, struct str name);
void trace_status_http(struct trace_span *s, int status); /* from 400 on an error, "Code(404): Not Found" */
void trace_status_error(struct trace_span *s, struct str message);
void trace_end(struct trace_span *s); /* once; calls the tracer's hook */
#endif
