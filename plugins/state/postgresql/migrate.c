/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Brings the tables to the present level: Dapr's, level by level, noted in the metadata table under its keys. Who does it holds
 * the row "lock" of that table, which Dapr's sidecars wait for as well. All of it is one transaction, lock included.
 */
#include <stdlib.h>

#include "store.h"

#define METADATA_TRIES 3
#define STEP 2048 /* bytes of a statement */

struct migration {
	struct store *s;
	struct davit_call *call;
	struct pg_connection *c;
	int64_t until_ms;
	struct pg_fault *f;
	char table[TABLE], row_id_index[TABLE]; /* quoted, with the schema; quoted */
};

/* One statement; its result's first value, if ret_text is not NULL: "" where there is none. */
static davit_status run(struct migration *m, const char *text, const struct pg_value *values, int n, char *ret_text,
			size_t room)
{
	const struct pg_statement statement = { .number = -1, .text = text };
	PGresult *r = NULL;
	davit_status status = pg_do(m->c, m->call, m->until_ms, &statement, values, n, &r, m->f);

	if (status != DAVIT_OK)
		return status;
	if (ret_text != NULL)
		snprintf(ret_text, room, "%s", PQntuples(r) > 0 && !PQgetisnull(r, 0, 0) ? PQgetvalue(r, 0, 0) : "");
	PQclear(r);
	return DAVIT_OK;
}

__attribute__((format(printf, 2, 3))) static davit_status runf(struct migration *m, const char *fmt, ...)
{
	char text[STEP];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (n < 0 || n >= STEP)
		return pg_fault_set(m->f, DAVIT_INVALID_ARGUMENT, NULL, "the names of the tables are too long");
	return run(m, text, NULL, 0, NULL, 0);
}

static davit_status told(struct migration *m, const char *what)
{
	char text[sizeof(m->f->text)];

	snprintf(text, sizeof(text), "%s: %.800s", what, m->f->text);
	memcpy(m->f->text, text, sizeof(text));
	return m->f->status;
}

/* Two that make it at once: one of them is told of a duplicate. */
static davit_status ensure_metadata(struct migration *m)
{
	davit_status status;
	int tries = 0;

	do {
		status = runf(m, "CREATE TABLE IF NOT EXISTS %s (key text NOT NULL PRIMARY KEY, value text NOT NULL)",
			      m->s->metadata);
	} while (status != DAVIT_OK && strcmp(m->f->code, "23505") == 0 && ++tries < METADATA_TRIES);
	if (status == DAVIT_OK)
		status = runf(m, "INSERT INTO %s (key, value) VALUES ('lock', 'lock') ON CONFLICT (key) DO NOTHING",
			      m->s->metadata);
	return status == DAVIT_OK ? DAVIT_OK : told(m, "failed to create metadata table");
}

static davit_status read_level(struct migration *m, struct pg_value key, int *ret_level)
{
	char text[STEP], level[32];
	davit_status status;
	char *end;

	snprintf(text, sizeof(text), "SELECT value FROM %s WHERE key = $1", m->s->metadata);
	status = run(m, text, &key, 1, level, sizeof(level));
	if (status != DAVIT_OK)
		return told(m, "failed to read migration level");
	*ret_level = (int)strtol(level, &end, 10);
	if (*end != '\0' || *ret_level < 0)
		return pg_fault_set(m->f, DAVIT_FAILED_PRECONDITION, NULL,
				    "invalid migration level found in metadata table: %s", level);
	return DAVIT_OK;
}

static davit_status write_level(struct migration *m, struct pg_value key, int level)
{
	char text[STEP], number[16];
	struct pg_value values[2] = { key };

	snprintf(text, sizeof(text),
		 "INSERT INTO %s (key, value) VALUES ($1, $2) ON CONFLICT (key) DO UPDATE SET value = "
		 "excluded.value",
		 m->s->metadata);
	snprintf(number, sizeof(number), "%d", level);
	values[1] = pg_text(davit_str(number));
	return run(m, text, values, 2, NULL, 0);
}

static davit_status create_v1(struct migration *m)
{
	return runf(m,
		    "CREATE TABLE IF NOT EXISTS %s (key text NOT NULL PRIMARY KEY, value jsonb NOT NULL, isbinary "
		    "boolean NOT "
		    "NULL, insertdate timestamp with time zone NOT NULL DEFAULT now(), updatedate timestamp with time "
		    "zone NULL)",
		    m->s->table);
}

static davit_status add_expiry_v1(struct migration *m)
{
	return runf(m, "ALTER TABLE %s ADD expiredate timestamp with time zone", m->s->table);
}

static davit_status create_v2(struct migration *m)
{
	davit_status status =
		runf(m,
		     "CREATE TABLE IF NOT EXISTS %s (key text NOT NULL PRIMARY KEY, value bytea NOT NULL, etag "
		     "uuid NOT NULL DEFAULT gen_random_uuid(), created_at timestamp with time zone NOT NULL "
		     "DEFAULT now(), updated_at timestamp with time zone, expires_at timestamp with time zone)",
		     m->s->table);

	return status == DAVIT_OK ? runf(m, "CREATE INDEX ON %s (expires_at)", m->s->table) : status;
}

/* The table's name as the server spells it: quoted, and with the schema that it was found in. */
static davit_status resolve(struct migration *m)
{
	static const char *const texts[2] = {
		"SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = "
		"c.relnamespace "
		"WHERE c.oid = to_regclass($1)",
		"SELECT quote_ident(relname || '_row_id_uidx') FROM pg_class WHERE oid = to_regclass($1)",
	};
	struct pg_value name = pg_text(davit_str(m->s->table));
	davit_status status = run(m, texts[0], &name, 1, m->table, sizeof(m->table));

	if (status == DAVIT_OK)
		status = run(m, texts[1], &name, 1, m->row_id_index, sizeof(m->row_id_index));
	if (status == DAVIT_OK && m->table[0] == '\0')
		return pg_fault_set(m->f, DAVIT_FAILED_PRECONDITION, NULL, "table \"%s\" not found", m->s->table);
	return status;
}

static davit_status number_rows(struct migration *m, const char *made)
{
	return runf(
		m,
		"UPDATE %s AS t SET row_id = r.n FROM (SELECT key, row_number() OVER (ORDER BY %s, key) AS n FROM %s "
		"WHERE row_id IS NULL) AS r WHERE r.key = t.key AND t.row_id IS NULL",
		m->table, made, m->table);
}

/* A number for each row, by which pages of keys go on; those that are there get theirs by age. */
static davit_status add_row_id(struct migration *m)
{
	char identity[8], text[STEP];
	davit_status status = resolve(m);
	struct pg_value name = pg_text(davit_str(m->table));

	if (status == DAVIT_OK)
		status = runf(m, "ALTER TABLE %s ADD COLUMN IF NOT EXISTS row_id bigint", m->s->table);
	if (status == DAVIT_OK)
		status = number_rows(m, m->s->v2 ? "created_at" : "insertdate");
	if (status == DAVIT_OK)
		status = runf(m, "ALTER TABLE %s ALTER COLUMN row_id SET NOT NULL", m->s->table);
	if (status == DAVIT_OK)
		status = run(m,
			     "SELECT attidentity::text FROM pg_attribute WHERE attrelid = to_regclass($1) AND attname "
			     "= 'row_id'",
			     &name, 1, identity, sizeof(identity));
	if (status == DAVIT_OK && identity[0] == '\0')
		status = runf(m, "ALTER TABLE %s ALTER COLUMN row_id ADD GENERATED BY DEFAULT AS IDENTITY",
			      m->s->table);
	snprintf(text, sizeof(text),
		 "SELECT setval(pg_get_serial_sequence($1, 'row_id'), COALESCE((SELECT max(row_id) FROM %s), 0) "
		 "+ 1, false)",
		 m->table);
	if (status == DAVIT_OK)
		status = run(m, text, &name, 1, NULL, 0);
	if (status == DAVIT_OK)
		status = runf(m, "CREATE UNIQUE INDEX IF NOT EXISTS %s ON %s (row_id)", m->row_id_index, m->table);
	return status;
}

static davit_status bring(struct migration *m)
{
	static davit_status (*const levels_v1[])(struct migration * m) = { create_v1, add_expiry_v1, add_row_id };
	static davit_status (*const levels_v2[])(struct migration * m) = { create_v2, add_row_id };
	int i, level = 0, n = m->s->v2 ? 2 : 3;
	char name[TABLE + 32], what[64];
	struct pg_value key;
	davit_status status;

	snprintf(name, sizeof(name), m->s->v2 ? "migrations-state-v2-%s" : "migrations", m->s->prefix);
	key = pg_text(davit_str(name));
	status = read_level(m, key, &level);
	for (i = level; i < n && status == DAVIT_OK; i++) {
		davit_log(m->s->instance, DAVIT_LOG_INFO, "Performing migration %d of table '%s'", i + 1, m->s->table);
		status = (m->s->v2 ? levels_v2 : levels_v1)[i](m);
		if (status == DAVIT_OK)
			status = write_level(m, key, i + 1);
		if (status == DAVIT_OK)
			continue;
		snprintf(what, sizeof(what), "failed to perform migration %d", i);
		told(m, what);
	}
	return status;
}

static davit_status do_migrate(struct store *s, struct davit_call *call, struct pg_connection *c, int64_t until_ms,
			       void *arg, struct pg_fault *f)
{
	struct migration m = { .s = s, .call = call, .c = c, .until_ms = until_ms, .f = f };
	davit_status status = ensure_metadata(&m);

	(void)arg;
	if (status == DAVIT_OK)
		status = runf(&m, "BEGIN");
	if (status == DAVIT_OK) {
		status = runf(&m, "SELECT value FROM %s WHERE key = 'lock' FOR UPDATE", s->metadata);
		if (status != DAVIT_OK)
			told(&m, "failed to acquire migration lock");
	}
	if (status == DAVIT_OK)
		status = bring(&m);
	if (status == DAVIT_OK)
		status = runf(&m, "COMMIT");
	if (status != DAVIT_OK)
		c->broken = 1; /* closing it undoes all of it */
	return status;
}

davit_status migrate(struct store *s, struct davit_call *call, struct pg_fault *f)
{
	davit_status status = store_with(s, call, do_migrate, NULL, f);
	char text[sizeof(f->text)];

	if (status == DAVIT_OK || strncmp(f->text, "connection to ", 14) != 0)
		return status;
	snprintf(text, sizeof(text), "failed to connect to the database: %.900s", f->text);
	memcpy(f->text, text, sizeof(text));
	return status;
}
