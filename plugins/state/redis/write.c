/* SPDX-License-Identifier: Apache-2.0 */
#include "store.h"

#include <errno.h>
#include <stdlib.h>

#define WAIT_MS "1000"	       /* how long a strong write waits for the replicas */
#define TTL_MOST 8000000000000 /* seconds; EXPIRE counts milliseconds since 1970 in 64 bits */

int version_of(uint32_t flags, struct davit_str etag, struct version *ret_version)
{
	char *end;
	long long v;

	memcpy(ret_version->text, "0", 2);
	if (!(flags & DAVIT_STATE_HAS_ETAG) || etag.n == 0)
		return 0;
	if (etag.n > 20 || strspn(etag.p, "+-0123456789") != etag.n)
		return -1;
	errno = 0;
	v = strtoll(etag.p, &end, 10);
	if (*end != '\0' || errno == ERANGE)
		return -1;
	snprintf(ret_version->text, sizeof(ret_version->text), "%lld", v);
	return 0;
}

struct ttl ttl_of(const struct store *s, const struct davit_state_set *in)
{
	int64_t seconds = in->ttl_s;
	struct ttl t = { "" };

	if (seconds == 0 && !s->has_ttl)
		return t;
	if (seconds == 0)
		seconds = s->ttl_s;
	if (seconds <= 0 || seconds > TTL_MOST)
		seconds = -1;
	snprintf(t.text, sizeof(t.text), "%lld", (long long)seconds);
	return t;
}

int shown(struct davit_str s)
{
	return s.n > 384 ? 384 : (int)s.n;
}

davit_status etag_invalid(struct fault *f, struct davit_str etag)
{
	return fault_set(f, DAVIT_INVALID_ARGUMENT, "ETAG_INVALID", "\"%.*s\" is not a version of this store",
			 shown(etag), etag.p);
}

davit_status etag_mismatch(struct fault *f, const char *doing, struct davit_str key)
{
	return fault_set(f, DAVIT_ABORTED, "ETAG_MISMATCH", "failed to %s key %.*s", doing, shown(key), key.p);
}

davit_status etag_missing(struct fault *f, struct davit_str key)
{
	return fault_set(f, DAVIT_FAILED_PRECONDITION, NULL,
			 "failed to set key %.*s: it was saved as first-write and needs its ETag", shown(key), key.p);
}

/* One save or delete on its way. */
struct writing {
	struct words words;
	struct davit_str key;
	enum script script;
	int strong;
	struct version version;
	struct ttl ttl;
	struct redis_request *request, *wait;
};

/* A strong write waits for the replicas, on a connection where nobody else has to wait with it. */
static davit_status begin(struct store *s, struct writing *w, struct fault *f)
{
	const char *argv[] = { "WAIT", NULL, WAIT_MS };
	struct redis_command wait = { .argc = 3, .argv = argv, .key = w->key, .strong = 1 };
	char replicas[16], why[REDIS_WHY] = "";
	davit_status status;

	w->request = script_begin(s, w->script, &w->words, w->key, w->strong, &status, why);
	if (w->request == NULL)
		return fault_set(f, status, NULL, "%s", why);
	if (w->strong) {
		snprintf(replicas, sizeof(replicas), "%d", s->replicas);
		argv[1] = replicas;
		w->wait = redis_begin(s->client, &wait, &status, why);
	}
	return DAVIT_OK;
}

static davit_status begin_set(struct store *s, struct davit_call *call, const struct davit_state_set *in,
			      struct writing *w, struct fault *f)
{
	w->key = in->key;
	w->script = SCRIPT_SET;
	w->strong = (in->flags & DAVIT_STATE_STRONG) && s->replicas > 0;
	w->ttl = ttl_of(s, in);
	w->request = w->wait = NULL;
	if (version_of(in->flags, in->etag, &w->version) < 0)
		return etag_invalid(f, in->etag);
	if (script_words(&w->words, call, 1, 4) < 0)
		return fault_no_memory(f);
	words_add_bytes(&w->words, in->key.p, in->key.n);
	words_add(&w->words, w->version.text);
	words_add_bytes(&w->words, in->value.p, in->value.n);
	words_add(&w->words, in->flags & DAVIT_STATE_FIRST_WRITE ? "0" : "1");
	words_add(&w->words, w->ttl.text);
	return begin(s, w, f);
}

static davit_status begin_del(struct store *s, struct davit_call *call, const struct davit_state_key *in,
			      struct writing *w, struct fault *f)
{
	w->key = in->key;
	w->script = SCRIPT_DEL;
	w->strong = 0;
	w->request = w->wait = NULL;
	if (script_words(&w->words, call, 1, 1) < 0)
		return fault_no_memory(f);
	words_add_bytes(&w->words, in->key.p, in->key.n);
	if ((in->flags & DAVIT_STATE_HAS_ETAG) && in->etag.n > 0)
		words_add_bytes(&w->words, in->etag.p, in->etag.n);
	else
		words_add(&w->words, "0");
	return begin(s, w, f);
}

static davit_status end_wait(struct store *s, struct davit_call *call, struct writing *w, struct fault *f)
{
	const redisReply *reply;
	char why[REDIS_WHY] = "";
	davit_status status = redis_end(s->client, call, w->wait, &reply, why);

	if (status == DAVIT_OK && reply->type == REDIS_REPLY_ERROR) {
		status = DAVIT_INTERNAL;
		snprintf(why, sizeof(why), "%.*s", reply->len > 400 ? 400 : (int)reply->len, reply->str);
	}
	if (status != DAVIT_OK)
		return fault_set(f, status, NULL, "redis waiting for %d replicas to acknowledge write, err: %s",
				 s->replicas, why);
	return DAVIT_OK; /* fewer than that many are no failure: so it is in Dapr */
}

static davit_status end(struct store *s, struct davit_call *call, struct writing *w, struct fault *f)
{
	const char *doing = w->script == SCRIPT_SET ? "set" : "delete";
	char what[512], why[REDIS_WHY] = "";
	const redisReply *reply;
	davit_status status;

	status = script_end(s, call, w->script, &w->words, w->key, w->strong, &w->request, &reply, why);
	if (status != DAVIT_OK || reply->type != REDIS_REPLY_INTEGER) {
		snprintf(what, sizeof(what), "failed to %s key %.*s", doing, shown(w->key), w->key.p);
		status = status == DAVIT_OK ? fault_reply(f, reply, what)
					    : fault_set(f, status, NULL, "%s: %s", what, why);
	} else if (w->script == SCRIPT_SET ? reply->integer == 0 : reply->integer < 0) {
		status = etag_mismatch(f, doing, w->key);
	} else if (reply->integer < 0) {
		status = etag_missing(f, w->key);
	} else if (w->wait != NULL) {
		status = end_wait(s, call, w, f);
	}
	redis_request_unref(w->request);
	redis_request_unref(w->wait);
	return status;
}

davit_status write_set(struct store *s, struct davit_call *call, const struct davit_state_set *in)
{
	struct writing w;
	struct fault f;
	davit_status status = begin_set(s, call, in, &w, &f);

	if (status == DAVIT_OK)
		status = end(s, call, &w, &f);
	return status == DAVIT_OK ? DAVIT_OK : fault_tell(&f, call);
}

davit_status write_del(struct store *s, struct davit_call *call, const struct davit_state_key *in)
{
	struct writing w;
	struct fault f;
	davit_status status = begin_del(s, call, in, &w, &f);

	if (status == DAVIT_OK)
		status = end(s, call, &w, &f);
	return status == DAVIT_OK ? DAVIT_OK : fault_tell(&f, call);
}

static void keep_worst(struct fault *worst, const struct fault *f)
{
	int mismatch = worst->reason != NULL && strcmp(worst->reason, "ETAG_MISMATCH") == 0;

	if (worst->status == DAVIT_OK || (mismatch && (f->reason == NULL || strcmp(f->reason, "ETAG_MISMATCH") != 0)))
		*worst = *f;
}

/* All are on their way before the first is waited for; each stands for itself. */
davit_status write_bulk(struct store *s, struct davit_call *call, const struct davit_state_bulk *in)
{
	struct writing *all = davit_alloc(call, sizeof(*all) * (in->n ? in->n : 1));
	struct fault f, worst = { .status = DAVIT_OK };
	davit_status status;
	uint64_t i;

	if (all == NULL)
		return davit_fail(call, DAVIT_EXHAUSTED, NULL, "no memory left");
	for (i = 0; i < in->n; i++) {
		status = in->sets ? begin_set(s, call, in->sets[i], &all[i], &f)
				  : begin_del(s, call, in->keys[i], &all[i], &f);
		if (status != DAVIT_OK)
			keep_worst(&worst, &f);
	}
	for (i = 0; i < in->n; i++)
		if (all[i].request != NULL && end(s, call, &all[i], &f) != DAVIT_OK)
			keep_worst(&worst, &f);
	return worst.status == DAVIT_OK ? DAVIT_OK : fault_tell(&worst, call);
}
