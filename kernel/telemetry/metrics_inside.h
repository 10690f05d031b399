/* SPDX-License-Identifier: Apache-2.0 */
/* What the registry, its exposition and what happens share. */
#ifndef TELEMETRY_METRICS_INSIDE_H
#define TELEMETRY_METRICS_INSIDE_H
#include <pthread.h>
#include <stdatomic.h>

#include "base/regex.h"
#include "telemetry/metrics.h"
#include "telemetry/path_label.h"

#define METRICS_CHAINS 4096 /* 32 KiB; at 10,000 series two or three a chain */
#define METRICS_DEFS (METRIC_TABLE_SIZE + METRICS_DEFINED_MAX)
#define LABEL_MAX 255

struct metric_rewrite {
	struct metric_rewrite *next; /* in the order given */
	const struct regex *regex;
	struct str replacement;
};

struct metric_label {
	struct str name;
	struct str fixed; /* the value where it is ours (app_id, namespace); p NULL: it is given */
	const struct metric_rewrite *rewrites;
};

struct metric_def {
	struct str name, help;
	enum metric_kind kind;
	enum metric_unit unit;
	int recorded;		/* 0: the options leave it out */
	int rewritten;		/* a label has rules of its own: its key is nobody else's */
	size_t nlabels, ngiven; /* ngiven: without those that are ours */
	struct metric_label labels[METRIC_LABELS_MAX];
	const double *bounds;
	size_t nbounds;
	double scale; /* sums are kept as whole numbers of 1/scale */
	atomic_size_t nseries;
};

/* Never changes but for the atomics, never goes before the registry does. */
struct metric_series {
	struct metric_series *next; /* in its chain */
	const struct metric_def *def;
	uint64_t hash;
	struct str key;	       /* the values that are given, each with a NUL behind it */
	int drops;	       /* what is recorded here counts as dropped */
	atomic_llong value;    /* counter, gauge */
	atomic_llong sum;      /* histogram, times def->scale */
	atomic_llong bucket[]; /* def->nbounds + 1, each for itself */
};

/* The given label values of a series. */
#define METRIC_KEY_MAX (METRIC_LABELS_MAX * (LABEL_MAX + 1))

struct metric_key {
	uint64_t hash;
	size_t n;
	char text[METRIC_KEY_MAX];
};

struct metrics {
	uint64_t number;     /* of this registry, never 0; no two have the same */
	struct arena *arena; /* definitions; changed under lock */
	int enabled, increased_cardinality, exclude_verbs;
	struct str app_id, namespace;
	struct path_patterns *patterns;
	size_t max_series, max_each;
	int64_t (*fibers)(void *arg);
	void *fibers_arg;

	pthread_mutex_t lock; /* taken alone; never while calling out */
	struct metric_def *defs[METRICS_DEFS];
	atomic_size_t ndefs;
	atomic_size_t nseries;
	_Atomic(struct metric_series *) chains[METRICS_CHAINS];
	struct metric_series *dropped;
};

/* metrics_series() of n <= RECENT_SERIES metrics with the same labels; NULL for one that is not recorded. */
void metrics_together(struct metrics *m, const int *ids, size_t n, const struct str *labels,
		      struct metric_series **ret);

/* Families that are read when somebody asks (process.c), sorted. */
void process_metrics_write(struct buf *b);
/* A value as Go's client prints it: the shortest that reads back the same. */
void metrics_put_number(struct buf *b, double v);
void metrics_put_head(struct buf *b, struct str name, struct str help, enum metric_kind kind);
#endif
