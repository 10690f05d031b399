/* SPDX-License-Identifier: Apache-2.0 */
/* The fiber that tells the plugin what became of its messages: what gathers while it is busy goes in one call. It also looks
 * after those that wait for memory. */
#include "base/banned.h"
#include "base/clock.h"
#include "base/log.h"
#include "plugin/call.h"
#include "plugin/instance.h"
#include "plugin/stream_inside.h"

#define LOG_SCOPE "davit.plugin"
#define SETTLE_NS (30 * INT64_C(1000000000)) /* a plugin that takes longer is not waited for */
#define AGAIN_NS (10 * INT64_C(1000000))     /* until what found no memory or a full queue is tried again */

struct batch {
	struct message *messages[STREAM_SETTLE_MOST];
	uint64_t tokens[STREAM_SETTLE_MOST];
	size_t n;
	int outcome;
};

/* The oldest, and all behind it that share its outcome. */
static void gather(struct stream *st, struct batch *b)
{
	struct message *m = st->settling.first, *next;

	b->outcome = m->outcome;
	for (b->n = 0; m != NULL && b->n < STREAM_SETTLE_MOST; m = next) {
		next = m->next;
		if (m->outcome != b->outcome)
			continue;
		queue_drop(&st->settling, m);
		b->messages[b->n] = m;
		b->tokens[b->n++] = m->token;
	}
}

static struct answer tell_once(struct stream *st, const struct batch *b)
{
	struct arena *a = arena_new();
	struct scope s = { .arena = a, .deadline_ns = clock_ns() + SETTLE_NS };
	struct davit_settle *in = a ? arena_try(a, sizeof(*in)) : NULL;
	uint64_t *tokens = a ? arena_try(a, sizeof(*tokens) * b->n) : NULL;
	struct answer got = { .status = DAVIT_EXHAUSTED, .message = STR("out of memory") };
	char text[256];

	if (in != NULL && tokens != NULL) {
		memcpy(tokens, b->tokens, sizeof(*tokens) * b->n); /* a late plugin still reads them */
		*in = (struct davit_settle)DAVIT_INIT(davit_settle, .outcome = b->outcome, .tokens = tokens,
						      .ntokens = b->n);
		got = call_instance(&s, st->o.instance, st->o.settle, in);
	}
	if (got.status != DAVIT_OK && got.status != DAVIT_EXHAUSTED) {
		snprintf(text, sizeof(text), STR_FMT, STR_ARG(got.message));
		log_warn("Component " STR_FMT " did not settle %zu messages, they may come again: %s",
			 STR_ARG(instance_name(st->o.instance)), b->n, text[0] ? text : error_code_name(got.status));
	}
	arena_unref(a);
	return got;
}

static void tell(struct stream *st, const struct batch *b)
{
	while (tell_once(st, b).status == DAVIT_EXHAUSTED && !st->closed)
		fiber_park_until(clock_ns() + AGAIN_NS);
}

void stream_keep(void *stream)
{
	struct stream *st = stream;
	struct batch b;
	size_t i;

	st->keeper = fiber_self();
	while (!st->closed) {
		if (st->settling.first == NULL) {
			if (messages_resume(st) < 0)
				fiber_park_until(clock_ns() + AGAIN_NS);
			else
				fiber_park();
			continue;
		}
		gather(st, &b);
		tell(st, &b);
		for (i = 0; i < b.n; i++)
			message_release(b.messages[i]);
	}
	st->keeper = NULL;
	arena_unref(st->arena);
}
