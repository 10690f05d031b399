/* SPDX-License-Identifier: Apache-2.0 */
/* Between configuration.c and configuration_tables.c only: what files say before it is finished. */
#ifndef RESOURCES_CONFIGURATION_TABLES_H
#define RESOURCES_CONFIGURATION_TABLES_H
#include "resources/configuration.h"

struct configuration_raw_workflow_metric {
	struct ints buckets;
	int64_t unit;
};

struct configuration_raw_metric {
	int enabled, record_error_codes;	/* UNSET, 0, 1 */
	struct configuration_metric_http *http; /* NULL: not given */
	struct configuration_raw_workflow_metric *workflow;
	struct ints latency_buckets; /* p NULL: not given */
	size_t nrules;
	struct configuration_rule *rules;
};

struct configuration_file {
	struct configuration c; /* first: its arena holds all of this */
	struct configuration_raw_metric metric, metrics;
};

extern const struct field configuration_fields[]; /* of a struct configuration_file */
#endif
