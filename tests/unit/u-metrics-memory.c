/* SPDX-License-Identifier: Apache-2.0 */
/* Metrics when the n-th allocation fails, for every n: a sentence instead of a registry, a record that counts as dropped, a
 * buffer that says it failed; no crash and no leak. Not with a sanitizer, which has an allocator of its own. */
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "failing_malloc.h"
#include "telemetry/metrics.h"

#ifdef COUNTED
#define S(literal) \
	{ \
		literal, sizeof(literal) - 1 \
	}

static const struct metric_rule rules[] = {
	{ S("dapr_http_server_request_count"), S("path"), S("/orders/\\d+"), S("/orders/{id}") },
	{ S("dapr_http_server_latency"), S("status"), S("([0-9])[0-9]{2}"), S("${1}xx") },
};
static const struct str patterns[] = { S("/orders/{id}"), S("/tree/") };
static const double buckets[] = { 1, 10, 100 };

/* One life of a registry; 1: nothing failed that it could see. */
static int run(struct arena *a)
{
	struct metrics_options o = { .enabled = 1, .app_id = S("x"), .increased_cardinality = 1 };
	struct str message = STR("");
	struct buf text = buf_init();
	int whole;

	o.rules = rules;
	o.nrules = 2;
	o.path_matching = patterns;
	o.npath_matching = 2;
	o.latency_buckets = buckets;
	o.nlatency_buckets = 3;
	struct metrics *m = metrics_new(&o, a, &message);

	if (!m) {
		ck_assert(str_find(message, STR("out of memory")) >= 0);
		return 0;
	}
	int id = metrics_define(m, STR("more"), STR("of it"), METRIC_COUNTER, METRIC_NUMBER, STR("kind"));
	struct str kind = STR("k");

	metrics_add(metrics_series(m, id, &kind), 1);
	metrics_http_done(m, STR("GET"), STR("/v1.0/invoke/a/method/orders/7"), 200, 1, 2, 3);
	metrics_state_done(m, STR("s"), STR("get"), 1, 5);
	metrics_write(m, &text);
	whole = !text.failed && id >= 0 && str_find(buf_str(&text), STR("davit_metric_series_dropped")) < 0 &&
		str_find(buf_str(&text), STR("\nmore{")) > 0;
	buf_free(&text);
	metrics_free(m);
	return whole;
}

START_TEST(the_nth_allocation_fails)
{
	int whole = 0;
	long n, before;
	struct arena *a;

	a = arena_new();
	ck_assert(run(a)); /* what the C library keeps for itself is there now */
	arena_unref(a);
	arena_drop_stock();
	before = living;
	for (n = 1; !whole; n++) {
		a = arena_new();
		ck_assert(a != NULL);
		fail_at = n;
		whole = run(a) && fail_at > 0; /* it was never reached */
		fail_at = 0;
		arena_unref(a);
		arena_drop_stock();
		ck_assert_msg(living == before, "n = %ld: %ld blocks are left", n, living - before);
	}
	printf("the n-th allocation failed for n = 1..%ld\n", n - 2);
	ck_assert_int_gt(n, 20);
}
END_TEST
#endif

int main(void)
{
	Suite *s = suite_create("metrics-memory");
	TCase *t = tcase_create("metrics-memory");

	tcase_set_timeout(t, 60);
#ifdef COUNTED
	tcase_add_test(t, the_nth_allocation_fails);
#endif
	suite_add_tcase(s, t);
	SRunner *r = srunner_create(s);

	srunner_run_all(r, CK_NORMAL);
	int failed = srunner_ntests_failed(r);

	srunner_free(r);
	return failed ? 1 : 0;
}
