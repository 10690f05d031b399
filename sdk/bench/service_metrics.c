/* SPDX-License-Identifier: Apache-2.0 */
/* davit.metrics/1, whose figures nobody reads: what is defined is looked at, the rest forgotten. */
#include <davit/metrics.h>

static davit_status define(struct davit_instance *instance, const struct davit_metric_about *about, int32_t *ret_metric)
{
	(void)instance;
	if (about->form < DAVIT_METRIC_COUNTER || about->form > DAVIT_METRIC_RATIO || about->name.n == 0)
		return DAVIT_INVALID_ARGUMENT;
	*ret_metric = 0;
	return DAVIT_OK;
}

static struct davit_metric_series *series(struct davit_instance *instance, int32_t metric,
					  const struct davit_str *values)
{
	(void)instance, (void)metric, (void)values;
	return NULL;
}

static void forget(struct davit_metric_series *s, int64_t n)
{
	(void)s, (void)n;
}

static void forget_real(struct davit_metric_series *s, double v)
{
	(void)s, (void)v;
}

const struct davit_metrics_service bench_metrics = DAVIT_INIT(davit_metrics_service, .define = define, .series = series,
							      .add = forget, .set = forget, .observe = forget_real);
