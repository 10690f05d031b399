/* SPDX-License-Identifier: Apache-2.0 */
/* Deletes expired rows now and then, a piece at a time, so that saves get in between. */
#include <signal.h>
#include <time.h>

#include "store.h"

#define PIECE 1000 /* rows of one transaction */

/* number: in, whether the turn still has to be claimed; out, rows that were deleted, -1 if another has just been there. */
static int apply_sweep(struct connection *c, struct request *r)
{
	sqlite3_stmt *s;
	int rc = SQLITE_OK;

	if (r->number) {
		s = connection_statement(c, STATEMENT_CLAIM, &rc);
		if (s == NULL)
			return rc;
		/* A little less than the interval: two clocks never agree to the millisecond. */
		sqlite3_bind_int64(s, 1, c->options->cleanup_ms - 100);
		rc = connection_step(c, s);
		connection_done(s);
		if (rc != SQLITE_DONE)
			return rc;
		if (sqlite3_changes64(c->db) == 0) {
			r->number = -1;
			return SQLITE_OK;
		}
	}
	s = connection_statement(c, STATEMENT_CLEAN, &rc);
	if (s == NULL)
		return rc;
	sqlite3_bind_int64(s, 1, PIECE);
	rc = connection_step(c, s);
	connection_done(s);
	r->number = sqlite3_changes64(c->db);
	return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

static int stopping(struct store *s)
{
	int stop;

	pthread_mutex_lock(&s->queue_lock);
	stop = s->stopping;
	pthread_mutex_unlock(&s->queue_lock);
	return stop;
}

static void sweep(struct store *s)
{
	struct request r = { .apply = apply_sweep, .many = 1 };
	int64_t removed = 0, claim = 1;

	do {
		r.number = claim;
		if (queue_submit(s, &r) == DAVIT_PENDING)
			queue_await(s, &r);
		if (r.fault.status != DAVIT_OK) {
			davit_log(s->instance, DAVIT_LOG_ERROR, "Error removing expired data: %s", r.fault.text);
			return;
		}
		claim = 0;
		removed += r.number > 0 ? r.number : 0;
	} while (r.number == PIECE && !stopping(s));
	if (r.number >= 0)
		davit_log(s->instance, DAVIT_LOG_DEBUG, "Removed %lld expired rows", (long long)removed);
}

static void *run(void *arg)
{
	struct store *s = arg;
	struct timespec when;
	int64_t ns;

	for (;;) {
		clock_gettime(CLOCK_MONOTONIC, &when);
		ns = when.tv_nsec + s->options.cleanup_ms % 1000 * 1000000;
		when.tv_sec += s->options.cleanup_ms / 1000 + ns / 1000000000;
		when.tv_nsec = ns % 1000000000;
		pthread_mutex_lock(&s->queue_lock);
		while (!s->stopping && pthread_cond_timedwait(&s->queue_changed, &s->queue_lock, &when) == 0)
			;
		if (s->stopping) {
			pthread_mutex_unlock(&s->queue_lock);
			return NULL;
		}
		pthread_mutex_unlock(&s->queue_lock);
		sweep(s);
	}
}

int sweep_start(struct store *s)
{
	sigset_t all, before;

	if (s->options.cleanup_ms <= 0 || s->options.file.read_only)
		return 0;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before); /* signals are the kernel's */
	s->sweeping = pthread_create(&s->sweeper, NULL, run, s) == 0;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return s->sweeping ? 0 : -1;
}

void sweep_stop(struct store *s)
{
	if (!s->sweeping)
		return;
	pthread_mutex_lock(&s->queue_lock);
	s->stopping = 1;
	pthread_cond_broadcast(&s->queue_changed);
	pthread_mutex_unlock(&s->queue_lock);
	pthread_join(s->sweeper, NULL);
	s->sweeping = 0;
}
