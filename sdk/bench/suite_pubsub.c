/* SPDX-License-Identifier: Apache-2.0 */
/* Publish and subscribe: what goes in comes out, credit holds, settling counts, ending ends. */
#include <stdlib.h>
#include <unistd.h>

#include "report.h"
#include "subscription.h"

#define MANY 2000 /* messages of the load */
#define PUBLISHERS 4
#define ORDERS 64     /* that a topic may have */
#define WAIT_MS 10000 /* for a message that must come */
#define QUIET_MS 300  /* to see that none comes */

static const struct davit_pubsub_ops *ops_of(const struct host *h)
{
	return h->component->ops;
}

static uint32_t features(const struct host *h)
{
	return ops_of(h)->features | h->features;
}

static davit_status publish(struct host *h, struct call *ret_call, const char *topic, const void *data, size_t n)
{
	static const struct davit_pair pair = { { "bench", 5 }, { "a value", 7 } };
	struct davit_publish in = DAVIT_INIT(davit_publish, .topic = davit_str(topic), .data = { data, n },
					     .metadata = &pair, .nmetadata = 1);

	call_init(ret_call, h);
	return call_run(ret_call, (davit_op *)(void *)ops_of(h)->publish, &in);
}

static int publish_text(struct host *h, const char *topic, const char *text)
{
	struct call c;
	int ok = publish(h, &c, topic, text, strlen(text)) == DAVIT_OK;

	if (!ok)
		report(0, &c, "a message is published");
	call_release(&c);
	return ok;
}

static int publish_numbers(struct host *h, const char *topic, int from, int n)
{
	char text[32];
	int i, ok = 1;

	for (i = from; ok && i < from + n; i++) {
		snprintf(text, sizeof(text), "%d", i);
		ok = publish_text(h, topic, text);
	}
	return ok;
}

static int number_of(const struct message *m)
{
	return (int)strtol(m->data.p, NULL, 10);
}

/* Numbers that are to come, from..from+n-1, in any order, perhaps more than once. */
struct expected {
	char *seen;
	int from, n, missing;
};

static struct expected expect(int from, int n)
{
	return (struct expected){ calloc((size_t)n, 1), from, n, n };
}

static void note(struct expected *e, const struct message *m)
{
	int i = number_of(m) - e->from;

	if (i < 0 || i >= e->n || e->seen[i])
		return;
	e->seen[i] = 1;
	e->missing--;
}

/* Takes and settles until none is missing. */
static int take_expected(struct subscription *s, struct expected *e)
{
	struct message *m;

	while (e->missing > 0 && (m = subscription_take(s, WAIT_MS)) != NULL) {
		note(e, m);
		subscription_settle(s, m, DAVIT_SETTLE_OK);
	}
	free(e->seen);
	return e->missing == 0;
}

static int expect_numbers(struct subscription *s, int from, int n)
{
	struct expected e = expect(from, n);

	return take_expected(s, &e);
}

static void bytes_come_through(struct host *h, const char *topic)
{
	static const size_t sizes[] = { 0, 1, 4096, 200000 };
	struct subscription *s = subscription_open(h, topic, 10);
	struct message *m;
	struct call c;
	char *data;
	size_t i, k;

	if (s == NULL)
		return;
	report(1, NULL, "a subscription begins");
	data = malloc(200000);
	if (data == NULL)
		abort();
	for (i = 0; i < 200000; i++)
		data[i] = (char)(i * 7 % 256); /* NUL and all */
	for (k = 0; k < sizeof(sizes) / sizeof(sizes[0]); k++) {
		report(publish(h, &c, topic, data, sizes[k]) == DAVIT_OK, &c, "bytes are published");
		call_release(&c);
		m = subscription_take(s, WAIT_MS);
		report(m != NULL && m->data.n == sizes[k] && memcmp(m->data.p, data, sizes[k]) == 0, NULL,
		       "the same bytes arrive");
		if (m == NULL)
			continue;
		report(strcmp(m->metadata, "a value") == 0 || m->nmetadata == 0, NULL,
		       "metadata arrives whole or not at all");
		report(subscription_settle(s, m, DAVIT_SETTLE_OK) == DAVIT_OK, NULL, "it is settled");
	}
	report(subscription_take(s, QUIET_MS) == NULL, NULL, "and nothing else");
	report(subscription_close(s) == 0, NULL, "the subscription ends when it is cancelled");
	free(data);
}

static void credit_holds(struct host *h, const char *topic)
{
	struct message *held[5];
	struct subscription *s = subscription_open(h, topic, 5);
	struct expected e;
	int i, all = 1;

	if (s == NULL)
		return;
	e = expect(0, 20);
	report(publish_numbers(h, topic, 0, 20), NULL, "twenty are published");
	for (i = 0; i < 5; i++)
		all &= (held[i] = subscription_take(s, WAIT_MS)) != NULL;
	report(all, NULL, "five arrive");
	report(subscription_take(s, QUIET_MS) == NULL, NULL, "no more while they are unsettled");
	for (i = 0; i < 5; i++) {
		if (held[i] == NULL)
			continue;
		note(&e, held[i]);
		subscription_settle(s, held[i], DAVIT_SETTLE_OK);
	}
	report(take_expected(s, &e), NULL, "the others arrive when they are settled");
	report(s->most_unsettled <= 5, NULL, "never more than five were unsettled");
	report(subscription_close(s) == 0, NULL, "the subscription ends");
}

/* The last number of each order that there is; a message without one is never wrong. */
struct orders {
	char name[ORDERS][32];
	int last[ORDERS];
	int n;
};

static int is_wrong(struct orders *o, const struct message *m)
{
	int i, wrong;

	if (m->order.p == NULL)
		return 0;
	for (i = 0; i < o->n && strcmp(o->name[i], m->order.p) != 0; i++)
		;
	if (i == ORDERS)
		return 1;
	if (i == o->n) {
		snprintf(o->name[i], sizeof(o->name[i]), "%s", m->order.p);
		o->last[o->n++] = -1;
	}
	wrong = number_of(m) < o->last[i];
	o->last[i] = number_of(m);
	return wrong;
}

static void order_holds(struct host *h, const char *topic)
{
	struct orders orders = { .n = 0 };
	struct subscription *s = subscription_open(h, topic, 50);
	struct message *m;
	int i, wrong = 0;

	if (s == NULL)
		return;
	report(publish_numbers(h, topic, 0, 100), NULL, "a hundred are published one after another");
	for (i = 0; i < 100 && (m = subscription_take(s, WAIT_MS)) != NULL; i++) {
		wrong += is_wrong(&orders, m);
		subscription_settle(s, m, DAVIT_SETTLE_OK);
	}
	report(i == 100, NULL, "all of them arrive");
	report(wrong == 0, NULL, "in order, where the component promises one");
	report(subscription_close(s) == 0, NULL, "the subscription ends");
}

static void retry_comes_again(struct host *h, const char *topic)
{
	struct subscription *s = subscription_open(h, topic, 10);
	struct message *m;

	if (s == NULL)
		return;
	publish_text(h, topic, "1");
	m = subscription_take(s, WAIT_MS);
	report(m != NULL && subscription_settle(s, m, DAVIT_SETTLE_RETRY) == DAVIT_OK, NULL, "RETRY is accepted");
	m = subscription_take(s, features(h) & DAVIT_PUBSUB_DURABLE ? 60000 : QUIET_MS);
	if (features(h) & DAVIT_PUBSUB_DURABLE)
		report(m != NULL && number_of(m) == 1, NULL, "and the message comes again");
	if (m != NULL)
		subscription_settle(s, m, DAVIT_SETTLE_OK);
	publish_text(h, topic, "2");
	m = subscription_take(s, WAIT_MS);
	report(m != NULL && subscription_settle(s, m, DAVIT_SETTLE_DROP) == DAVIT_OK, NULL, "DROP is accepted");
	report(subscription_take(s, QUIET_MS) == NULL, NULL, "and it does not come again");
	report(subscription_close(s) == 0, NULL, "the subscription ends");
}

static void unsettled_survive(struct host *h, const char *topic)
{
	struct expected e;
	struct subscription *s = subscription_open(h, topic, 2);
	struct message *held;

	if (s == NULL)
		return;
	e = expect(0, 4);
	publish_numbers(h, topic, 0, 4);
	held = subscription_take(s, WAIT_MS);
	report(held != NULL, NULL, "a message is held");
	/* Settled after the cancel, as a kernel does that drains. */
	subscription_cancel(s);
	if (held != NULL) {
		note(&e, held);
		report(subscription_settle(s, held, DAVIT_SETTLE_OK) == DAVIT_OK, NULL,
		       "it is settled after the cancel");
	}
	report(subscription_close(s) == 0, NULL, "the subscription ends with messages unsettled");
	s = features(h) & DAVIT_PUBSUB_DURABLE ? subscription_open(h, topic, 10) : NULL;
	if (s == NULL) {
		free(e.seen);
		return;
	}
	report(1, NULL, "the same is subscribed again");
	report(take_expected(s, &e), NULL, "what was not taken comes");
	report(subscription_close(s) == 0, NULL, "the subscription ends");
}

static void wildcards_match(struct host *h, const char *topic)
{
	struct subscription *s;
	struct message *m;
	char pattern[128], inside[128];

	if (!(features(h) & DAVIT_PUBSUB_WILDCARDS))
		return;
	snprintf(pattern, sizeof(pattern), "%s/*", topic);
	snprintf(inside, sizeof(inside), "%s/one", topic);
	s = subscription_open(h, pattern, 10);
	if (s == NULL)
		return;
	report(1, NULL, "a pattern is subscribed to");
	publish_text(h, topic, "1");
	publish_text(h, inside, "2");
	m = subscription_take(s, WAIT_MS);
	report(m != NULL && number_of(m) == 2, NULL, "what fits it arrives, and only that");
	if (m != NULL)
		subscription_settle(s, m, DAVIT_SETTLE_OK);
	report(subscription_close(s) == 0, NULL, "the subscription ends");
}

static void bulk_is_published(struct host *h, const char *topic)
{
	struct davit_publish entries[20];
	const struct davit_publish *list[20];
	struct davit_publish_bulk in = DAVIT_INIT(davit_publish_bulk, .topic = davit_str(topic), .entries = list,
						  .nentries = 20);
	char text[20][16], id[20][16];
	struct subscription *s;
	struct call c;
	int i;

	if (ops_of(h)->bulk_publish == NULL || (s = subscription_open(h, topic, 10)) == NULL)
		return;
	for (i = 0; i < 20; i++) {
		snprintf(text[i], sizeof(text[i]), "%d", i);
		snprintf(id[i], sizeof(id[i]), "id%d", i);
		entries[i] = (struct davit_publish)DAVIT_INIT(davit_publish, .topic = davit_str(topic),
							      .data = { text[i], strlen(text[i]) },
							      .entry_id = davit_str(id[i]));
		list[i] = &entries[i];
	}
	call_init(&c, h);
	report(call_run(&c, (davit_op *)(void *)ops_of(h)->bulk_publish, &in) == DAVIT_OK, &c, "twenty go in one call");
	report(c.nrecords == 0 || c.records[0].status == DAVIT_OK, &c, "none of them failed");
	call_release(&c);
	report(expect_numbers(s, 0, 20), NULL, "all of them arrive");
	report(subscription_close(s) == 0, NULL, "the subscription ends");
}

struct publisher {
	struct host *host;
	const char *topic;
	int from, failed;
};

/* A broker that is full says so; then the publisher waits. */
static void *publish_many(void *arg)
{
	struct publisher *p = arg;
	char text[32];
	struct call c;
	int i, tries;

	for (i = p->from; i < p->from + MANY / PUBLISHERS; i++) {
		davit_status status = DAVIT_EXHAUSTED;

		snprintf(text, sizeof(text), "%d", i);
		for (tries = 0; tries < 20000 && status == DAVIT_EXHAUSTED; tries++) {
			status = publish(p->host, &c, p->topic, text, strlen(text));
			call_release(&c);
			if (status == DAVIT_EXHAUSTED)
				usleep(500);
		}
		p->failed += status != DAVIT_OK;
	}
	return NULL;
}

static void many_at_once(struct host *h, const char *topic)
{
	struct publisher publishers[PUBLISHERS];
	pthread_t threads[PUBLISHERS];
	struct subscription *s = subscription_open(h, topic, 100);
	int i, failed = 0;

	if (s == NULL)
		return;
	for (i = 0; i < PUBLISHERS; i++) {
		publishers[i] = (struct publisher){ h, topic, i * (MANY / PUBLISHERS), 0 };
		if (pthread_create(&threads[i], NULL, publish_many, &publishers[i]) != 0)
			abort();
	}
	report(expect_numbers(s, 0, MANY), NULL, "all that several threads publish arrive");
	for (i = 0; i < PUBLISHERS; i++) {
		pthread_join(threads[i], NULL);
		failed += publishers[i].failed;
	}
	report(failed == 0, NULL, "each was published");
	report(s->most_unsettled <= 100, NULL, "within the credit");
	report(subscription_close(s) == 0, NULL, "the subscription ends");
}

/* Nobody settles: publishing must come to an end, of its own or with EXHAUSTED, and the subscription end all the same. */
static void standing_still(struct host *h, const char *topic)
{
	struct subscription *s = subscription_open(h, topic, 3);
	struct call c;
	int i, ok = 1;
	davit_status status = DAVIT_OK;
	static char data[1024];

	if (s == NULL)
		return;
	for (i = 0; i < 5000 && ok; i++) {
		status = publish(h, &c, topic, data, sizeof(data));
		ok = status == DAVIT_OK;
		call_release(&c);
	}
	report(ok || status == DAVIT_EXHAUSTED, NULL, "a subscriber that stands still is published to, or refuses");
	report(s->most_unsettled <= 3, NULL, "it has no more than its credit");
	report(subscription_close(s) == 0, NULL, "its subscription ends");
}

void suite_pubsub(struct host *h)
{
	static const struct {
		const char *name;
		void (*run)(struct host *h, const char *topic);
	} parts[] = {
		{ "bytes", bytes_come_through }, { "credit", credit_holds },	     { "order", order_holds },
		{ "retry", retry_comes_again },	 { "unsettled", unsettled_survive }, { "wildcards", wildcards_match },
		{ "bulk", bulk_is_published },	 { "many", many_at_once },	     { "still", standing_still },
	};
	char topic[64];
	struct call c;
	size_t i;

	if (ops_of(h)->publish == NULL || ops_of(h)->subscribe == NULL) {
		report(0, NULL, "the component publishes and subscribes");
		return;
	}
	snprintf(topic, sizeof(topic), "bench-%d-nobody", (int)getpid());
	report(publish(h, &c, topic, "x", 1) == DAVIT_OK, &c, "a topic without subscribers takes a message");
	call_release(&c);
	for (i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		snprintf(topic, sizeof(topic), "bench-%d-%s", (int)getpid(), parts[i].name);
		parts[i].run(h, topic);
	}
}
