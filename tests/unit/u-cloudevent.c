/* SPDX-License-Identifier: Apache-2.0 */
/* Envelopes as a table: what is published, and the JSON that goes out. */
#include <stdlib.h>
#include <time.h>

#include "base/jstream.h"
#include "blocks/cloudevent.h"
#include "blocks/content_type.h"

#include <check.h> /* last: it has a macro fail, which is a name of the plugin line */

#define NOW (INT64_C(1700000000) * 1000000000) /* 2023-11-14T22:13:20Z */
#define TRACE "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
#define COMMON \
	"\"pubsubname\":\"bus\",\"source\":\"app\",\"specversion\":\"1.0\",\"time\":\"2023-11-14T22:13:20Z\"," \
	"\"topic\":\"orders\",\"traceid\":\"" TRACE "\",\"traceparent\":\"" TRACE "\",\"tracestate\":\"a=b\"," \
	"\"type\":\"com.dapr.event.sent\"}"
#define HEAD(type) "\"datacontenttype\":\"" type "\",\"id\":\"1\","

struct pairs {
	const char *names[4], *values[4];
};

static struct arena *arena;

static void setup(void)
{
	arena = arena_new();
	setenv("TZ", "UTC", 1);
	tzset();
}

static void teardown(void)
{
	arena_unref(arena);
	arena_drop_stock();
}

static int wrap(struct str data, const char *type, const struct pairs *p, int64_t ttl_ns, struct str *ret)
{
	struct cloudevent e = { .data = data,
				.content_type = str_of(type ? type : ""),
				.source = STR("app"),
				.topic = STR("orders"),
				.pubsub = STR("bus"),
				.trace_parent = STR(TRACE),
				.trace_state = STR("a=b"),
				.ttl_ns = ttl_ns,
				.now_ns = NOW };
	struct davit_pair *pairs = arena_alloc(arena, 4 * sizeof(*pairs));
	struct str why;

	e.metadata = pairs;
	for (; e.nmetadata < 4 && p->names[e.nmetadata] != NULL; e.nmetadata++)
		pairs[e.nmetadata] = (struct davit_pair){ davit_str(p->names[e.nmetadata]),
							  davit_str(p->values[e.nmetadata]) };
	if (cloudevent_wrap(arena, &e, ret, &why) == 0)
		return 0;
	*ret = why;
	return -1;
}

static const struct {
	const char *type, *data;
	struct pairs metadata;
	const char *expected;
} events[] = {
	/* How data goes in, by its content type. */
	{ NULL, "hello", { { NULL }, { NULL } }, "{\"data\":\"hello\"," HEAD("text/plain") COMMON },
	{ "text/html; charset=utf-8",
	  "<b>&\"",
	  { { NULL }, { NULL } },
	  "{\"data\":\"\\u003cb\\u003e\\u0026\\\"\"," HEAD("text/html; charset=utf-8") COMMON },
	{ "application/json",
	  " {\"b\": [1, 2] ,\"a\":\"x y\"} ",
	  { { NULL }, { NULL } },
	  "{\"data\":{\"b\":[1,2],\"a\":\"x y\"}," HEAD("application/json") COMMON },
	{ "Application/JSON; charset=utf-8",
	  "12345678901234567890.10",
	  { { NULL }, { NULL } },
	  "{\"data\":12345678901234567890.10," HEAD("Application/JSON; charset=utf-8") COMMON },
	{ "application/json", "null", { { NULL }, { NULL } }, "{\"data\":null," HEAD("application/json") COMMON },
	{ "application/json",
	  "{\"a\":",
	  { { NULL }, { NULL } },
	  "{\"data\":\"{\\\"a\\\":\"," HEAD("application/json") COMMON },
	{ "application/json", "", { { NULL }, { NULL } }, "{\"data\":\"\"," HEAD("application/json") COMMON },
	{ "application/json", "1 and more", { { NULL }, { NULL } }, "{\"data\":1," HEAD("application/json") COMMON },
	{ "application/json",
	  "\"\xff!\"",
	  { { NULL }, { NULL } },
	  "{\"data\":\"\xef\xbf\xbd!\"," HEAD("application/json") COMMON },
	{ "application/vnd.api+json",
	  "{}",
	  { { NULL }, { NULL } },
	  "{\"data\":\"{}\"," HEAD("application/vnd.api+json") COMMON },
	{ "application/octet-stream",
	  "\x01\x02\xff",
	  { { NULL }, { NULL } },
	  "{\"data_base64\":\"AQL/\"," HEAD("application/octet-stream") COMMON },
	{ "application/cloudevents+protobuf",
	  "x",
	  { { NULL }, { NULL } },
	  "{\"data_base64\":\"eA==\"," HEAD("application/cloudevents+protobuf") COMMON },
	{ "application/x-protobuf",
	  "\x0a\x01i\x12\x01s",
	  { { NULL }, { NULL } },
	  "{\"data_base64\":\"CgFpEgFz\"," HEAD("application/x-protobuf") COMMON },
	{ "application/x-protobuf",
	  "\x0a\x05i",
	  { { NULL }, { NULL } },
	  "{\"data\":\"\\n\\u0005i\"," HEAD("application/x-protobuf") COMMON },
	{ "text/plain",
	  "a\xff"
	  "b",
	  { { NULL }, { NULL } },
	  "{\"data\":\"a\\ufffdb\"," HEAD("text/plain") COMMON },
	/* What metadata replaces. */
	{ "text/plain",
	  "x",
	  { { "CloudEvent.Source", "cloudevent.type", "cloudevent.subject", NULL }, { "s", "t", "u", NULL } },
	  "{\"data\":\"x\",\"datacontenttype\":\"text/plain\",\"id\":\"1\",\"pubsubname\":\"bus\",\"source\":\"s\","
	  "\"specversion\":\"1.0\",\"subject\":\"u\",\"time\":\"2023-11-14T22:13:20Z\",\"topic\":\"orders\","
	  "\"traceid\":\"" TRACE "\",\"traceparent\":\"" TRACE "\",\"tracestate\":\"a=b\",\"type\":\"t\"}" },
	{ "text/plain",
	  "x",
	  { { "cloudevent.traceid", "cloudevent.tracestate", "cloudevent.topic", NULL }, { "one", "st", "no", NULL } },
	  "{\"data\":\"x\",\"datacontenttype\":\"text/plain\",\"id\":\"1\",\"pubsubname\":\"bus\",\"source\":\"app\","
	  "\"specversion\":\"1.0\",\"time\":\"2023-11-14T22:13:20Z\",\"topic\":\"orders\","
	  "\"traceid\":\"one\",\"traceparent\":\"one\",\"tracestate\":\"st\",\"type\":\"com.dapr.event.sent\"}" },
	{ "text/plain",
	  "x",
	  { { "cloudevent.traceid", "cloudevent.traceparent", "cloudevent.source", NULL }, { "one", "two", "", NULL } },
	  "{\"data\":\"x\",\"datacontenttype\":\"text/plain\",\"id\":\"1\",\"pubsubname\":\"bus\",\"source\":\"Dapr\","
	  "\"specversion\":\"1.0\",\"time\":\"2023-11-14T22:13:20Z\",\"topic\":\"orders\","
	  "\"traceid\":\"two\",\"traceparent\":\"two\",\"tracestate\":\"a=b\",\"type\":\"com.dapr.event.sent\"}" },
	/* A CloudEvent is kept; what it lacks is filled in. */
	{ "application/cloudevents+json",
	  "{}",
	  { { NULL }, { NULL } },
	  "{\"pubsubname\":\"bus\",\"source\":\"Dapr\",\"specversion\":\"1.0\",\"time\":\"2023-11-14T22:13:20Z\","
	  "\"topic\":\"orders\",\"traceid\":\"" TRACE "\",\"traceparent\":\"" TRACE "\",\"tracestate\":\"a=b\","
	  "\"type\":\"com.dapr.event.sent\"}" },
	{ "application/cloudevents+json; charset=utf-8",
	  "{\"id\":\"7\",\"source\":\"me\",\"type\":\"t\",\"specversion\":\"0.3\",\"time\":5,\"traceid\":null,"
	  "\"tracestate\":\"\",\"topic\":\"no\",\"pubsubname\":\"no\",\"data\": {\"a\" : "
	  "1},\"z\":\"<\",\"a\\u0062\":true}",
	  { { "cloudevent.id", NULL }, { "not this", NULL } },
	  "{\"ab\":true,\"data\":{\"a\":1},\"id\":\"7\",\"pubsubname\":\"bus\",\"source\":\"me\",\"specversion\":\"0."
	  "3\","
	  "\"time\":5,\"topic\":\"orders\",\"traceid\":null,\"tracestate\":\"\",\"type\":\"t\",\"z\":\"<\"}" },
	{ "application/cloudevents+json",
	  "{\"source\":null,\"type\":null,\"time\":null,\"x\":1,\"x\":2}",
	  { { NULL }, { NULL } },
	  "{\"pubsubname\":\"bus\",\"source\":\"Dapr\",\"specversion\":\"1.0\",\"time\":null,\"topic\":\"orders\","
	  "\"traceid\":\"" TRACE "\",\"traceparent\":\"" TRACE "\",\"tracestate\":\"a=b\","
	  "\"type\":\"com.dapr.event.sent\",\"x\":2}" },
};

START_TEST(an_event_becomes_its_envelope)
{
	struct pairs p = events[_i].metadata;
	struct str out, id = STR("cloudevent.id");
	int n = 0;

	if (!content_type_cloudevent(str_of(events[_i].type ? events[_i].type : ""))) {
		while (p.names[n] != NULL)
			n++;
		ck_assert_int_lt(n, 4); /* a known id, so that texts compare */
		p.names[n] = id.p;
		p.values[n] = "1";
		if (n < 3)
			p.names[n + 1] = NULL;
	}
	ck_assert_int_eq(wrap(str_of(events[_i].data), events[_i].type, &p, -1, &out), 0);
	ck_assert_str_eq(out.p, events[_i].expected);
	ck_assert_int_eq(jstream_check(out), 0);
}
END_TEST

static const struct {
	const char *data, *why;
} broken[] = {
	{ "", "EOF" },
	{ "{\"", "unexpected EOF" },
	{ "{\"a\":1", "unexpected EOF" },
	{ "[1]", "json: cannot unmarshal array into Go value of type map[string]interface {}" },
	{ "\"x\"", "json: cannot unmarshal string into Go value of type map[string]interface {}" },
};

START_TEST(what_is_no_cloudevent_is_refused)
{
	struct pairs none = { { NULL }, { NULL } };
	struct str out;

	ck_assert_int_eq(wrap(str_of(broken[_i].data), "application/cloudevents+json", &none, -1, &out), -1);
	ck_assert_str_eq(out.p, broken[_i].why);
}
END_TEST

START_TEST(deep_json_is_refused_not_changed)
{
	struct pairs none = { { NULL }, { NULL } };
	char deep[2 * JSTREAM_DEPTH + 3];
	struct str out;

	memset(deep, '[', JSTREAM_DEPTH + 1);
	memset(deep + JSTREAM_DEPTH + 1, ']', JSTREAM_DEPTH + 1);
	deep[2 * JSTREAM_DEPTH + 2] = '\0';
	ck_assert_int_eq(wrap(str_of(deep), "application/json", &none, -1, &out), -1);
	ck_assert_ptr_nonnull(strstr(out.p, "nested deeper"));
	ck_assert_int_eq(wrap(str_of(deep), "text/plain", &none, -1, &out), 0);
}
END_TEST

START_TEST(each_event_has_an_id_of_its_own)
{
	struct pairs none = { { NULL }, { NULL } };
	struct str a, b;

	ck_assert_int_eq(wrap(STR("x"), NULL, &none, -1, &a), 0);
	ck_assert_int_eq(wrap(STR("x"), NULL, &none, -1, &b), 0);
	ck_assert(!str_eq(a, b));
	ck_assert_uint_eq(a.n, b.n);
}
END_TEST

START_TEST(an_event_expires)
{
	struct pairs none = { { NULL }, { NULL } };
	struct str out;

	wrap(STR("x"), NULL, &none, INT64_C(60000000000), &out);
	ck_assert_ptr_nonnull(strstr(out.p, "\"expiration\":\"2023-11-14T22:14:20Z\""));
	wrap(STR("{}"), "application/cloudevents+json", &none, 0, &out);
	ck_assert_ptr_nonnull(strstr(out.p, "\"expiration\":\"2023-11-14T22:13:20Z\""));
	wrap(STR("x"), NULL, &none, INT64_MAX, &out);
	ck_assert_ptr_nonnull(strstr(out.p, "\"expiration\":\"2262-"));
	wrap(STR("x"), NULL, &none, -1, &out);
	ck_assert_ptr_null(strstr(out.p, "expiration"));
}
END_TEST

START_TEST(the_time_has_the_zone_of_the_machine)
{
	struct pairs none = { { NULL }, { NULL } };
	struct str out;

	setenv("TZ", "XXX-05:30", 1);
	tzset();
	wrap(STR("x"), NULL, &none, -1, &out);
	ck_assert_ptr_nonnull(strstr(out.p, "\"time\":\"2023-11-15T03:43:20+05:30\""));
	setenv("TZ", "YYY3", 1);
	tzset();
	wrap(STR("x"), NULL, &none, -1, &out);
	ck_assert_ptr_nonnull(strstr(out.p, "\"time\":\"2023-11-14T19:13:20-03:00\""));
}
END_TEST

static const struct {
	const char *name, *value;
	int64_t ns;
} ttls[] = {
	{ "ttlInSeconds", "10", INT64_C(10000000000) },
	{ "TTLINSECONDS", "1", INT64_C(1000000000) },
	{ "ttl", "1m30s", INT64_C(90000000000) },
	{ "ttlInSeconds", "500ms", INT64_C(500000000) },
	{ "ttlInSeconds", "-5s", 0 },
	{ "ttlInSeconds", "0", 0 },
	{ "ttlInSeconds", "-1", -1 },
	{ "ttlInSeconds", "soon", -1 },
	{ "ttlInSeconds", "", -1 },
	{ "other", "1", -1 },
	{ "ttlInSeconds", "9223372036854775807", INT64_MAX },
};

START_TEST(a_ttl_is_a_duration_or_seconds)
{
	const struct davit_pair p = { davit_str(ttls[_i].name), davit_str(ttls[_i].value) };

	ck_assert_int_eq(cloudevent_ttl_ns(&p, 1), ttls[_i].ns);
}
END_TEST

#define BYTES(literal) \
	{ \
		"" literal, sizeof(literal) - 1 \
	}
static const struct {
	struct str bytes;
	int is;
} protobufs[] = {
	{ BYTES(""), 1 },
	{ BYTES("\x0a\x02id\x12\x01s\x1a\x03"
		"1.0\x22\x01t"),
	  1 },
	{ BYTES("\x0a\x02\xff\xfe"), 0 },		    /* text that is no UTF-8 */
	{ BYTES("\x32\x02\xff\xfe"), 1 },		    /* binary_data may be anything */
	{ BYTES("\x3a\x01\xff"), 0 },			    /* text_data may not */
	{ BYTES("\x08\x05"), 1 },			    /* id as a number: a field unknown */
	{ BYTES("\x0a\x05id"), 0 },			    /* cut short */
	{ BYTES("\x2a\x08\x0a\x01k\x12\x03\x1a\x01v"), 1 }, /* attribute k = "v" */
	{ BYTES("\x2a\x05\x0a\x01k\x12\x00"), 0 },	    /* an attribute without a value */
	{ BYTES("\x2a\x07\x0a\x01k\x12\x02\x08\x01"), 1 },  /* a boolean */
	{ BYTES("\x2a\x08\x0a\x01k\x12\x03\x1a\x01\xff"), 0 },
	{ BYTES("\x00\x01"), 0 },	  /* field 0 */
	{ BYTES("\x7b\x08\x01\x7c"), 1 }, /* a group */
	{ BYTES("\x7b\x08\x01"), 0 },	  /* without its end */
	{ BYTES("\x7c"), 0 },
	{ BYTES("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), 0 },
	{ BYTES("not protobuf"), 0 },
};

START_TEST(a_protobuf_cloudevent_is_known)
{
	ck_assert_int_eq(cloudevent_is_protobuf(protobufs[_i].bytes), protobufs[_i].is);
}
END_TEST

#define LOOP(t, test, table) tcase_add_loop_test(t, test, 0, (int)(sizeof(table) / sizeof(table[0])))

int main(void)
{
	Suite *s = suite_create("cloudevent");
	TCase *t = tcase_create("all");
	SRunner *r;
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	LOOP(t, an_event_becomes_its_envelope, events);
	LOOP(t, what_is_no_cloudevent_is_refused, broken);
	tcase_add_test(t, deep_json_is_refused_not_changed);
	tcase_add_test(t, each_event_has_an_id_of_its_own);
	tcase_add_test(t, an_event_expires);
	tcase_add_test(t, the_time_has_the_zone_of_the_machine);
	LOOP(t, a_ttl_is_a_duration_or_seconds, ttls);
	LOOP(t, a_protobuf_cloudevent_is_known, protobufs);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
