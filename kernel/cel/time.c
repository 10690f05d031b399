/* SPDX-License-Identifier: Apache-2.0 */
/* Points in time: reading, writing, arithmetic, and their parts in a zone. */
#include "base/banned.h"
#include "cel/functions.h"

#define SECOND INT64_C(1000000000)
#define DAY INT64_C(86400)

/* ---- The calendar ---- */

struct date {
	int64_t year;
	int month, day;	 /* from 1 */
	int day_of_year; /* from 0 */
};

static int is_leap(int64_t year)
{
	return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

static int days_before(int64_t year, int month)
{
	static const int before[] = { 0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334, 365 };

	return before[month - 1] + (month > 2 && is_leap(year));
}

/* Days from 1970 to the first of January; years from 0 on. */
static int64_t days_to_year(int64_t year)
{
	int64_t y = year - 1;

	return 365 * (year - 1970) + (y >= 0 ? y / 4 - y / 100 + y / 400 : -1) - 477;
}

static int64_t floor_div(int64_t a, int64_t b)
{
	return a / b - (a % b < 0);
}

static struct date date_of(int64_t days)
{
	struct date d = { .year = 1970 + floor_div(days, 366) };

	if (d.year < 0)
		d.year = 0;
	while (days_to_year(d.year + 1) <= days)
		d.year += (days - days_to_year(d.year + 1)) / 366 + 1;
	while (days_to_year(d.year) > days)
		d.year--;
	d.day_of_year = (int)(days - days_to_year(d.year));
	d.month = 1;
	while (d.month < 12 && days_before(d.year, d.month + 1) <= d.day_of_year)
		d.month++;
	d.day = d.day_of_year - days_before(d.year, d.month) + 1;
	return d;
}

int64_t cel_time_field(struct cel_value t, int32_t offset, enum cel_field f)
{
	int64_t s = t.time.s + offset, days = floor_div(s, DAY);
	struct date d = date_of(days);

	s -= days * DAY;
	switch (f) {
	case FIELD_YEAR: return d.year;
	case FIELD_MONTH: return d.month - 1;
	case FIELD_DAY_OF_YEAR: return d.day_of_year;
	case FIELD_DAY_OF_MONTH: return d.day - 1;
	case FIELD_DATE: return d.day;
	case FIELD_DAY_OF_WEEK: return (days % 7 + 11) % 7; /* 1970 began on a Thursday */
	case FIELD_HOURS: return s / 3600;
	case FIELD_MINUTES: return s / 60 % 60;
	case FIELD_SECONDS: return s % 60;
	case FIELD_MILLISECONDS: return t.time.ns / 1000000;
	}
	return 0;
}

/* ---- Text ---- */

/* Exactly n digits; -1: they are not there. */
static int number(struct str *s, size_t n)
{
	int v = 0;

	if (s->n < n)
		return -1;
	for (size_t i = 0; i < n; i++) {
		if (s->p[i] < '0' || s->p[i] > '9')
			return -1;
		v = v * 10 + (s->p[i] - '0');
	}
	*s = str_from(*s, n);
	return v;
}

static int is_digit(struct str s, size_t i)
{
	return i < s.n && s.p[i] >= '0' && s.p[i] <= '9';
}

static int sign(struct str *s, char c)
{
	if (s->n == 0 || s->p[0] != c)
		return 0;
	*s = str_from(*s, 1);
	return 1;
}

/* "Z", "+01:30"; -1: neither. A day and an hour are allowed, as in Go. */
static int parse_offset(struct str s, int32_t *ret_offset)
{
	int minus = s.n > 0 && s.p[0] == '-', hours, minutes;

	if (str_is(s, "Z")) {
		*ret_offset = 0;
		return 0;
	}
	if (!sign(&s, '+') && !sign(&s, '-'))
		return -1;
	hours = number(&s, 2);
	if (hours < 0 || hours > 24 || !sign(&s, ':'))
		return -1;
	minutes = number(&s, 2);
	if (minutes < 0 || minutes > 60 || s.n)
		return -1;
	*ret_offset = (minus ? -60 : 60) * (60 * hours + minutes);
	return 0;
}

/* ".5" or ",5": what stands behind the ninth digit does not count. */
static int32_t fraction(struct str *s)
{
	int32_t ns = 0, unit = 100000000;

	if (s->n == 0 || (s->p[0] != '.' && s->p[0] != ',') || !is_digit(*s, 1))
		return 0;
	for (*s = str_from(*s, 1); is_digit(*s, 0); *s = str_from(*s, 1), unit /= 10)
		ns += (s->p[0] - '0') * unit;
	return ns;
}

int cel_time_parse(struct str s, struct cel_value *ret_value)
{
	struct cel_value t = { .kind = CEL_TIMESTAMP };
	int year, month, day, hour, minute, second;

	year = number(&s, 4);
	if (year < 0 || !sign(&s, '-'))
		return -1;
	month = number(&s, 2);
	if (month < 1 || month > 12 || !sign(&s, '-'))
		return -1;
	day = number(&s, 2);
	if (day < 1 || day > days_before(year, month + 1) - days_before(year, month) || !sign(&s, 'T'))
		return -1;
	hour = number(&s, is_digit(s, 1) ? 2 : 1);
	if (hour < 0 || hour > 23 || !sign(&s, ':'))
		return -1;
	minute = number(&s, 2);
	if (minute < 0 || minute > 59 || !sign(&s, ':'))
		return -1;
	second = number(&s, 2);
	if (second < 0 || second > 59)
		return -1;
	t.time.ns = fraction(&s);
	if (parse_offset(s, &t.time.offset) < 0)
		return -1;
	t.time.s = (days_to_year(year) + days_before(year, month) + day - 1) * DAY + hour * 3600 + minute * 60 +
		   second - t.time.offset;
	if (t.time.s < CEL_TIME_MIN || t.time.s > CEL_TIME_MAX)
		return -2;
	*ret_value = t;
	return 0;
}

/* A time in the last or first hours of the calendar may lie in the years 0 or 10000 of its own zone. */
struct str cel_time_text(struct arena *a, struct cel_value t)
{
	int64_t s = t.time.s + t.time.offset, days = floor_div(s, DAY);
	struct date d = date_of(days);
	struct buf b = buf_in(a);
	int32_t east = t.time.offset / 60;
	char digits[12];
	int n;

	s -= days * DAY;
	buf_printf(&b, "%04lld-%02d-%02dT%02d:%02d:%02d", (long long)d.year, d.month, d.day, (int)(s / 3600),
		   (int)(s / 60 % 60), (int)(s % 60));
	n = snprintf(digits, sizeof(digits), "%09d", (int)t.time.ns);
	while (n > 0 && digits[n - 1] == '0')
		n--;
	if (n > 0)
		buf_printf(&b, ".%.*s", n, digits);
	if (t.time.offset == 0)
		buf_addc(&b, 'Z');
	else
		buf_printf(&b, "%c%02d:%02d", east < 0 ? '-' : '+', (east < 0 ? -east : east) / 60,
			   (east < 0 ? -east : east) % 60);
	return buf_str(&b);
}

/* ---- Arithmetic ---- */

struct cel_value cel_time_add(struct cel_eval *e, struct cel_value t, int64_t ns, int minus)
{
	int64_t s = ns / SECOND, rest = ns % SECOND;

	if (minus && ns == INT64_MIN)
		return cel_error(e, "the result does not fit the type duration");
	t.time.s += minus ? -s : s; /* at most 9e9: no overflow */
	rest = t.time.ns + (minus ? -rest : rest);
	if (rest < 0) {
		rest += SECOND;
		t.time.s--;
	} else if (rest >= SECOND) {
		rest -= SECOND;
		t.time.s++;
	}
	t.time.ns = (int32_t)rest;
	if (t.time.s < CEL_TIME_MIN || t.time.s > CEL_TIME_MAX)
		return cel_error(e, "a timestamp lies between the years 1 and 9999");
	return t;
}

struct cel_value cel_time_subtract(struct cel_eval *e, struct cel_value a, struct cel_value b)
{
	int64_t ns;

	if (__builtin_mul_overflow(a.time.s - b.time.s, SECOND, &ns) ||
	    __builtin_add_overflow(ns, (int64_t)a.time.ns - b.time.ns, &ns))
		return cel_error(e, "the result does not fit the type duration");
	return (struct cel_value){ .kind = CEL_DURATION, .i = ns };
}

/* ---- Functions ---- */

static struct cel_value field(struct cel_eval *e, const struct cel_call *c, enum cel_field f)
{
	const struct cel_zone *z = c->node->zone;
	struct cel_value t = c->args[0];

	if (t.kind != CEL_TIMESTAMP)
		return cel_no_overload(e, c);
	if (c->n == 1)
		return cel_int(cel_time_field(t, t.time.offset, f));
	if (c->args[1].kind != CEL_STRING)
		return cel_no_overload(e, c);
	if (!z && !c->node->broken.n)
		return cel_error(e, "a time zone must be a literal");
	if (!z)
		return cel_error(e, STR_FMT, STR_ARG(c->node->broken));
	return cel_int(cel_time_field(t, cel_zone_offset(z, t.time.s), f));
}

/* The same of a duration, which has no zone: how many of the unit it holds. */
static struct cel_value field_or_count(struct cel_eval *e, const struct cel_call *c, enum cel_field f, int64_t unit)
{
	if (c->args[0].kind == CEL_DURATION && c->n == 1)
		return cel_int(c->args[0].i / unit);
	return field(e, c, f);
}

struct cel_value cel_run_year(struct cel_eval *e, const struct cel_call *c)
{
	return field(e, c, FIELD_YEAR);
}

struct cel_value cel_run_month(struct cel_eval *e, const struct cel_call *c)
{
	return field(e, c, FIELD_MONTH);
}

struct cel_value cel_run_day_of_year(struct cel_eval *e, const struct cel_call *c)
{
	return field(e, c, FIELD_DAY_OF_YEAR);
}

struct cel_value cel_run_day_of_month(struct cel_eval *e, const struct cel_call *c)
{
	return field(e, c, FIELD_DAY_OF_MONTH);
}

struct cel_value cel_run_date(struct cel_eval *e, const struct cel_call *c)
{
	return field(e, c, FIELD_DATE);
}

struct cel_value cel_run_day_of_week(struct cel_eval *e, const struct cel_call *c)
{
	return field(e, c, FIELD_DAY_OF_WEEK);
}

struct cel_value cel_run_hours(struct cel_eval *e, const struct cel_call *c)
{
	return field_or_count(e, c, FIELD_HOURS, 3600 * SECOND);
}

struct cel_value cel_run_minutes(struct cel_eval *e, const struct cel_call *c)
{
	return field_or_count(e, c, FIELD_MINUTES, 60 * SECOND);
}

struct cel_value cel_run_seconds(struct cel_eval *e, const struct cel_call *c)
{
	return field_or_count(e, c, FIELD_SECONDS, SECOND);
}

struct cel_value cel_run_milliseconds(struct cel_eval *e, const struct cel_call *c)
{
	return field_or_count(e, c, FIELD_MILLISECONDS, SECOND / 1000);
}
