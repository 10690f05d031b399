/* SPDX-License-Identifier: Apache-2.0 */
/* @TYPE@ v1: the plugin line. <davit/state.h> says what each operation must do. */
#include <davit/state.h>
#include <inttypes.h>
#include <stdlib.h>

#include "backend.h"

/* Each result of the backend has its one answer. A missing key is an empty answer, not an error. */
static davit_status answer(struct davit_call *call, enum backend_result r, struct davit_str key)
{
	switch (r) {
	case BACKEND_OK:
	case BACKEND_NONE: return DAVIT_OK;
	case BACKEND_STALE: return davit_fail(call, DAVIT_ABORTED, "ETAG_MISMATCH", "'%s' has changed", key.p);
	case BACKEND_NO_MEMORY: return davit_fail(call, DAVIT_EXHAUSTED, NULL, "no memory left");
	}
	return davit_fail(call, DAVIT_INTERNAL, NULL, "result %d", r);
}

/* An ETag is our revision in decimal; any other text is one that we have never given. */
static enum backend_if condition_of(uint32_t flags, struct davit_str etag, uint64_t *ret_revision)
{
	char *end = NULL;

	*ret_revision = 0;
	if (flags & DAVIT_STATE_HAS_ETAG && etag.n > 0) {
		*ret_revision = strtoull(etag.p, &end, 10);
		if (*end != '\0')
			*ret_revision = 0;
		return BACKEND_IF_REVISION;
	}
	return flags & DAVIT_STATE_FIRST_WRITE ? BACKEND_IF_NONE : BACKEND_ALWAYS;
}

static davit_status store_get(void *self, struct davit_call *call, const struct davit_state_key *in)
{
	struct davit_state_item item = DAVIT_INIT(davit_state_item, .key = in->key);
	uint64_t revision;
	char etag[24];
	enum backend_result r = backend_read(self, in->key.p, in->key.n, &item.value.p, &item.value.n, &revision);

	if (r != BACKEND_OK)
		return answer(call, r, in->key);
	snprintf(etag, sizeof(etag), "%" PRIu64, revision);
	item.etag = davit_str(etag);
	return davit_emit_state(call, &item); /* copies */
}

static davit_status store_set(void *self, struct davit_call *call, const struct davit_state_set *in)
{
	uint64_t revision;
	enum backend_if condition = condition_of(in->flags, in->etag, &revision);

	return answer(call, backend_write(self, in->key.p, in->key.n, in->value.p, in->value.n, condition, revision),
		      in->key);
}

static davit_status store_del(void *self, struct davit_call *call, const struct davit_state_key *in)
{
	uint64_t revision;
	enum backend_if condition = condition_of(in->flags, in->etag, &revision);

	/* First-write is about saving: to delete, only an ETag is a condition. */
	if (condition == BACKEND_IF_NONE)
		condition = BACKEND_ALWAYS;
	return answer(call, backend_remove(self, in->key.p, in->key.n, condition, revision), in->key);
}

static davit_status store_open(void *none, struct davit_call *call, const struct davit_open *in)
{
	struct davit_str url = davit_prop(in, "url"); /* the manifest has a default */
	struct backend *b;
	davit_status status;

	(void)none;
	if (!davit_str_is(url, "memory:"))
		return davit_fail(call, DAVIT_INVALID_ARGUMENT, NULL,
				  "url: only memory: is there until src/backend.c is replaced");
	b = backend_open();
	if (b == NULL)
		return davit_fail(call, DAVIT_EXHAUSTED, NULL, "no memory left");
	status = davit_emit_self(call, b);
	if (status != DAVIT_OK) /* nobody waits any more */
		backend_close(b);
	return status;
}

static davit_status store_close(void *self, struct davit_call *call, const void *none)
{
	(void)call, (void)none;
	backend_close(self);
	return DAVIT_OK;
}

static davit_status store_ping(void *self, struct davit_call *call, const void *none)
{
	(void)self, (void)call, (void)none;
	return DAVIT_OK; /* ask your server here */
}

static const struct davit_state_ops store_ops = DAVIT_INIT(davit_state_ops, .features = DAVIT_STATE_ETAG,
							   .get = store_get, .set = store_set, .del = store_del);

/* DAVIT_SERIAL: a thread of its own, one call at a time, which may block. Without it, four threads at once. */
static const struct davit_component store = DAVIT_STATE("@TYPE@", "v1", &store_ops, .flags = DAVIT_SERIAL,
							.open = store_open, .close = store_close, .ping = store_ping);

DAVIT_PLUGIN(PLUGIN_NAME, PLUGIN_VERSION, "@VENDOR@", &store);
