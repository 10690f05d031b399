/* SPDX-License-Identifier: Apache-2.0 */
/* A state store compiled with the header of each SDK minor (tests/abi): it tells what it was built with and what it sees. */
#include <davit/state.h>
#include <inttypes.h>
#include <stdlib.h>

#ifndef SINCE
#define SINCE 0
#endif

static int loops; /* what open was told */

static davit_status store_get(void *self, struct davit_call *call, const struct davit_state_key *in)
{
	char text[200];
	struct davit_state_item item = DAVIT_INIT(davit_state_item, .key = in->key);
	int64_t credit = -1;
	int on_credit = -2;

#if DAVIT_SDK_MINOR_NUMBER >= 2
	credit = davit_credit(call) == INT64_MAX ? 1 : 0;
	on_credit = davit_on_credit(call, NULL, NULL);
#endif
	item.value.n = (size_t)snprintf(text, sizeof(text),
					"{\"built\":%u,\"kernel\":%" PRIu32 ",\"has\":%d,\"credit\":%" PRId64
					",\"on_credit\":%d,\"loops\":%d}",
					DAVIT_SDK_MINOR, call->host->minor, call->host->size > 16 + 11 * 8, credit,
					on_credit, loops);
	item.value.p = text;
	(void)self;
	return davit_emit_state(call, &item);
}

static davit_status store_set(void *self, struct davit_call *call, const struct davit_state_set *in)
{
	(void)self, (void)call, (void)in;
	return DAVIT_OK;
}

static davit_status store_del(void *self, struct davit_call *call, const struct davit_state_key *in)
{
	(void)self, (void)call, (void)in;
	return DAVIT_OK;
}

static davit_status store_open(void *none, struct davit_call *call, const struct davit_open *in)
{
#if DAVIT_SDK_MINOR_NUMBER >= 1
	struct davit_opened record = DAVIT_INIT(davit_opened, .self = call, .features = DAVIT_STATE_TTL);
#else
	struct davit_opened record = DAVIT_INIT(davit_opened, .self = call);
#endif
#if DAVIT_SDK_MINOR_NUMBER >= 3
	loops = DAVIT_HAS(davit_open, in, loops) && in->loops > 0;
#endif
	(void)none, (void)in;
	return davit_emit(call, &record);
}

static davit_status store_close(void *self, struct davit_call *call, const void *none)
{
	(void)self, (void)call, (void)none;
	return DAVIT_OK;
}

static const struct davit_state_ops ops = DAVIT_INIT(davit_state_ops, .features = DAVIT_STATE_ETAG, .get = store_get,
						     .set = store_set, .del = store_del);
static const struct davit_component store = DAVIT_STATE("state.minor", "v1", &ops, .open = store_open,
							.close = store_close);

DAVIT_PLUGIN_SINCE(SINCE, PLUGIN_NAME, PLUGIN_VERSION, "Tests", &store);
