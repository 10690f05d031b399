/* SPDX-License-Identifier: Apache-2.0 */
/* state.redis: state in Redis, in Dapr's layout, so that either reads what the other wrote. */
#include "store.h"

#include <stdlib.h>

static void store_free(struct store *s)
{
	redis_client_close(s->client);
	redis_options_release(&s->options);
	free(s);
}

/* What INFO says of replicas; a server that does not tell has none. */
static davit_status count_replicas(struct store *s, struct davit_call *call, char why[REDIS_WHY])
{
	const char *words[] = { "INFO", "replication" };
	struct redis_command command = { .argc = 2, .argv = words, .read = 1 };
	struct redis_request *r;
	const redisReply *reply;
	davit_status status = redis_do(s->client, call, &command, &r, &reply, why);
	const char *at;

	if (status != DAVIT_OK)
		return status;
	if (reply->type == REDIS_REPLY_STRING && (at = strstr(reply->str, "connected_slaves:")) != NULL)
		s->replicas = (int)strtol(at + 17, NULL, 10);
	redis_request_unref(r);
	return DAVIT_OK;
}

static davit_status set_up(struct store *s, struct davit_call *call, const struct davit_open *in, struct fault *f)
{
	char why[REDIS_WHY] = "";
	davit_status status;

	if (redis_options_read(in, &s->options, why) < 0 ||
	    redis_options_int(in, "ttlInSeconds", 0, INT32_MIN, INT32_MAX, &s->ttl_s, why) < 0)
		return fault_set(f, DAVIT_INVALID_ARGUMENT, NULL, "%s", why);
	s->has_ttl = davit_prop(in, "ttlInSeconds").n > 0;
	if (davit_prop(in, "queryIndexes").n > 0)
		davit_log(s->instance, DAVIT_LOG_WARN,
			  "queryIndexes is of no effect: queries of Redis are not offered yet");
	s->client = redis_client_new(s->instance, &s->options);
	if (s->client == NULL)
		return fault_no_memory(f);
	status = redis_client_start(s->client, call, why);
	if (status == DAVIT_OK)
		status = count_replicas(s, call, why);
	if (status == DAVIT_OK)
		status = scripts_load(s, call, why);
	if (status != DAVIT_OK)
		return fault_set(f, status, NULL, "redis store: error connecting to redis at %s: %s", s->options.shown,
				 why);
	return DAVIT_OK;
}

static davit_status store_open(void *none, struct davit_call *call, const struct davit_open *in)
{
	struct store *s = calloc(1, sizeof(*s));
	davit_status status;
	struct fault f;

	(void)none;
	if (s == NULL)
		return davit_fail(call, DAVIT_EXHAUSTED, NULL, "no memory left");
	s->instance = in->instance;
	status = set_up(s, call, in, &f);
	if (status == DAVIT_OK)
		status = davit_emit_self(call, s);
	else
		fault_tell(&f, call);
	if (status != DAVIT_OK)
		store_free(s);
	return status;
}

/* Operations under way end by themselves when the client does, or have their deadline. */
static davit_status store_close(void *self, struct davit_call *call, const void *none)
{
	const struct davit_fiber_service *fiber;
	struct store *s = self;

	(void)none;
	fiber = davit_fiber_service(s->instance);
	redis_client_stop(s->client);
	s->closer = fiber->self(s->instance);
	while (s->users > 0)
		if (fiber->park(s->instance, call, 0) != DAVIT_OK)
			return davit_fail(call, DAVIT_DEADLINE_EXCEEDED, NULL, "%llu operations have not ended",
					  (unsigned long long)s->users);
	store_free(s);
	return DAVIT_OK;
}

/* Each operation is counted, so that close() knows when nobody is here any more. */
static davit_status leave(struct store *s, davit_status status)
{
	s->users--;
	if (s->users == 0 && s->closer != NULL)
		davit_fiber_service(s->instance)->wake(s->closer);
	return status;
}

#define COUNTED(name, fn, type) \
	static davit_status name(void *self, struct davit_call *call, const struct type *in) \
	{ \
		struct store *s = self; \
\
		s->users++; \
		return leave(s, fn(s, call, in)); \
	}

COUNTED(store_get, read_get, davit_state_key)
COUNTED(store_set, write_set, davit_state_set)
COUNTED(store_del, write_del, davit_state_key)
COUNTED(store_multi, multi, davit_state_multi)
COUNTED(store_bulk_get, read_bulk, davit_state_bulk)
COUNTED(store_bulk_write, write_bulk, davit_state_bulk)
COUNTED(store_keys_like, keys_like, davit_state_prefix)

/* Where the server has no JSON, as Dapr answers. */
static davit_status store_query(void *self, struct davit_call *call, const struct davit_state_query *in)
{
	(void)self, (void)in;
	return davit_fail(call, DAVIT_UNIMPLEMENTED, NULL,
			  "redis-json server support is required for query capability");
}

static davit_status ping(struct store *s, struct davit_call *call, const void *none)
{
	const char *words[] = { "PING" };
	struct redis_command command = { .argc = 1, .argv = words, .read = 1 };
	struct redis_request *r;
	const redisReply *reply;
	char why[REDIS_WHY] = "";
	davit_status status = redis_do(s->client, call, &command, &r, &reply, why);

	(void)none;
	if (status != DAVIT_OK)
		return davit_fail(call, status, NULL, "redis store: error connecting to redis at %s: %s",
				  s->options.shown, why);
	redis_request_unref(r);
	return DAVIT_OK;
}

static davit_status store_ping(void *self, struct davit_call *call, const void *none)
{
	struct store *s = self;

	s->users++;
	return leave(s, ping(s, call, none));
}

static const struct davit_state_ops store_ops = DAVIT_INIT(davit_state_ops,
							   .features = DAVIT_STATE_ETAG | DAVIT_STATE_TRANSACTIONAL |
								       DAVIT_STATE_TTL | DAVIT_STATE_KEYS_LIKE,
							   .get = store_get, .set = store_set, .del = store_del,
							   .multi = store_multi, .bulk_get = store_bulk_get,
							   .bulk_set = store_bulk_write, .bulk_del = store_bulk_write,
							   .query = store_query, .keys_like = store_keys_like);

static const struct davit_component store_component = DAVIT_STATE("state.redis", "v1", &store_ops,
								  .flags = DAVIT_LOOP | DAVIT_PER_LOOP,
								  .open = store_open, .close = store_close,
								  .ping = store_ping);

DAVIT_PLUGIN(PLUGIN_NAME, PLUGIN_VERSION, "Davit", &store_component);
