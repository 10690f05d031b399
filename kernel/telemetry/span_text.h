/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Spans in the forms in which they leave: OpenTelemetry's ExportTraceServiceRequest (protobuf), Zipkin's JSON v2, and the
 * line of the log. No I/O here. Buffers may be of the heap: one that ran out of memory says so in `failed`.
 */
#ifndef TELEMETRY_SPAN_TEXT_H
#define TELEMETRY_SPAN_TEXT_H
#include "base/buf.h"
#include "telemetry/span_copy.h"

/* Who the spans are of: service.name among the attributes, each key once. */
struct span_resource {
	size_t n;
	const struct span_attribute *attributes;
	struct str service; /* the value of service.name */
};

/*
 * What OTEL_RESOURCE_ATTRIBUTES ("k=v,k=v", values percent-encoded) and OTEL_SERVICE_NAME say over the application's id, in
 * a; texts STR_NONE when they are not set. -1: attributes is malformed and was left out whole, as OpenTelemetry does.
 */
int span_resource_of(struct arena *a, struct str app_id, struct str attributes, struct str service_name,
		     struct span_resource *ret);

void span_text_otlp(struct buf *to, const struct span_resource *r, const struct span_copy *list, size_t n);
void span_text_zipkin(struct buf *to, const struct span_resource *r, const struct span_copy *list, size_t n);
void span_text_line(struct buf *to, const struct span_copy *c); /* as Dapr's stdout exporter words it */
#endif
