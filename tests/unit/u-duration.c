/* SPDX-License-Identifier: Apache-2.0 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/duration.h"

#define S INT64_C(1000000000)
#define MS INT64_C(1000000)

static const struct {
	const char *text;
	int64_t ns;
} good[] = {
	{ "0", 0 },
	{ "-0", 0 },
	{ "+0", 0 },
	{ "0s", 0 },
	{ "5s", 5 * S },
	{ "-5s", -5 * S },
	{ "+5s", 5 * S },
	{ "1478s", 1478 * S },
	{ "5.0s", 5 * S },
	{ "5.6s", 5600 * MS },
	{ "5.s", 5 * S },
	{ ".5s", 500 * MS },
	{ "1.004s", 1004 * MS },
	{ "100.00100s", 100001 * MS },
	{ "10ns", 10 },
	{ "11us", 11000 },
	{ "12\xc2\xb5s", 12000 },
	{ "12\xce\xbcs", 12000 },
	{ "13ms", 13 * MS },
	{ "15m", 900 * S },
	{ "16h", 57600 * S },
	{ "3h30m", 12600 * S },
	{ "10.5s4m", 250500 * MS },
	{ "-2m3.4s", -123400 * MS },
	{ "1h2m3s4ms5us6ns", 3723 * S + 4 * MS + 5006 },
	{ "39h9m14.425s", 140954425 * MS },
	{ "52763797000ns", 52763797000 },
	{ "0.3333333333333333333h", 1200 * S },
	{ "0.100000000000000000000h", 360 * S },
	{ "0.830103483285477580700h", INT64_C(2988372539827) },
	{ "9223372036854775807ns", INT64_MAX },
	{ "-9223372036854775808ns", INT64_MIN },
	{ "9223372036s854ms775us807ns", INT64_MAX },
	{ "-9223372036854.775808ms", INT64_MIN },
};

static const char *const bad[] = {
	"",
	"3",
	"-",
	"s",
	".",
	"-.",
	".s",
	"+.s",
	"1d",
	"5 s",
	" 5s",
	"5s ",
	"1h2",
	"\x85\x85",
	"\xff"
	"1s",
	"hello",
	"3000000h",
	"9223372036854775808ns",
	"9223372036854775.808us",
	"9223372036854ms775us808ns",
	"-9223372036854775809ns",
	"1.2.3s",
	"--5s",
	"1hh",
	"5S",
	"99999999999999999999s",
};

START_TEST(reads_what_go_reads)
{
	int64_t ns = 77;

	ck_assert_msg(duration_parse(str_of(good[_i].text), &ns) == 0, "%s", good[_i].text);
	ck_assert_msg(ns == good[_i].ns, "%s: %lld", good[_i].text, (long long)ns);
}
END_TEST

START_TEST(refuses_and_leaves_the_result)
{
	int64_t ns = 77;

	ck_assert_msg(duration_parse(str_of(bad[_i]), &ns) == -1, "%s", bad[_i]);
	ck_assert_int_eq(ns, 77);
}
END_TEST

static const struct {
	int64_t ns;
	const char *text;
} texts[] = {
	{ 0, "0s" },
	{ 1, "1ns" },
	{ 1100, "1.1\xc2\xb5s" },
	{ 2200000, "2.2ms" },
	{ 3300000000, "3.3s" },
	{ 245 * S, "4m5s" },
	{ 245001 * MS, "4m5.001s" },
	{ 18367001 * MS, "5h6m7.001s" },
	{ 480 * S + 1, "8m0.000000001s" },
	{ INT64_MAX, "2562047h47m16.854775807s" },
	{ INT64_MIN, "-2562047h47m16.854775808s" },
	{ -1500 * MS, "-1.5s" },
	{ 3600 * S, "1h0m0s" },
	{ 999999999, "999.999999ms" },
	{ 999999, "999.999\xc2\xb5s" },
	{ 999, "999ns" },
};

START_TEST(writes_as_go_and_reads_it_back)
{
	char text[DURATION_TEXT];
	int64_t back;
	size_t n = duration_text(texts[_i].ns, text);

	ck_assert_str_eq(text, texts[_i].text);
	ck_assert_uint_eq(n, strlen(text));
	ck_assert_int_eq(duration_parse((struct str){ text, n }, &back), 0);
	ck_assert_int_eq(back, texts[_i].ns);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("duration");
	TCase *t = tcase_create("duration");
	SRunner *r;
	int failed;

	tcase_add_loop_test(t, reads_what_go_reads, 0, sizeof(good) / sizeof(good[0]));
	tcase_add_loop_test(t, refuses_and_leaves_the_result, 0, sizeof(bad) / sizeof(bad[0]));
	tcase_add_loop_test(t, writes_as_go_and_reads_it_back, 0, sizeof(texts) / sizeof(texts[0]));
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
