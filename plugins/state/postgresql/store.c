/* SPDX-License-Identifier: Apache-2.0 */
/* state.postgresql: state in PostgreSQL, in Dapr's tables of either version, so that either sidecar reads what the other wrote. */
#include "store.h"

#include <stdlib.h>

#define TRIES 2

davit_status store_with(struct store *s, struct davit_call *call, store_work *fn, void *arg, struct pg_fault *f)
{
	int64_t until_ms = pg_now_ms() + s->options.timeout_ms;
	struct pg_connection *c;
	davit_status status;
	int tries;

	for (tries = 1;; tries++) {
		status = pg_pool_take(s->pool, call, until_ms, &c, f);
		if (status != DAVIT_OK)
			return status;
		f->again = 0;
		status = fn(s, call, c, until_ms, arg, f);
		if (status != DAVIT_OK && f->again)
			c->broken = 1;
		pg_pool_give(s->pool, c);
		if (status == DAVIT_OK || !f->again || tries == TRIES)
			return status;
	}
}

static void store_free(struct store *s)
{
	pg_pool_free(s->pool);
	pg_options_release(&s->options);
	sql_release(s);
	free(s);
}

static int take_name(struct davit_str s, const char *field, const char *behind, char ret_name[TABLE],
		     struct pg_fault *f)
{
	if (pg_options_name(s, field, f) < 0)
		return -1;
	if (s.n + strlen(behind) >= TABLE) {
		pg_fault_set(f, DAVIT_INVALID_ARGUMENT, NULL, "invalid value for '%s': longer than %d bytes", field,
			     TABLE - 16);
		return -1;
	}
	snprintf(ret_name, TABLE, "%s%s", s.n ? s.p : "", behind);
	return 0;
}

static int take_names(struct store *s, const struct davit_open *in, struct pg_fault *f)
{
	struct davit_str table = davit_prop(in, "tableName"), prefix = davit_prop(in, "tablePrefix");
	struct davit_str metadata = davit_prop(in, "metadataTableName");

	if (take_name(metadata.n ? metadata : davit_str("dapr_metadata"), "metadataTableName", "", s->metadata, f) < 0)
		return -1;
	if (!s->v2)
		return take_name(table.n ? table : davit_str("state"), "tableName", "", s->table, f);
	return take_name(prefix, "tablePrefix", "", s->prefix, f) < 0 ||
			       take_name(prefix, "tablePrefix", "state", s->table, f) < 0
		       ? -1
		       : 0;
}

static davit_status set_up(struct store *s, struct davit_call *call, const struct davit_open *in, struct pg_fault *f)
{
	uint64_t loops = DAVIT_HAS(davit_open, in, loops) ? in->loops : 0;
	davit_status status;

	if (pg_options_read(in, &s->options, f) < 0 || take_names(s, in, f) < 0 ||
	    pg_options_span(in, "cleanupInterval", 3600000, &s->cleanup_ms, f) < 0)
		return f->status;
	s->pool = pg_pool_new(s->instance, &s->options, in->loop, loops);
	if (s->pool == NULL || sql_init(s) < 0)
		return pg_fault_no_memory(f);
	if (in->loop > 0) /* the first one has seen to the tables, and cleans */
		return DAVIT_OK;
	status = migrate(s, call, f);
	if (status != DAVIT_OK)
		return status;
	return sweep_start(s) < 0
		       ? pg_fault_set(f, DAVIT_EXHAUSTED, NULL, "no fiber left for the cleanup of expired rows")
		       : DAVIT_OK;
}

static davit_status open_version(struct davit_call *call, const struct davit_open *in, int v2)
{
	struct store *s = calloc(1, sizeof(*s));
	struct pg_fault f = { .status = DAVIT_OK };
	davit_status status;

	if (s == NULL)
		return davit_fail(call, DAVIT_EXHAUSTED, NULL, "no memory left");
	s->instance = in->instance;
	s->fiber = davit_fiber_service(in->instance);
	s->end = &s->first;
	s->v2 = v2;
	status = set_up(s, call, in, &f);
	if (status == DAVIT_OK)
		status = davit_emit_self(call, s);
	else
		pg_fault_tell(&f, call);
	if (status != DAVIT_OK) {
		sweep_stop(s);
		store_free(s);
	}
	return status;
}

static davit_status store_open_v1(void *none, struct davit_call *call, const struct davit_open *in)
{
	(void)none;
	return open_version(call, in, 0);
}

static davit_status store_open_v2(void *none, struct davit_call *call, const struct davit_open *in)
{
	(void)none;
	return open_version(call, in, 1);
}

/* Operations under way end by themselves when the pool does, or have their deadline. */
static davit_status store_close(void *self, struct davit_call *call, const void *none)
{
	struct store *s = self;

	(void)none;
	s->stopping = 1;
	sweep_stop(s);
	pg_pool_stop(s->pool);
	s->closer = s->fiber->self(s->instance);
	while (s->users > 0)
		if (s->fiber->park(s->instance, call, 0) != DAVIT_OK)
			return davit_fail(call, DAVIT_DEADLINE_EXCEEDED, NULL, "%llu operations have not ended",
					  (unsigned long long)s->users);
	store_free(s);
	return DAVIT_OK;
}

void store_leave(struct store *s)
{
	s->users--;
	if (s->users == 0 && s->closer != NULL)
		s->fiber->wake(s->closer);
}

/* Each operation is counted, so that close() knows when nobody is here any more. */
static davit_status leave(struct store *s, davit_status status)
{
	store_leave(s);
	return status;
}

#define COUNTED(name, fn, type) \
	static davit_status name(void *self, struct davit_call *call, const struct type *in) \
	{ \
		struct store *s = self; \
\
		s->users++; \
		return leave(s, fn(s, call, in)); \
	}

COUNTED(store_get, read_get, davit_state_key)
COUNTED(store_set, write_set, davit_state_set)
COUNTED(store_del, write_del, davit_state_key)
COUNTED(store_multi, multi, davit_state_multi)
COUNTED(store_bulk_get, read_bulk, davit_state_bulk)
COUNTED(store_bulk_write, write_bulk, davit_state_bulk)
COUNTED(store_query, query, davit_state_query)
COUNTED(store_keys_like, keys_like, davit_state_prefix)

static davit_status do_ping(struct store *s, struct davit_call *call, struct pg_connection *c, int64_t until_ms,
			    void *arg, struct pg_fault *f)
{
	static const struct pg_statement select = { .number = -1, .text = "SELECT 1" };

	(void)s, (void)arg;
	return pg_do(c, call, until_ms, &select, NULL, 0, NULL, f);
}

static davit_status store_ping(void *self, struct davit_call *call, const void *none)
{
	struct pg_fault f = { .status = DAVIT_OK };
	struct store *s = self;
	davit_status status;

	(void)none;
	s->users++;
	status = store_with(s, call, do_ping, NULL, &f);
	return leave(s, status == DAVIT_OK ? DAVIT_OK : pg_fault_tell(&f, call));
}

#define FEATURES (DAVIT_STATE_ETAG | DAVIT_STATE_TRANSACTIONAL | DAVIT_STATE_TTL | DAVIT_STATE_KEYS_LIKE)
#define OPERATIONS \
	.get = store_get, .set = store_set, .del = store_del, .multi = store_multi, .bulk_get = store_bulk_get, \
	.bulk_set = store_bulk_write, .bulk_del = store_bulk_write, .keys_like = store_keys_like

static const struct davit_state_ops ops_v1 = DAVIT_INIT(davit_state_ops, .features = FEATURES | DAVIT_STATE_QUERY,
							.query = store_query, OPERATIONS);
static const struct davit_state_ops ops_v2 = DAVIT_INIT(davit_state_ops, .features = FEATURES, OPERATIONS);

#define COMPONENT(type_, version_) \
	DAVIT_STATE(type_, #version_, &ops_##version_, .flags = DAVIT_LOOP | DAVIT_PER_LOOP, \
		    .open = store_open_##version_, .close = store_close, .ping = store_ping)

static const struct davit_component postgresql_v1 = COMPONENT("state.postgresql", v1);
static const struct davit_component postgresql_v2 = COMPONENT("state.postgresql", v2);
/* Dapr's other names of it. */
static const struct davit_component postgres_v1 = COMPONENT("state.postgres", v1);
static const struct davit_component postgres_v2 = COMPONENT("state.postgres", v2);
static const struct davit_component yugabytedb = COMPONENT("state.yugabytedb", v2);
static const struct davit_component yugabyte = COMPONENT("state.yugabyte", v2);

DAVIT_PLUGIN(PLUGIN_NAME, PLUGIN_VERSION, "Davit", &postgresql_v1, &postgresql_v2, &postgres_v1, &postgres_v2,
	     &yugabytedb, &yugabyte);
