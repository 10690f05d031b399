/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What can be measured, as data: one row for each metric of Dapr's (and Davit's own), in the order of enum metric_id.
 */
#ifndef TELEMETRY_METRIC_TABLE_H
#define TELEMETRY_METRIC_TABLE_H
#include <stddef.h>

enum metric_kind { METRIC_COUNTER, METRIC_GAUGE, METRIC_HISTOGRAM };

enum metric_unit {
	METRIC_NUMBER,	    /* counters and gauges */
	METRIC_MS,	    /* buckets of metric.latencyDistributionBuckets */
	METRIC_WORKFLOW_MS, /* buckets of metric.workflow.latencyDistributionBuckets, else as METRIC_MS */
	METRIC_BYTES,
	METRIC_RATIO
};

#define METRIC_FOREIGN 1     /* app_id and namespace are somebody else's: given with the other labels */
#define METRIC_ERROR_CODES 2 /* only with metric.recordErrorCodes */
#define METRIC_HIGH_ONLY 4   /* only with metric.http.increasedCardinality */

#define METRIC_LABELS_MAX 8

struct metric_about {
	const char *name, *help;
	enum metric_kind kind;
	enum metric_unit unit;
	int flags;
	const char *labels; /* separated by commas, sorted as they are printed */
};

enum metric_id {
	METRIC_HTTP_SERVER_REQUEST_BYTES,
	METRIC_HTTP_SERVER_RESPONSE_BYTES,
	METRIC_HTTP_SERVER_LATENCY,
	METRIC_HTTP_SERVER_REQUEST_COUNT,
	METRIC_HTTP_SERVER_RESPONSE_COUNT,
	METRIC_HTTP_CLIENT_SENT_BYTES,
	METRIC_HTTP_CLIENT_RECEIVED_BYTES,
	METRIC_HTTP_CLIENT_LATENCY,
	METRIC_HTTP_CLIENT_COUNT,
	METRIC_HTTP_PROBE_LATENCY,
	METRIC_HTTP_PROBE_COUNT,
	METRIC_GRPC_SERVER_RECEIVED_BYTES,
	METRIC_GRPC_SERVER_SENT_BYTES,
	METRIC_GRPC_SERVER_LATENCY,
	METRIC_GRPC_SERVER_COUNT,
	METRIC_GRPC_CLIENT_SENT_BYTES,
	METRIC_GRPC_CLIENT_RECEIVED_BYTES,
	METRIC_GRPC_CLIENT_LATENCY,
	METRIC_GRPC_CLIENT_COUNT,
	METRIC_GRPC_PROBE_LATENCY,
	METRIC_GRPC_PROBE_COUNT,
	METRIC_STATE_LATENCY,
	METRIC_STATE_COUNT,
	METRIC_SECRET_LATENCY,
	METRIC_SECRET_COUNT,
	METRIC_PUBSUB_INGRESS_LATENCY,
	METRIC_PUBSUB_INGRESS_COUNT,
	METRIC_PUBSUB_INGRESS_BULK_LATENCY,
	METRIC_PUBSUB_INGRESS_BULK_COUNT,
	METRIC_PUBSUB_INGRESS_BULK_EVENT_COUNT,
	METRIC_PUBSUB_EGRESS_LATENCY,
	METRIC_PUBSUB_EGRESS_COUNT,
	METRIC_PUBSUB_EGRESS_BULK_LATENCY,
	METRIC_PUBSUB_EGRESS_BULK_COUNT,
	METRIC_COMPONENT_LOADED,
	METRIC_COMPONENT_INIT,
	METRIC_COMPONENT_INIT_FAIL,
	METRIC_MTLS_INIT,
	METRIC_MTLS_INIT_FAIL,
	METRIC_MTLS_CERT_ROTATED,
	METRIC_MTLS_CERT_ROTATED_FAIL,
	METRIC_ACL_APP_ALLOWED,
	METRIC_ACL_APP_BLOCKED,
	METRIC_ACL_GLOBAL_ALLOWED,
	METRIC_ACL_GLOBAL_BLOCKED,
	METRIC_ERROR_CODE,
	METRIC_DAVIT_COMPONENT_INFO,
	METRIC_DAVIT_SERIES_DROPPED,
	METRIC_TABLE_SIZE
};

extern const struct metric_about metric_table[METRIC_TABLE_SIZE];

/* Dapr's buckets, ascending, without +Inf. */
extern const double metric_latency_buckets[], metric_size_buckets[], metric_ratio_buckets[];
extern const size_t metric_nlatency_buckets, metric_nsize_buckets, metric_nratio_buckets;
#endif
