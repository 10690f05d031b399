/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Group commit. A commit costs a write to the disk that is waited for; a store that paid it for every save would do a few
 * hundred a second. So the worker that finds nobody writing leads: it takes all that is queued, writes it in one
 * transaction and completes the calls, and does so until nothing is left. The other workers only queue, and are free for
 * the next call. A lone save has no one to wait for and no thread to be handed to.
 */
#include "store.h"

#define BATCH 512 /* most requests of one transaction */

static void refuse_all(struct request *list, const struct fault *f)
{
	for (; list != NULL; list = list->next)
		list->fault = *f;
}

/* A request's own statements, undone by itself when it is refused or too much for SQLite. SQLITE_OK unless all is lost. */
static int apply(struct store *s, struct request *r)
{
	struct connection *c = s->writer;
	int rc = SQLITE_OK, undo;

	fault_clear(&r->fault);
	if (r->call != NULL && davit_cancelled(r->call)) {
		fault_set(&r->fault, DAVIT_CANCELLED, NULL, "nobody waits for it any more");
		return SQLITE_OK;
	}
	if (r->many)
		rc = connection_run(c, STATEMENT_SAVE);
	if (rc != SQLITE_OK)
		return rc;
	rc = r->apply(c, r);
	if (rc != SQLITE_OK) {
		if (!connection_survives(c, rc))
			return rc;
		fault_sqlite(&r->fault, rc, c->db, s->options.file.shown);
	}
	if (!r->many)
		return SQLITE_OK;
	undo = r->fault.status != DAVIT_OK;
	rc = undo ? connection_run(c, STATEMENT_SAVE_UNDO) : SQLITE_OK;
	return rc == SQLITE_OK ? connection_run(c, STATEMENT_SAVE_END) : rc;
}

/* One transaction for all of the list. SQLITE_OK: each has its own outcome; else nothing of it was written. */
static int write_together(struct store *s, struct request *list, struct fault *ret_fault)
{
	struct connection *c = s->writer;
	struct request *r;
	int rc = connection_run(c, STATEMENT_BEGIN);

	for (r = list; r != NULL && rc == SQLITE_OK; r = r->next)
		rc = apply(s, r);
	if (rc == SQLITE_OK)
		rc = connection_run(c, STATEMENT_COMMIT);
	if (rc == SQLITE_OK)
		return SQLITE_OK;
	fault_sqlite(ret_fault, rc, c->db, s->options.file.shown);
	if (!sqlite3_get_autocommit(c->db))
		connection_run(c, STATEMENT_ROLLBACK);
	return rc;
}

/*
 * On a full disk the log cannot grow; but what it holds may be in the file already, or find room there: begun anew, it has
 * room for more.
 */
static int write_or_make_room(struct store *s, struct request *list, struct fault *ret_fault)
{
	int rc = write_together(s, list, ret_fault);

	if ((rc & 0xff) != SQLITE_FULL || !s->options.wal)
		return rc;
	connection_exec(s->writer, "PRAGMA wal_checkpoint(RESTART)");
	return write_together(s, list, ret_fault);
}

/* The longest that anybody waits: the others have been answered by the kernel before. */
static int64_t longest(const struct request *list)
{
	int64_t most = 0, ms;

	for (; list != NULL; list = list->next) {
		ms = list->call != NULL ? davit_remaining_ms(list->call) : INT64_MAX;
		if (ms > most)
			most = ms;
	}
	return most;
}

/* What fails together is tried alone, so that one value too many for the disk does not take the others with it. */
static void write_batch(struct store *s, struct request *list)
{
	struct request *r, *next;
	struct fault f;
	int rc;

	connection_limit(s->writer, longest(list));
	rc = write_or_make_room(s, list, &f);
	if (rc == SQLITE_OK)
		return;
	if (list->next == NULL || (rc & 0xff) == SQLITE_BUSY || (rc & 0xff) == SQLITE_LOCKED) {
		refuse_all(list, &f);
		return;
	}
	for (r = list; r != NULL; r = next) {
		next = r->next;
		r->next = NULL;
		connection_limit(s->writer, longest(r));
		if (write_or_make_room(s, r, &f) != SQLITE_OK)
			r->fault = f;
		r->next = next;
	}
}

/* The call's memory, and so the request, may be gone with davit_done(). */
static void finish(struct store *s, struct request *r)
{
	if (r->call != NULL) {
		davit_done(r->call, fault_tell(&r->fault, r->call));
		return;
	}
	pthread_mutex_lock(&s->queue_lock);
	r->finished = 1;
	pthread_cond_broadcast(&s->queue_changed);
	pthread_mutex_unlock(&s->queue_lock);
}

/* With the queue's lock held: its front as a list of its own. */
static struct request *take(struct store *s)
{
	struct request *list = s->first, *end = list;
	int n;

	if (list == NULL)
		return NULL;
	for (n = 1; n < BATCH && end->next != NULL; n++)
		end = end->next;
	s->first = end->next;
	if (s->first == NULL)
		s->last = &s->first;
	end->next = NULL;
	s->queued -= n;
	return list;
}

static void lead(struct store *s)
{
	struct request *list, *next;

	for (;;) {
		pthread_mutex_lock(&s->queue_lock);
		list = take(s);
		if (list == NULL) {
			s->leading = 0;
			pthread_cond_broadcast(&s->queue_changed);
			pthread_mutex_unlock(&s->queue_lock);
			return;
		}
		pthread_mutex_unlock(&s->queue_lock);
		pthread_mutex_lock(&s->turn);
		write_batch(s, list);
		pthread_mutex_unlock(&s->turn);
		for (; list != NULL; list = next) {
			next = list->next;
			finish(s, list);
		}
	}
}

davit_status queue_submit(struct store *s, struct request *r)
{
	int leader;

	r->next = NULL;
	r->finished = 0;
	pthread_mutex_lock(&s->queue_lock);
	if (s->queued >= QUEUE_LIMIT) {
		pthread_mutex_unlock(&s->queue_lock);
		fault_set(&r->fault, DAVIT_EXHAUSTED, NULL, "%s: %d requests already wait to be written",
			  s->options.file.shown, QUEUE_LIMIT);
		r->finished = 1;
		return r->call != NULL ? fault_tell(&r->fault, r->call) : r->fault.status;
	}
	*s->last = r;
	s->last = &r->next;
	s->queued++;
	leader = !s->leading;
	s->leading = 1;
	pthread_mutex_unlock(&s->queue_lock);
	if (leader)
		lead(s);
	return DAVIT_PENDING;
}

void queue_await(struct store *s, struct request *r)
{
	pthread_mutex_lock(&s->queue_lock);
	while (!r->finished)
		pthread_cond_wait(&s->queue_changed, &s->queue_lock);
	pthread_mutex_unlock(&s->queue_lock);
}

void queue_drain(struct store *s)
{
	pthread_mutex_lock(&s->queue_lock);
	while (s->leading || s->first != NULL)
		pthread_cond_wait(&s->queue_changed, &s->queue_lock);
	pthread_mutex_unlock(&s->queue_lock);
}
