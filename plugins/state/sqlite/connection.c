/* SPDX-License-Identifier: Apache-2.0 */
#include "connection.h"

#include <stdlib.h>
#include <time.h>

#define PROGRESS 4000 /* steps of SQLite's machine between two looks at the clock */
#define SQL_MAX 1024  /* bytes of a statement */

/* NOW is spelled out so that all compare as Dapr's rows do: text, to the second, UTC. */
#define LIVE "(expiration_time IS NULL OR expiration_time > CURRENT_TIMESTAMP)"
#define INSERT \
	"INSERT INTO \"%T\" (key, value, is_binary, etag, update_time, expiration_time) " \
	"VALUES (?1, ?2, ?3, ?4, CURRENT_TIMESTAMP, DATETIME(CURRENT_TIMESTAMP, ?5)) " \
	"ON CONFLICT (key) DO UPDATE SET value = excluded.value, is_binary = excluded.is_binary, etag = " \
	"excluded.etag, " \
	"update_time = excluded.update_time, expiration_time = excluded.expiration_time"

/* %T is the table, %M the metadata table: names cannot be bound, and these were checked to be plain words. */
static const char *const texts[STATEMENTS] = {
	[STATEMENT_GET] = "SELECT value, is_binary, etag, CAST(strftime('%s', expiration_time) AS INTEGER) FROM \"%T\" "
			  "WHERE key = ?1 AND " LIVE,
	[STATEMENT_KEYS_LIKE] = "SELECT key, rowid FROM \"%T\" WHERE key LIKE ?1 ESCAPE '\\' AND " LIVE
				" AND rowid > ?2 ORDER BY rowid LIMIT ?3",
	[STATEMENT_PUT] = INSERT,
	[STATEMENT_PUT_FIRST] = INSERT " WHERE NOT (\"%T\".expiration_time IS NULL OR "
				       "\"%T\".expiration_time > CURRENT_TIMESTAMP)",
	[STATEMENT_PUT_MATCH] =
		"UPDATE \"%T\" SET value = ?2, is_binary = ?3, etag = ?4, update_time = CURRENT_TIMESTAMP, "
		"expiration_time = DATETIME(CURRENT_TIMESTAMP, ?5) WHERE key = ?1 AND etag = ?6 AND " LIVE,
	[STATEMENT_DEL] = "DELETE FROM \"%T\" WHERE key = ?1",
	[STATEMENT_DEL_MATCH] = "DELETE FROM \"%T\" WHERE key = ?1 AND etag = ?2 AND " LIVE,
	[STATEMENT_CLAIM] = "INSERT INTO \"%M\" (key, value) VALUES ('last-cleanup', CURRENT_TIMESTAMP) "
			    "ON CONFLICT (key) DO UPDATE SET value = CURRENT_TIMESTAMP "
			    "WHERE (strftime('%s', CURRENT_TIMESTAMP) - strftime('%s', value)) * 1000 > ?1",
	[STATEMENT_CLEAN] =
		"DELETE FROM \"%T\" WHERE rowid IN (SELECT rowid FROM \"%T\" WHERE expiration_time IS NOT NULL "
		"AND expiration_time < CURRENT_TIMESTAMP LIMIT ?1)",
	[STATEMENT_BEGIN] = "BEGIN IMMEDIATE",
	[STATEMENT_BEGIN_READ] = "BEGIN",
	[STATEMENT_COMMIT] = "COMMIT",
	[STATEMENT_ROLLBACK] = "ROLLBACK",
	[STATEMENT_SAVE] = "SAVEPOINT request",
	[STATEMENT_SAVE_END] = "RELEASE request",
	[STATEMENT_SAVE_UNDO] = "ROLLBACK TO request",
};

int64_t connection_now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void sleep_ms(int64_t ms)
{
	struct timespec t = { ms / 1000, ms % 1000 * 1000000 };

	nanosleep(&t, NULL);
}

/* SQLite's busy handler: 1 tries again. */
static int wait_a_little(void *arg, int tries)
{
	static const uint8_t steps[] = { 1, 1, 2, 2, 5, 5, 10, 10, 20, 25 };
	struct connection *c = arg;
	int64_t left = c->busy_until_ms - connection_now_ms(), step;

	if (left <= 0)
		return 0;
	step = steps[tries < (int)sizeof(steps) ? tries : (int)sizeof(steps) - 1];
	sleep_ms(step < left ? step : left);
	return 1;
}

static int give_up(void *arg)
{
	const struct connection *c = arg;

	return connection_now_ms() >= c->until_ms;
}

void connection_limit(struct connection *c, int64_t remaining_ms)
{
	int64_t now = connection_now_ms(), most = c->options->timeout_ms;

	if (remaining_ms < most)
		most = remaining_ms;
	c->until_ms = now + most;
	c->busy_until_ms = now + (c->options->busy_ms < most ? c->options->busy_ms : most);
}

/* A text with the tables' names; SQL_MAX is enough for the longest with the longest names. */
static void spell(const struct options *o, const char *text, char ret_sql[SQL_MAX])
{
	const char *name;
	size_t n = 0;

	for (; *text != '\0' && n < SQL_MAX - 1; text++) {
		if (text[0] == '%' && (text[1] == 'T' || text[1] == 'M')) {
			name = *++text == 'T' ? o->table : o->metadata_table;
			while (*name != '\0' && n < SQL_MAX - 1)
				ret_sql[n++] = *name++;
		} else {
			ret_sql[n++] = *text;
		}
	}
	ret_sql[n] = '\0';
}

int connection_exec(struct connection *c, const char *text)
{
	char sql[SQL_MAX];

	spell(c->options, text, sql);
	return sqlite3_exec(c->db, sql, NULL, NULL, NULL);
}

int connection_ask(struct connection *c, const char *question, char *ret_text, size_t room)
{
	sqlite3_stmt *s = NULL;
	char sql[SQL_MAX];
	const char *text;
	int rc;

	ret_text[0] = '\0';
	spell(c->options, question, sql);
	rc = sqlite3_prepare_v2(c->db, sql, -1, &s, NULL);
	if (rc != SQLITE_OK)
		return rc;
	rc = sqlite3_step(s);
	if (rc == SQLITE_ROW) {
		text = (const char *)sqlite3_column_text(s, 0);
		snprintf(ret_text, room, "%s", text ? text : "");
	}
	sqlite3_finalize(s);
	return rc == SQLITE_ROW || rc == SQLITE_DONE ? SQLITE_OK : rc;
}

/* A change of the journal's mode is refused at once while others are in the file, the busy handler unasked. */
static int set_journal(struct connection *c)
{
	const char *mode = c->options->file.memory ? "memory" : c->options->wal ? "wal" : "delete";
	char sql[64], got[16];
	int rc, tries = 0;

	snprintf(sql, sizeof(sql), "PRAGMA journal_mode = %s", mode);
	do {
		rc = connection_ask(c, sql, got, sizeof(got));
	} while ((rc & 0xff) == SQLITE_BUSY && wait_a_little(c, tries++));
	return rc;
}

static int set_up(struct connection *c, int writer)
{
	char sql[256];
	size_t i;
	int rc;

	sqlite3_extended_result_codes(c->db, 1);
	sqlite3_busy_handler(c->db, wait_a_little, c);
	sqlite3_progress_handler(c->db, PROGRESS, give_up, c);
	connection_limit(c, INT64_MAX);
	if (writer && !c->options->file.read_only) {
		rc = set_journal(c);
		if (rc != SQLITE_OK)
			return rc;
	}
	/* What is acknowledged is on the disk; a file of megabytes left by one burst need not stay that large. */
	rc = connection_exec(c, "PRAGMA synchronous = FULL; PRAGMA journal_size_limit = 16777216");
	for (i = 0; i < c->options->file.npragmas && rc == SQLITE_OK; i++) {
		snprintf(sql, sizeof(sql), "PRAGMA %s", c->options->file.pragmas[i]);
		rc = connection_exec(c, sql);
	}
	return rc;
}

struct connection *connection_open(const struct options *o, int writer, struct fault *ret_fault)
{
	struct connection *c = calloc(1, sizeof(*c));
	int rc;

	if (c == NULL) {
		fault_set(ret_fault, DAVIT_EXHAUSTED, NULL, "no memory left");
		return NULL;
	}
	c->options = o;
	rc = sqlite3_open_v2(o->file.uri, &c->db,
			     SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_URI | SQLITE_OPEN_NOMUTEX, NULL);
	if (rc == SQLITE_OK)
		rc = set_up(c, writer);
	if (rc == SQLITE_OK)
		return c;
	fault_sqlite(ret_fault, rc, c->db, o->file.shown);
	connection_close(c);
	return NULL;
}

void connection_close(struct connection *c)
{
	int i;

	if (c == NULL)
		return;
	for (i = 0; i < STATEMENTS; i++)
		sqlite3_finalize(c->statements[i]);
	sqlite3_close(c->db);
	free(c);
}

sqlite3_stmt *connection_statement(struct connection *c, enum statement which, int *ret_rc)
{
	char sql[SQL_MAX];

	if (c->statements[which] == NULL) {
		spell(c->options,
		      which == STATEMENT_BEGIN && c->options->file.exclusive ? "BEGIN EXCLUSIVE" : texts[which], sql);
		*ret_rc = sqlite3_prepare_v3(c->db, sql, -1, SQLITE_PREPARE_PERSISTENT, &c->statements[which], NULL);
		if (*ret_rc != SQLITE_OK)
			return NULL;
	}
	*ret_rc = SQLITE_OK;
	return c->statements[which];
}

void connection_done(sqlite3_stmt *s)
{
	sqlite3_reset(s);
	sqlite3_clear_bindings(s);
}

int connection_step(struct connection *c, sqlite3_stmt *s)
{
	int rc, tries = 0;

	while (((rc = sqlite3_step(s)) & 0xff) == SQLITE_LOCKED && wait_a_little(c, tries++))
		sqlite3_reset(s);
	return rc;
}

int connection_survives(const struct connection *c, int rc)
{
	switch (rc & 0xff) {
	case SQLITE_ERROR:
	case SQLITE_TOOBIG:
	case SQLITE_CONSTRAINT:
	case SQLITE_MISMATCH: return !sqlite3_get_autocommit(c->db);
	default: return 0;
	}
}

int connection_run(struct connection *c, enum statement which)
{
	int rc;
	sqlite3_stmt *s = connection_statement(c, which, &rc);

	if (s == NULL)
		return rc;
	rc = connection_step(c, s);
	sqlite3_reset(s);
	return rc == SQLITE_DONE || rc == SQLITE_ROW ? SQLITE_OK : rc;
}

int bind_str(sqlite3_stmt *s, int at, struct davit_str text)
{
	return sqlite3_bind_text64(s, at, text.p ? text.p : "", text.n, SQLITE_STATIC, SQLITE_UTF8);
}
