/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A message from Kafka on its way through the application, and what Dapr makes of it: its key, place and headers as
 * metadata. References: its partition's while it is in its window, the token's while it is unsettled, one each time the
 * kernel borrows it.
 */
#ifndef RECORD_H
#define RECORD_H
#include <davit/pubsub.h>
#include <librdkafka/rdkafka.h>

#include "settings.h"

struct partition;
struct subscription;

enum record_state {
	RECORD_WAITING, /* to be emitted, for the first time or again */
	RECORD_OUT,	/* emitted, not settled */
	RECORD_DONE	/* settled for good; goes when all before it are too */
};

struct record {
	uint64_t refs; /* atomic */
	rd_kafka_message_t *message;
	struct davit_message out; /* borrows from the record; what emit is given */
	char order[16];		  /* the partition's number: it and the topic say what must not overtake */

	/* Under the consumer's lock. */
	struct record *next;
	struct partition *partition; /* NULL: it is not ours any more */
	struct subscription *taker;  /* while it is out: a reference */
	enum record_state state;
};

struct record *record_new(void); /* empty, one reference; NULL: no memory */
/* Takes the message. Its metadata is made by record_prepare. */
void record_fill(struct record *r, rd_kafka_message_t *message);
int record_prepare(struct record *r, const struct settings *s); /* 0, also the second time; -1: no memory */
void record_ref(struct record *r);
void record_unref(void *record);
#endif
