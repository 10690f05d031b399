/* SPDX-License-Identifier: Apache-2.0 */
/* One key with its value: never changed once it is in a shard, so that readers need the lock only to find it. */
#ifndef ENTRY_H
#define ENTRY_H
#include <davit/state.h>
#include <davit/uuid.h>

struct entry {
	struct entry *next;  /* in its bucket; in a list of dropped ones once it has left */
	uint64_t order;	     /* of writing, unique in the store: what pages are cut by */
	int64_t expires_ms;  /* since 1970, to be shown; 0: never */
	int64_t deadline_ms; /* the same on the monotonic clock, to be obeyed: a clock set back revives nothing */
	struct davit_uuid etag;
	size_t value_n;
	uint32_t key_n;
	uint32_t refs;
	uint32_t hash;
	char bytes[]; /* the key, a NUL, the value */
};

int64_t entry_now_ms(void); /* monotonic */

/* With one reference; NULL: no memory, or no random bytes (errno). order and hash are for the caller to fill in. */
struct entry *entry_new(const struct davit_state_set *in);
struct entry *entry_ref(struct entry *e);
void entry_unref(void *e); /* any thread; NULL is fine */
void entry_unref_list(struct entry *first);

static inline struct davit_str entry_key(const struct entry *e)
{
	struct davit_str key = { e->bytes, e->key_n };

	return key;
}

static inline struct davit_bytes entry_value(const struct entry *e)
{
	struct davit_bytes value = { e->bytes + e->key_n + 1, e->value_n };

	return value;
}

static inline int entry_expired(const struct entry *e)
{
	return e->deadline_ms != 0 && entry_now_ms() > e->deadline_ms;
}
#endif
