/* SPDX-License-Identifier: Apache-2.0 */
#include "connection.h"

#include <stdlib.h>

#include "wait.h"

#define BYTEA 17 /* types' numbers, which never change */
#define TEXT 25

enum { PREPARING, STATEMENT, SYNC };

static int broken(struct pg_connection *c)
{
	c->broken = 1;
	return -1;
}

static int note(struct pg_connection *c, int kind, int number, char *text)
{
	if (c->nqueued == c->room) {
		size_t room = c->room ? c->room * 2 : 16;
		struct pg_queued *q = reallocarray(c->queued, room, sizeof(*q));
		char **t;

		if (q == NULL)
			return broken(c);
		c->queued = q;
		t = c->mode == PG_SIMPLE ? reallocarray(c->texts, room, sizeof(*t)) : NULL;
		if (c->mode == PG_SIMPLE && t == NULL)
			return broken(c);
		if (t != NULL)
			c->texts = t;
		c->room = room;
	}
	if (c->mode == PG_SIMPLE)
		c->texts[c->nqueued] = text;
	c->queued[c->nqueued++] = (struct pg_queued){ (uint8_t)kind, (int8_t)number };
	return 0;
}

static void write_literal(FILE *out, struct pg_connection *c, const struct pg_value *v)
{
	char *text;
	size_t n;

	if (v->kind == PG_NULL) {
		fputs("NULL", out);
	} else if (v->kind == PG_BYTES) {
		text = (char *)PQescapeByteaConn(c->pg, v->p, v->n, &n);
		fprintf(out, "'%s'::bytea", text ? text : "");
		PQfreemem(text);
		if (text == NULL)
			c->broken = 1;
	} else {
		text = PQescapeLiteral(c->pg, v->p, v->n);
		fputs(text ? text : "''", out);
		PQfreemem(text);
		if (text == NULL) /* it says why: not UTF-8, for example */
			c->broken = 1;
	}
}

/* The values stand where the text has $1 to $9. */
static char *write_out(struct pg_connection *c, const char *s, const struct pg_value *values, int nvalues)
{
	char *text = NULL;
	size_t n = 0;
	FILE *out = open_memstream(&text, &n);

	if (out == NULL)
		return NULL;
	for (; *s != '\0'; s++) {
		if (*s == '$' && s[1] > '0' && s[1] <= '0' + nvalues) {
			write_literal(out, c, &values[s[1] - '1']);
			s++;
		} else {
			fputc(*s, out);
		}
	}
	if (fclose(out) == 0 && !c->broken)
		return text;
	free(text);
	return NULL;
}

static int queue_simple(struct pg_connection *c, const struct pg_statement *s, const struct pg_value *values,
			int nvalues)
{
	char *text = write_out(c, s->simple ? s->simple : s->text, values, nvalues);

	if (text == NULL)
		return broken(c);
	if (note(c, STATEMENT, -1, text) == 0)
		return 0;
	free(text);
	return -1;
}

int pg_queue(struct pg_connection *c, const struct pg_statement *s, const struct pg_value *values, int nvalues)
{
	const char *p[PG_VALUES];
	int lengths[PG_VALUES], formats[PG_VALUES], i, keep = c->mode == PG_PREPARED && s->number >= 0;
	Oid types[PG_VALUES];
	char name[16];

	if (c->broken || nvalues > PG_VALUES)
		return broken(c);
	if (c->mode == PG_SIMPLE)
		return queue_simple(c, s, values, nvalues);
	for (i = 0; i < nvalues; i++) {
		p[i] = values[i].kind == PG_NULL ? NULL : values[i].p ? values[i].p : "";
		lengths[i] = (int)values[i].n;
		formats[i] = values[i].kind == PG_TEXT || values[i].kind == PG_BYTES;
		types[i] = values[i].kind == PG_TEXT ? TEXT : values[i].kind == PG_BYTES ? BYTEA : 0;
		if (values[i].n > INT32_MAX)
			return broken(c);
	}
	if (!keep)
		return PQsendQueryParams(c->pg, s->text, nvalues, types, p, lengths, formats, 1) == 1
			       ? note(c, STATEMENT, -1, NULL)
			       : broken(c);
	snprintf(name, sizeof(name), "davit_%d", s->number);
	if (!(c->prepared >> s->number & 1)) {
		if (PQsendPrepare(c->pg, name, s->text, nvalues, types) != 1 || note(c, PREPARING, s->number, NULL) < 0)
			return broken(c);
		c->prepared |= (uint64_t)1 << s->number;
	}
	if (PQsendQueryPrepared(c->pg, name, nvalues, p, lengths, formats, 1) != 1)
		return broken(c);
	return note(c, STATEMENT, -1, NULL);
}

int pg_queue_sync(struct pg_connection *c)
{
	if (c->broken || (c->mode != PG_SIMPLE && PQpipelineSync(c->pg) != 1))
		return broken(c);
	return note(c, SYNC, -1, NULL);
}

int pg_result_ok(const PGresult *r)
{
	ExecStatusType s = PQresultStatus(r);

	return s == PGRES_COMMAND_OK || s == PGRES_TUPLES_OK;
}

/* The next result, or NULL for the end of a statement's. */
static davit_status next(struct pg_connection *c, struct davit_call *call, int64_t until_ms, PGresult **ret_result,
			 struct pg_fault *f)
{
	int left, ready;
	davit_status status;

	for (;;) {
		left = PQflush(c->pg);
		if (left < 0)
			return pg_fault_connection(f, c->pg, "");
		if (left == 0 && !PQisBusy(c->pg))
			break;
		status = pg_wait(c, call, DAVIT_WATCH_READ | (left ? DAVIT_WATCH_WRITE : 0), until_ms, &ready, f);
		if (status != DAVIT_OK)
			return status;
		if ((ready & DAVIT_WATCH_READ) && PQconsumeInput(c->pg) != 1)
			return pg_fault_connection(f, c->pg, "");
	}
	*ret_result = PQgetResult(c->pg);
	return DAVIT_OK;
}

/* All results of what was queued at i; *keep, if not NULL, becomes the first one. */
static davit_status take(struct pg_connection *c, struct davit_call *call, int64_t until_ms, size_t i, PGresult **keep,
			 struct pg_fault *f)
{
	davit_status status;
	PGresult *r = NULL;
	int failed = 0;

	do {
		status = next(c, call, until_ms, &r, f);
		if (status != DAVIT_OK)
			return status;
		failed |= r != NULL && !pg_result_ok(r);
		if (r != NULL && PQstatus(c->pg) == CONNECTION_BAD) {
			status = pg_fault_result(f, r);
			PQclear(r);
			return status;
		}
		if (PQresultStatus(r) == PGRES_PIPELINE_SYNC) {
			PQclear(r);
			return c->queued[i].kind == SYNC
				       ? DAVIT_OK
				       : pg_fault_set(f, DAVIT_DATA_LOSS, NULL, "the server's answers are out of step");
		}
		if (keep != NULL && *keep == NULL)
			*keep = r;
		else
			PQclear(r);
	} while (r != NULL);
	if (c->queued[i].kind == PREPARING && failed)
		c->prepared &= ~((uint64_t)1 << c->queued[i].number);
	return c->queued[i].kind == SYNC
		       ? pg_fault_set(f, DAVIT_DATA_LOSS, NULL, "the server's answers are out of step")
		       : DAVIT_OK;
}

static davit_status run_pipeline(struct pg_connection *c, struct davit_call *call, int64_t until_ms, PGresult **results,
				 size_t n, struct pg_fault *f)
{
	PGresult *prepared = NULL;
	davit_status status = DAVIT_OK;
	size_t i, at = 0;

	for (i = 0; i < c->nqueued && status == DAVIT_OK; i++) {
		int kind = c->queued[i].kind;

		status = take(c, call, until_ms, i,
			      kind == PREPARING		    ? &prepared
			      : kind == STATEMENT && at < n ? &results[at]
							    : NULL,
			      f);
		if (kind != STATEMENT)
			continue;
		/* What could not be prepared is the statement's own error. */
		if (prepared != NULL && !pg_result_ok(prepared) && at < n) {
			PQclear(results[at]);
			results[at] = prepared;
		} else {
			PQclear(prepared);
		}
		prepared = NULL;
		at++;
	}
	PQclear(prepared);
	return status;
}

/* Those from i on that stand or fall together, as one text; *ret_n: how many. NULL: no memory. */
static char *one_text(const struct pg_connection *c, size_t i, size_t *ret_n)
{
	size_t n = 0, size = 1, at = 0, k;
	char *text;

	while (i + n < c->nqueued && c->queued[i + n].kind != SYNC)
		size += strlen(c->texts[i + n++]) + 1;
	text = malloc(size);
	if (text == NULL)
		return NULL;
	for (k = 0; k < n; k++) {
		size = strlen(c->texts[i + k]);
		memcpy(text + at, c->texts[i + k], size);
		at += size;
		text[at++] = ';';
	}
	text[at] = '\0';
	*ret_n = n;
	return text;
}

/* The results of one text: those behind one that failed were not carried out. */
static davit_status take_all(struct pg_connection *c, struct davit_call *call, int64_t until_ms, PGresult **results,
			     size_t n, struct pg_fault *f)
{
	davit_status status;
	PGresult *r = NULL;
	size_t at = 0;

	for (;;) {
		status = next(c, call, until_ms, &r, f);
		if (status != DAVIT_OK)
			return status;
		if (r == NULL)
			break;
		if (PQstatus(c->pg) == CONNECTION_BAD) {
			status = pg_fault_result(f, r);
			PQclear(r);
			return status;
		}
		if (at < n)
			results[at++] = r;
		else
			PQclear(r);
	}
	while (at < n)
		results[at++] = PQmakeEmptyPGresult(c->pg, PGRES_PIPELINE_ABORTED);
	return DAVIT_OK;
}

/*
 * A transaction's statements go as one text, as they go on one way in a pipeline: its rows are locked for one journey instead
 * of one each, and two that lock each other's are a rare thing (the server takes a second to see it).
 */
static davit_status run_simple(struct pg_connection *c, struct davit_call *call, int64_t until_ms, PGresult **results,
			       size_t n, struct pg_fault *f)
{
	davit_status status = DAVIT_OK;
	size_t i = 0, at = 0, together;
	char *text;
	int sent;

	while (i < c->nqueued && status == DAVIT_OK) {
		if (c->queued[i].kind == SYNC) {
			i++;
			continue;
		}
		text = one_text(c, i, &together);
		if (text == NULL)
			return pg_fault_no_memory(f);
		sent = PQsendQuery(c->pg, text);
		free(text);
		if (sent != 1)
			return pg_fault_connection(f, c->pg, "");
		status = take_all(c, call, until_ms, results + (at < n ? at : n),
				  at >= n	      ? 0
				  : n - at < together ? n - at
						      : together,
				  f);
		at += together;
		i += together;
	}
	return status;
}

static void forget_queue(struct pg_connection *c)
{
	size_t i;

	for (i = 0; c->mode == PG_SIMPLE && i < c->nqueued; i++) {
		free(c->texts[i]);
		c->texts[i] = NULL;
	}
	c->nqueued = 0;
}

davit_status pg_run(struct pg_connection *c, struct davit_call *call, int64_t until_ms, enum pg_end end,
		    PGresult **results, size_t n, struct pg_fault *f)
{
	davit_status status;
	size_t i;

	for (i = 0; i < n; i++)
		results[i] = NULL;
	if (c->broken ||
	    (end == PG_SYNC ? pg_queue_sync(c) < 0 : c->mode != PG_SIMPLE && PQsendFlushRequest(c->pg) != 1)) {
		c->broken = 1;
		return pg_fault_connection(f, c->pg, "");
	}
	c->user = c->fiber->self(c->instance);
	status = c->mode == PG_SIMPLE ? run_simple(c, call, until_ms, results, n, f)
				      : run_pipeline(c, call, until_ms, results, n, f);
	c->user = NULL;
	forget_queue(c);
	if (status == DAVIT_OK)
		return DAVIT_OK;
	c->broken = 1;
	for (i = 0; i < n && status == DAVIT_UNAVAILABLE; i++) /* a server that ends says so before it closes */
		if (PQresultStatus(results[i]) == PGRES_FATAL_ERROR)
			return pg_fault_result(f, results[i]);
	return status;
}

davit_status pg_do(struct pg_connection *c, struct davit_call *call, int64_t until_ms, const struct pg_statement *s,
		   const struct pg_value *values, int nvalues, PGresult **ret_result, struct pg_fault *f)
{
	davit_status status;
	PGresult *r = NULL;

	if (pg_queue(c, s, values, nvalues) < 0)
		return pg_fault_connection(f, c->pg, "");
	status = pg_run(c, call, until_ms, PG_SYNC, &r, 1, f);
	if (status == DAVIT_OK && !pg_result_ok(r))
		status = pg_fault_result(f, r);
	if (status == DAVIT_OK && ret_result != NULL)
		*ret_result = r;
	else
		PQclear(r);
	return status;
}
