/* SPDX-License-Identifier: Apache-2.0 */
/* What a component's metadata says, checked and turned into librdkafka's configurations. */
#ifndef SETTINGS_H
#define SETTINGS_H
#include <librdkafka/rdkafka.h>

#include "pattern.h"
#include "retry.h"

struct settings {
	rd_kafka_conf_t *producer, *consumer; /* what each client is made from, by a copy */
	int file;			      /* that they refer to; -1: none */
	int oldest;			      /* a group that has read nothing yet begins at the beginning */
	int escape_headers;
	int retry_enabled; /* a message that was not taken is given again */
	int64_t rejoin_ms; /* between two tries to join the group */
	int max_message_bytes;
	int acknowledged; /* producerRequiredAcks is not none */
	int idempotent;
	int open_ms;	    /* how long the brokers may take to answer at the start */
	int64_t message_ms; /* how long a message may take to be acknowledged */
	struct retry retry;
	struct pattern *exclude; /* header names; NULL: none */
};

/* DAVIT_OK, or what has been davit_fail'ed on the call. Its opaque and callbacks are still to be set. */
davit_status settings_read(const struct davit_open *in, struct davit_call *call, struct settings *ret_settings);
void settings_release(struct settings *s);
#endif
