/* SPDX-License-Identifier: Apache-2.0 */
/* The table of expressions (tests/unit/data/cel.txt), and what cannot stand in one: bounds, threads' sharing, bad JSON. */
#include "cel/cel.h"

#include <check.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "cel_text.h"
#include "loop/fiber.h"

#define TABLE "tests/unit/data/cel.txt"
#define VARIABLES 16

static struct arena *a;
static jmp_buf no_memory;

static void set_up(void)
{
	a = arena_new();
	if (setjmp(no_memory))
		ck_abort_msg("no memory");
	arena_on_oom(a, &no_memory);
}

static void tear_down(void)
{
	arena_unref(a);
	arena_drop_stock();
}

/* ---- The table ---- */

struct variables {
	size_t n;
	struct str names[VARIABLES], json[VARIABLES];
	int is_int[VARIABLES];
	struct arena *a; /* of one call, in which values are made when they are first asked for */
	struct cel_value values[VARIABLES];
	int is_made[VARIABLES];
};

static int lookup(void *arg, struct str name, struct cel_value *ret_value)
{
	struct variables *v = arg;
	int64_t i;

	for (size_t k = 0; k < v->n; k++) {
		if (!str_eq(v->names[k], name))
			continue;
		if (!v->is_made[k] && v->is_int[k]) {
			ck_assert_int_eq(str_int(v->json[k], &i), 0);
			v->values[k] = cel_int(i);
		} else if (!v->is_made[k]) {
			v->values[k] = cel_json(v->a, v->json[k]);
		}
		v->is_made[k] = 1;
		*ret_value = v->values[k];
		return 1;
	}
	return 0;
}

static struct str file_text(const char *path)
{
	struct buf b = buf_in(a);
	FILE *f = fopen(path, "r");
	size_t n;

	ck_assert_msg(f != NULL, "%s: cannot be opened", path);
	do {
		buf_reserve(&b, 65536);
		n = fread(b.p + b.n, 1, 65536, f);
		b.n += n;
	} while (n > 0);
	fclose(f);
	return buf_str(&b);
}

/* "@event {…}" or "@int requests 6". */
static void add_variable(struct variables *v, struct str line)
{
	size_t i = v->n++;

	ck_assert(i < VARIABLES);
	v->is_int[i] = str_starts(line, STR("@int "));
	line = str_from(line, v->is_int[i] ? 5 : 1);
	ck_assert(str_cut(line, ' ', &v->names[i], &v->json[i]));
}

/* What came of it, as it is written in the table. */
static struct str outcome(struct arena *call, struct str text, struct variables *v)
{
	struct cel_env env = { lookup, v };
	struct cel_fault fault;
	struct cel_value value;
	struct buf b = buf_in(call);
	struct str error;
	struct cel *c = cel_compile(call, text, &fault);

	v->a = call;
	memset(v->is_made, 0, sizeof(v->is_made));
	if (!c) {
		buf_printf(&b, "refused %u:%u: " STR_FMT, fault.line, fault.column, STR_ARG(fault.message));
	} else if (cel_eval(c, call, &env, &value, &error) < 0) {
		buf_printf(&b, "fails " STR_FMT, STR_ARG(error));
	} else {
		ck_assert_msg(value.kind != CEL_BOOL || cel_may_be_bool(c), STR_FMT ": no bool could be expected",
			      STR_ARG(text));
		buf_adds(&b, STR("= "));
		buf_adds(&b, cel_text(call, value));
	}
	return buf_str(&b);
}

START_TEST(expressions_give_what_the_table_says)
{
	struct str rest = file_text(TABLE), line, expression = STR_NONE;
	struct variables v = { .n = 0 };
	int cases = 0, wrong = 0, number = 0;

	while (str_split(&rest, '\n', &line)) {
		number++;
		if (str_starts(line, STR("@"))) {
			add_variable(&v, line);
		} else if (str_starts(line, STR("\t"))) {
			struct arena *call = arena_new();
			struct str got;

			arena_on_oom(call, &no_memory);
			got = outcome(call, expression, &v);
			cases++;
			if (!str_eq(got, str_from(line, 1))) {
				fprintf(stderr, TABLE ":%d: " STR_FMT "\n\tis     " STR_FMT "\n\tshould " STR_FMT "\n",
					number, STR_ARG(expression), STR_ARG(got), STR_ARG(str_from(line, 1)));
				wrong++;
			}
			expression = STR_NONE;
			arena_unref(call);
		} else if (line.n && (line.p[0] != '#' || expression.p)) {
			/* An expression may have several lines. */
			expression = expression.p
					     ? (struct str){ expression.p, (size_t)(line.p + line.n - expression.p) }
					     : line;
		}
	}
	ck_assert_int_eq(wrong, 0);
	ck_assert_int_ge(cases, 300);
}
END_TEST

/* ---- Bounds ---- */

static struct str repeated(const char *before, const char *middle, const char *after, size_t n)
{
	struct buf b = buf_in(a);

	for (size_t i = 0; i < n; i++)
		buf_adds(&b, str_of(before));
	buf_adds(&b, str_of(middle));
	for (size_t i = 0; i < n; i++)
		buf_adds(&b, str_of(after));
	return buf_str(&b);
}

static const struct {
	const char *before, *middle, *after;
	size_t holds; /* levels that still compile */
} nested[] = {
	{ "(", "1", ")", CEL_DEPTH - 1 },
	{ "[", "1", "]", CEL_DEPTH - 1 },
	{ "{1:", "1", "}", CEL_DEPTH - 1 },
	{ "1+(", "1", ")", CEL_DEPTH - 1 },
	{ "size(", "''", ")", 1 }, /* of a number there is no size, so two of them are refused for that */
	{ "e[", "1", "]", CEL_DEPTH - 1 },
	{ "", "e", ".x", CEL_DEPTH - 1 },
	{ "", "e", "[0]", CEL_DEPTH - 1 },
	{ "", "1", "+1", CEL_DEPTH - 1 },
	{ "true?1:", "1", "", CEL_DEPTH - 1 },
	{ "true||true&&true==true?1:(", "1", ")", CEL_DEPTH / 2 - 1 },
	{ "[1].map(x,", "1", ")", CEL_DEPTH - 2 },
	{ "", "e", ".map(x,[x])", CEL_DEPTH - 2 },
	{ "", "e", ".map(x,{x:e})", CEL_DEPTH - 2 },
	{ "e||e&&e==e+e*dyn(", "e", ")", CEL_DEPTH / 6 },
	{ "!(!(", "e", "))", CEL_DEPTH / 2 - 1 },
};

struct deep {
	struct str text, message;
	int compiled;
};

static int an_event(void *arg, struct str name, struct cel_value *ret_value)
{
	(void)name;
	*ret_value = *(struct cel_value *)arg;
	return 1;
}

/* Compiles and evaluates; the result, of which there may be none, does not matter. */
static void *goes_deep(void *arg)
{
	struct deep *d = arg;
	struct arena *call = arena_new();
	struct cel_value e = cel_json(call, STR("{\"x\": [[1]]}")), v;
	struct cel_env env = { an_event, &e };
	struct cel_fault fault = { .message = STR_NONE };
	struct cel *c = cel_compile(call, d->text, &fault);
	struct str error;

	d->compiled = c != NULL;
	d->message = arena_str(a, fault.message);
	if (c)
		cel_eval(c, call, &env, &v, &error);
	arena_unref(call);
	arena_drop_stock();
	return NULL;
}

/* On a stack as large as a fiber's. */
static void deep_on_small_stack(struct deep *d)
{
	pthread_attr_t attr;
	pthread_t thread;

	ck_assert_int_eq(pthread_attr_init(&attr), 0);
	ck_assert_int_eq(pthread_attr_setstacksize(&attr, FIBER_STACK), 0);
	ck_assert_int_eq(pthread_create(&thread, &attr, goes_deep, d), 0);
	pthread_join(thread, NULL);
	pthread_attr_destroy(&attr);
}

START_TEST(depth_is_bounded)
{
	for (size_t i = 0; i < sizeof(nested) / sizeof(*nested); i++) {
		struct deep d = { .text = repeated(nested[i].before, nested[i].middle, nested[i].after,
						   nested[i].holds) };

		deep_on_small_stack(&d);
		ck_assert_msg(d.compiled, STR_FMT ": " STR_FMT, STR_ARG(d.text), STR_ARG(d.message));
		for (size_t n = nested[i].holds + 1; n < 3000; n = 3 * n + 1) {
			d.text = repeated(nested[i].before, nested[i].middle, nested[i].after, n);
			deep_on_small_stack(&d);
			ck_assert_msg(!d.compiled, "%s %zu times", nested[i].before, n);
			ck_assert_msg(nested[i].holds == 1 || str_find(d.message, STR("deeper")) >= 0, STR_FMT,
				      STR_ARG(d.message));
		}
	}
}
END_TEST

/* JSON nests deeper than expressions: comparing it costs no stack. */
START_TEST(deep_json_is_compared)
{
	struct variables v = { .n = 1, .names[0] = STR("e") };
	struct str deepest = repeated("[", "1", "]", JSTREAM_DEPTH);

	v.json[0] = deepest;
	ck_assert(str_is(outcome(a, STR("[e] == [e] && e in [[], e] && e != [e]"), &v), "= true"));
	v.json[0] = repeated("{\"a\":", "1", "}", JSTREAM_DEPTH);
	ck_assert(str_is(outcome(a, STR("{'x': e} == {'x': e} && e != e.a"), &v), "= true"));
	v.json[0] = repeated("[", "1", "]", JSTREAM_DEPTH + 1);
	ck_assert(str_starts(outcome(a, STR("e == e && size(e) > 0"), &v), STR("fails")));
}
END_TEST

START_TEST(chains_of_logic_may_be_long)
{
	struct variables v = { .n = 1, .names[0] = STR("e"), .json[0] = STR("{\"type\": \"last\"}") };
	struct str got = outcome(a, repeated("e.type == 'one' || ", "e.type == 'last'", "", 3000), &v);

	ck_assert_msg(str_is(got, "= true"), STR_FMT, STR_ARG(got));
}
END_TEST

START_TEST(text_is_bounded)
{
	struct cel_fault fault;

	ck_assert_ptr_null(cel_compile(a, repeated(" ", "1", "", CEL_TEXT), &fault));
	ck_assert_ptr_nonnull(cel_compile(a, repeated(" ", "1", "", CEL_TEXT - 1), &fault));
	ck_assert_ptr_null(cel_compile(a, (struct str){ "1\0", 2 }, &fault));
	ck_assert_ptr_null(cel_compile(a, STR("'\xff'"), &fault));
}
END_TEST

/* A client's event can make a rule slow only up to the bound. */
START_TEST(steps_are_bounded)
{
	static const char *const rules[] = {
		"e.all(x, e.all(y, e.all(z, x + y + z >= 0.0)))",
		"e.exists(x, e.exists(y, e.exists(z, x > 'a')))",
		"e.map(x, e).map(x, x.map(y, e.map(z, e))).size() > 0",
		"e.filter(x, e in [e, e]).size() == 1 || e.all(x, e == e)",
		"[s].map(x, x+x).map(x, x+x).map(x, x+x).map(x, x+x).map(x, x+x).map(x, x+x).map(x, x+x).size() > 0",
		"e.all(x, s.matches('(a?){50}a{50}$'))",
		"e.all(x, s.contains('b') == false)",
	};
	struct buf list = buf_in(a), s = buf_in(a);
	struct variables v = { .n = 2, .names = { STR("e"), STR("s") } };

	for (int i = 0; i < 1000; i++)
		buf_printf(&list, "%c%d", i ? ',' : '[', i);
	buf_adds(&list, STR("]"));
	v.json[0] = buf_str(&list);
	buf_adds(&s, STR("\""));
	for (int i = 0; i < 1000000; i++)
		buf_addc(&s, 'a');
	buf_adds(&s, STR("\""));
	v.json[1] = buf_str(&s);
	for (size_t i = 0; i < sizeof(rules) / sizeof(*rules); i++) {
		struct arena *call = arena_new();
		int64_t begin = clock_ns();
		struct str got;

		arena_on_oom(call, &no_memory);
		got = outcome(call, str_of(rules[i]), &v);
		ck_assert_msg(str_find(got, STR("too many steps")) > 0, "%s " STR_FMT, rules[i], STR_ARG(got));
		ck_assert_msg(clock_ns() - begin < 5000000000, "%s takes %lld ms", rules[i],
			      (long long)(clock_ns() - begin) / 1000000);
		ck_assert_msg(arena_size(call) < 200u << 20, "%s takes %zu MiB", rules[i], arena_size(call) >> 20);
		arena_unref(call);
	}
}
END_TEST

/* ---- Values from outside ---- */

START_TEST(the_result_must_be_bool)
{
	struct cel_fault fault;
	struct str error;
	int value;

	ck_assert_int_eq(cel_eval_bool(cel_compile(a, STR("1 < 2"), &fault), a, NULL, &value, &error), 0);
	ck_assert_int_eq(value, 1);
	ck_assert_int_eq(cel_eval_bool(cel_compile(a, STR("!(1 < 2)"), &fault), a, NULL, &value, &error), 0);
	ck_assert_int_eq(value, 0);
	ck_assert_int_eq(cel_eval_bool(cel_compile(a, STR("'true'"), &fault), a, NULL, &value, &error), -1);
	ck_assert(str_is(error, "the result is no bool but a value of type string"));
	ck_assert_int_eq(cel_eval_bool(cel_compile(a, STR("e.x"), &fault), a, NULL, &value, &error), -1);
	ck_assert(str_is(error, "1:1: there is no variable 'e'"));
	ck_assert_int_eq(cel_may_be_bool(cel_compile(a, STR("'true'"), &fault)), 0);
	ck_assert_int_eq(cel_may_be_bool(cel_compile(a, STR("e.x"), &fault)), 1);
	ck_assert_int_eq(cel_may_be_bool(cel_compile(a, STR("size(e) > 1"), &fault)), 1);
}
END_TEST

static const char *const bad_json[] = { "{\"a\": 1", "{\"a\": 1}x", "{\"a\" 1}", "[1,]",
					"",	     "nul",	    "\"a",	 "{\"a\": [1, }" };

START_TEST(bad_json_is_an_error_and_not_a_value)
{
	static const char *const rules[] = { "e.a == 1.0",     "has(e.a)",  "e == e && size(e) == 0", "'a' in e",
					     "e.all(x, true)", "e[0] == 1", "size(e + e) == 0" };

	for (size_t i = 0; i < sizeof(bad_json) / sizeof(*bad_json); i++)
		for (size_t k = 0; k < sizeof(rules) / sizeof(*rules); k++) {
			struct variables v = { .n = 1, .names[0] = STR("e"), .json[0] = str_of(bad_json[i]) };
			struct str got = outcome(a, str_of(rules[k]), &v);

			ck_assert_msg(str_starts(got, STR("fails")), "%s of %s: " STR_FMT, rules[k], bad_json[i],
				      STR_ARG(got));
		}
}
END_TEST

/* Only what is looked into is read: the rest may be a number that no double holds. */
START_TEST(json_is_read_where_it_is_looked_into)
{
	struct variables v = { .n = 1, .names[0] = STR("e"), .json[0] = STR("{\"a\": 1e999, \"b\": 2, \"b\": 3}") };

	ck_assert(str_is(outcome(a, STR("e.b"), &v), "= 3.0"));
	ck_assert(str_is(outcome(a, STR("size(e)"), &v), "= 2"));
	ck_assert(str_starts(outcome(a, STR("e.a"), &v), STR("fails 1:2: a number in the JSON is out of range")));
}
END_TEST

START_TEST(maps_find_among_many)
{
	struct cel_map *m = cel_map_new(a);
	struct cel_value v;

	for (int round = 0; round < 2; round++)
		for (int i = 0; i < 5000; i++) {
			ck_assert_int_eq(cel_map_put(m, cel_int(i), cel_int(i + round)), 0);
			ck_assert_int_eq(cel_map_put(m, cel_string(arena_printf(a, "%d", i)), cel_int(-i)), 0);
		}
	ck_assert_uint_eq(cel_map_size(m), 10000);
	for (int i = 0; i < 5000; i++) {
		ck_assert(cel_map_find(m, cel_uint((uint64_t)i), &v) && v.i == i + 1);
		ck_assert(cel_map_find(m, cel_double(i), &v) && v.i == i + 1);
		ck_assert(cel_map_find(m, cel_string(arena_printf(a, "%d", i)), &v) && v.i == -i);
	}
	ck_assert_int_eq(cel_map_find(m, cel_int(5000), &v), 0);
	ck_assert_int_eq(cel_map_put(m, cel_bytes(STR("x")), v), -1);
	ck_assert_int_eq(cel_map_put(m, cel_list_value(cel_list_new(a)), v), -1);
}
END_TEST

/* ---- Threads ---- */

struct shared {
	const struct cel *c;
	int wrong;
};

static void *evaluates(void *arg)
{
	struct shared *s = arg;

	for (int i = 0; i < 2000; i++) {
		struct arena *call = arena_new();
		struct variables v = { .n = 1, .names[0] = STR("event"), .a = call };
		struct cel_env env = { lookup, &v };
		struct str error;
		int value = -1;

		v.json[0] = i % 2 ? STR("{\"type\": \"order.new\", \"data\": [1, 2]}") : STR("{\"type\": \"x\"}");
		if (cel_eval_bool(s->c, call, &env, &value, &error) < 0 || value != i % 2)
			s->wrong++;
		arena_unref(call);
	}
	arena_drop_stock();
	return NULL;
}

START_TEST(threads_share_an_expression)
{
	struct cel_fault fault;
	struct shared s[4];
	pthread_t threads[4];
	struct cel *c = cel_compile(
		a, STR("event.type.matches('^order\\\\.') && event.data.exists(x, x in [2, 3] && type(x) == double)"),
		&fault);

	ck_assert_msg(c != NULL, STR_FMT, STR_ARG(fault.message));
	for (int i = 0; i < 4; i++) {
		s[i] = (struct shared){ .c = c };
		ck_assert_int_eq(pthread_create(&threads[i], NULL, evaluates, &s[i]), 0);
	}
	for (int i = 0; i < 4; i++) {
		pthread_join(threads[i], NULL);
		ck_assert_int_eq(s[i].wrong, 0);
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("cel");
	TCase *t = tcase_create("cel");

	tcase_set_timeout(t, 120);
	tcase_add_checked_fixture(t, set_up, tear_down);
	tcase_add_test(t, expressions_give_what_the_table_says);
	tcase_add_test(t, depth_is_bounded);
	tcase_add_test(t, deep_json_is_compared);
	tcase_add_test(t, chains_of_logic_may_be_long);
	tcase_add_test(t, text_is_bounded);
	tcase_add_test(t, steps_are_bounded);
	tcase_add_test(t, the_result_must_be_bool);
	tcase_add_test(t, bad_json_is_an_error_and_not_a_value);
	tcase_add_test(t, json_is_read_where_it_is_looked_into);
	tcase_add_test(t, maps_find_among_many);
	tcase_add_test(t, threads_share_an_expression);
	suite_add_tcase(s, t);
	SRunner *r = srunner_create(s);

	srunner_run_all(r, CK_NORMAL);
	int failed = srunner_ntests_failed(r);

	srunner_free(r);
	return failed ? 1 : 0;
}
