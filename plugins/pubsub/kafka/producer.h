/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The client that publishes: librdkafka's producer and a thread that hears from it what became of each message. Where it
 * has come to an end that it does not recover from (a fatal error), another takes its place.
 */
#ifndef PRODUCER_H
#define PRODUCER_H
#include <pthread.h>

#include "report.h"
#include "settings.h"

struct producer {
	struct report report; /* must be first: librdkafka's opaque */
	struct settings *settings;
	pthread_rwlock_t lock; /* for rk: held while it is used, written when it is replaced */
	rd_kafka_t *rk;
	pthread_t thread;
	int stopping; /* atomic */
	int dead;     /* atomic: a fatal error was seen */
};

/* What is told of a message in flight, on the producer's thread. err 0: the broker has it. */
struct delivery {
	void (*done)(struct delivery *d, rd_kafka_resp_err_t err, const char *text);
};

/* Without its thread. NULL: ret_why has the reason. */
struct producer *producer_new(struct davit_instance *instance, struct settings *s, char *ret_why, size_t n);
/* Blocks until a broker has answered. DAVIT_OK, or with ret_why. */
davit_status producer_probe(struct producer *p, int within_ms, char *ret_why, size_t n);
/* A question to the brokers and its answer. Any thread. */
davit_status producer_ping(struct producer *p, int within_ms, char *ret_why, size_t n);
int producer_start(struct producer *p);
/* Waits for what is in flight at most that long, ends the thread and frees it. Every delivery has been told by then. */
void producer_close(struct producer *p, int within_ms);

/* The opaque of what is sent is its struct delivery, and the payload is borrowed until that is told. Else librdkafka's error:
 * then it has taken nothing, headers neither. */
rd_kafka_resp_err_t producer_send(struct producer *p, const rd_kafka_vu_t *what, size_t n);
/* A status and a sentence for a message that did not get there. */
davit_status producer_explain(struct producer *p, rd_kafka_resp_err_t err, const char *topic, char *ret_why, size_t n);
#endif
