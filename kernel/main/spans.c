/* SPDX-License-Identifier: Apache-2.0 */
#include "main/spans.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/banned.h"
#include "base/log.h"

#define LOG_SCOPE "dapr.runtime"

static struct str variable(const char *name)
{
	const char *v = getenv(name);

	return str_of(v ? v : "");
}

/* A whole number above 0; 0: there is none, and OpenTelemetry's default counts. */
static int64_t number(const char *name)
{
	int64_t v;

	return str_int(variable(name), &v) == 0 && v > 0 && v < INT32_MAX ? v : 0;
}

static struct exporter_options destinations(const struct configuration *c)
{
	const struct configuration_tracing *t = &c->tracing;

	return (struct exporter_options){ .to_log = t->stdout_export,
					  .zipkin = t->zipkin_endpoint_address,
					  .otel = t->otel.endpoint_address,
					  .protocol = t->otel.protocol,
					  .secure = t->otel.is_secure,
					  .headers = t->otel.headers.p,
					  .nheaders = t->otel.headers.n,
					  .timeout_ns = t->otel.timeout };
}

struct tracer spans_tracer(const struct configuration *c)
{
	struct exporter_options o = destinations(c);

	return tracer_of(c->tracing.sampling_rate, exporter_wanted(&o));
}

/* In the words of OpenTelemetry's samplers. */
static void tell_sampler(double rate)
{
	char root[64] = "AlwaysOnSampler";

	if (rate < 1)
		snprintf(root, sizeof(root), "TraceIDRatioBased{%g}", rate > 0 ? rate : 0);
	log_info("Dapr trace sampler initialized: ParentBased{root:%s,remoteParentSampled:AlwaysOnSampler,"
		 "remoteParentNotSampled:AlwaysOffSampler,localParentSampled:AlwaysOnSampler,"
		 "localParentNotSampled:AlwaysOffSampler}",
		 root);
}

int spans_open(const struct configuration *c, struct str app_id, struct metrics *m, struct loop *l, struct arena *a,
	       struct tracer *t, struct exporters **ret, struct str *ret_message)
{
	struct exporter_options o = destinations(c);
	struct str why;

	*ret = NULL;
	tell_sampler(t->rate);
	if (!exporter_wanted(&o))
		return 0;
	o.metrics = m;
	o.certificate = variable("OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE");
	if (o.certificate.n == 0)
		o.certificate = variable("OTEL_EXPORTER_OTLP_CERTIFICATE");
	o.delay_ms = number("OTEL_BSP_SCHEDULE_DELAY");
	o.export_ms = number("OTEL_BSP_EXPORT_TIMEOUT");
	o.queue_limit = (size_t)number("OTEL_BSP_MAX_QUEUE_SIZE");
	o.batch_limit = (size_t)number("OTEL_BSP_MAX_EXPORT_BATCH_SIZE");
	if (span_resource_of(a, app_id, variable("OTEL_RESOURCE_ATTRIBUTES"), variable("OTEL_SERVICE_NAME"),
			     &o.resource) < 0)
		log_warn("OTEL_RESOURCE_ATTRIBUTES is not a list of name=value,name=value and is not used");
	*ret = exporters_new(&o, l, a, &why);
	if (*ret == NULL) {
		*ret_message = arena_printf(a, "failed to setup tracing: " STR_FMT, STR_ARG(why));
		return -1;
	}
	t->ended = exporters_ended;
	t->arg = *ret;
	return 0;
}
