/* SPDX-License-Identifier: Apache-2.0 */
#include "base/quantity.h"

#include "base/banned.h"

typedef unsigned __int128 u128;

#define PAST ((u128)1 << 100) /* far past INT64 and still safe to multiply by 1024 or 10 */

struct number {
	u128 value;   /* digits without the point */
	int decimals; /* of them behind the point; negative: so many zeros belong behind value */
	int more;     /* digits that did not fit were not all zero */
};

static int read_number(struct str *s, struct number *ret)
{
	struct number n = { .value = 0 };
	int digits = 0, point = 0;

	for (; s->n > 0; *s = str_from(*s, 1)) {
		char c = s->p[0];

		if (c == '.' && !point) {
			point = 1;
			continue;
		}
		if (c < '0' || c > '9')
			break;
		digits++;
		if (n.value < PAST && (!point || n.decimals < 24)) {
			n.value = n.value * 10 + (u128)(c - '0');
			n.decimals += point;
		} else {
			n.decimals -= !point;
			n.more = n.more || c != '0';
		}
	}
	*ret = n;
	return digits > 0 ? 0 : -1;
}

/* The suffix as 2^two * 10^ten. */
static int read_suffix(struct str s, int *two, int *ten)
{
	static const char binary[] = "KMGTPE", decimal[] = "num kMGTPE"; /* the blank is no suffix at all */
	const char *at;
	int64_t exponent;

	*two = *ten = 0;
	if (s.n == 0)
		return 0;
	if (s.n == 2 && s.p[1] == 'i' && (at = memchr(binary, s.p[0], sizeof(binary) - 1)) != NULL) {
		*two = 10 * (int)(at - binary + 1);
		return 0;
	}
	if (s.n == 1 && s.p[0] != ' ' && (at = memchr(decimal, s.p[0], sizeof(decimal) - 1)) != NULL) {
		*ten = 3 * (int)(at - decimal) - 9;
		return 0;
	}
	if ((s.p[0] != 'e' && s.p[0] != 'E') || str_int(str_from(s, 1), &exponent) < 0)
		return -1;
	*ten = exponent > 100 ? 100 : exponent < -100 ? -100 : (int)exponent;
	return 0;
}

int quantity_parse(struct str s, int64_t *ret_value)
{
	struct number n;
	int negative = 0, two, ten, up;
	u128 limit;

	if (s.n > 0 && (s.p[0] == '-' || s.p[0] == '+')) {
		negative = s.p[0] == '-';
		s = str_from(s, 1);
	}
	if (read_number(&s, &n) < 0 || read_suffix(s, &two, &ten) < 0)
		return -1;
	up = n.more;
	for (ten -= n.decimals; two > 0 && n.value < PAST; two--)
		n.value *= 2;
	for (; ten > 0 && n.value < PAST && n.value > 0; ten--)
		n.value *= 10;
	for (; ten < 0 && n.value > 0; ten++) {
		up = up || n.value % 10 != 0;
		n.value /= 10;
	}
	n.value += up != 0;
	limit = negative ? (u128)1 << 63 : ((u128)1 << 63) - 1;
	if (n.value > limit)
		n.value = limit;
	*ret_value = negative ? (int64_t)(0 - (uint64_t)n.value) : (int64_t)n.value;
	return 0;
}
