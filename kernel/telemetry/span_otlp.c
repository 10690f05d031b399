/* SPDX-License-Identifier: Apache-2.0 */
/*
 * opentelemetry.proto.collector.trace.v1.ExportTraceServiceRequest, written field by field: it is only ever written here,
 * and lies in one buffer from the start. A message inside is written in place and its length put in front afterwards.
 */
#include "base/banned.h"
#include "telemetry/span_text.h"

#define SCHEMA "https://opentelemetry.io/schemas/1.25.0"

enum { VARINT = 0, FIXED64 = 1, BYTES = 2, FIXED32 = 5 };

static size_t varint(uint64_t v, char out[10])
{
	size_t n = 0;

	while (v >= 0x80) {
		out[n++] = (char)(v | 0x80);
		v >>= 7;
	}
	out[n++] = (char)v;
	return n;
}

static void put_varint(struct buf *b, uint64_t v)
{
	char text[10];

	buf_add(b, text, varint(v, text));
}

static void put_tag(struct buf *b, unsigned field, unsigned wire)
{
	put_varint(b, field << 3 | wire);
}

static void put_bytes(struct buf *b, unsigned field, const void *p, size_t n)
{
	put_tag(b, field, BYTES);
	put_varint(b, n);
	buf_add(b, p, n);
}

static void put_text(struct buf *b, unsigned field, struct str s)
{
	if (s.n > 0)
		put_bytes(b, field, s.p, s.n);
}

static void put_number(struct buf *b, unsigned field, uint64_t v)
{
	if (v == 0)
		return;
	put_tag(b, field, VARINT);
	put_varint(b, v);
}

static void put_fixed(struct buf *b, unsigned field, unsigned wire, uint64_t v)
{
	size_t i, n = wire == FIXED64 ? 8 : 4;

	put_tag(b, field, wire);
	for (i = 0; i < n; i++)
		buf_addc(b, (char)(v >> (8 * i)));
}

/* A message inside another: what is added between the two is its content. */
static size_t begin(struct buf *b, unsigned field)
{
	put_tag(b, field, BYTES);
	return b->n;
}

static void end(struct buf *b, size_t at)
{
	char length[10];
	size_t n;

	if (b->failed || b->n < at)
		return;
	n = varint(b->n - at, length);
	if (buf_reserve(b, n) < 0)
		return;
	memmove(b->p + at + n, b->p + at, b->n - at);
	memcpy(b->p + at, length, n);
	b->n += n;
}

static void put_attributes(struct buf *b, unsigned field, const struct span_attribute *list, size_t n)
{
	size_t i, pair, value;
	int64_t number;

	for (i = 0; i < n; i++) {
		pair = begin(b, field);
		put_text(b, 1, list[i].key);
		value = begin(b, 2);
		if (list[i].number && str_int(list[i].value, &number) == 0) {
			put_tag(b, 3, VARINT);
			put_varint(b, (uint64_t)number);
		} else {
			put_bytes(b, 1, list[i].value.p, list[i].value.n);
		}
		end(b, value);
		end(b, pair);
	}
}

static void put_event(struct buf *b, const struct span_event *e)
{
	size_t at = begin(b, 11);

	put_fixed(b, 1, FIXED64, (uint64_t)e->at_ns);
	put_text(b, 2, e->name);
	put_attributes(b, 3, e->attributes, e->nattributes);
	end(b, at);
}

static void put_status(struct buf *b, const struct span_copy *c)
{
	static const uint64_t codes[] = { [TRACE_UNSET] = 0, [TRACE_OK] = 1, [TRACE_ERROR] = 2 };
	size_t at = begin(b, 15);

	put_text(b, 2, c->status_message);
	put_number(b, 3, codes[c->status]);
	end(b, at);
}

static void put_span(struct buf *b, const struct span_copy *c)
{
	static const uint64_t kinds[] = {
		[TRACE_INTERNAL] = 1, [TRACE_SERVER] = 2, [TRACE_CLIENT] = 3, [TRACE_PRODUCER] = 4, [TRACE_CONSUMER] = 5
	};
	size_t at = begin(b, 2), i;

	put_bytes(b, 1, c->trace_id, sizeof(c->trace_id));
	put_bytes(b, 2, c->span_id, sizeof(c->span_id));
	put_text(b, 3, c->state);
	if (!span_copy_is_root(c))
		put_bytes(b, 4, c->parent_id, sizeof(c->parent_id));
	put_text(b, 5, c->name);
	put_number(b, 6, kinds[c->kind]);
	put_fixed(b, 7, FIXED64, (uint64_t)c->start_ns);
	put_fixed(b, 8, FIXED64, (uint64_t)c->end_ns);
	put_attributes(b, 9, c->attributes, c->nattributes);
	put_number(b, 10, c->dropped_attributes);
	for (i = 0; i < c->nevents; i++)
		put_event(b, &c->events[i]);
	put_number(b, 12, c->dropped_events);
	put_status(b, c);
	put_fixed(b, 16, FIXED32, c->flags);
	end(b, at);
}

void span_text_otlp(struct buf *to, const struct span_resource *r, const struct span_copy *list, size_t n)
{
	size_t of_resource = begin(to, 1), resource, spans, scope, i;

	resource = begin(to, 1);
	put_attributes(to, 1, r->attributes, r->n);
	end(to, resource);
	spans = begin(to, 2);
	scope = begin(to, 1);
	put_text(to, 1, STR("dapr-diagnostics"));
	end(to, scope);
	for (i = 0; i < n && list != NULL; i++, list = list->next)
		put_span(to, list);
	end(to, spans);
	put_text(to, 3, STR(SCHEMA));
	end(to, of_resource);
}
