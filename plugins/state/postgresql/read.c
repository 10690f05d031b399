/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading. Look-ups of one key gather until a fiber of the store's own has a connection for them, and then all that came
 * meanwhile go along: many answers for one trip to the server. Reading waits for no lock of a row, so nobody is held up by what
 * another asks for. Each has its own answer: after an error the rest of the trip was not carried out and goes again.
 */
#include <stdlib.h>

#include "store.h"

#define TRIP 64 /* most look-ups of one */
#define TRIES 2 /* a connection may have broken before it was used */

struct reading {
	struct reading *next;
	struct davit_str key;
	struct davit_fiber *fiber;
	struct reading **seat; /* on a trip; NULL: not on one */
	int over, tries;
	PGresult *result;	/* the row, or none, or an error */
	struct pg_fault *fault; /* where it is told why there is no result */
};

static void set_out(struct store *s);

/* Not inlined, or the compiler takes the queue for one that keeps it beyond its life. */
__attribute__((noinline)) static void join(struct store *s, struct reading *r)
{
	r->next = NULL;
	*s->end = r;
	s->end = &r->next;
}

static void leave(struct store *s, struct reading *r)
{
	struct reading **at;

	if (r->seat != NULL) {
		*r->seat = NULL;
		return;
	}
	for (at = &s->first; *at != NULL && *at != r; at = &(*at)->next)
		;
	if (*at == NULL)
		return;
	*at = r->next;
	if (s->end == &r->next)
		s->end = at;
}

static struct reading *take_first(struct store *s)
{
	struct reading *r = s->first;

	if (r == NULL)
		return NULL;
	s->first = r->next;
	if (s->first == NULL)
		s->end = &s->first;
	return r;
}

static void finish(struct store *s, struct reading *r)
{
	r->over = 1;
	r->seat = NULL;
	s->fiber->wake(r->fiber);
}

static void fail(struct store *s, struct reading *r, const struct pg_fault *f)
{
	*r->fault = *f;
	finish(s, r);
}

/* To be read again, before those that came later. */
static void put_back(struct store *s, struct reading *r)
{
	r->seat = NULL;
	r->next = s->first;
	if (s->first == NULL)
		s->end = &r->next;
	s->first = r;
}

/* Who has left is not waited for any more, and its result nobody's. */
static void hand_out(struct store *s, struct reading **seats, PGresult **results, size_t n, davit_status status,
		     const struct pg_fault *f)
{
	size_t i;

	for (i = n; i-- > 0;) { /* backwards, so that those that go again keep their order */
		struct reading *r = seats[i];
		struct pg_fault own;

		if (r == NULL) {
			PQclear(results[i]);
			continue;
		}
		if (status == DAVIT_OK && pg_result_ok(results[i])) {
			r->result = results[i];
			finish(s, r);
			continue;
		}
		own = *f;
		if (status == DAVIT_OK && PQresultStatus(results[i]) == PGRES_FATAL_ERROR)
			pg_fault_result(&own, results[i]);
		else if (status == DAVIT_OK)
			own.again = 1, r->tries--; /* not carried out */
		else
			own.again = status == DAVIT_UNAVAILABLE;
		PQclear(results[i]);
		if (own.again && ++r->tries < TRIES)
			put_back(s, r);
		else
			fail(s, r, &own);
	}
}

static davit_status travel(struct store *s, struct pg_connection *c, struct reading **seats, size_t n, int64_t until_ms,
			   PGresult **results, struct pg_fault *f)
{
	struct pg_value key;
	size_t i;

	for (i = 0; i < n; i++) {
		key = pg_text(seats[i]->key);
		if (pg_queue(c, &s->statements[S_GET], &key, 1) < 0)
			return pg_fault_connection(f, c->pg, "");
		if (s->options.mode == PG_SIMPLE && pg_queue_sync(c) < 0)
			return pg_fault_connection(f, c->pg, "");
	}
	return pg_run(c, NULL, until_ms, PG_SYNC, results, n, f);
}

static void trip(struct store *s, struct pg_connection *c)
{
	struct reading *seats[TRIP];
	PGresult *results[TRIP] = { NULL };
	struct pg_fault f = { .status = DAVIT_OK };
	davit_status status;
	size_t n, i;
	int retire = 0;

	for (n = 0; n < TRIP && (seats[n] = take_first(s)) != NULL; n++)
		seats[n]->seat = &seats[n];
	status = travel(s, c, seats, n, pg_now_ms() + s->options.timeout_ms, results, &f);
	for (i = 0; i < n && status == DAVIT_OK; i++)
		if (PQresultStatus(results[i]) == PGRES_FATAL_ERROR) {
			pg_fault_result(&f, results[i]);
			retire |= f.again;
		}
	if (retire)
		c->broken = 1;
	hand_out(s, seats, results, n, status, &f);
}

static void run_trips(void *arg)
{
	struct pg_fault f = { .status = DAVIT_OK };
	struct store *s = arg;
	struct pg_connection *c;
	struct reading *r;

	if (pg_pool_take(s->pool, NULL, pg_now_ms() + s->options.timeout_ms, &c, &f) == DAVIT_OK) {
		s->gathering = 0;
		while (s->first != NULL && !c->broken)
			trip(s, c);
		pg_pool_give(s->pool, c);
	} else {
		s->gathering = 0;
		while ((r = take_first(s)) != NULL)
			fail(s, r, &f);
	}
	set_out(s);
	store_leave(s);
}

/* A fiber for what waits, unless one is on its way to it. */
static void set_out(struct store *s)
{
	struct pg_fault f;
	struct reading *r;

	if (s->first == NULL || s->gathering)
		return;
	s->gathering = 1;
	s->users++;
	if (s->fiber->start(s->instance, run_trips, s) == DAVIT_OK)
		return;
	s->gathering = 0;
	s->users--; /* of at least two: whoever calls is one */
	pg_fault_set(&f, DAVIT_EXHAUSTED, NULL, "no fiber left to read with");
	while ((r = take_first(s)) != NULL)
		fail(s, r, &f);
}

static davit_status await(struct store *s, struct davit_call *call, struct reading *r, struct pg_fault *f)
{
	int64_t until_ms = pg_now_ms() + 2 * s->options.timeout_ms, left; /* for a connection, and for the answer */
	davit_status status = DAVIT_OK;

	while (!r->over && status == DAVIT_OK) {
		left = until_ms - pg_now_ms();
		status = left > 0 ? s->fiber->park(s->instance, call, left) : DAVIT_DEADLINE_EXCEEDED;
	}
	if (r->over)
		return DAVIT_OK;
	leave(s, r);
	return pg_fault_set(f, status, NULL, "the database did not answer in time");
}

davit_status read_get(struct store *s, struct davit_call *call, const struct davit_state_key *in)
{
	struct pg_fault f = { .status = DAVIT_OK };
	struct reading r = { .key = in->key, .fiber = s->fiber->self(s->instance), .fault = &f };
	davit_status status;

	if (in->key.n == 0)
		return davit_fail(call, DAVIT_INVALID_ARGUMENT, NULL, "missing key in get operation");
	join(s, &r);
	set_out(s);
	status = await(s, call, &r, &f);
	if (status == DAVIT_OK && r.result == NULL)
		status = f.status;
	if (status == DAVIT_OK && PQntuples(r.result) > 0)
		status = row_emit(s, call, in->key, &r.result, 0, 1, &f);
	PQclear(r.result);
	return status != DAVIT_OK && f.status == status ? pg_fault_tell(&f, call) : status;
}

/* "{"a","b"}": an array of text. NULL: no memory. */
static char *array_of(const struct davit_state_bulk *in)
{
	size_t room = 3, i, k;
	char *text, *t;

	for (i = 0; i < in->n; i++)
		room += 2 * in->keys[i]->key.n + 3;
	text = t = malloc(room);
	if (text == NULL)
		return NULL;
	*t++ = '{';
	for (i = 0; i < in->n; i++) {
		if (i > 0)
			*t++ = ',';
		*t++ = '"';
		for (k = 0; k < in->keys[i]->key.n; k++) {
			char c = in->keys[i]->key.p[k];

			if (c == '"' || c == '\\')
				*t++ = '\\';
			*t++ = c;
		}
		*t++ = '"';
	}
	*t++ = '}';
	*t = '\0';
	return text;
}

static int by_bytes(const void *a, const void *b)
{
	const struct davit_str *x = a, *y = b;
	int order = memcmp(x->p, y->p, x->n < y->n ? x->n : y->n);

	return order ? order : x->n < y->n ? -1 : x->n > y->n;
}

struct bulk {
	const struct davit_state_bulk *in;
	char *array;
	struct davit_str *sorted;
};

/* How often a key was asked for: a row comes once for all. */
static uint64_t times_asked(const struct bulk *b, struct davit_str key)
{
	uint64_t low = 0, high = b->in->n, n = 0;

	while (low < high) {
		uint64_t middle = low + (high - low) / 2;

		if (by_bytes(&b->sorted[middle], &key) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	while (low + n < b->in->n && by_bytes(&b->sorted[low + n], &key) == 0)
		n++;
	return n;
}

static davit_status emit_one(struct store *s, struct davit_call *call, PGresult **r, int row, struct pg_fault *f)
{
	struct davit_str key = { PQgetvalue(*r, row, COLUMN_KEY), (size_t)PQgetlength(*r, row, COLUMN_KEY) };
	struct davit_state_item trouble = DAVIT_INIT(davit_state_item, .key = key);
	davit_status status = row_emit(s, call, key, r, row, 0, f);

	if (status != DAVIT_DATA_LOSS)
		return status;
	trouble.status = status; /* one key's trouble is that key's */
	trouble.error = davit_str(f->text);
	f->status = DAVIT_OK;
	return davit_emit_state(call, &trouble);
}

static davit_status do_bulk(struct store *s, struct davit_call *call, struct pg_connection *c, int64_t until_ms,
			    void *arg, struct pg_fault *f)
{
	const struct bulk *b = arg;
	struct pg_value keys = pg_word(b->array);
	PGresult *r = NULL;
	davit_status status = pg_do(c, call, until_ms, &s->statements[S_BULK], &keys, 1, &r, f);
	uint64_t times;
	int i, n;

	if (status == DAVIT_UNAVAILABLE && c->broken)
		f->again = 1;
	if (status != DAVIT_OK)
		return status;
	for (i = 0, n = PQntuples(r); i < n && status == DAVIT_OK; i++) {
		struct davit_str key = { PQgetvalue(r, i, COLUMN_KEY), (size_t)PQgetlength(r, i, COLUMN_KEY) };

		times = (uint64_t)n == b->in->n ? 1 : times_asked(b, key);
		for (; times > 0 && status == DAVIT_OK; times--)
			status = emit_one(s, call, &r, i, f);
	}
	PQclear(r);
	return status;
}

davit_status read_bulk(struct store *s, struct davit_call *call, const struct davit_state_bulk *in)
{
	struct bulk b = { .in = in };
	struct pg_fault f = { .status = DAVIT_OK };
	davit_status status;
	uint64_t i;

	if (in->n == 0)
		return DAVIT_OK;
	b.array = array_of(in);
	b.sorted = reallocarray(NULL, in->n, sizeof(*b.sorted));
	if (b.array != NULL && b.sorted != NULL) {
		for (i = 0; i < in->n; i++)
			b.sorted[i] = in->keys[i]->key;
		qsort(b.sorted, in->n, sizeof(*b.sorted), by_bytes);
		status = store_with(s, call, do_bulk, &b, &f);
	} else {
		status = pg_fault_no_memory(&f);
	}
	free(b.array);
	free(b.sorted);
	return status != DAVIT_OK && f.status == status ? pg_fault_tell(&f, call) : status;
}
