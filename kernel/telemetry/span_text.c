/* SPDX-License-Identifier: Apache-2.0 */
/* The resource, Zipkin's JSON and the log's line. */
#include "telemetry/span_text.h"

#include <time.h>

#include "base/banned.h"
#include "base/clock.h"
#include "base/jstream.h"

/* ---- Resource ---- */

static int hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* %XX decoded where it is one, as OpenTelemetry does: else it stays as it is. */
static struct str decode(struct arena *a, struct str s)
{
	struct buf b = buf_in(a);
	size_t i;

	for (i = 0; i < s.n; i++) {
		if (s.p[i] == '%' && i + 2 < s.n && hex(s.p[i + 1]) >= 0 && hex(s.p[i + 2]) >= 0) {
			buf_addc(&b, (char)(hex(s.p[i + 1]) * 16 + hex(s.p[i + 2])));
			i += 2;
		} else {
			buf_addc(&b, s.p[i]);
		}
	}
	return str_utf8(buf_str(&b)) ? buf_str(&b) : s;
}

static void set(struct span_attribute *list, size_t *n, struct str key, struct str value)
{
	size_t i;

	for (i = 0; i < *n && !str_eq(list[i].key, key); i++)
		;
	list[i] = (struct span_attribute){ key, value, 0 };
	if (i == *n)
		++*n;
}

int span_resource_of(struct arena *a, struct str app_id, struct str attributes, struct str service_name,
		     struct span_resource *ret)
{
	struct str rest = attributes, one, key, value;
	struct span_attribute *list;
	size_t n = 0, most = 3, i;
	int rc = 0;

	for (i = 0; i < attributes.n; i++)
		most += attributes.p[i] == ',';
	list = arena_alloc(a, most * sizeof(*list));
	set(list, &n, STR("service.name"), app_id);
	while (str_trim(attributes).n > 0 && str_split(&rest, ',', &one)) {
		if (!str_utf8(one) || !str_cut(one, '=', &key, &value)) {
			n = 1;
			list[0].value = app_id;
			rc = -1;
			break;
		}
		set(list, &n, arena_str(a, str_trim(key)), decode(a, str_trim(value)));
	}
	if (str_trim(service_name).n > 0 && str_utf8(service_name))
		set(list, &n, STR("service.name"), str_trim(service_name));
	*ret = (struct span_resource){ n, list, list[0].value };
	return rc;
}

/* ---- Zipkin ---- */

static void put_member(struct buf *b, const char *name, struct str value)
{
	buf_printf(b, ",\"%s\":", name);
	jstream_put(b, value);
}

static struct str value_of(const struct span_copy *c, const char *key)
{
	size_t i;

	for (i = 0; i < c->nattributes; i++)
		if (str_is(c->attributes[i].key, key))
			return c->attributes[i].value;
	return STR_NONE;
}

static void put_tags(struct buf *b, const struct span_copy *c)
{
	size_t i;

	buf_lit(b, ",\"tags\":{\"otel.library.name\":\"dapr-diagnostics\"");
	for (i = 0; i < c->nattributes; i++) {
		if (str_is(c->attributes[i].key, "error")) /* Zipkin's own word */
			continue;
		buf_addc(b, ',');
		jstream_put(b, c->attributes[i].key);
		buf_addc(b, ':');
		jstream_put(b, c->attributes[i].value);
	}
	if (c->status == TRACE_ERROR) {
		put_member(b, "otel.status_code", STR("ERROR"));
		put_member(b, "error", c->status_message);
	}
	buf_addc(b, '}');
}

static void put_annotations(struct buf *b, const struct span_copy *c)
{
	size_t i;

	for (i = 0; i < c->nevents; i++) {
		buf_printf(b, "%s{\"timestamp\":%lld", i ? "," : ",\"annotations\":[",
			   (long long)(c->events[i].at_ns / 1000));
		put_member(b, "value", c->events[i].name);
		buf_addc(b, '}');
	}
	if (c->nevents > 0)
		buf_addc(b, ']');
}

static void put_zipkin(struct buf *b, const struct span_resource *r, const struct span_copy *c)
{
	static const char *const kinds[] = { [TRACE_SERVER] = "SERVER",
					     [TRACE_CLIENT] = "CLIENT",
					     [TRACE_PRODUCER] = "PRODUCER",
					     [TRACE_CONSUMER] = "CONSUMER" };
	int64_t us = (c->end_ns - c->start_ns) / 1000;
	struct str peer = value_of(c, "net.peer.name");
	char id[33];

	span_copy_hex(c->trace_id, 16, id);
	buf_printf(b, "{\"traceId\":\"%s\"", id);
	span_copy_hex(c->span_id, 8, id);
	buf_printf(b, ",\"id\":\"%s\"", id);
	span_copy_hex(c->parent_id, 8, id);
	if (!span_copy_is_root(c))
		buf_printf(b, ",\"parentId\":\"%s\"", id);
	if (c->kind != TRACE_INTERNAL)
		buf_printf(b, ",\"kind\":\"%s\"", kinds[c->kind]);
	put_member(b, "name", c->name);
	buf_printf(b, ",\"timestamp\":%lld,\"duration\":%lld", (long long)(c->start_ns / 1000),
		   (long long)(us > 0 ? us : 1));
	buf_lit(b, ",\"localEndpoint\":{\"serviceName\":");
	jstream_put(b, r->service);
	buf_addc(b, '}');
	if (peer.n > 0 && (c->kind == TRACE_CLIENT || c->kind == TRACE_PRODUCER)) {
		buf_lit(b, ",\"remoteEndpoint\":{\"serviceName\":");
		jstream_put(b, peer);
		buf_addc(b, '}');
	}
	put_annotations(b, c);
	put_tags(b, c);
	buf_addc(b, '}');
}

void span_text_zipkin(struct buf *to, const struct span_resource *r, const struct span_copy *list, size_t n)
{
	size_t i;

	buf_addc(to, '[');
	for (i = 0; i < n && list != NULL; i++, list = list->next) {
		if (i > 0)
			buf_addc(to, ',');
		put_zipkin(to, r, list);
	}
	buf_addc(to, ']');
}

/* ---- The log ---- */

/* As Go prints a time: "2026-01-02 03:04:05.123456789 +0000 UTC", without trailing zeros. */
static void put_time(struct buf *b, int64_t ns)
{
	char text[CLOCK_TEXT];
	size_t n = clock_rfc3339(ns, -1, text);

	if (n > 11) {
		text[10] = ' ';
		buf_add(b, text, n - 1);
	}
	buf_lit(b, " +0000 UTC");
}

void span_text_line(struct buf *to, const struct span_copy *c)
{
	char trace[33], parent[17], span[17];
	size_t i, k;

	span_copy_hex(c->trace_id, 16, trace);
	span_copy_hex(c->parent_id, 8, parent);
	span_copy_hex(c->span_id, 8, span);
	buf_addc(to, '[');
	buf_adds(to, c->name);
	buf_printf(to, "] Trace: %s Span: %s/%s Time: [", trace, parent, span);
	put_time(to, c->start_ns);
	buf_lit(to, " ->  ");
	put_time(to, c->end_ns);
	buf_lit(to, "] Annotations: [");
	for (i = 0; i < c->nevents; i++) {
		buf_printf(to, "%s{Name:" STR_FMT " Attributes:[", i ? " " : "", STR_ARG(c->events[i].name));
		for (k = 0; k < c->events[i].nattributes; k++)
			buf_printf(to, "%s" STR_FMT ":" STR_FMT, k ? " " : "", STR_ARG(c->events[i].attributes[k].key),
				   STR_ARG(c->events[i].attributes[k].value));
		buf_lit(to, "] Time:");
		put_time(to, c->events[i].at_ns);
		buf_addc(to, '}');
	}
	buf_addc(to, ']');
}
