/* SPDX-License-Identifier: Apache-2.0 */
#include <check.h>
#include <stdlib.h>
#include <time.h>

#include "base/mem.h"
#include "resources/yaml.h"

static struct arena *arena;

static void set_up(void)
{
	arena = arena_new();
}

static void tear_down(void)
{
	arena_unref(arena);
}

static const struct yaml_node *parse(struct str text, struct yaml_fault *ret_fault)
{
	return yaml_parse(arena, text, 1, ret_fault);
}

/* What Go's sigs.k8s.io/yaml 1.4.0 says: the value as JSON, and as text for a string field; NULL: an error in both. */
static const struct {
	const char *yaml, *json, *text;
} values[] = {
	{ "yes", "true", "true" },
	{ "y", "true", "true" },
	{ "On", "true", "true" },
	{ "NO", "false", "false" },
	{ "n", "false", "false" },
	{ "off", "false", "false" },
	{ "True", "true", "true" },
	{ "tRUE", "\"tRUE\"", "tRUE" },
	{ "~", "null", "" },
	{ "null", "null", "" },
	{ "Null", "null", "" },
	{ "nULL", "\"nULL\"", "nULL" },
	{ "", "null", "" },
	{ "0", "0", "0" },
	{ "-1", "-1", "-1" },
	{ "+1", "1", "1" },
	{ "017", "15", "15" },
	{ "-017", "-15", "-15" },
	{ "08", "8", "8" },
	{ "0x1F", "31", "31" },
	{ "0xg", "\"0xg\"", "0xg" },
	{ "0b101", "5", "5" },
	{ "0o17", "15", "15" },
	{ "0o8", "\"0o8\"", "0o8" },
	{ "1_000", "1000", "1000" },
	{ "_1", "\"_1\"", "_1" },
	{ "1e3", "1000", "1000" },
	{ "1.0", "1", "1" },
	{ "1.10", "1.1", "1.1" },
	{ "1.", "1", "1" },
	{ ".5", "0.5", "0.5" },
	{ ".", "\".\"", "." },
	{ "-0.0", "-0", "-0" },
	{ "1e400", "\"1e400\"", "1e400" },
	{ "12:30:45", "\"12:30:45\"", "12:30:45" },
	{ "2001-12-14", "\"2001-12-14\"", "2001-12-14" },
	{ "9223372036854775807", "9223372036854775807", "9223372036854775807" },
	{ "9223372036854775808", "9223372036854775808", "9223372036854775808" },
	{ "18446744073709551616", "18446744073709552000", "1.8446744e+19" },
	{ "1234567.0", "1234567", "1.234567e+06" },
	{ "0.0000001", "1e-7", "1e-07" },
	{ "1e21", "1e+21", "1e+21" },
	{ "1e20", "100000000000000000000", "1e+20" },
	{ "3.14159265358979", "3.14159265358979", "3.1415927" },
	{ "'5'", "\"5\"", "5" },
	{ "\"yes\"", "\"yes\"", "yes" },
	{ "\"a\\tb\"", "\"a\\tb\"", "a\tb" },
	{ "'<a&b>'", "\"\\u003ca\\u0026b\\u003e\"", "<a&b>" },
	{ "!!str 5", "\"5\"", "5" },
	{ "!!int '5'", "5", "5" },
	{ "!!float 5", "5", "5" },
	{ "!foo 5", "\"5\"", "5" },
	{ "! '5'", "\"5\"", "5" },
	{ "!!bool yes", "true", "true" },
	{ "!!int x", NULL, NULL },
	{ "!!bool 1", NULL, NULL },
	{ ".inf", NULL, "+Inf" },
	{ "-.inf", NULL, "-Inf" },
	{ ".nan", NULL, "NaN" },
};

START_TEST(plain_scalars_mean_what_go_makes_of_them)
{
	struct str doc = arena_printf(arena, "v: %s\n", values[_i].yaml), json;
	const struct yaml_node *n, *bad;
	struct yaml_fault fault;

	n = yaml_get(parse(doc, &fault), "v");
	if (values[_i].text == NULL) {
		ck_assert_ptr_null(n);
		ck_assert_uint_gt(fault.message.n, 0);
		return;
	}
	ck_assert_ptr_nonnull(n);
	ck_assert_str_eq(yaml_text(arena, n, YAML_RESOURCE).p, values[_i].text);
	if (values[_i].json == NULL) {
		ck_assert_int_eq(yaml_json(arena, n, YAML_RESOURCE, &json, &bad), -1);
		ck_assert_ptr_eq(bad, n);
		return;
	}
	ck_assert_int_eq(yaml_json(arena, n, YAML_RESOURCE, &json, &bad), 0);
	ck_assert_str_eq(json.p, values[_i].json);
}
END_TEST

START_TEST(configuration_files_know_only_true_and_false)
{
	struct yaml_fault fault;
	const struct yaml_node *n = parse(STR("{a: yes, b: True, c: 0x10, d: 1.50}"), &fault);

	ck_assert_int_eq(yaml_resolve(yaml_get(n, "a"), YAML_CONFIGURATION).type, YAML_STRING);
	ck_assert_int_eq(yaml_resolve(yaml_get(n, "b"), YAML_CONFIGURATION).type, YAML_BOOL);
	ck_assert_int_eq(yaml_resolve(yaml_get(n, "c"), YAML_CONFIGURATION).i, 16);
	ck_assert_str_eq(yaml_text(arena, yaml_get(n, "d"), YAML_CONFIGURATION).p, "1.50");
}
END_TEST

static const struct {
	const char *yaml, *json;
} trees[] = {
	{ "{b: 1, a: [x, {c: ~}], yes: 2, 1: 3}", "{\"1\":3,\"a\":[\"x\",{\"c\":null}],\"b\":1,\"true\":2}" },
	{ "a: 1\nb: 2\na: 3\n", "{\"a\":3,\"b\":2}" },
	{ "- &x {k: v}\n- *x\n- &x 5\n- *x\n", "[{\"k\":\"v\"},{\"k\":\"v\"},5,5]" },
	{ "b: &b {x: 1, z: 2}\nc: {<<: *b, z: 3}\n", "{\"b\":{\"x\":1,\"z\":2},\"c\":{\"x\":1,\"z\":3}}" },
	{ "{y0: 3, <<: [{x: 1}, {x: 2, z: 9}]}", "{\"x\":1,\"y0\":3,\"z\":9}" },
	{ "{\"<<\": 5}", "{\"\\u003c\\u003c\":5}" },
	{ "a: |\n  one\n  two\nb: >-\n  one\n  two\n", "{\"a\":\"one\\ntwo\\n\",\"b\":\"one two\"}" },
	{ "\xef\xbb\xbf"
	  "a: b",
	  "{\"a\":\"b\"}" },
	{ "--- # first\na: 1\n...\n", "{\"a\":1}" },
};

START_TEST(trees_become_json)
{
	struct yaml_fault fault;
	const struct yaml_node *n = parse(str_of(trees[_i].yaml), &fault), *bad;
	struct str json;

	ck_assert_msg(n != NULL, "%s: %s", trees[_i].yaml, fault.message.p);
	ck_assert_int_eq(yaml_json(arena, n, YAML_RESOURCE, &json, &bad), 0);
	ck_assert_str_eq(json.p, trees[_i].json);
}
END_TEST

START_TEST(knows_positions)
{
	struct yaml_fault fault;
	const struct yaml_node *root = yaml_parse(arena, STR("a: 1\nb:\n  - c: deep\n"), 10, &fault), *n;

	n = yaml_get(root, "b");
	ck_assert_int_eq(n->line, 12);
	ck_assert_int_eq(n->column, 3);
	n = yaml_at(n->items[0], "c");
	ck_assert_int_eq(n->line, 12);
	ck_assert_int_eq(n->column, 8);
	ck_assert_ptr_null(yaml_at(root, "a.b.c"));
	ck_assert_ptr_nonnull(yaml_iget(root, "B"));
	ck_assert_ptr_null(yaml_get(root, "B"));
}
END_TEST

static const struct {
	struct str yaml;
	int line;
	const char *says;
} faults[] = {
	{ { "a: b: c\n", 8 }, 1, "mapping values are not allowed" },
	{ { "a: 1\n\tb: 2\n", 11 }, 2, "tab character" },
	{ { "x: 1\na: [1, 2\n", 14 }, 3, "flow sequence that began in line 2" },
	{ { "a: 'open\n", 9 }, 2, "quoted scalar" },
	{ { "a: \xff\xfe\n", 6 }, 1, "UTF-8" },
	{ { "ok: 1\nb: \xc3\x28\n", 12 }, 2, "UTF-8" },
	{ { "a: \0b\n", 7 }, 1, "control characters" },
	{ { "a: \x01\n", 5 }, 1, "control characters" },
	{ { "a: \"\\0\"\n", 8 }, 1, "NUL" },
	{ { "a: *none\n", 9 }, 1, "*none has no anchor" },
	{ { "a: &a [1, *a]\n", 14 }, 1, "contains itself" },
	{ { "? [a]\n: b\n", 10 }, 1, "a key must be text, not a list" },
	{ { "~: b\n", 5 }, 1, "a key must be text, not nothing" },
	{ { "<<: 5\n", 6 }, 2, "<< takes a mapping" },
	{ { "a: !!binary aGk=\n", 17 }, 1, "does not fit its tag" },
	{ { "%YAML 9.9\n---\na: 1\n", 18 }, 1, "incompatible YAML" },
	{ { "@x\n", 3 }, 1, "cannot start any token" },
};

START_TEST(faults_name_the_line_and_the_reason)
{
	struct yaml_fault fault;

	ck_assert_ptr_null(parse(faults[_i].yaml, &fault));
	ck_assert_msg(strstr(fault.message.p, faults[_i].says) != NULL, "%s", fault.message.p);
	ck_assert_msg(fault.line == faults[_i].line, "line %d: %s", fault.line, fault.message.p);
}
END_TEST

START_TEST(nothing_is_no_fault)
{
	static const char *const texts[] = { "", "\n\n", "# only a comment\n", " \n#x" };
	struct yaml_fault fault;

	ck_assert_ptr_null(parse(str_of(texts[_i]), &fault));
	ck_assert_uint_eq(fault.message.n, 0);
}
END_TEST

static struct str repeat(const char *head, const char *piece, int times, const char *tail)
{
	struct buf b = buf_in(arena);

	buf_adds(&b, str_of(head));
	while (times-- > 0)
		buf_adds(&b, str_of(piece));
	buf_adds(&b, str_of(tail));
	return buf_str(&b);
}

static void refused(struct str text, const char *says)
{
	struct yaml_fault fault;

	ck_assert_ptr_null(parse(text, &fault));
	ck_assert_msg(strstr(fault.message.p, says) != NULL, "%s", fault.message.p);
}

START_TEST(depth_is_bounded)
{
	refused(repeat("", "[", 200, ""), "nested more than 100 deep");
	refused(repeat("", "[", 500000, ""), "nested more than 100 deep");
	refused(repeat("", "{a: ", 5000, ""), "nested more than 100 deep");
	refused(repeat("", "- ", 5000, "x"), "nested more than 100 deep");
	refused(repeat("", "? ", 5000, "x"), "");
	/* 60 levels below an anchor, put 60 levels deep */
	refused(arena_printf(arena, "%s%s", repeat("a: &a ", "[", 60, repeat("1", "]", 60, "\nb: ").p).p,
			     repeat("", "[", 60, "*a").p),
		"nested more than 100 deep");
}
END_TEST

START_TEST(deepest_tree_still_stands)
{
	struct yaml_fault fault;
	struct str json;
	const struct yaml_node *bad,
		*n = parse(arena_printf(arena, "%s1%s", repeat("", "[", 99, "").p, repeat("", "]", 99, "").p), &fault);

	ck_assert_ptr_nonnull(n);
	ck_assert_int_eq(n->depth, 100);
	ck_assert_int_eq(yaml_json(arena, n, YAML_RESOURCE, &json, &bad), 0);
	ck_assert_uint_eq(json.n, 199);
}
END_TEST

START_TEST(alias_bombs_are_counted_not_built)
{
	struct buf b = buf_in(arena);
	int i;

	buf_adds(&b, STR("a0: &a0 [x, x, x, x, x, x, x, x, x]\n"));
	for (i = 1; i < 9; i++)
		buf_printf(&b, "a%d: &a%d [*a%d, *a%d, *a%d, *a%d, *a%d, *a%d, *a%d, *a%d, *a%d]\n", i, i, i - 1, i - 1,
			   i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1);
	refused(buf_str(&b), "more than 10000 values");
	refused(repeat("[", "1,", 20000, "]"), "more than 10000 values");
	/* few values, much text */
	refused(repeat(repeat("a: &a ", "xxxxxxxxxxxxxxxx", 4096, "\nb: [").p, "*a,", 100, "]"),
		"more than 4194304 bytes");
	ck_assert_uint_lt(arena_size(arena), 64 << 20);
}
END_TEST

START_TEST(counts_aliases_as_copies)
{
	struct yaml_fault fault;
	const struct yaml_node *n = parse(STR("{a: &a [1, 2], b: *a}"), &fault);

	ck_assert_uint_eq(n->nodes, 9);
	ck_assert_int_eq(n->depth, 3);
	ck_assert_ptr_eq(yaml_get(n, "a"), yaml_get(n, "b"));
}
END_TEST

START_TEST(splits_documents_as_dapr)
{
	struct str rest = STR("one: 1\n--- # two\ntwo: 2\n---\n---\nfour\n---"), doc;
	int line = 1, at, n = 0;
	static const struct {
		const char *text;
		int line;
	} want[] = { { "one: 1", 1 }, { "two: 2", 3 }, { "---\nfour", 5 } };

	while (yaml_split(&rest, &line, &doc, &at)) {
		ck_assert_int_lt(n, 3);
		ck_assert_msg(str_is(doc, want[n].text), STR_FMT, STR_ARG(doc));
		ck_assert_int_eq(at, want[n].line);
		n++;
	}
	ck_assert_int_eq(n, 3);
	rest = STR("\n---\nx");
	line = 1;
	ck_assert_int_eq(yaml_split(&rest, &line, &doc, &at), 1);
	ck_assert_uint_eq(doc.n, 0);
	ck_assert_int_eq(yaml_split(&rest, &line, &doc, &at), 1);
	ck_assert_int_eq(at, 3);
	ck_assert_int_eq(yaml_split(&rest, &line, &doc, &at), 0);
}
END_TEST

/* Hostile files of 1 MiB are read or refused quickly: libyaml has been quadratic before. */
START_TEST(large_files_take_little_time)
{
	static const char *const pieces[] = {
		"[",
		"{",
		"- ",
		"? ",
		"a: ",
		"&a ",
		"*a ",
		"!!str ",
		"'",
		"\"",
		"|\n",
		"#",
		"\n",
		" ",
		"\t",
		", ",
		"[a, ",
		"{a: 1, ",
		"- a\n",
		"a: 1\n",
		"%a b\n",
		"---\n",
		"...\n",
		"!",
		"\\",
		"\"\\u0041\"\n",
		"<<: *a\n",
		"- - ",
		"x\n ",
		"- &a *a\n",
		"a:\n ",
		"? a\n: ",
		"[]",
		"{}",
		"[[],",
		"\xc2\x85",
		"\xe2\x80\xa8",
		": ",
		"-",
		":",
		"?",
		"a",
	};
	struct yaml_fault fault;
	struct str text = repeat("", pieces[_i], (int)(YAML_FILE_MAX / strlen(pieces[_i])), "");
	clock_t began = clock();

	parse(text, &fault);
	ck_assert_msg(clock() - began < 3 * CLOCKS_PER_SEC, "%s: %.1f s", pieces[_i],
		      (double)(clock() - began) / CLOCKS_PER_SEC);
}
END_TEST

/* Documents with bytes changed, dropped and repeated: whatever comes out, nothing breaks, and what parses has JSON. */
START_TEST(mangled_documents_break_nothing)
{
	static const char seed[] = "apiVersion: dapr.io/v1alpha1\nkind: Component\nmetadata: &m\n  name: 'x'\n  <<: "
				   "{a: [1, 2.5, ~, yes]}\n"
				   "spec:\n  type: \"state.redis\"\n  metadata:\n  - name: a\n    value: |\n      "
				   "text\n  - *m\n  - {<<: *m, k: !!int 5}\n";
	uint64_t x = 88172645463325252u + (uint64_t)_i;
	char text[sizeof(seed) * 2];
	int round;

	for (round = 0; round < 400; round++) {
		struct arena *a = arena_new();
		const struct yaml_node *n, *bad;
		struct yaml_fault fault;
		size_t len = sizeof(seed) - 1, at;
		struct str json;
		int k;

		memcpy(text, seed, sizeof(seed));
		for (k = 0; k < 1 + round % 6; k++) {
			x ^= x << 13, x ^= x >> 7, x ^= x << 17;
			at = (size_t)(x >> 16) % len;
			if (x % 3 == 0)
				text[at] = (char)(x >> 40);
			else if (x % 3 == 1)
				text[at] = "[]{}&*!|>'\"%@`,:-?#\n\t <\\~"[(x >> 40) % 26];
			else
				memmove(text + at, text + at / 2, (len - at) / 2), len -= at % 7;
		}
		n = yaml_parse(a, (struct str){ text, len }, 1, &fault);
		if (n != NULL && yaml_json(a, n, YAML_RESOURCE, &json, &bad) == 0)
			ck_assert_uint_gt(json.n, 0);
		else
			ck_assert(n != NULL || fault.message.n > 0 || len < 20 || fault.message.p != NULL);
		arena_unref(a);
	}
}
END_TEST

#define LOOP(t, test, table) tcase_add_loop_test(t, test, 0, (int)(sizeof(table) / sizeof((table)[0])))

int main(void)
{
	Suite *s = suite_create("yaml");
	TCase *t = tcase_create("yaml");
	SRunner *r;
	int failed;

	tcase_add_checked_fixture(t, set_up, tear_down);
	tcase_set_timeout(t, 60);
	LOOP(t, plain_scalars_mean_what_go_makes_of_them, values);
	tcase_add_test(t, configuration_files_know_only_true_and_false);
	LOOP(t, trees_become_json, trees);
	tcase_add_test(t, knows_positions);
	LOOP(t, faults_name_the_line_and_the_reason, faults);
	tcase_add_loop_test(t, nothing_is_no_fault, 0, 4);
	tcase_add_test(t, depth_is_bounded);
	tcase_add_test(t, deepest_tree_still_stands);
	tcase_add_test(t, alias_bombs_are_counted_not_built);
	tcase_add_test(t, counts_aliases_as_copies);
	tcase_add_test(t, splits_documents_as_dapr);
	tcase_add_loop_test(t, large_files_take_little_time, 0, 42);
	tcase_add_loop_test(t, mangled_documents_break_nothing, 0, 10);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
