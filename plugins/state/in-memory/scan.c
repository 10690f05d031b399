/* SPDX-License-Identifier: Apache-2.0 */
/* What has to look at every key. One shard is locked at a time: writes elsewhere go on meanwhile. */
#include <davit/like.h>
#include <stdlib.h>

#include "store.h"

/* Whether the key lies directly below the prefix: "a||" has "a||b" and not "a||b||c". */
static int below(struct davit_str key, struct davit_str prefix)
{
	return key.n >= prefix.n && memcmp(key.p, prefix.p, prefix.n) == 0 &&
	       memmem(key.p + prefix.n, key.n - prefix.n, "||", 2) == NULL;
}

static int64_t drop_below(struct shard *s, struct davit_str prefix, struct entry **dropped)
{
	struct entry **link;
	int64_t n = 0;
	uint32_t i;

	for (i = 0; i <= s->mask; i++) {
		link = &s->buckets[i];
		while (*link != NULL) {
			if (!below(entry_key(*link), prefix)) {
				link = &(*link)->next;
				continue;
			}
			n += !entry_expired(*link);
			shard_drop(s, link, dropped);
		}
	}
	return n;
}

davit_status store_del_prefix(void *self, struct davit_call *call, const struct davit_state_prefix *in)
{
	struct davit_state_page page = DAVIT_INIT(davit_state_page, .count = 0);
	struct davit_str prefix = in->prefix;
	struct store *s = self;
	struct entry *dropped;
	char *longer;
	int i;

	if (prefix.n == 0 || davit_str_is(prefix, "||"))
		return davit_fail(call, DAVIT_INVALID_ARGUMENT, NULL,
				  "a prefix is required for deleteWithPrefix request");
	if (prefix.n < 2 || memcmp(prefix.p + prefix.n - 2, "||", 2) != 0) {
		longer = davit_alloc(call, prefix.n + 2);
		if (longer == NULL)
			return store_no_memory(call);
		memcpy(longer, prefix.p, prefix.n);
		memcpy(longer + prefix.n, "||", 2);
		prefix = (struct davit_str){ longer, prefix.n + 2 };
	}
	for (i = 0; i < SHARDS; i++) {
		dropped = NULL;
		pthread_mutex_lock(s->shards[i].lock);
		page.count += drop_below(&s->shards[i], prefix, &dropped);
		pthread_mutex_unlock(s->shards[i].lock);
		entry_unref_list(dropped);
	}
	return davit_emit(call, &page);
}

/* Entries found so far, each with a reference of its own. */
struct found {
	struct entry **list;
	size_t n, room;
};

static int by_order(const void *a, const void *b)
{
	const struct entry *const *x = a, *const *y = b;

	return (*x)->order < (*y)->order ? -1 : (*x)->order > (*y)->order;
}

static int add(struct found *f, struct entry *e)
{
	size_t room = f->room ? f->room * 2 : 64;
	struct entry **list;

	if (f->n == f->room) {
		list = reallocarray(f->list, room, sizeof(*list));
		if (list == NULL)
			return -1;
		f->list = list;
		f->room = room;
	}
	f->list[f->n++] = entry_ref(e);
	return 0;
}

static int find_like(struct shard *s, struct davit_str pattern, uint64_t from, struct found *f)
{
	struct entry *e;
	int status = 0;
	uint32_t i;

	pthread_mutex_lock(s->lock);
	for (i = 0; i <= s->mask && status == 0; i++)
		for (e = s->buckets[i]; e != NULL && status == 0; e = e->next)
			if (e->order >= from && !entry_expired(e) && davit_like(pattern, entry_key(e)))
				status = add(f, e);
	pthread_mutex_unlock(s->lock);
	return status;
}

static davit_status emit_page(struct davit_call *call, const struct found *f, uint64_t limit)
{
	struct davit_state_item item = DAVIT_INIT(davit_state_item, .status = 0);
	struct davit_state_page page = DAVIT_INIT(davit_state_page, .count = 0);
	davit_status status = DAVIT_OK;
	char token[32];
	size_t i;

	for (i = 0; i < f->n && (limit == 0 || i < limit) && status == DAVIT_OK; i++) {
		item.key = entry_key(f->list[i]);
		status = davit_emit_state(call, &item);
	}
	if (status != DAVIT_OK)
		return status;
	page.count = (int64_t)i;
	if (i < f->n) {
		snprintf(token, sizeof(token), "%llu", (unsigned long long)f->list[i]->order);
		page.token = davit_str(token);
	}
	return davit_emit(call, &page);
}

static int parse_token(struct davit_str token, uint64_t *ret_from)
{
	uint64_t from = 0;
	size_t i;

	for (i = 0; i < token.n; i++)
		if (token.p[i] < '0' || token.p[i] > '9' || __builtin_mul_overflow(from, 10, &from) ||
		    __builtin_add_overflow(from, (uint64_t)(token.p[i] - '0'), &from))
			return -1;
	*ret_from = from;
	return 0;
}

davit_status store_keys_like(void *self, struct davit_call *call, const struct davit_state_prefix *in)
{
	struct store *s = self;
	struct found f = { NULL, 0, 0 };
	davit_status status;
	uint64_t from = 0;
	size_t k;
	int i, failed = 0;

	if (in->prefix.n == 0)
		return davit_fail(call, DAVIT_INVALID_ARGUMENT, NULL, "keys like pattern cannot be empty");
	if (parse_token(in->token, &from) < 0)
		return davit_fail(call, DAVIT_INVALID_ARGUMENT, NULL, "invalid continue token: it must be a number");
	for (i = 0; i < SHARDS && !failed; i++)
		failed = find_like(&s->shards[i], in->prefix, from, &f) < 0;
	if (f.n > 1)
		qsort(f.list, f.n, sizeof(*f.list), by_order);
	status = failed ? store_no_memory(call) : emit_page(call, &f, in->page);
	for (k = 0; k < f.n; k++)
		entry_unref(f.list[k]);
	free(f.list);
	return status;
}
