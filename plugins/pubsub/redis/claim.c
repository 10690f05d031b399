/* SPDX-License-Identifier: Apache-2.0 */
/* What was given to somebody and is still not settled after processingTimeout is given again. */
#include <davit/sleep.h>
#include <stdlib.h>

#include "subscription.h"

struct old { /* messages to claim, of one page */
	char (*ids)[ENTRY_ID];
	size_t n;
};

static davit_status ask(struct subscription *b, const char **argv, const size_t *lengths, int argc,
			struct redis_request **ret_request, const redisReply **ret_reply, char why[REDIS_WHY])
{
	struct redis_command command = { .argc = argc, .argv = argv, .lengths = lengths, .key = b->topic, .read = 1 };
	davit_status status = redis_do(b->streams->client, b->call, &command, ret_request, ret_reply, why);

	if (status != DAVIT_OK)
		return status;
	status = streams_error(*ret_reply, why);
	if (status != DAVIT_OK)
		redis_request_unref(*ret_request);
	return status;
}

/* The first ID behind this one. "": there is none. */
static void next_id(const char *id, char ret_next[ENTRY_ID])
{
	const char *dash = strchr(id, '-');
	unsigned long long time = strtoull(id, NULL, 10), count = dash ? strtoull(dash + 1, NULL, 10) : 0;

	count++;
	time += count == 0;
	if (time == 0)
		ret_next[0] = '\0';
	else
		snprintf(ret_next, ENTRY_ID, "%llu-%llu", time, count);
}

/* [[id, consumer, idle, times], ...]: the old ones nobody here holds; how far the page went in from. */
static void sort_out(struct subscription *b, const redisReply *page, struct old *ret_old, char from[ENTRY_ID])
{
	const redisReply *row, *id, *idle;
	size_t i;

	ret_old->n = 0;
	/* A server may answer more than it was asked for. */
	for (i = 0; i < page->elements && i < (size_t)b->streams->settings.depth; i++) {
		row = page->element[i];
		if (row->type != REDIS_REPLY_ARRAY || row->elements < 3)
			continue;
		id = row->element[0];
		idle = row->element[2];
		if (id->type != REDIS_REPLY_STRING || (size_t)id->len >= ENTRY_ID || idle->type != REDIS_REPLY_INTEGER)
			continue;
		next_id(id->str, from);
		if (idle->integer >= b->streams->settings.processing_ms && held_find(&b->held, id->str) == NULL)
			memcpy(ret_old->ids[ret_old->n++], id->str, (size_t)id->len + 1);
	}
}

/* A page of what is pending, from an ID on. *ret_more: there may be another behind it. */
static davit_status look(struct subscription *b, char from[ENTRY_ID], struct old *ret_old, int *ret_more,
			 char why[REDIS_WHY])
{
	const struct settings *settings = &b->streams->settings;
	char count[24];
	const char *argv[] = { "XPENDING", b->topic.p, settings->group, from, "+", count };
	size_t lengths[] = { 8, b->topic.n, strlen(settings->group), strlen(from), 1, 0 };
	struct redis_request *r;
	const redisReply *page;
	davit_status status;

	snprintf(count, sizeof(count), "%lld", (long long)settings->depth);
	lengths[5] = strlen(count);
	status = ask(b, argv, lengths, 6, &r, &page, why);
	if (status != DAVIT_OK)
		return status;
	*ret_more = page->type == REDIS_REPLY_ARRAY && page->elements >= (size_t)settings->depth;
	ret_old->n = 0;
	if (page->type == REDIS_REPLY_ARRAY)
		sort_out(b, page, ret_old, from);
	*ret_more &= from[0] != '\0';
	redis_request_unref(r);
	return DAVIT_OK;
}

/* Servers before 7 keep what has been trimmed away pending for ever, and answer nil for it. */
static davit_status forget_deleted(struct subscription *b, const char *id, char why[REDIS_WHY])
{
	const char *argv[] = { "XRANGE", b->topic.p, id, id };
	size_t lengths[] = { 6, b->topic.n, strlen(id), strlen(id) };
	struct redis_request *r;
	const redisReply *reply;
	davit_status status = ask(b, argv, lengths, 4, &r, &reply, why);
	int gone;

	if (status != DAVIT_OK)
		return status;
	gone = reply->type == REDIS_REPLY_ARRAY && reply->elements == 0;
	redis_request_unref(r);
	return gone ? acknowledge(b, b->call, &id, 1, why) : DAVIT_OK;
}

static int has_nil(const redisReply *entries)
{
	size_t i;

	for (i = 0; i < entries->elements; i++)
		if (entries->element[i]->type == REDIS_REPLY_NIL)
			return 1;
	return 0;
}

static int is_among(const redisReply *entries, const char *id)
{
	struct entry e;
	size_t i;

	for (i = 0; i < entries->elements; i++)
		if (entry_read(entries->element[i], &e) == 0 && strcmp(e.id, id) == 0)
			return 1;
	return 0;
}

/* Whoever asks first gets each: for all others it is young again. */
static davit_status claim(struct subscription *b, const struct old *old, char why[REDIS_WHY])
{
	const char *group = b->streams->settings.group;
	const char **argv = calloc(old->n + 5, sizeof(*argv));
	size_t *lengths = calloc(old->n + 5, sizeof(*lengths)), i;
	char idle[24];
	const char *const words[] = { "XCLAIM", b->topic.p, group, group, idle };
	struct redis_request *r = NULL;
	const redisReply *entries;
	davit_status status = DAVIT_EXHAUSTED;

	snprintf(why, REDIS_WHY, "no memory left");
	snprintf(idle, sizeof(idle), "%lld", (long long)b->streams->settings.processing_ms);
	if (argv == NULL || lengths == NULL)
		goto end;
	for (i = 0; i < old->n + 5; i++) {
		argv[i] = i < 5 ? words[i] : old->ids[i - 5];
		lengths[i] = i == 1 ? b->topic.n : strlen(argv[i]);
	}
	status = ask(b, argv, lengths, (int)old->n + 5, &r, &entries, why);
	if (status != DAVIT_OK || entries->type != REDIS_REPLY_ARRAY)
		goto end;
	for (i = 0; has_nil(entries) && i < old->n && status == DAVIT_OK; i++)
		if (!is_among(entries, old->ids[i]))
			status = forget_deleted(b, old->ids[i], why);
	if (subscription_emit(b, entries) != DAVIT_OK)
		status = DAVIT_CANCELLED;
	redis_request_unref(r);
end:
	free(argv);
	free(lengths);
	return status;
}

static davit_status claim_all(struct subscription *b, struct old *old, char why[REDIS_WHY])
{
	davit_status status = DAVIT_OK;
	char from[ENTRY_ID] = "-";
	int more = 1;

	while (more && status == DAVIT_OK && !b->streams->paused) {
		status = look(b, from, old, &more, why);
		if (status == DAVIT_OK && old->n > 0)
			status = claim(b, old, why);
	}
	return status;
}

void claim_run(void *subscription)
{
	struct subscription *b = subscription;
	struct streams *s = b->streams;
	struct old old = { .ids = calloc((size_t)s->settings.depth, ENTRY_ID) };
	char why[REDIS_WHY] = "no memory left";
	davit_status status;
	int failed = 0;

	while (!davit_cancelled(b->call)) {
		status = old.ids != NULL ? claim_all(b, &old, why) : DAVIT_EXHAUSTED;
		if (status != DAVIT_OK && !failed && !davit_cancelled(b->call))
			davit_log(s->instance, DAVIT_LOG_WARN,
				  "redis streams: error retrieving pending messages of stream %s: %s", b->topic.p, why);
		failed = status != DAVIT_OK;
		if (davit_sleep_service(s->instance)->sleep(s->instance, b->call, s->settings.redeliver_ms) != DAVIT_OK)
			break;
		if (old.ids == NULL)
			old.ids = calloc((size_t)s->settings.depth, ENTRY_ID);
	}
	free(old.ids);
	b->claiming = 0;
	if (b->waiter != NULL)
		s->fiber->wake(b->waiter);
}
