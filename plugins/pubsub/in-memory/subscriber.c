/* SPDX-License-Identifier: Apache-2.0 */
#include "subscriber.h"

#include <stdlib.h>

/* One event for one subscriber: waits in the queue, and is then what the message borrows from until it is settled, which may
 * be long after the subscription has ended. All the memory that emitting takes is there before the publisher has his answer. */
struct waiting {
	struct waiting *next;
	uint64_t refs; /* atomic: the queue's, and the kernel's once it is emitted */
	struct event *event;
	struct subscriber *subscriber; /* the topic's; referenced */
};

static void waiting_unref(void *waiting)
{
	struct waiting *w = waiting;

	if (__atomic_fetch_sub(&w->refs, 1, __ATOMIC_ACQ_REL) != 1)
		return;
	event_unref(w->event);
	subscriber_unref(w->subscriber);
	free(w);
}

struct subscriber *subscriber_new(struct bus *bus, struct davit_call *call, struct davit_str topic)
{
	struct subscriber *s = calloc(1, sizeof(*s) + topic.n + 1);

	if (s == NULL)
		return NULL;
	s->bus = bus;
	s->call = call;
	s->refs = 1;
	s->topic = (struct davit_str){ (char *)(s + 1), topic.n };
	if (topic.n > 0)
		memcpy(s + 1, topic.p, topic.n);
	s->last = &s->first;
	pthread_mutex_init(&s->lock, NULL);
	return s;
}

/* Off the queue, all of it. The lock is held. */
static struct waiting *take_queue(struct subscriber *s)
{
	struct waiting *first = s->first;

	s->first = NULL;
	s->last = &s->first;
	s->count = s->bytes = 0;
	return first;
}

static void drop(struct waiting *w)
{
	struct waiting *next;

	for (; w != NULL; w = next) {
		next = w->next;
		waiting_unref(w);
	}
}

/* What waits has references, so nothing does any more. */
void subscriber_unref(struct subscriber *s)
{
	if (__atomic_fetch_sub(&s->refs, 1, __ATOMIC_ACQ_REL) != 1)
		return;
	pthread_mutex_destroy(&s->lock);
	free(s);
}

/* A '*' at the end stands for one character or more, as in Dapr. */
int subscriber_matches(const struct subscriber *s, struct davit_str topic)
{
	struct davit_str t = s->topic;

	if (t.n == topic.n && memcmp(t.p, topic.p, t.n) == 0)
		return 1;
	return t.n > 0 && t.p[t.n - 1] == '*' && topic.n >= t.n && memcmp(t.p, topic.p, t.n - 1) == 0;
}

int subscriber_has_room(struct subscriber *s, uint64_t bytes)
{
	int room;

	pthread_mutex_lock(&s->lock);
	room = s->ended || s->count == 0 || (s->count < QUEUE_MESSAGES && s->bytes + bytes <= QUEUE_BYTES);
	pthread_mutex_unlock(&s->lock);
	return room;
}

int subscriber_add(struct subscriber *s, struct event *e)
{
	struct waiting *w = malloc(sizeof(*w));
	int taken;

	if (w == NULL)
		return -1;
	event_ref(e);
	__atomic_fetch_add(&s->refs, 1, __ATOMIC_RELAXED);
	*w = (struct waiting){ .refs = 1, .event = e, .subscriber = s };
	pthread_mutex_lock(&s->lock);
	taken = !s->ended;
	if (taken) {
		*s->last = w;
		s->last = &w->next;
		s->count++;
		s->bytes += e->size;
	}
	pthread_mutex_unlock(&s->lock);
	if (!taken)
		waiting_unref(w);
	return 0;
}

/* The next to emit, taken off the queue, while there is credit; the lock is held. */
static struct waiting *take(struct subscriber *s)
{
	struct waiting *w = s->ended ? NULL : s->first;

	if (w == NULL)
		return NULL;
	s->first = w->next;
	if (s->first == NULL)
		s->last = &s->first;
	s->count--;
	s->bytes -= w->event->size;
	return w;
}

/* What nobody could hear of (no memory) waits on, at its place. */
static void put_back(struct subscriber *s, struct waiting *w)
{
	w->next = s->first;
	s->first = w;
	if (w->next == NULL)
		s->last = &w->next;
	s->count++;
	s->bytes += w->event->size;
}

static davit_status emit(struct subscriber *s, struct waiting *w)
{
	struct event *e = w->event;
	struct davit_message m = DAVIT_INIT(davit_message, .topic = s->topic, .data = e->data, .order = davit_str(""),
					    .metadata = e->metadata, .nmetadata = e->nmetadata);

	__atomic_fetch_add(&w->refs, 1, __ATOMIC_RELAXED);
	return davit_emit_owned(s->call, &m, waiting_unref, w);
}

/* Emits what there is credit for. The lock is held, but not while the kernel is called. */
static void emit_some(struct subscriber *s)
{
	struct waiting *w;
	int64_t credit;

	for (;;) {
		pthread_mutex_unlock(&s->lock);
		credit = davit_credit(s->call); /* 0: on_credit calls again */
		pthread_mutex_lock(&s->lock);
		w = credit > 0 ? take(s) : NULL;
		if (w == NULL)
			return;
		pthread_mutex_unlock(&s->lock);
		if (emit(s, w) != DAVIT_EXHAUSTED) {
			waiting_unref(w);
			pthread_mutex_lock(&s->lock);
			continue;
		}
		pthread_mutex_lock(&s->lock);
		if (!s->ended) {
			put_back(s, w); /* on_credit calls again */
			return;
		}
		pthread_mutex_unlock(&s->lock);
		waiting_unref(w);
		pthread_mutex_lock(&s->lock);
	}
}

void subscriber_pump(struct subscriber *s)
{
	int finish = 0;

	pthread_mutex_lock(&s->lock);
	s->again = 1;
	if (!s->pumping) {
		s->pumping = 1;
		while (s->again && !s->ended) {
			s->again = 0;
			emit_some(s);
		}
		s->pumping = 0;
		finish = s->ended && !s->finished;
		s->finished |= finish;
	}
	pthread_mutex_unlock(&s->lock);
	if (finish) {
		davit_done(s->call, DAVIT_OK);
		subscriber_unref(s);
	}
}

void subscriber_end(struct subscriber *s)
{
	struct waiting *left;
	int finish;

	pthread_mutex_lock(&s->lock);
	s->ended = 1;
	left = take_queue(s);
	finish = !s->pumping && !s->finished;
	s->finished |= finish;
	pthread_mutex_unlock(&s->lock);
	drop(left); /* has references to s, and the subscription has one yet */
	if (finish) {
		davit_done(s->call, DAVIT_OK);
		subscriber_unref(s);
	}
}
