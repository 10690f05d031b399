/* SPDX-License-Identifier: Apache-2.0 */
/* Why something failed, kept until the call that it belongs to can be told. */
#ifndef SQLITE_FAULT_H
#define SQLITE_FAULT_H
#include <davit/plugin.h>
#include <sqlite3.h>

struct fault {
	davit_status status;
	const char *reason; /* a word of the block's header, or NULL */
	char text[512];
};

void fault_clear(struct fault *f);
__attribute__((format(printf, 4, 5))) void fault_set(struct fault *f, davit_status status, const char *reason,
						     const char *fmt, ...);
/* What SQLite said last on db (may be NULL) with result rc, about the file shown: what is wrong and what to do. */
void fault_sqlite(struct fault *f, int rc, sqlite3 *db, const char *shown);
/* Tells the call and returns the status. */
davit_status fault_tell(const struct fault *f, struct davit_call *call);
#endif
