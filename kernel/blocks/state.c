/* SPDX-License-Identifier: Apache-2.0 */
#include "blocks/state.h"

#include "base/banned.h"
#include "base/clock.h"
#include "base/jstream.h"
#include "blocks/outbox.h"
#include "blocks/state_error.h"
#include "blocks/state_key.h"
#include "blocks/state_request.h"
#include "policy/call.h"

#define OP(f) ((davit_op *)(void *)(f))

static void count(struct blocks *b, const struct state_store *store, struct str operation, int ok, int64_t began)
{
	metrics_state_done(b->o.metrics, store->name, operation, ok, clock_ns() - began);
}

struct error state_find(const struct blocks *b, struct arena *a, struct str name, struct state_store **ret_store)
{
	struct state_store *store;

	if (b->state.n == 0)
		return state_error_not_configured(a, name, b->o.app_id);
	store = map_get(&b->state, name);
	if (store == NULL)
		return state_error_not_found(a, name, b->o.app_id);
	*ret_store = store;
	return ERROR_NONE;
}

/* The request could not be made, for a reason of this operation (and not, say, for an illegal key). */
static int is_own(const struct error *e, const char *tag)
{
	return e->tag != NULL && strcmp(e->tag, tag) == 0;
}

static struct error get_failed(struct scope *s, const struct answer *got, struct str key, struct str store,
			       struct str why)
{
	struct str text = arena_printf(s->arena, "fail to get " STR_FMT " from state store " STR_FMT ": " STR_FMT,
				       STR_ARG(key), STR_ARG(store), STR_ARG(why));

	return got ? state_error_of(s->arena, got, "ERR_STATE_GET", text)
		   : state_error_plain(s->arena, "ERR_STATE_GET", text);
}

struct error state_get(struct blocks *b, struct scope *s, struct state_store *store, struct str key,
		       struct str consistency, const struct davit_pair *metadata, size_t nmetadata,
		       struct state_value *ret_value)
{
	struct state_item item = {
		.key = key, .consistency = consistency, .metadata = metadata, .nmetadata = nmetadata
	};
	const struct davit_state_key *in;
	int64_t began = clock_ns();
	struct answer got;
	struct record *r;
	struct error e;

	/* As in Dapr, a word that only a write would be refused for says nothing to a reading. */
	if (!str_is(consistency, "strong") && !str_is(consistency, "eventual"))
		item.consistency = STR("");
	e = state_request_key(s->arena, store, &item, "ERR_STATE_GET", &in);
	if (error_is(&e))
		return is_own(&e, "ERR_STATE_GET") ? get_failed(s, NULL, key, store->name, e.message) : e;
	got = policy_call(s, store->policy, store->instance, OP(store->ops->get), in);
	count(b, store, STR("get"), got.status == DAVIT_OK, began);
	if (got.status != DAVIT_OK)
		return get_failed(s, &got, key, store->name, state_error_text(s->arena, &got));
	*ret_value = (struct state_value){ .key = key };
	for (r = got.records; r != NULL; r = r->next) {
		if (r->kind != davit_state_item_kind)
			continue;
		e = state_request_value(s->arena, store, key, r->data, ret_value);
		return error_is(&e) ? get_failed(s, NULL, key, store->name, e.message) : ERROR_NONE;
	}
	return ERROR_NONE;
}

/* An operation on a whole store failed: "failed saving state in state store x: why". */
static struct error store_failed(struct scope *s, const struct answer *got, const struct state_store *store,
				 const char *tag, const char *doing, struct str why)
{
	struct str text = arena_printf(s->arena, "failed %s state in state store " STR_FMT ": " STR_FMT, doing,
				       STR_ARG(store->name), STR_ARG(why));

	return got ? state_error_of(s->arena, got, tag, text) : state_error_plain(s->arena, tag, text);
}

static struct error delete_failed(struct scope *s, const struct answer *got, struct str key, struct str why)
{
	struct str text = arena_printf(s->arena, "failed deleting state with key " STR_FMT ": " STR_FMT, STR_ARG(key),
				       STR_ARG(why));

	return got ? state_error_of(s->arena, got, "ERR_STATE_DELETE", text)
		   : state_error_plain(s->arena, "ERR_STATE_DELETE", text);
}

static struct error transaction_failed(struct scope *s, const struct answer *got, struct str why)
{
	struct str text = arena_printf(s->arena, "error while executing state transaction: " STR_FMT, STR_ARG(why));
	struct error e = state_error_plain(s->arena, "ERR_STATE_TRANSACTION", text);

	/* Always 500, even for an ETag or one of its own errors: so does Dapr. */
	if (got != NULL)
		e.code = state_error_code(got);
	return e;
}

/* One bulk call, or one call after another: the first failure that is not an ETag's wins, as Dapr reports them. */
static struct answer set_all(struct scope *s, struct state_store *store, const struct davit_state_set *const *sets,
			     size_t n)
{
	struct davit_state_bulk *in = arena_alloc(s->arena, sizeof(*in));
	struct answer worst = { .status = DAVIT_OK, .message = STR("") }, got;
	size_t i;

	if (n > 1 && store->ops->bulk_set != NULL) {
		*in = (struct davit_state_bulk)DAVIT_INIT(davit_state_bulk, .sets = sets, .n = n);
		return policy_call(s, store->policy, store->instance, OP(store->ops->bulk_set), in);
	}
	for (i = 0; i < n; i++) {
		got = policy_call(s, store->policy, store->instance, OP(store->ops->set), sets[i]);
		if (got.status != DAVIT_OK && (worst.status == DAVIT_OK || (worst.reason && !got.reason)))
			worst = got;
	}
	return worst;
}

struct error state_save(struct blocks *b, struct scope *s, struct state_store *store, const struct state_item *items,
			size_t n)
{
	const struct davit_state_set **sets = arena_alloc(s->arena, sizeof(*sets) * (n + 1));
	int64_t began = clock_ns();
	struct answer got;
	struct error e;
	size_t i;

	if (n == 0)
		return ERROR_NONE;
	for (i = 0; i < n; i++) {
		e = state_request_set(s->arena, store, &items[i], "ERR_STATE_SAVE", &sets[i]);
		if (error_is(&e))
			return is_own(&e, "ERR_STATE_SAVE")
				       ? store_failed(s, NULL, store, "ERR_STATE_SAVE", "saving", e.message)
				       : e;
	}
	got = set_all(s, store, sets, n);
	count(b, store, STR("set"), got.status == DAVIT_OK, began);
	if (got.status == DAVIT_OK)
		return ERROR_NONE;
	return store_failed(s, &got, store, "ERR_STATE_SAVE", "saving", state_error_text(s->arena, &got));
}

struct error state_delete(struct blocks *b, struct scope *s, struct state_store *store, const struct state_item *item)
{
	const struct davit_state_key *in;
	int64_t began = clock_ns();
	struct answer got;
	struct error e;

	e = state_request_key(s->arena, store, item, "ERR_STATE_DELETE", &in);
	if (error_is(&e))
		return is_own(&e, "ERR_STATE_DELETE") ? delete_failed(s, NULL, item->key, e.message) : e;
	got = policy_call(s, store->policy, store->instance, OP(store->ops->del), in);
	count(b, store, STR("delete"), got.status == DAVIT_OK, began);
	if (got.status == DAVIT_OK)
		return ERROR_NONE;
	return delete_failed(s, &got, item->key, state_error_text(s->arena, &got));
}

static struct answer delete_all(struct scope *s, struct state_store *store, const struct davit_state_key *const *keys,
				size_t n)
{
	struct davit_state_bulk *in = arena_alloc(s->arena, sizeof(*in));
	struct answer worst = { .status = DAVIT_OK, .message = STR("") }, got;
	size_t i;

	if (n > 1 && store->ops->bulk_del != NULL) {
		*in = (struct davit_state_bulk)DAVIT_INIT(davit_state_bulk, .keys = keys, .n = n);
		return policy_call(s, store->policy, store->instance, OP(store->ops->bulk_del), in);
	}
	for (i = 0; i < n; i++) {
		got = policy_call(s, store->policy, store->instance, OP(store->ops->del), keys[i]);
		if (got.status != DAVIT_OK && (worst.status == DAVIT_OK || (worst.reason && !got.reason)))
			worst = got;
	}
	return worst;
}

struct error state_bulk_delete(struct blocks *b, struct scope *s, struct state_store *store,
			       const struct state_item *items, size_t n)
{
	const struct davit_state_key **keys = arena_alloc(s->arena, sizeof(*keys) * (n + 1));
	int64_t began = clock_ns();
	struct answer got;
	struct error e;
	size_t i;

	for (i = 0; i < n; i++) {
		e = state_request_key(s->arena, store, &items[i], "ERR_STATE_BULK_DELETE", &keys[i]);
		if (error_is(&e))
			return is_own(&e, "ERR_STATE_BULK_DELETE")
				       ? store_failed(s, NULL, store, "ERR_STATE_BULK_DELETE", "deleting", e.message)
				       : e;
	}
	got = delete_all(s, store, keys, n);
	count(b, store, STR("bulk_delete"), got.status == DAVIT_OK, began);
	if (got.status == DAVIT_OK)
		return ERROR_NONE;
	return store_failed(s, &got, store, "ERR_STATE_BULK_DELETE", "deleting", state_error_text(s->arena, &got));
}

struct error state_can_transact(const struct state_store *store, struct arena *a)
{
	if (store->ops->multi == NULL || !(store->features & DAVIT_STATE_TRANSACTIONAL))
		return state_error_no_transactions(a, store->name);
	return ERROR_NONE;
}

static struct error make_op(struct scope *s, struct state_store *store, const struct state_step *step,
			    const struct davit_state_op **ret_op)
{
	struct davit_state_op *op = arena_alloc(s->arena, sizeof(*op));
	struct error e;

	*op = (struct davit_state_op)DAVIT_INIT(davit_state_op, .set = NULL);
	if (step->operation == STATE_UPSERT)
		e = state_request_set(s->arena, store, &step->item, "ERR_STATE_TRANSACTION", &op->set);
	else
		e = state_request_key(s->arena, store, &step->item, "ERR_STATE_TRANSACTION", &op->del);
	*ret_op = op;
	return is_own(&e, "ERR_STATE_TRANSACTION") ? transaction_failed(s, NULL, e.message) : e;
}

static size_t most_ops(const struct answer *got)
{
	const struct record *r;

	for (r = got->records; r != NULL; r = r->next)
		if (r->kind == davit_state_page_kind)
			return (size_t)((const struct davit_state_page *)r->data)->count;
	return 0;
}

struct error state_transact(struct blocks *b, struct scope *s, struct state_store *store,
			    const struct state_step *steps, size_t n, const struct davit_pair *metadata,
			    size_t nmetadata)
{
	const struct davit_state_op **ops = arena_alloc(s->arena, sizeof(*ops) * (2 * n + 1));
	const struct davit_state_op **markers = arena_alloc(s->arena, sizeof(*markers) * (n + 1));
	struct davit_state_multi *in = arena_alloc(s->arena, sizeof(*in));
	struct error e = state_can_transact(store, s->arena);
	size_t i, nmarkers = 0;
	struct answer got;
	int64_t began;

	if (error_is(&e) || n == 0)
		return e;
	if (store->outbox != NULL)
		e = outbox_publish(b, s, store, steps, n, &steps, &n, markers, &nmarkers);
	if (error_is(&e))
		return e;
	began = clock_ns();
	for (i = 0; i < n; i++) {
		e = make_op(s, store, &steps[i], &ops[i]);
		if (error_is(&e))
			return e;
	}
	for (i = 0; i < nmarkers; i++)
		ops[n++] = markers[i];
	if (store->ops->max_ops > 0 && n > store->ops->max_ops)
		return state_error_too_many(s->arena, store->name, n, store->ops->max_ops);
	*in = (struct davit_state_multi)DAVIT_INIT(davit_state_multi, .ops = ops, .nops = n, .metadata = metadata,
						   .nmetadata = nmetadata);
	got = policy_call(s, store->policy, store->instance, OP(store->ops->multi), in);
	if (got.reason != NULL && strcmp(got.reason, "TOO_MANY_OPS") == 0)
		return state_error_too_many(s->arena, store->name, n, most_ops(&got));
	count(b, store, STR("transaction"), got.status == DAVIT_OK, began);
	if (got.status == DAVIT_OK)
		return ERROR_NONE;
	return transaction_failed(s, &got, state_error_text(s->arena, &got));
}

static struct error take_results(struct scope *s, struct state_store *store, const struct answer *got,
				 struct state_found *found)
{
	struct state_value *values;
	struct record *r;
	size_t n = 0;

	for (r = got->records; r != NULL; r = r->next)
		n++;
	values = arena_alloc(s->arena, sizeof(*values) * (n + 1));
	n = 0;
	for (r = got->records; r != NULL; r = r->next) {
		const struct davit_state_item *item = r->data;
		const struct davit_state_page *page = r->data;

		if (r->kind == davit_state_page_kind) {
			found->token = (struct str){ page->token.p, page->token.n };
		} else if (r->kind == davit_state_item_kind) {
			struct error e = state_request_value(s->arena, store,
							     state_key_short((struct str){ item->key.p, item->key.n }),
							     item, &values[n]);
			if (error_is(&e))
				return e;
			if (item->status != DAVIT_OK)
				values[n].error = (struct str){ item->error.p, item->error.n };
			n++;
		}
	}
	found->values = values;
	found->n = n;
	return ERROR_NONE;
}

static struct error query_failed(struct scope *s, const struct state_store *store, const struct answer *got)
{
	struct error e;

	if (got->error != NULL && got->error->http != 0) /* as Dapr lets its own errors pass, here alone as they are */
		return *got->error;
	e = state_error_query_failed(s->arena, store->name, state_error_text(s->arena, got));
	e.code = state_error_code(got);
	return e;
}

struct error state_query(struct blocks *b, struct scope *s, struct state_store *store, struct str query,
			 const struct davit_pair *metadata, size_t nmetadata, struct state_found *ret_found)
{
	struct davit_state_query *in = arena_alloc(s->arena, sizeof(*in));
	struct state_found found = { .n = 0 };
	int64_t began = clock_ns();
	struct answer got;
	struct error e;

	if (store->ops->query == NULL) /* whatever its features say, as Dapr */
		return state_error_no_query(s->arena, store->name);
	if (store->crypt != NULL)
		return state_error_query_failed(s->arena, store->name, STR("cannot query encrypted store"));
	if (jstream_check(query) < 0)
		return state_error_query_failed(s->arena, store->name,
						STR("failed to parse JSON query body: it is not well-formed JSON"));
	*in = (struct davit_state_query)DAVIT_INIT(davit_state_query, .query = { query.p, query.n },
						   .metadata = metadata, .nmetadata = nmetadata);
	got = policy_call(s, store->policy, store->instance, OP(store->ops->query), in);
	count(b, store, STR("query"), got.status == DAVIT_OK, began);
	if (got.status != DAVIT_OK)
		return query_failed(s, store, &got);
	e = take_results(s, store, &got, &found);
	if (error_is(&e))
		return state_error_query_failed(s->arena, store->name, e.message);
	*ret_found = found;
	return ERROR_NONE;
}
