/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Transactions. Where no step may be refused for an ETag, all of it is one trip to the server, COMMIT included; else the steps'
 * outcomes are looked at first.
 */
#include <stdlib.h>

#include "store.h"

static davit_status queue_end(struct store *s, struct pg_connection *c, enum statement which, struct pg_fault *f)
{
	return pg_queue(c, &s->statements[which], NULL, 0) < 0 ? pg_fault_connection(f, c->pg, "") : DAVIT_OK;
}

/* Leaves the connection outside of any transaction, or broken. */
static void undo(struct store *s, struct davit_call *call, struct pg_connection *c, int64_t until_ms)
{
	struct pg_fault f;
	PGresult *r = NULL;

	/* The Sync first: after an error nothing before it is carried out. */
	if (c->broken || pg_queue_sync(c) < 0 || queue_end(s, c, S_ROLLBACK, &f) != DAVIT_OK ||
	    pg_run(c, call, until_ms, PG_SYNC, &r, 1, &f) != DAVIT_OK || !pg_result_ok(r))
		c->broken = 1; /* closing it undoes it as well */
	PQclear(r);
}

static davit_status check(const struct davit_state_multi *in, PGresult *const *results, struct pg_fault *f)
{
	davit_status status = DAVIT_OK;
	uint64_t i;

	if (!pg_result_ok(results[0])) /* BEGIN */
		return pg_fault_result(f, results[0]);
	for (i = 0; i < in->nops && status == DAVIT_OK; i++)
		status = write_check(in->ops[i]->set, in->ops[i]->del, results[i + 1], f);
	return status;
}

static davit_status commit(struct store *s, struct davit_call *call, struct pg_connection *c, int64_t until_ms,
			   struct pg_fault *f)
{
	davit_status status = queue_end(s, c, S_COMMIT, f);
	PGresult *r = NULL;

	if (status != DAVIT_OK)
		return status;
	status = pg_run(c, call, until_ms, PG_SYNC, &r, 1, f);
	status = status != DAVIT_OK ? write_unknown(c, status, f) : pg_result_ok(r) ? DAVIT_OK : pg_fault_result(f, r);
	PQclear(r);
	return status;
}

static davit_status queue_all(struct store *s, struct pg_connection *c, const struct davit_state_multi *in,
			      int conditional, struct pg_fault *f)
{
	davit_status status = queue_end(s, c, S_BEGIN, f);
	uint64_t i;

	for (i = 0; i < in->nops && status == DAVIT_OK; i++)
		status = write_queue(s, c, in->ops[i]->set, in->ops[i]->del, f);
	if (status == DAVIT_OK && !conditional)
		status = queue_end(s, c, S_COMMIT, f);
	if (status != DAVIT_OK)
		c->broken = 1; /* half of it may have been sent, and is never to be carried out */
	return status;
}

struct steps {
	const struct davit_state_multi *in;
	PGresult **results;
	int conditional;
};

static davit_status do_multi(struct store *s, struct davit_call *call, struct pg_connection *c, int64_t until_ms,
			     void *arg, struct pg_fault *f)
{
	const struct steps *m = arg;
	uint64_t i, n = m->in->nops + (m->conditional ? 1 : 2);
	davit_status status = queue_all(s, c, m->in, m->conditional, f);

	if (status != DAVIT_OK)
		return status;
	status = pg_run(c, call, until_ms, m->conditional ? PG_FLUSH : PG_SYNC, m->results, n, f);
	if (status != DAVIT_OK) {
		if (!m->conditional)
			write_unknown(c, status, f);
	} else {
		status = check(m->in, m->results, f);
		if (status == DAVIT_OK && !m->conditional && !pg_result_ok(m->results[n - 1]))
			status = pg_fault_result(f, m->results[n - 1]);
		if (status != DAVIT_OK)
			undo(s, call, c, until_ms);
		else if (m->conditional)
			status = commit(s, call, c, until_ms, f);
	}
	for (i = 0; i < n; i++)
		PQclear(m->results[i]);
	return status;
}

/* What can never be right is known before anything is sent. */
static davit_status look(const struct store *s, const struct davit_state_multi *in, int *ret_conditional,
			 struct pg_fault *f)
{
	davit_status status = DAVIT_OK;
	uint64_t i;

	for (i = 0; i < in->nops && status == DAVIT_OK; i++) {
		status = write_look(s, in->ops[i]->set, in->ops[i]->del, f);
		*ret_conditional |= write_conditional(in->ops[i]->set, in->ops[i]->del);
	}
	return status;
}

davit_status multi(struct store *s, struct davit_call *call, const struct davit_state_multi *in)
{
	struct steps m = { .in = in };
	struct pg_fault f = { .status = DAVIT_OK };
	davit_status status;

	if (in->nops == 0)
		return DAVIT_OK;
	if (in->nops == 1)
		return in->ops[0]->set ? write_set(s, call, in->ops[0]->set) : write_del(s, call, in->ops[0]->del);
	status = look(s, in, &m.conditional, &f);
	if (status == DAVIT_OK) {
		m.results = davit_alloc(call, sizeof(*m.results) * (in->nops + 2));
		status = m.results ? store_with(s, call, do_multi, &m, &f) : pg_fault_no_memory(&f);
	}
	return status == DAVIT_OK ? DAVIT_OK : pg_fault_tell(&f, call);
}
