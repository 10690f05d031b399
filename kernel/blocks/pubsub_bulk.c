/* SPDX-License-Identifier: Apache-2.0 */
/* Publishing many events: in one call where the component offers that, else one by one, many side by side. */
#include "base/banned.h"
#include "base/clock.h"
#include "blocks/pubsub_error.h"
#include "blocks/pubsub_inside.h"
#include "loop/fiber.h"
#include "policy/call.h"

#define PARALLEL 100

static void free_ids(void *ids)
{
	map_free(ids);
}

struct map *pubsub_ids(struct arena *a)
{
	struct map *ids = arena_alloc(a, sizeof(*ids));

	*ids = map_init();
	arena_defer(a, free_ids, ids);
	return ids;
}

struct error pubsub_check_id(const struct blocks *b, struct arena *a, struct map *ids, struct str id,
			     const struct pubsub *p, struct str topic)
{
	if (id.n == 0 || map_get(ids, id) != NULL)
		return pubsub_error_entry_id(a, p->name, topic, b->o.app_id);
	if (map_set(ids, id, ids, NULL) < 0)
		return pubsub_error_publish(a, p->name, topic, STR("out of memory"));
	return ERROR_NONE;
}

struct sending {
	struct scope *s;
	struct pubsub *p;
	const struct davit_publish **in; /* of which a further try leaves out what has arrived */
	size_t n, next;
	int http;
	struct pubsub_failed *failed;
	size_t nfailed;
	struct str first; /* why the first to fail failed */
	int busy;	  /* fibers that send */
	struct fiber *waiter;
};

static void fail(struct sending *x, size_t i, struct str why)
{
	x->failed[x->nfailed++] = (struct pubsub_failed){ { x->in[i]->entry_id.p, x->in[i]->entry_id.n }, why };
	if (x->first.p == NULL)
		x->first = why;
}

static void send_rest(void *arg)
{
	struct sending *x = arg;

	while (x->next < x->n) {
		size_t i = x->next++;
		struct answer got = pubsub_send_record(x->s, x->p, x->in[i], x->http);

		if (got.status != DAVIT_OK)
			fail(x, i, pubsub_why(&got));
	}
	x->busy--;
	if (x->busy == 0 && x->waiter != NULL)
		fiber_wake(x->waiter);
}

static void send_side_by_side(struct sending *x)
{
	int helpers = PARALLEL;

	x->waiter = fiber_self();
	x->busy = 1;
	while (--helpers > 0 && (size_t)x->busy < x->n && fiber_start(fiber_loop(x->waiter), send_rest, x) == 0)
		x->busy++;
	send_rest(x);
	while (x->busy > 0)
		fiber_park();
}

static struct str named_error(const struct davit_publish_result *r)
{
	return r->error.n ? (struct str){ r->error.p, r->error.n } : str_of(error_code_name(r->status));
}

static void take_failures(struct sending *x, const struct answer *got)
{
	struct record *record;
	size_t i;

	x->nfailed = 0;
	x->first = STR_NONE;
	for (record = got->records; record != NULL && x->nfailed < x->n; record = record->next) {
		const struct davit_publish_result *one = record->data;

		if (record->kind == davit_publish_result_kind && one->status != DAVIT_OK)
			x->failed[x->nfailed++] = (struct pubsub_failed){ { one->entry_id.p, one->entry_id.n },
									  named_error(one) };
	}
	if (got->status != DAVIT_OK)
		x->first = pubsub_why(got);
	else if (x->nfailed > 0)
		x->first = x->failed[0].error;
	if (got->status != DAVIT_OK && x->nfailed == 0) /* it did not say which: all of them */
		for (i = 0; i < x->n; i++)
			fail(x, i, x->first);
}

/* What has arrived does not go again. */
static void keep_failed(struct sending *x)
{
	size_t i, k, kept = 0;

	for (i = 0; i < x->n; i++)
		for (k = 0; k < x->nfailed; k++)
			if (x->in[i]->entry_id.n == x->failed[k].entry_id.n &&
			    memcmp(x->in[i]->entry_id.p, x->failed[k].entry_id.p, x->failed[k].entry_id.n) == 0) {
				x->in[kept++] = x->in[i];
				break;
			}
	x->n = kept;
}

static void send_in_bulk(struct sending *x, struct str topic, const struct pubsub_request *r)
{
	struct davit_publish_bulk *in = arena_alloc(x->s->arena, sizeof(*in));
	struct answer got = { .message = STR("") };
	struct error refusal = ERROR_NONE;
	struct policy_run run;
	int well;

	policy_start(&run, x->p->out, x->s);
	do {
		if (!policy_enter(&run, &refusal))
			break;
		if (run.p != NULL && run.tries > 1) {
			keep_failed(x);
			in = arena_alloc(x->s->arena, sizeof(*in)); /* who left the last may read it yet */
		}
		*in = (struct davit_publish_bulk)DAVIT_INIT(davit_publish_bulk, .topic = { topic.p, topic.n },
							    .entries = x->in, .nentries = x->n, .metadata = r->metadata,
							    .nmetadata = r->nmetadata);
		got = call_until(x->s, run.until_ns, x->p->instance, (davit_op *)(void *)x->p->ops->bulk_publish, in);
		take_failures(x, &got);
		well = got.status == DAVIT_OK && x->nfailed == 0;
	} while (policy_again(&run, well ? POLICY_WELL : POLICY_FAILED, pubsub_code(&got, x->http)));
	if (run.timed_out || error_is(&refusal)) {
		got = policy_answer(&run, got, &refusal);
		got.records = NULL;
		take_failures(x, &got);
	}
}

/* A span for each entry, as each has a trace of its own; ended by end_spans. */
static struct error wrap_all(struct blocks *b, struct scope *s, struct pubsub *p, const struct pubsub_request *r,
			     struct str topic, const struct pubsub_event *events, size_t n,
			     const struct davit_publish **ret_in, struct trace_span **ret_spans)
{
	struct error e = ERROR_NONE;
	struct str data;
	size_t i;

	for (i = 0; i < n && !error_is(&e); i++) {
		data = events[i].data;
		if (!r->raw && r->trace != NULL)
			ret_spans[i] = trace_start(r->tracer, s->arena, r->trace, r->span_name, TRACE_PRODUCER);
		if (!r->raw)
			e = pubsub_envelope(b, s->arena, p, r, &events[i], ret_spans[i] ? &ret_spans[i]->context : NULL,
					    &data);
		if (!error_is(&e))
			ret_in[i] = pubsub_record(s->arena, p, topic, data, &events[i]);
	}
	return e;
}

static struct error end_spans(struct trace_span *const *spans, size_t n, struct error e)
{
	size_t i;

	for (i = 0; i < n; i++) {
		if (error_is(&e))
			trace_status_error(spans[i], e.message);
		if (spans[i] != NULL)
			trace_end(spans[i]);
	}
	return e;
}

static struct error send_all(struct blocks *b, struct sending *x, const struct pubsub_request *r, struct str topic)
{
	int64_t began = clock_ns();

	if (!pubsub_scope_publish(&x->p->scope, r->topic)) {
		metrics_pubsub_bulk_published(b->o.metrics, x->p->name, r->topic, 0, clock_ns() - began);
		return pubsub_error_forbidden(x->s->arena, x->p->name, r->topic, b->o.app_id);
	}
	if ((x->p->features & DAVIT_PUBSUB_BULK) && x->p->ops->bulk_publish != NULL)
		send_in_bulk(x, topic, r);
	else
		send_side_by_side(x);
	metrics_pubsub_bulk_published(b->o.metrics, x->p->name, r->topic, x->nfailed == 0, clock_ns() - began);
	return x->nfailed == 0 ? ERROR_NONE : pubsub_error_publish(x->s->arena, x->p->name, r->topic, x->first);
}

struct error pubsub_publish_bulk(struct blocks *b, struct scope *s, struct pubsub *p, const struct pubsub_request *r,
				 const struct pubsub_event *events, size_t n, const struct pubsub_failed **ret_failed,
				 size_t *ret_nfailed)
{
	const struct davit_publish **in = arena_alloc(s->arena, sizeof(*in) * (n + 1));
	struct trace_span **spans = arena_zalloc(s->arena, sizeof(*spans) * (n + 1));
	struct sending x = { .s = s, .p = p, .in = in, .n = n, .http = r->http };
	struct str topic = pubsub_topic_out(s->arena, p, r->topic);
	struct error e;

	*ret_nfailed = 0;
	if (n > PUBSUB_BULK_ENTRIES)
		return pubsub_error_entries(s->arena, p->name, r->topic, b->o.app_id,
					    arena_printf(s->arena, "%zu entries, at most %d can be: publish in parts",
							 n, PUBSUB_BULK_ENTRIES));
	e = wrap_all(b, s, p, r, topic, events, n, in, spans);
	if (error_is(&e))
		return end_spans(spans, n, e);
	x.failed = arena_alloc(s->arena, sizeof(*x.failed) * (n + 1));
	e = send_all(b, &x, r, topic);
	*ret_failed = x.failed;
	*ret_nfailed = x.nfailed;
	return end_spans(spans, n, e);
}
