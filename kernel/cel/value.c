/* SPDX-License-Identifier: Apache-2.0 */
/* What values are to each other: equal, before or behind. Numbers of the three kinds compare by value. */
#include "base/banned.h"
#include "cel/inside.h"

#define TWO_63 9223372036854775808.0
#define TWO_64 18446744073709551616.0

static const char *const kind_names[] = {
	[CEL_NULL] = "null_type",
	[CEL_BOOL] = "bool",
	[CEL_INT] = "int",
	[CEL_UINT] = "uint",
	[CEL_DOUBLE] = "double",
	[CEL_STRING] = "string",
	[CEL_BYTES] = "bytes",
	[CEL_LIST] = "list",
	[CEL_MAP] = "map",
	[CEL_TIMESTAMP] = "google.protobuf.Timestamp",
	[CEL_DURATION] = "google.protobuf.Duration",
	[CEL_TYPE] = "type",
	[CEL_ERROR] = "error",
};

const char *cel_kind_name(enum cel_kind k)
{
	return kind_names[k];
}

const char *cel_name_of(struct cel_value v)
{
	switch (v.kind) {
	case CEL_TIMESTAMP: return "timestamp";
	case CEL_DURATION: return "duration";
	case CEL_NULL: return "null";
	default: return kind_names[v.kind];
	}
}

struct str cel_key_text(struct arena *a, struct cel_value key)
{
	switch (key.kind) {
	case CEL_STRING:
	case CEL_TYPE: return arena_printf(a, "'" STR_FMT "'", STR_ARG(str_upto(key.s, 60)));
	case CEL_INT: return arena_printf(a, "%lld", (long long)key.i);
	case CEL_UINT: return arena_printf(a, "%llu", (unsigned long long)key.u);
	case CEL_DOUBLE: return cel_double_text(a, key.d);
	case CEL_BOOL: return key.b ? STR("true") : STR("false");
	default: return arena_printf(a, "of kind %s", cel_name_of(key));
	}
}

/* ---- Numbers ---- */

int cel_double_to_int(double d, int64_t *ret_value)
{
	if (!(d > -TWO_63 && d < TWO_63))
		return -1;
	*ret_value = (int64_t)d;
	return 0;
}

int cel_double_to_uint(double d, uint64_t *ret_value)
{
	if (!(d >= 0 && d < TWO_64))
		return -1;
	*ret_value = (uint64_t)d;
	return 0;
}

static int is_number(struct cel_value v)
{
	return v.kind == CEL_INT || v.kind == CEL_UINT || v.kind == CEL_DOUBLE;
}

static int is_nan(struct cel_value v)
{
	return v.kind == CEL_DOUBLE && v.d != v.d;
}

static double as_double(struct cel_value v)
{
	return v.kind == CEL_INT ? (double)v.i : v.kind == CEL_UINT ? (double)v.u : v.d;
}

#define ORDER(x, y) (((x) > (y)) - ((x) < (y)))

/* Neither is a NaN. Beside a double the other one is rounded to a double, as in cel-go. */
static int compare_numbers(struct cel_value a, struct cel_value b)
{
	if (a.kind == CEL_DOUBLE || b.kind == CEL_DOUBLE)
		return ORDER(as_double(a), as_double(b));
	if (a.kind == CEL_INT && b.kind == CEL_INT)
		return ORDER(a.i, b.i);
	if (a.kind == CEL_INT && a.i < 0)
		return -1;
	if (b.kind == CEL_INT && b.i < 0)
		return 1;
	return ORDER(a.u, b.u); /* the bits of an int that is not negative are those of the uint */
}

static int compare_times(struct cel_value a, struct cel_value b)
{
	return a.time.s != b.time.s ? ORDER(a.time.s, b.time.s) : ORDER(a.time.ns, b.time.ns);
}

int cel_compare(struct cel_value a, struct cel_value b, int *ret_order)
{
	if (is_number(a) && is_number(b)) {
		if (is_nan(a) || is_nan(b))
			return -2;
		*ret_order = compare_numbers(a, b);
		return 0;
	}
	if (a.kind != b.kind)
		return -1;
	switch (a.kind) {
	case CEL_BOOL: *ret_order = a.b - b.b; return 0;
	case CEL_STRING:
	case CEL_BYTES: *ret_order = str_cmp(a.s, b.s); return 0;
	case CEL_DURATION: *ret_order = ORDER(a.i, b.i); return 0;
	case CEL_TIMESTAMP: *ret_order = compare_times(a, b); return 0;
	default: return -1;
	}
}

/* ---- Equality ---- */

/* Of values that hold no others; anything else is not equal. */
static int equal_scalars(struct cel_value a, struct cel_value b)
{
	if (is_number(a) && is_number(b))
		return !is_nan(a) && !is_nan(b) && compare_numbers(a, b) == 0;
	if (a.kind != b.kind)
		return 0;
	switch (a.kind) {
	case CEL_NULL: return 1;
	case CEL_BOOL: return a.b == b.b;
	case CEL_STRING:
	case CEL_BYTES:
	case CEL_TYPE: return str_eq(a.s, b.s);
	case CEL_DURATION: return a.i == b.i;
	case CEL_TIMESTAMP: return compare_times(a, b) == 0;
	default: return 0;
	}
}

/* Two lists or two maps that are being gone through: on the heap of the evaluation, since JSON nests deeper than a stack. */
struct cel_pair {
	struct cel_value a, b;
	size_t at, n;
};

static int is_container(struct cel_value v)
{
	return v.kind == CEL_LIST || v.kind == CEL_MAP;
}

static size_t size_of(struct cel_value v)
{
	return v.kind == CEL_LIST ? cel_list_size(v.list) : cel_map_size(v.map);
}

/* 0: they cannot be equal. */
static int push(struct cel_eval *e, struct cel_value a, struct cel_value b)
{
	size_t n = size_of(a);
	struct cel_value over;

	if (a.kind != b.kind || n != size_of(b) || !cel_spend(e, n, &over))
		return 0;
	if (e->npairs == e->cappairs) {
		size_t more = e->cappairs ? 2 * e->cappairs : 8;

		e->pairs = arena_grow(e->a, e->pairs, e->cappairs * sizeof(*e->pairs), more * sizeof(*e->pairs));
		e->cappairs = more;
	}
	e->pairs[e->npairs++] = (struct cel_pair){ a, b, 0, n };
	return 1;
}

/* The next two values to compare; 0: the second map has none like that. */
static int next_of(struct cel_pair *p, struct cel_value *ret_a, struct cel_value *ret_b)
{
	size_t i = p->at++;

	if (p->a.kind == CEL_LIST) {
		*ret_a = cel_list_get(p->a.list, i);
		*ret_b = cel_list_get(p->b.list, i);
		return 1;
	}
	*ret_a = cel_map_get(p->a.map, i);
	return cel_map_find(p->b.map, cel_map_key(p->a.map, i), ret_b);
}

int cel_equal(struct cel_eval *e, struct cel_value a, struct cel_value b)
{
	e->npairs = 0;
	if (!is_container(a) || !is_container(b))
		return equal_scalars(a, b);
	if (!push(e, a, b))
		return 0;
	while (e->npairs > 0) {
		struct cel_pair *p = &e->pairs[e->npairs - 1];

		if (p->at == p->n)
			e->npairs--;
		else if (!next_of(p, &a, &b))
			return 0;
		else if (!(is_container(a) && is_container(b) ? push(e, a, b) : equal_scalars(a, b)))
			return 0;
	}
	return 1;
}

int cel_key_is(struct cel_value a, struct cel_value b)
{
	if (a.kind != b.kind)
		return 0;
	switch (a.kind) {
	case CEL_INT: return a.i == b.i;
	case CEL_UINT: return a.u == b.u;
	case CEL_DOUBLE: return a.d == b.d;
	default: return equal_scalars(a, b);
	}
}
