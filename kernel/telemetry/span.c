/* SPDX-License-Identifier: Apache-2.0 */
/* Sampling as OpenTelemetry's ParentBased(TraceIDRatioBased(rate)), and spans. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "base/banned.h"
#include "base/clock.h"
#include "base/random.h"
#include "http/exchange.h"
#include "telemetry/trace.h"

#define DEFAULT_RATE 1e-4

/* As strconv.ParseFloat; anything else is the default. */
static double rate_of(struct str text)
{
	char c[64], *end;

	if (text.n == 0 || text.n >= sizeof(c) || text.p[0] <= ' ')
		return DEFAULT_RATE;
	memcpy(c, text.p, text.n);
	c[text.n] = 0;
	errno = 0;
	double v = strtod(c, &end);

	return (size_t)(end - c) != text.n || errno == ERANGE || isnan(v) ? DEFAULT_RATE : v;
}

struct tracer tracer_of(struct str sampling_rate, int exporter)
{
	struct tracer t = { .rate = rate_of(sampling_rate) };

	if (t.rate == 0)
		t.mode = TRACE_OFF;
	else
		t.mode = exporter || sampling_rate.n ? TRACE_ON : TRACE_PASS;
	t.bound = t.rate >= 1 ? UINT64_MAX : t.rate <= 0 ? 0 : (uint64_t)(t.rate * 9223372036854775808.0);
	return t;
}

static void new_id(uint8_t *to, size_t n)
{
	uint8_t any = 0;

	while (!any) { /* all zero means there is none */
		random_id(to, n);
		for (size_t i = 0; i < n; i++)
			any |= to[i];
	}
}

static int samples(const struct tracer *t, const struct trace_context *parent, const uint8_t trace_id[16])
{
	uint64_t x = 0;

	if (trace_valid(parent))
		return trace_sampled(parent);
	for (int i = 8; i < 16; i++)
		x = x << 8 | trace_id[i];
	return x >> 1 < t->bound;
}

struct trace_span *trace_start(const struct tracer *t, struct arena *a, const struct trace_context *parent,
			       struct str name, enum trace_kind kind)
{
	static const uint8_t none[16];
	struct trace_span *s;

	if (!t || t->mode == TRACE_OFF)
		return NULL;
	s = arena_zalloc(a, sizeof(*s));
	s->tracer = t;
	s->arena = a;
	s->context.state = STR("");
	s->kind = kind;
	s->start_ns = clock_wall_ns();
	if (parent) {
		s->context = *parent;
		s->context.state = parent->state.n ? arena_str(a, parent->state) : STR("");
	}
	if (t->mode == TRACE_PASS)
		return s;
	/* A trace id without a span's is kept: whoever sent it looks for it. */
	if (memcmp(s->context.trace_id, none, 16) == 0)
		new_id(s->context.trace_id, 16);
	if (trace_valid(parent))
		memcpy(s->parent_id, parent->span_id, 8);
	new_id(s->context.span_id, 8);
	s->context.flags &= (uint8_t)~TRACE_SAMPLED;
	if (samples(t, parent, s->context.trace_id)) {
		s->context.flags |= TRACE_SAMPLED;
		s->name = arena_str(a, name);
	}
	return s;
}

int trace_records(const struct trace_span *s)
{
	return s && s->tracer->mode == TRACE_ON && trace_sampled(&s->context);
}

static struct trace_attribute *attribute(struct arena *a, struct trace_attribute **list, const char *key,
					 struct str value)
{
	struct trace_attribute *t = arena_zalloc(a, sizeof(*t));

	t->key = arena_str(a, str_of(key));
	t->value = arena_str(a, value);
	t->next = *list;
	*list = t;
	return t;
}

void trace_attribute(struct trace_span *s, const char *key, struct str value)
{
	if (trace_records(s) && value.n)
		attribute(s->arena, &s->attributes, key, value);
}

void trace_number(struct trace_span *s, const char *key, int64_t value)
{
	if (trace_records(s))
		attribute(s->arena, &s->attributes, key, arena_printf(s->arena, "%lld", (long long)value))->number = 1;
}

struct trace_event *trace_event(struct trace_span *s, const char *name)
{
	struct trace_event *e;

	if (!trace_records(s))
		return NULL;
	e = arena_zalloc(s->arena, sizeof(*e));
	e->name = arena_str(s->arena, str_of(name));
	e->at_ns = clock_wall_ns();
	e->next = s->events;
	s->events = e;
	return e;
}

void trace_event_attribute(struct trace_span *s, struct trace_event *e, const char *key, struct str value)
{
	if (s && e)
		attribute(s->arena, &e->attributes, key, value);
}

void trace_rename(struct trace_span *s, struct str name)
{
	if (trace_records(s))
		s->name = arena_str(s->arena, name);
}

void trace_status_error(struct trace_span *s, struct str message)
{
	if (!trace_records(s))
		return;
	s->status = TRACE_ERROR;
	s->status_message = arena_str(s->arena, message);
}

void trace_status_http(struct trace_span *s, int status)
{
	const char *reason = http_reason(status);

	if (status >= 400 && trace_records(s))
		trace_status_error(s, arena_printf(s->arena, "Code(%d): %s", status, *reason ? reason : "Unknown"));
}

void trace_end(struct trace_span *s)
{
	if (!trace_records(s) || s->end_ns)
		return;
	s->end_ns = clock_wall_ns();
	if (s->end_ns < s->start_ns) /* the wall clock was set back */
		s->end_ns = s->start_ns;
	if (s->tracer->ended)
		s->tracer->ended(s->tracer->arg, s);
}
