/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one member of the consumer group that a component is, with all of its subscriptions. It has a thread: only that one
 * talks to librdkafka's consumer and emits.
 *
 *	partition's queue -> window (what is out, in order) -> emit ... settle -> all before it done? -> offset stored -> commit
 *
 * A partition's queue is read only as far as there is credit, so that one that stands still fills its queue, whose fetching
 * then ends. What is settled RETRY stays in the window and is emitted again, from there on, after a pause; nothing is
 * fetched twice, and no offset is stored beyond what is not done.
 */
#ifndef CONSUMER_H
#define CONSUMER_H
#include <pthread.h>

#include "record.h"
#include "report.h"

struct consumer;

struct subscription {
	struct subscription *next; /* the consumer's list */
	struct consumer *consumer;
	struct davit_call *call;
	uint64_t refs; /* under the lock: the list's, the operation's, one a record that is out */
	char *topic;
	uint64_t out;	 /* records that are */
	int bulk;	 /* the application takes several at once, so each RETRY is one that was tried */
	int standing;	 /* the group has given out the topic's partitions */
	int was_missing; /* there was no such topic: then its first message is the first to be given */
	int exists;
	int ended;  /* cancelled: nothing more is emitted */
	int failed; /* cannot be subscribed to: status and why are to be told */
	davit_status status;
	char why[256];
};

struct partition {
	struct partition *next;
	char *topic;
	int32_t number;
	rd_kafka_queue_t *queue;
	struct record *first, **last; /* the window */
	struct subscription *taker;   /* whom it goes to; looked up when nothing is out */
	uint64_t waiting, out;	      /* of the window */
	int64_t store;		      /* the next offset to be read, where it is not stored yet; else -1 */
	int64_t due_ns, since_ns;     /* when the first is given again; when it first failed */
	unsigned tries;
	int rewound; /* nothing more goes out until all that is out has come back, and the time has come */
	int revoked;
	int64_t next_read; /* the offset behind what was read last; 0: nothing was */
	int64_t still_ns;  /* since when nothing can go out; 0: it can */
	int paused;	   /* librdkafka holds nothing for it */
};

struct consumer {
	struct report report; /* must be first: librdkafka's opaque */
	struct davit_instance *instance;
	const struct settings *settings;
	rd_kafka_t *rk;
	rd_kafka_queue_t *events; /* what is not a partition's */
	pthread_t thread;
	int wake;   /* an eventfd */
	int kicked; /* atomic: it has been written to, and not read since */

	pthread_mutex_t
		lock; /* for what follows; the kernel's emit and credit are called under it, davit_done is not */
	struct subscription *subscriptions;
	struct partition *partitions;
	rd_kafka_topic_partition_list_t *topics; /* subscribed to now; its thread alone */
	int joined;				 /* the group has given out partitions since they were */
	int changed;				 /* the topics are to be subscribed to anew */
	int paused, closing;
	int64_t look_ns, rejoin_ns; /* when a missing topic is looked for, or the group joined, again; 0: not */
};

/* NULL: ret_why has the reason. */
struct consumer *consumer_open(struct davit_instance *instance, const struct settings *s, char *ret_why, size_t n);
void consumer_close(struct consumer *c); /* blocks: leaves the group with everything committed; frees it */

/* A subscription, with the caller's reference; NULL: no memory. */
struct subscription *consumer_subscribe(struct consumer *c, struct davit_call *call, const struct davit_subscribe *in);
/* Or has ended. joining: there is such a topic, and the group is about to give out its partitions. */
int subscription_stands(struct subscription *s, int *ret_joining);
void subscription_end(void *subscription); /* takes no more; davit_done when all that is out has come back */
void subscription_unref(struct subscription *s);

void consumer_settle(struct consumer *c, const struct davit_settle *in);
void consumer_pause(struct consumer *c, int paused);
void consumer_kick(struct consumer *c); /* its thread looks; any thread, no lock needed */
#endif
