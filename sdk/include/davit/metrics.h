/* SPDX-License-Identifier: Apache-2.0 */
/*
 * davit/metrics.h - the service "davit.metrics/1": a component's own counters, gauges and histograms in the sidecar's
 * /metrics.
 *
 *	struct davit_metric_about about = DAVIT_INIT(davit_metric_about, .form = DAVIT_METRIC_COUNTER,
 *						     .name = davit_str("acme_requests_total"), .labels = davit_str("code"),
 *						     .help = davit_str("Requests to Acme, by the code of the answer."));
 *	metrics->define(instance, &about, &requests);		once, in open()
 *	...
 *	code = davit_str("200");
 *	metrics->add(metrics->series(instance, requests, &code), 1);
 *
 * is davit_plugin_acme_requests_total{app_id="…",code="200",component="…",type="…"}. A counter without labels of its
 * own needs none of this: see davit_count(). Nothing here waits or blocks, and all of it may be called from any
 * thread until close() returns; a series may be kept until then, which saves looking for it.
 *
 * Limits: a component may define 32 metrics with up to 4 labels each; a sidecar has 10,000 series in all, a quarter
 * of them at most of one metric. What comes beyond is counted in davit_metric_series_dropped alone, so a label is for
 * what has few values: never a key, an id, a path or a message. A label's value is printable ASCII of at most 255
 * bytes: other bytes become '_', the rest is cut.
 */
#ifndef DAVIT_METRICS_H
#define DAVIT_METRICS_H
#include <davit/plugin.h>

#ifdef __cplusplus
extern "C" {
#endif

#define DAVIT_METRICS "davit.metrics/1"

enum { davit_metrics_service_kind = 10600, davit_metric_about_kind };

enum {
	DAVIT_METRIC_COUNTER = 1, /* whole numbers, only ever more; its name ends in _total */
	DAVIT_METRIC_GAUGE,	  /* whole numbers */
	DAVIT_METRIC_MS,	  /* histograms: of milliseconds (and fractions), in the operator's buckets, */
	DAVIT_METRIC_BYTES,	  /* of sizes, */
	DAVIT_METRIC_RATIO	  /* of 0 to 1 */
};

/* Copied. */
struct davit_metric_about {
	uint32_t size, kind;
	uint32_t form, unused; /* DAVIT_METRIC_… */
	struct davit_str name; /* letters, digits and '_'; davit_plugin_ is put before it */
	struct davit_str help; /* a sentence */
	struct davit_str
		labels; /* names with commas between, sorted; not given: none. app_id, component, namespace and type
				  * are not to be had */
};

struct davit_metric_series;

struct davit_metrics_service {
	uint32_t size, kind;
	/*
	 * The same again, by this or another component, is the same metric. DAVIT_INVALID_ARGUMENT: a form, name or
	 * label that cannot be; DAVIT_ALREADY_EXISTS: the name means something else; DAVIT_EXHAUSTED: a limit,
	 * memory.
	 */
	davit_status (*define)(struct davit_instance *instance, const struct davit_metric_about *about,
			       int32_t *ret_metric);
	/* values: of the labels, in their order; NULL where there are none. NULL, which those below take: nothing is recorded. */
	struct davit_metric_series *(*series)(struct davit_instance *instance, int32_t metric,
					      const struct davit_str *values);
	void (*add)(struct davit_metric_series *series, int64_t n);    /* counter, gauge */
	void (*set)(struct davit_metric_series *series, int64_t v);    /* gauge */
	void (*observe)(struct davit_metric_series *series, double v); /* histograms */
};

/* NULL: this kernel does not offer it. */
static inline const struct davit_metrics_service *davit_metrics_service(struct davit_instance *instance)
{
	return (const struct davit_metrics_service *)instance->host->service(instance, DAVIT_METRICS);
}

#ifdef __cplusplus
}
#endif
#endif
