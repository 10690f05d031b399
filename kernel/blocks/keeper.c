/* SPDX-License-Identifier: Apache-2.0 */
#include "base/banned.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/random.h"
#include "blocks/subscribers_inside.h"

#define LOG_SCOPE "dapr.runtime.processor.subscription"
#define MS INT64_C(1000000)
#define PAUSE_FIRST (500 * MS)
#define PAUSE_MOST (60 * 1000 * MS)
#define LOST_MS 30000 /* deliveries of a subscription that its component ended have this long */

#define FROM(task, member) ((struct keeper *)((char *)(task)-offsetof(struct keeper, member)))

/* ---- Sending, on the keeper's loop ---- */

static struct topic_answer send_one(void *ctx, struct arena *a, const struct topic_event *e,
				    struct topic_cancel *cancel)
{
	struct subscribers *all = ((struct keeper *)ctx)->all;

	return topic_send(all->app, all->o.tracer, a, e, cancel->until_ns, cancel);
}

static struct topic_bulk_answer send_bulk(void *ctx, struct arena *a, struct topic_bulk *b, struct topic_cancel *cancel)
{
	struct subscribers *all = ((struct keeper *)ctx)->all;

	return topic_bulk_send(all->app, all->o.tracer, a, b, cancel->until_ns, cancel);
}

static void lost(void *ctx)
{
	struct keeper *k = ctx;

	k->lost = 1;
	if (k->fiber != NULL)
		fiber_wake(k->fiber);
}

static const struct subscriber_sink sink = { .send = send_one, .send_bulk = send_bulk, .lost = lost };

static struct topic_answer send_outbox(void *ctx, struct arena *a, const struct topic_event *e,
				       struct topic_cancel *cancel)
{
	struct keeper *k = ctx;

	return outbox_deliver(k->all->blocks, k->outbox, a, e, cancel);
}

static const struct subscriber_sink outbox_sink = { .send = send_outbox, .lost = lost };

/* ---- Its fiber ---- */

static struct loop *home(const struct keeper *k)
{
	return k->all->o.loops[0];
}

/* 0: at work; 1: not yet; -1: never, so it is not tried again. */
static int try_to_start(struct keeper *k, int again)
{
	const struct subscription *about = k->o.about;
	struct arena *a = arena_new();
	struct error e = ERROR_NONE;

	if (a == NULL)
		return 1;
	k->lost = 0;
	k->subscriber = subscriber_start(&k->o, a, &e);
	if (k->subscriber != NULL && again)
		log_info("Successfully started subscription after retry for pubsub " STR_FMT ", topic " STR_FMT,
			 STR_ARG(about->pubsub), STR_ARG(about->topic));
	else if (k->subscriber == NULL && again)
		log_error("Retry failed for subscription pubsub " STR_FMT ", topic " STR_FMT ": " STR_FMT
			  ". Will retry.",
			  STR_ARG(about->pubsub), STR_ARG(about->topic), STR_ARG(e.message));
	else if (k->subscriber == NULL)
		log_error("Failed to start subscription for pubsub " STR_FMT ", topic " STR_FMT ": " STR_FMT,
			  STR_ARG(about->pubsub), STR_ARG(about->topic), STR_ARG(e.message));
	arena_unref(a);
	if (k->subscriber != NULL)
		return 0;
	return e.code == ERROR_PERMISSION_DENIED || e.code == ERROR_UNIMPLEMENTED ? -1 : 1;
}

/* Between half of it and half again as much, so that what failed together is not tried together. */
static void rest(struct keeper *k, int64_t *pause)
{
	uint32_t r;
	int64_t until;

	random_bytes(&r, sizeof(r));
	until = clock_ns() + *pause / 2 + (int64_t)((double)*pause * (r / 4294967296.0));
	while (!k->stopping && clock_ns() < until)
		fiber_park_until(until);
	*pause = *pause * 3 / 2 > PAUSE_MOST ? PAUSE_MOST : *pause * 3 / 2;
}

static void stop_subscriber(struct keeper *k, int drain, int within_ms)
{
	struct subscriber *s = k->subscriber;

	k->subscriber = NULL;
	if (s != NULL)
		subscriber_stop(s, drain, within_ms);
}

static void keep(void *arg)
{
	struct keeper *k = arg;
	int64_t pause = PAUSE_FIRST;
	int again = 0, state;

	k->fiber = fiber_self();
	state = k->stopping ? 1 : try_to_start(k, 0);
	loop_post(home(k), &k->tried);
	while (!k->stopping) {
		if (k->lost) {
			log_error("Subscription to pubsub " STR_FMT ", topic " STR_FMT
				  " was ended by its component: " STR_FMT ". Will retry.",
				  STR_ARG(k->o.about->pubsub), STR_ARG(k->o.about->topic),
				  STR_ARG(subscriber_loss(k->subscriber)));
			k->lost = 0;
			stop_subscriber(k, 0, LOST_MS);
			state = 1;
		} else if (state > 0) {
			rest(k, &pause);
			again = 1;
			state = k->stopping ? 1 : try_to_start(k, again);
		} else {
			if (state == 0)
				pause = PAUSE_FIRST;
			fiber_park();
		}
	}
	stop_subscriber(k, k->drain, k->within_ms);
	k->fiber = NULL;
	loop_post(home(k), &k->ended);
}

static void begin(struct loop_task *t)
{
	struct keeper *k = FROM(t, begin);

	if (fiber_start(k->loop, keep, k) == 0)
		return;
	log_error("Failed to start subscription for pubsub " STR_FMT ", topic " STR_FMT ": no more fibers",
		  STR_ARG(k->o.about->pubsub), STR_ARG(k->o.about->topic));
	loop_post(home(k), &k->tried);
	loop_post(home(k), &k->ended);
}

static void stop(struct loop_task *t)
{
	struct keeper *k = FROM(t, stop);

	k->stopping = 1;
	if (k->fiber != NULL)
		fiber_wake(k->fiber);
}

/* ---- On the first loop ---- */

static void has_tried(struct loop_task *t)
{
	struct keeper *k = FROM(t, tried);

	k->was_tried = 1;
	k->all->ntrying--;
	if (k->all->waiter != NULL)
		fiber_wake(k->all->waiter);
}

static void has_ended(struct loop_task *t)
{
	struct keeper *k = FROM(t, ended);

	k->has_ended = 1;
	k->all->nkeepers--;
	if (k->all->waiter != NULL)
		fiber_wake(k->all->waiter);
}

struct keeper *keeper_new(struct subscribers *all, const struct declared *d, struct pubsub *p, struct loop *l)
{
	struct arena *a = arena_new();
	struct keeper *k = a ? arena_try(a, sizeof(*k)) : NULL;

	if (k == NULL) {
		arena_unref(a);
		return NULL;
	}
	memset(k, 0, sizeof(*k));
	k->all = all;
	k->arena = a;
	k->loop = l;
	k->o = (struct subscriber_options){ .blocks = all->blocks,
					    .pubsub = p,
					    .about = d->about,
					    .routing = d->routing,
					    .sink = d->outbox ? &outbox_sink : &sink,
					    .ctx = k };
	k->outbox = d->outbox;
	k->begin.run = begin;
	k->stop.run = stop;
	k->tried.run = has_tried;
	k->ended.run = has_ended;
	all->ntrying++;
	all->nkeepers++;
	loop_post(l, &k->begin);
	return k;
}

void keeper_stop(struct keeper *k, int drain, int within_ms)
{
	if (k->has_ended)
		return;
	k->drain = drain;
	k->within_ms = within_ms;
	loop_post(k->loop, &k->stop);
}
