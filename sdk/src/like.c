/* SPDX-License-Identifier: Apache-2.0 */
#include <davit/like.h>

/* Bytes of the character at p, of which n are left: 1 where it is not UTF-8. */
static size_t width(const char *p, size_t n)
{
	unsigned char c = (unsigned char)*p;
	size_t w = c < 0xc2 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : c < 0xf5 ? 4 : 1, i;

	if (w > n)
		return 1;
	for (i = 1; i < w; i++)
		if (((unsigned char)p[i] & 0xc0) != 0x80)
			return 1;
	return w;
}

/* One step of pattern and text together; 0: they differ here. */
static int step(struct davit_str pattern, size_t *p, struct davit_str text, size_t *t)
{
	size_t at = *p, skip = 1;

	if (at >= pattern.n || *t >= text.n)
		return 0;
	if (pattern.p[at] == '_') {
		skip = width(text.p + *t, text.n - *t);
	} else {
		if (pattern.p[at] == '\\' && at + 1 < pattern.n)
			at++;
		if (pattern.p[at] != text.p[*t])
			return 0;
	}
	*p = at + 1;
	*t += skip;
	return 1;
}

int davit_like(struct davit_str pattern, struct davit_str text)
{
	size_t p = 0, t = 0, again_p = 0, again_t = 0;
	int star = 0;

	while (t < text.n || p < pattern.n) {
		if (p < pattern.n && pattern.p[p] == '%') {
			star = 1;
			again_p = ++p;
			again_t = t;
			continue;
		}
		if (step(pattern, &p, text, &t))
			continue;
		/* Only the last '%' ever needs to take one more: what stands before it has its match. */
		if (!star || again_t >= text.n)
			return 0;
		again_t += width(text.p + again_t, text.n - again_t);
		t = again_t;
		p = again_p;
	}
	return 1;
}
