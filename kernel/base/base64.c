/* SPDX-License-Identifier: Apache-2.0 */
#include "base/base64.h"

#include "base/banned.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void base64_put(struct buf *b, struct str bytes)
{
	const unsigned char *p = (const unsigned char *)bytes.p, *end = p + bytes.n;
	char *to;

	if (buf_reserve(b, (bytes.n + 2) / 3 * 4) < 0)
		return;
	for (to = b->p + b->n; end - p >= 3; p += 3, to += 4) {
		to[0] = alphabet[p[0] >> 2];
		to[1] = alphabet[(p[0] & 3) << 4 | p[1] >> 4];
		to[2] = alphabet[(p[1] & 15) << 2 | p[2] >> 6];
		to[3] = alphabet[p[2] & 63];
	}
	if (p < end) {
		unsigned second = end - p > 1 ? p[1] : 0;

		to[0] = alphabet[p[0] >> 2];
		to[1] = alphabet[(p[0] & 3) << 4 | second >> 4];
		to[2] = end - p > 1 ? alphabet[(second & 15) << 2] : '=';
		to[3] = '=';
	}
	b->n += (bytes.n + 2) / 3 * 4;
}

static int value_of(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

int base64_read(struct arena *a, struct str text, struct str *ret_bytes)
{
	unsigned char *out = arena_alloc(a, text.n / 4 * 3 + 4);
	size_t i, n = 0, digits = 0, padding = 0;
	unsigned bits = 0;
	int v;

	for (i = 0; i < text.n; i++) {
		if (text.p[i] == '\n' || text.p[i] == '\r')
			continue;
		if (text.p[i] == '=') {
			padding++;
			continue;
		}
		v = value_of(text.p[i]);
		if (v < 0 || padding > 0)
			return -1;
		bits = bits << 6 | (unsigned)v;
		if (++digits % 4 == 0) {
			out[n++] = (unsigned char)(bits >> 16);
			out[n++] = (unsigned char)(bits >> 8);
			out[n++] = (unsigned char)bits;
		}
	}
	if (digits % 4 == 1 || (digits + padding) % 4 != 0 || padding > 2)
		return -1;
	if (digits % 4 >= 2)
		out[n++] = (unsigned char)(digits % 4 == 2 ? bits >> 4 : bits >> 10);
	if (digits % 4 == 3)
		out[n++] = (unsigned char)(bits >> 2);
	out[n] = '\0';
	*ret_bytes = (struct str){ (char *)out, n };
	return 0;
}

static size_t past_lines(struct str s, size_t at)
{
	while (at < s.n && (s.p[at] == '\n' || s.p[at] == '\r'))
		at++;
	return at;
}

size_t base64_fault(struct str text)
{
	size_t i, digits = 0;

	for (i = past_lines(text, 0); i < text.n && value_of(text.p[i]) >= 0; i = past_lines(text, i + 1))
		digits = (digits + 1) % 4;
	if (i == text.n)
		return i - digits;
	if (text.p[i] != '=' || digits < 2)
		return i;
	i = past_lines(text, i + 1);
	if (digits == 2 && (i == text.n || text.p[i] != '='))
		return i == text.n ? i : i - 1;
	return past_lines(text, digits == 2 ? i + 1 : i);
}
