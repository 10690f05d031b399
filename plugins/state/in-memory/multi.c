/* SPDX-License-Identifier: Apache-2.0 */
/* Transactions: every lock that is needed, then every check, then what can no longer fail. */
#include "store.h"

_Static_assert(LOCKS <= 32, "a bit of a uint32_t each");

struct step {
	struct place at;
	struct entry *put; /* NULL: a delete */
};

/* In the order of the locks' addresses: two transactions can never wait for each other. */
static void each_lock(uint32_t locks, struct store *s, int (*what)(pthread_mutex_t *lock))
{
	size_t i;

	for (i = 0; i < LOCKS; i++)
		if (locks >> i & 1)
			what(&s->locks[i].mutex);
}

static struct davit_str key_of(const struct davit_state_op *op)
{
	return op->set != NULL ? op->set->key : op->del->key;
}

static struct davit_str etag_of(const struct davit_state_op *op)
{
	return op->set != NULL ? op->set->etag : op->del->etag;
}

static struct refusal check(struct step *step, const struct davit_state_op *op, struct entry **dropped)
{
	struct entry *there = shard_find(step->at.shard, step->at.hash, key_of(op), dropped);

	return op->set != NULL ? store_check(there, op->set->flags, op->set->etag)
			       : store_check(there, op->del->flags, op->del->etag);
}

/* All entries are made before anything is locked. -1: no memory, and those that were made are gone. */
static int prepare(struct store *s, const struct davit_state_multi *in, struct step *steps, uint32_t *locks)
{
	uint64_t i;

	for (i = 0; i < in->nops; i++) {
		steps[i].at = store_place(s, key_of(in->ops[i]));
		steps[i].put = NULL;
		*locks |= (uint32_t)1 << ((steps[i].at.shard - s->shards) % LOCKS);
		if (in->ops[i]->set == NULL)
			continue;
		steps[i].put = entry_new(in->ops[i]->set);
		if (steps[i].put == NULL)
			break;
		steps[i].put->hash = steps[i].at.hash;
		steps[i].put->order = __atomic_fetch_add(&s->order, 1, __ATOMIC_RELAXED);
	}
	if (i == in->nops)
		return 0;
	while (i-- > 0)
		entry_unref(steps[i].put);
	return -1;
}

static void apply(struct step *step, struct davit_str key, struct entry **dropped)
{
	if (step->put != NULL) {
		shard_sweep(step->at.shard, dropped);
		shard_put(step->at.shard, step->put, dropped);
	} else {
		shard_remove(step->at.shard, step->at.hash, key, dropped);
	}
}

davit_status store_multi(void *self, struct davit_call *call, const struct davit_state_multi *in)
{
	struct store *s = self;
	struct entry *dropped = NULL;
	struct refusal refusal = { .why = REFUSAL_NONE };
	uint32_t locks = 0;
	struct step *steps;
	uint64_t i, refused = 0;

	if (in->nops == 0)
		return DAVIT_OK;
	steps = in->nops > SIZE_MAX / sizeof(*steps) ? NULL : davit_alloc(call, in->nops * sizeof(*steps));
	if (steps == NULL || prepare(s, in, steps, &locks) < 0)
		return store_no_memory(call);
	each_lock(locks, s, pthread_mutex_lock);
	for (i = 0; i < in->nops && refusal.why == REFUSAL_NONE; i++) {
		refusal = check(&steps[i], in->ops[i], &dropped);
		refused = i;
	}
	for (i = 0; i < in->nops && refusal.why == REFUSAL_NONE; i++)
		apply(&steps[i], key_of(in->ops[i]), &dropped);
	each_lock(locks, s, pthread_mutex_unlock);
	entry_unref_list(dropped);
	if (refusal.why == REFUSAL_NONE)
		return DAVIT_OK;
	for (i = 0; i < in->nops; i++)
		entry_unref(steps[i].put);
	return store_refuse(call, &refusal, key_of(in->ops[refused]), etag_of(in->ops[refused]));
}
