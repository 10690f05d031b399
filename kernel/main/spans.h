/* SPDX-License-Identifier: Apache-2.0 */
/* Configuration's tracing section and OTEL_*, as the tracer and the exporters want them. */
#ifndef MAIN_SPANS_H
#define MAIN_SPANS_H
#include "resources/configuration.h"
#include "telemetry/exporter.h"
#include "telemetry/trace.h"

struct tracer spans_tracer(const struct configuration *c);
/*
 * Begins to export on loop l what t traces, where anything is configured: else *ret is NULL. -1: *ret_message (in a) says
 * what of the configuration cannot be. a lives until exporters_free().
 */
int spans_open(const struct configuration *c, struct str app_id, struct metrics *m, struct loop *l, struct arena *a,
	       struct tracer *t, struct exporters **ret, struct str *ret_message);
#endif
