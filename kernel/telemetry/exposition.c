/* SPDX-License-Identifier: Apache-2.0 */
/* The text that Prometheus reads: https://prometheus.io/docs/instrumenting/exposition_formats/ */
#include <math.h>
#include <stdlib.h>

#include "base/banned.h"
#include "base/mem.h"
#include "telemetry/metrics_inside.h"

#define FIBERS "go_goroutines"

/* As strconv.FormatFloat(v, 'g', -1, 64): the fewest digits that read back the same, with an exponent from 1e+06 on. */
void metrics_put_number(struct buf *b, double v)
{
	char text[32];
	int decimals = 0;

	if (isinf(v) || isnan(v)) {
		buf_adds(b, isnan(v) ? STR("NaN") : v > 0 ? STR("+Inf") : STR("-Inf"));
		return;
	}
	if (fabs(v) < 1e6 && v == (double)(int64_t)v) {
		buf_int(b, (int64_t)v);
		return;
	}
	for (; decimals < 17; decimals++) {
		snprintf(text, sizeof(text), "%.*e", decimals, v);
		if (strtod(text, NULL) == v)
			break;
	}
	int exponent = (int)strtol(strchr(text, 'e') + 1, NULL, 10);

	if (exponent < -4 || exponent >= 6)
		buf_printf(b, "%s", text);
	else
		buf_printf(b, "%.*f", decimals > exponent ? decimals - exponent : 0, v);
}

static void put_escaped(struct buf *b, struct str s, int quotes)
{
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] == '\n')
			buf_lit(b, "\\n");
		else if (s.p[i] == '\\' || (quotes && s.p[i] == '"'))
			buf_printf(b, "\\%c", s.p[i]);
		else
			buf_addc(b, s.p[i]);
	}
}

void metrics_put_head(struct buf *b, struct str name, struct str help, enum metric_kind kind)
{
	static const char *const kinds[] = { "counter", "gauge", "histogram" };

	buf_lit(b, "# HELP ");
	buf_adds(b, name);
	buf_lit(b, " ");
	put_escaped(b, help, 0);
	buf_lit(b, "\n# TYPE ");
	buf_adds(b, name);
	buf_printf(b, " %s\n", kinds[kind]);
}

/* The given values of a series, one after the other. */
static struct str next_value(struct str *rest)
{
	struct str value = str_of(rest->p);

	*rest = str_from(*rest, value.n + 1);
	return value;
}

/* name="value",… without braces. */
static void put_labels(struct buf *b, const struct metric_series *s)
{
	struct str rest = s->key;

	for (size_t i = 0; i < s->def->nlabels; i++) {
		const struct metric_label *l = &s->def->labels[i];

		if (i)
			buf_lit(b, ",");
		buf_adds(b, l->name);
		buf_lit(b, "=\"");
		put_escaped(b, l->fixed.p ? l->fixed : next_value(&rest), 1);
		buf_lit(b, "\"");
	}
}

static void put_line(struct buf *b, const struct metric_series *s, struct str labels, const char *suffix, double v)
{
	buf_adds(b, s->def->name);
	buf_printf(b, "%s{", suffix);
	buf_adds(b, labels);
	buf_lit(b, "} ");
	metrics_put_number(b, v);
	buf_lit(b, "\n");
}

static void put_histogram(struct buf *b, const struct metric_series *s, struct str labels)
{
	const struct metric_def *d = s->def;
	long long count = 0;

	for (size_t i = 0; i <= d->nbounds; i++) {
		count += atomic_load_explicit(&s->bucket[i], memory_order_relaxed);
		buf_adds(b, d->name);
		buf_lit(b, "_bucket{");
		buf_adds(b, labels);
		buf_lit(b, ",le=\"");
		metrics_put_number(b, i < d->nbounds ? d->bounds[i] : INFINITY);
		buf_lit(b, "\"} ");
		metrics_put_number(b, (double)count);
		buf_lit(b, "\n");
	}
	put_line(b, s, labels, "_sum", (double)atomic_load_explicit(&s->sum, memory_order_relaxed) / d->scale);
	put_line(b, s, labels, "_count", (double)count);
}

static void put_series(struct buf *b, const struct metric_series *s)
{
	struct buf labels = buf_init();

	put_labels(&labels, s);
	if (labels.failed)
		b->failed = 1;
	else if (s->def->kind == METRIC_HISTOGRAM)
		put_histogram(b, s, buf_str(&labels));
	else
		put_line(b, s, buf_str(&labels), "", (double)atomic_load_explicit(&s->value, memory_order_relaxed));
	buf_free(&labels);
}

/* By name, then by each label in turn, as NUL stands behind each value. */
static int by_name(const void *a, const void *b)
{
	const struct metric_series *x = *(struct metric_series *const *)a, *y = *(struct metric_series *const *)b;
	int c = x->def == y->def ? 0 : str_cmp(x->def->name, y->def->name);

	return c ? c : str_cmp(x->key, y->key);
}

static void put_fibers(struct metrics *m, struct buf *b)
{
	if (!m->fibers)
		return;
	metrics_put_head(b, STR(FIBERS), STR("Fibers that are alive, the counterpart of Go's goroutines."),
			 METRIC_GAUGE);
	buf_printf(b, FIBERS " %lld\n", (long long)m->fibers(m->fibers_arg));
}

/* What stands between two families: ours that no table holds. done: how many of them were written. */
static void put_between(struct metrics *m, struct buf *b, struct str next, int *done)
{
	if (*done == 0 && (!next.p || str_cmp(STR(FIBERS), next) < 0)) {
		put_fibers(m, b);
		*done = 1;
	}
	if (*done == 1 && (!next.p || str_cmp(STR("process_"), next) < 0)) {
		process_metrics_write(b);
		*done = 2;
	}
}

/* All series that are there now. NULL: no memory. */
static struct metric_series **gather(struct metrics *m, size_t *ret_n)
{
	size_t room = atomic_load(&m->nseries) + 64, n = 0;
	struct metric_series **all = mem_alloc((room + 1) * sizeof(*all));

	for (size_t i = 0; all && i < METRICS_CHAINS; i++) {
		struct metric_series *s = atomic_load_explicit(&m->chains[i], memory_order_acquire);

		for (; s && n < room; s = s->next) /* what comes while we look is for the next reader */
			all[n++] = s;
	}
	if (all && atomic_load(&m->dropped->value))
		all[n++] = m->dropped;
	*ret_n = n;
	return all;
}

void metrics_write(struct metrics *m, struct buf *b)
{
	struct metric_series **all;
	size_t n;
	int done = 0;

	if (!m)
		return;
	all = gather(m, &n);
	if (!all) {
		b->failed = 1;
		return;
	}
	qsort(all, n, sizeof(*all), by_name);
	for (size_t i = 0; i < n; i++) {
		const struct metric_def *d = all[i]->def;

		if (i == 0 || all[i - 1]->def != d) {
			put_between(m, b, d->name, &done);
			metrics_put_head(b, d->name, d->help, d->kind);
		}
		put_series(b, all[i]);
	}
	put_between(m, b, STR_NONE, &done);
	mem_free(all);
}
