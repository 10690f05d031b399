/* SPDX-License-Identifier: Apache-2.0 */
#include <davit/size.h>

typedef unsigned __int128 u128;

#define PAST ((u128)1 << 100) /* far past INT64_MAX and still safe to multiply by 1024 or 10 */

/* The suffix as 2^two * 10^ten. */
static int read_suffix(const char *p, size_t n, int *two, int *ten)
{
	static const char units[] = "kMGTPE", binary[] = "KMGTPE";
	const char *at;
	size_t i;
	int value = 0, down;

	*two = *ten = 0;
	if (n == 0)
		return 0;
	if (n == 2 && p[1] == 'i' && (at = memchr(binary, p[0], 6)) != NULL) {
		*two = 10 * (int)(at - binary + 1);
		return 0;
	}
	if (n == 1 && (at = memchr(units, p[0], 6)) != NULL) {
		*ten = 3 * (int)(at - units + 1);
		return 0;
	}
	if (p[0] != 'e' && p[0] != 'E')
		return -1;
	down = n > 1 && p[1] == '-';
	i = 1 + (n > 1 && (p[1] == '-' || p[1] == '+'));
	if (i == n || n - i > 3)
		return -1;
	for (; i < n; i++) {
		if (p[i] < '0' || p[i] > '9')
			return -1;
		value = value * 10 + (p[i] - '0');
	}
	if (value > 100)
		value = 100;
	*ten = down ? -value : value;
	return 0;
}

/* What stands before the suffix, as value / 10^decimals; how many bytes that were, 0: no number. */
static size_t read_number(struct davit_str s, u128 *ret_value, int *ret_decimals, int *ret_more)
{
	int point = 0, digits = 0;
	size_t i;

	*ret_value = 0;
	*ret_decimals = *ret_more = 0;
	for (i = 0; i < s.n; i++) {
		if (s.p[i] == '.' && !point) {
			point = 1;
			continue;
		}
		if (s.p[i] < '0' || s.p[i] > '9')
			break;
		digits = 1;
		if (*ret_value < PAST && *ret_decimals < 24) {
			*ret_value = *ret_value * 10 + (u128)(s.p[i] - '0');
			*ret_decimals += point;
		} else if (!point) {
			*ret_value = PAST; /* more than can be told */
		} else {
			*ret_more |= s.p[i] != '0';
		}
	}
	return digits ? i : 0;
}

int davit_size_parse(struct davit_str s, int64_t *ret_bytes)
{
	int decimals, two, ten, up;
	size_t used;
	u128 value;

	if (s.n == 0) {
		*ret_bytes = 0;
		return 0;
	}
	if (s.p[0] == '+') {
		s.p++;
		s.n--;
	}
	used = read_number(s, &value, &decimals, &up);
	if (used == 0 || read_suffix(s.p + used, s.n - used, &two, &ten) < 0)
		return -1;
	for (ten -= decimals; two > 0 && value < PAST; two--)
		value *= 2;
	for (; ten > 0 && value < PAST && value > 0; ten--)
		value *= 10;
	for (; ten < 0 && value > 0; ten++) {
		up = up || value % 10 != 0;
		value /= 10;
	}
	value += up != 0;
	if (value > INT64_MAX)
		return -1;
	*ret_bytes = (int64_t)value;
	return 0;
}
