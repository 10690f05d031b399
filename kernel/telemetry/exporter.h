/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where spans go: to collectors (OTLP over HTTP or gRPC, Zipkin) and to the log. Each destination has a queue of its own, as
 * long as OTEL_BSP_MAX_QUEUE_SIZE says and of at most 8 MiB, and a fiber of the first loop that sends batches: a request
 * only copies its span and goes on. What finds no room, and what a collector does not take, is counted in
 * davit_trace_spans_dropped and forgotten.
 *
 * A batch leaves when it is full or its oldest span has waited for the delay. Where the collector cannot be reached or says
 * that it is busy, it is sent again, after 5 s and then at longer intervals, for as long as OTEL_BSP_EXPORT_TIMEOUT allows.
 */
#ifndef TELEMETRY_EXPORTER_H
#define TELEMETRY_EXPORTER_H
#include "loop/loop.h"
#include "telemetry/metrics.h"
#include "telemetry/span_text.h"

struct exporters;

/* Everything is borrowed until exporters_free(). */
struct exporter_options {
	struct span_resource resource;
	struct metrics *metrics;
	int to_log;		   /* "[name] Trace: …" at info, scope dapr.runtime.trace */
	struct str zipkin;	   /* URL of spans; n 0: none */
	struct str otel;	   /* host, host:port, with a path in front of /v1/traces or none; n 0: none */
	struct str protocol;	   /* "http", "grpc"; n 0: nothing is exported, as in Dapr */
	int secure;		   /* otel by TLS; zipkin's URL says so itself */
	struct str certificate;	   /* path, NUL behind it: the trust anchors instead of the system's; n 0: none */
	const struct str *headers; /* of otel: "name=value", may be secret */
	size_t nheaders;
	int64_t timeout_ns; /* of one request to otel; 0 or less: 10 s */

	/* OTEL_BSP_*; 0: OpenTelemetry's defaults of 5 s, 30 s, 2,048 and 512. */
	int64_t delay_ms, export_ms;
	size_t queue_limit, batch_limit;
};

int exporter_wanted(const struct exporter_options *o); /* 1: there is anywhere to send spans to */

/*
 * NULL: *ret_message (in a) says what of the options cannot be done, or that there is no memory. Fibers run on l, which must
 * have started.
 */
struct exporters *exporters_new(const struct exporter_options *o, struct loop *l, struct arena *a,
				struct str *ret_message);
/* The tracer's hook: copies the span; never waits, any loop's thread. */
void exporters_ended(void *exporters, const struct trace_span *span);
/* From no loop's thread: sends what is queued, once, and ends the fibers. Waits for it, not much longer than within_ms. */
void exporters_stop(struct exporters *x, int within_ms);
void exporters_free(struct exporters *x); /* stopped; NULL is fine */
#endif
