/* SPDX-License-Identifier: Apache-2.0 */
/* The table of operators and functions, and those on text and collections. Arithmetic and conversions: beside. */
#include "base/banned.h"
#include "cel/functions.h"

/* ---- Comparisons ---- */

static struct cel_value equal(struct cel_eval *e, const struct cel_call *c)
{
	return cel_bool(cel_equal(e, c->args[0], c->args[1]));
}

static struct cel_value not_equal(struct cel_eval *e, const struct cel_call *c)
{
	return cel_bool(!cel_equal(e, c->args[0], c->args[1]));
}

/* < <= > >=: which orders it is true of stands in its name. */
static struct cel_value compare(struct cel_eval *e, const struct cel_call *c)
{
	const char *name = c->node->function->name;
	int order, done = cel_compare(c->args[0], c->args[1], &order);

	if (done == -2)
		return cel_error(e, "a NaN is neither before nor behind anything");
	if (done < 0)
		return cel_no_overload(e, c);
	return cel_bool((order == 0 && name[1] == '=') || (order < 0 && name[0] == '<') ||
			(order > 0 && name[0] == '>'));
}

/* ---- Collections ---- */

static struct cel_value in(struct cel_eval *e, const struct cel_call *c)
{
	if (c->args[1].kind != CEL_LIST && c->args[1].kind != CEL_MAP)
		return cel_no_overload(e, c);
	return cel_in(e, c->args[0], c->args[1]);
}

static struct cel_value at_index(struct cel_eval *e, const struct cel_call *c)
{
	return cel_get(e, c->args[0], c->args[1]);
}

/* Characters of UTF-8; a byte that is none counts as one. */
static int64_t characters(struct str s)
{
	int64_t n = 0;
	size_t width;

	for (size_t i = 0; i < s.n; i += width, n++) {
		unsigned char c = (unsigned char)s.p[i];

		width = c < 0xc2 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
		if (width > s.n - i || !str_utf8(str_upto(str_from(s, i), width)))
			width = 1;
	}
	return n;
}

static struct cel_value size(struct cel_eval *e, const struct cel_call *c)
{
	struct cel_value v = c->args[0], over;
	const char *fault = NULL;

	switch (v.kind) {
	case CEL_STRING:
		if (!cel_spend(e, CEL_SPEND_BYTES(v.s.n), &over))
			return over;
		return cel_int(characters(v.s));
	case CEL_BYTES: return cel_int((int64_t)v.s.n);
	case CEL_LIST: fault = cel_list_fault(v.list); break;
	case CEL_MAP: fault = cel_map_fault(v.map); break;
	default: return cel_no_overload(e, c);
	}
	if (fault)
		return cel_error(e, "the JSON is not well-formed: %s", fault);
	return cel_int((int64_t)(v.kind == CEL_LIST ? cel_list_size(v.list) : cel_map_size(v.map)));
}

/* ---- Text ---- */

static struct cel_value text_test(struct cel_eval *e, const struct cel_call *c, int (*test)(struct str, struct str))
{
	struct cel_value over;

	if (c->args[0].kind != CEL_STRING || c->args[1].kind != CEL_STRING)
		return cel_no_overload(e, c);
	if (!cel_spend(e, CEL_SPEND_BYTES(c->args[0].s.n), &over))
		return over;
	return cel_bool(test(c->args[0].s, c->args[1].s));
}

static int has_inside(struct str s, struct str part)
{
	return str_find(s, part) >= 0;
}

static struct cel_value contains(struct cel_eval *e, const struct cel_call *c)
{
	return text_test(e, c, has_inside);
}

static struct cel_value ends_with(struct cel_eval *e, const struct cel_call *c)
{
	return text_test(e, c, str_ends);
}

static struct cel_value starts_with(struct cel_eval *e, const struct cel_call *c)
{
	return text_test(e, c, str_starts);
}

static struct cel_value matches(struct cel_eval *e, const struct cel_call *c)
{
	const struct regex *re = c->node->regex;
	struct str why = c->node->broken;
	struct cel_value over;
	int found;

	if (c->args[0].kind != CEL_STRING || c->args[1].kind != CEL_STRING)
		return cel_no_overload(e, c);
	if (!re && !why.n) {
		if (!cel_spend(e, CEL_SPEND_BYTES(c->args[1].s.n) + 100, &over))
			return over;
		re = regex_new(e->a, c->args[1].s, &why);
	}
	if (!re)
		return cel_error(e, STR_FMT, STR_ARG(str_upto(why, 1000)));
	/* Each character may meet each instruction. */
	if (!cel_spend(e, c->args[0].s.n / 4 * (regex_size(re) / 16 + 1) + 1, &over))
		return over;
	found = regex_search(re, c->args[0].s);
	return found < 0 ? cel_error(e, "out of memory") : cel_bool(found);
}

/* ---- The table ---- */

#define ORDERED "bb>b ii>b id>b iu>b uu>b ud>b ui>b dd>b di>b du>b ss>b yy>b tt>b rr>b"
#define FIELD ".t>i .ts>i"

static const struct cel_function operators[] = {
	{ "?:", "bAA>A", NULL }, /* eval.c */
	{ "==", "AA>b", equal },
	{ "!=", "AA>b", not_equal },
	{ "<", ORDERED, compare },
	{ "<=", ORDERED, compare },
	{ ">", ORDERED, compare },
	{ ">=", ORDERED, compare },
	{ "in", "AL>b AM>b", in },
	{ "[]", "Li>A MA>B", at_index },
	{ "!", "b>b", cel_run_not },
	{ "-x", "d>d i>i", cel_run_negate },
	{ "+", "yy>y dd>d rr>r rt>t tr>t ii>i LL>L ss>s uu>u", cel_run_add },
	{ "-", "dd>d rr>r ii>i tr>t tt>r uu>u", cel_run_subtract },
	{ "*", "dd>d ii>i uu>u", cel_run_multiply },
	{ "/", "dd>d ii>i uu>u", cel_run_divide },
	{ "%", "ii>i uu>u", cel_run_modulo },
};

static const struct cel_function functions[] = {
	{ "size", "y>i .y>i L>i .L>i M>i .M>i s>i .s>i", size },
	{ "contains", ".ss>b", contains },
	{ "endsWith", ".ss>b", ends_with },
	{ "startsWith", ".ss>b", starts_with },
	{ "matches", "ss>b .ss>b", matches },
	{ "type", "A>T", cel_run_type },
	{ "dyn", "A>D", cel_run_dyn },
	{ "bool", "b>b s>b", cel_run_bool },
	{ "bytes", "y>y s>y", cel_run_bytes },
	{ "double", "d>d i>d s>d u>d", cel_run_double },
	{ "duration", "r>r i>r s>r", cel_run_duration },
	{ "int", "i>i d>i r>i s>i t>i u>i", cel_run_int },
	{ "string", "s>s b>s y>s d>s r>s i>s t>s u>s", cel_run_string },
	{ "timestamp", "t>t i>t s>t", cel_run_timestamp },
	{ "uint", "u>u d>u i>u s>u", cel_run_uint },
	{ "getFullYear", FIELD, cel_run_year },
	{ "getMonth", FIELD, cel_run_month },
	{ "getDayOfYear", FIELD, cel_run_day_of_year },
	{ "getDayOfMonth", FIELD, cel_run_day_of_month },
	{ "getDate", FIELD, cel_run_date },
	{ "getDayOfWeek", FIELD, cel_run_day_of_week },
	{ "getHours", FIELD " .r>i", cel_run_hours },
	{ "getMinutes", FIELD " .r>i", cel_run_minutes },
	{ "getSeconds", FIELD " .r>i", cel_run_seconds },
	{ "getMilliseconds", FIELD " .r>i", cel_run_milliseconds },
};

const struct cel_function *cel_function_named(struct str name)
{
	for (size_t i = 0; i < sizeof(functions) / sizeof(*functions); i++)
		if (str_is(name, functions[i].name))
			return &functions[i];
	return NULL;
}

const struct cel_function *cel_operator(const char *name)
{
	size_t i = 0;

	while (strcmp(operators[i].name, name) != 0)
		i++;
	return &operators[i];
}

struct str cel_function_text(const struct cel_function *f)
{
	return strcmp(f->name, "-x") == 0 ? STR("-") : str_of(f->name);
}
