/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The service "davit.metrics/1". A series has the plugin's labels and two of ours, component and type, all in one
 * sorted list: what a component defined is kept with the places of its values in it.
 */
#include "plugin/measure.h"

#include <davit/metrics.h>
#include <pthread.h>
#include <stdatomic.h>

#include "base/banned.h"
#include "base/mem.h"
#include "plugin/adapter.h"
#include "plugin/instance.h"
#include "plugin/service.h"
#include "telemetry/metrics.h"

#define DEFINED 32
#define LABELS 4 /* of a plugin */
#define OURS 2

struct measure {
	int id;			 /* in the registry; -1: it records nothing */
	int nlabels;		 /* all of them */
	int from[LABELS + OURS]; /* whose value stands there: 0 and above the plugin's, COMPONENT, TYPE */
};

enum { COMPONENT = -1, TYPE = -2 };

struct measures {
	struct metrics *metrics;
	pthread_mutex_t lock; /* to define; innermost but for the registry's */
	atomic_int n;
	struct measure all[DEFINED];
};

struct measures *measures_new(struct metrics *m)
{
	struct measures *s = mem_zalloc(sizeof(*s));

	if (s == NULL)
		return NULL;
	s->metrics = m;
	pthread_mutex_init(&s->lock, NULL);
	return s;
}

void measures_free(struct measures *s)
{
	if (s == NULL)
		return;
	pthread_mutex_destroy(&s->lock);
	mem_free(s);
}

static int is_name(struct str s)
{
	size_t i;

	for (i = 0; i < s.n; i++)
		if (!((s.p[i] >= 'a' && s.p[i] <= 'z') || (s.p[i] >= 'A' && s.p[i] <= 'Z') || s.p[i] == '_' ||
		      (i > 0 && s.p[i] >= '0' && s.p[i] <= '9')))
			return 0;
	return s.n > 0 && s.n <= 80;
}

static int is_ours(struct str s)
{
	return str_is(s, "app_id") || str_is(s, "component") || str_is(s, "namespace") || str_is(s, "type") ||
	       str_is(s, "le") || str_starts(s, STR("__"));
}

static void put(struct measure *m, char *text, size_t room, struct str name, int from)
{
	size_t n = strlen(text);

	snprintf(text + n, room - n, "%s" STR_FMT, n ? "," : "", STR_ARG(name));
	m->from[m->nlabels++] = from;
}

/* The plugin's names and ours in one list, sorted. -1: the names cannot be. */
static int merge(struct str rest, struct measure *m, char *text, size_t room)
{
	static const struct str ours[OURS] = { STR("component"), STR("type") };
	struct str name, last = STR("");
	int k = 0, i = 0;

	text[0] = '\0';
	while (rest.n > 0 && str_split(&rest, ',', &name)) {
		if (i == LABELS || !is_name(name) || is_ours(name) || str_cmp(last, name) >= 0)
			return -1;
		for (; k < OURS && str_cmp(ours[k], name) < 0; k++)
			put(m, text, room, ours[k], k == 0 ? COMPONENT : TYPE);
		put(m, text, room, name, i++);
		last = name;
	}
	for (; k < OURS; k++)
		put(m, text, room, ours[k], k == 0 ? COMPONENT : TYPE);
	return 0;
}

/* A metric's id in the registry. -1: it has the name already for something else, or is full. */
static int define_there(struct metrics *m, const struct davit_metric_about *about, const char *labels)
{
	static const struct {
		enum metric_kind kind;
		enum metric_unit unit;
	} forms[] = { [DAVIT_METRIC_COUNTER] = { METRIC_COUNTER, METRIC_NUMBER },
		      [DAVIT_METRIC_GAUGE] = { METRIC_GAUGE, METRIC_NUMBER },
		      [DAVIT_METRIC_MS] = { METRIC_HISTOGRAM, METRIC_MS },
		      [DAVIT_METRIC_BYTES] = { METRIC_HISTOGRAM, METRIC_BYTES },
		      [DAVIT_METRIC_RATIO] = { METRIC_HISTOGRAM, METRIC_RATIO } };
	char name[128];

	snprintf(name, sizeof(name), "davit_plugin_%.*s", (int)about->name.n, about->name.p);
	return metrics_define(m, str_of(name), (struct str){ about->help.p, about->help.p ? about->help.n : 0 },
			      forms[about->form].kind, forms[about->form].unit, str_of(labels));
}

static davit_status define(struct davit_instance *handle, const struct davit_metric_about *about, int32_t *ret_metric)
{
	struct measures *s = instance_measures(instance_of(handle));
	struct measure m = { .id = -1 };
	char labels[(LABELS + OURS) * 81 + 1];
	davit_status status = DAVIT_OK;
	int n;

	if (about->form < DAVIT_METRIC_COUNTER || about->form > DAVIT_METRIC_RATIO ||
	    !is_name((struct str){ about->name.p, about->name.n }) ||
	    merge((struct str){ about->labels.p, about->labels.p ? about->labels.n : 0 }, &m, labels, sizeof(labels)) <
		    0)
		return DAVIT_INVALID_ARGUMENT;
	pthread_mutex_lock(&s->lock);
	n = atomic_load(&s->n);
	if (n == DEFINED)
		status = DAVIT_EXHAUSTED;
	else if (s->metrics != NULL && (m.id = define_there(s->metrics, about, labels)) < 0)
		status = DAVIT_ALREADY_EXISTS;
	if (status == DAVIT_OK) {
		s->all[n] = m;
		atomic_store(&s->n, n + 1);
		*ret_metric = n;
	}
	pthread_mutex_unlock(&s->lock);
	return status;
}

static struct davit_metric_series *series(struct davit_instance *handle, int32_t metric, const struct davit_str *values)
{
	const struct instance *i = instance_of(handle);
	struct measures *s = instance_measures((struct instance *)i);
	struct str all[LABELS + OURS];
	const struct measure *m;
	int k;

	if (metric < 0 || metric >= atomic_load(&s->n) || s->all[metric].id < 0)
		return NULL;
	m = &s->all[metric];
	for (k = 0; k < m->nlabels; k++) {
		if (m->from[k] == COMPONENT)
			all[k] = instance_name(i);
		else if (m->from[k] == TYPE)
			all[k] = instance_type(i)->about->type;
		else if (values != NULL && values[m->from[k]].p != NULL)
			all[k] = (struct str){ values[m->from[k]].p, values[m->from[k]].n };
		else
			all[k] = STR("");
	}
	return (struct davit_metric_series *)metrics_series(s->metrics, m->id, all);
}

static void add(struct davit_metric_series *s, int64_t n)
{
	metrics_add((struct metric_series *)s, n);
}

static void set(struct davit_metric_series *s, int64_t v)
{
	metrics_set((struct metric_series *)s, v);
}

static void observe(struct davit_metric_series *s, double v)
{
	metrics_observe((struct metric_series *)s, v);
}

const struct davit_metrics_service metrics_service = DAVIT_INIT(davit_metrics_service, .define = define,
								.series = series, .add = add, .set = set,
								.observe = observe);
