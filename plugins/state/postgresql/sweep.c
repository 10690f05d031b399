/* SPDX-License-Identifier: Apache-2.0 */
/* Deletes expired rows now and then, a piece at a time. Of all sidecars that share the table one does it each time. */
#include <davit/sleep.h>
#include <stdlib.h>

#include "store.h"

#define PIECE "1000" /* rows of S_CLEAN */

/* Rows that were changed. */
static davit_status count(struct store *s, struct pg_connection *c, int64_t until_ms, enum statement which,
			  const struct pg_value *values, int n, long long *ret_rows, struct pg_fault *f)
{
	PGresult *r = NULL;
	davit_status status = pg_do(c, NULL, until_ms, &s->statements[which], values, n, &r, f);

	if (status == DAVIT_OK)
		*ret_rows = strtoll(PQcmdTuples(r), NULL, 10);
	PQclear(r);
	return status;
}

static davit_status do_claim(struct store *s, struct davit_call *call, struct pg_connection *c, int64_t until_ms,
			     void *arg, struct pg_fault *f)
{
	char key[TABLE + 32], interval[24];
	struct pg_value values[2];

	(void)call;
	snprintf(key, sizeof(key), s->v2 ? "last-cleanup-state-v2-%s" : "last-cleanup", s->prefix);
	/* A little less than the interval: two clocks never agree to the millisecond. */
	snprintf(interval, sizeof(interval), "%lld", (long long)s->cleanup_ms - 100);
	values[0] = pg_text(davit_str(key));
	values[1] = pg_word(interval);
	return count(s, c, until_ms, S_CLAIM, values, 2, arg, f);
}

static davit_status do_clean(struct store *s, struct davit_call *call, struct pg_connection *c, int64_t until_ms,
			     void *arg, struct pg_fault *f)
{
	(void)call;
	return count(s, c, until_ms, S_CLEAN, NULL, 0, arg, f);
}

static void sweep(struct store *s)
{
	long long rows = 0, removed = 0, most = strtoll(PIECE, NULL, 10);
	struct pg_fault f = { .status = DAVIT_OK };
	davit_status status = store_with(s, NULL, do_claim, &rows, &f);

	if (status == DAVIT_OK && rows == 0) {
		davit_log(s->instance, DAVIT_LOG_DEBUG, "Last cleanup was performed too recently");
		return;
	}
	while (status == DAVIT_OK && !s->stopping) {
		status = store_with(s, NULL, do_clean, &rows, &f);
		removed += status == DAVIT_OK ? rows : 0;
		if (rows < most)
			break;
	}
	if (status == DAVIT_OK)
		davit_log(s->instance, DAVIT_LOG_INFO, "Removed %lld expired rows", removed);
	else if (!s->stopping)
		davit_log(s->instance, DAVIT_LOG_ERROR, "Error removing expired data: %s", f.text);
}

static void run(void *arg)
{
	const struct davit_sleep_service *service;
	struct store *s = arg;

	service = davit_sleep_service(s->instance);
	s->sweeper = s->fiber->self(s->instance);
	while (!s->stopping && service->sleep(s->instance, NULL, s->cleanup_ms) == DAVIT_OK && !s->stopping)
		sweep(s);
	s->sweeper = NULL;
	s->sweeping = 0;
	if (s->closer != NULL)
		s->fiber->wake(s->closer);
}

int sweep_start(struct store *s)
{
	if (s->cleanup_ms <= 0)
		return 0;
	s->sweeping = 1;
	if (s->fiber->start(s->instance, run, s) == DAVIT_OK)
		return 0;
	s->sweeping = 0;
	return -1;
}

void sweep_stop(struct store *s)
{
	if (!s->sweeping)
		return;
	s->stopping = 1;
	if (s->sweeper != NULL)
		s->fiber->cancel(s->sweeper);
	s->closer = s->fiber->self(s->instance);
	while (s->sweeping)
		s->fiber->park(s->instance, NULL, 0);
	s->closer = NULL;
}
