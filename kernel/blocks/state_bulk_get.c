/* SPDX-License-Identifier: Apache-2.0 */
/* Reading many keys: in one call where the store offers that, else in several side by side, as many as the client asks. */
#include "base/banned.h"
#include "base/clock.h"
#include "base/map.h"
#include "blocks/state.h"
#include "blocks/state_error.h"
#include "blocks/state_request.h"
#include "loop/fiber.h"
#include "policy/call.h"

#define PARALLEL 10 /* reads at once when the client does not say, and at most 100 */
#define PARALLEL_MOST 100

struct reading {
	struct scope *s;
	struct state_store *store;
	const struct davit_state_key *const *keys;
	const struct str *names;
	struct state_value *values;
	size_t n, next; /* keys, the next one to read */
	int busy;	/* fibers that read */
	struct fiber *waiter;
};

static void fail(struct reading *r, size_t i, struct str why)
{
	r->values[i] = (struct state_value){ .key = r->names[i], .error = why };
}

static void take(struct reading *r, size_t i, const struct davit_state_item *item)
{
	struct error e;

	if (item->status != DAVIT_OK) {
		fail(r, i, item->error.p ? (struct str){ item->error.p, item->error.n } : STR("it could not be read"));
		return;
	}
	e = state_request_value(r->s->arena, r->store, r->names[i], item, &r->values[i]);
	if (error_is(&e))
		fail(r, i, e.message);
}

static void take_answer(struct reading *r, size_t i, const struct answer *got)
{
	struct record *record;

	if (got->status != DAVIT_OK)
		fail(r, i, state_error_text(r->s->arena, got));
	for (record = got->records; got->status == DAVIT_OK && record != NULL; record = record->next)
		if (record->kind == davit_state_item_kind)
			take(r, i, record->data);
}

/* Running out of memory here must not jump to the stack of the fiber that began the call: this may be another one. */
static void read_one(struct reading *r, size_t i)
{
	struct answer got = policy_call(r->s, r->store->policy, r->store->instance,
					(davit_op *)(void *)r->store->ops->get, r->keys[i]);
	jmp_buf here, *before = arena_on_oom(r->s->arena, &here);

	if (setjmp(here) == 0)
		take_answer(r, i, &got);
	else
		fail(r, i, STR("out of memory"));
	arena_on_oom(r->s->arena, before);
}

static void read_rest(void *arg)
{
	struct reading *r = arg;

	while (r->next < r->n)
		read_one(r, r->next++);
	r->busy--;
	if (r->busy == 0 && r->waiter != NULL)
		fiber_wake(r->waiter);
}

static void read_side_by_side(struct reading *r, int64_t parallelism)
{
	int64_t helpers = parallelism > PARALLEL_MOST ? PARALLEL_MOST : parallelism > 0 ? parallelism : PARALLEL;

	r->waiter = fiber_self();
	r->busy = 1;
	while (--helpers > 0 && (size_t)r->busy < r->n && fiber_start(fiber_loop(r->waiter), read_rest, r) == 0)
		r->busy++;
	read_rest(r);
	while (r->busy > 0)
		fiber_park();
}

/* A store's bulk answer comes in any order and names the keys; a key asked for twice gets its value twice. */
static struct answer read_in_bulk(struct reading *r, int64_t parallelism)
{
	struct davit_state_bulk *in = arena_alloc(r->s->arena, sizeof(*in));
	struct answer got;
	struct record *record;
	size_t i = 0, k;

	*in = (struct davit_state_bulk)DAVIT_INIT(davit_state_bulk, .keys = r->keys, .n = r->n,
						  .parallelism = parallelism > 0 ? (uint64_t)parallelism : 0);
	got = policy_call(r->s, r->store->policy, r->store->instance, (davit_op *)(void *)r->store->ops->bulk_get, in);
	for (record = got.records; record != NULL && got.status == DAVIT_OK; record = record->next) {
		const struct davit_state_item *item = record->data;

		if (record->kind != davit_state_item_kind)
			continue;
		/* Most stores answer in the order of the keys: look on from the last hit, once around. */
		for (k = 0; k < r->n; k++) {
			size_t at = (i + k) % r->n;

			if (r->keys[at]->key.n == item->key.n && !r->values[at].found &&
			    r->values[at].error.p == NULL &&
			    memcmp(r->keys[at]->key.p, item->key.p, item->key.n) == 0) {
				take(r, at, item);
				i = at + 1;
				break;
			}
		}
	}
	return got;
}

struct error state_bulk_get(struct blocks *b, struct scope *s, struct state_store *store, const struct str *keys,
			    size_t n, int64_t parallelism, const struct davit_pair *metadata, size_t nmetadata,
			    const struct state_value **ret_values)
{
	const struct davit_state_key **in = arena_alloc(s->arena, sizeof(*in) * (n + 1));
	struct state_value *values = arena_zalloc(s->arena, sizeof(*values) * (n + 1));
	struct reading r = { s, store, in, keys, values, n, 0, 0, NULL };
	struct answer got = { .status = DAVIT_OK };
	int64_t began = clock_ns();
	struct error e;
	size_t i;

	if (n > STATE_BULK_KEYS)
		return state_error_plain(s->arena, "ERR_STATE_BULK_GET",
					 arena_printf(s->arena,
						      "%zu keys were asked for, at most %d can be: ask in parts", n,
						      STATE_BULK_KEYS));
	for (i = 0; i < n; i++) {
		struct state_item item = { .key = keys[i], .metadata = metadata, .nmetadata = nmetadata };

		e = state_request_key(s->arena, store, &item, "ERR_STATE_BULK_GET", &in[i]);
		if (error_is(&e))
			return e;
		values[i].key = keys[i];
	}
	*ret_values = values;
	if (n == 0)
		return ERROR_NONE;
	if (store->ops->bulk_get != NULL)
		got = read_in_bulk(&r, parallelism);
	else
		read_side_by_side(&r, parallelism);
	metrics_state_done(b->o.metrics, store->name, STR("bulk_get"), got.status == DAVIT_OK, clock_ns() - began);
	if (got.status == DAVIT_OK)
		return ERROR_NONE;
	e = state_error_of(s->arena, &got, "ERR_STATE_BULK_GET", state_error_text(s->arena, &got));
	e.grpc = got.error; /* this one Dapr hands to gRPC clients as it came */
	return e;
}
