/* SPDX-License-Identifier: Apache-2.0 */
/* State: several keys in one call. */
#include "report.h"
#include "state.h"

static void transactions(struct host *h)
{
	struct put good[] = {
		{ "multi||a", "1", 1, DAVIT_STATE_JSON, NULL, 0 },
		{ "multi||b", "2", 1, 0, NULL, 0 },
		{ "multi||a", "3", 1, DAVIT_STATE_JSON, NULL, 0 },
		{ "multi||none", NULL, 0, 0, NULL, 0 },
	};
	struct put bad[] = {
		{ "multi||a", "9", 1, DAVIT_STATE_JSON, NULL, 0 },
		{ "multi||b", NULL, 0, 0, NULL, 0 },
		{ "multi||c", "9", 1, DAVIT_STATE_JSON, NULL, 0 },
		{ "multi||a", "9", 1, DAVIT_STATE_JSON, "wrong", 0 },
	};
	char etag[128];
	struct call c;

	report(state_multi(h, &c, good, 0) == DAVIT_OK, &c, "an empty transaction does nothing");
	call_release(&c);
	report(state_multi(h, &c, good, 4) == DAVIT_OK, &c, "a transaction is carried out");
	call_release(&c);
	report(state_is_text(h, "multi||a", "3") && state_is_text(h, "multi||b", "2"), NULL, "in its order");
	report((state_multi(h, &c, bad, 4) == DAVIT_ABORTED && strcmp(c.reason, "ETAG_MISMATCH") == 0) ||
		       state_etag_invalid(&c),
	       &c, "one wrong ETag refuses all of it");
	call_release(&c);
	report(state_is_text(h, "multi||a", "3") && state_is_text(h, "multi||b", "2") &&
		       state_is(h, "multi||c", NULL, 0),
	       NULL, "and nothing of it is left");
	report(state_etag(h, "multi||b", etag), NULL, "transactions leave ETags");
	bad[3] = (struct put){ "multi||b", NULL, 0, 0, etag, 0 };
	report(state_multi(h, &c, bad + 2, 2) == DAVIT_OK && state_is(h, "multi||b", NULL, 0) &&
		       state_is_text(h, "multi||c", "9"),
	       &c, "with the right ETag it is carried out");
	call_release(&c);
}

static void long_transactions(struct host *h)
{
	static char keys[STATE_LIST][32];
	static struct put steps[STATE_LIST];
	struct call c;
	int i, ok;

	for (i = 0; i < STATE_LIST; i++) {
		snprintf(keys[i], sizeof(keys[i]), "long||%d", i);
		steps[i] = (struct put){ keys[i], keys[i], strlen(keys[i]), 0, NULL, 0 };
	}
	report(state_multi(h, &c, steps, STATE_LIST) == DAVIT_OK, &c, "a transaction of many steps is carried out");
	call_release(&c);
	for (i = 0, ok = 1; i < STATE_LIST; i++)
		ok &= state_is_text(h, keys[i], keys[i]);
	report(ok, NULL, "and all of it is there");
}

static void bulk_gets(struct host *h)
{
	static const char *const keys[] = { "bulk||b", "bulk||none", "bulk||a", "bulk||b" };
	size_t i, seen = 0;
	struct call c;

	state_put_text(h, "bulk||a", "1");
	state_put_text(h, "bulk||b", "2");
	report(state_bulk_get(h, &c, keys, 4) == DAVIT_OK, &c, "many keys are read at once");
	for (i = 0; i < c.nrecords; i++)
		seen += c.records[i].value.n == 1 && c.records[i].etag.n > 0 && c.records[i].status == 0 &&
			((davit_str_is(c.records[i].key, "bulk||a") && *(const char *)c.records[i].value.p == '1') ||
			 (davit_str_is(c.records[i].key, "bulk||b") && *(const char *)c.records[i].value.p == '2'));
	report(seen == c.nrecords && seen >= 2, &c, "with their values, and nothing for what is missing");
	call_release(&c);
	report(state_bulk_get(h, &c, keys, 0) == DAVIT_OK && c.nrecords == 0, &c, "no keys have no values");
	call_release(&c);
}

static void bulk_writes(struct host *h)
{
	struct put saves[] = {
		{ "many||a", "1", 1, DAVIT_STATE_JSON, NULL, 0 },
		{ "many||b", "2", 1, DAVIT_STATE_JSON, "wrong", 0 },
		{ "many||c", "3", 1, 0, NULL, 0 },
	};
	struct put deletes[] = {
		{ "many||a", NULL, 0, 0, NULL, 0 },
		{ "many||b", NULL, 0, 0, NULL, 0 },
		{ "many||c", NULL, 0, 0, "wrong", 0 },
	};
	struct call c;

	report((state_bulk_write(h, &c, saves, 3) == DAVIT_ABORTED && strcmp(c.reason, "ETAG_MISMATCH") == 0) ||
		       state_etag_invalid(&c),
	       &c, "of many saves the one with a wrong ETag is told");
	call_release(&c);
	report(state_is_text(h, "many||a", "1") && state_is(h, "many||b", NULL, 0) && state_is_text(h, "many||c", "3"),
	       NULL, "and the others are done");
	saves[1].etag = NULL;
	report(state_bulk_write(h, &c, saves, 3) == DAVIT_OK && state_is_text(h, "many||b", "2"), &c,
	       "many saves without one are all done");
	call_release(&c);
	report((state_bulk_write(h, &c, deletes, 3) == DAVIT_ABORTED || state_etag_invalid(&c)) &&
		       state_is(h, "many||a", NULL, 0) && state_is(h, "many||b", NULL, 0) &&
		       state_is_text(h, "many||c", "3"),
	       &c, "and so are many deletes");
	call_release(&c);
}

static size_t keys_in(const struct call *c)
{
	size_t i, n = 0;

	for (i = 0; i < c->nrecords; i++)
		n += c->records[i].kind == davit_state_item_kind;
	return n;
}

static void keys_like(struct host *h)
{
	char token[64], key[32];
	size_t total = 0;
	struct call c;
	int i, pages = 0;

	for (i = 0; i < 25; i++) {
		snprintf(key, sizeof(key), "like||%d", i);
		state_put_text(h, key, "1");
	}
	state_put_text(h, "like%other", "1");
	report(state_keys_like(h, &c, "like||%", NULL, 0) == DAVIT_OK && keys_in(&c) == 25, &c,
	       "keys are found by a pattern");
	call_release(&c);
	report(state_keys_like(h, &c, "like||_", NULL, 0) == DAVIT_OK && keys_in(&c) == 10, &c, "'_' is one character");
	call_release(&c);
	report(state_keys_like(h, &c, "like\\%%", NULL, 0) == DAVIT_OK && keys_in(&c) == 1, &c, "a backslash escapes");
	call_release(&c);
	report(state_keys_like(h, &c, "nothing like it", NULL, 0) == DAVIT_OK && keys_in(&c) == 0, &c,
	       "none is an answer");
	call_release(&c);
	report(state_keys_like(h, &c, "", NULL, 0) == DAVIT_INVALID_ARGUMENT, &c, "an empty pattern is refused");
	call_release(&c);
	report(state_keys_like(h, &c, "like||%", "what?", 5) == DAVIT_INVALID_ARGUMENT, &c,
	       "so is a token of nobody's");
	call_release(&c);
	token[0] = '\0';
	do {
		if (state_keys_like(h, &c, "like||%", token[0] ? token : NULL, 10) != DAVIT_OK)
			report(0, &c, "a page of keys");
		total += keys_in(&c);
		struct record page = state_page(&c);

		snprintf(token, sizeof(token), "%s", page.token.n ? page.token.p : "");
		call_release(&c);
	} while (token[0] != '\0' && ++pages < 10);
	report(total == 25 && pages == 2, NULL, "pages have every key once");
}

static void del_prefixes(struct host *h)
{
	struct call c;

	state_put_text(h, "pre||x||a", "1");
	state_put_text(h, "pre||x||b", "1");
	state_put_text(h, "pre||x||b||deeper", "1");
	state_put_text(h, "pre||xy||a", "1");
	report(state_del_prefix(h, &c, "pre||x") == DAVIT_OK && state_page(&c).count == 2, &c,
	       "a prefix deletes what is below it");
	call_release(&c);
	report(state_is(h, "pre||x||a", NULL, 0) && state_is_text(h, "pre||x||b||deeper", "1") &&
		       state_is_text(h, "pre||xy||a", "1"),
	       NULL, "and nothing else");
	report(state_del_prefix(h, &c, "||") == DAVIT_INVALID_ARGUMENT, &c, "an empty prefix is refused");
	call_release(&c);
}

void suite_state_many(struct host *h)
{
	const struct davit_state_ops *ops = h->component->ops;

	if (ops->multi != NULL && (state_features(h) & DAVIT_STATE_TRANSACTIONAL)) {
		transactions(h);
		long_transactions(h);
	}
	if (ops->bulk_get != NULL)
		bulk_gets(h);
	if (ops->bulk_set != NULL && ops->bulk_del != NULL)
		bulk_writes(h);
	if (ops->keys_like != NULL)
		keys_like(h);
	if (ops->del_prefix != NULL)
		del_prefixes(h);
}
