/* SPDX-License-Identifier: Apache-2.0 */
/* + - * / % and the two signs. Whole numbers never wrap round: what does not fit is an error. */
#include "base/banned.h"
#include "cel/functions.h"

static struct cel_value overflow(struct cel_eval *e, enum cel_kind k)
{
	return cel_error(e, "the result does not fit the type %s", k == CEL_DURATION ? "duration" : cel_kind_name(k));
}

/* 1: both are of that kind. */
static int both(const struct cel_call *c, enum cel_kind k)
{
	return c->args[0].kind == k && c->args[1].kind == k;
}

struct cel_value cel_run_not(struct cel_eval *e, const struct cel_call *c)
{
	return c->args[0].kind == CEL_BOOL ? cel_bool(!c->args[0].b) : cel_no_overload(e, c);
}

struct cel_value cel_run_negate(struct cel_eval *e, const struct cel_call *c)
{
	struct cel_value v = c->args[0];

	if (v.kind == CEL_DOUBLE)
		return cel_double(-v.d);
	if (v.kind != CEL_INT && v.kind != CEL_DURATION)
		return cel_no_overload(e, c);
	if (v.i == INT64_MIN)
		return overflow(e, v.kind);
	v.i = -v.i;
	return v;
}

static struct cel_value join_text(struct cel_eval *e, struct cel_value a, struct cel_value b)
{
	struct cel_value over;
	char *p;

	if (!cel_spend(e, CEL_SPEND_BYTES(a.s.n) + CEL_SPEND_BYTES(b.s.n), &over))
		return over;
	p = arena_alloc(e->a, a.s.n + b.s.n + 1);
	memcpy(p, a.s.n ? a.s.p : "", a.s.n);
	memcpy(p + a.s.n, b.s.n ? b.s.p : "", b.s.n);
	p[a.s.n + b.s.n] = '\0';
	a.s = (struct str){ p, a.s.n + b.s.n };
	return a;
}

static struct cel_value join_lists(struct cel_eval *e, struct cel_list *a, struct cel_list *b)
{
	struct cel_list *both_of_them, *parts[2] = { a, b };
	struct cel_value over;

	for (int k = 0; k < 2; k++)
		if (cel_list_fault(parts[k]))
			return cel_error(e, "the JSON is not well-formed: %s", cel_list_fault(parts[k]));
	if (!cel_spend(e, cel_list_size(a) + cel_list_size(b), &over))
		return over;
	both_of_them = cel_list_new(e->a);
	for (int k = 0; k < 2; k++)
		for (size_t i = 0; i < cel_list_size(parts[k]); i++)
			cel_list_add(both_of_them, cel_list_get(parts[k], i));
	return cel_list_value(both_of_them);
}

struct cel_value cel_run_add(struct cel_eval *e, const struct cel_call *c)
{
	struct cel_value a = c->args[0], b = c->args[1];
	int64_t i;
	uint64_t u;

	if (a.kind == CEL_TIMESTAMP && b.kind == CEL_DURATION)
		return cel_time_add(e, a, b.i, 0);
	if (a.kind == CEL_DURATION && b.kind == CEL_TIMESTAMP)
		return cel_time_add(e, b, a.i, 0);
	if (a.kind != b.kind)
		return cel_no_overload(e, c);
	switch (a.kind) {
	case CEL_DOUBLE: return cel_double(a.d + b.d);
	case CEL_INT:
	case CEL_DURATION:
		if (__builtin_add_overflow(a.i, b.i, &i))
			return overflow(e, a.kind);
		a.i = i;
		return a;
	case CEL_UINT: return __builtin_add_overflow(a.u, b.u, &u) ? overflow(e, CEL_UINT) : cel_uint(u);
	case CEL_STRING:
	case CEL_BYTES: return join_text(e, a, b);
	case CEL_LIST: return join_lists(e, a.list, b.list);
	default: return cel_no_overload(e, c);
	}
}

struct cel_value cel_run_subtract(struct cel_eval *e, const struct cel_call *c)
{
	struct cel_value a = c->args[0], b = c->args[1];
	int64_t i;
	uint64_t u;

	if (a.kind == CEL_TIMESTAMP && b.kind == CEL_DURATION)
		return cel_time_add(e, a, b.i, 1);
	if (a.kind != b.kind)
		return cel_no_overload(e, c);
	switch (a.kind) {
	case CEL_DOUBLE: return cel_double(a.d - b.d);
	case CEL_INT:
	case CEL_DURATION:
		if (__builtin_sub_overflow(a.i, b.i, &i))
			return overflow(e, a.kind);
		a.i = i;
		return a;
	case CEL_UINT: return __builtin_sub_overflow(a.u, b.u, &u) ? overflow(e, CEL_UINT) : cel_uint(u);
	case CEL_TIMESTAMP: return cel_time_subtract(e, a, b);
	default: return cel_no_overload(e, c);
	}
}

struct cel_value cel_run_multiply(struct cel_eval *e, const struct cel_call *c)
{
	struct cel_value a = c->args[0], b = c->args[1];
	int64_t i;
	uint64_t u;

	if (both(c, CEL_DOUBLE))
		return cel_double(a.d * b.d);
	if (both(c, CEL_INT))
		return __builtin_mul_overflow(a.i, b.i, &i) ? overflow(e, CEL_INT) : cel_int(i);
	if (both(c, CEL_UINT))
		return __builtin_mul_overflow(a.u, b.u, &u) ? overflow(e, CEL_UINT) : cel_uint(u);
	return cel_no_overload(e, c);
}

static struct cel_value by_zero(struct cel_eval *e)
{
	return cel_error(e, "division by zero");
}

struct cel_value cel_run_divide(struct cel_eval *e, const struct cel_call *c)
{
	struct cel_value a = c->args[0], b = c->args[1];

	if (both(c, CEL_DOUBLE))
		return cel_double(a.d / b.d);
	if (both(c, CEL_UINT))
		return b.u ? cel_uint(a.u / b.u) : by_zero(e);
	if (!both(c, CEL_INT))
		return cel_no_overload(e, c);
	if (b.i == 0)
		return by_zero(e);
	return a.i == INT64_MIN && b.i == -1 ? overflow(e, CEL_INT) : cel_int(a.i / b.i);
}

struct cel_value cel_run_modulo(struct cel_eval *e, const struct cel_call *c)
{
	struct cel_value a = c->args[0], b = c->args[1];

	if (both(c, CEL_UINT))
		return b.u ? cel_uint(a.u % b.u) : by_zero(e);
	if (!both(c, CEL_INT))
		return cel_no_overload(e, c);
	if (b.i == 0)
		return by_zero(e);
	return a.i == INT64_MIN && b.i == -1 ? overflow(e, CEL_INT) : cel_int(a.i % b.i);
}
