/* SPDX-License-Identifier: Apache-2.0 */
/* state.in-memory: keys and values in this process, for development and tests. */
#include "store.h"

#include <stdlib.h>

#define EMIT_COPY 4096 /* bytes of a value up to which a copy is cheaper than handing it over */

struct refusal store_check(const struct entry *there, uint32_t flags, struct davit_str etag)
{
	struct refusal r = { .why = REFUSAL_NONE };
	struct davit_uuid wanted;

	if ((flags & DAVIT_STATE_HAS_ETAG) && etag.n > 0) {
		if (there == NULL) {
			r.why = REFUSAL_MISSING;
		} else if (davit_uuid_parse(etag, &wanted) < 0 || memcmp(&wanted, &there->etag, sizeof(wanted)) != 0) {
			r.why = REFUSAL_CHANGED;
			r.current = there->etag;
		}
	} else if ((flags & DAVIT_STATE_FIRST_WRITE) && there != NULL) {
		r.why = REFUSAL_EXISTS;
	}
	return r;
}

static int shown(struct davit_str s)
{
	return s.n > 384 ? 384 : (int)s.n;
}

davit_status store_refuse(struct davit_call *call, const struct refusal *r, struct davit_str key, struct davit_str etag)
{
	char current[DAVIT_UUID_TEXT];

	switch (r->why) {
	case REFUSAL_EXISTS:
		return davit_fail(call, DAVIT_ABORTED, "ETAG_MISMATCH", "item already exists and no etag was passed");
	case REFUSAL_MISSING:
		return davit_fail(call, DAVIT_ABORTED, "ETAG_MISMATCH", "state not exist or expired for key=%.*s",
				  shown(key), key.p);
	case REFUSAL_CHANGED:
		davit_uuid_text(&r->current, current);
		return davit_fail(call, DAVIT_ABORTED, "ETAG_MISMATCH",
				  "state etag not match for key=%.*s: current=%s, expect=%.*s", shown(key), key.p,
				  current, shown(etag), etag.p);
	default: return DAVIT_OK;
	}
}

davit_status store_no_memory(struct davit_call *call)
{
	return davit_fail(call, DAVIT_EXHAUSTED, NULL, "no memory left");
}

/* A value on its way out, with what the record points to. */
struct handed {
	struct entry *entry;
	char etag[DAVIT_UUID_TEXT];
};

static void handed_free(void *arg)
{
	struct handed *h = arg;

	entry_unref(h->entry);
	free(h);
}

static davit_status emit_copy(struct davit_call *call, struct davit_state_item *item, struct entry *e)
{
	char etag[DAVIT_UUID_TEXT];
	davit_status status;

	davit_uuid_text(&e->etag, etag);
	item->etag = (struct davit_str){ etag, sizeof(etag) - 1 };
	status = davit_emit_state(call, item);
	entry_unref(e);
	return status;
}

static davit_status emit_whole(struct davit_call *call, struct davit_state_item *item, struct entry *e)
{
	struct handed *h = malloc(sizeof(*h));

	if (h == NULL) {
		entry_unref(e);
		return store_no_memory(call);
	}
	h->entry = e;
	davit_uuid_text(&e->etag, h->etag);
	item->key = entry_key(e);
	item->etag = (struct davit_str){ h->etag, sizeof(h->etag) - 1 };
	return davit_emit_owned(call, item, handed_free, h);
}

/* The lock is let go before the kernel is called: the reference keeps the entry. */
static davit_status emit(struct store *s, struct davit_call *call, struct davit_str key)
{
	struct davit_state_item item = DAVIT_INIT(davit_state_item, .key = key);
	struct place at = store_place(s, key);
	struct entry *e, *dropped = NULL;

	pthread_mutex_lock(at.shard->lock);
	e = shard_find(at.shard, at.hash, key, &dropped);
	if (e != NULL)
		entry_ref(e);
	pthread_mutex_unlock(at.shard->lock);
	entry_unref_list(dropped);
	if (e == NULL)
		return DAVIT_OK;
	item.value = entry_value(e);
	item.expires_ms = e->expires_ms;
	return e->value_n <= EMIT_COPY ? emit_copy(call, &item, e) : emit_whole(call, &item, e);
}

static davit_status store_get(void *self, struct davit_call *call, const struct davit_state_key *in)
{
	return emit(self, call, in->key);
}

static davit_status store_bulk_get(void *self, struct davit_call *call, const struct davit_state_bulk *in)
{
	davit_status status = DAVIT_OK;
	uint64_t i;

	for (i = 0; i < in->n && status == DAVIT_OK; i++)
		status = emit(self, call, in->keys[i]->key);
	return status;
}

static davit_status store_set(void *self, struct davit_call *call, const struct davit_state_set *in)
{
	struct store *s = self;
	struct place at = store_place(s, in->key);
	struct entry *e = entry_new(in), *dropped = NULL;
	struct refusal refusal = { .why = REFUSAL_NONE };

	if (e == NULL)
		return store_no_memory(call);
	e->hash = at.hash;
	e->order = __atomic_fetch_add(&s->order, 1, __ATOMIC_RELAXED);
	pthread_mutex_lock(at.shard->lock);
	shard_sweep(at.shard, &dropped);
	if (in->flags & (DAVIT_STATE_HAS_ETAG | DAVIT_STATE_FIRST_WRITE))
		refusal = store_check(shard_find(at.shard, at.hash, in->key, &dropped), in->flags, in->etag);
	if (refusal.why == REFUSAL_NONE)
		shard_put(at.shard, e, &dropped);
	pthread_mutex_unlock(at.shard->lock);
	entry_unref_list(dropped);
	if (refusal.why != REFUSAL_NONE)
		entry_unref(e);
	return store_refuse(call, &refusal, in->key, in->etag);
}

static davit_status store_del(void *self, struct davit_call *call, const struct davit_state_key *in)
{
	struct place at = store_place(self, in->key);
	struct entry *dropped = NULL;
	struct refusal refusal = { .why = REFUSAL_NONE };

	pthread_mutex_lock(at.shard->lock);
	refusal = store_check(shard_find(at.shard, at.hash, in->key, &dropped), in->flags, in->etag);
	if (refusal.why == REFUSAL_NONE)
		shard_remove(at.shard, at.hash, in->key, &dropped);
	pthread_mutex_unlock(at.shard->lock);
	entry_unref_list(dropped);
	return store_refuse(call, &refusal, in->key, in->etag);
}

static void store_free(struct store *s)
{
	int i;

	for (i = 0; i < SHARDS; i++)
		shard_release(&s->shards[i]);
	for (i = 0; i < LOCKS; i++)
		pthread_mutex_destroy(&s->locks[i].mutex);
	free(s);
}

static davit_status store_open(void *none, struct davit_call *call, const struct davit_open *in)
{
	struct store *s = aligned_alloc(64, sizeof(*s));
	davit_status status;
	int i;

	(void)none;
	(void)in;
	if (s == NULL)
		return store_no_memory(call);
	memset(s, 0, sizeof(*s));
	for (i = 0; i < LOCKS; i++)
		pthread_mutex_init(&s->locks[i].mutex, NULL);
	if (davit_random(&s->key, sizeof(s->key)) < 0) {
		store_free(s);
		return davit_fail(call, DAVIT_UNAVAILABLE, NULL, "the system gives no random bytes");
	}
	for (i = 0; i < SHARDS; i++) {
		if (shard_init(&s->shards[i], &s->locks[i % LOCKS].mutex) < 0) {
			store_free(s);
			return store_no_memory(call);
		}
	}
	status = davit_emit_self(call, s);
	if (status != DAVIT_OK)
		store_free(s);
	return status;
}

static davit_status store_close(void *self, struct davit_call *call, const void *none)
{
	(void)call;
	(void)none;
	store_free(self);
	return DAVIT_OK;
}

static davit_status store_ping(void *self, struct davit_call *call, const void *none)
{
	(void)self;
	(void)call;
	(void)none;
	return DAVIT_OK;
}

static const struct davit_state_ops store_ops = DAVIT_INIT(davit_state_ops,
							   .features = DAVIT_STATE_ETAG | DAVIT_STATE_TRANSACTIONAL |
								       DAVIT_STATE_TTL | DAVIT_STATE_DEL_PREFIX |
								       DAVIT_STATE_KEYS_LIKE,
							   .get = store_get, .set = store_set, .del = store_del,
							   .multi = store_multi, .bulk_get = store_bulk_get,
							   .del_prefix = store_del_prefix,
							   .keys_like = store_keys_like);

static const struct davit_component store_component = DAVIT_STATE("state.in-memory", "v1", &store_ops,
								  .flags = DAVIT_LOOP, .open = store_open,
								  .close = store_close, .ping = store_ping);

DAVIT_PLUGIN(PLUGIN_NAME, PLUGIN_VERSION, "Davit", &store_component);
