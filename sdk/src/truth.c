/* SPDX-License-Identifier: Apache-2.0 */
#include <davit/truth.h>
#include <strings.h>

static int is_space(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

int davit_truth(struct davit_str s)
{
	static const char *const words[] = { "y", "yes", "true", "t", "on", "1" };
	size_t i;

	while (s.n > 0 && is_space(s.p[0])) {
		s.p++;
		s.n--;
	}
	while (s.n > 0 && is_space(s.p[s.n - 1]))
		s.n--;
	for (i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (s.n == strlen(words[i]) && strncasecmp(s.p, words[i], s.n) == 0)
			return 1;
	return 0;
}
