/* SPDX-License-Identifier: Apache-2.0 */
#include "base/regex.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

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

/* What each case gives in Go: regexp.MustCompile(pattern).ReplaceAllString(text, replacement). */
static const struct {
	const char *pattern, *text, *replacement, *gives;
} cases[] = {
	{ "/orders/\\d+", "/orders/123/items/9", "/orders/{id}", "/orders/{id}/items/9" },
	{ "^/v1/(\\w+)/.*$", "/v1/state/a/b", "/v1/$1", "/v1/state" },
	{ "(?P<a>x+)(y)?", "xxy x", "<${a}|$2>", "<xx|y> <x|>" },
	{ "a*", "baac", "-", "-b-c-" },
	{ "", "ab", "-", "-a-b-" },
	{ "a|ab", "ab", "X", "Xb" },
	{ "a+?", "aaa", "X", "XXX" },
	{ "(a+)(a+?)", "aaaa", "$1.$2", "aaa.a" },
	{ "x{2,3}", "xxxxx", "-", "--" },
	{ "x{2}y{0}", "xxx", "-", "-x" },
	{ "x{,2}", "x{,2}", "-", "-" },
	{ "(?i)GeT", "get GET gEt", "m", "m m m" },
	{ "(?i:a)b", "Ab AB", "-", "- AB" },
	{ "[^/]+$", "/a/bc", "{k}", "/a/{k}" },
	{ "[[:alpha:]_-]+", "a_b-c1", "w", "w1" },
	{ "[^[:digit:]]", "a1", "n", "n1" },
	{ "[]a]+", "]a]b", "-", "-b" },
	{ "[\\d.]+", "v1.2.3", "N", "vN" },
	{ "\\bcat\\b", "cat concat cat", "dog", "dog concat dog" },
	{ "(?m)^b", "a\nb", "c", "a\nc" },
	{ "^b", "a\nb", "c", "a\nb" },
	{ "a.c", "a\nc abc", "-", "a\nc -" },
	{ "(?s)a.c", "a\nc", "-", "-" },
	{ "\\Qa.b\\E+", "a.bb a-b", "-", "-b a-b" },
	{ "\\x41\\x{42}\\t", "AB\t", "-", "-" },
	{ "é+", "éé", "e", "e" },
	{ ".", "é", "-", "-" },
	{ "a", "aa", "$$$1x$", "$$$$" },
	{ "(a)", "a", "$1x-${1}x", "-ax" },
	{ "(a|b)*c", "ababc", "$1", "b" },
	{ "(?:(a)|b)*", "ab", "[$1]", "[a]" },
	{ "^$", "", "e", "e" },
	{ "\\D\\W\\S", "a-b", "q", "q" },
	{ "\\W+|[^[:word:]]", "a_b`c-", ".", "a_b.c." },
	{ "(?U)a+", "aaa", "X", "XXX" },
	{ "\\z", "a", "!", "a!" },
};

START_TEST(replaces_as_go_does)
{
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct str message = STR("");
		struct regex *re = regex_new(a, str_of(cases[i].pattern), &message);
		struct buf b = buf_init();

		ck_assert_msg(re, "%s: " STR_FMT, cases[i].pattern, STR_ARG(message));
		ck_assert_int_eq(regex_replace(re, &b, str_of(cases[i].text), str_of(cases[i].replacement)), 0);
		struct str got = buf_str(&b);

		ck_assert_msg(str_is(got, cases[i].gives), "%s: \"" STR_FMT "\" is not \"%s\"", cases[i].pattern,
			      STR_ARG(got), cases[i].gives);
		buf_free(&b);
	}
}
END_TEST

START_TEST(refuses_what_is_wrong)
{
	static const struct {
		const char *pattern, *says;
	} wrong[] = {
		{ "(", "missing closing )" },
		{ ")", "unexpected )" },
		{ "a)b", "unexpected )" },
		{ "[a", "missing closing ]" },
		{ "[b-a]", "invalid character class range" },
		{ "*", "missing argument to repetition operator" },
		{ "a**", "invalid nested repetition operator" },
		{ "a{1001}", "invalid repeat count" },
		{ "a{2,1}", "invalid repeat count" },
		{ "\\", "trailing backslash" },
		{ "\\y", "invalid escape sequence" },
		{ "\\xg", "invalid escape sequence" },
		{ "(?=a)", "invalid or unsupported Perl syntax" },
		{ "(?-)a", "invalid or unsupported Perl syntax" },
		{ "(?i-:a)", "invalid or unsupported Perl syntax" },
		{ "(?P<a", "invalid named capture" },
		{ "(?P<a b>c)", "invalid named capture" },
		{ "\\pL", "not supported" },
		{ "\xff", "invalid UTF-8" },
		{ "((a{100}){100}){100}", "expression is too large" },
		{ "(((((((((((((((((a)))))))))))))))))", "too many groups" },
	};

	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		struct str message = STR("");

		ck_assert_msg(!regex_new(a, str_of(wrong[i].pattern), &message), "%s", wrong[i].pattern);
		ck_assert_msg(str_find(message, str_of(wrong[i].says)) >= 0, "%s: " STR_FMT, wrong[i].pattern,
			      STR_ARG(message));
	}
}
END_TEST

START_TEST(depth_is_bounded)
{
	struct buf b = buf_in(a);
	struct str message = STR("");

	for (int i = 0; i < 100000; i++)
		buf_lit(&b, "(?:");
	ck_assert(!regex_new(a, buf_str(&b), &message));
	ck_assert(str_find(message, STR("nests too deeply")) >= 0);
}
END_TEST

/* A backtracking engine needs 2^30 steps for this. */
START_TEST(time_grows_with_the_text_only)
{
	struct str message, text = STR("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa");
	struct regex *re = regex_new(a, STR("(a*)*(a*)*(a*)*b"), &message);

	ck_assert_int_eq(regex_search(re, text), 0);
	re = regex_new(a, STR("(?:a?){30}a{30}$"), &message);
	ck_assert_int_eq(regex_search(re, str_upto(text, 30)), 1);
}
END_TEST

START_TEST(find_gives_groups)
{
	struct str message, g[REGEX_GROUPS_MAX], text = STR("k=v;x=");
	struct regex *re = regex_new(a, STR("(\\w)=(\\w)?"), &message);

	ck_assert_int_eq(regex_find(re, text, 0, g), 1);
	ck_assert(str_is(g[0], "k=v") && str_is(g[1], "k") && str_is(g[2], "v") && !g[3].p);
	ck_assert_int_eq(regex_find(re, text, 3, g), 1);
	ck_assert(str_is(g[0], "x=") && str_is(g[1], "x") && !g[2].p);
	ck_assert_int_eq(regex_find(re, text, 5, g), 0);
	ck_assert_int_eq(regex_search(re, STR("none")), 0);
	ck_assert_int_eq(regex_search(re, STR("")), 0);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("regex");
	TCase *t = tcase_create("regex");

	tcase_add_checked_fixture(t, set_up, tear_down);
	tcase_add_test(t, replaces_as_go_does);
	tcase_add_test(t, refuses_what_is_wrong);
	tcase_add_test(t, depth_is_bounded);
	tcase_add_test(t, time_grows_with_the_text_only);
	tcase_add_test(t, find_gives_groups);
	suite_add_tcase(s, t);
	SRunner *r = srunner_create(s);

	srunner_run_all(r, CK_NORMAL);
	int failed = srunner_ntests_failed(r);

	srunner_free(r);
	return failed ? 1 : 0;
}
