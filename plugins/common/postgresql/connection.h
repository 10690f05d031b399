/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One connection to a PostgreSQL: libpq, never blocking, waited for by "davit.watch/1". Whoever has it, has it alone:
 *
 *	pg_queue(c, &statement, values);	as many as belong together
 *	status = pg_run(c, call, until_ms, PG_SYNC, results, n, &fault);
 *	for (each) PQclear(results[i]);
 *
 * What is queued between two PG_SYNC is one transaction, unless it says BEGIN itself: the first error undoes it and the rest is
 * not carried out. All of it takes one trip to the server (queryExecMode simple_protocol: one trip each, and each is a
 * transaction of its own unless there is a BEGIN).
 *
 * After a failure of pg_queue or pg_run the connection is broken and only good for pg_connection_close.
 */
#ifndef POSTGRESQL_CONNECTION_H
#define POSTGRESQL_CONNECTION_H
#include <davit/fiber.h>
#include <davit/watch.h>

#include "options.h"

#define PG_VALUES 8	 /* most in one statement */
#define PG_STATEMENTS 64 /* numbers of statements */

/* $1 to $n in it. With PG_SIMPLE what is in `simple` instead, where that is not NULL: results are text then. */
struct pg_statement {
	int number; /* below PG_STATEMENTS, one for each text; -1: not worth preparing */
	const char *text, *simple;
};

enum pg_kind {
	PG_NULL,
	PG_TEXT,  /* of type text, any length, no NUL in it */
	PG_BYTES, /* of type bytea */
	PG_WORD	  /* of whatever type the statement gives it; ends in a NUL */
};
struct pg_value {
	enum pg_kind kind;
	const void *p;
	size_t n;
};

static inline struct pg_value pg_text(struct davit_str s)
{
	return (struct pg_value){ PG_TEXT, s.p, s.n };
}

static inline struct pg_value pg_word(const char *text)
{
	return (struct pg_value){ PG_WORD, text, strlen(text) };
}

/* What is queued. */
struct pg_queued {
	uint8_t kind;
	int8_t number; /* of a statement that is prepared by it */
};

struct pg_connection {
	struct davit_instance *instance;
	const struct davit_watch_service *service;
	const struct davit_fiber_service *fiber;
	PGconn *pg;
	struct davit_watch *watch;
	int fd; /* of the watch: the socket once more, so that libpq may close its own at any time */
	enum pg_mode mode;
	uint64_t prepared; /* bits by number */
	struct pg_queued *queued;
	size_t nqueued, room;
	char **texts; /* with PG_SIMPLE: what is queued */
	int broken;
	struct davit_fiber *user;
};

int64_t pg_now_ms(void); /* steady */

/* By all servers in turn, each by all its addresses. */
davit_status pg_connection_open(struct davit_instance *instance, struct davit_call *call, const struct pg_options *o,
				int64_t until_ms, struct pg_connection **ret_connection, struct pg_fault *f);
void pg_connection_close(struct pg_connection *c); /* does not wait; NULL is fine */
/* 0: the server has closed it, as far as can be known without asking. */
int pg_connection_lives(struct pg_connection *c);

/* 0; -1: no memory, and it is broken. */
int pg_queue(struct pg_connection *c, const struct pg_statement *s, const struct pg_value *values, int nvalues);
/* Ends a transaction among what is queued, so that what follows stands for itself. */
int pg_queue_sync(struct pg_connection *c);

enum pg_end { PG_SYNC, PG_FLUSH }; /* PG_FLUSH: the transaction goes on */

/*
 * Sends what is queued and takes the n results, in their order: an error result is DAVIT_OK here (pg_fault_result), and what was
 * not carried out since something before it failed is PGRES_PIPELINE_ABORTED. All are the caller's, and NULL where there is none.
 */
davit_status pg_run(struct pg_connection *c, struct davit_call *call, int64_t until_ms, enum pg_end end,
		    PGresult **results, size_t n, struct pg_fault *f);
/* One statement that stands for itself. An error result is a failure here. */
davit_status pg_do(struct pg_connection *c, struct davit_call *call, int64_t until_ms, const struct pg_statement *s,
		   const struct pg_value *values, int nvalues, PGresult **ret_result, struct pg_fault *f);

int pg_result_ok(const PGresult *r);
#endif
