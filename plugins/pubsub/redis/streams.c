/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pubsub.redis: messages in Redis Streams, in Dapr's layout, so that either delivers what the other published. What was
 * published stays until it is trimmed; what a subscriber refused stays pending in its group and comes again.
 */
#include "streams.h"

#include <stdlib.h>
#include <time.h>

#include "subscription.h"

struct slot_waiter {
	struct slot_waiter *next;
	struct davit_fiber *fiber;
	int listed;
};

static void wake_all(struct streams *s)
{
	struct slot_waiter *w;

	while ((w = s->waiters) != NULL) {
		s->waiters = w->next;
		w->listed = 0;
		s->fiber->wake(w->fiber);
	}
}

static void unlist(struct streams *s, struct slot_waiter *w)
{
	struct slot_waiter **at = &s->waiters;

	while (w->listed && *at != w)
		at = &(*at)->next;
	if (w->listed)
		*at = w->next;
	w->listed = 0;
}

davit_status streams_take(struct streams *s, struct davit_call *call, int counted)
{
	struct slot_waiter w = { .fiber = s->fiber->self(s->instance) };
	davit_status status = DAVIT_OK;

	while (status == DAVIT_OK && (s->paused || (counted && s->taken >= s->settings.concurrency))) {
		if (!w.listed) {
			w.next = s->waiters;
			s->waiters = &w;
			w.listed = 1;
		}
		status = s->fiber->park(s->instance, call, 0);
	}
	unlist(s, &w);
	if (status != DAVIT_OK)
		return DAVIT_CANCELLED;
	s->taken += counted;
	return DAVIT_OK;
}

void streams_give(struct streams *s, int counted)
{
	if (!counted)
		return;
	s->taken--;
	wake_all(s);
}

davit_status streams_error(const redisReply *r, char why[REDIS_WHY])
{
	static const struct {
		const char *word;
		davit_status status;
	} known[] = {
		{ "OOM", DAVIT_EXHAUSTED },	      { "NOPERM", DAVIT_PERMISSION_DENIED },
		{ "NOAUTH", DAVIT_UNAUTHENTICATED },  { "WRONGTYPE", DAVIT_FAILED_PRECONDITION },
		{ "LOADING", DAVIT_UNAVAILABLE },     { "READONLY", DAVIT_UNAVAILABLE },
		{ "CLUSTERDOWN", DAVIT_UNAVAILABLE }, { "MASTERDOWN", DAVIT_UNAVAILABLE },
	};
	size_t i;

	if (r->type != REDIS_REPLY_ERROR)
		return DAVIT_OK;
	snprintf(why, REDIS_WHY, "%.*s", r->len > 300 ? 300 : (int)r->len, r->str);
	for (i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (redis_reply_is(r, known[i].word))
			return known[i].status;
	return DAVIT_INTERNAL;
}

/* ---- Publishing ---- */

/* How the stream is kept short: at least two words more, the second of them in text. Returns how many. */
static int trim(const struct settings *settings, const char **words, char text[48])
{
	struct timespec now;

	if (settings->most > 0) {
		snprintf(text, 48, "%lld", (long long)settings->most);
		words[0] = "MAXLEN";
	} else if (settings->keep_ms > 0) {
		clock_gettime(CLOCK_REALTIME, &now);
		snprintf(text, 48, "%lld-1",
			 (long long)now.tv_sec * 1000 + now.tv_nsec / 1000000 - (long long)settings->keep_ms);
		words[0] = "MINID";
	} else {
		return 0;
	}
	words[1] = "~";
	words[2] = text;
	return 3;
}

static davit_status publish(struct streams *s, struct davit_call *call, const struct davit_publish *in)
{
	const char *argv[10] = { "XADD", in->topic.p };
	size_t lengths[10] = { 4, in->topic.n };
	struct redis_command command = { .argv = argv, .lengths = lengths, .key = in->topic };
	struct davit_bytes metadata = { NULL, 0 };
	struct redis_request *r;
	const redisReply *reply;
	char text[48], why[REDIS_WHY] = "";
	davit_status status;
	int n = 2, i;

	if (in->nmetadata > 0) {
		metadata = entry_write_metadata(call, in->metadata, in->nmetadata);
		if (metadata.p == NULL)
			return davit_fail(call, DAVIT_EXHAUSTED, NULL, "no memory left");
	}
	n += trim(&s->settings, argv + n, text);
	argv[n++] = "*";
	argv[n++] = "data";
	for (i = 2; i < n; i++)
		lengths[i] = strlen(argv[i]);
	argv[n] = in->data.n ? in->data.p : "";
	lengths[n++] = in->data.n;
	if (metadata.p != NULL) {
		argv[n] = "metadata";
		lengths[n++] = 8;
		argv[n] = metadata.p;
		lengths[n++] = metadata.n;
	}
	command.argc = n;
	status = redis_do(s->client, call, &command, &r, &reply, why);
	if (status == DAVIT_OK) {
		status = streams_error(reply, why);
		redis_request_unref(r);
	}
	if (status == DAVIT_OK)
		return DAVIT_OK;
	return davit_fail(call, status, NULL, "redis streams: error from publish: %s", why);
}

/* ---- Settling ---- */

static struct held *held_of(uint64_t token)
{
	return (struct held *)(uintptr_t)token;
}

/* Of one subscription, all in one outcome. */
static davit_status settle_some(struct subscription *b, struct davit_call *call, int outcome, const uint64_t *tokens,
				size_t n)
{
	const char **ids = davit_alloc(call, n * sizeof(*ids));
	char why[REDIS_WHY] = "no memory left";
	davit_status status = DAVIT_OK;
	size_t i;

	if (ids == NULL)
		return davit_fail(call, DAVIT_EXHAUSTED, NULL, "%s", why);
	for (i = 0; i < n; i++) {
		ids[i] = held_of(tokens[i])->id;
		streams_give(b->streams, b->counted);
	}
	if (outcome != DAVIT_SETTLE_RETRY)
		status = acknowledge(b, call, ids, n, why);
	else if (b->ended || b->streams->paused)
		give_back(b, ids, n);
	b->references++;
	for (i = 0; i < n; i++) {
		held_remove(&b->held, held_of(tokens[i]));
		subscription_unref(b);
	}
	if (status != DAVIT_OK)
		status = davit_fail(call, status == DAVIT_EXHAUSTED ? DAVIT_UNAVAILABLE : status, NULL,
				    "redis streams: error acknowledging messages of stream %s: %s", b->topic.p, why);
	subscription_unref(b);
	return status;
}

static davit_status settle(struct streams *s, struct davit_call *call, const struct davit_settle *in)
{
	davit_status status = DAVIT_OK, one;
	struct subscription *b;
	uint64_t i = 0, n;

	(void)s;
	while (i < in->ntokens) {
		b = held_of(in->tokens[i])->subscription;
		for (n = 1; i + n < in->ntokens && held_of(in->tokens[i + n])->subscription == b; n++)
			;
		one = settle_some(b, call, in->outcome, in->tokens + i, n);
		if (one != DAVIT_OK)
			status = one;
		i += n;
	}
	return status;
}

/* ---- Opening and closing ---- */

static void streams_free(struct streams *s)
{
	redis_client_close(s->client);
	settings_release(&s->settings);
	free(s);
}

static davit_status set_up(struct streams *s, struct davit_call *call, const struct davit_open *in)
{
	char why[REDIS_WHY] = "";
	davit_status status;

	if (settings_read(in, &s->settings, why) < 0)
		return davit_fail(call, DAVIT_INVALID_ARGUMENT, NULL, "%s", why);
	if (s->settings.most > 0 && s->settings.keep_ms > 0 && in->loop == 0)
		davit_log(s->instance, DAVIT_LOG_WARN,
			  "redis streams: maxLenApprox and streamTTL cannot be used together: streamTTL is ignored");
	s->client = s->fiber ? redis_client_new(s->instance, &s->settings.redis) : NULL;
	if (s->client == NULL)
		return davit_fail(call, DAVIT_EXHAUSTED, NULL, "no memory left, or this kernel lacks a service");
	status = redis_client_start(s->client, call, why);
	if (status != DAVIT_OK)
		return davit_fail(call, status, NULL, "redis streams: error connecting to redis at %s: %s",
				  s->settings.redis.shown, why);
	return DAVIT_OK;
}

static davit_status streams_open(void *none, struct davit_call *call, const struct davit_open *in)
{
	struct streams *s = calloc(1, sizeof(*s));
	davit_status status;

	(void)none;
	if (s == NULL)
		return davit_fail(call, DAVIT_EXHAUSTED, NULL, "no memory left");
	s->instance = in->instance;
	s->fiber = davit_fiber_service(in->instance);
	status = set_up(s, call, in);
	if (status == DAVIT_OK)
		status = davit_emit_self(call, s);
	if (status != DAVIT_OK)
		streams_free(s);
	return status;
}

/* Operations under way end by themselves when the client does, or have their deadline. */
static davit_status streams_close(void *self, struct davit_call *call, const void *none)
{
	struct streams *s = self;

	(void)none;
	redis_client_stop(s->client);
	s->closer = s->fiber->self(s->instance);
	while (s->users > 0)
		if (s->fiber->park(s->instance, call, 0) != DAVIT_OK)
			return davit_fail(call, DAVIT_DEADLINE_EXCEEDED, NULL, "%llu operations have not ended",
					  (unsigned long long)s->users);
	streams_free(s);
	return DAVIT_OK;
}

static davit_status ping(struct streams *s, struct davit_call *call, const void *none)
{
	char why[REDIS_WHY] = "";
	davit_status status = redis_client_start(s->client, call, why);

	(void)none;
	if (status == DAVIT_OK)
		return DAVIT_OK;
	return davit_fail(call, status, NULL, "redis pubsub: error connecting to redis at %s: %s",
			  s->settings.redis.shown, why);
}

/* Each operation is counted, so that close() knows when nobody is here any more. */
static davit_status leave(struct streams *s, davit_status status)
{
	s->users--;
	if (s->users == 0 && s->closer != NULL)
		s->fiber->wake(s->closer);
	return status;
}

#define COUNTED(name, fn, type) \
	static davit_status name(void *self, struct davit_call *call, const type *in) \
	{ \
		struct streams *s = self; \
\
		s->users++; \
		return leave(s, fn(s, call, in)); \
	}

COUNTED(streams_publish, publish, struct davit_publish)
COUNTED(streams_subscribe, subscription_run, struct davit_subscribe)
COUNTED(streams_settle, settle, struct davit_settle)
COUNTED(streams_ping, ping, void)

static davit_status streams_pause(void *self, struct davit_call *call, const void *none)
{
	struct streams *s = self;

	(void)call, (void)none;
	s->paused = 1;
	return DAVIT_OK;
}

static davit_status streams_resume(void *self, struct davit_call *call, const void *none)
{
	struct streams *s = self;

	(void)call, (void)none;
	s->paused = 0;
	wake_all(s);
	return DAVIT_OK;
}

static const struct davit_pubsub_ops streams_ops = DAVIT_INIT(davit_pubsub_ops, .features = DAVIT_PUBSUB_DURABLE,
							      .publish = streams_publish,
							      .subscribe = streams_subscribe, .settle = streams_settle,
							      .pause = streams_pause, .resume = streams_resume);

static const struct davit_component streams_component = DAVIT_PUBSUB("pubsub.redis", "v1", &streams_ops,
								     .flags = DAVIT_LOOP | DAVIT_PER_LOOP,
								     .open = streams_open, .close = streams_close,
								     .ping = streams_ping);

DAVIT_PLUGIN(PLUGIN_NAME, PLUGIN_VERSION, "Davit", &streams_component);
