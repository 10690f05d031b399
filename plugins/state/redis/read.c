/* SPDX-License-Identifier: Apache-2.0 */
#include "store.h"

#include <stdlib.h>

#define EMIT_COPY 4096 /* bytes of a value up to which a copy is cheaper than handing it over */

static void free_request(void *arg)
{
	redis_request_unref(arg);
}

/* The reply becomes a record: large ones are handed over with the request that holds them. */
static davit_status emit(struct davit_call *call, const struct davit_state_item *item, struct redis_request *r)
{
	if (item->value.n > EMIT_COPY)
		return davit_emit_owned(call, item, free_request, redis_request_ref(r));
	return davit_emit_state(call, item);
}

static int is_string(const redisReply *r)
{
	return r->type == REDIS_REPLY_STRING;
}

/* From HGETALL. 1: *ret_item has value and ETag; 0: there is no such key; -1: a hash, but none of a state store. */
static int take_hash(const redisReply *r, struct davit_state_item *ret_item)
{
	int data = 0, version = 0;
	size_t i;

	for (i = 0; i + 1 < r->elements; i += 2) {
		const redisReply *name = r->element[i], *value = r->element[i + 1];

		if (!is_string(name) || !is_string(value))
			continue;
		if (name->len == 4 && memcmp(name->str, "data", 4) == 0) {
			ret_item->value = (struct davit_bytes){ value->str, (size_t)value->len };
			data = 1;
		} else if (name->len == 7 && memcmp(name->str, "version", 7) == 0) {
			ret_item->etag = (struct davit_str){ value->str, (size_t)value->len };
			version = 1;
		}
	}
	return r->elements == 0 ? 0 : data && version ? 1 : -1;
}

static struct redis_request *begin(struct store *s, const char *command, struct davit_str key, davit_status *ret_status,
				   char why[REDIS_WHY])
{
	const char *argv[] = { command, key.p };
	size_t lengths[] = { strlen(command), key.n };
	struct redis_command in = { .argc = 2, .argv = argv, .lengths = lengths, .key = key, .read = 1 };

	return redis_begin(s->client, &in, ret_status, why);
}

/* What lies there as plain text, without a version, is readable all the same. */
static davit_status read_plain(struct store *s, struct davit_call *call, struct davit_str key,
			       struct davit_state_item *item, struct redis_request **request, int *ret_found,
			       char why[REDIS_WHY])
{
	const redisReply *reply;
	davit_status status;

	redis_request_unref(*request);
	*request = begin(s, "GET", key, &status, why);
	if (*request != NULL)
		status = redis_end(s->client, call, *request, &reply, why);
	if (status != DAVIT_OK)
		return status;
	if (reply->type == REDIS_REPLY_NIL)
		return DAVIT_OK;
	if (!is_string(reply)) {
		snprintf(why, REDIS_WHY, "%s", reply->type == REDIS_REPLY_ERROR ? reply->str : "unexpected reply");
		return DAVIT_INTERNAL;
	}
	item->value = (struct davit_bytes){ reply->str, (size_t)reply->len };
	*ret_found = 1;
	return DAVIT_OK;
}

/* *request stays the caller's, whatever becomes of it: what the item points to lies in it. */
static davit_status end(struct store *s, struct davit_call *call, struct davit_str key, struct redis_request **request,
			struct davit_state_item *item, int *ret_found, char why[REDIS_WHY])
{
	const redisReply *reply;
	davit_status status = redis_end(s->client, call, *request, &reply, why);
	int got;

	*ret_found = 0;
	if (status != DAVIT_OK)
		return status;
	if (redis_reply_is(reply, "WRONGTYPE"))
		return read_plain(s, call, key, item, request, ret_found, why);
	if (reply->type != REDIS_REPLY_ARRAY) {
		snprintf(why, REDIS_WHY, "%s", reply->type == REDIS_REPLY_ERROR ? reply->str : "unexpected reply");
		return DAVIT_INTERNAL;
	}
	got = take_hash(reply, item);
	if (got < 0) {
		snprintf(why, REDIS_WHY, "required hash field 'data' or 'version' was not found");
		return DAVIT_INTERNAL;
	}
	*ret_found = got;
	return DAVIT_OK;
}

davit_status read_get(struct store *s, struct davit_call *call, const struct davit_state_key *in)
{
	struct davit_state_item item = DAVIT_INIT(davit_state_item, .key = in->key);
	struct redis_request *r;
	davit_status status;
	char why[REDIS_WHY] = "";
	int found = 0;

	r = begin(s, "HGETALL", in->key, &status, why);
	if (r != NULL)
		status = end(s, call, in->key, &r, &item, &found, why);
	if (status != DAVIT_OK)
		status = davit_fail(call, status, NULL, "%s", why);
	else if (found)
		status = emit(call, &item, r);
	redis_request_unref(r);
	return status;
}

static davit_status emit_failure(struct davit_call *call, struct davit_str key, davit_status status, const char *why)
{
	struct davit_state_item item = DAVIT_INIT(davit_state_item, .status = status, .key = key,
						  .error = davit_str(why));

	return davit_emit_state(call, &item);
}

/* All are on their way before the first is waited for. One that fails is told in its place. */
davit_status read_bulk(struct store *s, struct davit_call *call, const struct davit_state_bulk *in)
{
	struct redis_request **requests = davit_alloc(call, sizeof(struct redis_request *) * (in->n ? in->n : 1));
	davit_status *statuses = davit_alloc(call, sizeof(davit_status) * (in->n ? in->n : 1)), status = DAVIT_OK;
	char why[REDIS_WHY] = "";
	uint64_t i;
	int found;

	if (requests == NULL || statuses == NULL)
		return davit_fail(call, DAVIT_EXHAUSTED, NULL, "no memory left");
	for (i = 0; i < in->n; i++)
		requests[i] = begin(s, "HGETALL", in->keys[i]->key, &statuses[i], why);
	for (i = 0; i < in->n; i++) {
		struct davit_state_item item = DAVIT_INIT(davit_state_item, .key = in->keys[i]->key);

		if (requests[i] != NULL && status == DAVIT_OK) {
			found = 0;
			statuses[i] = end(s, call, in->keys[i]->key, &requests[i], &item, &found, why);
			if (statuses[i] == DAVIT_OK && found)
				status = emit(call, &item, requests[i]);
		}
		if (statuses[i] == DAVIT_CANCELLED)
			status = statuses[i];
		else if (statuses[i] != DAVIT_OK && status == DAVIT_OK)
			status = emit_failure(call, in->keys[i]->key, statuses[i], why);
		redis_request_unref(requests[i]);
	}
	return status;
}
