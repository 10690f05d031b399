/* SPDX-License-Identifier: Apache-2.0 */
/* The Subscription resource, both versions, as an operator writes it. */
#include <check.h>
#include <stdlib.h>

#include "resources/subscription.h"

static struct arena *arena;
static struct str problems;
static struct subscription sub;

static void set_up(void)
{
	arena = arena_new();
}

static void tear_down(void)
{
	arena_unref(arena);
}

static int read_subscription(const char *version, const char *yaml)
{
	struct field_report r = { .arena = arena, .rules = YAML_RESOURCE, .problems = buf_in(arena) };
	struct yaml_fault fault;
	struct resource resource = { .kind = RESOURCE_SUBSCRIPTION,
				     .api_version = str_of(version),
				     .name = STR("sub"),
				     .file = "s.yaml",
				     .line = 1,
				     .root = yaml_parse(arena, str_of(yaml), 1, &fault) };
	int rc;

	ck_assert_msg(resource.root != NULL, "%s", fault.message.p);
	rc = subscription_read(&r, &resource, &sub);
	problems = buf_str(&r.problems);
	return rc;
}

START_TEST(v1alpha1_has_one_route)
{
	ck_assert_int_eq(read_subscription("dapr.io/v1alpha1", "kind: Subscription\n"
							       "spec:\n"
							       "  pubsubname: bus\n"
							       "  topic: 17\n"
							       "  Route: /a\n"
							       "  deadLetterTopic: dead\n"
							       "  metadata: {rawPayload: \"true\", b: 1}\n"
							       "  bulkSubscribe:\n"
							       "    enabled: true\n"
							       "    maxMessagesCount: 5\n"
							       "    maxAwaitDurationMs: 40\n"),
			 0);
	ck_assert(str_is(sub.pubsub, "bus") && str_is(sub.topic, "17") && str_is(sub.dead_letter_topic, "dead"));
	ck_assert_uint_eq(sub.nrules, 1);
	ck_assert(str_is(sub.rules[0].path, "/a") && sub.rules[0].match.n == 0);
	ck_assert_uint_eq(sub.metadata.n, 2);
	ck_assert(str_is(sub.metadata.p[0].key, "b") && str_is(sub.metadata.p[0].value, "1"));
	ck_assert(sub.bulk.enabled && sub.bulk.max_messages == 5 && sub.bulk.max_await_ms == 40);
	ck_assert(str_is(sub.name, "sub"));
}
END_TEST

START_TEST(v2alpha1_has_rules_and_a_default_behind_them)
{
	ck_assert_int_eq(read_subscription("dapr.io/v2alpha1", "spec:\n"
							       "  pubsubname: bus\n"
							       "  topic: t\n"
							       "  routes:\n"
							       "    default: /rest\n"
							       "    rules:\n"
							       "    - match: event.type == \"a\"\n"
							       "      path: /a\n"
							       "    - path: /b\n"),
			 0);
	ck_assert_uint_eq(sub.nrules, 3);
	ck_assert(str_is(sub.rules[0].match, "event.type == \"a\"") && str_is(sub.rules[0].path, "/a"));
	ck_assert_int_eq(sub.rules[0].line, 7);
	ck_assert_int_eq(sub.rules[0].column, 14);
	ck_assert(sub.rules[1].match.n == 0 && str_is(sub.rules[1].path, "/b"));
	ck_assert(sub.rules[2].match.n == 0 && str_is(sub.rules[2].path, "/rest"));
	ck_assert(!sub.bulk.enabled && sub.dead_letter_topic.n == 0);
}
END_TEST

START_TEST(nothing_given_is_no_rule)
{
	ck_assert_int_eq(read_subscription("dapr.io/v2alpha1", "kind: Subscription\n"), 0);
	ck_assert_uint_eq(sub.nrules, 0);
	ck_assert(sub.topic.n == 0 && sub.pubsub.n == 0);
}
END_TEST

START_TEST(what_does_not_fit_is_refused_with_its_place)
{
	ck_assert_int_eq(read_subscription("dapr.io/v1alpha1", "spec:\n"
							       "  topic: [a]\n"
							       "  bulkSubscribe: {enabled: maybe}\n"),
			 -1);
	ck_assert_ptr_nonnull(strstr(problems.p, "line 2: spec.topic"));
	ck_assert_ptr_nonnull(strstr(problems.p, "line 3: spec.bulkSubscribe.enabled"));
}
END_TEST

START_TEST(a_route_of_v1_is_no_field_of_v2)
{
	ck_assert_int_eq(read_subscription("dapr.io/v2alpha1", "spec: {route: /a}\n"), 0);
	ck_assert_uint_eq(sub.nrules, 0);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("subscription");
	TCase *t = tcase_create("read");
	SRunner *runner = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(t, set_up, tear_down);
	tcase_add_test(t, v1alpha1_has_one_route);
	tcase_add_test(t, v2alpha1_has_rules_and_a_default_behind_them);
	tcase_add_test(t, nothing_given_is_no_rule);
	tcase_add_test(t, what_does_not_fit_is_refused_with_its_place);
	tcase_add_test(t, a_route_of_v1_is_no_field_of_v2);
	suite_add_tcase(s, t);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
