/* SPDX-License-Identifier: Apache-2.0 */
#include "blocks/subscribers.h"

#include "base/banned.h"
#include "base/clock.h"
#include "base/log.h"
#include "blocks/pubsub_error.h"
#include "blocks/subscribers_inside.h"

#define LOG_SCOPE "dapr.runtime.processor.subscription"
#define MS INT64_C(1000000)
#define ILL_MS 30000  /* deliveries to an application that has become unhealthy have this long */
#define LATE_MS 15000 /* and those who stop them, beyond it */
#define LOOK_NS (20 * MS)

static void destroy(void *arg)
{
	struct subscribers *all = arg;

	pthread_mutex_destroy(&all->lock);
}

/* Runs with the arena's way out of memory leading here. */
static int read_or_out_of_memory(struct subscribers *all, struct arena *a, struct str *ret_message)
{
	struct str why = STR("out of memory");
	jmp_buf oom;
	volatile int rc = -1;

	if (setjmp(oom) == 0) {
		arena_on_oom(all->arena, &oom);
		rc = subscribers_read(all, &why);
	}
	arena_on_oom(all->arena, NULL);
	if (rc < 0)
		*ret_message = arena_printf(a, "failed to load declarative subscriptions: " STR_FMT, STR_ARG(why));
	return rc;
}

struct subscribers *subscribers_new(const struct subscribers_options *o, struct arena *a, struct str *ret_message)
{
	struct arena *own = arena_new();
	struct subscribers *all = own ? arena_try(own, sizeof(*all)) : NULL;

	*ret_message = STR("out of memory");
	if (all != NULL) {
		memset(all, 0, sizeof(*all));
		all->arena = own;
		all->o = *o;
		pthread_mutex_init(&all->lock, NULL);
		if (arena_try_defer(own, destroy, all) < 0)
			destroy(all);
		else if (read_or_out_of_memory(all, a, ret_message) == 0)
			return all;
	}
	arena_unref(own);
	return NULL;
}

void subscribers_use(struct subscribers *all, struct blocks *b)
{
	all->blocks = b;
}

void subscribers_call(struct subscribers *all, struct app *app)
{
	all->app = app;
}

void subscribers_free(struct subscribers *all)
{
	if (all == NULL)
		return;
	arena_unref(all->own_arena);
	arena_unref(all->arena);
}

/* ---- The application's ---- */

static void start_one(struct subscribers *all, const struct declared *d, size_t at)
{
	struct pubsub *p = map_get(&all->blocks->pubsub, d->about->pubsub);
	struct keeper *k;

	if (p == NULL)
		return;
	k = keeper_new(all, d, p, all->o.loops[at % (size_t)all->o.nloops]);
	if (k == NULL) {
		log_error("Failed to start subscription for pubsub " STR_FMT ", topic " STR_FMT ": out of memory",
			  STR_ARG(p->name), STR_ARG(d->about->topic));
		return;
	}
	k->next = all->keepers;
	all->keepers = k;
}

static void start_all(struct subscribers *all, struct arena *a)
{
	struct declared_list wanted = subscribers_wanted(all, a);
	const struct map_entry *e;
	size_t i, at = 0;

	for (i = 0; i < wanted.n; i++)
		start_one(all, &wanted.p[i], i);
	while ((e = map_next(&all->blocks->state, &at)) != NULL) {
		struct outbox *o = ((struct state_store *)e->value)->outbox;
		struct declared d = { .outbox = o };

		if (o == NULL)
			continue;
		if (map_get(&all->blocks->pubsub, o->about.pubsub) == NULL)
			log_write(LOG_WARN, "dapr.outbox",
				  "could not subscribe to internal outbox topic: outbox pubsub " STR_FMT " not loaded",
				  STR_ARG(o->about.pubsub));
		d.about = &o->about;
		d.routing = o->routing;
		start_one(all, &d, i++);
	}
}

static void start_or_out_of_memory(struct subscribers *all)
{
	struct arena *a = arena_new();
	jmp_buf oom;

	if (a != NULL && setjmp(oom) == 0) {
		arena_on_oom(a, &oom);
		start_all(all, a);
	} else {
		log_error("failed to subscribe to topics: out of memory");
	}
	if (a != NULL)
		arena_on_oom(a, NULL);
	arena_unref(a);
}

static void start(struct subscribers *all)
{
	if (all->keepers != NULL)
		return;
	subscribers_ask(all);
	if (all->closing)
		return;
	start_or_out_of_memory(all);
	while (all->ntrying > 0 && !all->closing)
		fiber_park_until(clock_ns() + LOOK_NS); /* who closes waits as well, and only one is woken */
}

static void free_ended(struct subscribers *all)
{
	struct keeper **at = &all->keepers, *k;

	while ((k = *at) != NULL) {
		if (!k->has_ended || !k->was_tried) {
			at = &k->next;
			continue;
		}
		*at = k->next;
		arena_unref(k->arena);
	}
}

static void stop(struct subscribers *all, int drain, int within_ms)
{
	int64_t until = clock_ns() + (within_ms + LATE_MS) * MS;
	struct keeper *k;

	for (k = all->keepers; k != NULL; k = k->next)
		keeper_stop(k, drain, within_ms);
	while (all->nkeepers > 0 && clock_ns() < until)
		fiber_park_until(clock_ns() + LOOK_NS);
	free_ended(all);
	if (all->keepers != NULL)
		log_error("%zu subscriptions did not end within %d ms and are left to themselves", all->nkeepers,
			  within_ms + LATE_MS);
}

void subscribers_changed(struct subscribers *all, int healthy)
{
	if (all->app == NULL || all->blocks == NULL || all->closing)
		return;
	all->working = 1;
	all->waiter = fiber_self();
	if (healthy)
		start(all);
	else
		stop(all, 0, ILL_MS);
	all->working = 0;
	if (all->waiter == fiber_self())
		all->waiter = NULL;
	else
		fiber_wake(all->waiter); /* who wants to close */
}

/* ---- Streams ---- */

static void tell_closing(struct loop_task *t)
{
	struct subscriber_stream *s = (struct subscriber_stream *)((char *)t -
								   offsetof(struct subscriber_stream, task));

	s->heard = 1;
	s->closing(s->ctx, s->all->closing_ms);
	if (s->leaver != NULL)
		fiber_wake(s->leaver);
}

/* How many there still are. */
static size_t tell_streams(struct subscribers *all)
{
	struct subscriber_stream *s;
	size_t n;

	pthread_mutex_lock(&all->lock);
	for (s = all->streams; s != NULL; s = s->next) {
		if (s->told)
			continue;
		s->told = 1;
		loop_post(s->loop, &s->task);
	}
	n = all->nstreams;
	pthread_mutex_unlock(&all->lock);
	return n;
}

int subscribers_enter(struct subscribers *all, struct subscriber_stream *s)
{
	struct subscriber_stream **at = &all->streams;
	int closing;

	s->loop = loop_self();
	s->task.run = tell_closing;
	s->all = all;
	pthread_mutex_lock(&all->lock);
	closing = all->closing;
	if (!closing) {
		while (*at != NULL)
			at = &(*at)->next;
		s->link = at;
		*at = s;
		all->nstreams++;
	}
	pthread_mutex_unlock(&all->lock);
	if (closing)
		s->all = NULL;
	return closing ? -1 : 0;
}

static void show(struct subscriber_stream *s, int shown)
{
	pthread_mutex_lock(&s->all->lock);
	s->shown = shown;
	pthread_mutex_unlock(&s->all->lock);
}

struct error subscribers_join(struct subscriber_stream *s, struct arena *a)
{
	static struct subscription_rule root = { .match = { "", 0 }, .path = { "/", 1 } };
	struct blocks *b = s->all->blocks;
	struct pubsub *p = map_get(&b->pubsub, s->about.pubsub);
	struct subscriber_options o = { .blocks = b, .pubsub = p, .about = &s->about, .sink = s->sink, .ctx = s->ctx };
	struct error e = ERROR_NONE;
	struct str why;

	if (p == NULL)
		return pubsub_error_not_found(a, s->about.pubsub, NULL, 0);
	s->about.nrules = 1;
	s->about.rules = &root;
	s->routing = routing_new(a, &s->about, &why);
	o.routing = s->routing;
	show(s, 1);
	s->subscriber = subscriber_start(&o, a, &e);
	if (s->subscriber != NULL)
		return ERROR_NONE;
	show(s, 0);
	e.message = arena_printf(a, "failed to create subscription for " STR_FMT ": " STR_FMT, STR_ARG(p->name),
				 STR_ARG(e.message));
	return e;
}

void subscribers_leave(struct subscriber_stream *s, int drain, int within_ms)
{
	struct subscribers *all = s->all;

	if (s->subscriber != NULL)
		subscriber_stop(s->subscriber, drain, within_ms);
	s->subscriber = NULL;
	pthread_mutex_lock(&all->lock);
	*s->link = s->next;
	if (s->next != NULL)
		s->next->link = s->link;
	all->nstreams--;
	pthread_mutex_unlock(&all->lock);
	s->leaver = fiber_self();
	while (s->told && !s->heard) /* the task still refers to it */
		fiber_park();
	s->all = NULL;
}

/* ---- The end ---- */

void subscribers_stop(struct subscribers *all, int drain, int within_ms)
{
	int64_t until = clock_ns() + within_ms * MS;

	all->closing_ms = within_ms;
	pthread_mutex_lock(&all->lock); /* a stream enters before, and is told, or not at all */
	all->closing = 1;
	pthread_mutex_unlock(&all->lock);
	if (all->working) {
		topic_cancel(&all->asking);
		fiber_wake(all->waiter);
	}
	all->waiter = fiber_self();
	while (all->working)
		fiber_park();
	tell_streams(all);
	stop(all, drain, within_ms);
	while (tell_streams(all) > 0 && clock_ns() < until + LATE_MS * MS)
		fiber_park_until(clock_ns() + LOOK_NS);
	all->waiter = NULL;
}
