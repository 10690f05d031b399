/* SPDX-License-Identifier: Apache-2.0 */
/* The table of sidecars: one connection, used by one thread at a time. Times are seconds of the wall clock, as Dapr's. */
#ifndef DATABASE_H
#define DATABASE_H
#include <davit/names.h>
#include <sqlite3.h>

#define WORD_MOST 64 /* bytes of a table's name */

struct settings {
	char uri[4096];
	char table[WORD_MOST], metadata_table[WORD_MOST];
	int64_t update_ms, timeout_ms, busy_ms, cleanup_ms;
	int wal, memory;
};

/* -1: why says what is wrong. */
int settings_read(const struct davit_open *in, struct settings *ret, char *why, size_t nwhy);

/* Each 0; -1: why. */
int database_open(const struct settings *s, sqlite3 **ret_db, char *why, size_t nwhy); /* and makes the tables */
int database_register(sqlite3 *db, const struct settings *s, const char *id, const char *address, const char *app_id,
		      char *why, size_t nwhy);
/* 1: renewed; 0: the entry is no longer there. */
int database_renew(sqlite3 *db, const struct settings *s, const char *id, const char *address, char *why, size_t nwhy);
int database_leave(sqlite3 *db, const struct settings *s, const char *id, const char *address, char *why, size_t nwhy);
/* How many addresses there are that are alive, 32 at most, each handed to found in an order by chance; -1: why. */
int database_find(sqlite3 *db, const struct settings *s, struct davit_str app_id,
		  void (*found)(void *arg, const char *address), void *arg, char *why, size_t nwhy);
int database_clean(sqlite3 *db, const struct settings *s, char *why, size_t nwhy); /* unless another did a while ago */
#endif
