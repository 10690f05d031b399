/* SPDX-License-Identifier: Apache-2.0 */
#include <check.h>
#include <stdlib.h>

#include "base/quantity.h"

static const struct {
	const char *text;
	int64_t value;
} good[] = {
	{ "0", 0 },
	{ "4", 4 },
	{ "+4", 4 },
	{ "-4", -4 },
	{ "4Ki", 4096 },
	{ "4Mi", 4194304 },
	{ "4M", 4000000 },
	{ "4k", 4000 },
	{ "1G", 1000000000 },
	{ "1Gi", 1073741824 },
	{ "1Ti", INT64_C(1099511627776) },
	{ "1Pi", INT64_C(1125899906842624) },
	{ "1Ei", INT64_C(1152921504606846976) },
	{ "1E", INT64_C(1000000000000000000) },
	{ "1T", INT64_C(1000000000000) },
	{ "1P", INT64_C(1000000000000000) },
	{ "1e3", 1000 },
	{ "1E3", 1000 },
	{ "1e+3", 1000 },
	{ "1e-3", 1 },
	{ "1.5Gi", 1610612736 },
	{ "1.5", 2 },
	{ "-1.5", -2 },
	{ "100m", 1 },
	{ "1500m", 2 },
	{ "1u", 1 },
	{ "1n", 1 },
	{ "0m", 0 },
	{ ".5Ki", 512 },
	{ "5.", 5 },
	{ "0.0001Ki", 1 },
	{ "9223372036854775807", INT64_MAX },
	{ "9223372036854775808", INT64_MAX },
	{ "-9223372036854775808", INT64_MIN },
	{ "-9e99", INT64_MIN },
	{ "1e100", INT64_MAX },
	{ "8Ei", INT64_MAX },
	{ "1e-99", 1 },
	{ "0.00000000000000000000000000000000000001", 1 },
	{ "0e99", 0 },
	{ "99999999999999999999999999999999999999999999999999", INT64_MAX },
	{ "100000000000000000000000000000000000000000000e-43", 10 },
	{ "0000000000000000000000000000000000000000001", 1 },
};

static const char *const bad[] = {
	"",	 "-",	 "+",	  ".",	 "Mi", "4MB",  "4mi", "4K",   "4 Mi", " 4Mi",  "4Mi ", "1e",
	"1e3Mi", "0x10", "1.2.3", "1,5", "e3", "4Mii", "--4", "four", "4i",   "1e1.5", "4Hi",
};

START_TEST(reads_what_kubernetes_reads)
{
	int64_t value = 77;

	ck_assert_msg(quantity_parse(str_of(good[_i].text), &value) == 0, "%s", good[_i].text);
	ck_assert_msg(value == good[_i].value, "%s: %lld", good[_i].text, (long long)value);
}
END_TEST

START_TEST(refuses_and_leaves_the_result)
{
	int64_t value = 77;

	ck_assert_msg(quantity_parse(str_of(bad[_i]), &value) == -1, "%s", bad[_i]);
	ck_assert_int_eq(value, 77);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("quantity");
	TCase *t = tcase_create("quantity");
	SRunner *r;
	int failed;

	tcase_add_loop_test(t, reads_what_kubernetes_reads, 0, sizeof(good) / sizeof(good[0]));
	tcase_add_loop_test(t, refuses_and_leaves_the_result, 0, sizeof(bad) / sizeof(bad[0]));
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
