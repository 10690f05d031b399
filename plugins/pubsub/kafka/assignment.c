/* SPDX-License-Identifier: Apache-2.0 */
/* The group gives partitions and takes them away. */
#include <poll.h>
#include <stdlib.h>

#include "consumer_inside.h"

#define ASK_MS 5000   /* the brokers have this long to tell all offsets */
#define AGAIN_MS 50   /* between two questions */
#define DRAIN_MS 5000 /* what is out has this long to come back before a partition goes to another member */
#define LOOK_MS 20

void assignment_store(struct consumer *c)
{
	rd_kafka_topic_partition_list_t *list = NULL;
	struct partition *p;

	for (p = c->partitions; p != NULL; p = p->next) {
		if (p->store < 0)
			continue;
		if (list == NULL)
			list = rd_kafka_topic_partition_list_new(4);
		rd_kafka_topic_partition_list_add(list, p->topic, p->number)->offset = p->store;
		p->store = -1;
	}
	if (list == NULL)
		return;
	rd_kafka_offsets_store(c->rk, list); /* one that is not ours any more is refused, rightly */
	rd_kafka_topic_partition_list_destroy(list);
}

static int was_missing(struct consumer *c, const char *topic)
{
	struct subscription *s;
	int missing = 0;

	pthread_mutex_lock(&c->lock);
	for (s = c->subscriptions; s != NULL; s = s->next)
		missing |= s->was_missing && strcmp(s->topic, topic) == 0;
	pthread_mutex_unlock(&c->lock);
	return missing;
}

/* A pause before it is asked again. -1: enough of it. */
static int ask_again(struct consumer *c, int64_t until_ns)
{
	if (now_ns() + AGAIN_MS * MS >= until_ns || consumer_is_closing(c))
		return -1;
	poll(NULL, 0, AGAIN_MS);
	return 0;
}

static int left_ms(int64_t until_ns)
{
	int64_t left = (until_ns - now_ns()) / MS;

	return left > 1 ? (int)left : 1;
}

static int find_committed(struct consumer *c, rd_kafka_topic_partition_list_t *list, int64_t until_ns)
{
	int i;

	for (;;) {
		int failed = rd_kafka_committed(c->rk, list, left_ms(until_ns)) != RD_KAFKA_RESP_ERR_NO_ERROR;

		for (i = 0; i < list->cnt; i++)
			failed |= list->elems[i].err != RD_KAFKA_RESP_ERR_NO_ERROR;
		if (!failed)
			return 0;
		if (ask_again(c, until_ns) < 0)
			return -1;
	}
}

/*
 * Where each partition is to be read from: what the group has committed, else the beginning or the end as it is at this
 * moment, which goes into first. Were it left to librdkafka, the end would be sought later, and what is published until
 * then be missed. A partition that was just made is told of before its leader knows that it leads, hence the asking again.
 * -1: the brokers do not tell.
 */
static int find_offsets(struct consumer *c, rd_kafka_topic_partition_list_t *list,
			rd_kafka_topic_partition_list_t *first)
{
	int64_t low, high, until = now_ns() + ASK_MS * MS;
	int i;

	if (list->cnt > 0 && find_committed(c, list, until) < 0)
		return -1;
	for (i = 0; i < list->cnt; i++) {
		rd_kafka_topic_partition_t *at = &list->elems[i];

		if (at->offset >= 0)
			continue;
		while (rd_kafka_query_watermark_offsets(c->rk, at->topic, at->partition, &low, &high, left_ms(until)) !=
		       RD_KAFKA_RESP_ERR_NO_ERROR)
			if (ask_again(c, until) < 0)
				return -1;
		at->offset = c->settings->oldest || was_missing(c, at->topic) ? low : high;
		rd_kafka_topic_partition_list_add(first, at->topic, at->partition)->offset = at->offset;
	}
	return 0;
}

static int make_partitions(struct consumer *c, const rd_kafka_topic_partition_list_t *list,
			   struct partition **ret_first)
{
	struct partition *p, *first = NULL;
	int i;

	for (i = 0; i < list->cnt; i++) {
		p = partition_new(c, list->elems[i].topic, list->elems[i].partition);
		if (p == NULL)
			break;
		p->next = first;
		first = p;
	}
	if (i == list->cnt) {
		*ret_first = first;
		return 0;
	}
	while ((p = first) != NULL) {
		first = p->next;
		partition_free(p);
	}
	return -1;
}

static void begin(struct consumer *c, struct partition *first)
{
	struct subscription *s;
	struct partition **end;

	pthread_mutex_lock(&c->lock);
	for (end = &c->partitions; *end != NULL; end = &(*end)->next)
		;
	*end = first;
	c->joined = 1;
	for (s = c->subscriptions; s != NULL; s = s->next)
		s->standing |= s->exists &&
			       rd_kafka_topic_partition_list_find(c->topics, s->topic, RD_KAFKA_PARTITION_UA) != NULL;
	pthread_mutex_unlock(&c->lock);
}

/* None at all, but given out: by NULL librdkafka would go on waiting for our answer, and we never be in the group again. */
static void give_up(struct consumer *c)
{
	rd_kafka_topic_partition_list_t *none = rd_kafka_topic_partition_list_new(1);

	rd_kafka_assign(c->rk, none);
	rd_kafka_topic_partition_list_destroy(none);
	pthread_mutex_lock(&c->lock);
	c->rejoin_ns = now_ns() + c->settings->rejoin_ms * MS;
	pthread_mutex_unlock(&c->lock);
}

static void assign(struct consumer *c, rd_kafka_topic_partition_list_t *list)
{
	rd_kafka_topic_partition_list_t *first = rd_kafka_topic_partition_list_new(list->cnt + 1);
	struct partition *partitions = NULL;

	if (find_offsets(c, list, first) < 0 || make_partitions(c, list, &partitions) < 0) {
		davit_log(c->instance, DAVIT_LOG_WARN,
			  "where to begin in %d partitions could not be found: the group is joined again", list->cnt);
		give_up(c);
	} else {
		rd_kafka_assign(c->rk, list);
		/* From now on the group is there: what comes while no member is there is not missed either. */
		if (first->cnt > 0)
			rd_kafka_commit(c->rk, first, 1);
		begin(c, partitions);
		davit_log(c->instance, DAVIT_LOG_DEBUG, "%d partitions were assigned", list->cnt);
	}
	rd_kafka_topic_partition_list_destroy(first);
}

static uint64_t out(const struct consumer *c)
{
	const struct partition *p;
	uint64_t n = 0;

	for (p = c->partitions; p != NULL; p = p->next)
		n += p->out;
	return n;
}

/* All of them: in the protocol that we take part in, a group's partitions are given out anew each time. */
static void revoke(struct consumer *c)
{
	int64_t until = now_ns() + DRAIN_MS * MS;
	int lost = rd_kafka_assignment_lost(c->rk);
	struct partition *p;

	pthread_mutex_lock(&c->lock);
	for (p = c->partitions; p != NULL; p = p->next)
		p->revoked = 1;
	while (!lost && out(c) > 0 && now_ns() < until) {
		pthread_mutex_unlock(&c->lock);
		poll(NULL, 0, LOOK_MS);
		pthread_mutex_lock(&c->lock);
	}
	if (!lost)
		assignment_store(c);
	while ((p = c->partitions) != NULL) {
		c->partitions = p->next;
		partition_free(p);
	}
	c->joined = 0;
	pthread_mutex_unlock(&c->lock);
	rd_kafka_assign(c->rk, NULL); /* commits what is stored */
}

void assignment_changed(rd_kafka_t *rk, rd_kafka_resp_err_t what, rd_kafka_topic_partition_list_t *list, void *consumer)
{
	struct consumer *c = consumer;

	(void)rk;
	if (what == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS)
		assign(c, list);
	else
		revoke(c);
}
