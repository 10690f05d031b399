/* SPDX-License-Identifier: Apache-2.0 */
/* davit/json.h: what RFC 8259 calls JSON, and what is in it. */
#include <davit/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <check.h>

static int parses(const char *text)
{
	struct davit_json v;

	return davit_json_parse(text, strlen(text), &v) == 0;
}

static struct davit_json parse(const char *text)
{
	struct davit_json v = { DAVIT_JSON_NULL, NULL, 0 };

	ck_assert_msg(davit_json_parse(text, strlen(text), &v) == 0, "%s", text);
	return v;
}

START_TEST(what_is_json)
{
	static const char *const good[] = {
		"null",
		"true",
		"false",
		"0",
		"-0",
		"-1",
		"12.5",
		"1e5",
		"1E+5",
		"1.5e-10",
		"\"\"",
		"\"a\"",
		"[]",
		"{}",
		" [ ] ",
		"\t{\n}\r",
		"[1]",
		"[1,2]",
		"[ 1 , 2 ]",
		"{\"a\":1}",
		"{ \"a\" : 1 , \"b\" : [ ] }",
		"[[[[]]]]",
		"[{},{}]",
		"{\"a\":{\"b\":{}}}",
		"\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0041\"",
		"\"\\ud83d\\ude00\"",
		"\"\\ud83d\"",
		"\"\x7f\"",
		"\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\"",
		"\"\xed\x9f\xbf\"",
		"\"\xf4\x8f\xbf\xbf\"",
		"{\"\":0}",
		"[\"]\"]",
		"{\"a\":1,\"a\":2}",
		"123456789012345678901234567890",
	};
	size_t i;

	for (i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		ck_assert_msg(parses(good[i]), "%s", good[i]);
}
END_TEST

START_TEST(what_is_none)
{
	static const char *const bad[] = {
		"",
		" ",
		"nul",
		"nulll",
		"True",
		"NaN",
		"Infinity",
		"+1",
		"01",
		"-",
		"-a",
		"1.",
		".5",
		"1e",
		"1e+",
		"0x1",
		"1 2",
		"\"",
		"\"a",
		"\"\\\"",
		"\"\\x\"",
		"\"\\u12\"",
		"\"\\u12g4\"",
		"'a'",
		"\"\n\"",
		"\"\t\"",
		"[",
		"]",
		"[1",
		"[1,",
		"[1,]",
		"[,1]",
		"[,]",
		"[1 2]",
		"[1}",
		"{",
		"}",
		"{1:2}",
		"{\"a\"}",
		"{\"a\":}",
		"{\"a\":1,}",
		"{,}",
		"{\"a\":1 \"b\":2}",
		"{\"a\":1]",
		"{\"a\" 1}",
		"{a:1}",
		"[]]",
		"{}{}",
		"[]x",
		"//",
		"/* */ 1",
		"\"\x80\"",
		"\"\xc0\xaf\"",
		"\"\xed\xa0\x80\"",
		"\"\xf4\x90\x80\x80\"",
		"\"\xe2\x82\"",
		"\"\xf0\x80\x80\x80\"",
		"\"\xff\"",
		"\xef\xbb\xbf{}",
		"\"\\\xc3\xa9\"",
		"[\"a\",\n",
	};
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ck_assert_msg(!parses(bad[i]), "%s", bad[i]);
	ck_assert_int_eq(davit_json_parse("1\0", 2, &(struct davit_json){ 0 }), -1);
	ck_assert_int_eq(davit_json_parse("\"\\\0\"", 4, &(struct davit_json){ 0 }), -1);
}
END_TEST

START_TEST(it_nests_so_deep)
{
	char text[2 * DAVIT_JSON_DEPTH + 3];
	struct davit_json v;

	memset(text, '[', DAVIT_JSON_DEPTH);
	memset(text + DAVIT_JSON_DEPTH, ']', DAVIT_JSON_DEPTH);
	ck_assert_int_eq(davit_json_parse(text, 2 * DAVIT_JSON_DEPTH, &v), 0);
	memset(text, '[', DAVIT_JSON_DEPTH + 1);
	memset(text + DAVIT_JSON_DEPTH + 1, ']', DAVIT_JSON_DEPTH + 1);
	ck_assert_int_eq(davit_json_parse(text, 2 * DAVIT_JSON_DEPTH + 2, &v), -1);
}
END_TEST

START_TEST(members)
{
	static const char text[] =
		" {\"a\" : 1,\"b\":{\"a\":[\"}\",\"\\\"\"]} , \"a\\u0062c\":\"x\",\"a\":null, \"\":true}";
	struct davit_json root = parse(text), v, inner;

	ck_assert_int_eq(root.kind, DAVIT_JSON_OBJECT);
	ck_assert_int_eq(davit_json_member(root, "a", &v), 1);
	ck_assert_int_eq(v.kind, DAVIT_JSON_NULL); /* the last one */
	ck_assert_int_eq(davit_json_member(root, "b", &inner), 1);
	ck_assert_int_eq(davit_json_member(inner, "a", &v), 1);
	ck_assert_int_eq(v.kind, DAVIT_JSON_ARRAY);
	ck_assert_uint_eq(v.n, strlen("[\"}\",\"\\\"\"]"));
	ck_assert_int_eq(davit_json_member(root, "abc", &v), 1);
	ck_assert_int_eq(davit_json_is(v, "x"), 1);
	ck_assert_int_eq(davit_json_member(root, "", &v), 1);
	ck_assert_int_eq(v.kind, DAVIT_JSON_TRUE);
	ck_assert_int_eq(davit_json_member(root, "c", &v), 0);
	ck_assert_int_eq(davit_json_member(root, "ab", &v), 0);
	ck_assert_int_eq(davit_json_member(parse("[\"a\",1]"), "a", &v), 0);
	ck_assert_int_eq(davit_json_member(parse("{}"), "a", &v), 0);
}
END_TEST

START_TEST(elements)
{
	struct davit_json root = parse("[ 1, \"two\" , [3], {\"f\":4} ,5.5]"), name, v;
	enum davit_json_kind kinds[8];
	size_t place = 0, n = 0;

	while (davit_json_next(root, &place, NULL, &v))
		kinds[n++] = v.kind;
	ck_assert_uint_eq(n, 5);
	ck_assert_int_eq(kinds[0], DAVIT_JSON_NUMBER);
	ck_assert_int_eq(kinds[1], DAVIT_JSON_TEXT);
	ck_assert_int_eq(kinds[2], DAVIT_JSON_ARRAY);
	ck_assert_int_eq(kinds[3], DAVIT_JSON_OBJECT);
	ck_assert_int_eq(kinds[4], DAVIT_JSON_NUMBER);
	place = 0;
	ck_assert_int_eq(davit_json_next(parse("{\"k\":\"v\"}"), &place, &name, &v), 1);
	ck_assert_int_eq(davit_json_is(name, "k") && davit_json_is(v, "v"), 1);
	place = 0;
	ck_assert_int_eq(davit_json_next(parse("[ ]"), &place, NULL, &v), 0);
	ck_assert_int_eq(davit_json_next(parse("\"a\""), &place, NULL, &v), 0);
}
END_TEST

static const char *text_of(const char *json)
{
	static char buf[64];

	ck_assert_uint_lt(davit_json_text(parse(json), buf, sizeof(buf)), sizeof(buf));
	return buf;
}

START_TEST(texts)
{
	char buf[4] = "xxx";

	ck_assert_str_eq(text_of("\"\""), "");
	ck_assert_str_eq(text_of("\"a\\\"\\\\\\/\\b\\f\\n\\r\\tz\""), "a\"\\/\b\f\n\r\tz");
	ck_assert_str_eq(text_of("\"\\u00e9\\u20AC\\ud83d\\uDE00\""), "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80");
	ck_assert_str_eq(text_of("\"\\ud83dx\\ude00\\ud83d\\u0041\""), "\xef\xbf\xbdx\xef\xbf\xbd\xef\xbf\xbd"
								       "A");
	ck_assert_str_eq(text_of("12.50"), "12.50");
	ck_assert_uint_eq(davit_json_text(parse("\"abcdef\""), buf, 4), 6);
	ck_assert_str_eq(buf, "abc");
	ck_assert_uint_eq(davit_json_text(parse("\"abcdef\""), NULL, 0), 6);
	ck_assert_uint_eq(davit_json_text(parse("\"a\\u0000b\""), buf, 4), 3);
	ck_assert_mem_eq(buf, "a\0b", 4);
	ck_assert_int_eq(davit_json_is(parse("\"a\\u0000b\""), "a"), 0);
	ck_assert_int_eq(davit_json_is(parse("\"\\u0061b\""), "ab"), 1);
	ck_assert_int_eq(davit_json_is(parse("\"\\u0061bc\""), "ab"), 0);
	ck_assert_int_eq(davit_json_is(parse("1"), "1"), 0);
}
END_TEST

START_TEST(integers)
{
	int64_t v = 7;

	ck_assert_int_eq(davit_json_integer(parse("-9223372036854775808"), &v), 0);
	ck_assert_int_eq(v, INT64_MIN);
	ck_assert_int_eq(davit_json_integer(parse("9223372036854775807"), &v), 0);
	ck_assert_int_eq(v, INT64_MAX);
	ck_assert_int_eq(davit_json_integer(parse("9223372036854775808"), &v), -1);
	ck_assert_int_eq(davit_json_integer(parse("123456789012345678901234567890"), &v), -1);
	ck_assert_int_eq(davit_json_integer(parse("1.0"), &v), -1);
	ck_assert_int_eq(davit_json_integer(parse("1e2"), &v), -1);
	ck_assert_int_eq(davit_json_integer(parse("\"1\""), &v), -1);
	ck_assert_int_eq(v, INT64_MAX);
}
END_TEST

START_TEST(quoted_texts)
{
	char buf[64], back[64];
	static const char text[] = "a\"\\\x01\n\t\x1f/\xc3\xa9\x7f";
	size_t n = davit_json_quote(text, sizeof(text), buf, sizeof(buf)); /* with its NUL */

	ck_assert_uint_lt(n, sizeof(buf));
	ck_assert_str_eq(buf, "\"a\\\"\\\\\\u0001\\n\\t\\u001f/\xc3\xa9\x7f\\u0000\"");
	ck_assert_uint_eq(davit_json_text(parse(buf), back, sizeof(back)), sizeof(text));
	ck_assert_mem_eq(back, text, sizeof(text));
	davit_json_quote("a\xff"
			 "b\xe2\x82",
			 5, buf, sizeof(buf));
	ck_assert_str_eq(buf, "\"a\xef\xbf\xbd"
			      "b\xef\xbf\xbd\xef\xbf\xbd\"");
	ck_assert_uint_eq(davit_json_quote("abc", 3, buf, 4), 5);
	ck_assert_str_eq(buf, "\"ab");
	ck_assert_uint_eq(davit_json_quote("", 0, NULL, 0), 2);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("sdk-json");
	TCase *t = tcase_create("all");
	SRunner *r;
	int failed;

	tcase_add_test(t, what_is_json);
	tcase_add_test(t, what_is_none);
	tcase_add_test(t, it_nests_so_deep);
	tcase_add_test(t, members);
	tcase_add_test(t, elements);
	tcase_add_test(t, texts);
	tcase_add_test(t, integers);
	tcase_add_test(t, quoted_texts);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
