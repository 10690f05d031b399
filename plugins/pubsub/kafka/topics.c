/* SPDX-License-Identifier: Apache-2.0 */
/* The topics of all subscriptions: those that are there are subscribed to, the others looked for again and again. */
#include <stdlib.h>

#include "consumer_inside.h"

#define LOOK_MS 1000 /* a broker has this long to say what it knows of a topic */
#define SOON_NS (100 * MS)
#define LATER_NS (1000 * MS)

static struct subscription *next_missing(struct consumer *c, uint64_t skip)
{
	struct subscription *s;

	for (s = c->subscriptions; s != NULL; s = s->next)
		if (!s->exists && !s->ended && !s->failed && skip-- == 0)
			return s;
	return NULL;
}

/* Asking makes it, where the brokers make topics by themselves. */
static rd_kafka_resp_err_t ask(struct consumer *c, const char *topic)
{
	rd_kafka_topic_t *rkt = rd_kafka_topic_new(c->rk, topic, NULL);
	const struct rd_kafka_metadata *md = NULL;
	rd_kafka_resp_err_t err;

	if (rkt == NULL)
		return rd_kafka_last_error();
	err = rd_kafka_metadata(c->rk, 0, rkt, &md, LOOK_MS);
	if (err == RD_KAFKA_RESP_ERR_NO_ERROR)
		err = md->topic_cnt == 1 ? md->topics[0].err : RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC;
	if (err == RD_KAFKA_RESP_ERR_NO_ERROR && md->topics[0].partition_cnt == 0)
		err = RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE;
	if (md != NULL)
		rd_kafka_metadata_destroy(md);
	rd_kafka_topic_destroy(rkt);
	return err;
}

/* Under the lock. Returns when to look again; 0: no need. */
static int64_t learn(struct subscription *s, rd_kafka_resp_err_t err)
{
	switch (err) {
	case RD_KAFKA_RESP_ERR_NO_ERROR:
		s->exists = 1;
		s->consumer->changed = 1;
		return 0;
	case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
	case RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC:
	case RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION:
	case RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE:
		if (!s->was_missing && err != RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE) {
			s->was_missing = 1;
			return now_ns() + SOON_NS;
		}
		return now_ns() + (err == RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE ? SOON_NS : LATER_NS);
	case RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION:
	case RD_KAFKA_RESP_ERR__INVALID_ARG:
		s->status = DAVIT_INVALID_ARGUMENT;
		snprintf(s->why, sizeof(s->why), "'%s' is no name that a topic may have", s->topic);
		break;
	case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
		s->status = DAVIT_FAILED_PRECONDITION;
		snprintf(s->why, sizeof(s->why), "the brokers do not let us read topic %s", s->topic);
		break;
	default: return now_ns() + LATER_NS; /* no broker to be had now */
	}
	s->failed = 1;
	return 0;
}

void topics_look(struct consumer *c)
{
	struct subscription *s;
	int64_t again, soonest = 0;
	uint64_t looked = 0;
	rd_kafka_resp_err_t err;
	char *topic;

	pthread_mutex_lock(&c->lock);
	c->look_ns = 0;
	while (!c->closing && (s = next_missing(c, looked)) != NULL) {
		topic = strdup(s->topic);
		s->refs++;
		pthread_mutex_unlock(&c->lock);
		err = topic ? ask(c, topic) : RD_KAFKA_RESP_ERR__CRIT_SYS_RESOURCE;
		free(topic);
		pthread_mutex_lock(&c->lock);
		again = learn(s, err);
		looked += again > 0;
		if (again > 0 && (soonest == 0 || again < soonest))
			soonest = again;
		subscription_drop(s);
	}
	c->look_ns = soonest;
	pthread_mutex_unlock(&c->lock);
}

static rd_kafka_topic_partition_list_t *wanted(const struct consumer *c)
{
	rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(8);
	const struct subscription *s;

	for (s = c->subscriptions; s != NULL; s = s->next)
		if (s->exists && rd_kafka_topic_partition_list_find(list, s->topic, RD_KAFKA_PARTITION_UA) == NULL)
			rd_kafka_topic_partition_list_add(list, s->topic, RD_KAFKA_PARTITION_UA);
	return list;
}

static int same(const rd_kafka_topic_partition_list_t *a, const rd_kafka_topic_partition_list_t *b)
{
	int i;

	if (a == NULL || a->cnt != b->cnt)
		return 0;
	for (i = 0; i < a->cnt; i++)
		if (rd_kafka_topic_partition_list_find((rd_kafka_topic_partition_list_t *)b, a->elems[i].topic,
						       RD_KAFKA_PARTITION_UA) == NULL)
			return 0;
	return 1;
}

/* Under the lock: what the group has given out already holds for those that came to it later. */
static void stand(struct consumer *c)
{
	struct subscription *s;

	for (s = c->subscriptions; s != NULL; s = s->next)
		s->standing |= s->exists;
}

void topics_subscribe(struct consumer *c)
{
	rd_kafka_topic_partition_list_t *list;
	rd_kafka_resp_err_t err = RD_KAFKA_RESP_ERR_NO_ERROR;
	int unchanged;

	pthread_mutex_lock(&c->lock);
	c->changed = 0;
	list = wanted(c);
	unchanged = same(c->topics, list);
	if (unchanged && c->joined)
		stand(c);
	else if (!unchanged)
		c->joined = 0;
	pthread_mutex_unlock(&c->lock);
	if (unchanged) {
		rd_kafka_topic_partition_list_destroy(list);
		return;
	}
	if (list->cnt > 0)
		err = rd_kafka_subscribe(c->rk, list);
	else if (c->topics != NULL && c->topics->cnt > 0)
		err = rd_kafka_unsubscribe(c->rk);
	if (c->topics != NULL)
		rd_kafka_topic_partition_list_destroy(c->topics);
	c->topics = list;
	if (err == RD_KAFKA_RESP_ERR_NO_ERROR)
		return;
	davit_log(c->instance, DAVIT_LOG_ERROR, "subscribing to %d topics: %s", list->cnt, rd_kafka_err2str(err));
	pthread_mutex_lock(&c->lock);
	c->rejoin_ns = now_ns() + LATER_NS;
	pthread_mutex_unlock(&c->lock);
}
