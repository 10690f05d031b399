/* SPDX-License-Identifier: Apache-2.0 */
/* pubsub.sqlite: durable topics in a SQLite file, shared by all sidecars of a host. */
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "consumer.h"
#include "peer.h"

static struct bus *bus_new(const struct davit_open *in)
{
	struct bus *b = calloc(1, sizeof(*b));

	if (b == NULL)
		return NULL;
	b->instance = in->instance;
	b->name = strndup(in->app_id.p ? in->app_id.p : "", in->app_id.n);
	b->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	b->last = &b->first;
	peer_init(&b->peer);
	pthread_mutex_init(&b->lock, NULL);
	return b;
}

static void bus_free(struct bus *b)
{
	if (b->wake >= 0)
		close(b->wake);
	options_release(&b->options);
	free(b->name);
	pthread_mutex_destroy(&b->lock);
	free(b);
}

static davit_status bus_open(void *none, struct davit_call *call, const struct davit_open *in)
{
	struct bus *b = bus_new(in);
	davit_status status;
	struct fault f;

	(void)none;
	if (b == NULL)
		return davit_fail(call, DAVIT_EXHAUSTED, NULL, "no memory left");
	if (b->name == NULL || b->wake < 0)
		status = davit_fail(call, DAVIT_EXHAUSTED, NULL, "no memory or descriptor left");
	else if (!sqlite3_threadsafe())
		status = davit_fail(call, DAVIT_FAILED_PRECONDITION, NULL,
				    "this SQLite library was built without threads");
	else if (options_read(in, &b->options, &f) < 0)
		status = fault_tell(&f, call);
	else if (keeper_start(b, call, bus_free) == 0)
		return DAVIT_PENDING;
	else
		status = davit_fail(call, DAVIT_EXHAUSTED, NULL, "no thread left");
	bus_free(b);
	return status;
}

static davit_status bus_close(void *self, struct davit_call *call, const void *none)
{
	struct bus *b = self;

	(void)none;
	__atomic_store_n(&b->db.hurry, 1, __ATOMIC_RELAXED);
	pthread_mutex_lock(&b->lock);
	b->closing = call;
	bus_wake(b); /* under the lock: the keeper frees it all when it has seen this */
	pthread_mutex_unlock(&b->lock);
	return DAVIT_PENDING;
}

static int apply_ping(struct bus *b, struct request *r)
{
	(void)r;
	return DATABASE_RUN(&b->db, STATEMENT_TOPIC_NEXT, INT64_MAX);
}

static davit_status bus_ping(void *self, struct davit_call *call, const void *none)
{
	struct request *r = davit_alloc(call, sizeof(*r));

	(void)none;
	if (r == NULL)
		return davit_fail(call, DAVIT_EXHAUSTED, NULL, "no memory left");
	memset(r, 0, sizeof(*r));
	r->call = call;
	r->apply = apply_ping;
	return bus_submit(self, r);
}

static davit_status bus_pause(void *self, struct davit_call *call, const void *none)
{
	struct bus *b = self;

	(void)call;
	(void)none;
	__atomic_store_n(&b->paused, 1, __ATOMIC_RELEASE);
	return DAVIT_OK;
}

static davit_status bus_resume(void *self, struct davit_call *call, const void *none)
{
	struct bus *b = self;

	(void)call;
	(void)none;
	__atomic_store_n(&b->paused, 0, __ATOMIC_RELEASE);
	bus_wake(b);
	return DAVIT_OK;
}

static const struct davit_pubsub_ops bus_ops =
	DAVIT_INIT(davit_pubsub_ops, .features = DAVIT_PUBSUB_TTL | DAVIT_PUBSUB_BULK | DAVIT_PUBSUB_DURABLE,
		   .publish = publish_one, .bulk_publish = publish_bulk, .subscribe = consumer_subscribe,
		   .settle = consumer_settle, .pause = bus_pause, .resume = bus_resume);

static const struct davit_component bus_component = DAVIT_PUBSUB("pubsub.sqlite", "v1", &bus_ops, .flags = DAVIT_LOOP,
								 .open = bus_open, .close = bus_close,
								 .ping = bus_ping);

DAVIT_PLUGIN(PLUGIN_NAME, PLUGIN_VERSION, "Davit", &bus_component);
