/* SPDX-License-Identifier: Apache-2.0 */
#include "blocks/state_key.h"

#include "base/banned.h"
#include "blocks/state_error.h"

#define SEPARATOR STR("||")

/* A prefix of one's own is written in lower case, whatever the resource has: so Dapr has stored it. */
static struct str lower(struct arena *a, struct str text)
{
	struct str copy = arena_str(a, text);
	char *p = (char *)copy.p;
	size_t i;

	for (i = 0; i < copy.n; i++)
		if (p[i] >= 'A' && p[i] <= 'Z')
			p[i] = (char)(p[i] - 'A' + 'a');
	return copy;
}

int state_key_prefix(struct arena *a, struct str strategy, struct str store, struct str app_id, struct str name_space,
		     struct str *ret_prefix)
{
	struct str first;

	if (str_find(strategy, SEPARATOR) >= 0)
		return -1;
	if (str_ieq(strategy, STR("none")))
		first = STR_NONE;
	else if (str_ieq(strategy, STR("name")))
		first = store;
	else if (strategy.p == NULL || str_ieq(strategy, STR("appid")))
		first = app_id.n == 0 ? STR_NONE : app_id;
	else if (str_ieq(strategy, STR("namespace")))
		first = app_id.n == 0 ? STR_NONE
			: name_space.n == 0
				? app_id
				: arena_printf(a, STR_FMT "." STR_FMT, STR_ARG(name_space), STR_ARG(app_id));
	else
		first = lower(a, strategy);
	*ret_prefix = first.p != NULL ? arena_printf(a, STR_FMT "||", STR_ARG(first)) : STR("");
	return 0;
}

struct error state_key_full(struct arena *a, const struct state_store *s, struct str key, struct str *ret_key)
{
	char *full;

	if (str_find(key, SEPARATOR) >= 0)
		return state_error_illegal_key(a, s->name, key);
	full = arena_alloc(a, s->prefix.n + key.n + 1);
	memcpy(full, s->prefix.p, s->prefix.n);
	if (key.n > 0)
		memcpy(full + s->prefix.n, key.p, key.n);
	full[s->prefix.n + key.n] = '\0';
	*ret_key = (struct str){ full, s->prefix.n + key.n };
	return ERROR_NONE;
}

struct str state_key_short(struct str full)
{
	ptrdiff_t at = str_find(full, SEPARATOR), end;
	struct str key;

	if (at < 0)
		return full;
	key = str_from(full, (size_t)at + 2);
	end = str_find(key, SEPARATOR);
	return end < 0 ? key : str_upto(key, (size_t)end);
}
