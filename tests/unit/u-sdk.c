/* SPDX-License-Identifier: Apache-2.0 */
#include <davit/base64.h>
#include <davit/duration.h>
#include <davit/hmac.h>
#include <davit/json.h>
#include <davit/like.h>
#include <davit/list.h>
#include <davit/siphash.h>
#include <davit/size.h>
#include <davit/truth.h>
#include <davit/uuid.h>

#include <openssl/hmac.h>

#include "base/quantity.h"

#include <check.h> /* behind the others: it makes a macro of `fail` */

static int64_t ns(const char *text)
{
	int64_t value = -12345;

	return davit_duration_parse(davit_str(text), &value) == 0 ? value : INT64_MIN;
}

START_TEST(durations_as_go_reads_them)
{
	ck_assert_int_eq(ns("0"), 0);
	ck_assert_int_eq(ns(""), 0);
	ck_assert_int_eq(ns("1ns"), 1);
	ck_assert_int_eq(ns("1us"), 1000);
	ck_assert_int_eq(ns("1\xc2\xb5s"), 1000);
	ck_assert_int_eq(ns("1\xce\xbcs"), 1000);
	ck_assert_int_eq(ns("1h2m3.5s"), 3723500000000);
	ck_assert_int_eq(ns("-1.5h"), -5400000000000);
	ck_assert_int_eq(ns("+.5s"), 500000000);
	ck_assert_int_eq(ns("5.s"), 5000000000);
	ck_assert_int_eq(ns("0.3333333333333333333h"), 1200000000000);
	ck_assert_int_eq(ns("9223372036854775807ns"), INT64_MAX);
}
END_TEST

START_TEST(durations_as_whole_seconds)
{
	ck_assert_int_eq(ns("5"), 5000000000);
	ck_assert_int_eq(ns("-3"), -3000000000);
	ck_assert_int_eq(ns("007"), 7000000000);
}
END_TEST

START_TEST(what_is_no_duration)
{
	static const char *const bad[] = { "s",
					   "-",
					   ".",
					   ".s",
					   "1x",
					   "1 s",
					   "1s ",
					   "1.5",
					   "--1s",
					   "1h-2m",
					   "9223372036854775808ns",
					   "3000000h",
					   "+",
					   "0x1s",
					   "1e3s",
					   "99999999999999999999" };
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ck_assert_msg(ns(bad[i]) == INT64_MIN, "'%s' was read", bad[i]);
}
END_TEST

START_TEST(truths)
{
	static const char *const yes[] = { "y", "YES", "True", "t", "on", "1", " true\t" };
	static const char *const no[] = { "", "0", "n", "false", "enabled", "11", "truey", "  " };
	size_t i;

	for (i = 0; i < sizeof(yes) / sizeof(yes[0]); i++)
		ck_assert_msg(davit_truth(davit_str(yes[i])), "'%s'", yes[i]);
	for (i = 0; i < sizeof(no) / sizeof(no[0]); i++)
		ck_assert_msg(!davit_truth(davit_str(no[i])), "'%s'", no[i]);
	ck_assert(!davit_truth(davit_str(NULL)));
}
END_TEST

START_TEST(base64_of_the_rfc)
{
	static const char *const plain[] = { "", "f", "fo", "foo", "foob", "fooba", "foobar" };
	static const char *const coded[] = { "", "Zg==", "Zm8=", "Zm9v", "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy" };
	char text[16], back[16];
	size_t i, n;

	for (i = 0; i < 7; i++) {
		n = davit_base64_size(strlen(plain[i]));
		ck_assert_uint_eq(n, strlen(coded[i]));
		davit_base64_encode(plain[i], strlen(plain[i]), text);
		ck_assert_mem_eq(text, coded[i], n);
		ck_assert_int_eq(davit_base64_decode(coded[i], n, back), (ptrdiff_t)strlen(plain[i]));
		ck_assert_mem_eq(back, plain[i], strlen(plain[i]));
	}
	ck_assert_int_eq(davit_base64_decode("Zm9v\r\nYg\n=\n=\n", 13, back), 4);
}
END_TEST

START_TEST(base64_of_all_bytes)
{
	unsigned char bytes[256], back[258];
	char text[400];
	size_t i, n;

	for (i = 0; i < 256; i++)
		bytes[i] = (unsigned char)(255 - i);
	for (n = 0; n <= 256; n++) {
		davit_base64_encode(bytes, n, text);
		ck_assert_int_eq(davit_base64_decode(text, davit_base64_size(n), back), (ptrdiff_t)n);
		ck_assert_mem_eq(back, bytes, n);
	}
}
END_TEST

START_TEST(what_is_no_base64)
{
	static const char *const bad[] = { "Z", "Zg",	    "Zg=",  "Zg===", "Zm8",	 "Zm9v=",
					   "=", "Zg==Zg==", "Z-8=", "Zg= =", "Zm9v YmFy" };
	char back[16];
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ck_assert_msg(davit_base64_decode(bad[i], strlen(bad[i]), back) == -1, "'%s' was read", bad[i]);
}
END_TEST

START_TEST(identifiers_are_random_and_of_version_4)
{
	struct davit_uuid a, b, c;
	char text[DAVIT_UUID_TEXT];
	int i;

	for (i = 0; i < 1000; i++) {
		ck_assert_int_eq(davit_uuid4(&a), 0);
		ck_assert_int_eq(davit_uuid4(&b), 0);
		ck_assert_mem_ne(&a, &b, sizeof(a));
		davit_uuid_text(&a, text);
		ck_assert_uint_eq(strlen(text), DAVIT_UUID_TEXT - 1);
		ck_assert_int_eq(text[14], '4');
		ck_assert_ptr_nonnull(strchr("89ab", text[19]));
		ck_assert_int_eq(davit_uuid_parse(davit_str(text), &c), 0);
		ck_assert_mem_eq(&a, &c, sizeof(a));
	}
}
END_TEST

START_TEST(what_is_no_identifier)
{
	struct davit_uuid u;

	ck_assert_int_eq(davit_uuid_parse(davit_str("01234567-89ab-4def-8123-456789abcdef"), &u), 0);
	ck_assert_int_eq(davit_uuid_parse(davit_str("01234567-89AB-4DEF-8123-456789ABCDEF"), &u), -1);
	ck_assert_int_eq(davit_uuid_parse(davit_str("01234567-89ab-4def-8123-456789abcde"), &u), -1);
	ck_assert_int_eq(davit_uuid_parse(davit_str("01234567x89ab-4def-8123-456789abcdef"), &u), -1);
	ck_assert_int_eq(davit_uuid_parse(davit_str("{1234567-89ab-4def-8123-456789abcdef"), &u), -1);
	ck_assert_int_eq(davit_uuid_parse(davit_str(NULL), &u), -1);
}
END_TEST

/* The reference implementation, with one and three rounds, over 0, 1, 2 … under the key 0, 1, 2 … 15. */
START_TEST(siphash_is_the_papers)
{
	struct davit_siphash_key key = { 0x0706050403020100u, 0x0f0e0d0c0b0a0908u };
	struct davit_siphash_key other = { 0x0706050403020100u, 0x0f0e0d0c0b0a0909u };
	uint8_t bytes[64];
	size_t i;

	for (i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)i;
	ck_assert_uint_eq(davit_siphash(&key, bytes, 0), 0xabac0158050fc4dcu);
	ck_assert_uint_eq(davit_siphash(&key, bytes, 1), 0xc9f49bf37d57ca93u);
	ck_assert_uint_eq(davit_siphash(&key, bytes, 7), 0xd3927d989bb11140u);
	ck_assert_uint_eq(davit_siphash(&key, bytes, 8), 0x369095118d299a8eu);
	ck_assert_uint_ne(davit_siphash(&key, bytes, 8), davit_siphash(&other, bytes, 8));
}
END_TEST

static int like(const char *pattern, const char *text)
{
	return davit_like(davit_str(pattern), davit_str(text));
}

START_TEST(patterns_match)
{
	ck_assert(like("", ""));
	ck_assert(like("%", ""));
	ck_assert(like("%%", "x"));
	ck_assert(like("a%", "abc"));
	ck_assert(like("%c", "abc"));
	ck_assert(like("a%b%c", "a1b2b3c"));
	ck_assert(like("_b_", "abc"));
	ck_assert(like("_", "\xc3\xa4"));
	ck_assert(like("a_c", "a\xf0\x9f\x98\x80"
			      "c"));
	ck_assert(like("__", "\xff\xfe"));
	ck_assert(like("\\%\\_\\\\", "%_\\"));
	ck_assert(like("a\\", "a\\"));
	ck_assert(like("%||%-1", "app||x-1-1"));
	ck_assert(davit_like((struct davit_str){ "a%c", 3 }, (struct davit_str){ "a\0c", 3 }));
}
END_TEST

START_TEST(patterns_do_not_match)
{
	ck_assert(!like("", "a"));
	ck_assert(!like("a", ""));
	ck_assert(!like("_", ""));
	ck_assert(!like("a", "A"));
	ck_assert(!like("a%", "ba"));
	ck_assert(!like("%b", "abc"));
	ck_assert(!like("__", "\xc3\xa4"));
	ck_assert(!like("\\%", "x"));
	ck_assert(!like("%a%a%a%a%a%a%b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"));
}
END_TEST

START_TEST(json_depth)
{
	ck_assert_uint_eq(davit_json_depth("1", 1), 0);
	ck_assert_uint_eq(davit_json_depth("[]", 2), 1);
	ck_assert_uint_eq(davit_json_depth("{\"a\":[{}],\"b\":[]}", 17), 3);
	ck_assert_uint_eq(davit_json_depth("[\"[[[\\\"[[\"]", 11), 1);
	ck_assert_uint_eq(davit_json_depth("\"\\", 2), 0);
	ck_assert_uint_eq(davit_json_depth("]]][", 4), 1);
}
END_TEST

static const struct {
	const char *text;
	int64_t bytes; /* -1: not a size */
} sizes[] = {
	{ "", 0 },
	{ "0", 0 },
	{ "4096", 4096 },
	{ "4Ki", 4096 },
	{ "1.5Mi", 1572864 },
	{ "10k", 10000 },
	{ "1e3", 1000 },
	{ "1E3", 1000 },
	{ "+5", 5 },
	{ "1.1", 2 },
	{ ".5Ki", 512 },
	{ "5.", 5 },
	{ "1e-3", 1 },
	{ "7Ei", 8070450532247928832 },
	{ "8Ei", -1 },
	{ "9223372036854775807", INT64_MAX },
	{ "9223372036854775808", -1 },
	{ "-1", -1 },
	{ "1kb", -1 },
	{ "k", -1 },
	{ ".", -1 },
	{ "1 k", -1 },
	{ "1e", -1 },
	{ "1e9999", -1 },
	{ "1.2.3", -1 },
	{ "1ki", -1 },
	{ "99999999999999999999999999999999999999999", -1 },
	{ "0.00000000000000000000000000000000001", 1 },
};

START_TEST(sizes_as_kubernetes_has_them)
{
	struct davit_str s = davit_str(sizes[_i].text);
	int64_t bytes = -1, kernels;
	int rc = davit_size_parse(s, &bytes);

	ck_assert_msg((rc == 0) == (sizes[_i].bytes >= 0) && bytes == sizes[_i].bytes, "%s: %d, %lld", s.p, rc,
		      (long long)bytes);
	if (rc == 0 && s.n > 0) { /* the kernel reads its own flags by the same rules */
		ck_assert_int_eq(quantity_parse((struct str){ s.p, s.n }, &kernels), 0);
		ck_assert_int_eq(kernels, bytes);
	}
}
END_TEST

START_TEST(lists_have_items)
{
	static const char *const want[] = { "a", "b c", "d" };
	struct davit_str rest = davit_str(" a, b c ,,\td\n, "), item;
	int i;

	for (i = 0; davit_list_next(&rest, &item); i++)
		ck_assert(i < 3 && item.n == strlen(want[i]) && memcmp(item.p, want[i], item.n) == 0);
	ck_assert_int_eq(i, 3);
	rest = davit_str(NULL);
	ck_assert_int_eq(davit_list_next(&rest, &item), 0);
}
END_TEST

/* Against OpenSSL, for lengths around every edge of a block; and RFC 4231's second case as it is printed. */
START_TEST(signatures_are_openssls)
{
	static const char rfc[] =
		"\x5b\xdc\xc1\x46\xbf\x60\x75\x4e\x6a\x04\x24\x26\x08\x95\x75\xc7\x5a\x00\x3f\x08\x9d\x27"
		"\x39\x83\x9d\xec\x58\xb9\x64\xec\x38\x43";
	uint8_t text[300], ours[DAVIT_SHA256_SIZE], theirs[EVP_MAX_MD_SIZE];
	unsigned n;
	size_t i, nkey;

	davit_hmac_sha256("Jefe", 4, "what do ya want for nothing?", 28, ours);
	ck_assert_mem_eq(ours, rfc, sizeof(ours));
	for (i = 0; i < sizeof(text); i++)
		text[i] = (uint8_t)(i * 7);
	for (i = 0; i < sizeof(text); i++) {
		nkey = i * 3 % 140;
		davit_hmac_sha256(text, nkey, text, i, ours);
		ck_assert_ptr_nonnull(HMAC(EVP_sha256(), text, (int)nkey, text, i, theirs, &n));
		ck_assert_mem_eq(ours, theirs, sizeof(ours));
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("sdk");
	TCase *t = tcase_create("sdk");

	tcase_add_test(t, durations_as_go_reads_them);
	tcase_add_test(t, durations_as_whole_seconds);
	tcase_add_test(t, what_is_no_duration);
	tcase_add_test(t, truths);
	tcase_add_test(t, base64_of_the_rfc);
	tcase_add_test(t, base64_of_all_bytes);
	tcase_add_test(t, what_is_no_base64);
	tcase_add_test(t, identifiers_are_random_and_of_version_4);
	tcase_add_test(t, what_is_no_identifier);
	tcase_add_test(t, siphash_is_the_papers);
	tcase_add_test(t, patterns_match);
	tcase_add_test(t, patterns_do_not_match);
	tcase_add_test(t, json_depth);
	tcase_add_loop_test(t, sizes_as_kubernetes_has_them, 0, (int)(sizeof(sizes) / sizeof(sizes[0])));
	tcase_add_test(t, lists_have_items);
	tcase_add_test(t, signatures_are_openssls);
	suite_add_tcase(s, t);
	SRunner *r = srunner_create(s);

	srunner_run_all(r, CK_NORMAL);
	int failed = srunner_ntests_failed(r);

	srunner_free(r);
	return failed ? 1 : 0;
}
