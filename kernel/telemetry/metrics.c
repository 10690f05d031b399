/* SPDX-License-Identifier: Apache-2.0 */
/* The registry: definitions, series, recording. */
#include "telemetry/metrics.h"

#include <math.h>
#include <stdlib.h>

#include "base/banned.h"
#include "base/map.h"
#include "base/mem.h"
#include "telemetry/metrics_inside.h"
#include "telemetry/recent.h"

#define DEFAULT_SERIES 10000

/* ---- Definitions ---- */

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

/* As Dapr's library: sorted, what is not above zero left out. NULL: one is negative. */
static const double *bounds_of(struct arena *a, const double *given, size_t *n)
{
	double *b = arena_alloc(a, (*n + 1) * sizeof(*b));
	size_t zeros = 0;

	memcpy(b, given, *n * sizeof(*b));
	qsort(b, *n, sizeof(*b), by_value);
	if (*n && b[0] < 0)
		return NULL;
	while (zeros < *n && b[zeros] == 0)
		zeros++;
	*n -= zeros;
	return b + zeros;
}

struct bounds {
	const double *ms, *workflow;
	size_t nms, nworkflow;
};

static void def_bounds(struct metric_def *d, const struct bounds *b)
{
	d->scale = d->unit == METRIC_BYTES ? 1 : 1e6;
	switch (d->kind == METRIC_HISTOGRAM ? d->unit : METRIC_NUMBER) {
	case METRIC_MS:
		d->bounds = b->ms;
		d->nbounds = b->nms;
		break;
	case METRIC_WORKFLOW_MS:
		d->bounds = b->workflow;
		d->nbounds = b->nworkflow;
		break;
	case METRIC_BYTES:
		d->bounds = metric_size_buckets;
		d->nbounds = metric_nsize_buckets;
		break;
	case METRIC_RATIO:
		d->bounds = metric_ratio_buckets;
		d->nbounds = metric_nratio_buckets;
		break;
	case METRIC_NUMBER: break;
	}
}

/* "dapr_http_server_latency", "http_server_latency" and what Dapr's rules are written with, "http/server/latency". */
static int rule_names(struct str rule, struct str metric)
{
	if (str_starts(rule, STR("dapr_")))
		rule = str_from(rule, 5);
	if (str_starts(metric, STR("dapr_")))
		metric = str_from(metric, 5);
	if (rule.n != metric.n)
		return 0;
	for (size_t i = 0; i < rule.n; i++) {
		char c = rule.p[i] == '.' || rule.p[i] == '/' ? '_' : rule.p[i];

		if (c != metric.p[i])
			return 0;
	}
	return 1;
}

/* -1: a rule's regular expression is malformed. */
static int def_rules(struct arena *a, struct metric_def *d, const struct metrics_options *o, struct str *ret_message)
{
	for (size_t l = 0; l < d->nlabels; l++) {
		const struct metric_rewrite **to = &d->labels[l].rewrites;

		for (size_t i = 0; i < o->nrules; i++) {
			const struct metric_rule *rule = &o->rules[i];
			struct str why;

			if (!rule_names(rule->metric, d->name) || !str_eq(rule->label, d->labels[l].name))
				continue;
			struct metric_rewrite *w = arena_zalloc(a, sizeof(*w));

			d->rewritten = 1;
			w->regex = regex_new(a, rule->regex, &why);
			w->replacement = arena_str(a, rule->replacement);
			if (!w->regex) {
				*ret_message = arena_printf(a,
							    "failed to compile regex for rule " STR_FMT "/" STR_FMT
							    "/" STR_FMT ": " STR_FMT,
							    STR_ARG(rule->metric), STR_ARG(rule->label),
							    STR_ARG(rule->replacement), STR_ARG(why));
				return -1;
			}
			*to = w;
			to = (const struct metric_rewrite **)&w->next;
		}
	}
	return 0;
}

/* Whether all eight bytes are printable ASCII: none below ' ', none above '~'. */
static int eight_printable(const char *p)
{
	const uint64_t each = 0x0101010101010101u;
	uint64_t word;

	memcpy(&word, p, sizeof(word));
	return ((((word - each * ' ') & ~word) | (word + each) | word) & each * 0x80) == 0;
}

/* A value as it may stand in a label, with a NUL behind it; the bytes it took. */
static size_t put_plain(struct str value, char *to)
{
	size_t n = value.n < LABEL_MAX ? value.n : LABEL_MAX, i = 0;

	for (; i + 8 <= n && eight_printable(value.p + i); i += 8)
		memcpy(to + i, value.p + i, 8);
	for (; i < n; i++)
		to[i] = (char)(value.p[i] >= ' ' && value.p[i] <= '~' ? value.p[i] : '_');
	to[n] = 0;
	return n + 1;
}

static size_t put_rewritten(const struct metric_rewrite *w, struct str value, char *to)
{
	struct buf b[2] = { buf_init(), buf_init() };
	size_t n;

	for (int in = 0; w && value.n; w = w->next, in ^= 1) {
		buf_drop(&b[in], b[in].n);
		if (regex_replace(w->regex, &b[in], value, w->replacement) < 0)
			value = STR("_"); /* no memory: any text, so long as it is none that a client chose */
		else
			value = buf_str(&b[in]);
	}
	n = put_plain(value, to);
	buf_free(&b[0]);
	buf_free(&b[1]);
	return n;
}

static size_t put_value(const struct metric_label *l, struct str value, char *to)
{
	return l->rewrites ? put_rewritten(l->rewrites, value, to) : put_plain(value, to);
}

/* The labels of a list, sorted by its author; ours get their values. foreign: none are ours. */
static void def_labels(struct metrics *m, struct metric_def *d, struct str list, int foreign)
{
	struct str name;

	while (str_split(&list, ',', &name)) {
		struct metric_label *l = &d->labels[d->nlabels++];

		l->name = name;
		if (!foreign && str_is(name, "app_id"))
			l->fixed = m->app_id;
		else if (!foreign && str_is(name, "namespace"))
			l->fixed = m->namespace;
		else
			d->ngiven++;
	}
}

static void def_fixed(struct arena *a, struct metric_def *d)
{
	for (size_t i = 0; i < d->nlabels; i++) {
		char text[LABEL_MAX + 1];

		if (d->labels[i].fixed.p)
			d->labels[i].fixed = arena_str(
				a, (struct str){ text, put_value(&d->labels[i], d->labels[i].fixed, text) - 1 });
	}
}

static int table_defs(struct metrics *m, const struct metrics_options *o, const struct bounds *b,
		      struct str *ret_message)
{
	for (size_t i = 0; i < METRIC_TABLE_SIZE; i++) {
		const struct metric_about *about = &metric_table[i];
		struct metric_def *d = arena_zalloc(m->arena, sizeof(*d));

		d->name = str_of(about->name);
		d->help = str_of(about->help);
		d->kind = about->kind;
		d->unit = about->unit;
		d->recorded = o->enabled && (!(about->flags & METRIC_ERROR_CODES) || o->record_error_codes) &&
			      (!(about->flags & METRIC_HIGH_ONLY) || o->increased_cardinality);
		def_bounds(d, b);
		def_labels(m, d, str_of(about->labels), about->flags & METRIC_FOREIGN);
		if (def_rules(m->arena, d, o, ret_message) < 0)
			return -1;
		def_fixed(m->arena, d);
		m->defs[i] = d;
	}
	atomic_store(&m->ndefs, METRIC_TABLE_SIZE);
	return 0;
}

/* ---- Series ---- */

static struct metric_series *series_new(const struct metric_def *d, struct str key, uint64_t hash)
{
	size_t fixed = sizeof(struct metric_series) + (d->nbounds + 1) * sizeof(atomic_llong);
	struct metric_series *s = mem_zalloc(fixed + key.n);

	if (!s)
		return NULL;
	s->def = d;
	s->hash = hash;
	if (key.n)
		memcpy((char *)s + fixed, key.p, key.n);
	s->key = (struct str){ (char *)s + fixed, key.n };
	return s;
}

static struct metric_series *chain_find(struct metric_series *s, const struct metric_def *d, struct str key,
					uint64_t hash)
{
	for (; s; s = s->next)
		if (s->hash == hash && s->def == d && str_eq(s->key, key))
			return s;
	return NULL;
}

/* The first record of a series, beyond the limits the one that counts what is dropped. */
static struct metric_series *series_add(struct metrics *m, struct metric_def *d, struct str key, uint64_t hash)
{
	_Atomic(struct metric_series *) *chain = &m->chains[hash % METRICS_CHAINS];
	struct metric_series *s;

	pthread_mutex_lock(&m->lock);
	s = chain_find(atomic_load_explicit(chain, memory_order_relaxed), d, key, hash);
	if (!s && atomic_load(&m->nseries) < m->max_series && atomic_load(&d->nseries) < m->max_each) {
		s = series_new(d, key, hash);
		if (s) {
			s->next = atomic_load_explicit(chain, memory_order_relaxed);
			atomic_store_explicit(chain, s, memory_order_release);
			atomic_fetch_add(&m->nseries, 1);
			atomic_fetch_add(&d->nseries, 1);
		}
	}
	pthread_mutex_unlock(&m->lock);
	return s ? s : m->dropped;
}

static struct metric_def *def_recorded(struct metrics *m, int id)
{
	if (!m || id < 0 || (size_t)id >= atomic_load_explicit(&m->ndefs, memory_order_acquire))
		return NULL;
	return m->defs[id]->recorded ? m->defs[id] : NULL;
}

static void make_key(const struct metric_def *d, const struct str *labels, struct metric_key *ret)
{
	ret->n = 0;
	for (size_t i = 0; i < d->nlabels; i++)
		if (!d->labels[i].fixed.p)
			ret->n += put_value(&d->labels[i], *labels++, ret->text + ret->n);
	ret->hash = map_hash((struct str){ ret->text, ret->n });
}

static struct metric_series *series_of(struct metrics *m, int id, const struct str *labels)
{
	struct metric_def *d = def_recorded(m, id);
	struct metric_series *s;
	struct metric_key key;
	struct str values;
	uint64_t hash;

	if (!d)
		return NULL;
	make_key(d, labels, &key);
	values = (struct str){ key.text, key.n };
	/* So that equal labels of two metrics lie in two chains. */
	hash = key.hash + (uint64_t)id * 0x9e3779b97f4a7c15u;
	s = chain_find(atomic_load_explicit(&m->chains[hash % METRICS_CHAINS], memory_order_acquire), d, values, hash);
	return s ? s : series_add(m, d, values, hash);
}

void metrics_together(struct metrics *m, const int *ids, size_t n, const struct str *labels, struct metric_series **ret)
{
	struct recent_key key = { m->number, ids[0], (uint8_t)n, m->defs[ids[0]]->ngiven, labels };
	int found = 0, dropped = 0;
	struct recent *r = recent_find(&key, &found);
	size_t i;

	if (found) {
		memcpy(ret, r->series, n * sizeof(*ret));
		return;
	}
	for (i = 0; i < n; i++) {
		ret[i] = series_of(m, ids[i], labels);
		dropped |= ret[i] == m->dropped;
	}
	if (r == NULL || dropped) /* what is dropped for want of memory need not be the next time */
		return;
	recent_take(r, &key);
	memcpy(r->series, ret, n * sizeof(*ret));
}

struct metric_series *metrics_series(struct metrics *m, int id, const struct str *labels)
{
	struct metric_series *s;

	if (!def_recorded(m, id))
		return NULL;
	metrics_together(m, &id, 1, labels, &s);
	return s;
}

/* ---- Recording ---- */

void metrics_add(struct metric_series *s, int64_t n)
{
	if (s)
		atomic_fetch_add_explicit(&s->value, s->drops ? 1 : n, memory_order_relaxed);
}

void metrics_set(struct metric_series *s, int64_t v)
{
	if (s && s->drops)
		metrics_add(s, 1);
	else if (s)
		atomic_store_explicit(&s->value, v, memory_order_relaxed);
}

/* The first bucket whose bound is above v. Dapr's library counts so, though "le" says at or above. */
static size_t bucket_of(const struct metric_def *d, double v)
{
	size_t low = 0, high = d->nbounds;

	while (low < high) {
		size_t mid = (low + high) / 2;

		if (v < d->bounds[mid])
			high = mid;
		else
			low = mid + 1;
	}
	return low;
}

void metrics_observe(struct metric_series *s, double v)
{
	if (!s || isnan(v))
		return;
	if (s->drops) {
		metrics_add(s, 1);
		return;
	}
	v = v < 0 ? 0 : v > 9e12 ? 9e12 : v; /* so that v times scale is a whole number of 64 bits */
	atomic_fetch_add_explicit(&s->bucket[bucket_of(s->def, v)], 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&s->sum, (long long)(v * s->def->scale + 0.5), memory_order_relaxed);
}

/* ---- The registry ---- */

static int fill(struct metrics *m, const struct metrics_options *o, struct str *ret_message)
{
	struct bounds b = { .ms = metric_latency_buckets, .nms = metric_nlatency_buckets };

	m->app_id = arena_str(m->arena, o->app_id);
	m->namespace = arena_str(m->arena, o->namespace);
	if (o->nlatency_buckets) {
		b.nms = o->nlatency_buckets;
		b.ms = bounds_of(m->arena, o->latency_buckets, &b.nms);
	}
	b.workflow = b.ms;
	b.nworkflow = b.nms;
	if (o->nworkflow_buckets) {
		b.nworkflow = o->nworkflow_buckets;
		b.workflow = bounds_of(m->arena, o->workflow_buckets, &b.nworkflow);
	}
	if (!b.ms || !b.workflow) {
		*ret_message = STR("a bucket of latencyDistributionBuckets is negative");
		return -1;
	}
	if (o->npath_matching) {
		m->patterns = path_patterns_new(m->arena, o->path_matching, o->npath_matching, o->increased_cardinality,
						ret_message);
		if (!m->patterns)
			return -1;
	}
	if (table_defs(m, o, &b, ret_message) < 0)
		return -1;
	m->dropped = series_new(m->defs[METRIC_DAVIT_SERIES_DROPPED], STR(""), 0);
	if (!m->dropped) {
		*ret_message = STR("out of memory");
		return -1;
	}
	m->dropped->drops = 1;
	return 0;
}

static _Atomic uint64_t registries;

struct metrics *metrics_new(const struct metrics_options *o, struct arena *a, struct str *ret_message)
{
	struct metrics *m = mem_zalloc(sizeof(*m));
	struct str why;
	jmp_buf no_memory;

	*ret_message = STR("out of memory");
	if (!m || !(m->arena = arena_new())) {
		mem_free(m);
		return NULL;
	}
	pthread_mutex_init(&m->lock, NULL);
	m->number = atomic_fetch_add(&registries, 1) + 1;
	m->enabled = o->enabled;
	m->increased_cardinality = o->increased_cardinality;
	m->exclude_verbs = o->exclude_verbs;
	m->fibers = o->fibers;
	m->fibers_arg = o->fibers_arg;
	m->max_series = o->max_series ? o->max_series : DEFAULT_SERIES;
	m->max_each = m->max_series < 4 ? 1 : m->max_series / 4;
	arena_on_oom(m->arena, &no_memory);
	if (setjmp(no_memory) == 0) {
		if (fill(m, o, &why) == 0) {
			arena_on_oom(m->arena, NULL);
			return m;
		}
		char *text = arena_try(a, why.n + 1);

		if (text) {
			memcpy(text, why.p, why.n);
			text[why.n] = 0;
			*ret_message = (struct str){ text, why.n };
		}
	}
	metrics_free(m);
	return NULL;
}

void metrics_free(struct metrics *m)
{
	if (!m)
		return;
	for (size_t i = 0; i < METRICS_CHAINS; i++) {
		struct metric_series *s = atomic_load(&m->chains[i]);

		while (s) {
			struct metric_series *next = s->next;

			mem_free(s);
			s = next;
		}
	}
	mem_free(m->dropped);
	pthread_mutex_destroy(&m->lock);
	arena_unref(m->arena);
	mem_free(m);
}

/* ---- Metrics of others ---- */

static int name_valid(struct str s, int colon)
{
	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];
		int letter = c == '_' || (c == ':' && colon) || ((c | 32) >= 'a' && (c | 32) <= 'z');

		if (!letter && (i == 0 || c < '0' || c > '9'))
			return 0;
	}
	return s.n > 0 && s.n <= LABEL_MAX;
}

/* The whole list with app_id and namespace sorted in; p NULL: it is not valid. */
static struct str labels_with_ours(struct str list, char text[METRIC_KEY_MAX])
{
	struct str names[METRIC_LABELS_MAX], part;
	size_t n = 2, used = 0;

	names[0] = STR("app_id");
	names[1] = STR("namespace");
	while (list.n && str_split(&list, ',', &part)) {
		size_t at = n;

		if (n == METRIC_LABELS_MAX || !name_valid(part, 0) || str_is(part, "le"))
			return STR_NONE;
		while (at > 0 && str_cmp(names[at - 1], part) > 0)
			at--;
		if (at > 0 && str_eq(names[at - 1], part))
			return STR_NONE;
		memmove(names + at + 1, names + at, (n - at) * sizeof(*names));
		names[at] = part;
		n++;
	}
	for (size_t i = 0; i < n; i++) {
		if (i)
			text[used++] = ',';
		memcpy(text + used, names[i].p, names[i].n);
		used += names[i].n;
	}
	return (struct str){ text, used };
}

static int same_def(const struct metric_def *d, enum metric_kind kind, enum metric_unit unit, struct str labels)
{
	struct str name;
	size_t i = 0;

	while (str_split(&labels, ',', &name))
		if (i == d->nlabels || !str_eq(d->labels[i++].name, name))
			return 0;
	return d->kind == kind && d->unit == unit && i == d->nlabels;
}

static struct metric_def *def_of_others(struct metrics *m, struct str name, struct str help, enum metric_kind kind,
					enum metric_unit unit, struct str labels)
{
	const struct metric_def *ms = m->defs[METRIC_STATE_LATENCY];
	struct bounds b = { ms->bounds, ms->bounds, ms->nbounds, ms->nbounds };
	struct metric_def *d = arena_try(m->arena, sizeof(*d));
	char *texts = arena_try(m->arena, name.n + help.n + labels.n);

	if (!d || !texts)
		return NULL;
	*d = (struct metric_def){ .kind = kind, .unit = unit, .recorded = m->enabled };
	memcpy(texts, name.p, name.n);
	if (help.n)
		memcpy(texts + name.n, help.p, help.n);
	d->name = (struct str){ texts, name.n };
	d->help = (struct str){ texts + name.n, help.n };
	memcpy(texts + name.n + help.n, labels.p, labels.n);
	def_bounds(d, &b);
	def_labels(m, d, (struct str){ texts + name.n + help.n, labels.n }, 0);
	for (size_t i = 0; i < d->nlabels; i++) /* ours are as some other metric has them already */
		if (d->labels[i].fixed.p)
			d->labels[i].fixed = ms->labels[str_is(d->labels[i].name, "app_id") ? 0 : 2].fixed;
	return d;
}

int metrics_define(struct metrics *m, struct str name, struct str help, enum metric_kind kind, enum metric_unit unit,
		   struct str labels)
{
	char text[METRIC_KEY_MAX];
	struct str all;
	size_t n, i;
	int id = -1;

	if (!m || !name_valid(name, 1) || (kind == METRIC_HISTOGRAM) == (unit == METRIC_NUMBER))
		return -1;
	pthread_mutex_lock(&m->lock);
	n = atomic_load(&m->ndefs);
	for (i = 0; i < n && !str_eq(m->defs[i]->name, name); i++)
		;
	all = labels_with_ours(labels, text);
	if (!all.p || str_starts(name, STR("go_")) || str_starts(name, STR("process_"))) {
		id = -1;
	} else if (i < n) {
		id = same_def(m->defs[i], kind, unit, all) ? (int)i : -1;
	} else if (n < METRICS_DEFS) {
		m->defs[n] = def_of_others(m, name, help, kind, unit, all);
		if (m->defs[n]) {
			id = (int)n;
			atomic_store_explicit(&m->ndefs, n + 1, memory_order_release);
		}
	}
	pthread_mutex_unlock(&m->lock);
	return id;
}
