/* SPDX-License-Identifier: Apache-2.0 */
#include <davit/duration.h>

static const struct {
	const char *name;
	int64_t ns;
} units[] = {
	{ "ns", 1 },	       { "us", 1000 },	    { "\xc2\xb5s", 1000 }, /* U+00B5 */
	{ "\xce\xbcs", 1000 },						   /* U+03BC */
	{ "ms", 1000000 },     { "s", 1000000000 }, { "m", 60000000000 },  { "h", 3600000000000 },
};

struct cursor {
	const char *p, *end;
};

static int is_digit(const struct cursor *c)
{
	return c->p < c->end && *c->p >= '0' && *c->p <= '9';
}

/* Digits to a number; how many there were. -1: too many for an int64_t. */
static int digits(struct cursor *c, int64_t *ret_value)
{
	int64_t value = 0;
	int n = 0;

	for (; is_digit(c); c->p++, n++)
		if (__builtin_mul_overflow(value, 10, &value) ||
		    __builtin_add_overflow(value, (int64_t)(*c->p - '0'), &value))
			return -1;
	*ret_value = value;
	return n;
}

/* The digits behind a point as value / scale, where those beyond the precision of an int64_t do not count. */
static int fraction(struct cursor *c, int64_t *ret_value, double *ret_scale)
{
	int64_t value = 0, next;
	double scale = 1;
	int n = 0, full = 0;

	for (; is_digit(c); c->p++, n++) {
		if (full || __builtin_mul_overflow(value, 10, &next) ||
		    __builtin_add_overflow(next, (int64_t)(*c->p - '0'), &next)) {
			full = 1;
			continue;
		}
		value = next;
		scale *= 10;
	}
	*ret_value = value;
	*ret_scale = scale;
	return n;
}

static int unit(struct cursor *c, int64_t *ret_ns)
{
	const char *start = c->p;
	size_t i, n;

	while (c->p < c->end && *c->p != '.' && !is_digit(c))
		c->p++;
	n = (size_t)(c->p - start);
	for (i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		if (n == strlen(units[i].name) && memcmp(start, units[i].name, n) == 0) {
			*ret_ns = units[i].ns;
			return 0;
		}
	}
	return -1;
}

static int one_term(struct cursor *c, int64_t *sum)
{
	int64_t whole, part = 0, ns, value;
	double scale = 1;
	int n, m = 0;

	n = digits(c, &whole);
	if (n < 0)
		return -1;
	if (c->p < c->end && *c->p == '.') {
		c->p++;
		m = fraction(c, &part, &scale);
	}
	if (n + m == 0 || unit(c, &ns) < 0 || __builtin_mul_overflow(whole, ns, &value))
		return -1;
	value += (int64_t)((double)part * ((double)ns / scale)); /* below one unit: cannot overflow by much */
	return value < 0 || __builtin_add_overflow(*sum, value, sum) ? -1 : 0;
}

static int terms(struct cursor c, int64_t *ret_ns)
{
	int negative = 0;
	int64_t sum = 0;

	if (c.p < c.end && (*c.p == '-' || *c.p == '+'))
		negative = *c.p++ == '-';
	if (c.p == c.end)
		return -1;
	if (c.end - c.p == 1 && *c.p == '0') {
		*ret_ns = 0;
		return 0;
	}
	while (c.p < c.end)
		if (one_term(&c, &sum) < 0)
			return -1;
	*ret_ns = negative ? -sum : sum;
	return 0;
}

static int seconds(struct cursor c, int64_t *ret_ns)
{
	int negative = 0;
	int64_t value;

	if (c.p < c.end && (*c.p == '-' || *c.p == '+'))
		negative = *c.p++ == '-';
	if (digits(&c, &value) <= 0 || c.p != c.end || __builtin_mul_overflow(value, (int64_t)1000000000, &value))
		return -1;
	*ret_ns = negative ? -value : value;
	return 0;
}

int davit_duration_parse(struct davit_str s, int64_t *ret_ns)
{
	struct cursor c = { s.p, s.p + s.n };

	if (s.n == 0) {
		*ret_ns = 0;
		return 0;
	}
	return terms(c, ret_ns) == 0 ? 0 : seconds(c, ret_ns);
}
