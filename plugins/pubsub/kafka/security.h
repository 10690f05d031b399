/* SPDX-License-Identifier: Apache-2.0 */
/* Who we are to the brokers and whom we believe: authType and what belongs to each. */
#ifndef SECURITY_H
#define SECURITY_H
#include <davit/plugin.h>
#include <librdkafka/rdkafka.h>

/* DAVIT_OK, or what has been davit_fail'ed on the call. No text of a failure holds a value that is sensitive. ret_file: a
 * descriptor that the configurations refer to, to be closed when they are gone; left alone where there is none. */
davit_status security_read(const struct davit_open *in, struct davit_call *call, rd_kafka_conf_t *producer,
			   rd_kafka_conf_t *consumer, int *ret_file);
#endif
