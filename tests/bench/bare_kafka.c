/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bound for messages through Kafka: the client library and nothing else. A producer with 32 messages on their way, each
 * acknowledged by all replicas before the next takes its place; a consumer group of one that stores the offset of each message
 * and commits them once a second.
 *
 *	bare_kafka BROKERS TOPIC SECONDS BYTES	"delivered N in S, C CPU-seconds" on standard output
 */
#include <librdkafka/rdkafka.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define WINDOW 32
#define JOIN_S 60 /* the group has this long to come together */

static atomic_long published, delivered;
static atomic_int over, joined;
static const char *topic;
static char *data;
static size_t size;

static void end(const char *why)
{
	fprintf(stderr, "bare_kafka: %s\n", why);
	exit(1);
}

static double now(clockid_t id)
{
	struct timespec t;

	clock_gettime(id, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void set(rd_kafka_conf_t *conf, const char *name, const char *value)
{
	char why[256];

	if (rd_kafka_conf_set(conf, name, value, why, sizeof(why)) != RD_KAFKA_CONF_OK)
		end(why);
}

static rd_kafka_t *client(rd_kafka_type_t type, rd_kafka_conf_t *conf, const char *brokers)
{
	char why[256];
	rd_kafka_t *rk;

	set(conf, "bootstrap.servers", brokers);
	set(conf, "socket.nagle.disable", "true");
	rk = rd_kafka_new(type, conf, why, sizeof(why));
	if (rk == NULL)
		end(why);
	return rk;
}

static void send_one(rd_kafka_t *rk)
{
	if (rd_kafka_producev(rk, RD_KAFKA_V_TOPIC(topic), RD_KAFKA_V_VALUE(data, size), RD_KAFKA_V_END) != 0)
		end("a message cannot be produced");
}

static void acknowledged(rd_kafka_t *rk, const rd_kafka_message_t *m, void *none)
{
	(void)none;
	if (m->err != RD_KAFKA_RESP_ERR_NO_ERROR)
		end(rd_kafka_err2str(m->err));
	published++;
	if (!over)
		send_one(rk);
}

static void assigned(rd_kafka_t *rk, rd_kafka_resp_err_t what, rd_kafka_topic_partition_list_t *list, void *none)
{
	(void)none;
	rd_kafka_assign(rk, what == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS ? list : NULL);
	joined = what == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS && list->cnt > 0;
}

static void *consume(void *consumer)
{
	rd_kafka_t *rk = consumer;
	rd_kafka_message_t *m;

	while (!over || delivered < published) {
		m = rd_kafka_consumer_poll(rk, 100);
		if (m == NULL)
			continue;
		if (m->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
			rd_kafka_offset_store(m->rkt, m->partition, m->offset);
			delivered++;
		}
		rd_kafka_message_destroy(m);
	}
	return NULL;
}

static rd_kafka_t *join(const char *brokers)
{
	rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	rd_kafka_t *rk;

	set(conf, "group.id", "bare");
	set(conf, "auto.offset.reset", "earliest");
	set(conf, "enable.auto.offset.store", "false");
	set(conf, "auto.commit.interval.ms", "1000");
	rd_kafka_conf_set_rebalance_cb(conf, assigned);
	rk = client(RD_KAFKA_CONSUMER, conf, brokers);
	rd_kafka_poll_set_consumer(rk);
	rd_kafka_topic_partition_list_add(list, topic, RD_KAFKA_PARTITION_UA);
	if (rd_kafka_subscribe(rk, list) != RD_KAFKA_RESP_ERR_NO_ERROR)
		end("the topic cannot be subscribed to");
	rd_kafka_topic_partition_list_destroy(list);
	return rk;
}

static rd_kafka_t *publisher(const char *brokers)
{
	rd_kafka_conf_t *conf = rd_kafka_conf_new();

	set(conf, "linger.ms", "2"); /* as ours; at 0 it does a third of that */
	set(conf, "acks", "all");
	set(conf, "enable.idempotence", "true");
	rd_kafka_conf_set_dr_msg_cb(conf, acknowledged);
	return client(RD_KAFKA_PRODUCER, conf, brokers);
}

int main(int argc, char **argv)
{
	double begin, cpu, until;
	rd_kafka_t *in, *out;
	pthread_t consumer;
	int i;

	if (argc != 5)
		end("usage: bare_kafka BROKERS TOPIC SECONDS BYTES");
	topic = argv[2];
	size = (size_t)strtoul(argv[4], NULL, 10);
	data = malloc(size + 1);
	if (data == NULL)
		end("no memory");
	memset(data, 'x', size);
	in = join(argv[1]);
	out = publisher(argv[1]);
	if (pthread_create(&consumer, NULL, consume, in) != 0)
		end("no thread");
	for (i = 0; i < JOIN_S * 10 && !joined; i++)
		rd_kafka_poll(out, 100);
	begin = now(CLOCK_MONOTONIC);
	cpu = now(CLOCK_PROCESS_CPUTIME_ID);
	until = begin + strtod(argv[3], NULL);
	for (i = 0; i < WINDOW; i++)
		send_one(out);
	while (now(CLOCK_MONOTONIC) < until)
		rd_kafka_poll(out, 10);
	over = 1;
	rd_kafka_flush(out, 10000);
	pthread_join(consumer, NULL);
	printf("delivered %ld in %.3f, %.3f CPU-seconds\n", (long)delivered, now(CLOCK_MONOTONIC) - begin,
	       now(CLOCK_PROCESS_CPUTIME_ID) - cpu);
	rd_kafka_consumer_close(in);
	rd_kafka_destroy(in);
	rd_kafka_destroy(out);
	free(data);
	return 0;
}
