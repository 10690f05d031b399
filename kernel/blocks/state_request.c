/* SPDX-License-Identifier: Apache-2.0 */
#include "blocks/state_request.h"

#include "base/banned.h"
#include "base/clock.h"
#include "base/jstream.h"
#include "blocks/state_crypt.h"
#include "blocks/state_error.h"
#include "blocks/state_key.h"

static struct str metadata_of(const struct state_item *item, const char *name)
{
	size_t i;

	for (i = 0; i < item->nmetadata; i++)
		if (davit_str_is(item->metadata[i].key, name))
			return (struct str){ item->metadata[i].value.p, item->metadata[i].value.n };
	return STR_NONE;
}

/* The words of the options; NULL: well. */
static const char *check_words(struct arena *a, const struct state_item *item)
{
	if (item->consistency.n > 0 && !str_is(item->consistency, "strong") && !str_is(item->consistency, "eventual"))
		return arena_printf(a, "unrecognized consistency model '" STR_FMT "'", STR_ARG(item->consistency)).p;
	if (item->concurrency.n > 0 && !str_is(item->concurrency, "first-write") &&
	    !str_is(item->concurrency, "last-write"))
		return arena_printf(a, "unrecognized concurrency model '" STR_FMT "'", STR_ARG(item->concurrency)).p;
	return NULL;
}

static uint32_t flags_of(const struct state_item *item)
{
	uint32_t flags = 0;

	if (item->has_etag && item->etag.n > 0)
		flags |= DAVIT_STATE_HAS_ETAG;
	if (str_is(item->concurrency, "first-write"))
		flags |= DAVIT_STATE_FIRST_WRITE;
	if (str_is(item->consistency, "strong"))
		flags |= DAVIT_STATE_STRONG;
	else if (str_is(item->consistency, "eventual"))
		flags |= DAVIT_STATE_EVENTUAL;
	return flags;
}

/* A request whose neglect would lose data is never sent to a store that would neglect it. */
static const char *check_features(const struct state_store *store, uint32_t flags)
{
	if ((flags & (DAVIT_STATE_HAS_ETAG | DAVIT_STATE_FIRST_WRITE)) && !(store->features & DAVIT_STATE_ETAG))
		return "this store has no ETags, so neither an ETag nor first-write can be honoured";
	return NULL;
}

static const char *read_ttl(struct arena *a, const struct state_item *item, int64_t *ret_ttl)
{
	struct str text = metadata_of(item, "ttlInSeconds");
	int64_t v;

	*ret_ttl = 0;
	if (text.n == 0)
		return NULL;
	if (str_int(text, &v) < 0)
		return arena_printf(a,
				    "incorrect value for metadata 'ttlInSeconds': \"" STR_FMT
				    "\" is not a whole number",
				    STR_ARG(text))
			.p;
	if (v < -1 || v > INT32_MAX)
		return "incorrect value for metadata 'ttlInSeconds': must be -1 or greater";
	*ret_ttl = v;
	return NULL;
}

static struct error refuse(struct arena *a, const char *tag, const char *why)
{
	return state_error_plain(a, tag, arena_printf(a, "%s", why));
}

/* With encryption the plain text is the value itself: of JSON text that is a string, the string. */
static const char *seal(struct arena *a, const struct state_store *store, const struct state_item *item,
			struct davit_state_set *set)
{
	struct str plain = item->json ? jstream_unquote(a, item->value) : item->value, sealed, why;

	if (state_crypt_seal(store->crypt, a, plain, &sealed, &why) < 0)
		return why.p;
	set->value = (struct davit_bytes){ sealed.p, sealed.n };
	set->flags &= ~(uint32_t)DAVIT_STATE_JSON;
	return NULL;
}

struct error state_request_set(struct arena *a, const struct state_store *store, const struct state_item *item,
			       const char *tag, const struct davit_state_set **ret_set)
{
	struct davit_state_set *set = arena_alloc(a, sizeof(*set));
	struct str key, type = metadata_of(item, "contentType");
	const char *why;
	struct error e;

	*set = (struct davit_state_set)DAVIT_INIT(davit_state_set, .flags = flags_of(item),
						  .etag = { item->etag.p, item->etag.n },
						  .value = { item->value.p, item->value.n },
						  .content_type = { type.p, type.n }, .metadata = item->metadata,
						  .nmetadata = item->nmetadata);
	if (item->json)
		set->flags |= DAVIT_STATE_JSON;
	e = state_key_full(a, store, item->key, &key);
	if (error_is(&e))
		return e;
	set->key = (struct davit_str){ key.p, key.n };
	if ((why = check_words(a, item)) != NULL || (why = check_features(store, set->flags)) != NULL ||
	    (why = read_ttl(a, item, &set->ttl_s)) != NULL ||
	    (store->crypt != NULL && (why = seal(a, store, item, set)) != NULL))
		return refuse(a, tag, why);
	*ret_set = set;
	return ERROR_NONE;
}

struct error state_request_key(struct arena *a, const struct state_store *store, const struct state_item *item,
			       const char *tag, const struct davit_state_key **ret_key)
{
	struct davit_state_key *k = arena_alloc(a, sizeof(*k));
	const char *why;
	struct str key;
	struct error e;

	*k = (struct davit_state_key)DAVIT_INIT(davit_state_key, .flags = flags_of(item),
						.etag = { item->etag.p, item->etag.n }, .metadata = item->metadata,
						.nmetadata = item->nmetadata);
	e = state_key_full(a, store, item->key, &key);
	if (error_is(&e))
		return e;
	k->key = (struct davit_str){ key.p, key.n };
	if ((why = check_words(a, item)) != NULL || (why = check_features(store, k->flags)) != NULL)
		return refuse(a, tag, why);
	*ret_key = k;
	return ERROR_NONE;
}

static void add_expiry(struct arena *a, const struct davit_state_item *from, struct state_value *v)
{
	struct davit_pair *pairs = arena_alloc(a, sizeof(*pairs) * (from->nmetadata + 1));
	char when[CLOCK_TEXT];
	struct str text;

	if (from->nmetadata > 0)
		memcpy(pairs, from->metadata, sizeof(*pairs) * from->nmetadata);
	text = arena_str(a, (struct str){ when, clock_rfc3339_s(from->expires_ms / 1000, when) });
	pairs[from->nmetadata] = (struct davit_pair){ { "ttlExpireTime", 13 }, { text.p, text.n } };
	v->metadata = pairs;
	v->nmetadata = from->nmetadata + 1;
}

struct error state_request_value(struct arena *a, const struct state_store *store, struct str key,
				 const struct davit_state_item *from, struct state_value *ret_value)
{
	struct state_value v = {
		.found = 1,
		.key = key,
		.value = { from->value.p ? from->value.p : "", from->value.n },
		.etag = { from->etag.p, from->etag.n },
		.content_type = { from->content_type.p, from->content_type.n },
		.metadata = from->metadata,
		.nmetadata = from->nmetadata,
	};
	struct str why;

	if (from->expires_ms > 0)
		add_expiry(a, from, &v);
	if (store->crypt != NULL && state_crypt_open(store->crypt, a, store->name, v.value, &v.value, &why) < 0)
		return error_new(a, ERROR_INTERNAL, NULL, STR_FMT, STR_ARG(why));
	*ret_value = v;
	return ERROR_NONE;
}
