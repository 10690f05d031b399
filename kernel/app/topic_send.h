/* SPDX-License-Identifier: Apache-2.0 */
/* Sending events to the application over whatever it speaks, and asking it what it subscribes to. All park; each runs on a
 * fiber of any loop. */
#ifndef APP_TOPIC_SEND_H
#define APP_TOPIC_SEND_H
#include "app/app.h"
#include "app/topic_bulk.h"
#include "plugin/scope.h"
#include "telemetry/trace.h"

/* How the one who sends can be stopped: zero at first, its owner keeps it until the sending has returned. */
struct topic_cancel {
	int cancelled;
	int64_t until_ns;      /* steady clock; 0: none. Of who sends */
	struct scope *scope;   /* of a policy, which may be waiting to try again; NULL: none */
	struct fiber *waiting; /* of who sends by himself: woken */
	struct http_call *http;
	struct grpc_stream *grpc;
};

void topic_cancel(struct topic_cancel *c); /* on the loop: what is under way, or comes, ends CANCELLED: TOPIC_RETRY */

/* The span of a delivery, below the event's own trace; NULL when the tracer is off or the event has no trace. */
struct trace_span *topic_span(const struct tracer *t, struct arena *a, const struct topic_event *e);

/* deadline_ns: steady clock; 0: none. */
struct topic_answer topic_send(struct app *p, const struct tracer *t, struct arena *a, const struct topic_event *e,
			       int64_t deadline_ns, struct topic_cancel *cancel);
/* Sends the entries that are OPEN; none is afterwards. */
struct topic_bulk_answer topic_bulk_send(struct app *p, const struct tracer *t, struct arena *a, struct topic_bulk *b,
					 int64_t deadline_ns, struct topic_cancel *cancel);

/*
 * Once. ERROR_NONE with the list, which may be empty: it has no such endpoint, or answers something else. An error is worth
 * another try when *ret_again is 1.
 */
struct error topic_list(struct app *p, struct arena *a, int64_t deadline_ns, struct topic_cancel *cancel,
			struct subscription **ret_list, size_t *ret_n, int *ret_again);
#endif
