/* SPDX-License-Identifier: Apache-2.0 */
#include "subscription.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "end.h"
#include "report.h"

#define STAND_MS 60000 /* the kernel waits no longer either */
#define END_MS 30000

struct kept {
	struct kept *next;
};

static struct subscription *of(const struct davit_call *call)
{
	return (struct subscription *)call;
}

static int wait_until(struct subscription *s, int64_t until_ms)
{
	struct timespec t;
	int64_t left = until_ms - host_now_ms();

	if (left <= 0)
		return -1;
	clock_gettime(CLOCK_REALTIME, &t);
	t.tv_sec += left / 1000;
	t.tv_nsec += left % 1000 * 1000000;
	if (t.tv_nsec >= 1000000000) {
		t.tv_sec++;
		t.tv_nsec -= 1000000000;
	}
	pthread_cond_timedwait(&s->changed, &s->lock, &t);
	return 0;
}

static void *copy(const void *p, size_t n)
{
	char *c = malloc(n + 1);

	if (c == NULL)
		abort();
	if (n > 0)
		memcpy(c, p, n);
	c[n] = '\0';
	return c;
}

static struct message *message_of(const struct davit_message *from)
{
	struct message *m = calloc(1, sizeof(*m));
	uint64_t i;

	if (m == NULL)
		abort();
	m->token = from->token;
	m->data = (struct davit_bytes){ copy(from->data.p, from->data.n), from->data.n };
	m->topic = (struct davit_str){ copy(from->topic.p, from->topic.n), from->topic.n };
	if (from->order.p != NULL)
		m->order = (struct davit_str){ copy(from->order.p, from->order.n), from->order.n };
	m->nmetadata = (int64_t)from->nmetadata;
	for (i = 0; i < from->nmetadata; i++)
		if (davit_str_is(from->metadata[i].key, "bench"))
			snprintf(m->metadata, sizeof(m->metadata), "%s", from->metadata[i].value.p);
	return m;
}

static void message_free(struct message *m)
{
	free((void *)m->data.p);
	free((void *)m->topic.p);
	free((void *)m->order.p);
	free(m);
}

/* The lock is held. On a loop others take their turn meanwhile. */
static void wait_for_credit(struct subscription *s)
{
	struct turns *turns = &s->host->turns;

	if (!turns_mine(turns)) {
		pthread_cond_wait(&s->changed, &s->lock);
		return;
	}
	turns_give(turns);
	pthread_cond_wait(&s->changed, &s->lock);
	pthread_mutex_unlock(&s->lock);
	turns_take(turns);
	pthread_mutex_lock(&s->lock);
}

/* The lock is held. */
static davit_status take_credit(struct subscription *s)
{
	for (;;) {
		if (s->done)
			s->late++;
		if (s->done || s->cancelled)
			return DAVIT_CANCELLED;
		if (s->credit > 0)
			break;
		if (!pthread_equal(pthread_self(), s->thread) && !turns_mine(&s->host->turns)) {
			s->starved = 1;
			s->refused++;
			return DAVIT_EXHAUSTED;
		}
		wait_for_credit(s);
	}
	s->credit--;
	s->accepted++;
	if (++s->unsettled > s->most_unsettled)
		s->most_unsettled = s->unsettled;
	return DAVIT_OK;
}

/* Until the plugin's function for the cancel has come back, unless it is that which calls. The lock is held. */
static void wait_for_calling(struct subscription *s)
{
	while (s->calling && !pthread_equal(pthread_self(), s->caller))
		pthread_cond_wait(&s->changed, &s->lock);
}

static davit_status on_emit(struct davit_call *call, const void *record)
{
	const struct davit_message *from = record;
	struct subscription *s = of(call);
	struct message *m = from->kind == davit_message_kind ? message_of(from) : NULL;
	davit_status status = m || from->kind == davit_subscribed_kind ? DAVIT_OK : DAVIT_INVALID_ARGUMENT;

	pthread_mutex_lock(&s->lock);
	if (m != NULL)
		status = take_credit(s);
	if (status == DAVIT_OK && m != NULL) {
		*s->last = m;
		s->last = &m->next;
		m = NULL;
	}
	if (status == DAVIT_OK)
		s->standing = 1;
	pthread_cond_broadcast(&s->changed);
	pthread_mutex_unlock(&s->lock);
	if (m != NULL)
		message_free(m);
	return status;
}

static davit_status on_emit_owned(struct davit_call *call, const void *record, void (*release)(void *arg), void *arg)
{
	davit_status status = on_emit(call, record);

	if (release != NULL)
		release(arg);
	return status;
}

static void on_done(struct davit_call *call, davit_status status)
{
	struct subscription *s = of(call);

	pthread_mutex_lock(&s->lock);
	wait_for_calling(s);
	s->twice += s->done;
	s->done = 1;
	s->status = status;
	pthread_cond_broadcast(&s->changed);
	pthread_mutex_unlock(&s->lock);
}

static void on_fail(struct davit_call *call, davit_status status, const char *reason, const char *text, size_t n)
{
	struct subscription *s = of(call);

	(void)status;
	(void)reason;
	snprintf(s->text, sizeof(s->text), "%.*s", (int)n, text);
}

static int64_t on_remaining_ms(const struct davit_call *call)
{
	(void)call;
	return INT64_MAX;
}

static int32_t on_cancelled(const struct davit_call *call)
{
	struct subscription *s = of(call);
	int cancelled;

	pthread_mutex_lock(&s->lock);
	cancelled = s->cancelled;
	pthread_mutex_unlock(&s->lock);
	return cancelled;
}

static int32_t on_on_cancel(struct davit_call *call, void (*fn)(void *arg), void *arg)
{
	struct subscription *s = of(call);
	int at_once;

	pthread_mutex_lock(&s->lock);
	if (fn == NULL)
		wait_for_calling(s);
	at_once = s->cancelled && fn != NULL;
	s->on_cancel = at_once ? NULL : fn;
	s->on_cancel_arg = arg;
	pthread_mutex_unlock(&s->lock);
	if (at_once)
		fn(arg);
	return 0;
}

static void *on_alloc(struct davit_call *call, size_t n)
{
	struct subscription *s = of(call);
	struct kept *k = malloc(sizeof(*k) + 16 + n);

	if (k == NULL)
		return NULL;
	pthread_mutex_lock(&s->lock);
	k->next = s->kept;
	s->kept = k;
	pthread_mutex_unlock(&s->lock);
	return (char *)k + 16;
}

static int64_t on_credit(struct davit_call *call)
{
	struct subscription *s = of(call);
	int64_t credit;

	pthread_mutex_lock(&s->lock);
	credit = s->cancelled ? 0 : s->credit;
	if (credit == 0)
		s->starved = 1;
	pthread_mutex_unlock(&s->lock);
	return credit;
}

static int32_t on_on_credit(struct davit_call *call, void (*fn)(void *arg), void *arg)
{
	struct subscription *s = of(call);

	pthread_mutex_lock(&s->lock);
	s->on_credit = fn;
	s->on_credit_arg = arg;
	pthread_mutex_unlock(&s->lock);
	return 0;
}

static struct davit_host table = DAVIT_INIT(davit_host, .abi = DAVIT_ABI, .minor = DAVIT_SDK_MINOR, .done = on_done,
					    .emit = on_emit, .emit_owned = on_emit_owned, .fail = on_fail,
					    .remaining_ms = on_remaining_ms, .cancelled = on_cancelled,
					    .on_cancel = on_on_cancel, .alloc = on_alloc, .credit = on_credit,
					    .on_credit = on_on_credit);

static void *run(void *arg)
{
	struct subscription *s = arg;
	const struct davit_pubsub_ops *ops = s->host->component->ops;
	davit_status status;

	pthread_mutex_lock(&s->lock); /* until s->thread is set */
	pthread_mutex_unlock(&s->lock);
	end_thread();
	end_inside("subscribe");
	turns_take(&s->host->turns);
	status = ops->subscribe(s->host->self, &s->call, &s->in);
	turns_give(&s->host->turns);
	if (status != DAVIT_PENDING) {
		on_done(&s->call, status);
		return NULL;
	}
	pthread_mutex_lock(&s->lock);
	s->standing = 1;
	pthread_cond_broadcast(&s->changed);
	pthread_mutex_unlock(&s->lock);
	return NULL;
}

static struct subscription *subscription_new(struct host *h, const char *topic, uint64_t credit)
{
	struct subscription *s = calloc(1, sizeof(*s));

	if (s == NULL)
		abort();
	table.log = h->instance.host->log; /* what belongs to the instance is the same for all */
	table.count = h->instance.host->count;
	table.service = h->instance.host->service;
	s->call.host = &table;
	s->host = h;
	s->credit = (int64_t)credit;
	s->topic = copy(topic, strlen(topic));
	s->in = (struct davit_subscribe)DAVIT_INIT(davit_subscribe, .topic = davit_str(s->topic), .credit = credit);
	s->last = &s->first;
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->changed, NULL);
	return s;
}

struct subscription *subscription_open(struct host *h, const char *topic, uint64_t credit)
{
	struct subscription *s = subscription_new(h, topic, credit);
	int64_t until = host_now_ms() + STAND_MS;
	int stands;

	pthread_mutex_lock(&s->lock);
	if (pthread_create(&s->thread, NULL, run, s) != 0)
		abort();
	while (!s->standing && !s->done && wait_until(s, until) == 0)
		;
	stands = s->standing;
	pthread_mutex_unlock(&s->lock);
	if (stands)
		return s;
	report(0, NULL, "a subscription begins within a minute");
	if (s->text[0] != '\0')
		printf("# status %d: %s\n", s->status, s->text);
	subscription_close(s);
	return NULL;
}

struct message *subscription_take(struct subscription *s, int within_ms)
{
	int64_t until = host_now_ms() + within_ms;
	struct message *m;

	pthread_mutex_lock(&s->lock);
	while (s->first == NULL && wait_until(s, until) == 0)
		;
	m = s->first;
	if (m != NULL) {
		s->first = m->next;
		if (s->first == NULL)
			s->last = &s->first;
	}
	pthread_mutex_unlock(&s->lock);
	return m;
}

static void give_credit(struct subscription *s)
{
	void (*fn)(void *arg) = NULL;
	void *arg;

	pthread_mutex_lock(&s->lock);
	s->credit++;
	s->unsettled--;
	if (s->starved && !s->done && !s->cancelled)
		fn = s->on_credit;
	s->starved = 0;
	arg = s->on_credit_arg;
	pthread_cond_broadcast(&s->changed);
	pthread_mutex_unlock(&s->lock);
	if (fn != NULL)
		fn(arg);
}

davit_status subscription_settle(struct subscription *s, struct message *m, int outcome)
{
	const struct davit_pubsub_ops *ops = s->host->component->ops;
	struct davit_settle in = DAVIT_INIT(davit_settle, .outcome = outcome, .tokens = &m->token, .ntokens = 1);
	davit_status status = DAVIT_OK;
	struct call c;

	if (ops->settle != NULL) {
		call_init(&c, s->host);
		status = call_run(&c, (davit_op *)(void *)ops->settle, &in);
		call_release(&c);
	}
	give_credit(s);
	message_free(m);
	return status;
}

void subscription_cancel(struct subscription *s)
{
	pthread_mutex_lock(&s->lock);
	s->cancelled = 1;
	pthread_cond_broadcast(&s->changed);
	pthread_mutex_unlock(&s->lock);
}

static void tell_cancel(struct subscription *s)
{
	void (*fn)(void *arg);

	pthread_mutex_lock(&s->lock);
	s->cancelled = 1;
	fn = s->done ? NULL : s->on_cancel;
	s->calling = fn != NULL;
	s->caller = pthread_self();
	pthread_cond_broadcast(&s->changed);
	pthread_mutex_unlock(&s->lock);
	if (fn != NULL)
		fn(s->on_cancel_arg);
	pthread_mutex_lock(&s->lock);
	s->calling = 0;
	pthread_cond_broadcast(&s->changed);
	pthread_mutex_unlock(&s->lock);
	turns_cancel(&s->host->turns, &s->call);
}

static void subscription_free(struct subscription *s)
{
	struct kept *k;

	while ((k = s->kept) != NULL) {
		s->kept = k->next;
		free(k);
	}
	pthread_mutex_destroy(&s->lock);
	pthread_cond_destroy(&s->changed);
	free(s->topic);
	free(s);
}

/* Its call still refers to it, and the component to the call: there is nothing left to go on with. */
static void must_have_ended(int done)
{
	if (done)
		return;
	end_here("subscribe", "cancelled, it has not ended after %d s: give davit_on_cancel() what ends its wait",
		 END_MS / 1000);
}

int subscription_close(struct subscription *s)
{
	int64_t until = host_now_ms() + END_MS;
	struct message *m;
	int done, well;

	tell_cancel(s);
	while ((m = subscription_take(s, 0)) != NULL)
		subscription_settle(s, m, DAVIT_SETTLE_RETRY);
	pthread_mutex_lock(&s->lock);
	while (!s->done && wait_until(s, until) == 0)
		;
	done = s->done;
	well = !s->twice && s->late == 0;
	pthread_mutex_unlock(&s->lock);
	must_have_ended(done);
	pthread_join(s->thread, NULL);
	subscription_free(s);
	return well ? 0 : -1;
}
