/* SPDX-License-Identifier: Apache-2.0 */
#include "subscription.h"

#include <davit/sleep.h>
#include <stdlib.h>

#define BLOCK_MS 5000 /* the server keeps a question for new messages so long */
#define BLOCK_TEXT "5000"
#define REST_LEAST 100 /* after a failure, doubled while there is no success */
#define REST_MOST 5000
#define MEMORY_MS 100 /* until another try when there is none */
#define GIVE_BACK 100 /* messages at once */

struct command_words {
	const char *argv[16];
	size_t lengths[16];
	int argc;
};

static void add(struct command_words *w, const char *p, size_t n)
{
	w->argv[w->argc] = p;
	w->lengths[w->argc++] = n;
}

static void add_all(struct command_words *w, const char *const *words, int n)
{
	int i;

	for (i = 0; i < n; i++)
		add(w, words[i], strlen(words[i]));
}

static davit_status ask(struct subscription *b, struct redis_client *client, const struct command_words *w, int once,
			struct redis_request **ret_request, const redisReply **ret_reply, char why[REDIS_WHY])
{
	struct redis_command command = { .argc = w->argc,
					 .argv = (const char **)w->argv,
					 .lengths = w->lengths,
					 .key = b->topic,
					 .read = 1, /* asked twice it does no harm */
					 .once = once };

	return redis_do(client, b->call, &command, ret_request, ret_reply, why);
}

/* From the stream's first message on, as in Dapr; that there is one already is what is hoped for. */
static davit_status create_group(struct subscription *b, char why[REDIS_WHY])
{
	const char *group = b->streams->settings.group;
	struct command_words w = { .argc = 0 };
	struct redis_request *r;
	const redisReply *reply;
	davit_status status;

	add_all(&w, (const char *const[]){ "XGROUP", "CREATE" }, 2);
	add(&w, b->topic.p, b->topic.n);
	add_all(&w, (const char *const[]){ group, "0", "MKSTREAM" }, 3);
	status = ask(b, b->streams->client, &w, 0, &r, &reply, why);
	if (status != DAVIT_OK)
		return status;
	status = redis_reply_is(reply, "BUSYGROUP") ? DAVIT_OK : streams_error(reply, why);
	redis_request_unref(r);
	return status;
}

void subscription_unref(struct subscription *b)
{
	if (--b->references == 0)
		free(b);
}

static void let_go(struct held *h)
{
	struct subscription *b = h->subscription;

	held_remove(&b->held, h);
	subscription_unref(b);
}

/* Copies: what the entry points to need not outlive it. */
static davit_status emit(struct subscription *b, const struct entry *e, struct held *h)
{
	struct davit_message m = DAVIT_INIT(davit_message, .token = (uint64_t)(uintptr_t)h, .topic = b->topic,
					    .data = e->data);
	struct entry_metadata metadata = { NULL, NULL, 0 };
	davit_status status;

	if (e->metadata.p != NULL && entry_read_metadata(e->metadata, &metadata) < 0)
		davit_log(b->streams->instance, DAVIT_LOG_WARN,
			  "redis streams: not all of the metadata of message %s in stream %s could be read", e->id,
			  b->topic.p);
	m.metadata = metadata.pairs;
	m.nmetadata = metadata.n;
	status = davit_emit_message(b->call, &m);
	entry_metadata_release(&metadata);
	return status;
}

static davit_status emit_when_possible(struct subscription *b, const struct entry *e, struct held *h)
{
	struct streams *s = b->streams;
	davit_status status = streams_take(s, b->call, b->counted);

	while (status == DAVIT_OK) {
		status = emit(b, e, h);
		if (status == DAVIT_OK)
			return DAVIT_OK;
		if (status == DAVIT_EXHAUSTED)
			status = davit_sleep_service(s->instance)->sleep(s->instance, b->call, MEMORY_MS);
		if (status != DAVIT_OK)
			streams_give(s, b->counted);
	}
	return DAVIT_CANCELLED;
}

/* From the i-th on, all that are held. They were not emitted. */
static void put_back(struct subscription *b, struct held **list, size_t i, size_t n)
{
	const char *ids[GIVE_BACK];
	size_t k;

	while (i < n) {
		for (k = 0; k < GIVE_BACK && i + k < n; k++)
			ids[k] = list[i + k]->id;
		give_back(b, ids, k);
		while (k-- > 0)
			let_go(list[i++]);
	}
}

davit_status subscription_emit(struct subscription *b, const redisReply *entries)
{
	struct held **list = calloc(entries->elements + 1, sizeof(struct held *));
	davit_status status = DAVIT_OK;
	size_t i, n = 0, at = 0;
	struct entry e;

	/* All are held before the first is emitted: that may take long. */
	for (i = 0; list != NULL && i < entries->elements; i++) {
		if (entry_read(entries->element[i], &e) < 0 || held_find(&b->held, e.id) != NULL)
			continue;
		list[n] = held_add(&b->held, b, e.id);
		if (list[n] == NULL)
			break; /* these stay pending */
		b->references++;
		n++;
	}
	for (i = 0; at < n && i < entries->elements && status == DAVIT_OK; i++) {
		if (entry_read(entries->element[i], &e) < 0 || strcmp(e.id, list[at]->id) != 0)
			continue;
		status = emit_when_possible(b, &e, list[at]);
		if (status == DAVIT_OK)
			at++;
	}
	put_back(b, list, at, n);
	free(list);
	return status;
}

/* [[topic, [entry, ...]]], or nil when nothing came. */
static const redisReply *entries_of(const redisReply *r)
{
	if (r->type != REDIS_REPLY_ARRAY || r->elements != 1 || r->element[0]->type != REDIS_REPLY_ARRAY ||
	    r->element[0]->elements != 2 || r->element[0]->element[1]->type != REDIS_REPLY_ARRAY)
		return NULL;
	return r->element[0]->element[1];
}

static davit_status read_some(struct subscription *b, char why[REDIS_WHY])
{
	const struct settings *settings = &b->streams->settings;
	struct command_words w = { .argc = 0 };
	struct redis_request *r;
	const redisReply *reply;
	davit_status status;
	char count[24];

	snprintf(count, sizeof(count), "%lld", (long long)settings->depth);
	add_all(&w,
		(const char *const[]){ "XREADGROUP", "GROUP", settings->group, settings->group, "COUNT", count, "BLOCK",
				       BLOCK_TEXT, "STREAMS" },
		9);
	add(&w, b->topic.p, b->topic.n);
	add(&w, ">", 1);
	status = ask(b, b->client, &w, 1, &r, &reply, why);
	if (status != DAVIT_OK)
		return status;
	if (redis_reply_is(reply, "NOGROUP")) {
		davit_log(b->streams->instance, DAVIT_LOG_WARN,
			  "redis streams: stream %s has lost its consumer group %s, perhaps the server its data: the "
			  "group "
			  "is made anew",
			  b->topic.p, settings->group);
		status = create_group(b, why);
	} else {
		status = streams_error(reply, why);
		if (status == DAVIT_OK && entries_of(reply) != NULL)
			status = subscription_emit(b, entries_of(reply));
	}
	redis_request_unref(r);
	return status;
}

/* Until the call ends. A server that is away comes back: one line when it goes and one when it is there again. */
static void read_on(struct subscription *b)
{
	struct davit_instance *instance = b->streams->instance;
	char why[REDIS_WHY] = "";
	davit_status status;
	int64_t rest = 0;

	while (!davit_cancelled(b->call)) {
		status = b->streams->paused ? streams_take(b->streams, b->call, 0) : read_some(b, why);
		if (status == DAVIT_OK) {
			if (rest > 0)
				davit_log(instance, DAVIT_LOG_INFO, "redis streams: stream %s is read again",
					  b->topic.p);
			rest = 0;
			continue;
		}
		if (davit_cancelled(b->call))
			break;
		if (rest == 0)
			davit_log(instance, DAVIT_LOG_WARN, "redis streams: error reading from stream %s: %s",
				  b->topic.p, why);
		rest = rest == 0 ? REST_LEAST : rest * 2 > REST_MOST ? REST_MOST : rest * 2;
		if (davit_sleep_service(instance)->sleep(instance, b->call, rest) != DAVIT_OK)
			break;
	}
}

static struct subscription *subscription_new(struct streams *s, struct davit_call *call,
					     const struct davit_subscribe *in)
{
	struct subscription *b = calloc(1, sizeof(*b) + in->topic.n + 1);

	if (b == NULL)
		return NULL;
	b->streams = s;
	b->call = call;
	b->references = 1;
	/* Of a batch the credit says how much there may be. */
	b->counted = in->bulk == 0;
	memcpy(b + 1, in->topic.p, in->topic.n);
	b->topic = (struct davit_str){ (char *)(b + 1), in->topic.n };
	b->options = s->settings.redis;
	if (b->options.read_ms > 0)
		b->options.read_ms += BLOCK_MS;
	b->client = redis_client_new(s->instance, &b->options);
	if (b->client != NULL)
		return b;
	free(b);
	return NULL;
}

static void end(struct subscription *b)
{
	const struct davit_fiber_service *fiber = b->streams->fiber;

	redis_client_stop(b->client);
	b->waiter = fiber->self(b->streams->instance);
	while (b->claiming)
		fiber->park(b->streams->instance, NULL, 0);
	redis_client_close(b->client);
	b->client = NULL;
	b->ended = 1;
	subscription_unref(b);
}

davit_status subscription_run(struct streams *s, struct davit_call *call, const struct davit_subscribe *in)
{
	struct subscription *b = subscription_new(s, call, in);
	char why[REDIS_WHY] = "";
	davit_status status;

	if (b == NULL)
		return davit_fail(call, DAVIT_EXHAUSTED, NULL, "no memory left");
	status = create_group(b, why);
	if (status == DAVIT_OK)
		status = davit_emit_subscribed(call);
	if (status == DAVIT_OK && s->settings.redeliver_ms > 0 && s->settings.processing_ms > 0) {
		b->claiming = 1;
		status = s->fiber->start(s->instance, claim_run, b);
		b->claiming = status == DAVIT_OK;
		snprintf(why, sizeof(why), "no fiber left");
	}
	if (status != DAVIT_OK)
		status = davit_fail(call, status, NULL, "redis streams: %s", why);
	else
		read_on(b);
	end(b);
	return status;
}
