/* SPDX-License-Identifier: Apache-2.0 */
#include "base/duration.h"

#include "base/banned.h"

#define TOO_MUCH (UINT64_C(1) << 63) /* the magnitude of INT64_MIN, which Go accepts */

static const struct {
	const char *name;
	uint64_t ns;
} units[] = {
	{ "ns", 1 },
	{ "us", 1000 },
	{ "\xc2\xb5s", 1000 }, /* micro sign */
	{ "\xce\xbcs", 1000 }, /* Greek mu */
	{ "ms", 1000000 },
	{ "s", 1000000000 },
	{ "m", 60 * UINT64_C(1000000000) },
	{ "h", 3600 * UINT64_C(1000000000) },
};

/* Digits into *value; how many there were; -1: more than a duration holds. */
static int whole_part(struct str *s, uint64_t *value)
{
	int n = 0;

	for (*value = 0; s->n > 0 && s->p[0] >= '0' && s->p[0] <= '9'; n++) {
		if (*value > TOO_MUCH / 10)
			return -1;
		*value = *value * 10 + (uint64_t)(s->p[0] - '0');
		if (*value > TOO_MUCH)
			return -1;
		*s = str_from(*s, 1);
	}
	return n;
}

/* Digits behind the point as value / scale; those past what fits are read and say nothing. */
static int fraction(struct str *s, uint64_t *value, double *scale)
{
	int n = 0, full = 0;

	for (*value = 0, *scale = 1; s->n > 0 && s->p[0] >= '0' && s->p[0] <= '9'; n++) {
		uint64_t next = *value * 10 + (uint64_t)(s->p[0] - '0');

		*s = str_from(*s, 1);
		full = full || *value > (TOO_MUCH - 1) / 10 || next > TOO_MUCH;
		if (full)
			continue;
		*value = next;
		*scale *= 10;
	}
	return n;
}

static uint64_t unit(struct str *s)
{
	size_t i, n = 0;

	while (n < s->n && s->p[n] != '.' && (s->p[n] < '0' || s->p[n] > '9'))
		n++;
	for (i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		if (str_is(str_upto(*s, n), units[i].name)) {
			*s = str_from(*s, n);
			return units[i].ns;
		}
	}
	return 0;
}

/* One number with its unit, added to *total. */
static int part(struct str *s, uint64_t *total)
{
	uint64_t whole, frac = 0, u;
	double scale = 1;
	int digits = whole_part(s, &whole), behind = 0;

	if (digits < 0)
		return -1;
	if (s->n > 0 && s->p[0] == '.') {
		*s = str_from(*s, 1);
		behind = fraction(s, &frac, &scale);
	}
	if (digits + behind == 0 || (u = unit(s)) == 0 || whole > TOO_MUCH / u)
		return -1;
	whole *= u;
	if (frac > 0)
		whole += (uint64_t)((double)frac * ((double)u / scale));
	if (whole > TOO_MUCH)
		return -1;
	*total += whole;
	return *total > TOO_MUCH ? -1 : 0;
}

int duration_parse(struct str s, int64_t *ret_ns)
{
	uint64_t total = 0;
	int negative = 0;

	if (s.n > 0 && (s.p[0] == '-' || s.p[0] == '+')) {
		negative = s.p[0] == '-';
		s = str_from(s, 1);
	}
	if (s.n == 0)
		return -1;
	if (!str_is(s, "0"))
		while (s.n > 0)
			if (part(&s, &total) < 0)
				return -1;
	if (total == TOO_MUCH && !negative)
		return -1;
	*ret_ns = negative ? (int64_t)(0 - total) : (int64_t)total;
	return 0;
}

/* Writes value / 10^digits from the right, without zeros at the end of the fraction. */
static char *put_fraction(char *at, uint64_t *value, int digits)
{
	int i, seen = 0;

	for (i = 0; i < digits; i++) {
		char d = (char)('0' + *value % 10);

		*value /= 10;
		seen = seen || d != '0';
		if (seen)
			*--at = d;
	}
	if (seen)
		*--at = '.';
	return at;
}

static char *put_whole(char *at, uint64_t value)
{
	do
		*--at = (char)('0' + value % 10);
	while ((value /= 10) > 0);
	return at;
}

static char *put_below_a_second(char *at, uint64_t u)
{
	int digits = u < 1000 ? 0 : u < 1000000 ? 3 : 6;

	*--at = 's';
	if (digits == 3) {
		*--at = '\xb5';
		*--at = '\xc2';
	} else {
		*--at = digits ? 'm' : 'n';
	}
	at = put_fraction(at, &u, digits);
	return put_whole(at, u);
}

size_t duration_text(int64_t ns, char ret_text[DURATION_TEXT])
{
	char text[DURATION_TEXT], *end = text + sizeof(text), *at = end;
	uint64_t u = ns < 0 ? 0 - (uint64_t)ns : (uint64_t)ns;

	if (u == 0) {
		*--at = 's';
		*--at = '0';
	} else if (u < 1000000000) {
		at = put_below_a_second(at, u);
	} else {
		*--at = 's';
		at = put_fraction(at, &u, 9);
		at = put_whole(at, u % 60);
		u /= 60;
		if (u > 0) {
			*--at = 'm';
			at = put_whole(at, u % 60);
			u /= 60;
		}
		if (u > 0) {
			*--at = 'h';
			at = put_whole(at, u);
		}
	}
	if (ns < 0)
		*--at = '-';
	memcpy(ret_text, at, (size_t)(end - at));
	ret_text[end - at] = '\0';
	return (size_t)(end - at);
}
