/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What librdkafka says by itself, said on: an error once, and again when another one was in between or some time has passed.
 * The opaque of a client is a struct report, or starts with one.
 */
#ifndef REPORT_H
#define REPORT_H
#include <davit/plugin.h>
#include <librdkafka/rdkafka.h>
#include <pthread.h>

struct report {
	struct davit_instance *instance;
	/* Written by report_error, on the one thread that polls the client; read under the lock. */
	pthread_mutex_t lock;
	int64_t said_ns;
	int said;	/* which error */
	int err;	/* the last that tells why nothing goes; 0 when something has gone since (report_works) */
	int all_down;	/* since then no broker could be spoken to */
	char text[256]; /* of err */
};

void report_init(struct report *r, struct davit_instance *instance);
void report_release(struct report *r);
void report_works(struct report *r);
/* The last error and its text, and whether nobody is left to try; 0: none. */
int report_last(struct report *r, int *ret_all_down, char *ret_text, size_t n);

void report_error(rd_kafka_t *rk, int err, const char *reason, void *report);
void report_log(const rd_kafka_t *rk, int level, const char *facility, const char *text);
#endif
