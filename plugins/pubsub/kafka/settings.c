/* SPDX-License-Identifier: Apache-2.0 */
#include "settings.h"

#include <davit/duration.h>
#include <davit/truth.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <strings.h>
#include <unistd.h>

#include "security.h"

#define MS INT64_C(1000000)
#define QUEUED_KBYTES "2048"	/* of a partition that wait for the application: a slow one holds no more */
#define SLICE_MS 30000		/* dialTimeout, readTimeout and writeTimeout where they are not set */
#define METADATA_MS (8 * 60000) /* brokers close idle connections after nine minutes */

struct reader {
	const struct davit_open *in;
	struct davit_call *call;
	struct settings *s;
	davit_status status;
};

static void refuse(struct reader *r, const char *fmt, const char *a, const char *b)
{
	if (r->status != DAVIT_OK)
		return;
	r->status = DAVIT_INVALID_ARGUMENT;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
	davit_fail(r->call, r->status, NULL, fmt, a, b);
#pragma GCC diagnostic pop
}

static int is(struct davit_str s, const char *c)
{
	return s.p != NULL && strcasecmp(s.p, c) == 0;
}

static int given(struct davit_str s)
{
	return s.p != NULL && s.n > 0;
}

static void set(struct reader *r, rd_kafka_conf_t *conf, const char *name, const char *value)
{
	char why[256];

	if (r->status == DAVIT_OK && rd_kafka_conf_set(conf, name, value, why, sizeof(why)) != RD_KAFKA_CONF_OK)
		refuse(r, "kafka error: %s: %s", name, why);
}

static void set_both(struct reader *r, const char *name, const char *value)
{
	set(r, r->s->producer, name, value);
	set(r, r->s->consumer, name, value);
}

static void set_number(struct reader *r, rd_kafka_conf_t *conf, const char *name, int64_t value)
{
	char text[32];

	snprintf(text, sizeof(text), "%lld", (long long)value);
	set(r, conf, name, text);
}

/* In milliseconds, within bounds; a value outside of them is taken to the nearer one. */
static int64_t span(struct reader *r, const char *name, int64_t fallback, int64_t least, int64_t most)
{
	struct davit_str s = davit_prop(r->in, name);
	int64_t ns, ms;

	if (!given(s))
		return fallback;
	if (davit_duration_parse(s, &ns) < 0) {
		refuse(r, "kafka error: invalid value for '%s' attribute: '%s' is no duration", name, s.p);
		return fallback;
	}
	ms = ns / MS;
	if (ns <= 0)
		return fallback;
	return ms < least ? least : ms > most ? most : ms;
}

static int64_t number(struct reader *r, const char *name, int64_t fallback, int64_t least, int64_t most)
{
	struct davit_str s = davit_prop(r->in, name);
	char *end;
	long long n;

	if (!given(s))
		return fallback;
	errno = 0;
	n = strtoll(s.p, &end, 10);
	if (*end != '\0' || errno != 0 || n < least || n > most) {
		refuse(r, "kafka error: invalid value for '%s' attribute: '%s'", name, s.p);
		return fallback;
	}
	return n;
}

static void read_brokers(struct reader *r)
{
	struct davit_str group = davit_prop(r->in, "consumerGroup"), brokers = davit_prop(r->in, "brokers");
	struct davit_str id = davit_prop(r->in, "clientID");

	if (!given(brokers))
		refuse(r, "%s%s", "kafka error: missing 'brokers' attribute", "");
	else
		set_both(r, "bootstrap.servers", brokers.p);
	if (given(id))
		set_both(r, "client.id", id.p);
	if (!given(group))
		group = davit_prop(r->in, "consumerID");
	if (!given(group))
		group = r->in->app_id;
	set(r, r->s->consumer, "group.id", group.p);
}

/* "0.10.2.0", "2.0.0": three numbers, or four where the first is 0. -1: neither. */
static int version_of(struct davit_str s, int part[4])
{
	int n = 0, end = 0, wanted;

	memset(part, 0, 4 * sizeof(*part));
	wanted = s.p[0] == '0' ? 4 : 3;
	if (wanted == 4)
		n = sscanf(s.p, "%2d.%3d.%3d.%3d%n", &part[0], &part[1], &part[2], &part[3], &end);
	else
		n = sscanf(s.p, "%2d.%3d.%3d%n", &part[0], &part[1], &part[2], &end);
	return n == wanted && (size_t)end == s.n ? 0 : -1;
}

/* Brokers say themselves what they understand; an old version only keeps us from asking for what it did not have. */
static void read_version(struct reader *r)
{
	struct davit_str s = davit_prop(r->in, "version");
	int part[4];

	if (!given(s))
		return;
	if (version_of(s, part) < 0)
		refuse(r, "%s%s", "kafka error: invalid kafka version", "");
	else if (part[0] == 0 && part[1] < 11)
		r->s->idempotent = 0;
}

static void read_network(struct reader *r)
{
	int64_t answer = span(r, "readTimeout", SLICE_MS, 10, 300000);
	int64_t dial = span(r, "dialTimeout", SLICE_MS, 1000, INT_MAX);
	int64_t refresh = span(r, "clientConnectionTopicMetadataRefreshInterval", METADATA_MS, 1000, 3600000);
	rd_kafka_conf_t *both[] = { r->s->producer, r->s->consumer };
	size_t i;

	span(r, "writeTimeout", SLICE_MS, 1, INT_MAX); /* covered by the one before: an answer that does not come */
	for (i = 0; i < 2; i++) {
		set_number(r, both[i], "socket.timeout.ms", answer);
		set_number(r, both[i], "socket.connection.setup.timeout.ms", dial);
		set_number(r, both[i], "topic.metadata.refresh.interval.ms", refresh);
		if (span(r, "clientConnectionKeepAliveInterval", 0, 1, INT_MAX) > 0)
			set(r, both[i], "socket.keepalive.enable", "true");
		set(r, both[i], "socket.nagle.disable", "true");
		set(r, both[i], "log.connection.close", "false");
		set(r, both[i], "reconnect.backoff.max.ms", "2000");
	}
	r->s->open_ms = (int)span(r, "metadataTimeout", dial, 1, INT_MAX);
	r->s->message_ms = answer;
}

static void read_acks(struct reader *r)
{
	struct davit_str acks = davit_prop(r->in, "producerRequiredAcks");
	int64_t retries = number(r, "producerRetryMax", -1, 0, INT_MAX);

	r->s->acknowledged = 1;
	if (!given(acks) || is(acks, "all")) {
		set(r, r->s->producer, "acks", "all");
	} else if (is(acks, "local")) {
		set(r, r->s->producer, "acks", "1");
		r->s->idempotent = 0;
	} else if (is(acks, "none")) {
		set(r, r->s->producer, "acks", "0");
		r->s->idempotent = r->s->acknowledged = 0;
		davit_log(
			r->in->instance, DAVIT_LOG_WARN,
			"producerRequiredAcks is 'none': what a broker fails to write is lost, and nobody hears of it");
	} else {
		refuse(r,
		       "kafka error: invalid value for 'producerRequiredAcks': \"%s\" (must be \"all\", \"local\", or "
		       "\"none\")%s",
		       acks.p, "");
	}
	/* Not set: as often as the message's time allows. */
	if (retries >= 0)
		set_number(r, r->s->producer, "retries", retries);
	if (retries == 0)
		r->s->idempotent = 0;
}

static void read_compression(struct reader *r)
{
	struct davit_str s = davit_prop(r->in, "compression");
	char why[256];

	if (given(s) &&
	    rd_kafka_conf_set(r->s->producer, "compression.codec", s.p, why, sizeof(why)) != RD_KAFKA_CONF_OK)
		refuse(r, "kafka error: invalid compression: %s%s", s.p, "");
}

static void read_producer(struct reader *r)
{
	r->s->max_message_bytes = (int)number(r, "maxMessageBytes", 0, INT_MIN, 1000000000);
	if (r->s->max_message_bytes <= 0)
		r->s->max_message_bytes = 1 << 20;
	set_number(r, r->s->producer, "message.max.bytes",
		   r->s->max_message_bytes < 1000 ? 1000 : r->s->max_message_bytes);
	set_number(r, r->s->producer, "message.timeout.ms", r->s->message_ms);
	/* As Kafka's own producer lingers since 4.0, if less. At 0 messages go alone until five requests are under way, and
	 * librdkafka's thread then asks without a pause whether the next may go: it took half of the process's time. */
	set(r, r->s->producer, "linger.ms", "2");
	set(r, r->s->producer, "partitioner", "fnv1a_random"); /* a key's partition is the same as Dapr's */
	read_acks(r);
	read_compression(r);
}

static void read_strategy(struct reader *r)
{
	struct davit_str s = davit_prop(r->in, "consumerGroupRebalanceStrategy");

	if (is(s, "roundrobin")) {
		set(r, r->s->consumer, "partition.assignment.strategy", "roundrobin");
		return;
	}
	/* librdkafka's one sticky strategy is the cooperative one, which does not go together with others' in a group. */
	if (is(s, "sticky"))
		davit_log(r->in->instance, DAVIT_LOG_WARN,
			  "consumerGroupRebalanceStrategy 'sticky' is not offered: 'range' is used");
	else if (given(s) && !is(s, "range"))
		davit_log(r->in->instance, DAVIT_LOG_WARN,
			  "Invalid consumer group rebalance strategy: %s. Using default strategy: 'range'", s.p);
	set(r, r->s->consumer, "partition.assignment.strategy", "range");
}

/* A whole number is milliseconds, in this field alone. */
static int64_t rejoin_ms(struct reader *r)
{
	struct davit_str s = davit_prop(r->in, "consumeRetryInterval");
	char *end;
	long long n;

	if (!given(s))
		return 100;
	errno = 0;
	n = strtoll(s.p, &end, 10);
	if (*end != '\0')
		return span(r, "consumeRetryInterval", 100, 1, INT_MAX);
	if (errno != 0 || n < 0 || n > UINT32_MAX)
		refuse(r, "kafka error: invalid value for '%s' attribute: '%s'", "consumeRetryInterval", s.p);
	return n > 0 ? n : 1;
}

static void read_consumer(struct reader *r)
{
	struct davit_str first = davit_prop(r->in, "initialOffset"), enabled = davit_prop(r->in, "consumeRetryEnabled");
	int64_t session = span(r, "sessionTimeout", 10000, 1, 3600000);
	rd_kafka_conf_t *c = r->s->consumer;

	r->s->oldest = is(first, "oldest");
	if (given(first) && !r->s->oldest && !is(first, "newest"))
		refuse(r, "kafka error: invalid initialOffset: %s%s", first.p, "");
	r->s->retry_enabled = !given(enabled) || davit_truth(enabled);
	r->s->escape_headers = davit_truth(davit_prop(r->in, "escapeHeaders"));
	r->s->rejoin_ms = rejoin_ms(r);
	set_number(r, c, "session.timeout.ms", session);
	set_number(r, c, "heartbeat.interval.ms", span(r, "heartbeatInterval", 3000, 1, 3600000));
	set_number(r, c, "max.poll.interval.ms", session > 300000 ? session : 300000);
	set_number(r, c, "fetch.min.bytes", number(r, "consumerFetchMin", 1, 1, 100000000));
	set_number(r, c, "fetch.message.max.bytes", number(r, "consumerFetchDefault", 1 << 20, 1, 1000000000));
	number(r, "channelBufferSize", 256, 0, INT_MAX); /* what waits is bounded by bytes instead */
	set(r, c, "queued.max.messages.kbytes", QUEUED_KBYTES);
	/* Offsets are stored as they are settled. A group's beginning is sought where its partitions are assigned; what is
	 * out of range later was deleted, and what is left of it is given. */
	set(r, c, "enable.auto.offset.store", "false");
	set(r, c, "auto.commit.interval.ms", "1000");
	set(r, c, "auto.offset.reset", "earliest");
	set(r, c, "allow.auto.create.topics", "true");
	set(r, c, "fetch.error.backoff.ms", "50"); /* also until a full queue is looked at again */
	read_strategy(r);
}

static void read_exclude(struct reader *r)
{
	struct davit_str s = davit_prop(r->in, "excludeHeaderMetaRegex");
	const char *why;

	if (!given(s) || r->status != DAVIT_OK)
		return;
	r->s->exclude = pattern_new(s, &why);
	if (r->s->exclude == NULL)
		refuse(r, "kafka error: invalid value for 'excludeHeaderMetaRegex': %s%s", why, "");
}

davit_status settings_read(const struct davit_open *in, struct davit_call *call, struct settings *ret_settings)
{
	struct settings s = {
		.producer = rd_kafka_conf_new(), .consumer = rd_kafka_conf_new(), .file = -1, .idempotent = 1
	};
	struct reader r = { .in = in, .call = call, .s = &s, .status = DAVIT_OK };
	const char *why = NULL;

	read_brokers(&r);
	if (r.status == DAVIT_OK)
		r.status = security_read(in, call, s.producer, s.consumer, &s.file);
	read_version(&r);
	read_network(&r);
	read_producer(&r);
	read_consumer(&r);
	if (retry_read(in, &s.retry, &why) < 0)
		refuse(&r, "kafka error: invalid value for '%s' attribute%s", why, "");
	read_exclude(&r);
	if (r.status == DAVIT_OK)
		*ret_settings = s;
	else
		settings_release(&s);
	return r.status;
}

void settings_release(struct settings *s)
{
	if (s->producer != NULL)
		rd_kafka_conf_destroy(s->producer);
	if (s->consumer != NULL)
		rd_kafka_conf_destroy(s->consumer);
	if (s->file >= 0)
		close(s->file);
	pattern_free(s->exclude);
	s->file = -1;
	s->producer = s->consumer = NULL;
	s->exclude = NULL;
}
