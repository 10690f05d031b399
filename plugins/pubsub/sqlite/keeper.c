/* SPDX-License-Identifier: Apache-2.0 */
/* The thread that has the file: writes what waits, hands out what there is credit for, and keeps the times. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "consumer.h"
#include "peer.h"

#define BATCH 512	    /* most requests of one transaction */
#define BATCH_BYTES 8388608 /* about what they may write, one more than that */
#define LOOK_MS 5000	    /* without a wake, for those that nobody could wake */
#define AGAIN_MS 200	    /* after a transaction of our own failed */
#define TRIM_MS 1000
#define TRIM_MESSAGES 1000

void bus_wake(struct bus *b)
{
	uint64_t one = 1;

	/* The keeper is told once; it asks only after it has taken that back. */
	if (!__atomic_exchange_n(&b->awake, 1, __ATOMIC_ACQ_REL))
		while (write(b->wake, &one, sizeof(one)) < 0 && errno == EINTR)
			;
}

davit_status bus_submit(struct bus *b, struct request *r)
{
	int full;

	r->next = NULL;
	pthread_mutex_lock(&b->lock);
	full = b->queued >= QUEUE_LIMIT;
	if (!full) {
		*b->last = r;
		b->last = &r->next;
		b->queued++;
		bus_wake(b); /* under the lock: when it is done somebody may close */
	}
	pthread_mutex_unlock(&b->lock);
	if (full)
		return davit_fail(r->call, DAVIT_EXHAUSTED, NULL, "%s: %d requests already wait to be written",
				  b->options.file.shown, QUEUE_LIMIT);
	return DAVIT_PENDING;
}

void bus_touch(struct bus *b, int64_t topic)
{
	int i;

	for (i = 0; i < b->ntouched && i < TOUCHED; i++)
		if (b->touched[i] == topic)
			return;
	if (b->ntouched < TOUCHED)
		b->touched[b->ntouched] = topic;
	if (b->ntouched <= TOUCHED)
		b->ntouched++;
}

/* Who has something to look at now: here, and in other processes. */
static void tell_touched(struct bus *b)
{
	int i;

	if (b->ntouched == 0)
		return;
	for (i = 0; i < b->ntouched && i < TOUCHED; i++)
		consumers_look(b, b->touched[i]);
	if (b->ntouched > TOUCHED)
		consumers_look(b, 0);
	peer_wake_touched(b);
	b->ntouched = 0;
}

/* ---- Requests ---- */

static int apply(struct bus *b, struct request *r)
{
	fault_clear(&r->fault);
	if (r->durable && davit_cancelled(r->call)) {
		fault_set(&r->fault, DAVIT_CANCELLED, NULL, "nobody waits for it any more");
		return SQLITE_OK;
	}
	return r->apply(b, r);
}

/* One transaction for all of the list. SQLITE_OK: each has its own outcome; else nothing of it was written. */
static int write_together(struct bus *b, struct request *list, struct fault *ret_fault)
{
	struct request *r;
	int durable = 0, rc;

	for (r = list; r != NULL; r = r->next)
		durable |= r->durable;
	consumers_try(b);
	rc = database_begin(&b->db, durable);
	for (r = list; r != NULL && rc == SQLITE_OK; r = r->next)
		rc = apply(b, r);
	if (rc == SQLITE_OK)
		rc = database_run(&b->db, STATEMENT_COMMIT, 0, NULL);
	if (rc == SQLITE_OK) {
		tell_touched(b);
		return rc;
	}
	fault_sqlite(ret_fault, rc, b->db.db, b->options.file.shown);
	database_rollback(&b->db);
	b->ntouched = 0;
	return rc;
}

/* On a full disk the log cannot grow; begun anew it has room for what is deleted, and perhaps for more. */
static int write_or_make_room(struct bus *b, struct request *list, struct fault *ret_fault)
{
	int rc = write_together(b, list, ret_fault);

	if ((rc & 0xff) != SQLITE_FULL)
		return rc;
	database_checkpoint(&b->db);
	return write_together(b, list, ret_fault);
}

/* What fails together is tried alone, so that one message too many for the disk does not take the others with it. */
static void write_batch(struct bus *b, struct request *list)
{
	struct request *r, *next;
	struct fault f;
	int rc = write_or_make_room(b, list, &f);

	if (rc == SQLITE_OK)
		return;
	if (list->next == NULL || (rc & 0xff) == SQLITE_BUSY) {
		for (r = list; r != NULL; r = r->next)
			r->fault = f;
		return;
	}
	for (r = list; r != NULL; r = next) {
		next = r->next;
		r->next = NULL;
		if (write_or_make_room(b, r, &f) != SQLITE_OK)
			r->fault = f;
		r->next = next;
	}
}

/* The front of the queue as a list of its own. */
static struct request *take(struct bus *b)
{
	struct request *list, *end;
	uint64_t bytes;
	int n = 1;

	pthread_mutex_lock(&b->lock);
	list = end = b->first;
	if (list != NULL) {
		for (bytes = list->bytes; n < BATCH && end->next != NULL && bytes < BATCH_BYTES; n++) {
			end = end->next;
			bytes += end->bytes;
		}
		b->first = end->next;
		if (b->first == NULL)
			b->last = &b->first;
		end->next = NULL;
		b->queued -= n;
	}
	pthread_mutex_unlock(&b->lock);
	return list;
}

static int do_requests(struct bus *b)
{
	struct request *list = take(b), *next;
	int any = list != NULL;

	if (any)
		write_batch(b, list);
	for (; list != NULL; list = next) {
		next = list->next;
		if (list->finish != NULL)
			list->finish(b, list);
		else
			davit_done(list->call, fault_tell(&list->fault, list->call));
	}
	return any;
}

int bus_write(struct bus *b, int (*fn)(struct bus *b, void *arg), void *arg)
{
	struct fault f;
	int rc = database_begin(&b->db, 0);

	if (rc == SQLITE_OK)
		rc = fn(b, arg);
	if (rc == SQLITE_OK)
		rc = database_run(&b->db, STATEMENT_COMMIT, 0, NULL);
	if (rc == SQLITE_OK) {
		b->failing = 0;
		tell_touched(b);
		return rc;
	}
	fault_sqlite(&f, rc, b->db.db, b->options.file.shown);
	database_rollback(&b->db);
	b->ntouched = 0;
	if (!b->failing)
		davit_log(b->instance, DAVIT_LOG_ERROR, "%s", f.text);
	b->failing = 1;
	b->again_ms = now_ms() + AGAIN_MS;
	return rc;
}

/* ---- Times ---- */

static int beat(struct bus *b, void *arg)
{
	(void)arg;
	return peer_beat(b);
}

static int reap(struct bus *b, void *arg)
{
	(void)arg;
	return peer_reap(b);
}

static void look(struct bus *b, int64_t now)
{
	b->look_ms = b->consumers != NULL ? now + LOOK_MS : INT64_MAX;
	consumers_look(b, 0);
	if (b->consumers != NULL && peer_any_dead(b))
		bus_write(b, reap, NULL);
}

static void keep_times(struct bus *b)
{
	int64_t now = now_ms();

	if (now >= b->again_ms) {
		b->again_ms = INT64_MAX;
		consumers_settle_owed(b);
		consumers_look(b, 0);
	}
	if (b->peer.id != 0 && now >= b->peer.beat_ms && bus_write(b, beat, NULL) != SQLITE_OK)
		b->peer.beat_ms = now + AGAIN_MS;
	if (b->consumers != NULL && (now >= b->look_ms || b->peer.suspect != 0))
		look(b, now);
	if (b->consumers != NULL && b->look_ms == INT64_MAX)
		b->look_ms = now + LOOK_MS;
	if (b->settled >= TRIM_MESSAGES || (b->settled > 0 && now >= b->trim_ms)) {
		sweep_trim(b);
		b->settled = 0;
		b->trim_ms = INT64_MAX;
	} else if (b->settled > 0 && b->trim_ms == INT64_MAX) {
		b->trim_ms = now + TRIM_MS;
	}
	if (b->options.cleanup_ms > 0 && now >= b->sweep_ms) {
		sweep_clean(b);
		b->sweep_ms = now_ms() + b->options.cleanup_ms;
	}
}

static int64_t earlier(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

static int sleep_ms(const struct bus *b)
{
	int64_t until = earlier(earlier(b->again_ms, b->look_ms), consumers_due(b)), now = now_ms();

	if (b->peer.id != 0)
		until = earlier(until, b->peer.beat_ms);
	if (b->settled > 0)
		until = earlier(until, b->trim_ms);
	if (b->options.cleanup_ms > 0)
		until = earlier(until, b->sweep_ms);
	return until <= now ? 0 : until - now > 60000 ? 60000 : (int)(until - now);
}

static void sleep_until_woken(struct bus *b)
{
	struct pollfd fds[2] = { { .fd = b->wake, .events = POLLIN }, { .fd = b->peer.socket, .events = POLLIN } };
	uint64_t n;

	if (poll(fds, 2, __atomic_load_n(&b->awake, __ATOMIC_ACQUIRE) ? 0 : sleep_ms(b)) > 0) {
		if (fds[0].revents != 0 && read(b->wake, &n, sizeof(n)) < 0)
			n = 0; /* another time */
		if (fds[1].revents != 0)
			peer_hear(b);
	}
}

/* ---- Life ---- */

static int is_closing(struct bus *b)
{
	int is;

	pthread_mutex_lock(&b->lock);
	is = b->closing != NULL && b->first == NULL;
	pthread_mutex_unlock(&b->lock);
	return is;
}

static void run(struct bus *b)
{
	int busy;

	while (!is_closing(b)) {
		__atomic_store_n(&b->awake, 0, __ATOMIC_SEQ_CST); /* what comes from now on wakes */
		busy = do_requests(b);
		consumers_end(b);
		keep_times(b);
		busy |= consumers_pump(b);
		if (!busy && !is_closing(b))
			sleep_until_woken(b);
	}
}

static int leave(struct bus *b, void *arg)
{
	(void)arg;
	return peer_leave(b);
}

static void end(struct bus *b)
{
	consumers_settle_owed(b);
	if (b->settled > 0)
		sweep_trim(b);
	if (b->peer.id != 0)
		bus_write(b, leave, NULL);
	consumers_free(b);
	peer_release(b);
	database_close(&b->db);
}

struct beginning {
	struct bus *bus;
	struct davit_call *call;
	void (*free)(struct bus *b);
};

static void *keep(void *arg)
{
	struct beginning from = *(struct beginning *)arg;
	struct davit_call *call = from.call;
	struct bus *b = from.bus;
	davit_status status;
	struct fault f;

	free(arg);
	if (database_open(&b->db, &b->options, &f) < 0) {
		database_close(&b->db);
		status = fault_tell(&f, call);
	} else {
		peer_open_folder(b);
		b->trim_ms = b->look_ms = b->again_ms = INT64_MAX;
		b->sweep_ms = now_ms() + b->options.cleanup_ms;
		status = davit_emit_self(call, b);
		if (status == DAVIT_OK) {
			davit_done(call, DAVIT_OK);
			run(b);
			call = b->closing;
		}
		end(b);
	}
	from.free(b);
	davit_done(call, status);
	return NULL;
}

int keeper_start(struct bus *b, struct davit_call *call, void (*free_bus)(struct bus *b))
{
	struct beginning *from = malloc(sizeof(*from));
	sigset_t all, before;
	pthread_attr_t attr;
	pthread_t thread;
	int rc;

	if (from == NULL)
		return -1;
	*from = (struct beginning){ b, call, free_bus };
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before); /* signals are the kernel's */
	rc = pthread_create(&thread, &attr, keep, from);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attr);
	if (rc == 0)
		return 0;
	free(from);
	return -1;
}
