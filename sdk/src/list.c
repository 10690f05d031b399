/* SPDX-License-Identifier: Apache-2.0 */
#include <davit/list.h>

static int is_space(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

int davit_list_next(struct davit_str *rest, struct davit_str *ret_item)
{
	const char *comma;
	struct davit_str item;

	while (rest->p != NULL && rest->n > 0) {
		comma = memchr(rest->p, ',', rest->n);
		item.p = rest->p;
		item.n = comma ? (size_t)(comma - rest->p) : rest->n;
		rest->p += item.n + (comma != NULL);
		rest->n -= item.n + (comma != NULL);
		while (item.n > 0 && is_space(item.p[0])) {
			item.p++;
			item.n--;
		}
		while (item.n > 0 && is_space(item.p[item.n - 1]))
			item.n--;
		if (item.n == 0)
			continue;
		*ret_item = item;
		return 1;
	}
	return 0;
}
