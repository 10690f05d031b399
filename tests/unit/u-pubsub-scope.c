/* SPDX-License-Identifier: Apache-2.0 */
/* Who may publish and subscribe to what, as a table. */
#include "blocks/pubsub_scope.h"

#include <check.h> /* last: it has a macro fail, which is a name of the plugin line */

static const struct {
	const char *allowed, *protected, *publishing; /* NULL: the component does not say */
	const char *topic;
	int may;
} cases[] = {
	{ NULL, NULL, NULL, "a", 1 },
	{ "", "", "", "a", 1 },
	{ "a,b", NULL, NULL, "a", 1 },
	{ "a,b", NULL, NULL, "c", 0 },
	{ " a , b ", NULL, NULL, "b", 1 },
	{ "a", NULL, NULL, "A", 0 },
	{ NULL, "a", NULL, "a", 0 },
	{ NULL, "a", NULL, "b", 1 },
	{ NULL, "a", "app=a", "a", 1 },
	{ NULL, "a", "app=a", "b", 0 }, /* who has a scope has nothing beside it */
	{ NULL, "a", "other=a", "a", 0 },
	{ NULL, "a", "other=a", "b", 1 },
	{ NULL, NULL, "app=a,b", "b", 1 },
	{ NULL, NULL, "app=a,b", "c", 0 },
	{ NULL, NULL, "other=c;app=a", "a", 1 },
	{ NULL, NULL, "other=c;app=a", "c", 0 },
	{ NULL, NULL, "app=a;app=b", "b", 1 },
	{ NULL, NULL, "app=", "a", 0 },
	{ NULL, NULL, "app=", "", 1 },
	{ NULL, NULL, "app", "a", 1 }, /* no scope at all */
	{ NULL, NULL, "APP=a", "b", 1 },
	{ NULL, NULL, "app = a ; x = y", "a", 1 },
	{ NULL, NULL, "app=a=b", "a", 1 },
	{ NULL, NULL, "app=a=b", "b", 0 },
	{ NULL, NULL, ";;app=a;", "a", 1 },
	{ "a", NULL, "app=b", "b", 0 },
	{ "a,b", NULL, "app=b", "b", 1 },
	{ "a,b", "b", "app=a", "b", 0 },
};

START_TEST(scopes_allow_what_they_say)
{
	struct arena *a = arena_new();
	struct davit_pair props[4];
	struct pubsub_scope s;
	size_t n = 0;

	if (cases[_i].allowed != NULL)
		props[n++] = (struct davit_pair){ davit_str("AllowedTopics"), davit_str(cases[_i].allowed) };
	if (cases[_i].protected != NULL)
		props[n++] = (struct davit_pair){ davit_str("protectedtopics"), davit_str(cases[_i].protected) };
	if (cases[_i].publishing != NULL)
		props[n++] = (struct davit_pair){ davit_str("publishingScopes"), davit_str(cases[_i].publishing) };
	s = pubsub_scope_read(a, props, n, STR("app"));
	ck_assert_int_eq(pubsub_scope_publish(&s, str_of(cases[_i].topic)), cases[_i].may);
	if (n > 0 && davit_str_is(props[n - 1].key, "publishingScopes")) { /* the same rules, the other list */
		ck_assert_uint_eq(s.subscribing.n, 0);
		props[n - 1].key = davit_str("subscriptionScopes");
		s = pubsub_scope_read(a, props, n, STR("app"));
	}
	ck_assert_int_eq(pubsub_scope_subscribe(&s, str_of(cases[_i].topic)), cases[_i].may);
	arena_unref(a);
	arena_drop_stock();
}
END_TEST

int main(void)
{
	Suite *s = suite_create("pubsub-scope");
	TCase *t = tcase_create("all");
	SRunner *r;
	int failed;

	tcase_add_loop_test(t, scopes_allow_what_they_say, 0, (int)(sizeof(cases) / sizeof(cases[0])));
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
