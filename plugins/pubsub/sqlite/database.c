/* SPDX-License-Identifier: Apache-2.0 */
#include "database.h"

#include <time.h>

#include "schema.h"

#define HURRY_MS 1000

static const char *const texts[STATEMENTS] = {
	[STATEMENT_BEGIN] = "BEGIN IMMEDIATE",
	[STATEMENT_COMMIT] = "COMMIT",
	[STATEMENT_ROLLBACK] = "ROLLBACK",
	[STATEMENT_TOPIC_TAKE] = "UPDATE pubsub_topic SET last = last + ?2, time = max(time, ?3) WHERE name = ?1 "
				 "RETURNING last, time",
	[STATEMENT_TOPIC_NEW] = "INSERT INTO pubsub_topic (name, last, time) VALUES (?1, 0, 0)",
	[STATEMENT_TOPIC_START] = "UPDATE pubsub_topic SET last = ?2 WHERE id = ?1",
	[STATEMENT_TOPIC_GET] = "SELECT id FROM pubsub_topic WHERE name = ?1",
	[STATEMENT_TOPIC_NEXT] = "SELECT id FROM pubsub_topic WHERE id > ?1 ORDER BY id LIMIT 1",
	[STATEMENT_TOPIC_DROP] = "DELETE FROM pubsub_topic WHERE id = ?1 "
				 "AND NOT EXISTS (SELECT 1 FROM pubsub_group WHERE topic = ?1) "
				 "AND NOT EXISTS (SELECT 1 FROM pubsub_message WHERE id > ?2 AND id <= ?3)",
	[STATEMENT_PUT] = "INSERT INTO pubsub_message (id, published, expires, metadata, data) "
			  "VALUES (?1, ?2, ?3, ?4, ?5)",
	[STATEMENT_COPY] = "INSERT INTO pubsub_message (id, published, expires, metadata, data) "
			   "SELECT ?2, ?3, expires, metadata, data FROM pubsub_message WHERE id = ?1",
	[STATEMENT_GET] = "SELECT metadata, data, expires FROM pubsub_message WHERE id = ?1",
	[STATEMENT_NEW] =
		"SELECT id, metadata, data, expires FROM pubsub_message WHERE id > ?1 AND id <= ?2 ORDER BY id",
	[STATEMENT_FIRST] = "SELECT id FROM pubsub_message WHERE id > ?1 AND id <= ?2 ORDER BY id LIMIT 1",
	[STATEMENT_OLD] = "SELECT id, published FROM pubsub_message WHERE id > ?1 AND id <= ?2 ORDER BY id LIMIT ?3",
	[STATEMENT_DELETE] = "DELETE FROM pubsub_message WHERE id >= ?1 AND id <= ?2",
	[STATEMENT_DELETE_TAKEN] = "DELETE FROM pubsub_message WHERE id >= ?1 AND id <= ?2 AND NOT EXISTS "
				   "(SELECT 1 FROM pubsub_group g JOIN pubsub_pending p ON p.grp = g.id "
				   "AND p.message = pubsub_message.id WHERE g.topic = ?3)",
	[STATEMENT_DELETE_EXPIRED] = "DELETE FROM pubsub_message WHERE id IN (SELECT id FROM pubsub_message "
				     "WHERE expires IS NOT NULL AND expires <= ?1 LIMIT ?2)",
	[STATEMENT_GROUP_JOIN] = "INSERT INTO pubsub_group (topic, name, position, seen) VALUES (?1, ?2, ?3, ?4) "
				 "ON CONFLICT (topic, name) DO UPDATE SET seen = excluded.seen",
	[STATEMENT_GROUP_GET] = "SELECT id FROM pubsub_group WHERE topic = ?1 AND name = ?2",
	[STATEMENT_GROUP_SEEN] = "UPDATE pubsub_group SET seen = ?1 WHERE id = ?2",
	[STATEMENT_GROUP_MOVE] = "UPDATE pubsub_group SET position = ?1 WHERE id = ?2",
	[STATEMENT_GROUP_FORGET] = "SELECT id FROM pubsub_group WHERE topic = ?1 AND seen < ?2 "
				   "AND NOT EXISTS (SELECT 1 FROM pubsub_consumer WHERE topic = ?1) LIMIT 1",
	[STATEMENT_GROUP_DROP] = "DELETE FROM pubsub_group WHERE id = ?1",
	[STATEMENT_LOOK] = "SELECT t.last, g.position, (SELECT min(due) FROM pubsub_pending "
			   "INDEXED BY pubsub_pending_due WHERE grp = ?1 AND peer = 0) FROM pubsub_group g JOIN "
			   "pubsub_topic t ON t.id = g.topic "
			   "WHERE g.id = ?1",
	[STATEMENT_FLOOR] =
		"SELECT min(ifnull((SELECT min(message) - 1 FROM pubsub_pending WHERE grp = g.id), g.position)) "
		"FROM pubsub_group g WHERE g.topic = ?1",
	[STATEMENT_CEILING] = "SELECT min(position) FROM pubsub_group WHERE topic = ?1",
	[STATEMENT_WAITING] = "SELECT message, failures, due FROM pubsub_pending INDEXED BY pubsub_pending_waiting "
			      "WHERE grp = ?1 AND peer = 0 ORDER BY message LIMIT ?3",
	[STATEMENT_DUE] = "SELECT message, failures, due FROM pubsub_pending INDEXED BY pubsub_pending_due "
			  "WHERE grp = ?1 AND peer = 0 AND due <= ?2 ORDER BY due, message LIMIT ?3",
	[STATEMENT_HOLD_NEW] =
		"INSERT INTO pubsub_pending (grp, message, peer, due, failures) VALUES (?1, ?2, ?3, 0, 0)",
	[STATEMENT_HOLD] = "UPDATE pubsub_pending SET peer = ?3, due = 0 WHERE grp = ?1 AND message = ?2",
	[STATEMENT_FORGET] = "DELETE FROM pubsub_pending WHERE grp = ?1 AND message = ?2",
	[STATEMENT_TAKEN] = "DELETE FROM pubsub_pending WHERE grp = ?1 AND message = ?2 AND (peer = ?3 OR peer = 0)",
	[STATEMENT_GIVE_BACK] = "UPDATE pubsub_pending SET peer = 0, due = ?4, failures = failures + ?5 "
				"WHERE grp = ?1 AND message = ?2 AND peer = ?3",
	[STATEMENT_PENDING_DELETE] = "DELETE FROM pubsub_pending WHERE message <= ?2 AND grp IN "
				     "(SELECT id FROM pubsub_group WHERE topic = ?1)",
	[STATEMENT_PENDING_DROP] = "DELETE FROM pubsub_pending WHERE grp = ?1",
	[STATEMENT_PEER_NEW] = "INSERT INTO pubsub_peer (id, alive, name) VALUES (?1, ?2, ?3)",
	[STATEMENT_PEER_ALIVE] = "UPDATE pubsub_peer SET alive = ?1 WHERE id = ?2",
	[STATEMENT_PEER_GET] = "SELECT 1 FROM pubsub_peer WHERE id = ?1",
	[STATEMENT_PEERS] = "SELECT id, alive FROM pubsub_peer ORDER BY id",
	[STATEMENT_PEER_RELEASE] = "UPDATE pubsub_pending SET peer = 0, due = 0 WHERE peer = ?1",
	[STATEMENT_PEER_LEAVE] = "DELETE FROM pubsub_consumer WHERE peer = ?1",
	[STATEMENT_PEER_DROP] = "DELETE FROM pubsub_peer WHERE id = ?1",
	[STATEMENT_CONSUMER_ADD] = "INSERT OR IGNORE INTO pubsub_consumer (topic, peer) VALUES (?1, ?2)",
	[STATEMENT_CONSUMER_DROP] = "DELETE FROM pubsub_consumer WHERE topic = ?1 AND peer = ?2",
	[STATEMENT_CONSUMERS] = "SELECT peer FROM pubsub_consumer WHERE topic = ?1",
	[STATEMENT_CONSUMER_TOPICS] = "SELECT topic FROM pubsub_consumer WHERE peer = ?1",
	[STATEMENT_CLAIM] = "INSERT INTO pubsub_note (key, value) VALUES ('cleanup', ?1) ON CONFLICT (key) DO UPDATE "
			    "SET value = excluded.value WHERE value < ?2 OR value > ?1",
};

static int64_t clock_of(clockid_t id)
{
	struct timespec t;

	clock_gettime(id, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

int64_t now_ms(void)
{
	return clock_of(CLOCK_MONOTONIC);
}

int64_t now_wall_ms(void)
{
	return clock_of(CLOCK_REALTIME);
}

/* SQLite's busy handler: 1 tries again. */
static int wait_a_little(void *arg, int tries)
{
	static const uint16_t steps[] = { 100, 200, 500, 1000, 1000, 2000, 2000, 5000, 5000, 10000 }; /* us */
	struct database *d = arg;
	int64_t left = d->busy_until_ms - now_ms();
	struct timespec t = { 0 };

	if (__atomic_load_n(&d->hurry, __ATOMIC_RELAXED) && left > HURRY_MS) {
		d->busy_until_ms = now_ms() + HURRY_MS;
		left = HURRY_MS;
	}
	if (left <= 0)
		return 0;
	t.tv_nsec = steps[tries < (int)(sizeof(steps) / sizeof(steps[0])) ? tries : 9] * 1000L;
	nanosleep(&t, NULL);
	return 1;
}

static void limit(struct database *d)
{
	d->busy_until_ms = now_ms() + d->options->busy_ms;
}

/* A change of the journal's mode is refused at once while others are in the file, the busy handler unasked. */
static int set_journal(struct database *d, struct fault *ret_fault)
{
	sqlite3_stmt *s = NULL;
	int rc, tries = 0, wal = 0;

	do {
		rc = sqlite3_prepare_v2(d->db, "PRAGMA journal_mode = wal", -1, &s, NULL);
		if (rc == SQLITE_OK)
			rc = sqlite3_step(s);
		wal = rc == SQLITE_ROW && strcmp((const char *)sqlite3_column_text(s, 0), "wal") == 0;
		sqlite3_finalize(s);
	} while ((rc & 0xff) == SQLITE_BUSY && wait_a_little(d, tries++));
	if (wal)
		return 0;
	if (rc != SQLITE_ROW)
		fault_sqlite(ret_fault, rc, d->db, d->options->file.shown);
	else
		fault_set(ret_fault, DAVIT_FAILED_PRECONDITION, NULL,
			  "%s: a write-ahead log is not possible there: put it on a file system of this host",
			  d->options->file.shown);
	return -1;
}

static int set_up(struct database *d)
{
	char sql[256];
	size_t i;
	int rc;

	/* A burst need not leave a file of megabytes behind; what was deleted is no secret by itself. */
	rc = sqlite3_exec(
		d->db,
		"PRAGMA synchronous = NORMAL; PRAGMA journal_size_limit = 33554432; PRAGMA secure_delete = FAST; "
		"PRAGMA wal_autocheckpoint = 4000",
		NULL, NULL, NULL);
	d->synchronous = 1;
	for (i = 0; i < d->options->file.npragmas && rc == SQLITE_OK; i++) {
		snprintf(sql, sizeof(sql), "PRAGMA %s", d->options->file.pragmas[i]);
		rc = sqlite3_exec(d->db, sql, NULL, NULL, NULL);
	}
	return rc;
}

int database_open(struct database *d, const struct options *o, struct fault *ret_fault)
{
	int rc;

	memset(d, 0, sizeof(*d));
	d->options = o;
	rc = sqlite3_open_v2(o->file.uri, &d->db,
			     SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_URI | SQLITE_OPEN_NOMUTEX, NULL);
	if (rc == SQLITE_OK && sqlite3_db_readonly(d->db, "main") == 1)
		rc = SQLITE_READONLY;
	if (rc == SQLITE_OK) {
		sqlite3_extended_result_codes(d->db, 1);
		sqlite3_busy_handler(d->db, wait_a_little, d);
		limit(d);
		if (set_journal(d, ret_fault) < 0)
			return -1;
		rc = set_up(d);
	}
	if (rc == SQLITE_OK)
		return schema_bring(d, ret_fault);
	fault_sqlite(ret_fault, rc, d->db, o->file.shown);
	return -1;
}

void database_close(struct database *d)
{
	int i;

	for (i = 0; i < STATEMENTS; i++)
		sqlite3_finalize(d->statements[i]);
	sqlite3_close(d->db);
	memset(d->statements, 0, sizeof(d->statements));
	d->db = NULL;
}

/* What groups took may be forgotten in a power cut and is then given again: only publishers wait for the disk. */
static int set_synchronous(struct database *d, int durable)
{
	int wanted = durable ? 2 : 1, rc;

	if (d->options->own_synchronous || d->synchronous == wanted)
		return SQLITE_OK;
	rc = sqlite3_exec(d->db, durable ? "PRAGMA synchronous = FULL" : "PRAGMA synchronous = NORMAL", NULL, NULL,
			  NULL);
	if (rc == SQLITE_OK)
		d->synchronous = wanted;
	return rc;
}

int database_begin(struct database *d, int durable)
{
	int rc = set_synchronous(d, durable);

	limit(d);
	return rc == SQLITE_OK ? database_run(d, STATEMENT_BEGIN, 0, NULL) : rc;
}

int database_commit(struct database *d)
{
	int rc = database_run(d, STATEMENT_COMMIT, 0, NULL);

	if (rc != SQLITE_OK)
		database_rollback(d);
	return rc;
}

void database_rollback(struct database *d)
{
	if (!sqlite3_get_autocommit(d->db))
		database_run(d, STATEMENT_ROLLBACK, 0, NULL);
}

sqlite3_stmt *database_prepare(struct database *d, enum statement which, int n, const int64_t *numbers, int *ret_rc)
{
	sqlite3_stmt **s = &d->statements[which];
	int i;

	*ret_rc = SQLITE_OK;
	if (*s == NULL)
		*ret_rc = sqlite3_prepare_v3(d->db, texts[which], -1, SQLITE_PREPARE_PERSISTENT, s, NULL);
	for (i = 0; i < n && *ret_rc == SQLITE_OK; i++)
		*ret_rc = sqlite3_bind_int64(*s, i + 1, numbers[i]);
	return *ret_rc == SQLITE_OK ? *s : NULL;
}

void database_done(sqlite3_stmt *s)
{
	sqlite3_reset(s);
	sqlite3_clear_bindings(s);
}

int database_run(struct database *d, enum statement which, int n, const int64_t *numbers)
{
	int rc;
	sqlite3_stmt *s = database_prepare(d, which, n, numbers, &rc);

	if (s == NULL)
		return rc;
	rc = sqlite3_step(s);
	sqlite3_reset(s);
	return rc == SQLITE_DONE || rc == SQLITE_ROW ? SQLITE_OK : rc;
}

int64_t database_changes(const struct database *d)
{
	return sqlite3_changes64(d->db);
}

void database_checkpoint(struct database *d)
{
	limit(d);
	sqlite3_wal_checkpoint_v2(d->db, NULL, SQLITE_CHECKPOINT_RESTART, NULL, NULL);
}
