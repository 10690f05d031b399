/* SPDX-License-Identifier: Apache-2.0 */
#include <check.h>
#include <stdlib.h>

#include "plugin/version.h"

/* Rising, one by one: semver.org's own examples among them. */
static const char *const rising[] = {
	"rubbish",     "0.0.1",		"0.1.0",
	"0.2.0-alpha", "0.2.0",		"0.10.0",
	"1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.beta",
	"1.0.0-beta",  "1.0.0-beta.2",	"1.0.0-beta.11",
	"1.0.0-rc.1",  "1.0.0",		"1.2",
	"1.2.3",       "2.0.0",		"10.0.0",
};
#define RISING (int)(sizeof(rising) / sizeof(rising[0]))

START_TEST(versions_rise)
{
	int i, c;

	for (i = 0; i < RISING; i++) {
		c = version_compare(str_of(rising[_i]), str_of(rising[i]));
		ck_assert_msg((c > 0) == (_i > i) && (c < 0) == (_i < i), "%s and %s: %d", rising[_i], rising[i], c);
	}
	ck_assert_int_eq(version_compare(STR("1.0.0+5"), STR("1.0.0+7")), 0);
	ck_assert_int_eq(version_is_prerelease(STR("1.0.0-rc1")), 1);
	ck_assert_int_eq(version_is_prerelease(STR("1.0.0+a-b")), 0);
}
END_TEST

static const struct {
	const char *range, *in, *out;
} ranges[] = {
	{ ">=0.2 <0.3", "0.2.0 0.2.9", "0.1.9 0.3.0 1.0.0 0.3.0-rc.1" },
	{ "1.2.3", "1.2.3 1.2.3+b", "1.2.4 1.2.2" },
	{ "=1.2", "1.2.0 1.2.99", "1.3.0 1.1.0" },
	{ "1.2.x", "1.2.0 1.2.99", "1.3.0" },
	{ "1", "1.0.0 1.9.9", "2.0.0 0.9.0" },
	{ "*", "0.0.0 9.9.9", "1.0.0-rc.1" },
	{ "^1.2.3", "1.2.3 1.9.0", "1.2.2 2.0.0" },
	{ "^0.2.3", "0.2.3 0.2.9", "0.3.0 0.2.2" },
	{ "^0.0.3", "0.0.3", "0.0.4" },
	{ "^1", "1.0.0 1.9.0", "2.0.0" },
	{ "~1.2.3", "1.2.3 1.2.9", "1.3.0 1.2.2" },
	{ "~1", "1.9.9", "2.0.0" },
	{ ">1.2", "1.3.0", "1.2.9 1.2.0" },
	{ "<=1.2", "1.2.9 0.1.0", "1.3.0" },
	{ ">1.2.3", "1.2.4", "1.2.3" },
	{ "<1.2", "1.1.9", "1.2.0" },
	{ "(>= 1.2), (<< 2)", "1.2.0 1.9.0", "2.0.0 1.1.0" },
	{ ">> 1.0.0", "1.0.1", "1.0.0" },
	{ ">=1.2<1.4", "1.2.0 1.3.9", "1.4.0" },
	{ "1.2 || >=2.1", "1.2.5 2.1.0 3.0.0", "1.3.0 2.0.9" },
	{ ">=0.3.0-rc.1", "0.3.0-rc.1 0.3.0-rc.2 0.3.0", "0.3.0-alpha 0.4.0-rc.1" },
	{ "=0.3.0-rc.1", "0.3.0-rc.1", "0.3.0 0.3.0-rc.2" },
};

START_TEST(ranges_hold_what_they_say)
{
	struct str list, v;

	for (list = str_of(ranges[_i].in); list.n > 0 && str_split(&list, ' ', &v);)
		ck_assert_msg(version_in_range(v, str_of(ranges[_i].range)) == 1, "%.*s in %s", (int)v.n, v.p,
			      ranges[_i].range);
	for (list = str_of(ranges[_i].out); list.n > 0 && str_split(&list, ' ', &v);)
		ck_assert_msg(version_in_range(v, str_of(ranges[_i].range)) == 0, "%.*s not in %s", (int)v.n, v.p,
			      ranges[_i].range);
}
END_TEST

static const char *const wrong[] = { "",       " ",    "latest", ">=",	   "1.2.3.4", "1..2",
				     "1.2 ||", "|| 1", "=>1",	 "1.2-rc", "^^1",     "-1" };

START_TEST(what_cannot_be_read_is_told)
{
	ck_assert_msg(version_in_range(STR("1.0.0"), str_of(wrong[_i])) == -1, "'%s'", wrong[_i]);
}
END_TEST

#define LOOP(t, test, table) tcase_add_loop_test(t, test, 0, (int)(sizeof(table) / sizeof((table)[0])))

int main(void)
{
	Suite *s = suite_create("version");
	TCase *t = tcase_create("version");
	SRunner *r;
	int failed;

	LOOP(t, versions_rise, rising);
	LOOP(t, ranges_hold_what_they_say, ranges);
	LOOP(t, what_cannot_be_read_is_told, wrong);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
