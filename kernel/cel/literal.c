/* SPDX-License-Identifier: Apache-2.0 */
/* What tokens of numbers, strings and bytes stand for. */
#include <stdlib.h>

#include "base/banned.h"
#include "cel/inside.h"

/* ---- Numbers ---- */

/* Digits of base 10, or of 16 behind "0x"; -1: more than most. */
static int whole(struct str s, uint64_t most, uint64_t *ret_value)
{
	unsigned base = str_starts(s, STR("0x")) ? 16 : 10;
	uint64_t v = 0;

	for (size_t i = base == 16 ? 2 : 0; i < s.n; i++) {
		char c = s.p[i];
		unsigned d = (unsigned)(c <= '9' ? c - '0' : (c | 32) - 'a' + 10);

		if (v > (most - d) / base)
			return -1;
		v = v * base + d;
	}
	*ret_value = v;
	return 0;
}

static int double_literal(struct cel_parser *p, struct cel_token t, int negative, struct cel_value *ret_value)
{
	double d = strtod(arena_str(p->a, t.text).p, NULL);

	if (d - d != 0) {
		cel_refuse(p, t.place, "the number does not fit a double");
		return -1;
	}
	*ret_value = cel_double(negative ? -d : d);
	return 0;
}

int cel_literal_number(struct cel_parser *p, struct cel_token t, int negative, struct cel_value *ret_value)
{
	uint64_t u;

	if (t.kind == TOKEN_DOUBLE)
		return double_literal(p, t, negative, ret_value);
	if (t.kind == TOKEN_UINT) {
		if (whole(str_upto(t.text, t.text.n - 1), UINT64_MAX, &u) < 0) {
			cel_refuse(p, t.place, "the number does not fit a uint");
			return -1;
		}
		*ret_value = cel_uint(u);
		return 0;
	}
	if (whole(t.text, (uint64_t)INT64_MAX + (negative ? 1 : 0), &u) < 0) {
		cel_refuse(p, t.place, "the number does not fit an int");
		return -1;
	}
	*ret_value = cel_int(negative ? (int64_t)(0 - u) : (int64_t)u);
	return 0;
}

/* ---- Text ---- */

/* n digits of the base at s.p[0]; -1: there are not so many. */
static int escape_digits(struct str s, size_t n, unsigned base, uint32_t *ret_value)
{
	uint32_t v = 0;

	if (s.n < n)
		return -1;
	for (size_t i = 0; i < n; i++) {
		char c = s.p[i], low = (char)(c | 32);
		unsigned d = c >= '0' && c <= '9'	? (unsigned)(c - '0')
			     : low >= 'a' && low <= 'f' ? (unsigned)(low - 'a') + 10
							: base;

		if (d >= base)
			return -1;
		v = v * base + d;
	}
	*ret_value = v;
	return 0;
}

/*
 * The escape behind the backslash at s.p[0]: its character, or in bytes its byte. The length of it without the backslash;
 * 0: there is no such escape.
 */
static size_t escape(struct str s, int bytes, uint32_t *ret_value)
{
	static const char from[] = "abfnrtv\\'\"`?", to[] = "\a\b\f\n\r\t\v\\'\"`?";
	const char *plain = s.n && s.p[0] ? strchr(from, s.p[0]) : NULL;
	size_t n;

	if (!s.n)
		return 0;
	if (plain) {
		*ret_value = (unsigned char)to[plain - from];
		return 1;
	}
	if (s.p[0] >= '0' && s.p[0] <= '3')
		return escape_digits(s, 3, 8, ret_value) == 0 ? 3 : 0;
	n = (s.p[0] | 32) == 'x' ? 2 : s.p[0] == 'u' && !bytes ? 4 : s.p[0] == 'U' && !bytes ? 8 : 0;
	if (!n || escape_digits(str_from(s, 1), n, 16, ret_value) < 0 || *ret_value > 0x10ffff)
		return 0;
	return 1 + n;
}

int cel_literal_text(struct cel_parser *p, struct cel_token t, struct cel_value *ret_value)
{
	size_t quote = strcspn(t.text.p, "\"'"), wide, used = 0;
	int bytes = t.kind == TOKEN_BYTES, raw = quote > (size_t)bytes;
	struct str s = str_from(t.text, quote);
	char *out;

	wide = s.n >= 6 && s.p[1] == s.p[0] && s.p[2] == s.p[0] ? 3 : 1;
	s = str_upto(str_from(s, wide), s.n - 2 * wide);
	out = arena_alloc(p->a, s.n + 1); /* an escape is no shorter than what it stands for */
	for (size_t i = 0; i < s.n; i++) {
		uint32_t c;
		size_t n;

		if (s.p[i] == '\r') {
			/* Lines end in \n, however they were written. */
			if (i + 1 == s.n || s.p[i + 1] != '\n')
				out[used++] = '\n';
		} else if (s.p[i] != '\\' || raw) {
			out[used++] = s.p[i];
		} else if ((n = escape(str_from(s, i + 1), bytes, &c)) > 0) {
			if (bytes)
				out[used++] = (char)c;
			else
				used += str_put_rune(out + used, c);
			i += n;
		} else {
			cel_refuse(p, (uint32_t)(s.p + i - p->text.p), "this is no escape sequence of %s",
				   bytes ? "bytes" : "a string");
			return -1;
		}
	}
	out[used] = '\0';
	*ret_value = bytes ? cel_bytes((struct str){ out, used }) : cel_string((struct str){ out, used });
	return 0;
}
