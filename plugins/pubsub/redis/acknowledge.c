/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "subscription.h"

struct words {
	const char **argv;
	size_t *lengths;
	size_t n;
};

static int words_init(struct words *w, size_t room)
{
	w->n = 0;
	w->argv = calloc(room, sizeof(*w->argv));
	w->lengths = calloc(room, sizeof(*w->lengths));
	return w->argv != NULL && w->lengths != NULL ? 0 : -1;
}

static void words_release(struct words *w)
{
	free(w->argv);
	free(w->lengths);
}

static void add(struct words *w, const char *p, size_t n)
{
	w->argv[w->n] = p;
	w->lengths[w->n++] = n;
}

static void add_ids(struct words *w, const char *const *ids, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		add(w, ids[i], strlen(ids[i]));
}

static davit_status run(struct subscription *b, struct davit_call *call, const struct words *w, int once,
			char why[REDIS_WHY])
{
	struct redis_command command = { .argc = (int)w->n,
					 .argv = w->argv,
					 .lengths = w->lengths,
					 .key = b->topic,
					 .read = 1, /* twice is as good as once */
					 .once = once };
	struct streams *s = b->streams;
	struct redis_request *r;
	const redisReply *reply;
	davit_status status;

	/* At the end one wait for a server that is silent is enough. */
	if (s->silent && (b->ended || s->paused)) {
		snprintf(why, REDIS_WHY, "the server does not reply");
		return DAVIT_UNAVAILABLE;
	}
	status = redis_do(s->client, call, &command, &r, &reply, why);
	s->silent = status == DAVIT_DEADLINE_EXCEEDED;
	if (status != DAVIT_OK)
		return status;
	status = streams_error(reply, why);
	redis_request_unref(r);
	return status;
}

davit_status acknowledge(struct subscription *b, struct davit_call *call, const char *const *ids, size_t n,
			 char why[REDIS_WHY])
{
	const char *group = b->streams->settings.group;
	struct words w;
	davit_status status = DAVIT_EXHAUSTED;

	snprintf(why, REDIS_WHY, "no memory left");
	if (words_init(&w, n + 3) == 0) {
		add(&w, "XACK", 4);
		add(&w, b->topic.p, b->topic.n);
		add(&w, group, strlen(group));
		add_ids(&w, ids, n);
		status = run(b, call, &w, 1, why);
		/* A server that was lost may be there again; one that is silent, or our own end, is not waited for. */
		if (status == DAVIT_UNAVAILABLE && !b->ended && !b->streams->paused)
			status = run(b, call, &w, 0, why);
	}
	words_release(&w);
	return status;
}

void give_back(struct subscription *b, const char *const *ids, size_t n)
{
	const struct settings *settings = &b->streams->settings;
	const char *group = settings->group;
	char idle[24], why[REDIS_WHY] = "no memory left";
	davit_status status = DAVIT_EXHAUSTED;
	struct words w;

	if (settings->processing_ms == 0 || settings->redeliver_ms == 0)
		return; /* nobody would look */
	snprintf(idle, sizeof(idle), "%lld", (long long)settings->processing_ms);
	if (words_init(&w, n + 8) == 0) {
		add(&w, "XCLAIM", 6);
		add(&w, b->topic.p, b->topic.n);
		add(&w, group, strlen(group));
		add(&w, group, strlen(group));
		add(&w, "0", 1);
		add_ids(&w, ids, n);
		add(&w, "IDLE", 4);
		add(&w, idle, strlen(idle));
		add(&w, "JUSTID", 6);
		status = run(b, NULL, &w, 1, why);
	}
	words_release(&w);
	if (status != DAVIT_OK)
		davit_log(b->streams->instance, DAVIT_LOG_INFO,
			  "redis streams: %zu messages of stream %s come again only after processingTimeout: %s", n,
			  b->topic.p, why);
}
