/* SPDX-License-Identifier: Apache-2.0 */
/* state.sqlite: state in a SQLite file, in Dapr's layout, so that either reads what the other wrote. */
#include "store.h"

#include <stdlib.h>

#include "schema.h"

static void store_free(struct store *s)
{
	readers_close(s);
	connection_close(s->writer);
	options_release(&s->options);
	pthread_cond_destroy(&s->queue_changed);
	pthread_cond_destroy(&s->reader_free);
	pthread_mutex_destroy(&s->queue_lock);
	pthread_mutex_destroy(&s->readers_lock);
	pthread_mutex_destroy(&s->turn);
	free(s);
}

static struct store *store_new(struct davit_instance *instance)
{
	struct store *s = calloc(1, sizeof(*s));
	pthread_condattr_t attr;

	if (s == NULL)
		return NULL;
	s->instance = instance;
	s->last = &s->first;
	pthread_mutex_init(&s->turn, NULL);
	pthread_mutex_init(&s->readers_lock, NULL);
	pthread_mutex_init(&s->queue_lock, NULL);
	pthread_cond_init(&s->reader_free, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&s->queue_changed, &attr);
	pthread_condattr_destroy(&attr);
	return s;
}

/* Statements of every kind are prepared now, so that a table of another shape is known at the start. */
static int check_table(struct store *s, struct fault *ret_fault)
{
	static const enum statement needed[] = { STATEMENT_GET, STATEMENT_PUT, STATEMENT_PUT_MATCH,
						 STATEMENT_DEL_MATCH };
	size_t i;
	int rc;

	for (i = 0; i < sizeof(needed) / sizeof(needed[0]); i++) {
		if (connection_statement(s->writer, needed[i], &rc) != NULL)
			continue;
		if ((rc & 0xff) == SQLITE_ERROR)
			fault_set(ret_fault, DAVIT_FAILED_PRECONDITION, NULL,
				  "%s: the table '%s' is not a state table (%s): set tableName to another name",
				  s->options.file.shown, s->options.table, sqlite3_errmsg(s->writer->db));
		else
			fault_sqlite(ret_fault, rc, s->writer->db, s->options.file.shown);
		return -1;
	}
	return 0;
}

static int set_up(struct store *s, const struct davit_open *in, struct fault *ret_fault)
{
	int made;

	if (!sqlite3_threadsafe()) {
		fault_set(ret_fault, DAVIT_FAILED_PRECONDITION, NULL, "this SQLite library was built without threads");
		return -1;
	}
	if (options_read(in, &s->options, ret_fault) < 0)
		return -1;
	if (s->options.file.odd_txlock)
		davit_log(s->instance, DAVIT_LOG_WARN,
			  "Database connection is being created with a _txlock different from the recommended value "
			  "'immediate'");
	s->writer = connection_open(&s->options, 1, ret_fault);
	if (s->writer == NULL || schema_bring(s->writer, &made, ret_fault) < 0 || check_table(s, ret_fault) < 0)
		return -1;
	if (made) /* not where: that may have come from a secret store */
		davit_log(s->instance, DAVIT_LOG_INFO, "Created the state table '%s'", s->options.table);
	if (sweep_start(s) < 0) {
		fault_set(ret_fault, DAVIT_EXHAUSTED, NULL, "no thread left for the cleanup of expired rows");
		return -1;
	}
	return 0;
}

static davit_status store_open(void *none, struct davit_call *call, const struct davit_open *in)
{
	struct store *s = store_new(in->instance);
	davit_status status;
	struct fault f;

	(void)none;
	if (s == NULL)
		return davit_fail(call, DAVIT_EXHAUSTED, NULL, "no memory left");
	if (set_up(s, in, &f) == 0) {
		status = davit_emit_self(call, s);
		if (status == DAVIT_OK)
			return DAVIT_OK;
		sweep_stop(s);
	} else {
		status = fault_tell(&f, call);
	}
	store_free(s);
	return status;
}

static davit_status store_close(void *self, struct davit_call *call, const void *none)
{
	struct store *s = self;

	(void)call;
	(void)none;
	sweep_stop(s);
	queue_drain(s);
	store_free(s);
	return DAVIT_OK;
}

static davit_status store_ping(void *self, struct davit_call *call, const void *none)
{
	struct davit_state_key in = DAVIT_INIT(davit_state_key, .key = davit_str("ping"));

	(void)none;
	return read_get(self, call, &in);
}

static const struct davit_state_ops store_ops =
	DAVIT_INIT(davit_state_ops,
		   .features = DAVIT_STATE_ETAG | DAVIT_STATE_TRANSACTIONAL | DAVIT_STATE_TTL | DAVIT_STATE_KEYS_LIKE,
		   .get = read_get, .set = write_set, .del = write_del, .multi = write_multi, .bulk_get = read_bulk,
		   .bulk_set = write_bulk, .bulk_del = write_bulk, .keys_like = read_keys_like);

static const struct davit_component store_component = DAVIT_STATE("state.sqlite", "v1", &store_ops, .workers = WORKERS,
								  .open = store_open, .close = store_close,
								  .ping = store_ping);
static const struct davit_component store_component3 = DAVIT_STATE("state.sqlite3", "v1", &store_ops,
								   .workers = WORKERS, .open = store_open,
								   .close = store_close, .ping = store_ping);

DAVIT_PLUGIN(PLUGIN_NAME, PLUGIN_VERSION, "Davit", &store_component, &store_component3);
