/* SPDX-License-Identifier: Apache-2.0 */
#include "blocks/secrets.h"

#include "base/banned.h"
#include "base/clock.h"
#include "blocks/state_error.h"
#include "policy/call.h"

static struct error failure(struct arena *a, int code, int http, const char *tag, struct str message)
{
	struct error e = error_new(a, code, tag, STR_FMT, STR_ARG(message));

	e.http = http;
	e.category = "secret";
	return e;
}

struct error secrets_find(const struct blocks *b, struct arena *a, struct str name, struct secret_store **ret_store)
{
	struct secret_store *store;

	if (b->secrets.n == 0)
		return failure(a, ERROR_FAILED_PRECONDITION, 500, "ERR_SECRET_STORES_NOT_CONFIGURED",
			       STR("secret store is not configured"));
	store = map_get(&b->secrets, name);
	if (store == NULL)
		return failure(a, ERROR_INVALID_ARGUMENT, 401, "ERR_SECRET_STORE_NOT_FOUND",
			       arena_printf(a, "failed finding secret store with key " STR_FMT, STR_ARG(name)));
	*ret_store = store;
	return ERROR_NONE;
}

static struct answer ask(struct scope *s, struct secret_store *store, int all, struct str name,
			 const struct davit_pair *metadata, size_t nmetadata)
{
	struct davit_secret_key *in = arena_alloc(s->arena, sizeof(*in));

	*in = (struct davit_secret_key)DAVIT_INIT(davit_secret_key, .name = { name.p, name.n }, .metadata = metadata,
						  .nmetadata = nmetadata);
	if (all && store->ops->bulk_get == NULL)
		return (struct answer){ .status = DAVIT_UNIMPLEMENTED,
					.message = STR("this secret store cannot list its secrets") };
	return policy_call(s, store->policy, store->instance,
			   (davit_op *)(void *)(all ? store->ops->bulk_get : store->ops->get), in);
}

static struct str as_str(struct davit_str s)
{
	return (struct str){ s.p, s.n };
}

static void collect(struct scope *s, const struct answer *got, const struct configuration *scopes, struct str store,
		    const struct secret_pair **ret_pairs, size_t *ret_n)
{
	struct secret_pair *pairs;
	struct record *r;
	size_t n = 0;

	for (r = got->records; r != NULL; r = r->next)
		n++;
	pairs = arena_alloc(s->arena, sizeof(*pairs) * (n + 1));
	n = 0;
	for (r = got->records; r != NULL; r = r->next) {
		const struct davit_secret_item *item = r->data;

		if (r->kind != davit_secret_item_kind ||
		    (scopes != NULL && !configuration_secret_allowed(scopes, store, as_str(item->name))))
			continue;
		pairs[n++] = (struct secret_pair){ as_str(item->name), as_str(item->key), as_str(item->value) };
	}
	*ret_pairs = pairs;
	*ret_n = n;
}

/* name.p == NULL: all secrets were asked for. */
static struct error failed(struct scope *s, const struct answer *got, struct str name, struct str store)
{
	struct arena *a = s->arena;
	struct str why = got->message.n ? got->message : str_of(error_code_name(got->status));
	int32_t code = state_error_code(got);

	if (name.p != NULL)
		return failure(a, code, 500, "ERR_SECRET_GET",
			       arena_printf(a,
					    "failed getting secret with key " STR_FMT " from secret store " STR_FMT
					    ": " STR_FMT,
					    STR_ARG(name), STR_ARG(store), STR_ARG(why)));
	return failure(a, code, 500, "ERR_SECRET_GET",
		       arena_printf(a, "failed getting secrets from secret store " STR_FMT ": " STR_FMT, STR_ARG(store),
				    STR_ARG(why)));
}

struct error secrets_get(struct blocks *b, struct scope *s, struct secret_store *store, struct str name,
			 const struct davit_pair *metadata, size_t nmetadata, const struct secret_pair **ret_pairs,
			 size_t *ret_n)
{
	int64_t began = clock_ns();
	struct answer got;

	if (!configuration_secret_allowed(b->o.configuration, store->name, name))
		return failure(s->arena, ERROR_PERMISSION_DENIED, 403, "ERR_PERMISSION_DENIED",
			       arena_printf(s->arena,
					    "access denied by policy to get \"" STR_FMT "\" from \"" STR_FMT "\"",
					    STR_ARG(name), STR_ARG(store->name)));
	got = ask(s, store, 0, name, metadata, nmetadata);
	metrics_secret_done(b->o.metrics, store->name, STR("get"), got.status == DAVIT_OK, clock_ns() - began);
	if (got.status != DAVIT_OK)
		return failed(s, &got, name, store->name);
	collect(s, &got, NULL, store->name, ret_pairs, ret_n);
	return ERROR_NONE;
}

struct error secrets_bulk(struct blocks *b, struct scope *s, struct secret_store *store,
			  const struct davit_pair *metadata, size_t nmetadata, const struct secret_pair **ret_pairs,
			  size_t *ret_n)
{
	int64_t began = clock_ns();
	struct answer got = ask(s, store, 1, STR(""), metadata, nmetadata);

	metrics_secret_done(b->o.metrics, store->name, STR("bulk_get"), got.status == DAVIT_OK, clock_ns() - began);
	if (got.status != DAVIT_OK)
		return failed(s, &got, STR_NONE, store->name);
	collect(s, &got, b->o.configuration, store->name, ret_pairs, ret_n);
	return ERROR_NONE;
}

struct error secrets_read(struct scope *s, struct secret_store *store, struct str name, struct str key,
			  struct str name_space, struct str *ret_value)
{
	struct davit_pair *where = arena_alloc(s->arena, sizeof(*where));
	const struct secret_pair *pairs;
	struct answer got;
	size_t n, i;

	*where = (struct davit_pair){ { "namespace", 9 }, { name_space.p ? name_space.p : "", name_space.n } };
	got = ask(s, store, 0, name, where, 1);
	if (got.status != DAVIT_OK)
		return error_new(s->arena, got.status, NULL, STR_FMT, STR_ARG(got.message));
	collect(s, &got, NULL, store->name, &pairs, &n);
	*ret_value = STR("");
	for (i = 0; i < n; i++)
		if (str_eq(pairs[i].key, key))
			*ret_value = pairs[i].value;
	return ERROR_NONE;
}
