/* SPDX-License-Identifier: Apache-2.0 */
#include "base/jstream.h"

#include "base/banned.h"

/* A character as Go quotes it. */
static struct str quoted(struct arena *a, unsigned char c)
{
	static const char *const escapes[] = { ['\a'] = "\\a", ['\b'] = "\\b", ['\t'] = "\\t", ['\n'] = "\\n",
					       ['\v'] = "\\v", ['\f'] = "\\f", ['\r'] = "\\r" };

	if (c == '\'' || c == '\\')
		return arena_printf(a, "'\\%c'", c);
	if (c < sizeof(escapes) / sizeof(*escapes) && escapes[c] != NULL)
		return arena_printf(a, "'%s'", escapes[c]);
	if (c < ' ' || c == 0x7f)
		return arena_printf(a, "'\\x%02x'", c);
	if (c < 0x7f)
		return arena_printf(a, "'%c'", c);
	if (c <= 0xa0 || c == 0xad)
		return arena_printf(a, "'\\u%04x'", c);
	return arena_printf(a, "'%c%c'", 0xc0 | c >> 6, 0x80 | (c & 0x3f));
}

/* " true (expecting 'e')": at[-1] and what stands before it began a word. */
static struct str expected(const struct jstream *j, struct arena *a)
{
	static const char *const words[] = { "true", "false", "null" };
	const char *at = j->start + j->at;
	size_t i, n;

	for (i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		for (n = strlen(words[i]) - 1; n > 0; n--)
			if ((size_t)(at - j->start) >= n && memcmp(at - n, words[i], n) == 0)
				return arena_printf(a, " %s (expecting '%c')", words[i], words[i][n]);
	return STR("");
}

struct str jstream_why(const struct jstream *j, struct arena *a)
{
	struct str what = str_of(j->error), before = STR("invalid character ");

	if (!str_starts(what, before) || j->start + j->at >= j->end)
		return what;
	return arena_printf(a, STR_FMT STR_FMT " " STR_FMT STR_FMT, STR_ARG(before),
			    STR_ARG(quoted(a, (unsigned char)j->start[j->at])), STR_ARG(str_from(what, before.n)),
			    STR_ARG(str_ends(what, STR("literal")) && str_find(what, STR(" in literal")) >= 0
					    ? expected(j, a)
					    : STR("")));
}
