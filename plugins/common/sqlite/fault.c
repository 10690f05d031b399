/* SPDX-License-Identifier: Apache-2.0 */
#include "fault.h"

#include <errno.h>

void fault_clear(struct fault *f)
{
	f->status = DAVIT_OK;
	f->reason = NULL;
	f->text[0] = '\0';
}

void fault_set(struct fault *f, davit_status status, const char *reason, const char *fmt, ...)
{
	va_list ap;

	f->status = status;
	f->reason = reason;
	va_start(ap, fmt);
	vsnprintf(f->text, sizeof(f->text), fmt, ap);
	va_end(ap);
}

/* By the primary result code. %s is the file. */
static const struct {
	int rc;
	davit_status status;
	const char *says, *to_do;
} meanings[] = {
	{ SQLITE_BUSY, DAVIT_UNAVAILABLE, "database is locked",
	  "another process holds it; raise busyTimeout if that is normal" },
	{ SQLITE_LOCKED, DAVIT_UNAVAILABLE, "database is locked", "another component of this process holds it" },
	{ SQLITE_FULL, DAVIT_EXHAUSTED, "database or disk is full", "free some space on its disk" },
	{ SQLITE_READONLY, DAVIT_FAILED_PRECONDITION, "attempt to write a readonly database",
	  "let this user write the file and its folder, or write elsewhere" },
	{ SQLITE_PERM, DAVIT_PERMISSION_DENIED, "access permission denied", "let this user read and write the file" },
	{ SQLITE_CANTOPEN, DAVIT_FAILED_PRECONDITION, "unable to open database file",
	  "its folder must exist, and this user must be allowed to write there" },
	{ SQLITE_NOTADB, DAVIT_FAILED_PRECONDITION, "file is not a database",
	  "name another file, or move this one away" },
	{ SQLITE_CORRUPT, DAVIT_DATA_LOSS, "database disk image is malformed", "restore it from a copy" },
	{ SQLITE_IOERR, DAVIT_UNAVAILABLE, "disk I/O error", "look at its disk" },
	{ SQLITE_NOMEM, DAVIT_EXHAUSTED, "out of memory", "give the process more" },
	{ SQLITE_TOOBIG, DAVIT_INVALID_ARGUMENT, "key or value too big", "a row holds less than 1,000,000,000 bytes" },
	{ SQLITE_INTERRUPT, DAVIT_DEADLINE_EXCEEDED, "operation took too long", "raise timeout if that is normal" },
	{ SQLITE_PROTOCOL, DAVIT_UNAVAILABLE, "locking protocol", "try again; a network file system needs disableWAL" },
};

void fault_sqlite(struct fault *f, int rc, sqlite3 *db, const char *shown)
{
	int system = db != NULL ? sqlite3_system_errno(db) : 0;
	size_t i;

	for (i = 0; i < sizeof(meanings) / sizeof(meanings[0]); i++) {
		if (meanings[i].rc != (rc & 0xff))
			continue;
		if (system != 0 && (meanings[i].rc == SQLITE_CANTOPEN || meanings[i].rc == SQLITE_IOERR))
			fault_set(f, meanings[i].status, NULL, "%s: %s: %s: %s", shown, meanings[i].says,
				  strerrordesc_np(system), meanings[i].to_do);
		else
			fault_set(f, meanings[i].status, NULL, "%s: %s: %s", shown, meanings[i].says,
				  meanings[i].to_do);
		return;
	}
	fault_set(f, DAVIT_INTERNAL, NULL, "%s: %s (%d)", shown, db != NULL ? sqlite3_errmsg(db) : sqlite3_errstr(rc),
		  rc);
}

davit_status fault_tell(const struct fault *f, struct davit_call *call)
{
	if (f->status == DAVIT_OK)
		return DAVIT_OK;
	return davit_fail_text(call, f->status, f->reason, f->text, strlen(f->text));
}
