/* SPDX-License-Identifier: Apache-2.0 */
#include "schema.h"

#include <stdlib.h>

#define LEVEL 1 /* of the newest schema, as noted under the key `migrations` */

/* Steps to the next level; a step says IF NOT EXISTS where the tables may be older than the note. */
static const char *const steps[LEVEL] = {
	"CREATE TABLE IF NOT EXISTS \"%T\" ("
	"key TEXT NOT NULL PRIMARY KEY, "
	"value TEXT NOT NULL, "
	"is_binary BOOLEAN NOT NULL, "
	"etag TEXT NOT NULL, "
	"expiration_time TIMESTAMP DEFAULT NULL, "
	"update_time TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP)",
};

/* The level that is noted: 0 without a note or its table. -1: ret_fault is set. */
static int level(struct connection *c, struct fault *ret_fault)
{
	char text[32], *end;
	long n;
	int rc;

	rc = connection_ask(c,
			    "SELECT 'is there' FROM sqlite_master WHERE type = 'table' AND name = '%M' COLLATE NOCASE",
			    text, sizeof(text));
	if (rc == SQLITE_OK && text[0] != '\0')
		rc = connection_ask(c, "SELECT value FROM \"%M\" WHERE key = 'migrations'", text, sizeof(text));
	if (rc != SQLITE_OK) {
		fault_sqlite(ret_fault, rc, c->db, c->options->file.shown);
		return -1;
	}
	n = strtol(text, &end, 10);
	if (*end != '\0' || n < 0 || n > 1000000) {
		fault_set(ret_fault, DAVIT_FAILED_PRECONDITION, NULL,
			  "%s: invalid migration level found in metadata table: %s", c->options->file.shown, text);
		return -1;
	}
	return (int)n;
}

static int migrate(struct connection *c, int from)
{
	char note[128];
	int rc, i;

	rc = connection_exec(c,
			     "CREATE TABLE IF NOT EXISTS \"%M\" (key text NOT NULL PRIMARY KEY, value text NOT NULL)");
	for (i = from; i < LEVEL && rc == SQLITE_OK; i++) {
		rc = connection_exec(c, steps[i]);
		if (rc != SQLITE_OK)
			break;
		snprintf(note, sizeof(note), "REPLACE INTO \"%%M\" (key, value) VALUES ('migrations', '%d')", i + 1);
		rc = connection_exec(c, note);
	}
	return rc;
}

int schema_bring(struct connection *c, int *ret_made, struct fault *ret_fault)
{
	int rc, from = level(c, ret_fault);

	*ret_made = 0;
	if (from < 0)
		return -1;
	if (from >= LEVEL) /* the usual case, and the only one that a read-only file can be in: nothing is locked */
		return 0;
	rc = connection_exec(c, "BEGIN EXCLUSIVE");
	if (rc != SQLITE_OK)
		goto failed;
	from = level(c, ret_fault); /* another process may have been quicker */
	if (from < 0) {
		connection_exec(c, "ROLLBACK");
		return -1;
	}
	rc = migrate(c, from);
	if (rc == SQLITE_OK)
		rc = connection_exec(c, "COMMIT");
	if (rc == SQLITE_OK) {
		*ret_made = from < LEVEL;
		return 0;
	}
failed:
	fault_sqlite(ret_fault, rc, c->db, c->options->file.shown);
	if (!sqlite3_get_autocommit(c->db))
		connection_exec(c, "ROLLBACK");
	return -1;
}
