/* SPDX-License-Identifier: Apache-2.0 */
#include "telemetry/trace.h"
#include "base/buf.h"

#include <check.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#define PARENT "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

static struct arena *a;

static void set_up(void)
{
	a = arena_new();
}

static void tear_down(void)
{
	arena_unref(a);
	arena_drop_stock();
}

static void ck_str(struct str s, const char *want)
{
	ck_assert_msg(str_is(s, want), "\"" STR_FMT "\" is not \"%s\"", STR_ARG(s), want);
}

static struct trace_context parsed(const char *text)
{
	struct trace_context c = { .state = STR("") };

	ck_assert_msg(trace_parse_parent(str_of(text), &c) == 0, "%s", text);
	return c;
}

START_TEST(traceparent_there_and_back)
{
	char text[TRACE_PARENT_TEXT + 1];
	struct trace_context c = parsed(PARENT);

	ck_assert_uint_eq(c.trace_id[0], 0x4b);
	ck_assert_uint_eq(c.trace_id[15], 0x36);
	ck_assert_uint_eq(c.span_id[0], 0);
	ck_assert_uint_eq(c.span_id[7], 0xb7);
	ck_assert(trace_sampled(&c) && trace_valid(&c));
	trace_parent_text(&c, text);
	ck_assert_str_eq(text, PARENT);
	c = parsed("cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00-what-comes-later");
	ck_assert(!trace_sampled(&c));
	trace_parent_text(&c, text); /* ours is version 00 */
	ck_assert_str_eq(text, "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00");
}
END_TEST

START_TEST(traceparents_that_are_none)
{
	static const char *const wrong[] = {
		"",
		"00",
		"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
		PARENT "-more",
		PARENT "-",
		"ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
		"0-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
		"00-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-01",
		"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b-01",
		"00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
		"00-4bf92f3577b34da6a3ce929d0e0e473g-00f067aa0ba902b7-01",
		"00-00000000000000000000000000000000-00f067aa0ba902b7-01",
		"00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
		"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-1",
		" " PARENT,
	};
	struct trace_context c = { .flags = 7 };

	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
		ck_assert_msg(trace_parse_parent(str_of(wrong[i]), &c) == -1, "%s", wrong[i]);
	ck_assert_uint_eq(c.flags, 7);
}
END_TEST

START_TEST(tracestate)
{
	static const char *const well[][2] = {
		{ "a=1", "a=1" },
		{ " a=1 , b=2\t,,c=3", "a=1,b=2,c=3" },
		{ "1tenant@sys=x y", "1tenant@sys=x y" },
		{ "k_-*/9=!#~", "k_-*/9=!#~" },
	};
	static const char *const wrong[] = { "a",     "a=",   "=1",   "A=1",   "1=1",	"a=1,a=2",
					     "a=1=2", "@s=1", "t@=1", "t@1=1", "a b=1", "a=\x7f" };

	for (size_t i = 0; i < sizeof(well) / sizeof(*well); i++)
		ck_str(trace_parse_state(a, str_of(well[i][0])), well[i][1]);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
		ck_assert_msg(!trace_parse_state(a, str_of(wrong[i])).p, "%s", wrong[i]);
	ck_assert(!trace_parse_state(a, STR("")).p && !trace_parse_state(a, STR_NONE).p);

	struct buf many = buf_in(a);

	for (int i = 0; i < 33; i++) {
		buf_printf(&many, "%sk%d=v", i ? "," : "", i);
		ck_assert_int_eq(trace_parse_state(a, buf_str(&many)).p != NULL, i < 32);
	}
	struct buf large = buf_in(a);

	buf_lit(&large, "k=");
	for (int i = 0; i < 256; i++)
		buf_addc(&large, 'v');
	buf_lit(&large, ",l=");
	for (int i = 0; i < 256; i++)
		buf_addc(&large, 'v');
	struct trace_context c = trace_from_request(a, STR_NONE, STR(PARENT), buf_str(&large));

	ck_assert_uint_eq(c.state.n, 517);
	ck_assert_uint_eq(trace_state_to_send(&c).n, 0);
	c.state = str_upto(c.state, 258);
	ck_assert_uint_eq(trace_state_to_send(&c).n, 258);
	ck_assert(!trace_parse_state(a, arena_printf(a, "k=" STR_FMT "v", STR_ARG(str_from(c.state, 2)))).p);
}
END_TEST

START_TEST(grpc_trace_bin)
{
	struct trace_context c = parsed(PARENT), d;
	uint8_t bytes[TRACE_BINARY];

	trace_binary(&c, bytes);
	ck_assert_uint_eq(bytes[0], 0);
	ck_assert_uint_eq(bytes[1], 0);
	ck_assert_uint_eq(bytes[2], 0x4b);
	ck_assert_uint_eq(bytes[18], 1);
	ck_assert_uint_eq(bytes[27], 2);
	ck_assert_uint_eq(bytes[28], 1);
	ck_assert_int_eq(trace_parse_binary((struct str){ (char *)bytes, TRACE_BINARY }, &d), 0);
	ck_assert(memcmp(c.trace_id, d.trace_id, 16) == 0 && memcmp(c.span_id, d.span_id, 8) == 0 && d.flags == 1);
	/* The span's id may be missing, the trace's may not. */
	ck_assert_int_eq(trace_parse_binary((struct str){ (char *)bytes, 18 }, &d), 0);
	ck_assert(!trace_valid(&d));
	for (size_t n = 0; n < 18; n++)
		ck_assert_int_eq(trace_parse_binary((struct str){ (char *)bytes, n }, &d), -1);
	bytes[0] = 1;
	ck_assert_int_eq(trace_parse_binary((struct str){ (char *)bytes, TRACE_BINARY }, &d), -1);
}
END_TEST

START_TEST(what_a_request_brings)
{
	uint8_t bytes[TRACE_BINARY];
	struct trace_context c = parsed("00-11111111111111111111111111111111-2222222222222222-00");

	trace_binary(&c, bytes);
	c = trace_from_request(a, (struct str){ (char *)bytes, TRACE_BINARY }, STR(PARENT), STR("a=1"));
	ck_assert_uint_eq(c.trace_id[0], 0x11);
	ck_str(c.state, "");
	c = trace_from_request(a, STR_NONE, STR(PARENT), STR("a=1"));
	ck_assert_uint_eq(c.trace_id[0], 0x4b);
	ck_str(c.state, "a=1");
	c = trace_from_request(a, STR_NONE, STR(PARENT), STR("not well-formed"));
	ck_assert(trace_valid(&c) && c.state.n == 0);
	c = trace_from_request(a, STR_NONE, STR("nonsense"), STR("a=1"));
	ck_assert(!trace_valid(&c) && c.state.n == 0);
	c = trace_from_request(a, STR_NONE, STR_NONE, STR_NONE);
	ck_assert(!trace_valid(&c));
	ck_assert(trace_is_healthz(STR("/v1.0/healthz/outbound")) && !trace_is_healthz(STR("/v1.0/state/s")));
}
END_TEST

START_TEST(baggage)
{
	static const char *const well[] = { "",
					    "key1=value1,key2=value2",
					    "k=v;p;q=r; s = t ;",
					    " k = v%20w ",
					    "k=",
					    "k=a=b",
					    "k=v,k=w",
					    "!#$%&'*+-.^_`|~=!#$&'()*+-./:<>?@[]^_`{|}~" };
	static const struct {
		const char *text, *says;
	} wrong[] = {
		{ "k", "invalid baggage list-member: \"k\"" },
		{ "k=v,", "invalid baggage list-member: \"\"" },
		{ ",k=v", "invalid baggage list-member: \"\"" },
		{ "=v", "invalid key: \"\"" },
		{ "k y=v", "invalid key: \"k y\"" },
		{ "k=v w", "invalid value: \"v w\"" },
		{ "k=v%2", "invalid value: \"v%2\"" },
		{ "k=v%zz", "invalid value: \"v%zz\"" },
		{ "k=\"v\"", "invalid value" },
		{ "k=\xc3\xa9", "invalid value" },
		{ "k=v;=w", "invalid baggage list-member property: \"=w\"" },
		{ "k=v;p q", "invalid baggage list-member property: \"p q\"" },
		{ "k=v; ", "invalid baggage list-member property" },
	};
	struct str why = STR("");

	for (size_t i = 0; i < sizeof(well) / sizeof(*well); i++)
		ck_assert_msg(trace_check_baggage(a, str_of(well[i]), &why) == 0, "%s: " STR_FMT, well[i],
			      STR_ARG(why));
	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		ck_assert_msg(trace_check_baggage(a, str_of(wrong[i].text), &why) == -1, "%s", wrong[i].text);
		ck_assert_msg(str_find(why, str_of(wrong[i].says)) == 0, "%s: " STR_FMT, wrong[i].text, STR_ARG(why));
	}
	ck_assert_int_eq(trace_check_baggage(a, STR_NONE, &why), 0);
	struct buf b = buf_in(a);

	for (int i = 0; i < 65; i++) {
		buf_printf(&b, "%sk%d=v", i ? "," : "", i);
		ck_assert_int_eq(trace_check_baggage(a, buf_str(&b), &why), i < 64 ? 0 : -1);
	}
	ck_str(why, "too many list-members in baggage-string");
	b = buf_in(a);
	buf_lit(&b, "k=");
	while (b.n < 8192)
		buf_addc(&b, 'v');
	ck_assert_int_eq(trace_check_baggage(a, buf_str(&b), &why), 0);
	buf_addc(&b, 'v');
	ck_assert_int_eq(trace_check_baggage(a, buf_str(&b), &why), -1);
	ck_str(why, "baggage-string too large: 8193");
}
END_TEST

START_TEST(sampling_rates)
{
	static const struct {
		const char *text;
		int exporter;
		enum trace_mode mode;
		double rate;
	} cases[] = {
		{ "0", 1, TRACE_OFF, 0 },	{ "0.0", 0, TRACE_OFF, 0 },   { "", 0, TRACE_PASS, 1e-4 },
		{ "", 1, TRACE_ON, 1e-4 },	{ "1", 0, TRACE_ON, 1 },      { "0.5", 1, TRACE_ON, 0.5 },
		{ "often", 0, TRACE_ON, 1e-4 }, { "1 ", 0, TRACE_ON, 1e-4 },  { " 1", 0, TRACE_ON, 1e-4 },
		{ "1e-2", 0, TRACE_ON, 0.01 },	{ "nan", 0, TRACE_ON, 1e-4 }, { "-1", 0, TRACE_ON, -1 },
		{ "1e999", 0, TRACE_ON, 1e-4 },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct tracer t = tracer_of(str_of(cases[i].text), cases[i].exporter);

		ck_assert_msg(t.mode == cases[i].mode && t.rate == cases[i].rate, "%s", cases[i].text);
	}
}
END_TEST

static int sampled_of(double rate, int n)
{
	char text[32];
	int sampled = 0;

	snprintf(text, sizeof(text), "%g", rate);
	struct tracer t = tracer_of(str_of(text), 1);

	for (int i = 0; i < n; i++) {
		struct arena *call = arena_new();

		sampled += trace_sampled(&trace_start(&t, call, NULL, STR("x"), TRACE_CLIENT)->context);
		arena_unref(call);
	}
	return sampled;
}

START_TEST(the_parent_decides_else_the_rate)
{
	struct tracer all = tracer_of(STR("1"), 1), few = tracer_of(STR("-1"), 1);
	struct trace_context on = parsed(PARENT), off = on;

	off.flags = 2;
	ck_assert(trace_sampled(&trace_start(&few, a, &on, STR("x"), TRACE_SERVER)->context));
	struct trace_span *s = trace_start(&all, a, &off, STR("x"), TRACE_SERVER);

	ck_assert_uint_eq(s->context.flags, 2); /* the other bits are kept */
	ck_assert(memcmp(s->context.trace_id, off.trace_id, 16) == 0);
	ck_assert(memcmp(s->parent_id, off.span_id, 8) == 0);
	ck_assert(memcmp(s->context.span_id, off.span_id, 8) != 0);
	ck_assert_int_eq(sampled_of(1, 1000), 1000);
	ck_assert_int_eq(sampled_of(-1, 1000), 0);
	int half = sampled_of(0.5, 10000);

	ck_assert_msg(half > 4700 && half < 5300, "%d", half);
	/* The same trace is decided alike everywhere: by its id, as OpenTelemetry does. */
	struct tracer t = tracer_of(STR("0.5"), 1);
	struct trace_context half_known = { .trace_id = { [8] = 0x7f, [15] = 1 }, .state = STR("") };

	ck_assert(trace_sampled(&trace_start(&t, a, &half_known, STR("x"), TRACE_CLIENT)->context));
	half_known.trace_id[8] = 0x80;
	ck_assert(!trace_sampled(&trace_start(&t, a, &half_known, STR("x"), TRACE_CLIENT)->context));
}
END_TEST

START_TEST(modes)
{
	struct tracer off = tracer_of(STR("0"), 1), pass = tracer_of(STR(""), 0);
	struct trace_context parent = parsed(PARENT);
	struct trace_span *s;

	ck_assert(!trace_start(&off, a, &parent, STR("x"), TRACE_CLIENT));
	ck_assert(!trace_start(NULL, a, &parent, STR("x"), TRACE_CLIENT));
	s = trace_start(&pass, a, &parent, STR("x"), TRACE_CLIENT);
	ck_assert(memcmp(s->context.span_id, parent.span_id, 8) == 0);
	trace_attribute(s, "k", STR("v"));
	trace_end(s);
	ck_assert(!s->attributes && !s->end_ns);
	s = trace_start(&pass, a, NULL, STR("x"), TRACE_CLIENT);
	ck_assert(!trace_valid(&s->context));
	/* NULL is fine everywhere. */
	trace_attribute(NULL, "k", STR("v"));
	trace_number(NULL, "k", 1);
	trace_rename(NULL, STR("x"));
	trace_status_http(NULL, 500);
	trace_status_error(NULL, STR("x"));
	trace_event_attribute(NULL, trace_event(NULL, "e"), "k", STR("v"));
	trace_end(NULL);
}
END_TEST

static void ended(void *arg, const struct trace_span *s)
{
	const struct trace_span **last = arg;

	ck_assert(!*last);
	*last = s;
}

START_TEST(a_span_is_shown_when_it_ends)
{
	const struct trace_span *last = NULL;
	struct tracer t = tracer_of(STR("1"), 1);
	struct trace_span *s;

	t.ended = ended;
	t.arg = &last;
	s = trace_start(&t, a, NULL, STR("/v1.0/state/s"), TRACE_CLIENT);
	trace_attribute(s, "db.name", STR("s"));
	trace_attribute(s, "empty", STR(""));
	trace_number(s, "durabletask.task.task_id", -3);
	trace_event_attribute(s, trace_event(s, "Received external event"), "name", STR("e"));
	trace_rename(s, STR("renamed"));
	trace_status_http(s, 200);
	ck_assert_int_eq(s->status, TRACE_UNSET);
	trace_status_http(s, 404);
	ck_assert(!last);
	trace_end(s);
	trace_end(s);
	ck_assert(last == s);
	ck_str(s->name, "renamed");
	ck_str(s->status_message, "Code(404): Not Found");
	ck_assert_int_eq(s->status, TRACE_ERROR);
	ck_str(s->attributes->key, "durabletask.task.task_id");
	ck_str(s->attributes->value, "-3");
	ck_assert_int_eq(s->attributes->number, 1);
	ck_str(s->attributes->next->value, "s");
	ck_assert(!s->attributes->next->next);
	ck_str(s->events->attributes->value, "e");
	ck_assert(s->end_ns >= s->start_ns && s->start_ns > INT64_C(1600000000000000000));
	s = trace_start(&t, a, NULL, STR("x"), TRACE_CLIENT);
	trace_status_http(s, 599);
	ck_str(s->status_message, "Code(599): Unknown");
}
END_TEST

#define IDS 20000

static void *make_ids(void *arg)
{
	struct tracer t = tracer_of(STR("0.5"), 1);
	uint64_t *ids = arg;

	for (int i = 0; i < IDS; i++) {
		struct arena *call = arena_new();
		struct trace_span *s = trace_start(&t, call, NULL, STR("x"), TRACE_CLIENT);

		memcpy(&ids[i], s->context.span_id, 8);
		arena_unref(call);
	}
	arena_drop_stock();
	return NULL;
}

static int by_id(const void *x, const void *y)
{
	uint64_t p = *(const uint64_t *)x, q = *(const uint64_t *)y;

	return p < q ? -1 : p > q;
}

START_TEST(ids_never_repeat)
{
	static uint64_t ids[4 * IDS];
	pthread_t threads[4];

	for (int i = 0; i < 4; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, make_ids, ids + i * IDS), 0);
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	qsort(ids, 4 * IDS, sizeof(*ids), by_id);
	for (int i = 1; i < 4 * IDS; i++)
		ck_assert(ids[i] != ids[i - 1]);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("trace");
	TCase *t = tcase_create("trace");

	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, set_up, tear_down);
	tcase_add_test(t, traceparent_there_and_back);
	tcase_add_test(t, traceparents_that_are_none);
	tcase_add_test(t, tracestate);
	tcase_add_test(t, grpc_trace_bin);
	tcase_add_test(t, what_a_request_brings);
	tcase_add_test(t, baggage);
	tcase_add_test(t, sampling_rates);
	tcase_add_test(t, the_parent_decides_else_the_rate);
	tcase_add_test(t, modes);
	tcase_add_test(t, a_span_is_shown_when_it_ends);
	tcase_add_test(t, ids_never_repeat);
	suite_add_tcase(s, t);
	SRunner *r = srunner_create(s);

	srunner_run_all(r, CK_NORMAL);
	int failed = srunner_ntests_failed(r);

	srunner_free(r);
	return failed ? 1 : 0;
}
