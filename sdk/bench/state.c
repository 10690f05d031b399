/* SPDX-License-Identifier: Apache-2.0 */
#include "state.h"

static const struct davit_state_ops *ops_of(const struct host *h)
{
	return h->component->ops;
}

uint32_t state_features(const struct host *h)
{
	return ops_of(h)->features | h->features;
}

struct davit_bytes state_bytes(const char *text)
{
	struct davit_bytes b = { text, text ? strlen(text) : 0 };

	return b;
}

/* The key as the store gets it. Lives as long as the call. */
static struct davit_str full(struct call *c, const char *key)
{
	const char *prefix = c->host->key_prefix;

	return davit_str(prefix == NULL || key == NULL || key[0] == '\0' ? key : call_join(c, prefix, key));
}

static struct davit_state_set set_of(struct call *c, const struct put *p)
{
	struct davit_state_set in = DAVIT_INIT(davit_state_set,
					       .flags = p->flags | (p->etag ? DAVIT_STATE_HAS_ETAG : 0),
					       .key = full(c, p->key), .etag = davit_str(p->etag),
					       .value = { p->value, p->n }, .ttl_s = p->ttl_s);

	return in;
}

static struct davit_state_key key_of(struct call *c, const char *key, uint32_t flags, const char *etag)
{
	struct davit_state_key in = DAVIT_INIT(davit_state_key, .flags = flags | (etag ? DAVIT_STATE_HAS_ETAG : 0),
					       .key = full(c, key), .etag = davit_str(etag));

	return in;
}

davit_status state_put(struct host *h, struct call *ret_call, const struct put *p)
{
	struct davit_state_set in;

	call_init(ret_call, h);
	in = set_of(ret_call, p);
	return call_run(ret_call, (davit_op *)ops_of(h)->set, &in);
}

/* What is no JSON is not called so: a store may have a type for it. */
static uint32_t flags_of(const char *value)
{
	return strchr("{[\"-0123456789", value[0]) != NULL ? DAVIT_STATE_JSON : 0;
}

davit_status state_put_text(struct host *h, const char *key, const char *value)
{
	struct put p = { key, value, strlen(value), flags_of(value), NULL, 0 };
	struct call c;
	davit_status status = state_put(h, &c, &p);

	call_release(&c);
	return status;
}

davit_status state_get(struct host *h, struct call *ret_call, const char *key)
{
	struct davit_state_key in;

	call_init(ret_call, h);
	in = key_of(ret_call, key, 0, NULL);
	return call_run(ret_call, (davit_op *)ops_of(h)->get, &in);
}

davit_status state_del(struct host *h, struct call *ret_call, const char *key, uint32_t flags, const char *etag)
{
	struct davit_state_key in;

	call_init(ret_call, h);
	in = key_of(ret_call, key, flags, etag);
	return call_run(ret_call, (davit_op *)ops_of(h)->del, &in);
}

davit_status state_multi(struct host *h, struct call *ret_call, const struct put *steps, size_t n)
{
	static __thread struct davit_state_set sets[STATE_LIST];
	static __thread struct davit_state_key dels[STATE_LIST];
	static __thread struct davit_state_op ops[STATE_LIST];
	static __thread const struct davit_state_op *list[STATE_LIST];
	struct davit_state_multi in = DAVIT_INIT(davit_state_multi, .ops = list, .nops = n);
	size_t i;

	call_init(ret_call, h);
	for (i = 0; i < n; i++) {
		ops[i] = (struct davit_state_op)DAVIT_INIT(davit_state_op, .set = NULL);
		if (steps[i].value != NULL) {
			sets[i] = set_of(ret_call, &steps[i]);
			ops[i].set = &sets[i];
		} else {
			dels[i] = key_of(ret_call, steps[i].key, steps[i].flags, steps[i].etag);
			ops[i].del = &dels[i];
		}
		list[i] = &ops[i];
	}
	return call_run(ret_call, (davit_op *)ops_of(h)->multi, &in);
}

davit_status state_bulk_get(struct host *h, struct call *ret_call, const char *const *keys, size_t n)
{
	static __thread struct davit_state_key in_keys[STATE_LIST];
	static __thread const struct davit_state_key *list[STATE_LIST];
	struct davit_state_bulk in = DAVIT_INIT(davit_state_bulk, .keys = list, .n = n);
	size_t i;

	call_init(ret_call, h);
	for (i = 0; i < n; i++) {
		in_keys[i] = key_of(ret_call, keys[i], 0, NULL);
		list[i] = &in_keys[i];
	}
	return call_run(ret_call, (davit_op *)ops_of(h)->bulk_get, &in);
}

davit_status state_bulk_write(struct host *h, struct call *ret_call, const struct put *steps, size_t n)
{
	static __thread struct davit_state_set sets[STATE_LIST];
	static __thread struct davit_state_key keys[STATE_LIST];
	static __thread const struct davit_state_set *set_list[STATE_LIST];
	static __thread const struct davit_state_key *key_list[STATE_LIST];
	struct davit_state_bulk in = DAVIT_INIT(davit_state_bulk, .n = n);
	int saves = steps[0].value != NULL;
	size_t i;

	call_init(ret_call, h);
	for (i = 0; i < n; i++) {
		sets[i] = set_of(ret_call, &steps[i]);
		keys[i] = key_of(ret_call, steps[i].key, steps[i].flags, steps[i].etag);
		set_list[i] = &sets[i];
		key_list[i] = &keys[i];
	}
	in.sets = saves ? set_list : NULL;
	in.keys = saves ? NULL : key_list;
	return call_run(ret_call, (davit_op *)(saves ? ops_of(h)->bulk_set : ops_of(h)->bulk_del), &in);
}

static davit_status run_prefix(struct host *h, struct call *ret_call, davit_op *op, const char *prefix,
			       const char *token, uint64_t page)
{
	struct davit_state_prefix in = DAVIT_INIT(davit_state_prefix, .token = davit_str(token), .page = page);

	call_init(ret_call, h);
	in.prefix = full(ret_call, prefix);
	return call_run(ret_call, op, &in);
}

davit_status state_keys_like(struct host *h, struct call *ret_call, const char *pattern, const char *token,
			     uint64_t page)
{
	return run_prefix(h, ret_call, (davit_op *)ops_of(h)->keys_like, pattern, token, page);
}

davit_status state_del_prefix(struct host *h, struct call *ret_call, const char *prefix)
{
	return run_prefix(h, ret_call, (davit_op *)ops_of(h)->del_prefix, prefix, NULL, 0);
}

int state_is(struct host *h, const char *key, const void *value, size_t n)
{
	struct call c;
	int is = 0;

	if (state_get(h, &c, key) == DAVIT_OK) {
		if (value == NULL)
			is = c.nrecords == 0;
		else
			is = c.nrecords == 1 && c.records[0].value.n == n &&
			     (n == 0 || memcmp(c.records[0].value.p, value, n) == 0) &&
			     davit_str_is(c.records[0].key, key);
	}
	call_release(&c);
	return is;
}

/* A store that keeps JSON parsed may give it back with other white space. */
static int same_json(struct davit_bytes got, const char *value)
{
	const char *p = got.p, *end = p + got.n;

	for (; p < end; p++) {
		if (*p == ' ' && *value != ' ')
			continue;
		if (*p != *value++)
			return 0;
	}
	return *value == '\0';
}

int state_is_text(struct host *h, const char *key, const char *value)
{
	struct call c;
	int same;

	if (value == NULL || flags_of(value) == 0)
		return state_is(h, key, value, value ? strlen(value) : 0);
	same = state_get(h, &c, key) == DAVIT_OK && c.nrecords == 1 && same_json(c.records[0].value, value);
	call_release(&c);
	return same;
}

int state_etag(struct host *h, const char *key, char ret_etag[128])
{
	struct call c;
	int has = state_get(h, &c, key) == DAVIT_OK && c.nrecords == 1 && c.records[0].etag.n > 0;

	if (has)
		snprintf(ret_etag, 128, "%s", c.records[0].etag.p);
	call_release(&c);
	return has;
}

struct record state_page(const struct call *c)
{
	struct record none = { .kind = 0 };
	size_t i;

	for (i = 0; i < c->nrecords; i++)
		if (c->records[i].kind == davit_state_page_kind)
			return c->records[i];
	return none;
}

int state_etag_invalid(const struct call *c)
{
	return c->status == DAVIT_INVALID_ARGUMENT && strcmp(c->reason, "ETAG_INVALID") == 0;
}
