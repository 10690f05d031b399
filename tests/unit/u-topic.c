/* SPDX-License-Identifier: Apache-2.0 */
/* Events to the application: what goes out on each wire, what its answers mean, and what it says it subscribes to. */
#include "app/topic_bulk.h"
#include "base/base64.h"

#include <check.h> /* behind the others: it has a macro named fail */
#include <stdlib.h>

static struct arena *arena;
static struct topic_event event;

static void set_up(void)
{
	arena = arena_new();
	event = (struct topic_event){ .topic = STR("orders"), .pubsub = STR("bus"), .path = STR("/o") };
	event.is.id = STR("\"a-1\"");
}

static void tear_down(void)
{
	arena_unref(arena);
}

/* ---- HTTP ---- */

START_TEST(paths_become_targets)
{
	static const struct {
		const char *path, *target;
	} rows[] = { { "", "/" },
		     { "a", "/a" },
		     { "/a/../../b", "/b" },
		     { "//x///y/", "/x/y" },
		     { "/a b", "/a%20b" },
		     { "/a%2Fb", "/a%2Fb" },
		     { "/q?x=1&y=a b", "/q?x=1&y=a%20b" },
		     { "/\xc3\xa4", "/%C3%A4" },
		     { ".", "/" },
		     { "/a#b", "/a%23b" } };
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct str got = topic_target(arena, str_of(rows[i].path));

		ck_assert_msg(str_is(got, rows[i].target), "%s: %s", rows[i].path, got.p);
	}
}
END_TEST

#define PAIR(k, v) \
	{ \
		{ k, sizeof(k) - 1 }, \
		{ \
			v, sizeof(v) - 1 \
		} \
	}

START_TEST(metadata_becomes_header_fields)
{
	const struct davit_pair pairs[] = { PAIR("pubsubName", "bus"),	 PAIR("Content-Type", "text/plain"),
					    PAIR("Content-Length", "7"), PAIR("not a name", "x"),
					    PAIR("lines", "a\r\nb: c"),	 PAIR("grpc-x", " v "),
					    PAIR("Connection", "close"), PAIR("key-bin", "x"),
					    PAIR("traceparent", "00-1") };
	struct http_field *fields;
	size_t n;

	fields = topic_fields(arena, pairs, sizeof(pairs) / sizeof(pairs[0]), 2, &n);
	ck_assert_uint_eq(n, 3);
	ck_assert(str_is(fields[0].name, "pubsubname") && str_is(fields[0].value, "bus"));
	ck_assert(str_is(fields[1].name, "dapr-grpc-x") && str_is(fields[1].value, "v"));
	ck_assert(str_is(fields[2].name, "traceparent"));
}
END_TEST

static const struct {
	int status;
	const char *body;
	enum topic_verdict verdict;
	int asked, code;
} answers[] = {
	{ 200, "", TOPIC_SUCCESS, 0, 0 },
	{ 204, "", TOPIC_SUCCESS, 0, 0 },
	{ 299, "hello", TOPIC_SUCCESS, 0, 0 },
	{ 200, "{}", TOPIC_SUCCESS, 0, 0 },
	{ 200, "[1]", TOPIC_SUCCESS, 0, 0 },
	{ 200, "{\"status\":\"\"}", TOPIC_SUCCESS, 0, 0 },
	{ 200, "{\"status\":null}", TOPIC_SUCCESS, 0, 0 },
	{ 200, "{\"status\":5}", TOPIC_SUCCESS, 0, 0 },
	{ 200, "{\"status\":\"RETRY\"", TOPIC_SUCCESS, 0, 0 },
	{ 200, "{\"status\":\"SUCCESS\"}", TOPIC_SUCCESS, 0, 0 },
	{ 200, "{\"Status\":\"RETRY\"}", TOPIC_RETRY, 0, 0 },
	{ 201, "{\"a\":[],\"status\":\"DROP\"} ", TOPIC_DROP, 1, 0 },
	{ 200, "{\"status\":\"success\"}", TOPIC_RETRY, 0, 0 },
	{ 200, "{\"status\":\"RETRY\",\"status\":\"SUCCESS\"}", TOPIC_SUCCESS, 0, 0 },
	{ 404, "no", TOPIC_DROP, 0, 0 },
	{ 500, "oh", TOPIC_RETRY, 0, 500 },
	{ 301, "", TOPIC_RETRY, 0, 301 },
	{ 400, "{\"status\":\"SUCCESS\"}", TOPIC_RETRY, 0, 400 },
};

START_TEST(http_answers_mean)
{
	struct topic_answer got = topic_http_answer(arena, &event, answers[_i].status, str_of(answers[_i].body));

	ck_assert_int_eq(got.verdict, answers[_i].verdict);
	ck_assert_int_eq(got.asked, answers[_i].asked);
	ck_assert_int_eq(got.code, answers[_i].code);
	ck_assert_int_eq(got.quiet, 0);
	ck_assert((got.why.n > 0) == (got.verdict != TOPIC_SUCCESS));
}
END_TEST

/* ---- gRPC ---- */

START_TEST(grpc_answers_mean)
{
	Dapr__Proto__Runtime__V1__TopicEventResponse reply = DAPR__PROTO__RUNTIME__V1__TOPIC_EVENT_RESPONSE__INIT;
	struct error e = ERROR_NONE;

	ck_assert_int_eq(topic_grpc_answer(arena, &event, &e, &reply).verdict, TOPIC_SUCCESS);
	reply.status = 1;
	ck_assert_int_eq(topic_grpc_answer(arena, &event, &e, &reply).verdict, TOPIC_RETRY);
	reply.status = 2;
	ck_assert_int_eq(topic_grpc_answer(arena, &event, &e, &reply).verdict, TOPIC_DROP);
	ck_assert_int_eq(topic_grpc_answer(arena, &event, &e, &reply).quiet, 0);
	reply.status = 7;
	ck_assert_int_eq(topic_grpc_answer(arena, &event, &e, &reply).verdict, TOPIC_RETRY);
	e = error_new(arena, ERROR_UNIMPLEMENTED, NULL, "no");
	ck_assert_int_eq(topic_grpc_answer(arena, &event, &e, NULL).verdict, TOPIC_DROP);
	ck_assert_int_eq(topic_grpc_answer(arena, &event, &e, NULL).quiet, 1);
	e = error_new(arena, ERROR_UNAVAILABLE, NULL, "no");
	ck_assert_int_eq(topic_grpc_answer(arena, &event, &e, NULL).verdict, TOPIC_RETRY);
	ck_assert_int_eq(topic_grpc_answer(arena, &event, &e, NULL).code, ERROR_UNAVAILABLE);
}
END_TEST

static const struct {
	const char *type, *data, *base64, *want; /* NULL: it cannot be said */
} contents[] = {
	{ "text/plain", "\"hi\\n\"", NULL, "hi\n" },
	{ "TEXT/html; charset=utf-8", "\"x\"", NULL, "x" },
	{ "application/xml", "\"<a/>\"", NULL, "<a/>" },
	{ "text/plain", "{\"a\":1}", NULL, NULL },
	{ "application/json", "{\"a\": [1, \"b c\"]}", NULL, "{\"a\":[1,\"b c\"]}" },
	{ "application/json; charset=utf-8", "\"x\"", NULL, "\"x\"" },
	{ "application/cloudevents+json", "{ }", NULL, "{}" },
	{ "foo/bar", "\"x\"", NULL, "" },
	{ "application/octet-stream", NULL, "\"aGk=\"", "hi" },
	{ "application/json", "{}", "\"aGk=\"", "hi" },
	{ "application/octet-stream", NULL, "\"a\"", NULL },
	{ "application/octet-stream", NULL, "17", NULL },
	{ "application/json", NULL, NULL, "" },
};

START_TEST(grpc_carries_data_by_its_type)
{
	Dapr__Proto__Runtime__V1__TopicEventRequest *q;
	struct str why = STR(""), type = arena_printf(arena, "\"%s\"", contents[_i].type);

	event.json = STR("{}");
	event.is.datacontenttype = type;
	event.is.data = str_of(contents[_i].data);
	event.is.data_base64 = str_of(contents[_i].base64);
	q = topic_grpc_request(arena, &event, &why);
	if (contents[_i].want == NULL) {
		ck_assert_ptr_null(q);
		ck_assert(why.n > 0);
		return;
	}
	ck_assert_ptr_nonnull(q);
	ck_assert(str_is((struct str){ (char *)q->data.data, q->data.len }, contents[_i].want));
	ck_assert_str_eq(q->data_content_type, contents[_i].type);
	ck_assert_str_eq(q->id, "a-1");
}
END_TEST

START_TEST(the_rest_of_an_event_is_its_extensions)
{
	struct str why;
	Dapr__Proto__Runtime__V1__TopicEventRequest *q;
	Google__Protobuf__Struct *x;

	event.json = STR(
		"{\"id\":\"a-1\",\"data\":{},\"n\":1.5,\"s\":\"t\",\"b\":true,\"z\":null,\"l\":[1,{\"k\":\"v\"}]}");
	q = topic_grpc_request(arena, &event, &why);
	ck_assert_ptr_nonnull(q);
	x = q->extensions;
	ck_assert_uint_eq(x->n_fields, 5);
	ck_assert_str_eq(x->fields[0]->key, "n");
	ck_assert_double_eq(x->fields[0]->value->number_value, 1.5);
	ck_assert_str_eq(x->fields[1]->value->string_value, "t");
	ck_assert(x->fields[2]->value->bool_value);
	ck_assert_int_eq(x->fields[3]->value->kind_case, GOOGLE__PROTOBUF__VALUE__KIND_NULL_VALUE);
	ck_assert_uint_eq(x->fields[4]->value->list_value->n_values, 2);
	ck_assert_str_eq(x->fields[4]->value->list_value->values[1]->struct_value->fields[0]->key, "k");
	ck_assert_uint_gt(protobuf_c_message_get_packed_size(&q->base), 20);
}
END_TEST

START_TEST(extensions_deeper_than_the_limit_are_refused)
{
	struct buf b = buf_in(arena);
	int i;

	for (i = 0; i < TOPIC_STRUCT_DEPTH + 1; i++)
		buf_lit(&b, "{\"a\":");
	buf_lit(&b, "1");
	for (i = 0; i < TOPIC_STRUCT_DEPTH + 1; i++)
		buf_lit(&b, "}");
	ck_assert_ptr_null(topic_struct(arena, buf_str(&b), NULL));
	ck_assert_ptr_nonnull(topic_struct(arena, STR("{\"a\":{\"b\":{}}}"), NULL));
	ck_assert_ptr_null(topic_struct(arena, STR("{\"a\":1e999}"), NULL));
	ck_assert_ptr_null(topic_struct(arena, STR("[]"), NULL));
	ck_assert_ptr_null(topic_struct(arena, STR("{\"a\":"), NULL));
}
END_TEST

/* ---- Bulk ---- */

static struct topic_entry entries[3];
static struct topic_entry *pointers[3] = { &entries[0], &entries[1], &entries[2] };
static struct topic_event first;
static const struct davit_pair bus[] = { PAIR("pubsubName", "bus") };

static struct topic_bulk make_bulk(void)
{
	first = event;
	first.json = STR("{\"id\":\"1\"}");
	entries[0] = (struct topic_entry){ .id = STR("e1"),
					   .event = &first,
					   .content_type = STR("application/cloudevents+json") };
	entries[1] = (struct topic_entry){ .id = STR("e2"), .raw = STR("hi"), .metadata = bus, .nmetadata = 1 };
	entries[2] = (struct topic_entry){ .id = STR("e3"), .event = &first };
	return (struct topic_bulk){ .topic = STR("orders"),
				    .pubsub = STR("bus"),
				    .path = STR("/o"),
				    .metadata = bus,
				    .nmetadata = 1,
				    .entries = pointers,
				    .nentries = 3 };
}

START_TEST(a_batch_over_http)
{
	struct topic_bulk b = make_bulk();
	struct str body = topic_bulk_http_body(arena, &b), id;
	ptrdiff_t at = str_find(body, STR("\"id\":\"1\""));

	ck_assert_ptr_nonnull(strstr(body.p,
				     "{\"entries\":[{\"entryId\":\"e1\",\"event\":{\"id\":\"1\"},\"metadata\":{},"
				     "\"contentType\":\"application/cloudevents+json\"},{\"entryId\":\"e2\","
				     "\"event\":\"aGk=\",\"metadata\":{\"pubsubName\":\"bus\"},"
				     "\"contentType\":\"application/octet-stream\"},"));
	ck_assert_ptr_nonnull(
		strstr(body.p, ",\"metadata\":{\"pubsubName\":\"bus\"},\"pubsubname\":\"bus\",\"topic\":\"orders\","
			       "\"type\":\"com.dapr.event.sent.bulk\"}"));
	ck_assert_int_ge(at, 0);
	id = str_from(body, (size_t)str_find(body, STR("],\"id\":\"")) + 8);
	ck_assert_int_eq(str_find(id, STR("\"")), 36);
}
END_TEST

START_TEST(each_entry_of_a_batch_has_its_answer)
{
	struct topic_bulk b = make_bulk();
	struct topic_bulk_answer got;

	got = topic_bulk_http_answer(arena, &b, 200,
				     STR("{\"statuses\":[{\"entryId\":\"e1\",\"status\":\"SUCCESS\"},"
					 "{\"entryId\":\"e2\",\"status\":\"DROP\"},{\"entryId\":\"e9\"}]}"));
	ck_assert(got.done == 1 && got.dropped == 1 && got.failed == 1 && got.why.n > 0);
	ck_assert(entries[1].dead_letter && entries[2].state == TOPIC_ENTRY_FAILED && entries[2].why.n > 0);

	b = make_bulk();
	got = topic_bulk_http_answer(arena, &b, 200,
				     STR("{\"statuses\":[{\"entryId\":\"e1\",\"status\":\"\"},"
					 "{\"entryId\":\"e2\",\"status\":\"RETRY\"},"
					 "{\"entryId\":\"e3\",\"status\":\"what\"}]}"));
	ck_assert(got.failed == 3);

	b = make_bulk();
	got = topic_bulk_http_answer(arena, &b, 200,
				     STR("{\"statuses\":[{\"entryId\":\"e1\",\"status\":\"SUCCESS\"},oops"));
	ck_assert(got.failed == 3);
	b = make_bulk();
	ck_assert_uint_eq(topic_bulk_http_answer(arena, &b, 200, STR("")).failed, 3);
	b = make_bulk();
	ck_assert_uint_eq(topic_bulk_http_answer(arena, &b, 404, STR("")).dropped, 3);
	ck_assert(!entries[0].dead_letter);
	b = make_bulk();
	got = topic_bulk_http_answer(arena, &b, 503, STR(""));
	ck_assert(got.failed == 3 && got.code == 503);
}
END_TEST

START_TEST(a_batch_over_grpc)
{
	Dapr__Proto__Runtime__V1__TopicEventBulkResponse reply =
		DAPR__PROTO__RUNTIME__V1__TOPIC_EVENT_BULK_RESPONSE__INIT;
	Dapr__Proto__Runtime__V1__TopicEventBulkResponseEntry one =
		DAPR__PROTO__RUNTIME__V1__TOPIC_EVENT_BULK_RESPONSE_ENTRY__INIT;
	Dapr__Proto__Runtime__V1__TopicEventBulkResponseEntry *list[] = { &one };
	Dapr__Proto__Runtime__V1__TopicEventBulkRequest *q;
	struct topic_bulk b = make_bulk();
	struct error e = ERROR_NONE;
	struct topic_event bad;
	struct topic_bulk_answer got;

	bad = first;
	bad.is.datacontenttype = STR("\"text/plain\"");
	bad.is.data = STR("7");
	entries[2].event = &bad;
	q = topic_bulk_grpc_request(arena, &b);
	ck_assert_uint_eq(q->n_entries, 2);
	ck_assert_int_eq(entries[2].state, TOPIC_ENTRY_FAILED);
	ck_assert_str_eq(q->entries[0]->cloud_event->id, "a-1");
	ck_assert(q->entries[1]->bytes.len == 2 && q->entries[1]->n_metadata == 1);
	ck_assert_uint_gt(protobuf_c_message_get_packed_size(&q->base), 40);
	one.entry_id = (char *)"e1";
	reply.statuses = list;
	reply.n_statuses = 1;
	got = topic_bulk_grpc_answer(arena, &b, &e, &reply);
	ck_assert(got.done == 1 && got.failed == 2);

	b = make_bulk();
	e = error_new(arena, ERROR_UNIMPLEMENTED, NULL, "x");
	ck_assert_uint_eq(topic_bulk_grpc_answer(arena, &b, &e, NULL).dropped, 3);
	b = make_bulk();
	e = error_new(arena, ERROR_UNAVAILABLE, NULL, "x");
	ck_assert_int_eq(topic_bulk_grpc_answer(arena, &b, &e, NULL).code, ERROR_UNAVAILABLE);
}
END_TEST

/* ---- Lists ---- */

static struct subscription *list;
static size_t nlist;
static struct str why;

START_TEST(the_list_of_an_http_application)
{
	ck_assert_int_eq(
		topic_list_http(arena,
				STR("[{\"pubsubname\":\"bus\",\"topic\":\"a\",\"route\":\"/a\",\"x\":{\"y\":[1]},"
				    "\"metadata\":{\"b\":\"2\",\"a\":\"1\"},\"deadLetterTopic\":\"dead\","
				    "\"bulkSubscribe\":{\"enabled\":true,\"maxMessagesCount\":5,"
				    "\"maxAwaitDurationMs\":40}},"
				    "{\"PubsubName\":\"bus\",\"topic\":\"none\"},"
				    "{\"pubsubname\":\"bus\",\"topic\":\"b\",\"route\":\"/lost\",\"routes\":"
				    "{\"rules\":[{\"match\":\"x\",\"path\":\"/x\"},{\"path\":\"/y\"}],"
				    "\"default\":\"/d\"}}] trailing"),
				&list, &nlist, &why),
		0);
	ck_assert_uint_eq(nlist, 2);
	ck_assert(str_is(list[0].pubsub, "bus") && str_is(list[0].topic, "a") &&
		  str_is(list[0].dead_letter_topic, "dead"));
	ck_assert(list[0].nrules == 1 && str_is(list[0].rules[0].path, "/a"));
	ck_assert(list[0].metadata.n == 2 && str_is(list[0].metadata.p[0].key, "a"));
	ck_assert(list[0].bulk.enabled && list[0].bulk.max_messages == 5 && list[0].bulk.max_await_ms == 40);
	ck_assert(list[1].nrules == 3 && str_is(list[1].rules[0].match, "x") && str_is(list[1].rules[2].path, "/d"));
}
END_TEST

START_TEST(lists_that_say_nothing)
{
	static const char *const bodies[] = { "", " \n", "null", "[]", "[null]", "[{}]" };
	size_t i;

	for (i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
		ck_assert_int_eq(topic_list_http(arena, str_of(bodies[i]), &list, &nlist, &why), 0);
		ck_assert_uint_eq(nlist, 0);
	}
}
END_TEST

START_TEST(lists_that_are_none)
{
	static const char *const bodies[] = { "{}",
					      "[1]",
					      "[{\"topic\":1}]",
					      "[{\"routes\":[]}]",
					      "[{\"topic\":\"a\"",
					      "hello",
					      "[{\"metadata\":{\"a\":1}}]",
					      "[{\"bulkSubscribe\":{\"enabled\":\"yes\"}}]",
					      "[{\"bulkSubscribe\":{\"enabled\":trum}}]" };
	size_t i;

	for (i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
		why = STR("");
		ck_assert_msg(topic_list_http(arena, str_of(bodies[i]), &list, &nlist, &why) == -1, "%s", bodies[i]);
		ck_assert(why.n > 0 && nlist == 0);
	}
}
END_TEST

START_TEST(the_list_of_a_grpc_application)
{
	Dapr__Proto__Runtime__V1__ListTopicSubscriptionsResponse reply =
		DAPR__PROTO__RUNTIME__V1__LIST_TOPIC_SUBSCRIPTIONS_RESPONSE__INIT;
	Dapr__Proto__Runtime__V1__TopicSubscription bare = DAPR__PROTO__RUNTIME__V1__TOPIC_SUBSCRIPTION__INIT,
						    routed = bare;
	Dapr__Proto__Runtime__V1__TopicSubscription *subs[] = { &bare, &routed };
	Dapr__Proto__Runtime__V1__TopicRoutes routes = DAPR__PROTO__RUNTIME__V1__TOPIC_ROUTES__INIT;
	Dapr__Proto__Runtime__V1__TopicRule rule = DAPR__PROTO__RUNTIME__V1__TOPIC_RULE__INIT, *rules[] = { &rule };

	bare.topic = (char *)"a";
	rule.match = (char *)"m";
	rule.path = (char *)"/m";
	routes.rules = rules;
	routes.n_rules = 1;
	routed.routes = &routes;
	reply.subscriptions = subs;
	reply.n_subscriptions = 2;
	topic_list_grpc(arena, &reply, &list, &nlist);
	ck_assert_uint_eq(nlist, 2);
	ck_assert(list[0].nrules == 1 && list[0].rules[0].path.n == 0 && list[0].rules[0].match.n == 0);
	ck_assert(list[1].nrules == 1 && str_is(list[1].rules[0].match, "m"));
}
END_TEST

START_TEST(base64_there_and_back)
{
	static const struct {
		const char *bytes, *text;
	} rows[] = { { "", "" },	{ "f", "Zg==" },	{ "fo", "Zm8=" },
		     { "foo", "Zm9v" }, { "foob", "Zm9vYg==" }, { "foobar", "Zm9vYmFy" } };
	static const char *const bad[] = { "Z", "Zg", "Zg=", "Zg===", "Zm9v=", "Z=g=", "Zm9vY", "!", "Zm9v====" };
	struct str got;
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct buf b = buf_in(arena);

		base64_put(&b, str_of(rows[i].bytes));
		ck_assert(str_is(buf_str(&b), rows[i].text));
		ck_assert_int_eq(base64_read(arena, str_of(rows[i].text), &got), 0);
		ck_assert(str_is(got, rows[i].bytes));
	}
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ck_assert_int_eq(base64_read(arena, str_of(bad[i]), &got), -1);
	ck_assert_int_eq(base64_read(arena, STR("Zm\r\n9v"), &got), 0);
	ck_assert(str_is(got, "foo"));
}
END_TEST

int main(void)
{
	Suite *s = suite_create("topic");
	TCase *t = tcase_create("topic");
	SRunner *runner = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(t, set_up, tear_down);
	tcase_add_test(t, paths_become_targets);
	tcase_add_test(t, metadata_becomes_header_fields);
	tcase_add_loop_test(t, http_answers_mean, 0, sizeof(answers) / sizeof(answers[0]));
	tcase_add_test(t, grpc_answers_mean);
	tcase_add_loop_test(t, grpc_carries_data_by_its_type, 0, sizeof(contents) / sizeof(contents[0]));
	tcase_add_test(t, the_rest_of_an_event_is_its_extensions);
	tcase_add_test(t, extensions_deeper_than_the_limit_are_refused);
	tcase_add_test(t, a_batch_over_http);
	tcase_add_test(t, each_entry_of_a_batch_has_its_answer);
	tcase_add_test(t, a_batch_over_grpc);
	tcase_add_test(t, the_list_of_an_http_application);
	tcase_add_test(t, lists_that_say_nothing);
	tcase_add_test(t, lists_that_are_none);
	tcase_add_test(t, the_list_of_a_grpc_application);
	tcase_add_test(t, base64_there_and_back);
	suite_add_tcase(s, t);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
