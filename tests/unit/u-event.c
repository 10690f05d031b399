/* SPDX-License-Identifier: Apache-2.0 */
/* A broker's message as the event that it carries, whether it has expired, and which path its rules give it. */
#include "base/base64.h"
#include "base/jstream.h"
#include "blocks/event.h"
#include "blocks/routing.h"

#include <check.h> /* behind the others: it has a macro named fail */
#include <stdlib.h>

static struct arena *arena;
static struct topic_event event;
static struct str why;

static void set_up(void)
{
	arena = arena_new();
	why = STR("");
}

static void tear_down(void)
{
	arena_unref(arena);
}

#define PAIR(k, v) \
	{ \
		{ k, sizeof(k) - 1 }, \
		{ \
			v, sizeof(v) - 1 \
		} \
	}

static int read_event(const char *data, const char *type, const struct davit_pair *metadata, size_t n, int raw)
{
	struct davit_message m = DAVIT_INIT(davit_message, .topic = davit_str("t"), .data = { data, strlen(data) },
					    .metadata = metadata, .nmetadata = n);

	m.content_type = davit_str(type);
	return event_read(arena, &m, STR("bus"), STR("t"), raw, &event, &why);
}

static struct str metadata_of(const char *key)
{
	size_t i;

	for (i = 0; i < event.nmetadata; i++)
		if (davit_str_is(event.metadata[i].key, key))
			return (struct str){ event.metadata[i].value.p, event.metadata[i].value.n };
	return STR_NONE;
}

START_TEST(an_envelope_is_kept_as_it_came)
{
	const char *data = " {\"id\": \"1\", \"data\": {\"a\": [1]}, \"traceparent\": \"p\", \"x\": 5, \"id\": \"2\"} ";

	ck_assert_int_eq(read_event(data, NULL, NULL, 0, 0), 0);
	ck_assert(str_is(event.body, data) && str_is(event.json, data));
	ck_assert(str_is(topic_text(arena, event.is.id), "2")); /* the last of two, as in Go */
	ck_assert(str_is(event.is.data, "{\"a\": [1]}"));
	ck_assert_ptr_null(event.is.source.p);
	ck_assert(str_is(metadata_of("pubsubName"), "bus"));
	ck_assert_ptr_null(metadata_of("content-type").p);
}
END_TEST

START_TEST(metadata_fills_what_the_trace_lacks)
{
	const struct davit_pair pairs[] = { PAIR("traceparent", "from \"it\""), PAIR("tracestate", "s"),
					    PAIR("pubsubName", "no") };

	ck_assert_int_eq(read_event("{\"id\":\"1\",\"tracestate\":\"own\"}", "text/x", pairs, 3, 0), 0);
	ck_assert(str_is(topic_text(arena, event.is.traceparent), "from \"it\""));
	ck_assert(str_is(topic_text(arena, event.is.traceid), "from \"it\""));
	ck_assert(str_is(topic_text(arena, event.is.tracestate), "own"));
	ck_assert(str_is(event.body, "{\"id\":\"1\",\"tracestate\":\"own\"}"));
	ck_assert_int_eq(jstream_check(event.json), 0);
	ck_assert_int_ge(str_find(event.json, STR("\"traceparent\":\"from \\\"it\\\"\"")), 0);
	ck_assert(str_is(metadata_of("pubsubName"), "bus") && str_is(metadata_of("content-type"), "text/x"));

	ck_assert_int_eq(read_event("{ }", NULL, pairs, 2, 0), 0);
	ck_assert_int_eq(jstream_check(event.json), 0);
}
END_TEST

static const struct {
	const char *data, *why;
} no_events[] = {
	{ "", "unexpected end of JSON input" },
	{ "hello", "invalid character" },
	{ "[1]", "no object" },
	{ "null", "no object" },
	{ "{\"a\":1", "end" },
	{ "{\"a\":1} x", "after top-level value" },
	{ "{\"a\":}", "invalid character" },
};

START_TEST(what_is_no_event)
{
	ck_assert_int_eq(read_event(no_events[_i].data, NULL, NULL, 0, 0), -1);
	ck_assert_msg(str_find(why, str_of(no_events[_i].why)) >= 0, "%s: %.*s", no_events[_i].data, STR_ARG(why));
	ck_assert(str_is(metadata_of("pubsubName"), "bus"));
}
END_TEST

START_TEST(a_raw_payload_gets_an_envelope)
{
	const struct davit_pair pairs[] = { PAIR("traceid", "i"), PAIR("traceparent", "p") };
	struct str bytes;

	ck_assert_int_eq(read_event("\x01<&>", "image/png", pairs, 2, 1), 0);
	ck_assert_int_eq(jstream_check(event.body), 0);
	ck_assert(str_eq(event.body, event.json));
	ck_assert_int_eq(base64_read(arena, topic_text(arena, event.is.data_base64), &bytes), 0);
	ck_assert(str_is(bytes, "\x01<&>"));
	ck_assert(str_is(topic_text(arena, event.is.datacontenttype), "application/octet-stream"));
	ck_assert(str_is(topic_text(arena, event.is.traceid), "p") &&
		  str_is(topic_text(arena, event.is.traceparent), "p"));
	ck_assert_uint_eq(topic_text(arena, event.is.id).n, 36);
	ck_assert(str_is(metadata_of("content-type"), "image/png"));
}
END_TEST

START_TEST(an_event_in_binary_mode)
{
	const struct davit_pair pairs[] = { PAIR("ce_id", "7"), PAIR("CE_Source", "s"), PAIR("ce_data", "no"),
					    PAIR("other", "x") };

	ck_assert_int_eq(read_event("\x01\x02", "application/octet-stream", pairs, 4, 0), 0);
	ck_assert(str_is(topic_text(arena, event.is.id), "7") && str_is(topic_text(arena, event.is.source), "s"));
	ck_assert(str_is(event.bytes, "\x01\x02") && str_is(event.body, "\x01\x02"));
	ck_assert_ptr_null(event.is.data.p);
	ck_assert_int_eq(jstream_check(event.json), 0);
}
END_TEST

static const struct {
	const char *expiration;
	int expired;
} times[] = {
	{ "\"2026-01-01T00:00:00Z\"", 0 },
	{ "\"2025-12-31T23:59:59Z\"", 1 },
	{ "\"2026-01-01T00:59:59+01:00\"", 1 },
	{ "\"2026-01-01T00:00:00-00:01\"", 0 },
	{ "\"2025-12-31T23:59:59.999Z\"", 1 },
	{ "\"2026-01-01t00:00:01z\"", 0 },
	{ "\"2026-01-01\"", 0 },
	{ "\"yesterday\"", 0 },
	{ "5", 0 },
	{ "null", 0 },
	{ "\"2020-02-29T12:00:00Z\"", 1 },
	{ "\"1969-12-31T23:59:59Z\"", 1 },
	{ "\"2025-13-01T00:00:00Z\"", 0 },
	{ "\"2025-01-01T00:00:00\"", 0 },
	{ "\"2025-01-01T00:00:00+0100\"", 0 },
};

START_TEST(an_event_expires)
{
	const char *json = arena_printf(arena, "{\"expiration\":%s}", times[_i].expiration).p;

	ck_assert_int_eq(read_event(json, NULL, NULL, 0, 0), 0);
	/* 2026-01-01T00:00:00Z, as date -d says */
	ck_assert_int_eq(event_expired(arena, &event, INT64_C(1767225600) * 1000000000), times[_i].expired);
}
END_TEST

/* ---- Rules ---- */

static struct subscription_rule rules[] = {
	{ STR("event.type == 'a'"), STR("/a"), 0, 0 },
	{ STR(" has(event.data.n) && event.data.n > 5.0 "), STR("/big"), 0, 0 },
	{ STR("  "), STR("/rest"), 0, 0 },
};
static struct subscription about = { .pubsub = STR("bus"), .topic = STR("t"), .name = STR("s"), .rules = rules };

static const struct {
	size_t nrules;
	const char *json, *path; /* path NULL: none; "": it cannot be asked */
} routes[] = {
	{ 3, "{\"type\":\"a\"}", "/a" },
	{ 3, "{\"type\":\"b\",\"data\":{\"n\":9}}", "/big" },
	{ 3, "{\"type\":\"b\",\"data\":{\"n\":5}}", "/rest" },
	{ 2, "{\"type\":\"b\",\"data\":{}}", NULL },
	{ 1, "{}", "" },
	{ 0, "{\"type\":\"a\"}", NULL },
};

START_TEST(the_first_rule_that_matches)
{
	struct routing *r;
	struct str path = STR("");
	int found;

	about.nrules = routes[_i].nrules;
	r = routing_new(arena, &about, &why);
	ck_assert_ptr_nonnull(r);
	event = (struct topic_event){ .json = str_of(routes[_i].json) };
	found = routing_find(r, arena, &event, &path, &why);
	if (routes[_i].path == NULL) {
		ck_assert_int_eq(found, 0);
	} else if (routes[_i].path[0] == '\0') {
		ck_assert_int_eq(found, -1);
		ck_assert_int_ge(str_find(why, STR("event.type == 'a'")), 0);
	} else {
		ck_assert_int_eq(found, 1);
		ck_assert(str_is(path, routes[_i].path));
	}
}
END_TEST

START_TEST(a_rule_that_does_not_compile_has_its_place)
{
	struct subscription_rule bad = { STR("event.type =="), STR("/a"), 7, 14 };
	struct subscription s = {
		.pubsub = STR("bus"), .topic = STR("t"), .name = STR("s"), .rules = &bad, .nrules = 1, .file = "x.yaml"
	};

	ck_assert_ptr_null(routing_new(arena, &s, &why));
	ck_assert_msg(str_starts(why, STR("x.yaml:7: spec.routes.rules of Subscription s: match 'event.type =='")),
		      "%s", why.p);
	s.file = NULL;
	ck_assert_ptr_null(routing_new(arena, &s, &why));
	ck_assert(str_starts(why, STR("the subscription to topic t of bus: match")));
}
END_TEST

int main(void)
{
	Suite *s = suite_create("event");
	TCase *t = tcase_create("event");
	SRunner *runner = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(t, set_up, tear_down);
	tcase_add_test(t, an_envelope_is_kept_as_it_came);
	tcase_add_test(t, metadata_fills_what_the_trace_lacks);
	tcase_add_loop_test(t, what_is_no_event, 0, sizeof(no_events) / sizeof(no_events[0]));
	tcase_add_test(t, a_raw_payload_gets_an_envelope);
	tcase_add_test(t, an_event_in_binary_mode);
	tcase_add_loop_test(t, an_event_expires, 0, sizeof(times) / sizeof(times[0]));
	tcase_add_loop_test(t, the_first_rule_that_matches, 0, sizeof(routes) / sizeof(routes[0]));
	tcase_add_test(t, a_rule_that_does_not_compile_has_its_place);
	suite_add_tcase(s, t);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
