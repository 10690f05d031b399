/* SPDX-License-Identifier: Apache-2.0 */
/* What happens, turned into the metrics that Dapr counts it in. */
#include <stdlib.h>

#include "base/banned.h"
#include "base/error.h"
#include "telemetry/metrics_inside.h"

static double ms(int64_t ns)
{
	return (double)ns / 1e6;
}

static void count(struct metrics *m, int id, const struct str *labels)
{
	metrics_add(metrics_series(m, id, labels), 1);
}

static void observe(struct metrics *m, int id, const struct str *labels, double v)
{
	metrics_observe(metrics_series(m, id, labels), v);
}

/* A count and a latency. */
static void count_and_time(struct metrics *m, const int ids[2], const struct str *labels, int64_t ns)
{
	struct metric_series *series[2];

	if (!m || !m->enabled)
		return;
	metrics_together(m, ids, 2, labels, series);
	metrics_add(series[0], 1);
	metrics_observe(series[1], ms(ns));
}

static struct str number_text(int n, char text[16])
{
	char *p = text + 16;

	for (unsigned v = n < 0 ? 0 : (unsigned)n; p == text + 16 || v; v /= 10)
		*--p = (char)('0' + v % 10);
	return (struct str){ p, (size_t)(text + 16 - p) };
}

static struct str truth(int success)
{
	return success ? STR("true") : STR("false");
}

/* ---- HTTP ---- */

static struct str method_label(const struct metrics *m, struct str method)
{
	static const char *const verbs[] = { "GET",  "PUT",	"POST",	   "PATCH", "DELETE",
					     "HEAD", "OPTIONS", "CONNECT", "TRACE" };

	if (m->exclude_verbs)
		return STR("");
	for (size_t i = 0; i < sizeof(verbs) / sizeof(*verbs); i++)
		if (str_is(method, verbs[i]))
			return method;
	return STR("UNKNOWN");
}

void metrics_http_done(struct metrics *m, struct str method, struct str path, int status, int64_t request_bytes,
		       int64_t response_bytes, int64_t ns)
{
	char scratch[PATH_LABEL_MAX], text[16];

	if (!m || !m->enabled)
		return;
	struct str labels[] = { method_label(m, method),
				path_label(m->patterns, m->increased_cardinality, path, scratch),
				number_text(status, text) };

	static const int ids[] = { METRIC_HTTP_SERVER_REQUEST_COUNT, METRIC_HTTP_SERVER_LATENCY,
				   METRIC_HTTP_SERVER_RESPONSE_COUNT };
	struct metric_series *series[3];

	metrics_together(m, ids, 3, labels, series);
	metrics_add(series[0], 1);
	metrics_observe(series[1], ms(ns));
	metrics_add(series[2], 1);
	observe(m, METRIC_HTTP_SERVER_REQUEST_BYTES, NULL, (double)request_bytes);
	observe(m, METRIC_HTTP_SERVER_RESPONSE_BYTES, NULL, (double)response_bytes);
}

/* As in Dapr's client Dapr's own paths keep their names at low cardinality too, and a pattern's text is reduced once more. */
static struct str client_path(const struct metrics *m, struct str path, char scratch[PATH_LABEL_MAX],
			      char out[PATH_LABEL_MAX])
{
	struct str label = path_fixed(path);

	if (label.n)
		return label;
	label = path_label(m->patterns, m->increased_cardinality, path, scratch);
	return m->patterns || m->increased_cardinality ? path_reduce(label, out) : label;
}

void metrics_http_client_started(struct metrics *m, struct str method, struct str path, int64_t request_bytes)
{
	char scratch[PATH_LABEL_MAX], out[PATH_LABEL_MAX];

	if (!m || !m->enabled)
		return;
	struct str labels[] = { method_label(m, method), client_path(m, path, scratch, out), STR("") };

	observe(m, METRIC_HTTP_CLIENT_SENT_BYTES, labels, (double)request_bytes);
}

void metrics_http_client_done(struct metrics *m, struct str method, struct str path, int status, int64_t response_bytes,
			      int64_t ns)
{
	char scratch[PATH_LABEL_MAX], out[PATH_LABEL_MAX], text[16];

	if (!m || !m->enabled)
		return;
	struct str labels[] = { method_label(m, method), client_path(m, path, scratch, out),
				number_text(status, text) };

	count(m, METRIC_HTTP_CLIENT_COUNT, labels);
	observe(m, METRIC_HTTP_CLIENT_LATENCY, labels, ms(ns));
	observe(m, METRIC_HTTP_CLIENT_RECEIVED_BYTES, NULL, (double)response_bytes);
}

void metrics_http_probe_done(struct metrics *m, int status, int64_t ns)
{
	char text[16];
	struct str label = number_text(status, text);

	count(m, METRIC_HTTP_PROBE_COUNT, &label);
	observe(m, METRIC_HTTP_PROBE_LATENCY, &label, ms(ns));
}

/* ---- gRPC ---- */

void metrics_grpc_stream_done(struct metrics *m, struct str method, int code, int64_t ns)
{
	static const int ids[] = { METRIC_GRPC_SERVER_COUNT, METRIC_GRPC_SERVER_LATENCY };
	struct str labels[] = { method, str_of(error_code_name(code)) };

	count_and_time(m, ids, labels, ns);
}

void metrics_grpc_done(struct metrics *m, struct str method, int code, int64_t request_bytes, int64_t response_bytes,
		       int64_t ns)
{
	static const int ids[] = { METRIC_GRPC_SERVER_RECEIVED_BYTES, METRIC_GRPC_SERVER_SENT_BYTES };
	struct metric_series *series[2];

	if (!m || !m->enabled)
		return;
	metrics_grpc_stream_done(m, method, code, ns);
	metrics_together(m, ids, 2, &method, series);
	metrics_observe(series[0], (double)request_bytes);
	metrics_observe(series[1], code == ERROR_OK ? (double)response_bytes : 0);
}

void metrics_grpc_client_done(struct metrics *m, struct str method, int code, int64_t request_bytes,
			      int64_t response_bytes, int64_t ns)
{
	struct str labels[] = { method, str_of(error_code_name(code)) };

	count(m, METRIC_GRPC_CLIENT_COUNT, labels);
	observe(m, METRIC_GRPC_CLIENT_LATENCY, labels, ms(ns));
	observe(m, METRIC_GRPC_CLIENT_SENT_BYTES, &method, (double)request_bytes);
	observe(m, METRIC_GRPC_CLIENT_RECEIVED_BYTES, &method, code == ERROR_OK ? (double)response_bytes : 0);
}

void metrics_grpc_probe_done(struct metrics *m, int code, int64_t ns)
{
	struct str label = str_of(error_code_name(code));

	count(m, METRIC_GRPC_PROBE_COUNT, &label);
	observe(m, METRIC_GRPC_PROBE_LATENCY, &label, ms(ns));
}

/* ---- Components ---- */

/* Dapr leaves out the latency where it rounds to 0 ms; ours are fractions, and no operation takes none. */
static void component_done(struct metrics *m, const int ids[2], struct str component, struct str label,
			   struct str last_label, int64_t ns)
{
	struct str labels[] = { component, label, last_label };

	if (ns > 0)
		count_and_time(m, ids, labels, ns);
	else
		count(m, ids[0], labels);
}

void metrics_state_done(struct metrics *m, struct str component, struct str operation, int success, int64_t ns)
{
	const int ids[] = { METRIC_STATE_COUNT, METRIC_STATE_LATENCY };

	component_done(m, ids, component, operation, truth(success), ns);
}

void metrics_secret_done(struct metrics *m, struct str component, struct str operation, int success, int64_t ns)
{
	const int ids[] = { METRIC_SECRET_COUNT, METRIC_SECRET_LATENCY };

	component_done(m, ids, component, operation, truth(success), ns);
}

void metrics_pubsub_published(struct metrics *m, struct str component, struct str topic, int success, int64_t ns)
{
	const int ids[] = { METRIC_PUBSUB_EGRESS_COUNT, METRIC_PUBSUB_EGRESS_LATENCY };

	component_done(m, ids, component, truth(success), topic, ns);
}

void metrics_pubsub_bulk_published(struct metrics *m, struct str component, struct str topic, int success, int64_t ns)
{
	const int ids[] = { METRIC_PUBSUB_EGRESS_BULK_COUNT, METRIC_PUBSUB_EGRESS_BULK_LATENCY };

	component_done(m, ids, component, truth(success), topic, ns);
}

void metrics_pubsub_received(struct metrics *m, struct str component, struct str topic, struct str process,
			     struct str status, int64_t ns)
{
	struct str labels[] = { component, process, status.n ? status : process, topic };

	count(m, METRIC_PUBSUB_INGRESS_COUNT, labels);
	if (ns > 0)
		observe(m, METRIC_PUBSUB_INGRESS_LATENCY, labels, ms(ns));
}

static void bulk_events(struct metrics *m, struct str component, struct str topic, const char *process, int64_t n)
{
	struct str labels[] = { component, str_of(process), topic };

	if (m != NULL && n > 0)
		metrics_add(metrics_series(m, METRIC_PUBSUB_INGRESS_BULK_EVENT_COUNT, labels), n);
}

void metrics_pubsub_bulk_received(struct metrics *m, struct str component, struct str topic, int64_t succeeded,
				  int64_t retried, int64_t dropped, int64_t ns)
{
	struct str labels[] = { component, STR(""), topic };

	count(m, METRIC_PUBSUB_INGRESS_BULK_COUNT, labels);
	if (ns > 0)
		observe(m, METRIC_PUBSUB_INGRESS_BULK_LATENCY, labels, ms(ns));
	bulk_events(m, component, topic, "SUCCESS", succeeded);
	bulk_events(m, component, topic, "RETRY", retried);
	bulk_events(m, component, topic, "DROP", dropped);
}

static struct str invoke_type(int streaming)
{
	return streaming ? STR("streaming") : STR("unary");
}

void metrics_invoke_sent(struct metrics *m, struct str app, int streaming)
{
	struct str labels[] = { app, invoke_type(streaming) };

	count(m, METRIC_INVOKE_REQUEST_SENT, labels);
}

void metrics_invoke_done(struct metrics *m, struct str app, int streaming, int status, int64_t ns)
{
	char text[16];
	struct str labels[] = { app,
				{ text, (size_t)snprintf(text, sizeof(text), "%d", status) },
				invoke_type(streaming) };

	count(m, METRIC_INVOKE_RESPONSE_RECEIVED, labels);
	if (!streaming)
		metrics_observe(metrics_series(m, METRIC_INVOKE_LATENCY, labels), (double)ns / 1e6);
}

void metrics_invoke_received(struct metrics *m, struct str app)
{
	count(m, METRIC_INVOKE_REQUEST_RECEIVED, &app);
}

void metrics_invoke_answered(struct metrics *m, struct str app, int status)
{
	char text[16];
	struct str labels[] = { app, { text, (size_t)snprintf(text, sizeof(text), "%d", status) } };

	count(m, METRIC_INVOKE_RESPONSE_SENT, labels);
}

void metrics_component_loaded(struct metrics *m)
{
	count(m, METRIC_COMPONENT_LOADED, NULL);
}

void metrics_component_init(struct metrics *m, struct str type)
{
	count(m, METRIC_COMPONENT_INIT, &type);
}

void metrics_component_init_failed(struct metrics *m, struct str type, struct str reason, struct str name)
{
	struct str labels[] = { type, name, reason };

	count(m, METRIC_COMPONENT_INIT_FAIL, labels);
}

void metrics_component_info(struct metrics *m, struct str name, struct str type, struct str version, struct str plugin,
			    struct str tier, int open)
{
	struct str labels[] = { name, plugin, tier, type, version };

	metrics_set(metrics_series(m, METRIC_DAVIT_COMPONENT_INFO, labels), open);
}

void metrics_error_code(struct metrics *m, struct str code, struct str category)
{
	struct str labels[] = { category, code };

	if (code.n && category.n)
		count(m, METRIC_ERROR_CODE, labels);
}

/* ---- Resiliency ---- */

void metrics_policy_loaded(struct metrics *m, struct str name, struct str name_space)
{
	if (!m || !m->enabled)
		return;
	struct str labels[] = { m->app_id, name, name_space };

	count(m, METRIC_RESILIENCY_LOADED, labels);
}

static void policy_record(struct metrics *m, int id, const struct metrics_policy *p, const char *policy,
			  const char *state)
{
	static const char *const states[] = { "closed", "half-open", "open", "unknown" };

	if (!m || !m->enabled)
		return;
	struct str labels[] = { m->app_id,	p->inbound ? STR("inbound") : STR("outbound"),
				p->name,	p->name_space,
				str_of(policy), str_of(state),
				p->target };

	count(m, id, labels);
	for (size_t i = 0; *state && i < sizeof(states) / sizeof(*states); i++) {
		labels[5] = str_of(states[i]);
		metrics_set(metrics_series(m, METRIC_RESILIENCY_CB_STATE, labels), strcmp(states[i], state) == 0);
	}
}

void metrics_policy_used(struct metrics *m, const struct metrics_policy *p, const char *policy, const char *state)
{
	policy_record(m, METRIC_RESILIENCY_COUNT, p, policy, state);
}

void metrics_policy_acted(struct metrics *m, const struct metrics_policy *p, const char *policy, const char *state)
{
	policy_record(m, METRIC_RESILIENCY_ACTIVATIONS, p, policy, state);
}
