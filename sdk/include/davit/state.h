/* SPDX-License-Identifier: Apache-2.0 */
/*
 * davit/state.h - the state block: keys with values, versions (ETags), expiry and transactions.
 *
 * Keys arrive complete, with the prefix that the resource's keyPrefix asks for. A missing key is an empty answer, never an
 * error. Failure reasons that the kernel understands:
 *	ETAG_MISMATCH  the stored ETag differs, or first-write found a value (status DAVIT_ABORTED)
 *	ETAG_INVALID   the ETag can never be one of this store's (status DAVIT_INVALID_ARGUMENT)
 *	TOO_MANY_OPS   a transaction has more operations than this store takes, for one whose table cannot tell how many that
 *		       are; it emits a davit_state_page whose count is the most (status DAVIT_INVALID_ARGUMENT)
 * Source: Dapr's state API, https://docs.dapr.io/reference/api/state_api/
 */
#ifndef DAVIT_STATE_H
#define DAVIT_STATE_H
#include <davit/plugin.h>

#ifdef __cplusplus
extern "C" {
#endif

enum {
	davit_state_ops_kind = 100,
	davit_state_key_kind,
	davit_state_set_kind,
	davit_state_op_kind,
	davit_state_multi_kind,
	davit_state_bulk_kind,
	davit_state_query_kind,
	davit_state_prefix_kind,
	davit_state_item_kind,
	davit_state_page_kind
};

/* davit_state_ops.features. A request that needs one is never sent to a component without it. */
enum {
	DAVIT_STATE_ETAG = 1u << 0,	     /* compares ETags, honours first-write */
	DAVIT_STATE_TTL = 1u << 1,	     /* honours ttl_s */
	DAVIT_STATE_TRANSACTIONAL = 1u << 2, /* multi is all or nothing */
	DAVIT_STATE_QUERY = 1u << 3,
	DAVIT_STATE_DEL_PREFIX = 1u << 4,
	DAVIT_STATE_KEYS_LIKE = 1u << 5,
	DAVIT_STATE_PARTITION_KEY = 1u << 6
};

/* Flags of a request. */
enum {
	DAVIT_STATE_HAS_ETAG = 1u << 0,	   /* only if the stored ETag equals `etag` */
	DAVIT_STATE_FIRST_WRITE = 1u << 1, /* without HAS_ETAG: only if there is no value */
	DAVIT_STATE_STRONG = 1u << 2,
	DAVIT_STATE_EVENTUAL = 1u << 3,
	DAVIT_STATE_JSON = 1u << 4 /* the value is JSON text; else bytes of any kind */
};

/* get and del. */
struct davit_state_key {
	uint32_t size, kind;
	uint32_t flags, unused;
	struct davit_str key, etag;
	const struct davit_pair *metadata; /* as the client sent it */
	uint64_t nmetadata;
};

struct davit_state_set {
	uint32_t size, kind;
	uint32_t flags, unused;
	struct davit_str key, etag;
	struct davit_bytes value;
	struct davit_str content_type; /* p == NULL: not told */
	int64_t ttl_s;		       /* seconds; 0: not told, -1: never expires */
	const struct davit_pair *metadata;
	uint64_t nmetadata;
};

/* One step of a transaction: either is set. */
struct davit_state_op {
	uint32_t size, kind;
	const struct davit_state_set *set;
	const struct davit_state_key *del;
};

struct davit_state_multi {
	uint32_t size, kind;
	const struct davit_state_op *const *ops;
	uint64_t nops;
	const struct davit_pair *metadata;
	uint64_t nmetadata;
};

/*
 * bulk_get, bulk_del (keys) and bulk_set (sets). Each of many by itself, in their order: what can be done is done, and the
 * status is the first failure, one with another reason than ETAG_MISMATCH before those with it.
 */
struct davit_state_bulk {
	uint32_t size, kind;
	const struct davit_state_key *const *keys;
	const struct davit_state_set *const *sets;
	uint64_t n;
	uint64_t parallelism; /* the client's wish; 0: none */
};

struct davit_state_query {
	uint32_t size, kind;
	struct davit_bytes
		query; /* JSON: filter, sort, page (https://docs.dapr.io/developing-applications/building-blocks/state-management/howto-state-query-api/) */
	const struct davit_pair *metadata;
	uint64_t nmetadata;
};

/* del_prefix and keys_like; a pattern as SQL's LIKE has it. */
struct davit_state_prefix {
	uint32_t size, kind;
	struct davit_str prefix, token;
	uint64_t page; /* most keys in the answer; 0: no limit */
};

/* Emitted for a value that was found (get, bulk_get, query) or a key (keys_like). */
struct davit_state_item {
	uint32_t size, kind;
	int32_t status; /* bulk_get: why this key could not be read; else 0 */
	uint32_t unused;
	struct davit_str key;
	struct davit_bytes value;
	struct davit_str etag; /* p == NULL: none */
	struct davit_str content_type;
	struct davit_str error; /* with status */
	int64_t expires_ms;	/* since 1970, UTC; 0: never */
	const struct davit_pair *metadata;
	uint64_t nmetadata;
};

/* Emitted once by query, keys_like (token: where the next page starts) and del_prefix (count); see TOO_MANY_OPS. */
struct davit_state_page {
	uint32_t size, kind;
	struct davit_str token;
	int64_t count;
};

struct davit_state_ops {
	uint32_t size, kind;
	uint32_t features, unused;
	uint64_t max_ops; /* of one transaction; 0: no limit */
	davit_status (*get)(void *self, struct davit_call *call, const struct davit_state_key *in);
	davit_status (*set)(void *self, struct davit_call *call, const struct davit_state_set *in);
	davit_status (*del)(void *self, struct davit_call *call, const struct davit_state_key *in);
	/* NULL: not offered, the kernel makes do without. */
	davit_status (*multi)(void *self, struct davit_call *call, const struct davit_state_multi *in);
	davit_status (*bulk_get)(void *self, struct davit_call *call, const struct davit_state_bulk *in);
	davit_status (*bulk_set)(void *self, struct davit_call *call, const struct davit_state_bulk *in);
	davit_status (*bulk_del)(void *self, struct davit_call *call, const struct davit_state_bulk *in);
	davit_status (*query)(void *self, struct davit_call *call, const struct davit_state_query *in);
	davit_status (*del_prefix)(void *self, struct davit_call *call, const struct davit_state_prefix *in);
	davit_status (*keys_like)(void *self, struct davit_call *call, const struct davit_state_prefix *in);
};

/* A component of this block; a table of another block does not compile. */
#define DAVIT_STATE(type_, version_, ops_, ...) \
	{ \
		.size = (uint32_t)sizeof(struct davit_component), .kind = davit_component_kind, \
		.block = DAVIT_BLOCK_STATE, .type = type_, .version = version_, \
		.ops = 1 ? (ops_) : (const struct davit_state_ops *)NULL, __VA_ARGS__ \
	}

static inline davit_status davit_emit_state(struct davit_call *call, const struct davit_state_item *item)
{
	return davit_emit(call, item);
}

#ifdef __cplusplus
}
#endif
#endif
