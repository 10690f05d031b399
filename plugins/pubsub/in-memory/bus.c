/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pubsub.in-memory: events within this process, for development and tests. Each subscriber gets them in order, one after
 * another; what nobody has subscribed to is gone, and so is what a subscriber refused.
 */
#include <stdlib.h>

#include "subscriber.h"

#define PUMP 64 /* subscribers of one event whose list takes no allocation */

struct bus {
	pthread_mutex_t lock;
	struct subscriber *first;
};

static davit_status no_memory(struct davit_call *call)
{
	return davit_fail(call, DAVIT_EXHAUSTED, NULL, "no memory left");
}

/* All who get it have room, or none gets it. The lock is held. Returns how many. */
static int who_wants(struct bus *b, struct davit_str topic, uint64_t bytes, int *ret_full)
{
	struct subscriber *s;
	int n = 0;

	*ret_full = 0;
	for (s = b->first; s != NULL; s = s->next) {
		if (!subscriber_matches(s, topic))
			continue;
		n++;
		*ret_full |= !subscriber_has_room(s, bytes);
	}
	return n;
}

/* Into every queue; the subscribers, referenced, into list. The lock is held. -1: no memory. */
static int add_all(struct bus *b, struct davit_str topic, struct event *e, struct subscriber **list, int *ret_n)
{
	struct subscriber *s;
	int n = 0, failed = 0;

	for (s = b->first; s != NULL && !failed; s = s->next) {
		if (!subscriber_matches(s, topic))
			continue;
		failed = subscriber_add(s, e) < 0;
		if (failed)
			break;
		__atomic_fetch_add(&s->refs, 1, __ATOMIC_RELAXED);
		list[n++] = s;
	}
	*ret_n = n;
	return failed ? -1 : 0;
}

static davit_status deliver(struct bus *b, struct davit_call *call, struct davit_str topic, struct event *e)
{
	struct subscriber *few[PUMP], **list = few;
	int wanted, full, n = 0, i, failed = 0;

	pthread_mutex_lock(&b->lock);
	wanted = who_wants(b, topic, e->size, &full);
	if (wanted > PUMP && !full)
		list = malloc(sizeof(*list) * (size_t)wanted);
	failed = list == NULL;
	if (!failed && !full)
		failed = add_all(b, topic, e, list, &n) < 0;
	pthread_mutex_unlock(&b->lock);
	for (i = 0; i < n; i++) {
		subscriber_pump(list[i]);
		subscriber_unref(list[i]);
	}
	if (list != few)
		free(list);
	if (failed)
		return no_memory(call);
	if (full)
		return davit_fail(call, DAVIT_EXHAUSTED, NULL,
				  "a subscriber of topic %s does not keep up: %d messages wait for it", topic.p,
				  QUEUE_MESSAGES);
	return DAVIT_OK;
}

static davit_status bus_publish(void *self, struct davit_call *call, const struct davit_publish *in)
{
	struct event *e = event_new(in);
	davit_status status;

	if (e == NULL)
		return no_memory(call);
	status = deliver(self, call, in->topic, e);
	event_unref(e);
	return status;
}

static void on_credit(void *arg)
{
	subscriber_pump(arg);
}

static void on_cancel(void *arg)
{
	struct subscriber *s = arg, **at;
	struct bus *b = s->bus;

	pthread_mutex_lock(&b->lock);
	for (at = &b->first; *at != NULL && *at != s; at = &(*at)->next)
		;
	if (*at == s)
		*at = s->next;
	pthread_mutex_unlock(&b->lock);
	subscriber_end(s);
}

static davit_status bus_subscribe(void *self, struct davit_call *call, const struct davit_subscribe *in)
{
	struct bus *b = self;
	struct subscriber *s = subscriber_new(b, call, in->topic);

	if (s == NULL)
		return no_memory(call);
	davit_on_credit(call, on_credit, s);
	pthread_mutex_lock(&b->lock);
	s->next = b->first;
	b->first = s;
	pthread_mutex_unlock(&b->lock);
	davit_on_cancel(call, on_cancel, s);
	return DAVIT_PENDING;
}

static davit_status bus_open(void *none, struct davit_call *call, const struct davit_open *in)
{
	struct bus *b = calloc(1, sizeof(*b));
	davit_status status;

	(void)none;
	(void)in;
	if (b == NULL)
		return no_memory(call);
	pthread_mutex_init(&b->lock, NULL);
	status = davit_emit_self(call, b);
	if (status != DAVIT_OK)
		free(b);
	return status;
}

static davit_status bus_close(void *self, struct davit_call *call, const void *none)
{
	struct bus *b = self;

	(void)call;
	(void)none;
	pthread_mutex_destroy(&b->lock);
	free(b);
	return DAVIT_OK;
}

static davit_status bus_ping(void *self, struct davit_call *call, const void *none)
{
	(void)self;
	(void)call;
	(void)none;
	return DAVIT_OK;
}

static const struct davit_pubsub_ops bus_ops = DAVIT_INIT(davit_pubsub_ops, .features = DAVIT_PUBSUB_WILDCARDS,
							  .publish = bus_publish, .subscribe = bus_subscribe);

static const struct davit_component bus_component = DAVIT_PUBSUB("pubsub.in-memory", "v1", &bus_ops,
								 .flags = DAVIT_LOOP, .open = bus_open,
								 .close = bus_close, .ping = bus_ping);

DAVIT_PLUGIN(PLUGIN_NAME, PLUGIN_VERSION, "Davit", &bus_component);
