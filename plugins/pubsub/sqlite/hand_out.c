/* SPDX-License-Identifier: Apache-2.0 */
/* Handing out: messages are noted as held in a transaction, and emitted when it is committed. */
#include <stdlib.h>

#include "consumer.h"
#include "pairs.h"
#include "peer.h"

#define MOST 256	   /* messages of one transaction */
#define MOST_BYTES 4194304 /* about; one more message than that */

/* A message on its way out: what the kernel reads until it is settled. */
struct event {
	struct event *next;
	struct consumer *consumer; /* referenced: the topic's text is its own */
	struct held *held;
	struct davit_bytes data;
	struct davit_pair *pairs;
	uint64_t npairs;
};

struct round {
	struct consumer *c;
	int64_t now, wall;
	int64_t most; /* messages there is credit for */
	int64_t n, bytes, gone;
	struct event *first, **last;
	int64_t position, end; /* how far the group has come, and the topic goes */
	int blocked;	       /* one that waits holds up the others */
};

static void release(void *arg)
{
	struct event *e = arg;

	consumer_unref(e->consumer);
	free(e);
}

/* Copied out of the row, columns metadata and data from `column` on. SQLITE_OK or a result code. */
static int event_new(struct round *r, sqlite3_stmt *s, int column, int64_t message, int64_t failures)
{
	struct davit_bytes blob = { sqlite3_column_blob(s, column), (size_t)sqlite3_column_bytes(s, column) };
	struct davit_bytes data = { sqlite3_column_blob(s, column + 1), (size_t)sqlite3_column_bytes(s, column + 1) };
	struct held *h;
	struct event *e;
	uint64_t npairs = 0;
	int64_t size = pairs_size(blob, &npairs);
	char *at;

	if (size < 0)
		return SQLITE_CORRUPT;
	h = calloc(1, sizeof(*h));
	e = h ? malloc(sizeof(*e) + (size_t)size + data.n + 1) : NULL;
	if (e == NULL) {
		free(h);
		return SQLITE_NOMEM;
	}
	h->consumer = consumer_ref(r->c);
	h->group = r->c->group_id;
	h->message = message;
	h->peer = r->c->bus->peer.id;
	h->failures = failures;
	*e = (struct event){ .consumer = consumer_ref(r->c), .held = h, .npairs = npairs };
	e->pairs = (struct davit_pair *)(e + 1);
	pairs_read(blob, e->pairs, npairs);
	at = (char *)e->pairs + size;
	if (data.n > 0)
		memcpy(at, data.p, data.n);
	e->data = (struct davit_bytes){ at, data.n };
	*r->last = e;
	r->last = &e->next;
	r->n++;
	r->bytes += (int64_t)data.n + size;
	return SQLITE_OK;
}

static int is_expired(const struct round *r, sqlite3_stmt *s, int column)
{
	return sqlite3_column_type(s, column) != SQLITE_NULL && sqlite3_column_int64(s, column) <= r->wall;
}

static int has_room(const struct round *r)
{
	return r->n < r->most && r->bytes < MOST_BYTES;
}

/* One that waited. It may be gone: too old, or expired. */
static int take_waiting(struct bus *b, struct round *r, int64_t message, int64_t failures)
{
	int rc, there = 0;
	sqlite3_stmt *s = DATABASE_PREPARE(&b->db, STATEMENT_GET, &rc, message);

	if (s == NULL)
		return rc;
	rc = sqlite3_step(s);
	if (rc == SQLITE_ROW && !is_expired(r, s, 2)) {
		there = 1;
		rc = event_new(r, s, 0, message, failures);
	} else if (rc == SQLITE_ROW || rc == SQLITE_DONE) {
		rc = SQLITE_OK;
	}
	database_done(s);
	if (rc != SQLITE_OK)
		return rc;
	if (there)
		return DATABASE_RUN(&b->db, STATEMENT_HOLD, r->c->group_id, message, b->peer.id);
	r->gone++;
	return DATABASE_RUN(&b->db, STATEMENT_FORGET, r->c->group_id, message);
}

static int take_all_waiting(struct bus *b, struct round *r)
{
	int64_t messages[MOST], failures[MOST];
	int n = 0, i, rc;
	sqlite3_stmt *s;

	s = DATABASE_PREPARE(&b->db, b->options.parallel ? STATEMENT_DUE : STATEMENT_WAITING, &rc, r->c->group_id,
			     r->now, r->most);
	if (s == NULL)
		return rc;
	while ((rc = sqlite3_step(s)) == SQLITE_ROW && n < MOST) {
		if (sqlite3_column_int64(s, 2) > r->now) {
			r->blocked = 1;
			r->c->due_ms = sqlite3_column_int64(s, 2);
			break;
		}
		messages[n] = sqlite3_column_int64(s, 0);
		failures[n++] = sqlite3_column_int64(s, 1);
	}
	database_done(s);
	if (rc != SQLITE_ROW && rc != SQLITE_DONE)
		return rc;
	for (i = 0, rc = SQLITE_OK; i < n && rc == SQLITE_OK && has_room(r); i++)
		rc = take_waiting(b, r, messages[i], failures[i]);
	if (i < n) /* those are first the next time */
		r->blocked = 1;
	return rc;
}

static int take_new(struct bus *b, struct round *r)
{
	int64_t from = r->position, id;
	sqlite3_stmt *s;
	int rc;

	s = DATABASE_PREPARE(&b->db, STATEMENT_NEW, &rc, r->position, r->end);
	if (s == NULL)
		return rc;
	while (has_room(r) && (rc = sqlite3_step(s)) == SQLITE_ROW) {
		id = sqlite3_column_int64(s, 0);
		r->position = id;
		rc = SQLITE_OK;
		if (!is_expired(r, s, 3))
			rc = event_new(r, s, 1, id, 0);
		if (rc == SQLITE_OK && !is_expired(r, s, 3))
			rc = DATABASE_RUN(&b->db, STATEMENT_HOLD_NEW, r->c->group_id, id, b->peer.id);
		if (rc != SQLITE_OK)
			break;
	}
	database_done(s);
	if (rc == SQLITE_DONE) {
		r->position = r->end; /* the last ones may have been too old */
		rc = SQLITE_OK;
	}
	if (rc != SQLITE_OK || r->position == from)
		return rc;
	return DATABASE_RUN(&b->db, STATEMENT_GROUP_MOVE, r->position, r->c->group_id);
}

/* As the group stands. 1: there may be something; 0: there is nothing; -1: ret_rc says why not. */
static int look_at(struct bus *b, struct round *r, int *ret_rc)
{
	sqlite3_stmt *s = DATABASE_PREPARE(&b->db, STATEMENT_LOOK, ret_rc, r->c->group_id);
	int found = -1, waits;

	if (s == NULL)
		return -1;
	*ret_rc = sqlite3_step(s);
	if (*ret_rc == SQLITE_ROW) {
		waits = sqlite3_column_type(s, 2) != SQLITE_NULL;
		r->position = sqlite3_column_int64(s, 1);
		r->c->due_ms = waits && sqlite3_column_int64(s, 2) > r->now ? sqlite3_column_int64(s, 2) : INT64_MAX;
		r->end = sqlite3_column_int64(s, 0);
		found = r->end > r->position || (waits && r->c->due_ms == INT64_MAX);
	}
	database_done(s);
	return found;
}

static int take(struct bus *b, void *arg)
{
	struct round *r = arg;
	int rc = peer_join(b), found;

	if (rc != SQLITE_OK)
		return rc;
	found = look_at(b, r, &rc);
	if (found <= 0)
		return found == 0 ? SQLITE_OK : rc == SQLITE_DONE ? SQLITE_ERROR : rc;
	rc = take_all_waiting(b, r);
	return rc == SQLITE_OK && !r->blocked && has_room(r) ? take_new(b, r) : rc;
}

static void emit(struct round *r)
{
	struct consumer *c = r->c;
	davit_status status = DAVIT_OK;
	struct davit_message m;
	struct event *e;
	struct held *h;

	while ((e = r->first) != NULL) {
		r->first = e->next;
		h = e->held;
		held_add(&c->held, h);
		m = (struct davit_message)DAVIT_INIT(davit_message, .token = (uint64_t)(uintptr_t)h, .topic = c->topic,
						     .data = e->data, .metadata = e->pairs, .nmetadata = e->npairs);
		if (!c->bus->options.parallel)
			m.order = davit_str("");
		if (status == DAVIT_OK)
			status = davit_emit_owned(c->call, &m, release, e);
		else
			release(e);
		if (status != DAVIT_OK)
			held_owe(h, DAVIT_SETTLE_RETRY);
	}
}

static void give_up(struct round *r)
{
	struct event *e;

	while ((e = r->first) != NULL) {
		r->first = e->next;
		consumer_unref(r->c);
		free(e->held);
		release(e);
	}
}

/* The file is not what it was: nothing gets better by trying again. */
static int is_final(int rc)
{
	rc &= 0xff;
	return rc == SQLITE_CORRUPT || rc == SQLITE_NOTADB || rc == SQLITE_READONLY || rc == SQLITE_ERROR;
}

static void failed(struct bus *b, struct consumer *c, int rc)
{
	struct fault f;

	c->due_ms = INT64_MAX;
	if (!is_final(rc)) {
		b->again_ms = now_ms() + 200;
		return;
	}
	fault_sqlite(&f, rc, NULL, b->options.file.shown);
	consumer_lose(c, &f);
}

/* 1: it got something, and there may be more. c may be gone afterwards. */
static int pump(struct bus *b, struct consumer *c)
{
	struct round r = { .c = c, .now = now_ms(), .wall = now_wall_ms(), .most = davit_credit(c->call) };
	int rc, found;

	r.last = &r.first;
	if (r.most > MOST)
		r.most = MOST;
	if (r.most <= 0) { /* on_credit calls again */
		c->due_ms = INT64_MAX;
		return 0;
	}
	found = look_at(b, &r, &rc);
	if (found == 0)
		return 0;
	rc = found < 0 ? (rc == SQLITE_DONE ? SQLITE_ERROR : rc) : bus_write(b, take, &r);
	if (rc != SQLITE_OK) {
		give_up(&r);
		failed(b, c, rc);
		return 0;
	}
	if (r.n > 0)
		c->line = 0;
	emit(&r);
	if (r.n == 0 && r.gone == 0)
		return 0;
	__atomic_store_n(&c->look, 1, __ATOMIC_RELAXED);
	return 1;
}

int consumers_pump(struct bus *b)
{
	struct consumer *c, *next;
	int64_t now;
	int again = 0;

	consumers_settle_owed(b); /* what comes back to the file must not be overtaken */
	if (b->owed != NULL || __atomic_load_n(&b->paused, __ATOMIC_ACQUIRE))
		return 0;
	for (c = b->consumers, now = now_ms(); c != NULL; c = next) {
		next = c->next;
		if (!__atomic_load_n(&c->ready, __ATOMIC_ACQUIRE) || __atomic_load_n(&c->cancelled, __ATOMIC_ACQUIRE))
			continue;
		if (__atomic_exchange_n(&c->look, 0, __ATOMIC_ACQ_REL) || now >= c->due_ms)
			again |= pump(b, c);
	}
	return again;
}
