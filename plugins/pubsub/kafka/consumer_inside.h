/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the consumer share. */
#ifndef CONSUMER_INSIDE_H
#define CONSUMER_INSIDE_H
#include <time.h>

#include "consumer.h"

#define MS INT64_C(1000000)

static inline int64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * (1000 * MS) + t.tv_nsec;
}

/* partition.c; under the lock. */
struct partition *partition_new(struct consumer *c, const char *topic, int32_t number); /* NULL: no memory; no lock */
void partition_free(struct partition *p); /* what is out is not its any more; nothing of it may be read */
/* Emits what may be. When it has to be looked at again without anything happening, if that is before *deadline_ns. */
void partition_serve(struct consumer *c, struct partition *p, int64_t *deadline_ns);
void partition_settled(struct consumer *c, struct record *r, int outcome);
void partition_take_done(struct partition *p);

/* assignment.c; the consumer's thread. */
void assignment_changed(rd_kafka_t *rk, rd_kafka_resp_err_t what, rd_kafka_topic_partition_list_t *list,
			void *consumer);
void assignment_store(struct consumer *c); /* under the lock: tells librdkafka how far each partition is done */

/* topics.c; the consumer's thread, no lock held. */
void topics_look(struct consumer *c);	   /* which of those wanted are there */
void topics_subscribe(struct consumer *c); /* to those that are */

/* subscription; under the lock. */
void subscription_drop(struct subscription *s);

/* consumer.c */
int consumer_is_closing(struct consumer *c); /* the lock is not held */
#endif
