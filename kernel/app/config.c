/* SPDX-License-Identifier: Apache-2.0 */
#include "app/config.h"

#include "base/banned.h"
#include "base/jstream.h"

#define MOST 10000 /* entities, entity configurations */

struct reader {
	struct jstream j;
	struct arena *a;
	int wrong; /* a value of another type than it should be */
};

/* 1: there is a null, which says nothing; it is skipped. */
static int is_null(struct reader *r)
{
	if (jstream_peek(&r->j) != JSTREAM_NULL)
		return 0;
	jstream_skip(&r->j);
	return 1;
}

static void read_text(struct reader *r, struct str *ret_text)
{
	if (!is_null(r) && !jstream_string(&r->j, r->a, ret_text))
		r->wrong = 1;
}

static void read_bool(struct reader *r, int *ret_value)
{
	if (is_null(r))
		return;
	if (jstream_peek(&r->j) == JSTREAM_BOOL)
		*ret_value = str_is(jstream_raw(&r->j), "true");
	else
		r->wrong = 1;
}

static void read_number(struct reader *r, int64_t *ret_value)
{
	if (is_null(r))
		return;
	if (jstream_peek(&r->j) != JSTREAM_NUMBER || str_int(jstream_raw(&r->j), ret_value) < 0)
		r->wrong = 1;
}

static void *grow(struct reader *r, void *list, size_t n, size_t size)
{
	size_t cap = 8;

	if (n >= MOST) {
		r->wrong = 1;
		return list;
	}
	if (n > 0 && (n < 8 || (n & (n - 1)) != 0))
		return list;
	while (cap <= n)
		cap *= 2;
	return arena_grow(r->a, list, n * size, cap * size);
}

static void read_entities(struct reader *r, struct app_actors *c)
{
	struct str *list = NULL;
	size_t n = 0;

	if (is_null(r))
		return;
	if (!jstream_enter_array(&r->j)) {
		r->wrong = 1;
		return;
	}
	while (!r->wrong && jstream_next(&r->j)) {
		list = grow(r, list, n, sizeof(*list));
		if (r->wrong)
			return;
		list[n] = STR("");
		read_text(r, &list[n++]);
	}
	c->entities = list;
	c->nentities = n;
}

static void read_reentrancy(struct reader *r, struct app_actors *c)
{
	struct str key;

	if (is_null(r))
		return;
	if (!jstream_enter_object(&r->j)) {
		r->wrong = 1;
		return;
	}
	while (!r->wrong && jstream_key(&r->j, r->a, &key)) {
		if (str_ieq(key, STR("enabled")))
			read_bool(r, &c->reentrancy_enabled);
		else if (str_ieq(key, STR("maxStackDepth")))
			read_number(r, &c->reentrancy_max_stack_depth);
		else
			jstream_skip(&r->j);
	}
}

/* 0: the key is none of these. */
static int read_actors(struct reader *r, struct str key, struct app_actors *c)
{
	if (str_ieq(key, STR("entities")))
		read_entities(r, c);
	else if (str_ieq(key, STR("actorIdleTimeout")))
		read_text(r, &c->idle_timeout);
	else if (str_ieq(key, STR("drainOngoingCallTimeout")))
		read_text(r, &c->drain_ongoing_call_timeout);
	else if (str_ieq(key, STR("drainRebalancedActors")))
		read_bool(r, &c->drain_rebalanced_actors);
	else if (str_ieq(key, STR("reentrancy")))
		read_reentrancy(r, c);
	else if (str_ieq(key, STR("remindersStoragePartitions")))
		read_number(r, &c->reminders_storage_partitions);
	else
		return 0;
	return 1;
}

static const struct app_actors nothing_said = { .idle_timeout = STR(""),
						.drain_ongoing_call_timeout = STR(""),
						.drain_rebalanced_actors = -1,
						.reentrancy_max_stack_depth = -1 };

static void read_each(struct reader *r, struct app_config *c)
{
	struct app_actors *list = NULL;
	struct str key;
	size_t n = 0;

	if (is_null(r))
		return;
	if (!jstream_enter_array(&r->j)) {
		r->wrong = 1;
		return;
	}
	while (!r->wrong && jstream_next(&r->j)) {
		list = grow(r, list, n, sizeof(*list));
		if (r->wrong)
			return;
		list[n++] = nothing_said;
		if (is_null(r))
			continue;
		r->wrong |= !jstream_enter_object(&r->j);
		while (!r->wrong && jstream_key(&r->j, r->a, &key))
			if (!read_actors(r, key, &list[n - 1]))
				jstream_skip(&r->j);
	}
	c->of = list;
	c->nof = n;
}

struct app_config *app_config_read(struct arena *a, struct str body)
{
	struct reader r = { .j = jstream_read(body), .a = a };
	struct app_config *c = arena_zalloc(a, sizeof(*c));
	struct str key;

	c->all = nothing_said;
	if (is_null(&r))
		return r.j.error == NULL ? c : NULL;
	if (!jstream_enter_object(&r.j))
		return NULL;
	while (!r.wrong && jstream_key(&r.j, a, &key)) {
		if (str_ieq(key, STR("entitiesConfig")))
			read_each(&r, c);
		else if (!read_actors(&r, key, &c->all))
			jstream_skip(&r.j);
	}
	return r.wrong || r.j.error != NULL ? NULL : c;
}
