/* SPDX-License-Identifier: Apache-2.0 */
/* Values of one type from values of another, and numbers in text as Go reads and writes them. */
#include <stdlib.h>

#include "base/banned.h"
#include "base/duration.h"
#include "cel/functions.h"

#define SECOND INT64_C(1000000000)
#define DIGITS 17 /* that a double needs at most */

/* ---- Doubles to text ---- */

/* Significant digits without zeros at the end, and the power of ten behind the first: 0.00120 is "12" and -3. */
struct digits {
	char text[DIGITS + 8];
	int n, exponent, negative;
};

/* The fewest digits that read back as d, which is finite. */
static struct digits shortest(double d)
{
	struct digits r = { .negative = __builtin_signbit(d) != 0 };
	char text[DIGITS + 16], *e;

	for (int more = 0; more < DIGITS; more++) {
		snprintf(text, sizeof(text), "%.*e", more, r.negative ? -d : d);
		if (strtod(text, NULL) == (r.negative ? -d : d))
			break;
	}
	e = strchr(text, 'e');
	r.exponent = (int)strtol(e + 1, NULL, 10);
	for (char *p = text; p < e; p++)
		if (*p != '.')
			r.text[r.n++] = *p;
	while (r.n > 1 && r.text[r.n - 1] == '0')
		r.n--;
	r.text[r.n] = '\0';
	return r;
}

static int special(double d, struct str *ret_text)
{
	if (d - d == 0)
		return 0;
	*ret_text = d != d ? STR("NaN") : d > 0 ? STR("+Inf") : STR("-Inf");
	return 1;
}

static void put_plain(struct buf *b, const struct digits *d)
{
	if (d->exponent < 0)
		buf_adds(b, STR("0."));
	for (int i = d->exponent; i < -1; i++)
		buf_addc(b, '0');
	for (int i = 0; i < d->n || i <= d->exponent; i++) {
		if (i == d->exponent + 1 && i > 0 && d->exponent >= 0)
			buf_addc(b, '.');
		buf_addc(b, i < d->n ? d->text[i] : '0');
	}
}

struct str cel_double_plain(struct arena *a, double d)
{
	struct buf b = buf_in(a);
	struct digits digits;
	struct str text;

	if (special(d, &text))
		return text;
	digits = shortest(d);
	if (digits.negative)
		buf_addc(&b, '-');
	put_plain(&b, &digits);
	return buf_str(&b);
}

struct str cel_double_text(struct arena *a, double d)
{
	struct buf b = buf_in(a);
	struct digits digits;
	struct str text;

	if (special(d, &text))
		return text;
	digits = shortest(d);
	if (digits.exponent >= -4 && digits.exponent < 6)
		return cel_double_plain(a, d);
	if (digits.negative)
		buf_addc(&b, '-');
	buf_addc(&b, digits.text[0]);
	if (digits.n > 1)
		buf_printf(&b, ".%s", digits.text + 1);
	buf_printf(&b, "e%c%02d", digits.exponent < 0 ? '-' : '+', abs(digits.exponent));
	return buf_str(&b);
}

/* ---- Text to doubles ---- */

static int is_digit_of(char c, int hex)
{
	return (c >= '0' && c <= '9') || (hex && (c | 32) >= 'a' && (c | 32) <= 'f');
}

/* Digits, with single underscores between them that are left out; their number. */
static size_t take_digits(struct str *s, int hex, int after_prefix, struct buf *b)
{
	size_t n = 0;

	while (s->n > 0) {
		int bar = s->p[0] == '_' && (n > 0 || after_prefix) && s->n > 1 && is_digit_of(s->p[1], hex);

		if (!bar && !is_digit_of(s->p[0], hex))
			break;
		if (!bar) {
			buf_addc(b, s->p[0]);
			n++;
		}
		*s = str_from(*s, 1);
	}
	return n;
}

static int take(struct str *s, char lower, struct buf *b)
{
	if (s->n == 0 || (s->p[0] | 32) != (lower | 32))
		return 0;
	buf_addc(b, s->p[0]);
	*s = str_from(*s, 1);
	return 1;
}

/* A number by Go's syntax, decimal or hexadecimal, into b without its underscores. -1: it is none. */
static int take_number(struct str s, struct buf *b)
{
	int hex = s.n > 2 && s.p[0] == '0' && (s.p[1] | 32) == 'x';
	size_t n;

	if (hex) {
		buf_adds(b, STR("0x"));
		s = str_from(s, 2);
	}
	n = take_digits(&s, hex, hex, b);
	if (take(&s, '.', b))
		n += take_digits(&s, hex, 0, b);
	if (n == 0)
		return -1;
	if (take(&s, hex ? 'p' : 'e', b)) {
		if (!take(&s, '-', b))
			take(&s, '+', b);
		if (take_digits(&s, 0, 0, b) == 0)
			return -1;
	} else if (hex) {
		return -1;
	}
	return s.n == 0 ? 0 : -1;
}

int cel_double_parse(struct arena *a, struct str s, double *ret_value)
{
	struct str rest = s.n && (s.p[0] == '-' || s.p[0] == '+') ? str_from(s, 1) : s;
	int negative = s.n && s.p[0] == '-';
	struct buf b = buf_in(a);
	double d;

	if (str_ieq(s, STR("nan"))) {
		*ret_value = __builtin_nan("");
		return 0;
	}
	if (str_ieq(rest, STR("inf")) || str_ieq(rest, STR("infinity"))) {
		*ret_value = negative ? -__builtin_inf() : __builtin_inf();
		return 0;
	}
	if (take_number(rest, &b) < 0)
		return -1;
	d = strtod(buf_str(&b).p, NULL);
	if (d - d != 0)
		return -1;
	*ret_value = negative ? -d : d;
	return 0;
}

/* ---- Functions ---- */

/* Without what the value is: it comes from an event, and the sentence goes into a log. */
static struct cel_value cannot(struct cel_eval *e, const struct cel_call *c)
{
	const char *type = c->node->function->name;

	if (c->args[0].kind == CEL_STRING)
		return cel_error(e, "the string does not read as a value of type %s", type);
	return cel_error(e, "the value of type %s does not fit the type %s", cel_name_of(c->args[0]), type);
}

struct cel_value cel_run_type(struct cel_eval *e, const struct cel_call *c)
{
	(void)e;
	return (struct cel_value){ .kind = CEL_TYPE, .s = str_of(cel_kind_name(c->args[0].kind)) };
}

struct cel_value cel_run_dyn(struct cel_eval *e, const struct cel_call *c)
{
	(void)e;
	return c->args[0];
}

struct cel_value cel_run_bool(struct cel_eval *e, const struct cel_call *c)
{
	int b;

	if (c->args[0].kind == CEL_BOOL)
		return c->args[0];
	if (c->args[0].kind != CEL_STRING)
		return cel_no_overload(e, c);
	return str_bool(c->args[0].s, &b) < 0 ? cannot(e, c) : cel_bool(b);
}

struct cel_value cel_run_bytes(struct cel_eval *e, const struct cel_call *c)
{
	if (c->args[0].kind == CEL_BYTES || c->args[0].kind == CEL_STRING)
		return cel_bytes(c->args[0].s);
	return cel_no_overload(e, c);
}

struct cel_value cel_run_double(struct cel_eval *e, const struct cel_call *c)
{
	struct cel_value v = c->args[0];
	struct cel_value over;

	switch (v.kind) {
	case CEL_DOUBLE: return v;
	case CEL_INT: return cel_double((double)v.i);
	case CEL_UINT: return cel_double((double)v.u);
	case CEL_STRING:
		if (!cel_spend(e, CEL_SPEND_BYTES(v.s.n), &over))
			return over;
		return cel_double_parse(e->a, v.s, &v.d) < 0 ? cannot(e, c) : cel_double(v.d);
	default: return cel_no_overload(e, c);
	}
}

struct cel_value cel_run_duration(struct cel_eval *e, const struct cel_call *c)
{
	struct cel_value v = c->args[0];
	int64_t ns;

	if (v.kind == CEL_DURATION)
		return v;
	if (v.kind == CEL_INT)
		return cel_error(e, "an int is no duration; a string with its unit is"); /* as in cel-go */
	if (v.kind != CEL_STRING)
		return cel_no_overload(e, c);
	if (duration_parse(v.s, &ns) < 0)
		return cannot(e, c);
	return (struct cel_value){ .kind = CEL_DURATION, .i = ns };
}

/* As Go's ParseInt does, without the underscores that only literals may have. */
struct cel_value cel_run_int(struct cel_eval *e, const struct cel_call *c)
{
	struct cel_value v = c->args[0];
	int64_t i;

	switch (v.kind) {
	case CEL_INT: return v;
	case CEL_DURATION: return cel_int(v.i);
	case CEL_TIMESTAMP: return cel_int(v.time.s);
	case CEL_UINT: return v.u > INT64_MAX ? cannot(e, c) : cel_int((int64_t)v.u);
	case CEL_DOUBLE: return cel_double_to_int(v.d, &i) < 0 ? cannot(e, c) : cel_int(i);
	case CEL_STRING: return str_int(v.s, &i) < 0 ? cannot(e, c) : cel_int(i);
	default: return cel_no_overload(e, c);
	}
}

static int parse_uint(struct str s, uint64_t *ret_value)
{
	uint64_t v = 0;

	for (size_t i = 0; i < s.n; i++) {
		unsigned d = (unsigned char)s.p[i] - '0';

		if (d > 9 || v > (UINT64_MAX - d) / 10)
			return -1;
		v = v * 10 + d;
	}
	*ret_value = v;
	return s.n ? 0 : -1;
}

struct cel_value cel_run_uint(struct cel_eval *e, const struct cel_call *c)
{
	struct cel_value v = c->args[0];
	uint64_t u;

	switch (v.kind) {
	case CEL_UINT: return v;
	case CEL_INT: return v.i < 0 ? cannot(e, c) : cel_uint((uint64_t)v.i);
	case CEL_DOUBLE: return cel_double_to_uint(v.d, &u) < 0 ? cannot(e, c) : cel_uint(u);
	case CEL_STRING: return parse_uint(v.s, &u) < 0 ? cannot(e, c) : cel_uint(u);
	default: return cel_no_overload(e, c);
	}
}

struct cel_value cel_run_string(struct cel_eval *e, const struct cel_call *c)
{
	struct cel_value v = c->args[0], over;

	switch (v.kind) {
	case CEL_STRING: return v;
	case CEL_BOOL: return cel_string(v.b ? STR("true") : STR("false"));
	case CEL_INT: return cel_string(arena_printf(e->a, "%lld", (long long)v.i));
	case CEL_UINT: return cel_string(arena_printf(e->a, "%llu", (unsigned long long)v.u));
	case CEL_DOUBLE: return cel_string(cel_double_text(e->a, v.d));
	case CEL_TIMESTAMP: return cel_string(cel_time_text(e->a, v));
	case CEL_DURATION:
		v.d = (double)(v.i / SECOND) + (double)(v.i % SECOND) / 1e9;
		return cel_string(arena_printf(e->a, STR_FMT "s", STR_ARG(cel_double_plain(e->a, v.d))));
	case CEL_BYTES:
		if (!cel_spend(e, CEL_SPEND_BYTES(v.s.n), &over))
			return over;
		return str_utf8(v.s) ? cel_string(v.s) : cel_error(e, "these bytes are not UTF-8");
	default: return cel_no_overload(e, c);
	}
}

struct cel_value cel_run_timestamp(struct cel_eval *e, const struct cel_call *c)
{
	struct cel_value v = c->args[0];
	int done;

	if (v.kind == CEL_TIMESTAMP)
		return v;
	if (v.kind == CEL_INT && (v.i < CEL_TIME_MIN || v.i > CEL_TIME_MAX))
		return cel_error(e, "a timestamp lies between the years 1 and 9999");
	if (v.kind == CEL_INT)
		return (struct cel_value){ .kind = CEL_TIMESTAMP, .time.s = v.i };
	if (v.kind != CEL_STRING)
		return cel_no_overload(e, c);
	done = cel_time_parse(v.s, &v);
	if (done == -2)
		return cel_error(e, "a timestamp lies between the years 1 and 9999");
	return done < 0 ? cannot(e, c) : v;
}
