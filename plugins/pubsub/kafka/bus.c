/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pubsub.kafka: topics of Apache Kafka and what speaks its protocol, by librdkafka. Operations run on the loops and never
 * wait there: publishing ends on the producer's thread, subscriptions emit from the consumer's, what has to block (the first
 * contact, closing, a ping) has a thread for its time.
 */
#include <davit/sleep.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <strings.h>

#include "consumer.h"
#include "publish.h"

/* A subscription has so many looks to get its partitions before it is left to itself, and so many where the group is being
 * joined: that waits for members that have died, which takes the time of their session. */
#define STAND_LOOKS 500
#define JOIN_LOOKS 1500
#define LOOK_MS 20
#define CLOSE_MS 4000 /* for what is in flight when the component is closed */
#define PING_MS 5000

struct bus {
	struct davit_instance *instance;
	struct settings settings;
	struct producer *producer;
	pthread_mutex_t lock;	   /* for the consumer's being made */
	struct consumer *consumer; /* NULL: nothing was subscribed to yet */
	uint64_t errands;	   /* atomic: threads that use it */
};

/* An operation that blocks, on a thread of its own. */
struct errand {
	struct bus *bus;
	struct davit_call *call;
};

static davit_status no_memory(struct davit_call *call)
{
	return davit_fail(call, DAVIT_EXHAUSTED, NULL, "no memory left");
}

static void errand_over(struct bus *b)
{
	__atomic_fetch_sub(&b->errands, 1, __ATOMIC_ACQ_REL);
}

static davit_status send_off(void *(*run)(void *errand), struct bus *b, struct davit_call *call)
{
	struct errand *e = davit_alloc(call, sizeof(*e));
	sigset_t all, before;
	pthread_attr_t attr;
	pthread_t thread;
	int failed;

	if (e == NULL)
		return no_memory(call);
	*e = (struct errand){ b, call };
	__atomic_fetch_add(&b->errands, 1, __ATOMIC_ACQ_REL);
	sigfillset(&all);
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	failed = pthread_create(&thread, &attr, run, e);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attr);
	if (!failed)
		return DAVIT_PENDING;
	errand_over(b);
	return davit_fail(call, DAVIT_EXHAUSTED, NULL, "no thread could be made");
}

/* ---- Open and close ---- */

static void bus_free(struct bus *b)
{
	if (b->consumer != NULL)
		consumer_close(b->consumer);
	if (b->producer != NULL)
		producer_close(b->producer, CLOSE_MS);
	settings_release(&b->settings);
	pthread_mutex_destroy(&b->lock);
	free(b);
}

static void *open_it(void *errand)
{
	struct errand e = *(struct errand *)errand;
	int64_t left = davit_remaining_ms(e.call);
	char why[512];
	davit_status status;

	if (left > e.bus->settings.open_ms)
		left = e.bus->settings.open_ms;
	status = producer_probe(e.bus->producer, (int)left, why, sizeof(why));
	if (status != DAVIT_OK) {
		davit_fail(e.call, status, NULL, "%s", why);
	} else if (producer_start(e.bus->producer) < 0) {
		status = davit_fail(e.call, DAVIT_EXHAUSTED, NULL, "no thread could be made");
	} else {
		status = davit_emit_self(e.call, e.bus);
	}
	errand_over(e.bus);
	if (status != DAVIT_OK)
		bus_free(e.bus);
	davit_done(e.call, status);
	return NULL;
}

static davit_status bus_open(void *none, struct davit_call *call, const struct davit_open *in)
{
	struct bus *b = calloc(1, sizeof(*b));
	char why[512];
	davit_status status;

	(void)none;
	if (b == NULL)
		return no_memory(call);
	pthread_mutex_init(&b->lock, NULL);
	b->instance = in->instance;
	b->settings.file = -1;
	status = settings_read(in, call, &b->settings);
	if (status == DAVIT_OK) {
		b->producer = producer_new(in->instance, &b->settings, why, sizeof(why));
		if (b->producer == NULL)
			status = davit_fail(call, DAVIT_INVALID_ARGUMENT, NULL, "kafka error: %s", why);
	}
	if (status == DAVIT_OK)
		status = send_off(open_it, b, call);
	if (status != DAVIT_PENDING)
		bus_free(b);
	return status;
}

static void *close_it(void *errand)
{
	struct errand e = *(struct errand *)errand;

	while (__atomic_load_n(&e.bus->errands, __ATOMIC_ACQUIRE) > 1) /* a ping that nobody waits for any more */
		poll(NULL, 0, LOOK_MS);
	bus_free(e.bus);
	davit_done(e.call, DAVIT_OK);
	return NULL;
}

static davit_status bus_close(void *self, struct davit_call *call, const void *none)
{
	(void)none;
	return send_off(close_it, self, call);
}

static void *ping_it(void *errand)
{
	struct errand e = *(struct errand *)errand;
	int64_t left = davit_remaining_ms(e.call);
	char why[512];
	davit_status status = producer_ping(e.bus->producer, left < PING_MS ? (int)left : PING_MS, why, sizeof(why));

	if (status != DAVIT_OK)
		davit_fail(e.call, status, NULL, "kafka health check: %s", why);
	errand_over(e.bus);
	davit_done(e.call, status);
	return NULL;
}

static davit_status bus_ping(void *self, struct davit_call *call, const void *none)
{
	(void)none;
	return send_off(ping_it, self, call);
}

/* ---- Publish and subscribe ---- */

static davit_status bus_publish(void *self, struct davit_call *call, const struct davit_publish *in)
{
	return publish_one(((struct bus *)self)->producer, call, in);
}

static davit_status bus_publish_bulk(void *self, struct davit_call *call, const struct davit_publish_bulk *in)
{
	return publish_many(((struct bus *)self)->producer, call, in);
}

static davit_status check_schema(struct davit_call *call, const struct davit_subscribe *in)
{
	uint64_t i;

	for (i = 0; i < in->nmetadata; i++) {
		const struct davit_pair *m = &in->metadata[i];

		if (strcasecmp(m->key.p, "valueSchemaType") != 0 || strcasecmp(m->value.p, "none") == 0)
			continue;
		if (strcasecmp(m->value.p, "avro") == 0)
			return davit_fail(call, DAVIT_UNIMPLEMENTED, NULL,
					  "valueSchemaType Avro is not offered by this component yet");
		return davit_fail(call, DAVIT_INVALID_ARGUMENT, NULL,
				  "error parsing schema type. '%s' is not a supported value", m->value.p);
	}
	return DAVIT_OK;
}

static struct consumer *find_consumer(struct bus *b, char *ret_why, size_t n)
{
	struct consumer *c;

	pthread_mutex_lock(&b->lock);
	if (b->consumer == NULL)
		b->consumer = consumer_open(b->instance, &b->settings, ret_why, n);
	c = b->consumer;
	pthread_mutex_unlock(&b->lock);
	return c;
}

static void bus_credit(void *consumer)
{
	consumer_kick(consumer);
}

/* Where the brokers are not to be had it stands all the same, and begins when they are. */
static void await_partitions(struct bus *b, struct davit_call *call, struct subscription *s)
{
	const struct davit_sleep_service *sleep = davit_sleep_service(b->instance);
	int looks, joining;

	for (looks = 0; !subscription_stands(s, &joining) && looks < (joining ? JOIN_LOOKS : STAND_LOOKS); looks++)
		if (sleep == NULL || sleep->sleep(b->instance, call, LOOK_MS) != DAVIT_OK)
			return;
}

static davit_status bus_subscribe(void *self, struct davit_call *call, const struct davit_subscribe *in)
{
	struct bus *b = self;
	struct subscription *s;
	struct consumer *c;
	char why[512];
	davit_status status = check_schema(call, in);

	if (status != DAVIT_OK)
		return status;
	c = find_consumer(b, why, sizeof(why));
	if (c == NULL)
		return davit_fail(call, DAVIT_EXHAUSTED, NULL, "kafka: no consumer could be made: %s", why);
	davit_on_credit(call, bus_credit, c);
	s = consumer_subscribe(c, call, in);
	if (s == NULL)
		return no_memory(call);
	davit_on_cancel(call, subscription_end, s);
	await_partitions(b, call, s);
	subscription_unref(s);
	return DAVIT_PENDING;
}

static davit_status bus_settle(void *self, struct davit_call *call, const struct davit_settle *in)
{
	(void)call;
	consumer_settle(((struct bus *)self)->consumer, in);
	return DAVIT_OK;
}

static davit_status set_paused(struct bus *b, int paused)
{
	pthread_mutex_lock(&b->lock);
	if (b->consumer != NULL)
		consumer_pause(b->consumer, paused);
	pthread_mutex_unlock(&b->lock);
	return DAVIT_OK;
}

static davit_status bus_pause(void *self, struct davit_call *call, const void *none)
{
	(void)call;
	(void)none;
	return set_paused(self, 1);
}

static davit_status bus_resume(void *self, struct davit_call *call, const void *none)
{
	(void)call;
	(void)none;
	return set_paused(self, 0);
}

static const struct davit_pubsub_ops bus_ops = DAVIT_INIT(davit_pubsub_ops,
							  .features = DAVIT_PUBSUB_BULK | DAVIT_PUBSUB_DURABLE,
							  .publish = bus_publish, .subscribe = bus_subscribe,
							  .bulk_publish = bus_publish_bulk, .settle = bus_settle,
							  .pause = bus_pause, .resume = bus_resume);

static const struct davit_component bus_component = DAVIT_PUBSUB("pubsub.kafka", "v1", &bus_ops, .flags = DAVIT_LOOP,
								 .open = bus_open, .close = bus_close,
								 .ping = bus_ping);

DAVIT_PLUGIN(PLUGIN_NAME, PLUGIN_VERSION, "Davit", &bus_component);
