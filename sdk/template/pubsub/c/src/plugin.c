/* SPDX-License-Identifier: Apache-2.0 */
/* @TYPE@ v1: the plugin line. <davit/pubsub.h> says what each operation must do. */
#include <davit/pubsub.h>

#include "backend.h"

static davit_status broker_publish(void *self, struct davit_call *call, const struct davit_publish *in)
{
	switch (backend_publish(self, in->topic.p, in->topic.n, in->data.p, in->data.n)) {
	case BACKEND_OK: return DAVIT_OK;
	case BACKEND_FULL:
		return davit_fail(call, DAVIT_EXHAUSTED, NULL, "a subscriber of '%s' is too far behind", in->topic.p);
	case BACKEND_NO_MEMORY: break;
	}
	return davit_fail(call, DAVIT_EXHAUSTED, NULL, "no memory left");
}

static void stop(void *reader)
{
	reader_stop(reader);
}

/*
 * A long call on a thread of its own, which may therefore block: in reader_next until something comes, in davit_emit while
 * there is no credit. It ends when it is cancelled.
 */
static davit_status broker_subscribe(void *self, struct davit_call *call, const struct davit_subscribe *in)
{
	struct reader *r = reader_open(self, in->topic.p, in->topic.n);
	const struct event *e;
	davit_status status;

	if (r == NULL)
		return davit_fail(call, DAVIT_EXHAUSTED, NULL, "no memory left");
	davit_on_cancel(call, stop, r);
	status = davit_emit_subscribed(call);
	while (status == DAVIT_OK && (e = reader_next(r)) != NULL) {
		struct davit_message m = DAVIT_INIT(davit_message, .token = e->token, .topic = in->topic,
						    .data = { e->data, e->n });

		status = davit_emit_message(call, &m); /* copies */
		if (status == DAVIT_EXHAUSTED) {       /* no memory: not taken */
			backend_settle(self, e->token, 1);
			status = DAVIT_OK;
		}
	}
	davit_on_cancel(call, NULL, NULL); /* from here on nobody stops it any more */
	reader_close(r);
	return status == DAVIT_CANCELLED ? DAVIT_OK : status;
}

static davit_status broker_settle(void *self, struct davit_call *call, const struct davit_settle *in)
{
	uint64_t i;

	(void)call;
	for (i = 0; i < in->ntokens; i++)
		backend_settle(self, in->tokens[i], in->outcome == DAVIT_SETTLE_RETRY);
	return DAVIT_OK;
}

static davit_status broker_open(void *none, struct davit_call *call, const struct davit_open *in)
{
	struct backend *b;
	davit_status status;

	(void)none;
	if (!davit_str_is(davit_prop(in, "url"), "memory:"))
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

static davit_status broker_close(void *self, struct davit_call *call, const void *none)
{
	(void)call, (void)none;
	backend_close(self); /* every subscription has ended before */
	return DAVIT_OK;
}

static const struct davit_pubsub_ops broker_ops = DAVIT_INIT(davit_pubsub_ops, .features = 0, .publish = broker_publish,
							     .subscribe = broker_subscribe, .settle = broker_settle);

/* No flags: up to four threads for what is short, and one for each subscription. */
static const struct davit_component broker = DAVIT_PUBSUB("@TYPE@", "v1", &broker_ops, .open = broker_open,
							  .close = broker_close);

DAVIT_PLUGIN(PLUGIN_NAME, PLUGIN_VERSION, "@VENDOR@", &broker);
