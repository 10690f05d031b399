/* SPDX-License-Identifier: Apache-2.0 */
/* A partition that is ours: what of it is out, and how far it is done. */
#include <stdlib.h>

#include "consumer_inside.h"

#define TURN 64		     /* records of one partition before the next has its turn */
#define AHEAD 32	     /* that may wait behind the one that the application has, where it takes one at a time */
#define STILL_NS (3000 * MS) /* what is not read for so long need not be held by librdkafka either */
#define FEW 8		     /* then it is read on when so few are out, as it has to be fetched anew */
#define AGAIN_NS (20 * MS)   /* until memory is asked for again */

static void look_by(int64_t *deadline_ns, int64_t at_ns)
{
	if (at_ns < *deadline_ns)
		*deadline_ns = at_ns;
}

static void has_more(rd_kafka_t *rk, void *consumer)
{
	(void)rk;
	consumer_kick(consumer);
}

struct partition *partition_new(struct consumer *c, const char *topic, int32_t number)
{
	struct partition *p = calloc(1, sizeof(*p));

	if (p == NULL)
		return NULL;
	p->last = &p->first;
	p->number = number;
	p->store = -1;
	p->topic = strdup(topic);
	p->queue = p->topic ? rd_kafka_queue_get_partition(c->rk, topic, number) : NULL;
	if (p->queue == NULL) {
		free(p->topic);
		free(p);
		return NULL;
	}
	rd_kafka_queue_forward(p->queue, NULL); /* a queue of its own instead of the one that all share */
	rd_kafka_queue_cb_event_enable(p->queue, has_more, c);
	return p;
}

static struct record *take_first(struct partition *p)
{
	struct record *r = p->first;

	p->first = r->next;
	if (p->first == NULL)
		p->last = &p->first;
	return r;
}

void partition_free(struct partition *p)
{
	struct record *r;

	rd_kafka_queue_cb_event_enable(p->queue, NULL, NULL);
	rd_kafka_queue_destroy(p->queue);
	while (p->first != NULL) {
		r = take_first(p);
		r->partition = NULL;
		record_unref(r);
	}
	free(p->topic);
	free(p);
}

/* Those of a topic share its partitions; there is rarely more than one. */
static struct subscription *find_taker(struct consumer *c, const struct partition *p)
{
	struct subscription *s;
	int n = 0, pass, wanted;

	for (pass = 0; pass < 2; pass++) {
		wanted = n > 0 ? p->number % n : -1;
		n = 0;
		for (s = c->subscriptions; s != NULL; s = s->next) {
			if (s->ended || s->failed || strcmp(s->topic, p->topic) != 0)
				continue;
			if (pass == 1 && n == wanted)
				return s;
			n++;
		}
	}
	return NULL;
}

/* librdkafka gives up what it has fetched, and fetches it anew. Only where something has been read, which it goes on from. */
static void hold(struct consumer *c, struct partition *p, int paused)
{
	rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);

	rd_kafka_topic_partition_list_add(list, p->topic, p->number);
	if (paused)
		rd_kafka_pause_partitions(c->rk, list);
	else
		rd_kafka_resume_partitions(c->rk, list);
	rd_kafka_topic_partition_list_destroy(list);
	p->paused = paused;
}

static void stands_still(struct consumer *c, struct partition *p, int64_t *deadline_ns)
{
	int64_t now = now_ns();

	if (p->paused || p->next_read == 0)
		return;
	if (p->still_ns == 0)
		p->still_ns = now;
	if (now - p->still_ns >= STILL_NS)
		hold(c, p, 1);
	else
		look_by(deadline_ns, p->still_ns + STILL_NS);
}

static void append(struct partition *p, struct record *r)
{
	r->partition = p;
	r->next = NULL;
	r->state = RECORD_WAITING;
	*p->last = r;
	p->last = &r->next;
	p->waiting++;
}

/* From librdkafka into the window. NULL: nothing is there now, or (-1 in *ret_failed) no memory. */
static struct record *read_next(struct consumer *c, struct partition *p, int *ret_failed)
{
	struct record *r = record_new();
	rd_kafka_message_t *m;

	*ret_failed = r == NULL;
	if (r == NULL)
		return NULL;
	while ((m = rd_kafka_consume_queue(p->queue, 0)) != NULL && m->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
		davit_log(c->instance, DAVIT_LOG_WARN, "topic %s, partition %d: %s", p->topic, (int)p->number,
			  rd_kafka_message_errstr(m));
		rd_kafka_message_destroy(m);
	}
	if (m == NULL) {
		record_unref(r);
		return NULL;
	}
	p->next_read = m->offset + 1;
	record_fill(r, m);
	append(p, r);
	return r;
}

static struct record *first_waiting(const struct partition *p)
{
	struct record *r = p->first;

	while (r->state != RECORD_WAITING)
		r = r->next;
	return r;
}

/* 0; -1: it waits on. */
static int emit(struct consumer *c, struct partition *p, struct record *r)
{
	struct subscription *s = p->taker;
	davit_status status;

	if (record_prepare(r, c->settings) < 0)
		return -1;
	record_ref(r); /* the token's */
	record_ref(r); /* the kernel's */
	r->state = RECORD_OUT;
	r->taker = s;
	s->refs++;
	s->out++;
	p->out++;
	p->waiting--;
	status = davit_emit_owned(s->call, &r->out, record_unref, r);
	if (status == DAVIT_OK)
		return 0;
	if (status == DAVIT_CANCELLED)
		s->ended = 1;
	p->waiting++;
	p->out--;
	s->out--;
	r->taker = NULL;
	r->state = RECORD_WAITING;
	subscription_drop(s);
	record_unref(r);
	return -1;
}

/* May anything of it go out now? */
static int may_go(struct consumer *c, struct partition *p, int64_t *deadline_ns)
{
	int64_t now;

	if (p->out == 0)
		p->taker = find_taker(c, p);
	if (p->taker == NULL || p->taker->ended || p->revoked || c->paused)
		return 0;
	if (p->paused && p->out > FEW)
		return 0;
	if (!p->rewound)
		return 1;
	if (p->out > 0)
		return 0;
	now = now_ns();
	if (now < p->due_ns) {
		look_by(deadline_ns, p->due_ns);
		return 0;
	}
	p->rewound = 0;
	return 1;
}

void partition_serve(struct consumer *c, struct partition *p, int64_t *deadline_ns)
{
	struct record *r;
	int n, failed = 0;

	if (!may_go(c, p, deadline_ns)) {
		stands_still(c, p, deadline_ns);
		return;
	}
	for (n = 0; n < TURN; n++) {
		if (!p->taker->bulk && p->out >= AHEAD)
			break;
		if (davit_credit(p->taker->call) <= 0) {
			stands_still(c, p, deadline_ns);
			return;
		}
		if (p->paused)
			hold(c, p, 0);
		p->still_ns = 0;
		r = p->waiting > 0 ? first_waiting(p) : read_next(c, p, &failed);
		if (r == NULL && !failed)
			return;
		if (failed || emit(c, p, r) < 0) {
			look_by(deadline_ns, now_ns() + AGAIN_NS);
			return;
		}
	}
	if (n == TURN)
		look_by(deadline_ns, 0);
	else
		stands_still(c, p, deadline_ns);
}

void partition_take_done(struct partition *p)
{
	struct record *r;

	while (p->first != NULL && p->first->state == RECORD_DONE) {
		r = take_first(p);
		p->store = r->message->offset + 1;
		r->partition = NULL;
		record_unref(r);
	}
}

/* Tried in vain: it will be again, or that has been enough. */
static void failed(struct consumer *c, struct partition *p, struct record *r)
{
	const struct settings *s = c->settings;
	int64_t now = now_ns(), pause = -1;

	if (s->retry_enabled && p->first != r && p->rewound) /* of a bulk whose first decides when */
		return;
	if (p->tries == 0)
		p->since_ns = now;
	p->tries++;
	if (s->retry_enabled)
		pause = retry_pause(&s->retry, p->tries, now - p->since_ns);
	if (pause >= 0) {
		davit_log(c->instance, DAVIT_LOG_DEBUG,
			  "the message at %s/%d/%lld was not taken: it is given again in %lld ms", p->topic,
			  (int)p->number, (long long)r->message->offset, (long long)(pause / MS));
		p->due_ns = now + pause;
		return;
	}
	davit_log(c->instance, DAVIT_LOG_ERROR,
		  "Too many failed attempts at processing Kafka message: %s/%d/%lld: it is left behind", p->topic,
		  (int)p->number, (long long)r->message->offset);
	r->state = RECORD_DONE;
	p->waiting--;
	p->due_ns = 0;
	p->tries = 0;
}

void partition_settled(struct consumer *c, struct record *r, int outcome)
{
	struct partition *p = r->partition;
	/* Where messages go one after another, those that come back behind the first were not tried. */
	int tried = r->taker->bulk || !p->rewound;

	p->out--;
	if (outcome != DAVIT_SETTLE_RETRY) {
		if (p->first == r)
			p->tries = 0;
		r->state = RECORD_DONE;
	} else {
		r->state = RECORD_WAITING;
		p->waiting++;
		if (tried && !r->taker->ended && !c->closing)
			failed(c, p, r);
		p->rewound = 1;
	}
	partition_take_done(p);
}
