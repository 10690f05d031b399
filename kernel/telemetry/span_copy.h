/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A span that has ended, copied out of its call's arena: one block of the heap, in which all its texts lie. What a protobuf
 * text or JSON could not carry (bytes that are not UTF-8) is '_' in it, so that one bad header does not cost a whole batch.
 */
#ifndef TELEMETRY_SPAN_COPY_H
#define TELEMETRY_SPAN_COPY_H
#include "telemetry/trace.h"

#define SPAN_ATTRIBUTES_MAX 128 /* OpenTelemetry's default; events the same */

struct span_attribute {
	struct str key, value; /* value is text, or decimal when number is 1 */
	int number;
};

struct span_event {
	struct str name;
	int64_t at_ns;
	size_t nattributes;
	const struct span_attribute *attributes;
};

struct span_copy {
	struct span_copy *next; /* its owner's */
	size_t size;		/* bytes of the block */
	uint8_t trace_id[16], span_id[8], parent_id[8];
	uint8_t flags;
	struct str name, state, status_message;
	enum trace_kind kind;
	enum trace_status status;
	int64_t start_ns, end_ns;
	size_t nattributes, nevents;
	const struct span_attribute *attributes; /* each key once, with its last value */
	const struct span_event *events;	 /* oldest first */
	uint32_t dropped_attributes, dropped_events;
};

struct span_copy *span_copy_new(const struct trace_span *s); /* NULL: no memory */
void span_copy_free(struct span_copy *c);		     /* NULL is fine */
int span_copy_is_root(const struct span_copy *c);
void span_copy_hex(const uint8_t *id, size_t n, char *ret_text); /* 2n digits and a NUL */
#endif
