/* SPDX-License-Identifier: Apache-2.0 */
/* Copies of spans, and the forms in which they leave. That collectors read them is tests/api/test_tracing.py's. */
#include <check.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "loop/loop.h"
#include "telemetry/exporter.h"

static struct arena *a;
static struct tracer tracer;
static struct trace_span *span;

static void set_up(void)
{
	struct trace_context parent = { .state = STR("") };

	a = arena_new();
	tracer = tracer_of(STR("1"), 1);
	ck_assert_int_eq(trace_parse_parent(STR("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"), &parent),
			 0);
	span = trace_start(&tracer, a, &parent, STR("/v1.0/a"), TRACE_CLIENT);
	span->context.state = STR("k=v");
	span->start_ns = 1767323045123456000;
}

static void tear_down(void)
{
	arena_unref(a);
	arena_drop_stock();
}

static struct span_copy *copy(void)
{
	struct span_copy *c;

	trace_end(span);
	span->end_ns = span->start_ns + 2500000;
	c = span_copy_new(span);
	ck_assert_ptr_nonnull(c);
	return c;
}

START_TEST(copy_outlives_the_call)
{
	trace_attribute(span, "a", STR("1"));
	trace_number(span, "n", -7);
	trace_event_attribute(span, trace_event(span, "first"), "x", STR("y"));
	trace_event(span, "second");
	trace_status_http(span, 404);
	struct span_copy *c = copy();

	arena_unref(a);
	a = arena_new();
	ck_assert(str_is(c->name, "/v1.0/a") && str_is(c->state, "k=v"));
	ck_assert(str_is(c->status_message, "Code(404): Not Found") && c->status == TRACE_ERROR);
	ck_assert_uint_eq(c->nattributes, 2);
	ck_assert_uint_eq(c->nevents, 2);
	ck_assert(str_is(c->events[0].name, "first") && str_is(c->events[1].name, "second"));
	ck_assert(str_is(c->events[0].attributes[0].value, "y"));
	ck_assert_int_eq(c->parent_id[0], 0);
	ck_assert_int_eq(c->parent_id[1], 0xf0);
	ck_assert(!span_copy_is_root(c));
	span_copy_free(c);
}
END_TEST

START_TEST(last_value_of_a_key_counts)
{
	trace_attribute(span, "k", STR("old"));
	trace_attribute(span, "other", STR("1"));
	trace_attribute(span, "k", STR("new"));
	struct span_copy *c = copy();

	ck_assert_uint_eq(c->nattributes, 2);
	ck_assert(str_is(c->attributes[0].key, "k") && str_is(c->attributes[0].value, "new"));
	ck_assert_uint_eq(c->dropped_attributes, 0);
	span_copy_free(c);
}
END_TEST

START_TEST(more_than_the_limit_is_dropped_and_counted)
{
	char key[16];

	for (int i = 0; i < SPAN_ATTRIBUTES_MAX + 10; i++) {
		snprintf(key, sizeof(key), "k%d", i);
		trace_attribute(span, key, STR("v"));
		trace_event(span, key);
	}
	struct span_copy *c = copy();

	ck_assert_uint_eq(c->nattributes, SPAN_ATTRIBUTES_MAX);
	ck_assert_uint_eq(c->dropped_attributes, 10);
	ck_assert_uint_eq(c->nevents, SPAN_ATTRIBUTES_MAX);
	ck_assert_uint_eq(c->dropped_events, 10);
	span_copy_free(c);
}
END_TEST

START_TEST(bytes_that_are_no_text_are_mended)
{
	trace_attribute(span, "k", STR("a\xff\xc3z"));
	trace_attribute(span, "good", STR("\xc3\xa9"));
	struct span_copy *c = copy();

	ck_assert(str_is(c->attributes[0].value, "\xc3\xa9"));
	ck_assert(str_is(c->attributes[1].value, "a__z"));
	span_copy_free(c);
}
END_TEST

static void check_value(const struct span_resource *r, const char *key, const char *want)
{
	for (size_t i = 0; i < r->n; i++)
		if (str_is(r->attributes[i].key, key)) {
			ck_assert_msg(str_is(r->attributes[i].value, want), STR_FMT, STR_ARG(r->attributes[i].value));
			return;
		}
	ck_abort_msg("no %s", key);
}

START_TEST(resource_of_the_environment)
{
	struct span_resource r;

	ck_assert_int_eq(span_resource_of(a, STR("app"), STR(""), STR(""), &r), 0);
	ck_assert_uint_eq(r.n, 1);
	ck_assert(str_is(r.service, "app"));
	ck_assert_int_eq(span_resource_of(a, STR("app"), STR(" a = b%20c ,a=2,service.name=x"), STR(""), &r), 0);
	ck_assert_uint_eq(r.n, 2);
	check_value(&r, "a", "2");
	ck_assert(str_is(r.service, "x"));
	ck_assert_int_eq(span_resource_of(a, STR("app"), STR("k=v%2,service.name=x"), STR("y"), &r), 0);
	check_value(&r, "k", "v%2");
	ck_assert(str_is(r.service, "y"));
	ck_assert_int_eq(span_resource_of(a, STR("app"), STR("a=1,nothing"), STR(""), &r), -1);
	ck_assert_uint_eq(r.n, 1);
	ck_assert(str_is(r.service, "app"));
}
END_TEST

START_TEST(zipkin_is_json)
{
	struct span_resource r;
	struct buf b = buf_in(a);

	span_resource_of(a, STR("ap\"p"), STR(""), STR(""), &r);
	trace_attribute(span, "net.peer.name", STR("far"));
	trace_attribute(span, "q", STR("\"\\\x01"));
	trace_event(span, "noted");
	trace_status_error(span, STR("no"));
	struct span_copy *c = copy();

	span_text_zipkin(&b, &r, c, 1);
	json_t *all = json_loadb(b.p, b.n, 0, NULL), *z = json_array_get(all, 0), *tags = json_object_get(z, "tags");

	ck_assert_msg(z != NULL, STR_FMT, STR_ARG(buf_str(&b)));
	ck_assert_str_eq(json_string_value(json_object_get(z, "traceId")), "4bf92f3577b34da6a3ce929d0e0e4736");
	ck_assert_str_eq(json_string_value(json_object_get(z, "parentId")), "00f067aa0ba902b7");
	ck_assert_int_eq(json_integer_value(json_object_get(z, "duration")), 2500);
	ck_assert_int_eq(json_integer_value(json_object_get(z, "timestamp")), 1767323045123456);
	ck_assert_str_eq(json_string_value(json_object_get(json_object_get(z, "localEndpoint"), "serviceName")),
			 "ap\"p");
	ck_assert_str_eq(json_string_value(json_object_get(json_object_get(z, "remoteEndpoint"), "serviceName")),
			 "far");
	ck_assert_str_eq(json_string_value(json_object_get(tags, "q")), "\"\\\x01");
	ck_assert_str_eq(json_string_value(json_object_get(tags, "error")), "no");
	ck_assert_uint_eq(json_array_size(json_object_get(z, "annotations")), 1);
	json_decref(all);
	span_copy_free(c);
}
END_TEST

START_TEST(line_of_the_log)
{
	struct buf b = buf_in(a);
	struct span_copy *c = copy();
	char want[256], id[17];

	span_copy_hex(c->span_id, 8, id);
	span_text_line(&b, c);
	snprintf(want, sizeof(want),
		 "[/v1.0/a] Trace: 4bf92f3577b34da6a3ce929d0e0e4736 Span: 00f067aa0ba902b7/%s Time: [2026-01-02 "
		 "03:04:05.123456 +0000 UTC ->  2026-01-02 03:04:05.125956 +0000 UTC] Annotations: []",
		 id);
	ck_assert_str_eq(buf_str(&b).p, want);
	span_copy_free(c);
}
END_TEST

START_TEST(otlp_on_the_heap)
{
	struct span_resource r;
	struct span_copy *c = copy();
	struct buf b = buf_init();

	span_resource_of(a, STR("app"), STR(""), STR(""), &r);
	span_text_otlp(&b, &r, c, 1);
	ck_assert(!b.failed && b.n > 100);
	ck_assert_int_eq(b.p[0], 0x0a);
	buf_free(&b);
	span_copy_free(c);
}
END_TEST

/* Both destinations get each span; what is put in behind the end is freed. */
START_TEST(stop_leaves_nothing_behind)
{
	struct exporter_options o = {
		.to_log = 1, .otel = STR("127.0.0.1:1"), .protocol = STR("http"), .export_ms = 1
	};
	struct loop *l = loop_new(0);
	struct str why;

	ck_assert_int_eq(loop_start(l), 0);
	span_resource_of(a, STR("app"), STR(""), STR(""), &o.resource);
	struct exporters *x = exporters_new(&o, l, a, &why);

	ck_assert_ptr_nonnull(x);
	trace_end(span);
	for (int i = 0; i < 3; i++)
		exporters_ended(x, span);
	exporters_stop(x, 5000);
	exporters_ended(x, span);
	loop_stop(l);
	loop_join(l);
	exporters_free(x);
	loop_free(l);
}
END_TEST

START_TEST(what_cannot_be)
{
	static const struct exporter_options bad[] = {
		{ .otel = { "x:1", 3 }, .protocol = { "udp", 3 } },
		{ .otel = { "x:70000", 7 }, .protocol = { "grpc", 4 } },
		{ .otel = { ":1", 2 }, .protocol = { "grpc", 4 } },
		{ .otel = { "[::1", 4 }, .protocol = { "http", 4 } },
		{ .zipkin = { "x:1", 3 } },
		{ .zipkin = { "http://u@x:1/", 13 } },
		{ .zipkin = { "https://x:1/", 12 }, .certificate = { "/nowhere", 8 } },
	};
	struct loop *l = loop_new(0);
	struct str why;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		why = STR("");
		ck_assert_ptr_null(exporters_new(&bad[i], l, a, &why));
		ck_assert_uint_gt(why.n, 10);
	}
	loop_free(l);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("span");
	TCase *t = tcase_create("span");
	SRunner *r = srunner_create(s);

	tcase_add_checked_fixture(t, set_up, tear_down);
	tcase_add_test(t, copy_outlives_the_call);
	tcase_add_test(t, last_value_of_a_key_counts);
	tcase_add_test(t, more_than_the_limit_is_dropped_and_counted);
	tcase_add_test(t, bytes_that_are_no_text_are_mended);
	tcase_add_test(t, resource_of_the_environment);
	tcase_add_test(t, zipkin_is_json);
	tcase_add_test(t, line_of_the_log);
	tcase_add_test(t, otlp_on_the_heap);
	tcase_add_test(t, stop_leaves_nothing_behind);
	tcase_add_test(t, what_cannot_be);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_NORMAL);
	int failed = srunner_ntests_failed(r);

	srunner_free(r);
	return failed != 0;
}
