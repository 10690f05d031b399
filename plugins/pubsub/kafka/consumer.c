/* SPDX-License-Identifier: Apache-2.0 */
#include "consumer.h"

#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "consumer_inside.h"

#define LOOK_NS (500 * MS) /* at the latest it looks by itself */

void consumer_kick(struct consumer *c)
{
	uint64_t one = 1;

	if (!__atomic_exchange_n(&c->kicked, 1, __ATOMIC_SEQ_CST) && write(c->wake, &one, sizeof(one)) < 0)
		return; /* it is full: then it wakes anyway */
}

static void wait_for_kick(struct consumer *c, int64_t deadline_ns)
{
	struct pollfd fd = { .fd = c->wake, .events = POLLIN };
	int64_t left = deadline_ns - now_ns();
	uint64_t n;

	if (left > 0)
		poll(&fd, 1, (int)((left + MS - 1) / MS));
	/* In this order: who kicks between the two need not write, since all there is to do is looked at after this. */
	if (read(c->wake, &n, sizeof(n)) < 0)
		n = 0;
	__atomic_store_n(&c->kicked, 0, __ATOMIC_SEQ_CST);
}

static void has_events(rd_kafka_t *rk, void *consumer)
{
	(void)rk;
	consumer_kick(consumer);
}

/* ---- Subscriptions ---- */

void subscription_drop(struct subscription *s)
{
	if (--s->refs > 0)
		return;
	free(s->topic);
	free(s);
}

void subscription_unref(struct subscription *s)
{
	struct consumer *c = s->consumer;

	pthread_mutex_lock(&c->lock);
	subscription_drop(s);
	pthread_mutex_unlock(&c->lock);
}

struct subscription *consumer_subscribe(struct consumer *c, struct davit_call *call, const struct davit_subscribe *in)
{
	struct subscription *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return NULL;
	s->consumer = c;
	s->call = call;
	s->bulk = in->bulk > 0;
	s->refs = 2; /* the list's, the caller's */
	s->topic = strdup(in->topic.p);
	if (s->topic == NULL) {
		free(s);
		return NULL;
	}
	pthread_mutex_lock(&c->lock);
	s->next = c->subscriptions;
	c->subscriptions = s;
	c->look_ns = 1;
	pthread_mutex_unlock(&c->lock);
	consumer_kick(c);
	return s;
}

int subscription_stands(struct subscription *s, int *ret_joining)
{
	int stands;

	pthread_mutex_lock(&s->consumer->lock);
	stands = s->standing || s->ended || s->failed;
	*ret_joining = s->exists;
	pthread_mutex_unlock(&s->consumer->lock);
	return stands;
}

void subscription_end(void *subscription)
{
	struct subscription *s = subscription;
	struct consumer *c = s->consumer;

	pthread_mutex_lock(&c->lock);
	s->ended = 1;
	pthread_mutex_unlock(&c->lock);
	consumer_kick(c);
}

/* Off the list, those that have come to their end. The lock is held. */
static struct subscription *take_finished(struct consumer *c)
{
	struct subscription **at = &c->subscriptions, *s, *finished = NULL;
	struct partition *p;

	while ((s = *at) != NULL) {
		if (s->out > 0 || !(s->ended || s->failed)) {
			at = &s->next;
			continue;
		}
		*at = s->next;
		s->next = finished;
		finished = s;
		c->changed = 1;
		for (p = c->partitions; p != NULL; p = p->next)
			if (p->taker == s)
				p->taker = NULL;
	}
	return finished;
}

static void finish(struct subscription *s)
{
	struct subscription *next;
	davit_status status;

	for (; s != NULL; s = next) {
		next = s->next;
		status = s->failed && !s->ended ? davit_fail(s->call, s->status, NULL, "%s", s->why) : DAVIT_OK;
		davit_done(s->call, status);
		subscription_unref(s);
	}
}

/* ---- Its thread ---- */

static void note_event(struct consumer *c, const rd_kafka_message_t *m)
{
	const char *topic = m->rkt ? rd_kafka_topic_name(m->rkt) : "";
	struct subscription *s;

	davit_log(c->instance, DAVIT_LOG_WARN, "%s%s%s", topic, topic[0] ? ": " : "", rd_kafka_message_errstr(m));
	if (m->err != RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART)
		return;
	pthread_mutex_lock(&c->lock); /* it was deleted */
	for (s = c->subscriptions; s != NULL; s = s->next)
		if (strcmp(s->topic, topic) == 0)
			s->exists = 0;
	c->changed = 1;
	c->look_ns = now_ns() + 1000 * MS;
	pthread_mutex_unlock(&c->lock);
}

static void poll_events(struct consumer *c)
{
	rd_kafka_message_t *m;

	while ((m = rd_kafka_consumer_poll(c->rk, 0)) != NULL) {
		if (m->err != RD_KAFKA_RESP_ERR_NO_ERROR)
			note_event(c, m);
		rd_kafka_message_destroy(m);
	}
}

/* Of what was left for a time: is it that time? Keeps the deadline before it. */
static int is_due(int64_t at_ns, int64_t *deadline_ns)
{
	if (at_ns == 0)
		return 0;
	if (at_ns <= now_ns())
		return 1;
	if (at_ns < *deadline_ns)
		*deadline_ns = at_ns;
	return 0;
}

/* One turn. Returns until when there is nothing to do unless somebody kicks. */
static int64_t turn(struct consumer *c)
{
	int64_t deadline = now_ns() + LOOK_NS;
	struct subscription *finished;
	struct partition *p;
	int look, subscribe;

	pthread_mutex_lock(&c->lock);
	for (p = c->partitions; p != NULL; p = p->next)
		partition_serve(c, p, &deadline);
	assignment_store(c);
	finished = take_finished(c);
	look = is_due(c->look_ns, &deadline);
	if (is_due(c->rejoin_ns, &deadline)) {
		c->rejoin_ns = 0;
		c->changed = 1;
		if (c->topics != NULL)
			rd_kafka_topic_partition_list_destroy(c->topics);
		c->topics = NULL; /* so that whatever is wanted is news */
	}
	pthread_mutex_unlock(&c->lock);
	finish(finished);
	if (look)
		topics_look(c);
	pthread_mutex_lock(&c->lock);
	subscribe = c->changed && !c->paused; /* at the end one leaves the group once, not topic by topic */
	if (c->look_ns > 0 && c->look_ns < deadline)
		deadline = c->look_ns;
	pthread_mutex_unlock(&c->lock);
	if (subscribe)
		topics_subscribe(c);
	poll_events(c);
	return deadline;
}

int consumer_is_closing(struct consumer *c)
{
	int closing;

	pthread_mutex_lock(&c->lock);
	closing = c->closing;
	pthread_mutex_unlock(&c->lock);
	return closing;
}

static void *run(void *consumer)
{
	struct consumer *c = consumer;

	while (!consumer_is_closing(c))
		wait_for_kick(c, turn(c));
	return NULL;
}

static void destroy(struct consumer *c)
{
	if (c->events != NULL) {
		rd_kafka_queue_cb_event_enable(c->events, NULL, NULL);
		rd_kafka_queue_destroy(c->events);
	}
	if (c->rk != NULL)
		rd_kafka_destroy(c->rk);
	if (c->topics != NULL)
		rd_kafka_topic_partition_list_destroy(c->topics);
	if (c->wake >= 0)
		close(c->wake);
	pthread_mutex_destroy(&c->lock);
	report_release(&c->report);
	free(c);
}

static int start(struct consumer *c)
{
	sigset_t all, before;
	int failed;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	failed = pthread_create(&c->thread, NULL, run, c);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return failed ? -1 : 0;
}

struct consumer *consumer_open(struct davit_instance *instance, const struct settings *s, char *ret_why, size_t n)
{
	struct consumer *c = calloc(1, sizeof(*c));
	rd_kafka_conf_t *conf;

	snprintf(ret_why, n, "no memory left");
	if (c == NULL)
		return NULL;
	report_init(&c->report, instance);
	c->instance = instance;
	c->settings = s;
	pthread_mutex_init(&c->lock, NULL);
	c->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	conf = rd_kafka_conf_dup(s->consumer);
	rd_kafka_conf_set_opaque(conf, c);
	rd_kafka_conf_set_rebalance_cb(conf, assignment_changed);
	rd_kafka_conf_set_error_cb(conf, report_error);
	rd_kafka_conf_set_log_cb(conf, report_log);
	c->rk = c->wake >= 0 ? rd_kafka_new(RD_KAFKA_CONSUMER, conf, ret_why, n) : NULL;
	if (c->rk == NULL) {
		rd_kafka_conf_destroy(conf);
		destroy(c);
		return NULL;
	}
	rd_kafka_poll_set_consumer(c->rk);
	c->events = rd_kafka_queue_get_consumer(c->rk);
	rd_kafka_queue_cb_event_enable(c->events, has_events, c);
	if (start(c) == 0)
		return c;
	destroy(c);
	return NULL;
}

void consumer_close(struct consumer *c)
{
	pthread_mutex_lock(&c->lock);
	c->closing = 1;
	pthread_mutex_unlock(&c->lock);
	consumer_kick(c);
	pthread_join(c->thread, NULL);
	rd_kafka_consumer_close(c->rk);
	destroy(c);
}

/* ---- Settling and pausing ---- */

void consumer_settle(struct consumer *c, const struct davit_settle *in)
{
	uint64_t i;

	pthread_mutex_lock(&c->lock);
	for (i = 0; i < in->ntokens; i++) {
		struct record *r = (struct record *)(uintptr_t)in->tokens[i];
		struct subscription *s = r->taker;

		s->out--;
		if (r->partition != NULL)
			partition_settled(c, r, in->outcome);
		r->taker = NULL;
		subscription_drop(s);
		record_unref(r);
	}
	pthread_mutex_unlock(&c->lock);
	consumer_kick(c);
}

void consumer_pause(struct consumer *c, int paused)
{
	pthread_mutex_lock(&c->lock);
	c->paused = paused;
	pthread_mutex_unlock(&c->lock);
	consumer_kick(c);
}
