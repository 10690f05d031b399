/* SPDX-License-Identifier: Apache-2.0 */
#include <davit/base64.h>
#include <stdint.h>

static const char alphabet[64]
	__attribute__((nonstring)) = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void davit_base64_encode(const void *bytes, size_t n, char *ret_text)
{
	const uint8_t *p = bytes;
	char *t = ret_text;

	for (; n >= 3; n -= 3, p += 3, t += 4) {
		t[0] = alphabet[p[0] >> 2];
		t[1] = alphabet[(p[0] & 3) << 4 | p[1] >> 4];
		t[2] = alphabet[(p[1] & 15) << 2 | p[2] >> 6];
		t[3] = alphabet[p[2] & 63];
	}
	if (n == 0)
		return;
	t[0] = alphabet[p[0] >> 2];
	t[1] = alphabet[(p[0] & 3) << 4 | (n == 2 ? p[1] >> 4 : 0)];
	t[2] = n == 2 ? alphabet[(p[1] & 15) << 2] : '=';
	t[3] = '=';
}

/* The six bits that a letter stands for; 64: none. */
static unsigned int bits(char c)
{
	if (c >= 'A' && c <= 'Z')
		return (unsigned int)(c - 'A');
	if (c >= 'a' && c <= 'z')
		return (unsigned int)(c - 'a') + 26;
	if (c >= '0' && c <= '9')
		return (unsigned int)(c - '0') + 52;
	return c == '+' ? 62 : c == '/' ? 63 : 64;
}

static size_t line_ends(const char *text, size_t n, size_t at)
{
	while (at < n && (text[at] == '\n' || text[at] == '\r'))
		at++;
	return at;
}

/* Behind a first '=', of which `need` are wanted: nothing else may follow them. */
static int padded(const char *text, size_t n, size_t at, int need)
{
	for (; need > 0; need--) {
		at = line_ends(text, n, at);
		if (at >= n || text[at++] != '=')
			return 0;
	}
	return line_ends(text, n, at) == n;
}

ptrdiff_t davit_base64_decode(const char *text, size_t n, void *ret_bytes)
{
	uint8_t *out = ret_bytes;
	uint32_t word = 0;
	size_t at, have = 0;
	unsigned int six;

	for (at = 0; (at = line_ends(text, n, at)) < n; at++) {
		if (text[at] == '=')
			break;
		six = bits(text[at]);
		if (six > 63)
			return -1;
		word = word << 6 | six;
		if (++have % 4 == 0) {
			*out++ = (uint8_t)(word >> 16);
			*out++ = (uint8_t)(word >> 8);
			*out++ = (uint8_t)word;
		}
	}
	switch (have % 4) {
	case 0: return at == n ? out - (uint8_t *)ret_bytes : -1;
	case 2:
		if (!padded(text, n, at, 2))
			return -1;
		*out++ = (uint8_t)(word >> 4);
		break;
	case 3:
		if (!padded(text, n, at, 1))
			return -1;
		*out++ = (uint8_t)(word >> 10);
		*out++ = (uint8_t)(word >> 2);
		break;
	default: return -1;
	}
	return out - (uint8_t *)ret_bytes;
}
