/* SPDX-License-Identifier: Apache-2.0 */
/* One SQLite connection with its prepared statements. Used by one thread at a time. */
#ifndef CONNECTION_H
#define CONNECTION_H
#include "options.h"

enum statement {
	STATEMENT_GET,	     /* ?1 key: value, is_binary, etag, seconds since 1970 or NULL */
	STATEMENT_KEYS_LIKE, /* ?1 pattern, ?2 rowid to begin behind, ?3 most rows: key, rowid */
	STATEMENT_PUT,	     /* ?1 key, ?2 value, ?3 is_binary, ?4 etag, ?5 "+N seconds" or NULL */
	STATEMENT_PUT_FIRST, /* the same, where nothing is that has not expired */
	STATEMENT_PUT_MATCH, /* the same, where the etag is ?6 */
	STATEMENT_DEL,	     /* ?1 key */
	STATEMENT_DEL_MATCH, /* ?1 key, ?2 etag */
	STATEMENT_CLAIM,     /* ?1 ms: notes a cleanup, unless there was one within that time */
	STATEMENT_CLEAN,     /* ?1 most rows */
	STATEMENT_BEGIN,     /* for writing */
	STATEMENT_BEGIN_READ,
	STATEMENT_COMMIT,
	STATEMENT_ROLLBACK,
	STATEMENT_SAVE, /* a savepoint */
	STATEMENT_SAVE_END,
	STATEMENT_SAVE_UNDO, /* SAVE_END is still due */
	STATEMENTS
};

struct connection {
	struct connection *next; /* of those that wait for work */
	const struct options *options;
	sqlite3 *db;
	int64_t until_ms; /* monotonic: when to give up */
	int64_t busy_until_ms;
	sqlite3_stmt *statements[STATEMENTS]; /* prepared when first needed */
};

/* writer: the first one, which makes the file where it may and sets the journal's mode. NULL: ret_fault says why. */
struct connection *connection_open(const struct options *o, int writer, struct fault *ret_fault);
void connection_close(struct connection *c); /* NULL is fine */

/* How long what follows may wait for others and take at all: no longer than the call is waited for (INT64_MAX: for ever). */
void connection_limit(struct connection *c, int64_t remaining_ms);
/* Ready to bind; NULL: *ret_rc says why. connection_done() gives it back. */
sqlite3_stmt *connection_statement(struct connection *c, enum statement which, int *ret_rc);
void connection_done(sqlite3_stmt *s); /* NULL is fine */
/*
 * sqlite3_step(). Connections of one process that share a database in memory refuse each other
 * at a statement's first step without asking the busy handler: this waits for them as it waits for other processes.
 */
int connection_step(struct connection *c, sqlite3_stmt *s);
/* Whether only the statement failed and the transaction that it was part of goes on. */
int connection_survives(const struct connection *c, int rc);
/* A statement without parameters or rows. SQLITE_OK or a result code. */
int connection_run(struct connection *c, enum statement which);
/* In these texts %T is the table and %M the metadata table. */
int connection_exec(struct connection *c, const char *text);
/* The first column of the first row as text; "" when there is none. SQLITE_OK or a result code. */
int connection_ask(struct connection *c, const char *question, char *ret_text, size_t room);

int bind_str(sqlite3_stmt *s, int at, struct davit_str text); /* kept by the caller until connection_done() */
int64_t connection_now_ms(void);			      /* monotonic */
#endif
