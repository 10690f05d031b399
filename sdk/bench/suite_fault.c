/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A host that misbehaves: it refuses memory and records, cancels early and late, wants nobody's answer, is an earlier one
 * without services. Each operation must come to its end all the same, tell a failure as one, and the instance serve on.
 */
#include <davit/pubsub.h>
#include <stdlib.h>
#include <unistd.h>

#include "end.h"
#include "probe.h"
#include "report.h"
#include "subscription.h"

#define END_MS 20000 /* a call that takes longer hangs */
#define DEAF_MS 1000 /* a cancelled call that always takes longer does not listen */
#define REFUSALS 200 /* pieces of memory or records of one operation, at most */

static void told(int ok, const struct call *c, const struct probe *p, const char *what)
{
	char text[256];

	snprintf(text, sizeof(text), "%s: %s", p->name, what);
	report(ok, c, text);
}

/* Ends the bench where there is nothing left to go on with. */
static void must_end(struct call *c, const struct probe *p, const char *what)
{
	if (call_end(c, END_MS) < 0)
		end_here(p->name,
			 "%s, and it has not ended after %d s: ask davit_cancelled() where it waits, or give "
			 "davit_on_cancel() what ends the wait",
			 what, END_MS / 1000);
}

static int goes_well(struct host *h, const struct probe *p)
{
	struct call c;
	davit_status status;
	int well;

	call_init(&c, h);
	status = call_run(&c, p->op, p->in);
	well = status == DAVIT_OK || status == DAVIT_NOT_FOUND;
	if (!well)
		told(0, &c, p, "and then it goes well");
	call_release(&c);
	return well;
}

/* The n-th request for memory, or record, and all after it are refused, for every n until none is left to refuse. */
static void refused_memory(struct host *h, const struct probe *p)
{
	int64_t n;
	int refused = 1, silent = 0;
	struct call c;

	for (n = 1; n <= REFUSALS && refused; n++) {
		__atomic_store_n(&h->refused, 0, __ATOMIC_SEQ_CST);
		__atomic_store_n(&h->refused_records, 0, __ATOMIC_SEQ_CST);
		__atomic_store_n(&h->refuse_at, n, __ATOMIC_SEQ_CST);
		call_init(&c, h);
		call_begin(&c, p->op, p->in);
		must_end(&c, p, "memory is refused");
		__atomic_store_n(&h->refuse_at, 0, __ATOMIC_SEQ_CST);
		refused = __atomic_load_n(&h->refused, __ATOMIC_SEQ_CST) > 0;
		silent += __atomic_load_n(&h->refused_records, __ATOMIC_SEQ_CST) > 0 && c.status == DAVIT_OK;
		call_release(&c);
	}
	told(silent == 0, NULL, p, "a record that was refused is a failure of the call");
	told(goes_well(h, p), NULL, p, "and goes well afterwards");
}

static void cancelled_before(struct host *h, const struct probe *p)
{
	struct call c;

	call_init(&c, h);
	call_cancel(&c);
	call_begin(&c, p->op, p->in);
	must_end(&c, p, "it was cancelled before it began");
	call_release(&c);
	told(goes_well(h, p), NULL, p, "cancelled before it begins, it ends, and the next goes well");
}

struct beginning {
	struct call *call;
	const struct probe *probe;
};

static void *begin(void *arg)
{
	struct beginning *b = arg;

	end_thread();
	call_begin(b->call, b->probe->op, b->probe->in);
	return NULL;
}

/* At every moment: from another thread, sooner and later. */
static void cancelled_late(struct host *h, const struct probe *p)
{
	pthread_t thread;
	int64_t took, quickest = INT64_MAX;
	char text[160];
	struct call c;
	int i;

	for (i = 0; i < 20 && (i < 3 || quickest < DEAF_MS); i++) {
		struct beginning b = { &c, p };

		call_init(&c, h);
		if (pthread_create(&thread, NULL, begin, &b) != 0)
			abort();
		usleep((useconds_t)(i * i * 10));
		took = host_now_ms();
		call_cancel(&c);
		must_end(&c, p, "it was cancelled");
		took = host_now_ms() - took;
		if (took < quickest)
			quickest = took;
		pthread_join(thread, NULL);
		call_release(&c);
	}
	snprintf(text, sizeof(text),
		 "cancelled, it goes on for %lld ms: ask davit_cancelled() where it waits, or give "
		 "davit_on_cancel() what ends the wait",
		 (long long)quickest);
	if (quickest >= DEAF_MS)
		told(0, NULL, p, text);
	told(goes_well(h, p), NULL, p, "cancelled at any moment, it ends, and the next goes well");
}

static void out_of_time(struct host *h, const struct probe *p)
{
	struct call c;

	call_init(&c, h);
	c.deadline_ms = host_now_ms() - 1;
	call_begin(&c, p->op, p->in);
	must_end(&c, p, "its time was over");
	call_release(&c);
	told(goes_well(h, p), NULL, p, "with its time over before it begins, it ends, and the next goes well");
}

static void nobody_waits(struct host *h, const struct probe *p)
{
	struct call c;

	h->nobody_waits = 1;
	call_init(&c, h);
	call_begin(&c, p->op, p->in);
	must_end(&c, p, "nobody wanted its records");
	call_release(&c);
	h->nobody_waits = 0;
	told(goes_well(h, p), NULL, p, "whose records nobody wants, it ends, and the next goes well");
}

/* Another instance beside the first, on a host that is not as one would wish. 1: it opened. */
static int another(struct host *h, const struct host *like, const struct davit_pair *props, size_t n,
		   struct call *ret_call)
{
	int opened;

	h->verbose = like->verbose;
	h->key_prefix = like->key_prefix;
	opened = host_open(h, like->component, props, n, ret_call) == 0;
	if (opened)
		report(host_close(h) == DAVIT_OK, NULL, "it opened there, and closes");
	return opened;
}

static void odd_hosts(struct host *h, const struct davit_pair *props, size_t n)
{
	struct host poor = { .no_services = 1 }, early = { .no_services = 0 }, gone = { .nobody_waits = 1 };
	struct call c;

	report(another(&poor, h, props, n, &c) || c.text[0] != '\0', &c,
	       "on a host without services it opens, or says why not");
	call_release(&c);
	host_table_size(offsetof(struct davit_host, credit));
	report(another(&early, h, props, n, &c) || c.text[0] != '\0', &c,
	       "on a host of the first SDK minor it opens, or says why not");
	call_release(&c);
	host_table_size(0);
	report(!another(&gone, h, props, n, &c), &c, "an open whose result nobody wants fails");
	call_release(&c);
}

/* Credit that never comes: the call ends all the same when it is cancelled. */
static void no_credit(struct host *h)
{
	const struct davit_pubsub_ops *ops = h->component->ops;
	struct subscription *s;
	struct message *held;
	struct call c;
	int i;

	if (ops->publish == NULL || ops->subscribe == NULL)
		return;
	s = subscription_open(h, "bench-credit", 1);
	if (s == NULL)
		return;
	for (i = 0; i < 3; i++) {
		struct davit_publish in = DAVIT_INIT(davit_publish, .topic = davit_str("bench-credit"),
						     .data = { "1", 1 });

		call_init(&c, h);
		call_run(&c, (davit_op *)(void *)ops->publish, &in);
		call_release(&c);
	}
	held = subscription_take(s, 5000);
	report(held != NULL && subscription_take(s, 300) == NULL, NULL, "credit for one is one message");
	subscription_cancel(s); /* with the message still held */
	if (held != NULL)
		subscription_settle(s, held, DAVIT_SETTLE_RETRY);
	report(subscription_close(s) == 0, NULL, "and who waits for more ends when it is cancelled");
}

void suite_fault(struct host *h, const struct davit_pair *props, size_t n)
{
	struct probe probes[PROBES];
	size_t count = probes_of(h, probes), i;

	for (i = 0; i < count; i++) {
		refused_memory(h, &probes[i]);
		cancelled_before(h, &probes[i]);
		cancelled_late(h, &probes[i]);
		out_of_time(h, &probes[i]);
		nobody_waits(h, &probes[i]);
	}
	suite_lent(h);
	odd_hosts(h, props, n);
	if (h->component->block == DAVIT_BLOCK_PUBSUB)
		no_credit(h);
}
