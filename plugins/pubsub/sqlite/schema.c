/* SPDX-License-Identifier: Apache-2.0 */
#include "schema.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#define LEVEL 1
#define BOOT_TEXT 64

static const char *const steps[LEVEL] = {
	"CREATE TABLE pubsub_topic (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE, "
	"last INTEGER NOT NULL, time INTEGER NOT NULL);"
	"CREATE TABLE pubsub_message (id INTEGER PRIMARY KEY, published INTEGER NOT NULL, expires INTEGER, metadata "
	"BLOB, "
	"data BLOB NOT NULL);"
	"CREATE INDEX pubsub_message_expires ON pubsub_message (expires) WHERE expires IS NOT NULL;"
	"CREATE TABLE pubsub_group (id INTEGER PRIMARY KEY AUTOINCREMENT, topic INTEGER NOT NULL, name TEXT NOT NULL, "
	"position INTEGER NOT NULL, seen INTEGER NOT NULL, UNIQUE (topic, name));"
	"CREATE TABLE pubsub_pending (grp INTEGER NOT NULL, message INTEGER NOT NULL, peer INTEGER NOT NULL, "
	"due INTEGER NOT NULL, failures INTEGER NOT NULL, PRIMARY KEY (grp, message)) WITHOUT ROWID;"
	"CREATE INDEX pubsub_pending_waiting ON pubsub_pending (grp, message) WHERE peer = 0;"
	"CREATE INDEX pubsub_pending_due ON pubsub_pending (grp, due, message) WHERE peer = 0;"
	"CREATE TABLE pubsub_peer (id INTEGER PRIMARY KEY, alive INTEGER NOT NULL, name TEXT NOT NULL);"
	"CREATE TABLE pubsub_consumer (topic INTEGER NOT NULL, peer INTEGER NOT NULL, PRIMARY KEY (topic, peer)) "
	"WITHOUT ROWID;",
};

/* Which boot of the host this is; "" where that is not told. */
static void boot_id(char ret_text[BOOT_TEXT])
{
	int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd >= 0 ? read(fd, ret_text, BOOT_TEXT - 1) : 0;

	if (fd >= 0)
		close(fd);
	ret_text[n > 0 ? n : 0] = '\0';
	ret_text[strcspn(ret_text, "\n")] = '\0';
}

/* The first column of the first row; "" when there is none. SQLITE_OK or a result code. */
static int ask(struct database *d, const char *question, char *ret_text, size_t room)
{
	sqlite3_stmt *s = NULL;
	const unsigned char *text;
	int rc = sqlite3_prepare_v2(d->db, question, -1, &s, NULL);

	ret_text[0] = '\0';
	if (rc != SQLITE_OK)
		return rc;
	rc = sqlite3_step(s);
	text = rc == SQLITE_ROW ? sqlite3_column_text(s, 0) : NULL;
	snprintf(ret_text, room, "%s", text ? (const char *)text : "");
	sqlite3_finalize(s);
	return rc == SQLITE_ROW || rc == SQLITE_DONE ? SQLITE_OK : rc;
}

static int note(struct database *d, const char *key, const char *value)
{
	char *sql = sqlite3_mprintf("REPLACE INTO pubsub_note (key, value) VALUES (%Q, %Q)", key, value);
	int rc = sql ? sqlite3_exec(d->db, sql, NULL, NULL, NULL) : SQLITE_NOMEM;

	sqlite3_free(sql);
	return rc;
}

static int level(struct database *d, long *ret_level)
{
	char text[32];
	int rc = ask(d, "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'pubsub_note'", text,
		     sizeof(text));

	if (rc == SQLITE_OK && text[0] != '\0')
		rc = ask(d, "SELECT value FROM pubsub_note WHERE key = 'level'", text, sizeof(text));
	*ret_level = strtol(text, NULL, 10);
	return rc;
}

static int migrate(struct database *d, long from)
{
	char text[32];
	int rc = sqlite3_exec(d->db,
			      "CREATE TABLE IF NOT EXISTS pubsub_note (key TEXT NOT NULL PRIMARY KEY, value NOT NULL) "
			      "WITHOUT ROWID",
			      NULL, NULL, NULL);

	for (; from < LEVEL && rc == SQLITE_OK; from++) {
		rc = sqlite3_exec(d->db, steps[from], NULL, NULL, NULL);
		snprintf(text, sizeof(text), "%ld", from + 1);
		if (rc == SQLITE_OK)
			rc = note(d, "level", text);
	}
	return rc;
}

/* After another start of the host nobody of then lives, and its monotonic times mean nothing. */
static int forget_other_boot(struct database *d, const char *boot)
{
	int rc = sqlite3_exec(d->db,
			      "DELETE FROM pubsub_peer; DELETE FROM pubsub_consumer; "
			      "UPDATE pubsub_pending SET peer = 0, due = 0",
			      NULL, NULL, NULL);

	return rc == SQLITE_OK ? note(d, "boot", boot) : rc;
}

static int bring(struct database *d, const char *boot, int write, int *ret_ready)
{
	char noted[BOOT_TEXT] = "";
	long is;
	int rc = level(d, &is);

	if (rc == SQLITE_OK && is >= 1)
		rc = ask(d, "SELECT value FROM pubsub_note WHERE key = 'boot'", noted, sizeof(noted));
	*ret_ready = rc == SQLITE_OK && is >= LEVEL && strcmp(noted, boot) == 0;
	if (rc != SQLITE_OK || *ret_ready || !write)
		return rc;
	if (is < LEVEL)
		rc = migrate(d, is);
	return rc == SQLITE_OK ? forget_other_boot(d, boot) : rc;
}

int schema_bring(struct database *d, struct fault *ret_fault)
{
	char boot[BOOT_TEXT];
	int rc, ready;

	boot_id(boot);
	rc = bring(d, boot, 0, &ready);
	if (rc == SQLITE_OK && ready)
		return 0;
	if (rc == SQLITE_OK)
		rc = database_begin(d, 1);
	if (rc == SQLITE_OK) /* another process may have been quicker */
		rc = bring(d, boot, 1, &ready);
	if (rc == SQLITE_OK)
		rc = database_commit(d);
	if (rc == SQLITE_OK)
		return 0;
	fault_sqlite(ret_fault, rc, d->db, d->options->file.shown);
	database_rollback(d);
	return -1;
}
