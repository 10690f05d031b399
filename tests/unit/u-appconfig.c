/* SPDX-License-Identifier: Apache-2.0 */
/* What an application says of itself at /dapr/config. */
#include <check.h>
#include <stdlib.h>

#include "app/config.h"
#include "base/buf.h"

static struct arena *arena;

static void set_up(void)
{
	arena = arena_new();
}

static void tear_down(void)
{
	arena_unref(arena);
	arena_drop_stock();
}

START_TEST(configurations)
{
	static const char *const BAD[] = { "",
					   "[]",
					   "1",
					   "{",
					   "{\"entities\":{}}",
					   "{\"entities\":[1]}",
					   "{\"actorIdleTimeout\":1}",
					   "{\"drainRebalancedActors\":\"yes\"}",
					   "{\"reentrancy\":[]}",
					   "{\"reentrancy\":{\"maxStackDepth\":1.5}}",
					   "{\"remindersStoragePartitions\":\"1\"}",
					   "{\"entitiesConfig\":{}}",
					   "{\"entitiesConfig\":[[]]}",
					   "{\"entities\":[\"a\",}" };
	const struct app_config *c;
	size_t i;

	for (i = 0; i < sizeof(BAD) / sizeof(BAD[0]); i++)
		ck_assert_msg(app_config_read(arena, str_of(BAD[i])) == NULL, "%s", BAD[i]);
	ck_assert_ptr_nonnull(app_config_read(arena, STR("null")));
	c = app_config_read(arena, STR("{\"entities\":null,\"other\":{\"a\":[1]}} and more"));
	ck_assert_ptr_nonnull(c);
	ck_assert_int_eq(c->all.drain_rebalanced_actors, -1);
	ck_assert_int_eq((int)c->all.reentrancy_max_stack_depth, -1);
	c = app_config_read(arena,
			    STR("{\"ENTITIES\":[\"a\",\"b\",\"\\u00e9\"],\"drainOngoingCallTimeout\":\"30s\","
				"\"drainRebalancedActors\":false,\"reentrancy\":{\"enabled\":true,\"maxStackDepth\":5},"
				"\"remindersStoragePartitions\":2,\"entitiesConfig\":[null,{\"entities\":[\"a\"],"
				"\"actorIdleTimeout\":\"5m\",\"drainRebalancedActors\":true}]}"));
	ck_assert_ptr_nonnull(c);
	ck_assert_uint_eq(c->all.nentities, 3);
	ck_assert(str_is(c->all.entities[2], "\xc3\xa9"));
	ck_assert(str_is(c->all.drain_ongoing_call_timeout, "30s"));
	ck_assert_int_eq(c->all.drain_rebalanced_actors, 0);
	ck_assert_int_eq(c->all.reentrancy_enabled, 1);
	ck_assert_int_eq((int)c->all.reentrancy_max_stack_depth, 5);
	ck_assert_int_eq((int)c->all.reminders_storage_partitions, 2);
	ck_assert_uint_eq(c->nof, 2);
	ck_assert_uint_eq(c->of[0].nentities, 0);
	ck_assert(str_is(c->of[1].idle_timeout, "5m"));
	ck_assert_int_eq(c->of[1].drain_rebalanced_actors, 1);
}
END_TEST

START_TEST(many_entities_but_not_without_end)
{
	struct buf b = buf_init();
	int i, n = _i ? 10001 : 10000;
	const struct app_config *c;

	buf_lit(&b, "{\"entities\":[");
	for (i = 0; i < n; i++)
		buf_printf(&b, "%s\"e%d\"", i ? "," : "", i);
	buf_lit(&b, "]}");
	c = app_config_read(arena, buf_str(&b));
	ck_assert_int_eq(c != NULL, !_i);
	if (c != NULL) {
		ck_assert_uint_eq(c->all.nentities, 10000);
		ck_assert(str_is(c->all.entities[9999], "e9999") && str_is(c->all.entities[8], "e8"));
	}
	buf_free(&b);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("appconfig");
	TCase *t = tcase_create("appconfig");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(t, set_up, tear_down);
	tcase_add_test(t, configurations);
	tcase_add_loop_test(t, many_entities_but_not_without_end, 0, 2);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
