/* SPDX-License-Identifier: Apache-2.0 */
/* A message's way: it arrives, waits behind its predecessor, is shown to the sink, settled, and forgotten. */
#include "base/banned.h"
#include "base/mem.h"
#include "plugin/stream_inside.h"

/* Messages that must not overtake each other. Lives while one of them is held or waits, or one's RETRY is on its way. */
struct order {
	struct str key;	      /* behind the struct */
	struct message *busy; /* the one the sink has, or is to be shown next */
	struct message_queue waiting;
	int failing; /* settled RETRY, and the plugin has not heard of it: what comes now was emitted before it could know */
};

void queue_add(struct message_queue *q, struct message *m)
{
	m->next = NULL;
	m->link = q->end;
	*q->end = m;
	q->end = &m->next;
}

void queue_drop(struct message_queue *q, struct message *m)
{
	*m->link = m->next;
	if (m->next != NULL)
		m->next->link = m->link;
	else
		q->end = m->link;
}

struct message *queue_take(struct message_queue *q)
{
	struct message *m = q->first;

	if (m != NULL)
		queue_drop(q, m);
	return m;
}

static void queue_return(struct message_queue *q, struct message *m)
{
	m->next = q->first;
	m->link = &q->first;
	if (m->next != NULL)
		m->next->link = &m->next;
	else
		q->end = &m->next;
	q->first = m;
}

static struct message *message_of(struct loop_task *t)
{
	return (struct message *)((char *)t - offsetof(struct message, task));
}

static struct order *order_of(struct stream *st, struct str key)
{
	struct order *o = map_get(&st->orders, key);

	if (o != NULL)
		return o;
	o = mem_zalloc(sizeof(*o) + key.n + 1);
	if (o == NULL)
		return NULL;
	if (key.n > 0)
		memcpy(o + 1, key.p, key.n);
	o->key = (struct str){ (char *)(o + 1), key.n };
	o->waiting.end = &o->waiting.first;
	if (map_set(&st->orders, o->key, o, NULL) == 0)
		return o;
	mem_free(o);
	return NULL;
}

static void forget_order(struct stream *st, struct order *o)
{
	if (o->busy != NULL || o->waiting.first != NULL || o->failing > 0)
		return;
	map_remove(&st->orders, o->key);
	mem_free(o);
}

static void show(struct message *m)
{
	struct stream *st = m->head.stream;

	m->place = MESSAGE_HELD;
	queue_add(&st->held, m);
	st->o.sink->message(st->o.ctx, &m->head);
}

static void show_next(struct loop_task *t)
{
	struct message *m = message_of(t);

	if (m->head.stream->stopping)
		message_settle(m, DAVIT_SETTLE_RETRY);
	else
		show(m);
}

enum line {
	LINE_FIRST,  /* it can be shown */
	LINE_BEHIND, /* it goes its way behind others, or back */
	LINE_SHORT   /* of memory: nothing was done with it */
};

static enum line line_up(struct stream *st, struct message *m)
{
	const struct davit_str *key = (const void *)((const char *)m->head.record + st->o.order_at);
	struct order *o;

	if (!st->o.in_order || st->o.order_at == 0 || key->p == NULL)
		return LINE_FIRST;
	o = order_of(st, (struct str){ key->p, key->n });
	if (o == NULL && st->o.settle == NULL)
		return LINE_SHORT;
	m->order = o;
	if (o == NULL || o->failing > 0) {
		message_settle(m, DAVIT_SETTLE_RETRY);
		return LINE_BEHIND;
	}
	if (o->busy != NULL) {
		m->place = MESSAGE_BEHIND;
		queue_add(&o->waiting, m);
		return LINE_BEHIND;
	}
	o->busy = m;
	return LINE_FIRST;
}

/* In the order of their arrival. */
int messages_resume(struct stream *st)
{
	struct message *m;
	enum line line;

	while ((m = queue_take(&st->postponed)) != NULL) {
		line = line_up(st, m);
		if (line == LINE_SHORT) {
			queue_return(&st->postponed, m);
			return -1;
		}
		if (line == LINE_FIRST)
			show(m);
	}
	return 0;
}

static void postpone(struct stream *st, struct message *m)
{
	queue_add(&st->postponed, m);
	if (st->keeper != NULL)
		fiber_wake(st->keeper);
}

void message_arrived(struct loop_task *t)
{
	struct message *m = message_of(t);
	struct stream *st = m->head.stream;
	enum line line;

	if (!st->stands) {
		st->stands = 1;
		if (st->starter != NULL)
			fiber_wake(st->starter);
	}
	if (st->stopping || st->failing) {
		message_settle(m, DAVIT_SETTLE_RETRY);
		return;
	}
	line = st->postponed.first != NULL ? LINE_SHORT : line_up(st, m);
	if (line == LINE_FIRST)
		show(m);
	else if (line == LINE_SHORT)
		postpone(st, m);
}

/* On its way to the plugin; m may be gone afterwards. */
static void hand_back(struct stream *st, struct message *m, int outcome)
{
	m->place = MESSAGE_SETTLING;
	m->outcome = outcome;
	if (st->o.settle == NULL) {
		message_release(m);
		return;
	}
	queue_add(&st->settling, m);
	if (st->keeper != NULL)
		fiber_wake(st->keeper);
}

/* Where the plugin can give messages again, those behind one that failed go back with it, or order would be lost. */
static void fail_order(struct stream *st, struct order *o)
{
	struct message *m;

	while ((m = queue_take(&o->waiting)) != NULL) {
		o->failing++;
		hand_back(st, m, DAVIT_SETTLE_RETRY);
	}
}

static void next_in_order(struct stream *st, struct order *o)
{
	struct message *m = queue_take(&o->waiting);

	if (m == NULL) {
		forget_order(st, o);
		return;
	}
	o->busy = m;
	m->place = MESSAGE_COMING;
	m->task.run = show_next;
	loop_post(st->loop, &m->task);
}

void message_settle(struct message *m, int outcome)
{
	struct stream *st = m->head.stream;
	struct order *o = m->order;
	int fails = o != NULL && outcome == DAVIT_SETTLE_RETRY && st->o.settle != NULL;
	int was_busy = o != NULL && o->busy == m;

	if (m->place == MESSAGE_HELD)
		queue_drop(&st->held, m);
	if (was_busy)
		o->busy = NULL;
	if (fails)
		o->failing++;
	else
		m->order = NULL;
	hand_back(st, m, outcome);
	if (fails)
		fail_order(st, o);
	else if (was_busy)
		next_in_order(st, o);
}

void message_release(struct message *m)
{
	struct stream *st = m->head.stream;
	struct order *o = m->order;

	if (o != NULL) {
		o->failing--;
		forget_order(st, o);
	}
	arena_unref(m->head.arena);
	stream_give_credit(st, 1);
	if (st->closer != NULL)
		fiber_wake(st->closer);
	arena_unref(st->arena);
}

void messages_give_back(struct stream *st)
{
	const struct map_entry *e;
	struct message *m;
	size_t at = 0;

	while ((m = queue_take(&st->postponed)) != NULL)
		hand_back(st, m, DAVIT_SETTLE_RETRY);
	while ((e = map_next(&st->orders, &at)) != NULL) {
		while ((m = queue_take(&((struct order *)e->value)->waiting)) != NULL) {
			m->order = NULL;
			hand_back(st, m, DAVIT_SETTLE_RETRY);
		}
	}
}

void messages_take(struct stream *st)
{
	struct message *m;
	struct order *o;

	while ((m = queue_take(&st->held)) != NULL) {
		o = m->order;
		m->order = NULL;
		m->taken = 1;
		arena_ref(m->head.arena); /* the owner's, who settles it later to free it */
		if (o != NULL) {
			o->busy = NULL;
			forget_order(st, o);
		}
		hand_back(st, m, DAVIT_SETTLE_RETRY);
	}
}

void stream_settle(struct stream_message *head, int outcome)
{
	struct message *m = (struct message *)head;

	if (m->taken)
		arena_unref(head->arena); /* its stream may be gone */
	else
		message_settle(m, outcome);
}
