/* SPDX-License-Identifier: Apache-2.0 */
#include <davit/json.h>

static size_t behind_string(const char *text, size_t n, size_t at)
{
	for (at++; at < n && text[at] != '"'; at++)
		if (text[at] == '\\')
			at++;
	return at;
}

size_t davit_json_depth(const char *text, size_t n)
{
	size_t depth = 0, deepest = 0, at;

	for (at = 0; at < n; at++) {
		switch (text[at]) {
		case '"': at = behind_string(text, n, at); break;
		case '[':
		case '{':
			if (++depth > deepest)
				deepest = depth;
			break;
		case ']':
		case '}':
			if (depth > 0)
				depth--;
			break;
		default: break;
		}
	}
	return deepest;
}
