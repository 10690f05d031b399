/* SPDX-License-Identifier: Apache-2.0 */
#include "database.h"

#include <ctype.h>
#include <davit/duration.h>
#include <davit/truth.h>

#define NOW "CAST(strftime('%%s', CURRENT_TIMESTAMP) AS INTEGER)"

static int read_word(const struct davit_open *in, const char *name, const char *what, char ret[WORD_MOST], char *why,
		     size_t nwhy)
{
	struct davit_str v = davit_prop(in, name);
	size_t i;
	int well = v.n > 0 && v.n < WORD_MOST && !isdigit((unsigned char)v.p[0]);

	for (i = 0; well && i < v.n; i++)
		well = isalnum((unsigned char)v.p[i]) || v.p[i] == '_';
	if (!well) {
		snprintf(why, nwhy, "invalid identifier for %s: %.100s", what, v.p ? v.p : "");
		return -1;
	}
	memcpy(ret, v.p, v.n);
	ret[v.n] = '\0';
	return 0;
}

static int read_ms(const struct davit_open *in, const char *name, int64_t *ret, char *why, size_t nwhy)
{
	int64_t ns;

	if (davit_duration_parse(davit_prop(in, name), &ns) < 0 || ns < 0) {
		snprintf(why, nwhy, "%s is no duration", name);
		return -1;
	}
	*ret = ns / 1000000;
	return 0;
}

int settings_read(const struct davit_open *in, struct settings *ret, char *why, size_t nwhy)
{
	struct davit_str where = davit_prop(in, "connectionString");

	memset(ret, 0, sizeof(*ret));
	if (where.n == 0 || where.n >= sizeof(ret->uri) - 8) {
		snprintf(why, nwhy, "missing connection string");
		return -1;
	}
	snprintf(ret->uri, sizeof(ret->uri), "%s%.*s", strncmp(where.p, "file:", 5) == 0 ? "" : "file:", (int)where.n,
		 where.p);
	ret->memory = strstr(ret->uri, ":memory:") != NULL || strstr(ret->uri, "mode=memory") != NULL;
	ret->wal = !davit_truth(davit_prop(in, "disableWAL")) && !ret->memory;
	if (read_word(in, "tableName", "table name", ret->table, why, nwhy) < 0 ||
	    read_word(in, "metadataTableName", "metadata table name", ret->metadata_table, why, nwhy) < 0 ||
	    read_ms(in, "updateInterval", &ret->update_ms, why, nwhy) < 0 ||
	    read_ms(in, "timeout", &ret->timeout_ms, why, nwhy) < 0 ||
	    read_ms(in, "busyTimeout", &ret->busy_ms, why, nwhy) < 0 ||
	    read_ms(in, "cleanupInterval", &ret->cleanup_ms, why, nwhy) < 0)
		return -1;
	if (ret->update_ms % 1000 != 0) {
		snprintf(why, nwhy, "update interval must not contain fractions of seconds");
		return -1;
	}
	if (ret->update_ms - ret->timeout_ms < 1000) {
		snprintf(why, nwhy, "update interval must be at least 1s greater than timeout");
		return -1;
	}
	return 0;
}

static int fail(sqlite3 *db, const char *what, char *why, size_t nwhy)
{
	snprintf(why, nwhy, "%s: %s", what, sqlite3_errmsg(db));
	return -1;
}

__attribute__((format(printf, 2, 3))) static int run(sqlite3 *db, const char *fmt, ...)
{
	char sql[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(sql, sizeof(sql), fmt, ap);
	va_end(ap);
	return sqlite3_exec(db, sql, NULL, NULL, NULL);
}

__attribute__((format(printf, 2, 3))) static sqlite3_stmt *prepare(sqlite3 *db, const char *fmt, ...)
{
	sqlite3_stmt *s = NULL;
	char sql[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(sql, sizeof(sql), fmt, ap);
	va_end(ap);
	return sqlite3_prepare_v2(db, sql, -1, &s, NULL) == SQLITE_OK ? s : NULL;
}

/* The level is noted as Dapr notes it, so that both can share the file. */
static int make_tables(sqlite3 *db, const struct settings *s)
{
	const char *t = s->table, *m = s->metadata_table;
	int rc = run(db, "BEGIN IMMEDIATE");

	if (rc != SQLITE_OK)
		return rc;
	rc = run(db, "CREATE TABLE IF NOT EXISTS %s (key text NOT NULL PRIMARY KEY, value text NOT NULL)", m);
	if (rc == SQLITE_OK)
		rc = run(db,
			 "CREATE TABLE IF NOT EXISTS %s (registration_id TEXT NOT NULL PRIMARY KEY, address TEXT NOT "
			 "NULL, "
			 "app_id TEXT NOT NULL, namespace TEXT NOT NULL, last_update INTEGER NOT NULL)",
			 t);
	if (rc == SQLITE_OK)
		rc = run(db,
			 "CREATE UNIQUE INDEX IF NOT EXISTS %s_address_idx ON %s (address); "
			 "CREATE INDEX IF NOT EXISTS %s_last_update_idx ON %s (last_update)",
			 t, t, t, t);
	if (rc == SQLITE_OK)
		rc = run(db, "INSERT OR IGNORE INTO %s (key, value) VALUES ('nr-migrations', '1')", m);
	if (rc == SQLITE_OK)
		rc = run(db, "COMMIT");
	if (rc != SQLITE_OK)
		run(db, "ROLLBACK");
	return rc;
}

int database_open(const struct settings *s, sqlite3 **ret_db, char *why, size_t nwhy)
{
	sqlite3 *db = NULL;
	int rc = sqlite3_open_v2(s->uri, &db,
				 SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_URI | SQLITE_OPEN_NOMUTEX,
				 NULL);

	if (rc == SQLITE_OK) {
		sqlite3_busy_timeout(db, (int)(s->busy_ms < s->timeout_ms ? s->busy_ms : s->timeout_ms));
		if (s->wal)
			run(db,
			    "PRAGMA journal_mode = wal"); /* refused while others are in the file: then it is as they have it */
		rc = make_tables(db, s);
	}
	if (rc == SQLITE_OK) {
		*ret_db = db;
		return 0;
	}
	fail(db, "failed to open the database", why, nwhy);
	sqlite3_close(db);
	return -1;
}

/* Answers how many rows changed; -1: why. */
static int finish(sqlite3 *db, sqlite3_stmt *s, const char *what, char *why, size_t nwhy)
{
	int rc = s != NULL ? sqlite3_step(s) : SQLITE_ERROR;

	if (rc != SQLITE_DONE)
		fail(db, what, why, nwhy);
	sqlite3_finalize(s);
	return rc == SQLITE_DONE ? sqlite3_changes(db) : -1;
}

static void bind(sqlite3_stmt *s, int at, const char *text)
{
	if (s != NULL)
		sqlite3_bind_text(s, at, text, -1, SQLITE_STATIC);
}

int database_register(sqlite3 *db, const struct settings *s, const char *id, const char *address, const char *app_id,
		      char *why, size_t nwhy)
{
	sqlite3_stmt *q = prepare(db,
				  "REPLACE INTO %s (registration_id, address, app_id, namespace, last_update) "
				  "VALUES (?1, ?2, ?3, '', " NOW ")",
				  s->table);

	bind(q, 1, id);
	bind(q, 2, address);
	bind(q, 3, app_id);
	return finish(db, q, "failed to register host", why, nwhy) < 0 ? -1 : 0;
}

int database_renew(sqlite3 *db, const struct settings *s, const char *id, const char *address, char *why, size_t nwhy)
{
	sqlite3_stmt *q = prepare(db, "UPDATE %s SET last_update = " NOW " WHERE registration_id = ?1 AND address = ?2",
				  s->table);
	int n;

	bind(q, 1, id);
	bind(q, 2, address);
	n = finish(db, q, "failed to update host registration", why, nwhy);
	return n > 0 ? 1 : n;
}

int database_leave(sqlite3 *db, const struct settings *s, const char *id, const char *address, char *why, size_t nwhy)
{
	sqlite3_stmt *q = prepare(db, "DELETE FROM %s WHERE registration_id = ?1 AND address = ?2", s->table);

	bind(q, 1, id);
	bind(q, 2, address);
	return finish(db, q, "failed to unregister host", why, nwhy) < 0 ? -1 : 0;
}

int database_find(sqlite3 *db, const struct settings *s, struct davit_str app_id,
		  void (*found)(void *arg, const char *address), void *arg, char *why, size_t nwhy)
{
	sqlite3_stmt *q = prepare(db,
				  "SELECT address FROM %s WHERE app_id = ?1 AND " NOW " - last_update < %lld "
				  "ORDER BY RANDOM() LIMIT 32",
				  s->table, (long long)(s->update_ms / 1000));
	int rc, n = 0;

	if (q == NULL)
		return fail(db, "failed to look up address", why, nwhy);
	sqlite3_bind_text64(q, 1, app_id.p, app_id.n, SQLITE_STATIC, SQLITE_UTF8);
	for (; (rc = sqlite3_step(q)) == SQLITE_ROW; n++)
		found(arg, (const char *)sqlite3_column_text(q, 0));
	if (rc != SQLITE_DONE)
		fail(db, "failed to look up address", why, nwhy);
	sqlite3_finalize(q);
	return rc == SQLITE_DONE || n > 0 ? n : -1;
}

int database_clean(sqlite3 *db, const struct settings *s, char *why, size_t nwhy)
{
	sqlite3_stmt *q = prepare(db,
				  "INSERT INTO %s (key, value) VALUES ('nr-last-cleanup', CURRENT_TIMESTAMP) "
				  "ON CONFLICT (key) DO UPDATE SET value = CURRENT_TIMESTAMP WHERE " NOW
				  " - strftime('%%s', value) > %lld",
				  s->metadata_table, (long long)(s->cleanup_ms / 1000));
	int n = finish(db, q, "failed to note the cleanup", why, nwhy);

	if (n <= 0)
		return n;
	q = prepare(db, "DELETE FROM %s WHERE " NOW " - last_update > %lld", s->table,
		    (long long)(s->update_ms / 1000));
	return finish(db, q, "failed to clean up", why, nwhy) < 0 ? -1 : 0;
}
