/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Transactions: all steps in one script, which looks before it changes anything. In a cluster a script reaches the keys of one
 * slot only, so the steps go slot by slot; all slots are looked at first, which leaves as little as can be to chance: between
 * the looking and the doing another may write, and a server be lost, and then part of it is done. Dapr does no better there.
 */
#include "store.h"

#include <stdlib.h>

#define FIRST_WRITE -1000000 /* below it: the step is refused for first-write */

struct step {
	const struct davit_state_op *op;
	struct davit_str key;
	unsigned slot;
	uint64_t at; /* in the transaction */
	struct version version;
	struct ttl ttl;
};

static davit_status read_step(const struct store *s, const struct davit_state_op *op, uint64_t at, struct step *ret,
			      struct fault *f)
{
	const struct davit_state_set *set = op->set;
	struct davit_str etag = set ? set->etag : op->del->etag;

	ret->op = op;
	ret->at = at;
	ret->key = set ? set->key : op->del->key;
	ret->slot = s->options.cluster ? redis_slot(ret->key) : 0;
	/* As Dapr: of a delete any text may be a version, it just is not this one. */
	if (version_of(set ? set->flags : op->del->flags, etag, &ret->version) < 0 && set != NULL)
		return etag_invalid(f, etag);
	if (set != NULL)
		ret->ttl = ttl_of(s, set);
	return DAVIT_OK;
}

static int by_slot(const void *a, const void *b)
{
	const struct step *x = a, *y = b;

	if (x->slot != y->slot)
		return x->slot < y->slot ? -1 : 1;
	return x->at < y->at ? -1 : 1;
}

static void add_step(struct words *w, const struct step *step)
{
	const struct davit_state_set *set = step->op->set;
	const struct davit_state_key *del = step->op->del;

	words_add(w, set ? "s" : "d");
	if (set == NULL && (del->flags & DAVIT_STATE_HAS_ETAG) && del->etag.n > 0) {
		words_add_bytes(w, del->etag.p, del->etag.n);
		return;
	}
	words_add(w, step->version.text);
	if (set == NULL)
		return;
	words_add_bytes(w, set->value.p, set->value.n);
	words_add(w, set->flags & DAVIT_STATE_FIRST_WRITE ? "0" : "1");
	words_add(w, step->ttl.text);
}

static davit_status run_slot(struct store *s, struct davit_call *call, const struct step *steps, uint64_t n,
			     int only_look, struct fault *f)
{
	struct redis_request *r = NULL;
	const redisReply *reply;
	char why[REDIS_WHY] = "";
	davit_status status;
	struct words w;
	uint64_t i;

	if (script_words(&w, call, n, 1 + 5 * n) < 0)
		return fault_no_memory(f);
	for (i = 0; i < n; i++)
		words_add_bytes(&w, steps[i].key.p, steps[i].key.n);
	words_add(&w, only_look ? "1" : "0");
	for (i = 0; i < n; i++)
		add_step(&w, &steps[i]);
	r = script_begin(s, SCRIPT_MULTI, &w, steps[0].key, 0, &status, why);
	if (r != NULL)
		status = script_end(s, call, SCRIPT_MULTI, &w, steps[0].key, 0, &r, &reply, why);
	if (status != DAVIT_OK) {
		fault_set(f, status, NULL, "%s", why);
	} else if (reply->type != REDIS_REPLY_INTEGER) {
		status = fault_reply(f, reply, "the transaction failed");
	} else if (reply->integer < 0) {
		int first_write = reply->integer < FIRST_WRITE;
		uint64_t at = (uint64_t)(first_write ? FIRST_WRITE - reply->integer : -reply->integer) - 1;

		if (at >= n)
			status = fault_reply(f, reply, "the transaction failed");
		else
			status = first_write ? etag_missing(f, steps[at].key)
					     : etag_mismatch(f, steps[at].op->set ? "set" : "delete", steps[at].key);
	}
	redis_request_unref(r);
	return status;
}

static davit_status run_all(struct store *s, struct davit_call *call, const struct step *steps, uint64_t n,
			    int only_look, struct fault *f)
{
	davit_status status = DAVIT_OK;
	uint64_t i, end;

	for (i = 0; i < n && status == DAVIT_OK; i = end) {
		for (end = i + 1; end < n && steps[end].slot == steps[i].slot; end++)
			continue;
		status = run_slot(s, call, steps + i, end - i, only_look, f);
	}
	return status;
}

davit_status multi(struct store *s, struct davit_call *call, const struct davit_state_multi *in)
{
	struct step *steps = davit_alloc(call, sizeof(*steps) * (in->nops ? in->nops : 1));
	davit_status status = DAVIT_OK;
	struct fault f;
	uint64_t i;

	if (steps == NULL)
		return davit_fail(call, DAVIT_EXHAUSTED, NULL, "no memory left");
	for (i = 0; i < in->nops && status == DAVIT_OK; i++)
		status = read_step(s, in->ops[i], i, &steps[i], &f);
	if (status == DAVIT_OK && in->nops > 0) {
		if (s->options.cluster)
			qsort(steps, in->nops, sizeof(*steps), by_slot);
		if (steps[0].slot != steps[in->nops - 1].slot)
			status = run_all(s, call, steps, in->nops, 1, &f);
		if (status == DAVIT_OK)
			status = run_all(s, call, steps, in->nops, 0, &f);
	}
	return status == DAVIT_OK ? DAVIT_OK : fault_tell(&f, call);
}
