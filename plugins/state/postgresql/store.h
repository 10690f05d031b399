/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The store of one loop, in either of Dapr's two layouts: v1 has jsonb and takes the row's version (xmin) for an ETag, v2 has
 * bytea and a random one. Operations are straight-line, each on a connection that it has alone; those that look up one key
 * share one (read.c).
 */
#ifndef STORE_H
#define STORE_H
#include <davit/state.h>

#include "postgresql/pool.h"

#define TABLE 256 /* bytes of a table's name in its schema, NUL included */

enum statement {
	S_GET,
	S_BULK,
	S_SET,
	S_SET_FIRST,
	S_SET_MATCH,
	S_DEL,
	S_DEL_MATCH,
	S_LIKE,
	S_CLAIM,
	S_CLEAN,
	S_BEGIN,
	S_COMMIT,
	S_ROLLBACK,
	STATEMENTS
};

struct reading;

struct store {
	struct davit_instance *instance;
	const struct davit_fiber_service *fiber;
	struct pg_options options;
	int v2;
	char table[TABLE], metadata[TABLE], prefix[TABLE];
	int64_t cleanup_ms; /* 0: never */
	struct pg_statement statements[STATEMENTS];
	struct pg_pool *pool;
	struct reading *first, **end; /* what waits to be read */
	int gathering;		      /* a fiber is on its way to a connection to read it with */
	uint64_t users;		      /* operations and fibers under way */
	struct davit_fiber *closer, *sweeper;
	int sweeping, stopping;
};

/* The texts, by table and layout. -1: no memory. */
int sql_init(struct store *s);
void sql_release(struct store *s);

/* Columns of S_GET and S_BULK. */
enum { COLUMN_VALUE, COLUMN_ETAG, COLUMN_EXPIRY, COLUMN_KEY, COLUMN_BINARY };

/* One row as a record. The result is the caller's; with `give` a large value is handed over with it, and then *r is NULL. */
davit_status row_emit(struct store *s, struct davit_call *call, struct davit_str key, PGresult **r, int row, int give,
		      struct pg_fault *f);

/* Runs fn with a connection, once more with another one if that may help. */
typedef davit_status store_work(struct store *s, struct davit_call *call, struct pg_connection *c, int64_t until_ms,
				void *arg, struct pg_fault *f);
davit_status store_with(struct store *s, struct davit_call *call, store_work *fn, void *arg, struct pg_fault *f);

void store_leave(struct store *s); /* one user less */

davit_status read_get(struct store *s, struct davit_call *call, const struct davit_state_key *in);
davit_status read_bulk(struct store *s, struct davit_call *call, const struct davit_state_bulk *in);
davit_status keys_like(struct store *s, struct davit_call *call, const struct davit_state_prefix *in);
davit_status write_set(struct store *s, struct davit_call *call, const struct davit_state_set *in);
davit_status write_del(struct store *s, struct davit_call *call, const struct davit_state_key *in);
davit_status write_bulk(struct store *s, struct davit_call *call, const struct davit_state_bulk *in);
davit_status multi(struct store *s, struct davit_call *call, const struct davit_state_multi *in);
davit_status query(struct store *s, struct davit_call *call, const struct davit_state_query *in);

/* For multi. Queues one step; checks what came of it. DAVIT_OK, or the fault. */
davit_status write_queue(struct store *s, struct pg_connection *c, const struct davit_state_set *set,
			 const struct davit_state_key *del, struct pg_fault *f);
davit_status write_check(const struct davit_state_set *set, const struct davit_state_key *del, const PGresult *r,
			 struct pg_fault *f);
/* Whether it may go through without an error and yet be refused. */
int write_conditional(const struct davit_state_set *set, const struct davit_state_key *del);
/* What a save or delete says that was sent and got no answer. */
davit_status write_unknown(const struct pg_connection *c, davit_status status, struct pg_fault *f);
/* A key, and an ETag that may be one of this store's. */
davit_status write_look(const struct store *s, const struct davit_state_set *set, const struct davit_state_key *del,
			struct pg_fault *f);

davit_status migrate(struct store *s, struct davit_call *call, struct pg_fault *f);
int sweep_start(struct store *s); /* -1: no fiber */
void sweep_stop(struct store *s);
#endif
