/* SPDX-License-Identifier: Apache-2.0 */
/* A subscription's life, and what becomes of what it holds. hand_out.c is how it gets more. */
#include "consumer.h"

#include <davit/sleep.h>
#include <stdlib.h>

#include "peer.h"

#define START_LOOK_MS 1
#define OWED_MS 20 /* until what was owed is tried again */

static struct consumer *of(struct request *r)
{
	return (struct consumer *)((char *)r - offsetof(struct consumer, request));
}

struct consumer *consumer_ref(struct consumer *c)
{
	__atomic_fetch_add(&c->refs, 1, __ATOMIC_RELAXED);
	return c;
}

void consumer_unref(struct consumer *c)
{
	if (__atomic_fetch_sub(&c->refs, 1, __ATOMIC_ACQ_REL) == 1)
		free(c);
}

/* ---- What is held ---- */

void held_add(struct held **list, struct held *h)
{
	h->next = *list;
	h->link = list;
	if (*list != NULL)
		(*list)->link = &h->next;
	*list = h;
}

static void held_drop(struct held *h)
{
	*h->link = h->next;
	if (h->next != NULL)
		h->next->link = h->link;
}

static void held_free(struct held *h)
{
	consumer_unref(h->consumer);
	free(h);
}

void held_owe(struct held *h, int outcome)
{
	struct bus *b = h->consumer->bus;

	h->outcome = outcome;
	held_drop(h);
	held_add(&b->owed, h);
	b->again_ms = now_ms() + OWED_MS;
}

/* After maxDeliveries. */
static int bury(struct bus *b, const struct held *h)
{
	int64_t id, time;
	int rc;

	if (b->options.dead_letter == NULL)
		return SQLITE_OK;
	rc = publish_take_ids(b, davit_str(b->options.dead_letter), 1, &id, &time);
	if (rc == SQLITE_OK)
		rc = DATABASE_RUN(&b->db, STATEMENT_COPY, h->message, id, time);
	if (rc == SQLITE_OK)
		bus_touch(b, TOPIC_OF(id));
	return rc;
}

static int is_dead(const struct bus *b, const struct held *h)
{
	return h->counts && b->options.max_deliveries > 0 && h->failures + 1 >= b->options.max_deliveries;
}

static int settle(struct bus *b, struct held *h)
{
	int rc = SQLITE_OK;

	if (h->outcome == DAVIT_SETTLE_RETRY && !is_dead(b, h)) {
		if (h->due == 0) /* others may want it now */
			bus_touch(b, h->consumer->topic_id);
		return DATABASE_RUN(&b->db, STATEMENT_GIVE_BACK, h->group, h->message, h->peer, h->due, h->counts);
	}
	if (h->outcome == DAVIT_SETTLE_RETRY)
		rc = bury(b, h);
	return rc == SQLITE_OK ? DATABASE_RUN(&b->db, STATEMENT_TAKEN, h->group, h->message, h->peer) : rc;
}

static void settled(struct bus *b, struct held *h)
{
	if (is_dead(b, h))
		davit_log(b->instance, DAVIT_LOG_WARN, "A message of topic %s was not taken in %lld deliveries: %s%s",
			  h->consumer->topic.p, (long long)b->options.max_deliveries,
			  b->options.dead_letter ? "it is now in topic " : "it is dropped",
			  b->options.dead_letter ? b->options.dead_letter : "");
	if (h->outcome == DAVIT_SETTLE_RETRY)
		__atomic_store_n(&h->consumer->look, 1, __ATOMIC_RELAXED);
	else
		b->settled++;
	held_drop(h);
	held_free(h);
}

/* ---- Settling ---- */

static struct held *held_of(uint64_t token)
{
	return (struct held *)(uintptr_t)token;
}

/*
 * One after another, RETRY of the first means that those behind it come back unseen: only its failure counts, and only it
 * waits. What comes back when its subscription ends has not failed either.
 */
static void decide(struct bus *b, const struct davit_settle *in)
{
	int64_t due = now_ms() + b->options.redeliver_ms;
	struct consumer *c;
	struct held *h;
	uint64_t i;
	int in_line;

	for (i = 0; i < in->ntokens; i++) {
		h = held_of(in->tokens[i]);
		c = h->consumer;
		in_line = !b->options.parallel && c->bulk == 0;
		h->outcome = in->outcome;
		h->counts = in->outcome == DAVIT_SETTLE_RETRY && !__atomic_load_n(&c->cancelled, __ATOMIC_ACQUIRE) &&
			    (!in_line || c->trying == 0 || h->message < c->trying);
		h->due = h->counts ? due : 0;
		if (h->counts && in_line)
			c->trying = h->message;
	}
}

void consumers_try(struct bus *b)
{
	struct consumer *c;

	for (c = b->consumers; c != NULL; c = c->next)
		c->trying = c->line;
}

static int apply_settle(struct bus *b, struct request *r)
{
	const struct davit_settle *in = r->in;
	int rc = SQLITE_OK;
	uint64_t i;

	decide(b, in);
	for (i = 0; i < in->ntokens && rc == SQLITE_OK; i++)
		rc = settle(b, held_of(in->tokens[i]));
	return rc;
}

/* What the file did not take is tried again here until it does; the kernel, which would try itself after EXHAUSTED, is told
 * only that it may come again. */
static void finish_settle(struct bus *b, struct request *r)
{
	const struct davit_settle *in = r->in;
	struct held *h;
	uint64_t i;

	for (i = 0; i < in->ntokens; i++) {
		h = held_of(in->tokens[i]);
		h->consumer->line = h->consumer->trying;
		if (r->fault.status == DAVIT_OK)
			settled(b, h);
		else
			held_owe(h, h->outcome);
	}
	if (r->fault.status == DAVIT_EXHAUSTED)
		r->fault.status = DAVIT_UNAVAILABLE;
	davit_done(r->call, fault_tell(&r->fault, r->call));
}

davit_status consumer_settle(void *self, struct davit_call *call, const struct davit_settle *in)
{
	struct request *r = davit_alloc(call, sizeof(*r));

	if (r == NULL)
		return davit_fail(call, DAVIT_EXHAUSTED, NULL, "no memory left");
	memset(r, 0, sizeof(*r));
	r->call = call;
	r->in = in;
	r->apply = apply_settle;
	r->finish = finish_settle;
	return bus_submit(self, r);
}

static int apply_owed(struct bus *b, void *arg)
{
	struct held *h;
	int rc = SQLITE_OK;

	(void)arg;
	for (h = b->owed; h != NULL && rc == SQLITE_OK; h = h->next)
		rc = settle(b, h);
	return rc;
}

void consumers_settle_owed(struct bus *b)
{
	if (b->owed == NULL || bus_write(b, apply_owed, NULL) != SQLITE_OK)
		return;
	while (b->owed != NULL)
		settled(b, b->owed);
}

/* ---- Life ---- */

static int join(struct bus *b, struct consumer *c)
{
	sqlite3_stmt *s;
	int64_t last, time;
	int rc = publish_take_ids(b, c->topic, 0, &last, &time);

	if (rc != SQLITE_OK)
		return rc;
	c->topic_id = TOPIC_OF(last);
	s = DATABASE_PREPARE(&b->db, STATEMENT_GROUP_JOIN, &rc, c->topic_id, 0, TOPIC_FIRST(c->topic_id),
			     now_wall_ms());
	if (s == NULL)
		return rc;
	sqlite3_bind_text(s, 2, b->options.group, -1, SQLITE_STATIC);
	rc = sqlite3_step(s);
	database_done(s);
	if (rc != SQLITE_DONE)
		return rc;
	s = DATABASE_PREPARE(&b->db, STATEMENT_GROUP_GET, &rc, c->topic_id);
	if (s == NULL)
		return rc;
	sqlite3_bind_text(s, 2, b->options.group, -1, SQLITE_STATIC);
	rc = sqlite3_step(s);
	c->group_id = sqlite3_column_int64(s, 0);
	database_done(s);
	return rc == SQLITE_ROW ? SQLITE_OK : rc == SQLITE_DONE ? SQLITE_CORRUPT : rc;
}

/* The dead go first: what they held comes before anything that is new. */
static int apply_subscribe(struct bus *b, struct request *r)
{
	struct consumer *c = of(r);
	int rc = join(b, c);

	if (rc == SQLITE_OK)
		rc = peer_join(b);
	if (rc == SQLITE_OK)
		rc = DATABASE_RUN(&b->db, STATEMENT_CONSUMER_ADD, c->topic_id, b->peer.id);
	return rc == SQLITE_OK ? peer_reap(b) : rc;
}

static void finish_subscribe(struct bus *b, struct request *r)
{
	struct consumer *c = of(r);
	int failed = r->fault.status != DAVIT_OK, was = CONSUMER_STARTING;

	if (!failed) {
		c->next = b->consumers;
		b->consumers = c;
	}
	if (__atomic_compare_exchange_n(&c->state, &was, failed ? CONSUMER_FAILED : CONSUMER_STANDS, 0,
					__ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
		return;
	if (!failed) {
		__atomic_store_n(&c->cancelled, 1, __ATOMIC_RELEASE);
		return;
	}
	davit_done(c->call, fault_tell(&r->fault, c->call));
	consumer_unref(c);
}

static void on_credit(void *arg)
{
	struct consumer *c = arg;

	__atomic_store_n(&c->look, 1, __ATOMIC_RELEASE);
	bus_wake(c->bus);
}

static void on_cancel(void *arg)
{
	struct consumer *c = arg;

	__atomic_store_n(&c->cancelled, 1, __ATOMIC_RELEASE);
	bus_wake(c->bus);
}

static struct consumer *consumer_new(struct bus *b, struct davit_call *call, const struct davit_subscribe *in)
{
	struct consumer *c = calloc(1, sizeof(*c) + in->topic.n + 1);

	if (c == NULL)
		return NULL;
	c->bus = b;
	c->call = call;
	c->refs = 2; /* the keeper's, and the operation's until it returns */
	c->bulk = in->bulk;
	c->due_ms = INT64_MAX;
	c->topic = (struct davit_str){ (char *)(c + 1), in->topic.n };
	if (in->topic.n > 0)
		memcpy(c + 1, in->topic.p, in->topic.n);
	c->request.call = call;
	c->request.apply = apply_subscribe;
	c->request.finish = finish_subscribe;
	return c;
}

/* Until the keeper has had its turn. The state then; CONSUMER_LEFT: nobody waits any more. */
static int wait_for_start(struct consumer *c, const struct davit_sleep_service *sleeper)
{
	int state;

	while ((state = __atomic_load_n(&c->state, __ATOMIC_ACQUIRE)) == CONSUMER_STARTING) {
		if (!davit_cancelled(c->request.call) &&
		    sleeper->sleep(c->bus->instance, NULL, START_LOOK_MS) == DAVIT_OK)
			continue;
		if (__atomic_compare_exchange_n(&c->state, &state, CONSUMER_LEFT, 0, __ATOMIC_ACQ_REL,
						__ATOMIC_ACQUIRE))
			return CONSUMER_LEFT;
	}
	return state;
}

davit_status consumer_subscribe(void *self, struct davit_call *call, const struct davit_subscribe *in)
{
	struct bus *b = self;
	const struct davit_sleep_service *sleeper = davit_sleep_service(b->instance);
	struct consumer *c;
	davit_status status;
	int state;

	if (sleeper == NULL)
		return davit_fail(call, DAVIT_UNIMPLEMENTED, NULL, "this kernel does not offer " DAVIT_SLEEP);
	if (in->topic.n == 0)
		return davit_fail(call, DAVIT_INVALID_ARGUMENT, NULL, "a subscription needs a topic");
	c = consumer_new(b, call, in);
	if (c == NULL)
		return davit_fail(call, DAVIT_EXHAUSTED, NULL, "no memory left");
	status = bus_submit(b, &c->request);
	state = status == DAVIT_PENDING ? wait_for_start(c, sleeper) : CONSUMER_FAILED;
	if (state == CONSUMER_FAILED) {
		status = status == DAVIT_PENDING ? fault_tell(&c->request.fault, call) : status;
		consumer_unref(c);
	} else if (state == CONSUMER_STANDS) {
		davit_on_credit(call, on_credit, c);
		davit_on_cancel(call, on_cancel, c);
		__atomic_store_n(&c->look, 1, __ATOMIC_RELAXED);
		__atomic_store_n(&c->ready, 1, __ATOMIC_RELEASE);
		bus_wake(b);
	}
	consumer_unref(c);
	return status;
}

static int apply_end(struct bus *b, void *arg)
{
	struct consumer *c = arg, *o;

	for (o = b->consumers; o != NULL; o = o->next)
		if (o->topic_id == c->topic_id)
			return SQLITE_OK; /* another one still wants to be woken */
	return DATABASE_RUN(&b->db, STATEMENT_CONSUMER_DROP, c->topic_id, b->peer.id);
}

/* c is off the list. What it has emitted may still be settled. */
static void end(struct bus *b, struct consumer *c, davit_status status)
{
	struct davit_call *call = c->call;

	bus_write(b, apply_end, c);
	c->call = NULL;
	davit_done(call, status);
	consumer_unref(c);
}

void consumers_end(struct bus *b)
{
	struct consumer **at = &b->consumers, *c;

	while ((c = *at) != NULL) {
		if (!__atomic_load_n(&c->cancelled, __ATOMIC_ACQUIRE)) {
			at = &c->next;
			continue;
		}
		*at = c->next;
		end(b, c, DAVIT_OK);
	}
}

void consumer_lose(struct consumer *c, const struct fault *f)
{
	struct bus *b = c->bus;
	struct consumer **at;

	for (at = &b->consumers; *at != c; at = &(*at)->next)
		;
	*at = c->next;
	__atomic_store_n(&c->cancelled, 1, __ATOMIC_RELEASE);
	end(b, c, fault_tell(f, c->call));
}

void consumers_look(struct bus *b, int64_t topic)
{
	struct consumer *c;

	for (c = b->consumers; c != NULL; c = c->next)
		if (topic == 0 || c->topic_id == topic)
			__atomic_store_n(&c->look, 1, __ATOMIC_RELAXED);
}

int64_t consumers_due(const struct bus *b)
{
	const struct consumer *c;
	int64_t due = INT64_MAX;

	for (c = b->consumers; c != NULL && !__atomic_load_n(&b->paused, __ATOMIC_ACQUIRE); c = c->next)
		if (c->due_ms < due)
			due = c->due_ms;
	return due;
}

void consumers_free(struct bus *b)
{
	struct consumer *c;
	struct held *h;

	while ((h = b->owed) != NULL) {
		held_drop(h);
		held_free(h);
	}
	while ((c = b->consumers) != NULL) { /* a kernel that closes before it has cancelled */
		b->consumers = c->next;
		end(b, c, DAVIT_CANCELLED);
	}
}
