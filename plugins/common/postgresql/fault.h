/* SPDX-License-Identifier: Apache-2.0 */
/* Why something failed, until it is known which of several failures is told; and what PostgreSQL's codes mean here. */
#ifndef POSTGRESQL_FAULT_H
#define POSTGRESQL_FAULT_H
#include <davit/plugin.h>
#include <libpq-fe.h>

struct pg_fault {
	davit_status status;
	const char *reason; /* a word of davit/state.h, or NULL */
	int again;	    /* nothing was done, and on another connection it may go well */
	char code[6];	    /* SQLSTATE; "": none */
	char text[1024];
};

/* Returns the status. */
davit_status pg_fault_set(struct pg_fault *f, davit_status status, const char *reason, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
davit_status pg_fault_no_memory(struct pg_fault *f);
/* A result that is an error. */
davit_status pg_fault_result(struct pg_fault *f, const PGresult *r);
/* A connection that could not be made or broke: its message, in which errors carry their SQLSTATE (PQERRORS_VERBOSE). */
davit_status pg_fault_connection(struct pg_fault *f, const PGconn *pg, const char *doing);
davit_status pg_fault_tell(const struct pg_fault *f, struct davit_call *call);
#endif
