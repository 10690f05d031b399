/* SPDX-License-Identifier: Apache-2.0 */
/* Resiliency without a wire: the resource, what is meant for whom, breakers, how long to wait. */
#include <check.h>
#include <stdlib.h>

#include "policy/breakers.h"
#include "policy/policies.h"
#include "resources/resiliency.h"

#define MS INT64_C(1000000)
#define SECOND (1000 * MS)

static struct arena *arena;
static struct resources *snapshot;
static struct policies *all;
static struct str problems;
static struct resiliency read_one;

static void set_up(void)
{
	arena = arena_new();
	snapshot = arena_zalloc(arena, sizeof(*snapshot));
	all = NULL;
}

static void tear_down(void)
{
	policies_free(all);
	arena_unref(arena);
}

static struct resource resource_of(const char *name, const char *yaml)
{
	struct yaml_fault fault;
	struct resource r = { .kind = RESOURCE_RESILIENCY,
			      .name = str_of(name),
			      .namespace = STR(""),
			      .file = "r.yaml",
			      .line = 1,
			      .root = yaml_parse(arena, str_of(yaml), 1, &fault) };

	ck_assert_msg(r.root != NULL, "%s", fault.message.p);
	return r;
}

static int read_yaml(const char *yaml)
{
	struct field_report report = {
		.arena = arena, .rules = YAML_RESOURCE, .file = "r.yaml", .problems = buf_in(arena)
	};
	struct resource r = resource_of("r", yaml);
	int rc = resiliency_read(&report, &r, &read_one);

	problems = buf_str(&report.problems);
	return rc;
}

static void load(const char *const *yamls, size_t n)
{
	struct resource *list = arena_alloc(arena, n * sizeof(*list));
	size_t i;

	for (i = 0; i < n; i++)
		list[i] = resource_of(i == 0 ? "first" : "second", yamls[i]);
	snapshot->of[RESOURCE_RESILIENCY] = (struct resource_list){ n, list };
	all = policies_new(snapshot, NULL);
	ck_assert_ptr_nonnull(all);
}

static void load_one(const char *yaml)
{
	load(&yaml, 1);
}

START_TEST(the_resource_is_read)
{
	ck_assert_int_eq(
		read_yaml(
			"spec:\n"
			"  policies:\n"
			"    timeouts: {a: 5s, b: 250, c: \"70\"}\n"
			"    retries:\n"
			"      r: {policy: Exponential, maxInterval: 15s, maxRetries: 0,\n"
			"          matching: {httpStatusCodes: \"429,500-599\", gRPCStatusCodes: 4}}\n"
			"      plain: {}\n"
			"    circuitBreakers:\n"
			"      c: {maxRequests: 2, interval: 0, timeout: 30s, trip: consecutiveFailures >= 3}\n"
			"  targets:\n"
			"    apps: {x: {timeout: a, retry: r, circuitBreaker: c, circuitBreakerCacheSize: 7}, y: {}}\n"
			"    actors: {t: {circuitBreaker: c, circuitBreakerScope: both}}\n"
			"    components: {s: {inbound: {retry: r}, outbound: {timeout: b}}}\n"),
		0);
	ck_assert_uint_eq(read_one.ntimeouts, 3);
	ck_assert(read_one.timeouts[0].ns == 5 * SECOND && read_one.timeouts[1].ns == 250 * MS &&
		  read_one.timeouts[2].ns == 70 * MS);
	ck_assert(read_one.retries[0].exponential && read_one.retries[0].max_retries == 0 &&
		  read_one.retries[0].max_interval_ns == 15 * SECOND);
	ck_assert(read_one.retries[0].http.n == 2 && read_one.retries[0].http.p[1].last == 599 &&
		  read_one.retries[0].grpc.p[0].first == 4);
	ck_assert(!read_one.retries[1].exponential && read_one.retries[1].max_retries == -1 &&
		  read_one.retries[1].duration_ns == 5 * SECOND && !read_one.retries[1].http.given);
	ck_assert(read_one.breakers[0].max_requests == 2 && read_one.breakers[0].timeout_ns == 30 * SECOND &&
		  str_is(read_one.breakers[0].trip, "consecutiveFailures >= 3"));
	ck_assert(read_one.apps[0].breakers == 7 && read_one.apps[1].breakers == RESILIENCY_APP_BREAKERS);
	ck_assert(read_one.actors[0].scope == RESILIENCY_BOTH && str_is(read_one.components[0].in.retry, "r") &&
		  str_is(read_one.components[0].out.timeout, "b"));
}
END_TEST

static const struct {
	const char *yaml, *where;
} faulty[] = {
	{ "spec:\n  policies:\n    timeouts:\n      a: soon\n",
	  "r.yaml:4: spec.policies.timeouts.a: must be a duration" },
	{ "spec:\n  policies:\n    retries:\n      a:\n        policy: linear\n",
	  "r.yaml:5: spec.policies.retries.a.policy" },
	{ "spec:\n  policies:\n    retries:\n      a:\n        matching:\n          httpStatusCodes: 11\n",
	  "r.yaml:6: spec.policies.retries.a.matching.httpStatusCodes" },
	{ "spec:\n  policies:\n    retries:\n      a:\n        matching: {gRPCStatusCodes: 400}\n",
	  "r.yaml:5: spec.policies.retries.a.matching.gRPCStatusCodes" },
	{ "spec:\n  policies:\n    retries:\n      a: {matching: {httpStatusCodes: \"500-400\"}}\n",
	  "httpStatusCodes" },
	{ "spec:\n  policies:\n    retries:\n      a: {matching: {httpStatusCodes: \"400-500-501\"}}\n",
	  "httpStatusCodes" },
	{ "spec:\n  policies:\n    retries:\n      a: {duration: 1 hour}\n", "spec.policies.retries.a.duration" },
	{ "spec:\n  policies:\n    retries: [a]\n", "r.yaml:3: spec.policies.retries: must be an object" },
	{ "spec:\n  policies:\n    circuitBreakers:\n      a: {maxRequests: -1}\n",
	  "spec.policies.circuitBreakers.a.maxRequests" },
	{ "spec:\n  targets:\n    actors:\n      a: {circuitBreaker: c}\n",
	  "spec.targets.actors.a.circuitBreakerScope" },
	{ "spec:\n  targets:\n    apps:\n      a: {circuitBreakerCacheSize: -1}\n",
	  "spec.targets.apps.a.circuitBreakerCacheSize" },
};

START_TEST(what_is_wrong_is_named_with_its_place)
{
	ck_assert_int_eq(read_yaml(faulty[_i].yaml), -1);
	ck_assert_msg(strstr(problems.p, faulty[_i].where) != NULL, "%s", problems.p);
}
END_TEST

START_TEST(targets_get_what_they_name_and_others_the_defaults)
{
	const struct policy *p;

	load_one("spec:\n"
		 "  policies:\n"
		 "    timeouts: {quick: 1s, DefaultTimeoutPolicy: 2s, DefaultStatestoreComponentOutboundTimeoutPolicy: "
		 "3s,\n"
		 "               DefaultComponentInboundTimeoutPolicy: 4s}\n"
		 "    retries: {DefaultAppRetryPolicy: {maxRetries: 2}}\n"
		 "    circuitBreakers: {c: {}}\n"
		 "  targets:\n"
		 "    apps: {x: {timeout: quick, circuitBreaker: c}, bare: {retry: unknown}}\n"
		 "    components: {s: {outbound: {timeout: quick}}}\n");
	p = policies_app(all, arena, STR("x"), STR("m"));
	ck_assert(p->timeout_ns == SECOND && p->retry == NULL && p->breaker != NULL);
	ck_assert(str_is(p->name, "endpoint[x, x:m]") && str_is(p->about.target, "app_x"));
	ck_assert_ptr_eq(policies_app(all, arena, STR("x"), STR("m"))->breaker, p->breaker);
	ck_assert_ptr_ne(policies_app(all, arena, STR("x"), STR("n"))->breaker, p->breaker);
	p = policies_app(all, arena, STR("other"), STR("m"));
	ck_assert(p->timeout_ns == 2 * SECOND && p->retry->max_retries == 2 && p->breaker == NULL);
	ck_assert_ptr_null(policies_app(all, arena, STR("bare"), STR("m")));
	ck_assert(policies_has_app(all, STR("bare")) && !policies_has_app(all, STR("other")));
	ck_assert_int_eq(policies_component(all, STR("s"), POLICY_STATE, 0)->timeout_ns, SECOND);
	ck_assert_ptr_null(policies_component(all, STR("s"), POLICY_STATE, 1));
	ck_assert_int_eq(policies_component(all, STR("t"), POLICY_STATE, 0)->timeout_ns, 3 * SECOND);
	ck_assert_int_eq(policies_component(all, STR("t"), POLICY_PUBSUB, 1)->timeout_ns, 4 * SECOND);
	ck_assert_int_eq(policies_component(all, STR("t"), POLICY_PUBSUB, 0)->timeout_ns, 2 * SECOND);
}
END_TEST

START_TEST(resources_are_merged_and_a_bad_one_is_left_out)
{
	const char *yamls[] = { "spec:\n  policies:\n    timeouts: {a: 1s}\n  targets: {apps: {x: {timeout: b}}}\n",
				"spec:\n  policies:\n    timeouts: {b: 2s}\n" };

	load(yamls, 2);
	ck_assert_int_eq(policies_app(all, arena, STR("x"), STR("m"))->timeout_ns, 2 * SECOND);
	ck_assert_uint_eq(policies_count(all), 2);
	policies_free(all);
	yamls[1] = "spec:\n  policies:\n    timeouts: {b: 2s}\n    circuitBreakers: {c: {trip: \"1 +\"}}\n";
	load(yamls, 2);
	ck_assert_uint_eq(policies_count(all), 1);
	ck_assert_ptr_null(policies_app(all, arena, STR("x"), STR("m")));
}
END_TEST

START_TEST(built_in_retries_may_be_defined_anew)
{
	ck_assert_int_eq(policies_built_in(NULL, POLICY_SERVICE_RETRIES).retry->max_retries, 3);
	load_one("spec:\n  policies:\n    retries:\n"
		 "      DaprBuiltInServiceRetries: {duration: 1ms, maxRetries: 9}\n"
		 "      DaprBuiltInInitializationRetries: {duration: 1ms, maxRetries: 1}\n"
		 "      DaprBuiltInActorNotFoundRetries: {duration: 1ms, maxRetries: 99}\n");
	ck_assert_int_eq(policies_built_in(all, POLICY_SERVICE_RETRIES).retry->max_retries, 9);
	ck_assert_int_eq(policies_built_in(all, POLICY_INITIALIZATION_RETRIES).retry->max_retries, 3);
	ck_assert_int_eq(policies_built_in(all, POLICY_ACTOR_NOT_FOUND_RETRIES).retry->max_retries, 5);
}
END_TEST

static int pass(struct breaker *b, int64_t now, int well)
{
	uint64_t ticket;

	if (breaker_before(b, now, &ticket) != BREAKER_PASSES)
		return 0;
	breaker_after(b, now, ticket, well);
	return 1;
}

START_TEST(a_breaker_opens_looks_and_closes)
{
	struct breaker_about about = { .name = STR("c"), .timeout_ns = 5 * SECOND };
	struct breaker *b = breaker_new(&about, STR("c-x"));
	uint64_t probe, second;
	int i;

	for (i = 0; i < 5; i++)
		ck_assert(pass(b, SECOND, 0));
	ck_assert(pass(b, SECOND, 1)); /* it was five in a row */
	for (i = 0; i < 6; i++)
		ck_assert(pass(b, SECOND, 0));
	ck_assert_int_eq(breaker_state(b, SECOND), BREAKER_OPEN);
	ck_assert(!pass(b, 6 * SECOND, 1));
	ck_assert_int_eq(breaker_before(b, 6 * SECOND + 1, &probe), BREAKER_PASSES);
	ck_assert_int_eq(breaker_before(b, 6 * SECOND + 1, &second), BREAKER_IS_BUSY);
	breaker_after(b, 6 * SECOND + 2, probe, 0);
	ck_assert_int_eq(breaker_state(b, 6 * SECOND + 2), BREAKER_OPEN);
	ck_assert(pass(b, 12 * SECOND, 1));
	ck_assert_int_eq(breaker_state(b, 12 * SECOND), BREAKER_CLOSED);
	breaker_after(b, 12 * SECOND, probe, 0); /* of a time long past */
	ck_assert_int_eq(breaker_state(b, 12 * SECOND), BREAKER_CLOSED);
	breaker_unref(b);
}
END_TEST

START_TEST(a_breaker_trips_by_its_expression_and_forgets_by_its_interval)
{
	struct cel_fault fault;
	struct breaker_about about = { .name = STR("c"), .interval_ns = SECOND };
	struct breaker *b;

	about.trip = cel_compile(arena, STR("totalFailures >= 2 && requests > 2"), &fault);
	b = breaker_new(&about, STR("c"));
	ck_assert(pass(b, 0, 0) && pass(b, 1, 0));
	ck_assert_int_eq(breaker_state(b, 1), BREAKER_CLOSED);
	ck_assert(pass(b, 2 * SECOND, 0) && pass(b, 2 * SECOND, 1)); /* counted anew */
	ck_assert_int_eq(breaker_state(b, 2 * SECOND), BREAKER_CLOSED);
	ck_assert(pass(b, 2 * SECOND, 0));
	ck_assert_int_eq(breaker_state(b, 2 * SECOND), BREAKER_OPEN);
	breaker_unref(b);
}
END_TEST

START_TEST(an_expression_that_fails_does_not_trip)
{
	struct cel_fault fault;
	struct breaker_about about = { .name = STR("c") };
	struct breaker *b;
	int i;

	about.trip = cel_compile(arena, STR("nothing > 3"), &fault);
	ck_assert_ptr_nonnull(about.trip);
	b = breaker_new(&about, STR("c"));
	for (i = 0; i < 20; i++)
		ck_assert(pass(b, 0, 0));
	breaker_unref(b);
}
END_TEST

START_TEST(the_breaker_that_nobody_asked_for_longest_goes)
{
	struct breaker_about about = { .name = STR("c") };
	struct breakers *s = breakers_new(2);
	struct breaker *a = breakers_get(s, STR("a"), &about, STR("a")),
		       *b = breakers_get(s, STR("b"), &about, STR("b"));
	struct breaker *again = breakers_get(s, STR("a"), &about, STR("a")),
		       *c = breakers_get(s, STR("c"), &about, STR("c"));
	struct breaker *anew = breakers_get(s, STR("b"), &about, STR("b"));

	ck_assert_ptr_eq(a, again);
	ck_assert_ptr_ne(b, anew);
	breakers_free(s);
	breaker_unref(a), breaker_unref(b), breaker_unref(again), breaker_unref(c), breaker_unref(anew);
}
END_TEST

START_TEST(waits_are_as_configured)
{
	struct retry constant = { .duration_ns = 10, .max_retries = 2 };
	struct retry growing = {
		.exponential = 1, .first_ns = 1000, .max_interval_ns = 2000, .max_elapsed_ns = 100000, .max_retries = -1
	};
	struct retry_state s = { .began_ns = 0 };
	int64_t most[] = { 1500, 2250, 3000, 3000 }, least[] = { 500, 750, 1000, 1000 }, ns;
	int i;

	ck_assert(retry_next(&constant, &s, 0) == 10 && retry_next(&constant, &s, 0) == 10);
	ck_assert_int_eq(retry_next(&constant, &s, 0), -1);
	s = (struct retry_state){ .began_ns = 0 };
	for (i = 0; i < 4; i++) {
		ns = retry_next(&growing, &s, 0);
		ck_assert(ns >= least[i] && ns <= most[i]);
	}
	ck_assert_int_eq(retry_next(&growing, &s, 100000), -1);
}
END_TEST

START_TEST(codes_are_matched_by_their_kind)
{
	const struct resiliency_range http[] = { { 429, 429 }, { 500, 599 } }, grpc[] = { { 4, 5 } };
	struct retry r = { .http = { 1, 2, http }, .grpc = { 1, 1, grpc } }, any = { .max_retries = 1 };

	ck_assert(retry_matches(&r, 429) && retry_matches(&r, 599) && retry_matches(&r, 4));
	ck_assert(!retry_matches(&r, 404) && !retry_matches(&r, 14) && !retry_matches(&r, 50) &&
		  !retry_matches(&r, 600));
	ck_assert(retry_matches(&any, 404) && retry_matches(&any, 14) && !retry_matches(&any, 50));
}
END_TEST

int main(void)
{
	Suite *s = suite_create("policy");
	TCase *t = tcase_create("policy");
	SRunner *runner = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(t, set_up, tear_down);
	tcase_add_test(t, the_resource_is_read);
	tcase_add_loop_test(t, what_is_wrong_is_named_with_its_place, 0, sizeof(faulty) / sizeof(faulty[0]));
	tcase_add_test(t, targets_get_what_they_name_and_others_the_defaults);
	tcase_add_test(t, resources_are_merged_and_a_bad_one_is_left_out);
	tcase_add_test(t, built_in_retries_may_be_defined_anew);
	tcase_add_test(t, a_breaker_opens_looks_and_closes);
	tcase_add_test(t, a_breaker_trips_by_its_expression_and_forgets_by_its_interval);
	tcase_add_test(t, an_expression_that_fails_does_not_trip);
	tcase_add_test(t, the_breaker_that_nobody_asked_for_longest_goes);
	tcase_add_test(t, waits_are_as_configured);
	tcase_add_test(t, codes_are_matched_by_their_kind);
	suite_add_tcase(s, t);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
