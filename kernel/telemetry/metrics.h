/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The metrics that /metrics serves: counters, gauges and histograms under Dapr's names, labels and buckets. What exists is
 * data (metric_table.h); a series exists from its first record on.
 *
 * Recording takes no lock: a series is found by hash in a table whose chains only grow, and counted up with atomics. Only a
 * series' first record takes the registry's mutex. Nothing is ever removed, so a series pointer stays good until
 * metrics_free() and may be kept by who records often (an instance of a component, say).
 *
 * No client can make it grow without bound: there are at most max_series series (label sets, a histogram counts once), one
 * metric may hold a quarter of them, and what comes beyond is counted in davit_metric_series_dropped alone. A label's value
 * is printable ASCII of at most 255 bytes, as Dapr's library demands; where Dapr then drops the record, we replace the
 * offending bytes by '_' and cut, so that it is counted.
 *
 * Every function takes a NULL registry or series and does nothing then; all may be called from any thread.
 */
#ifndef TELEMETRY_METRICS_H
#define TELEMETRY_METRICS_H
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/str.h"
#include "telemetry/metric_table.h"

struct metrics;
struct metric_series;

/* Rewrites a label before it is recorded (Configuration's metric.rules): each match of regex becomes replacement. */
struct metric_rule {
	struct str metric; /* exposed name, with or without "dapr_" */
	struct str label;
	struct str regex;	/* RE2's syntax, see base/regex.h */
	struct str replacement; /* $1, ${1} and $$ as in Go's templates */
};

/* All is copied by metrics_new(). Zero is the default of each field unless said otherwise. */
struct metrics_options {
	int enabled; /* Configuration's metric.enabled: 0 records nothing; process_* are served all the same */
	struct str app_id, namespace; /* the labels app_id and namespace (environment NAMESPACE, "" if unset) */
	size_t max_series;	      /* 0: 10,000 */

	size_t nlatency_buckets; /* 0: Dapr's default; ms, in any order; 0 among them is dropped */
	const double *latency_buckets;
	size_t nworkflow_buckets; /* 0: the same as latency_buckets; ms */
	const double *workflow_buckets;

	int increased_cardinality; /* label path even without a pattern for it; Dapr's default is 1 */
	int exclude_verbs;	   /* label method stays empty */
	int record_error_codes;
	size_t npath_matching;
	const struct str *path_matching; /* Go's ServeMux patterns, without method and host */
	size_t nrules;
	const struct metric_rule *rules;

	int64_t (*fibers)(void *arg); /* go_goroutines; NULL: not served */
	void *fibers_arg;
};

/* NULL: ret_message (in a) is a sentence that names the rule, pattern or bucket at fault, or says there is no memory. */
struct metrics *metrics_new(const struct metrics_options *o, struct arena *a, struct str *ret_message);
void metrics_free(struct metrics *m); /* nobody records any more */

/*
 * A metric that is not in the table, such as a plugin's: its name must be a Prometheus name that none has yet, labels are
 * names separated by commas, sorted, without app_id and namespace, which are added. Answers its id, -1 when the name or a
 * label is not valid, taken with another meaning, or METRICS_DEFINED_MAX is reached. Defining the same again is fine.
 */
#define METRICS_DEFINED_MAX 256
int metrics_define(struct metrics *m, struct str name, struct str help, enum metric_kind kind, enum metric_unit unit,
		   struct str labels);

/*
 * The series of a metric. labels: the values of its labels in the table's order, without app_id and namespace (unless the
 * table says METRIC_FOREIGN). Never NULL but for a NULL registry or one that is not enabled: beyond the limits it is a
 * series that only counts what was dropped.
 */
struct metric_series *metrics_series(struct metrics *m, int id, const struct str *labels);

void metrics_add(struct metric_series *s, int64_t n);	 /* counter, gauge */
void metrics_set(struct metric_series *s, int64_t v);	 /* gauge */
void metrics_observe(struct metric_series *s, double v); /* histogram, in its unit: ms, bytes, a ratio */

/* Prometheus' text format 0.0.4, families and series sorted by name and labels, as Go's client writes it. */
void metrics_write(struct metrics *m, struct buf *b);
#define METRICS_CONTENT_TYPE "text/plain; version=0.0.4; charset=utf-8"

/* ---- What happens, as others call it. Times are nanoseconds; a latency is recorded in ms with its fraction. ---- */

/* A request to our HTTP API was answered. path: URL path, unescaped, without query; bytes of the bodies, request: as
 * Content-Length says, 0 without. */
void metrics_http_done(struct metrics *m, struct str method, struct str path, int status, int64_t request_bytes,
		       int64_t response_bytes, int64_t ns);
/* We sent a request to the application over HTTP. */
void metrics_http_client_started(struct metrics *m, struct str method, struct str path, int64_t request_bytes);
void metrics_http_client_done(struct metrics *m, struct str method, struct str path, int status, int64_t response_bytes,
			      int64_t ns);
void metrics_http_probe_done(struct metrics *m, int status, int64_t ns); /* application's health; 500: no answer */

/* A unary call to our gRPC API was answered. method: "/package.Service/Method"; code: gRPC's; bytes of the messages
 * without their 5-byte frames, response 0 on an error. */
void metrics_grpc_done(struct metrics *m, struct str method, int code, int64_t request_bytes, int64_t response_bytes,
		       int64_t ns);
/* A streaming call ended. As in Dapr only those proxied by dapr-app-id are counted: the caller decides. */
void metrics_grpc_stream_done(struct metrics *m, struct str method, int code, int64_t ns);
void metrics_grpc_client_done(struct metrics *m, struct str method, int code, int64_t request_bytes,
			      int64_t response_bytes, int64_t ns);
void metrics_grpc_probe_done(struct metrics *m, int code, int64_t ns);

/* A component did something. operation: get, set, delete, bulk_get, bulk_delete, query, transaction. */
void metrics_state_done(struct metrics *m, struct str component, struct str operation, int success, int64_t ns);
void metrics_secret_done(struct metrics *m, struct str component, struct str operation, int success, int64_t ns);

/* Events were handed to a broker, one or a bulk. topic: as the application names it. */
void metrics_pubsub_published(struct metrics *m, struct str component, struct str topic, int success, int64_t ns);
void metrics_pubsub_bulk_published(struct metrics *m, struct str component, struct str topic, int success, int64_t ns);

/* An event came from a broker and something became of it. process: "success", "retry", "drop"; status: "" is the same; ns:
 * what the application took, 0: it was not asked. */
void metrics_pubsub_received(struct metrics *m, struct str component, struct str topic, struct str process,
			     struct str status, int64_t ns);
/* Events that went to the application together, by what became of them. */
void metrics_pubsub_bulk_received(struct metrics *m, struct str component, struct str topic, int64_t succeeded,
				  int64_t retried, int64_t dropped, int64_t ns);

/* Invocations. app: the other one's id; status: HTTP's or gRPC's, as the answer has it; streaming: a proxied stream. */
void metrics_invoke_sent(struct metrics *m, struct str app, int streaming);
void metrics_invoke_done(struct metrics *m, struct str app, int streaming, int status, int64_t ns);
void metrics_invoke_received(struct metrics *m, struct str app);
void metrics_invoke_answered(struct metrics *m, struct str app, int status);

/* type: such as "state.redis"; name: of the resource; reason: "creation" (no plugin, bad metadata) or "init". */
void metrics_component_loaded(struct metrics *m);
void metrics_component_init(struct metrics *m, struct str type);
void metrics_component_init_failed(struct metrics *m, struct str type, struct str reason, struct str name);
/* Davit's own: 1 while the instance is open, 0 afterwards. */
void metrics_component_info(struct metrics *m, struct str name, struct str type, struct str version, struct str plugin,
			    struct str tier, int open);

/* Resiliency. name_space: of the resource. policy: "timeout", "retry", "circuitbreaker"; state: "closed", "half-open",
 * "open", "" without a breaker. A breaker's state is shown with both. */
struct metrics_policy {
	struct str name, name_space;
	struct str target; /* "app_x", "Statestore_y" */
	int inbound;
};
void metrics_policy_loaded(struct metrics *m, struct str name, struct str name_space);
void metrics_policy_used(struct metrics *m, const struct metrics_policy *p, const char *policy, const char *state);
void metrics_policy_acted(struct metrics *m, const struct metrics_policy *p, const char *policy, const char *state);

/* An error with a code such as "ERR_STATE_GET" was answered; only with record_error_codes. category: state, secret, … */
void metrics_error_code(struct metrics *m, struct str code, struct str category);
#endif
