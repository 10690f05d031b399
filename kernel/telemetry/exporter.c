/* SPDX-License-Identifier: Apache-2.0 */
#include "telemetry/exporter.h"

#include "base/banned.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "telemetry/exporter_inside.h"

#define LOG_SCOPE "dapr.runtime.trace"
#define DELAY_MS 5000
#define EXPORT_MS 30000
#define QUEUE 2048
#define BATCH 512
#define QUEUE_MOST 65536
#define FIRST_RETRY_MS 5000
#define LAST_RETRY_MS 30000
#define TIMEOUT_NS 10000000000

/* ---- The queue's side of any thread ---- */

static void woken(struct loop_task *t)
{
	struct exporter *x = (struct exporter *)((char *)t - offsetof(struct exporter, wake));

	atomic_flag_clear(&x->posted);
	if (x->fiber != NULL)
		fiber_wake(x->fiber);
}

static void wake(struct exporter *x)
{
	if (!atomic_flag_test_and_set(&x->posted))
		loop_post(x->all->loop, &x->wake);
}

static void put(struct exporter *x, const struct trace_span *span)
{
	const struct exporter_options *o = &x->all->o;
	size_t before = atomic_fetch_add(&x->count, 1);
	struct span_copy *c = NULL;

	if (before < o->queue_limit && atomic_load(&x->bytes) < EXPORTER_QUEUE_BYTES)
		c = span_copy_new(span);
	if (c == NULL) {
		atomic_fetch_sub(&x->count, 1);
		metrics_add(x->full, 1);
		return;
	}
	atomic_fetch_add(&x->bytes, c->size);
	c->next = atomic_load_explicit(&x->newest, memory_order_relaxed);
	while (!atomic_compare_exchange_weak_explicit(&x->newest, &c->next, c, memory_order_release,
						      memory_order_relaxed))
		;
	/* The first sets the delay going, the last of a batch ends it. */
	if (before == 0 || before + 1 == o->batch_limit)
		wake(x);
}

void exporters_ended(void *exporters, const struct trace_span *span)
{
	struct exporters *all = exporters;
	size_t i;

	for (i = 0; i < all->n; i++)
		put(&all->list[i], span);
}

/* ---- The fiber's side ---- */

/* Everything that was put in so far goes behind what was taken before, in the order in which it came. */
static void take_all(struct exporter *x)
{
	struct span_copy *c = atomic_exchange_explicit(&x->newest, NULL, memory_order_acquire), *first = NULL,
			 *last = c, *next;

	if (c == NULL)
		return;
	for (; c != NULL; c = next) {
		next = c->next;
		c->next = first;
		first = c;
	}
	*x->taken_end = first;
	x->taken_end = &last->next;
}

/* n spans from the front are done with. */
static void drop_first(struct exporter *x, size_t n)
{
	struct span_copy *c;
	size_t bytes = 0, i;

	for (i = 0; i < n; i++) {
		c = x->taken;
		x->taken = c->next;
		bytes += c->size;
		span_copy_free(c);
	}
	if (x->taken == NULL)
		x->taken_end = &x->taken;
	atomic_fetch_sub(&x->bytes, bytes);
	atomic_fetch_sub(&x->count, n);
}

static size_t batch_size(const struct exporter *x)
{
	const struct span_copy *c;
	size_t n = 0;

	for (c = x->taken; c != NULL && n < x->all->o.batch_limit; c = c->next)
		n++;
	return n;
}

static int stopping(const struct exporter *x)
{
	return atomic_load(&x->all->stopping);
}

/* Until a batch is full, or the delay of the first span in it is over, or all ends. */
static void wait_for_batch(struct exporter *x)
{
	int64_t until = 0;

	while (!stopping(x)) {
		size_t n = atomic_load(&x->count);

		if (n >= x->all->o.batch_limit || (until != 0 && clock_ns() >= until))
			return;
		if (n > 0 && until == 0)
			until = clock_ns() + x->all->o.delay_ms * 1000000;
		fiber_park_until(until);
	}
}

static void pause_ms(struct exporter *x, int64_t ms)
{
	int64_t until = clock_ns() + ms * 1000000;

	while (!stopping(x) && clock_ns() < until)
		fiber_park_until(until);
}

static enum exporter_outcome send_again(struct exporter *x, size_t n, struct arena *a, struct str *ret_why)
{
	int64_t give_up = clock_ms() + x->all->o.export_ms, pause = FIRST_RETRY_MS;
	enum exporter_outcome outcome;

	while ((outcome = exporter_send(x, x->taken, n, a, ret_why)) == EXPORTER_AGAIN) {
		if (stopping(x) || clock_ms() + pause >= give_up)
			break;
		pause_ms(x, pause);
		pause = pause * 2 < LAST_RETRY_MS ? pause * 2 : LAST_RETRY_MS;
	}
	return outcome;
}

static enum exporter_outcome send_guarded(struct exporter *x, size_t n, struct arena *a, struct str *ret_why)
{
	enum exporter_outcome outcome;
	jmp_buf no_memory;

	if (setjmp(no_memory)) {
		exporter_cancel(x);
		x->http_call = NULL;
		x->stream = NULL;
		*ret_why = STR("out of memory");
		return EXPORTER_REFUSED;
	}
	arena_on_oom(a, &no_memory);
	outcome = send_again(x, n, a, ret_why);
	arena_on_oom(a, NULL);
	return outcome;
}

static void send_batch(struct exporter *x, struct arena *a)
{
	size_t n = batch_size(x);
	struct str why = STR("");

	if (send_guarded(x, n, a, &why) == EXPORTER_SENT) {
		metrics_add(x->sent, (int64_t)n);
	} else {
		metrics_add(x->failed, (int64_t)n);
		log_error("%zu spans were not exported to %s: " STR_FMT, n, x->name, STR_ARG(why));
	}
	drop_first(x, n);
}

static void work(void *arg)
{
	struct exporter *x = arg;
	struct exporters *all = x->all;
	struct arena *a;

	x->fiber = fiber_self();
	for (;;) {
		if (x->taken == NULL)
			wait_for_batch(x);
		take_all(x);
		if (x->taken == NULL && stopping(x))
			break;
		a = x->taken != NULL ? arena_new() : NULL;
		if (a != NULL)
			send_batch(x, a);
		else if (x->taken != NULL)
			drop_first(x, batch_size(x)); /* no memory for a page */
		arena_unref(a);
	}
	exporter_disconnect(x);
	x->fiber = NULL;
	uv_mutex_lock(&all->lock);
	all->running--;
	uv_cond_signal(&all->ended);
	uv_mutex_unlock(&all->lock);
}

static void start(struct loop_task *t)
{
	struct exporters *all = (struct exporters *)((char *)t - offsetof(struct exporters, start));
	size_t i;

	for (i = 0; i < all->n; i++) {
		if (fiber_start(all->loop, work, &all->list[i]) == 0)
			continue;
		log_error("spans are not exported to %s: no memory for a fiber", all->list[i].name);
		uv_mutex_lock(&all->lock);
		all->running--;
		uv_cond_signal(&all->ended);
		uv_mutex_unlock(&all->lock);
	}
}

static void abort_all(struct loop_task *t)
{
	struct exporters *all = (struct exporters *)((char *)t - offsetof(struct exporters, abort));
	size_t i;

	all->aborted = 1;
	for (i = 0; i < all->n; i++)
		exporter_cancel(&all->list[i]);
}

/* ---- Life ---- */

int exporter_wanted(const struct exporter_options *o)
{
	return o->to_log || o->zipkin.n > 0 || (o->otel.n > 0 && o->protocol.n > 0);
}

static struct metric_series *series(struct exporters *all, enum metric_id id, const char *name, const char *reason)
{
	struct str labels[] = { str_of(name), str_of(reason ? reason : "") };

	return metrics_series(all->o.metrics, id, labels);
}

static int add(struct exporters *all, enum exporter_kind kind, struct str *ret_message)
{
	static const char *const names[] = { [EXPORTER_LOG] = "stdout",
					     [EXPORTER_OTLP_HTTP] = "otlp_http",
					     [EXPORTER_OTLP_GRPC] = "otlp_grpc",
					     [EXPORTER_ZIPKIN] = "zipkin" };
	struct exporter *x = &all->list[all->n++];

	x->all = all;
	x->kind = kind;
	x->name = names[kind];
	x->wake.run = woken;
	x->taken_end = &x->taken;
	atomic_flag_clear(&x->posted);
	x->full = series(all, METRIC_DAVIT_SPANS_DROPPED, x->name, "queue_full");
	x->failed = series(all, METRIC_DAVIT_SPANS_DROPPED, x->name, "export_failed");
	x->sent = series(all, METRIC_DAVIT_SPANS_EXPORTED, x->name, NULL);
	return exporter_aim(x, all->arena, ret_message);
}

static int add_all(struct exporters *all, struct str *ret_message)
{
	const struct exporter_options *o = &all->o;
	int grpc = str_is(o->protocol, "grpc");

	if (o->to_log && add(all, EXPORTER_LOG, ret_message) < 0)
		return -1;
	if (o->zipkin.n > 0 && add(all, EXPORTER_ZIPKIN, ret_message) < 0)
		return -1;
	if (o->otel.n == 0 || o->protocol.n == 0)
		return 0;
	if (!grpc && !str_is(o->protocol, "http")) {
		*ret_message = arena_printf(all->arena, "invalid protocol " STR_FMT " provided for Otel endpoint",
					    STR_ARG(o->protocol));
		return -1;
	}
	return add(all, grpc ? EXPORTER_OTLP_GRPC : EXPORTER_OTLP_HTTP, ret_message);
}

static void set_limits(struct exporter_options *o)
{
	if (o->delay_ms <= 0)
		o->delay_ms = DELAY_MS;
	if (o->export_ms <= 0)
		o->export_ms = EXPORT_MS;
	if (o->queue_limit == 0)
		o->queue_limit = QUEUE;
	if (o->queue_limit > QUEUE_MOST)
		o->queue_limit = QUEUE_MOST;
	if (o->batch_limit == 0)
		o->batch_limit = BATCH;
	if (o->batch_limit > o->queue_limit)
		o->batch_limit = o->queue_limit;
	if (o->timeout_ns <= 0)
		o->timeout_ns = TIMEOUT_NS;
}

static void release(struct exporters *all)
{
	size_t i;

	for (i = 0; i < all->n; i++)
		tls_context_unref(all->list[i].tls);
	mem_free(all);
}

struct exporters *exporters_new(const struct exporter_options *o, struct loop *l, struct arena *a,
				struct str *ret_message)
{
	struct exporters *all = mem_zalloc(sizeof(*all));

	if (all == NULL)
		goto no_memory;
	all->o = *o;
	all->arena = a;
	all->loop = l;
	all->start.run = start;
	all->abort.run = abort_all;
	set_limits(&all->o);
	if (add_all(all, ret_message) < 0) {
		release(all);
		return NULL;
	}
	if (uv_mutex_init(&all->lock) < 0) {
		release(all);
		goto no_memory;
	}
	if (uv_cond_init(&all->ended) < 0) {
		uv_mutex_destroy(&all->lock);
		release(all);
		goto no_memory;
	}
	all->running = all->n;
	loop_post(l, &all->start);
	return all;
no_memory:
	*ret_message = STR("out of memory");
	return NULL;
}

void exporters_stop(struct exporters *x, int within_ms)
{
	int64_t until = clock_ns() + (int64_t)within_ms * 1000000, left;
	size_t i;

	if (x == NULL)
		return;
	atomic_store(&x->stopping, 1);
	for (i = 0; i < x->n; i++)
		wake(&x->list[i]);
	uv_mutex_lock(&x->lock);
	while (x->running > 0 && (left = until - clock_ns()) > 0)
		uv_cond_timedwait(&x->ended, &x->lock, (uint64_t)left);
	left = x->running > 0;
	uv_mutex_unlock(&x->lock);
	if (!left)
		return;
	loop_post(x->loop, &x->abort);
	uv_mutex_lock(&x->lock);
	while (x->running > 0)
		uv_cond_wait(&x->ended, &x->lock);
	uv_mutex_unlock(&x->lock);
}

void exporters_free(struct exporters *x)
{
	size_t i;

	if (x == NULL)
		return;
	for (i = 0; i < x->n; i++) {
		take_all(&x->list[i]);
		while (x->list[i].taken != NULL)
			drop_first(&x->list[i], 1);
	}
	uv_cond_destroy(&x->ended);
	uv_mutex_destroy(&x->lock);
	release(x);
}
