/* SPDX-License-Identifier: Apache-2.0 */
#include "base/str.h"

#include "base/banned.h"

static unsigned char fold(unsigned char c)
{
	return c >= 'A' && c <= 'Z' ? c + 32 : c;
}

int str_istarts(struct str s, struct str prefix)
{
	size_t i;

	if (s.n < prefix.n)
		return 0;
	for (i = 0; i < prefix.n; i++)
		if (fold((unsigned char)s.p[i]) != fold((unsigned char)prefix.p[i]))
			return 0;
	return 1;
}

int str_ieq(struct str a, struct str b)
{
	return a.n == b.n && str_istarts(a, b);
}

int str_cmp(struct str a, struct str b)
{
	size_t n = a.n < b.n ? a.n : b.n;
	int r = n ? memcmp(a.p, b.p, n) : 0;

	return r ? r : (a.n > b.n) - (a.n < b.n);
}

static int is_space(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

struct str str_trim(struct str s)
{
	while (s.n > 0 && is_space(s.p[0]))
		s.p++, s.n--;
	while (s.n > 0 && is_space(s.p[s.n - 1]))
		s.n--;
	return s;
}

ptrdiff_t str_find(struct str s, struct str needle)
{
	const char *p;

	if (needle.n == 0)
		return 0;
	p = s.n < needle.n ? NULL : memmem(s.p, s.n, needle.p, needle.n);
	return p ? p - s.p : -1;
}

int str_cut(struct str s, char at, struct str *ret_head, struct str *ret_tail)
{
	const char *p = s.n ? memchr(s.p, at, s.n) : NULL;

	if (p == NULL) {
		*ret_head = s;
		*ret_tail = (struct str){ s.p + s.n, 0 };
		return 0;
	}
	*ret_head = (struct str){ s.p, (size_t)(p - s.p) };
	*ret_tail = (struct str){ p + 1, s.n - (size_t)(p - s.p) - 1 };
	return 1;
}

int str_split(struct str *rest, char at, struct str *ret_part)
{
	if (rest->p == NULL)
		return 0;
	if (!str_cut(*rest, at, ret_part, rest))
		*rest = STR_NONE;
	return 1;
}

/* Bytes of the sequence that starts at p, 0: malformed. */
static size_t utf8_sequence(const unsigned char *p, size_t n)
{
	static const struct {
		unsigned char from, to, low, high, more;
	} leads[] = {
		/* RFC 3629, section 4 */
		{ 0xc2, 0xdf, 0x80, 0xbf, 1 }, { 0xe0, 0xe0, 0xa0, 0xbf, 2 }, { 0xe1, 0xec, 0x80, 0xbf, 2 },
		{ 0xed, 0xed, 0x80, 0x9f, 2 }, { 0xee, 0xef, 0x80, 0xbf, 2 }, { 0xf0, 0xf0, 0x90, 0xbf, 3 },
		{ 0xf1, 0xf3, 0x80, 0xbf, 3 }, { 0xf4, 0xf4, 0x80, 0x8f, 3 },
	};
	size_t i, k;

	for (i = 0; i < sizeof(leads) / sizeof(leads[0]); i++)
		if (p[0] >= leads[i].from && p[0] <= leads[i].to)
			break;
	if (i == sizeof(leads) / sizeof(leads[0]) || n <= leads[i].more)
		return 0;
	if (p[1] < leads[i].low || p[1] > leads[i].high)
		return 0;
	for (k = 2; k <= leads[i].more; k++)
		if ((p[k] & 0xc0) != 0x80)
			return 0;
	return leads[i].more + 1u;
}

int str_utf8(struct str s)
{
	const unsigned char *p = (const unsigned char *)s.p;
	size_t i = 0, step;
	uint64_t eight;

	while (i < s.n) {
		if (s.n - i >= 8) {
			memcpy(&eight, p + i, 8);
			if ((eight & 0x8080808080808080u) == 0) {
				i += 8;
				continue;
			}
		}
		step = p[i] < 0x80 ? 1 : utf8_sequence(p + i, s.n - i);
		if (step == 0)
			return 0;
		i += step;
	}
	return 1;
}

int str_int(struct str s, int64_t *ret_value)
{
	int negative = s.n > 0 && s.p[0] == '-';
	size_t i = s.n > 0 && (s.p[0] == '-' || s.p[0] == '+');
	uint64_t v = 0, limit = (uint64_t)INT64_MAX + (negative ? 1 : 0);

	if (i == s.n)
		return -1;
	for (; i < s.n; i++) {
		unsigned digit = (unsigned char)s.p[i] - '0';

		if (digit > 9 || v > (limit - digit) / 10)
			return -1;
		v = v * 10 + digit;
	}
	*ret_value = negative ? (int64_t)(0 - v) : (int64_t)v;
	return 0;
}

int str_bool(struct str s, int *ret_value)
{
	static const char *const yes[] = { "1", "t", "T", "TRUE", "true", "True" };
	static const char *const no[] = { "0", "f", "F", "FALSE", "false", "False" };
	size_t i;

	for (i = 0; i < sizeof(yes) / sizeof(yes[0]); i++) {
		if (str_is(s, yes[i]) || str_is(s, no[i])) {
			*ret_value = str_is(s, yes[i]);
			return 0;
		}
	}
	return -1;
}

int str_truthy(struct str s)
{
	static const char *const yes[] = { "y", "yes", "true", "t", "on", "1" };
	size_t i;

	s = str_trim(s);
	for (i = 0; i < sizeof(yes) / sizeof(yes[0]); i++)
		if (str_ieq(s, str_of(yes[i])))
			return 1;
	return 0;
}

size_t str_put_rune(char *to, uint32_t c)
{
	if (c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
		c = 0xfffd;
	if (c < 0x80) {
		to[0] = (char)c;
		return 1;
	}
	if (c < 0x800) {
		to[0] = (char)(0xc0 | c >> 6);
		to[1] = (char)(0x80 | (c & 0x3f));
		return 2;
	}
	if (c < 0x10000) {
		to[0] = (char)(0xe0 | c >> 12);
		to[1] = (char)(0x80 | (c >> 6 & 0x3f));
		to[2] = (char)(0x80 | (c & 0x3f));
		return 3;
	}
	to[0] = (char)(0xf0 | c >> 18);
	to[1] = (char)(0x80 | (c >> 12 & 0x3f));
	to[2] = (char)(0x80 | (c >> 6 & 0x3f));
	to[3] = (char)(0x80 | (c & 0x3f));
	return 4;
}
