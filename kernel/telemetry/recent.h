/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The series that a thread used last, by the label values as they were given: who records the same again neither makes its
 * key nor hashes it. Values are compared as bytes, so where they lie does not matter. For telemetry/ alone.
 */
#ifndef TELEMETRY_RECENT_H
#define TELEMETRY_RECENT_H
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

struct metric_series;

#define RECENT_LABELS 3	 /* series with more labels are looked up each time */
#define RECENT_TEXT 96u	 /* and those with more bytes in them */
#define RECENT_SERIES 3u /* metrics that are recorded together have the same labels */

struct recent {
	uint64_t registry; /* metrics.number; 0: unused */
	struct metric_series *series[RECENT_SERIES];
	int id; /* of the first */
	uint8_t nseries, n[RECENT_LABELS];
	char text[RECENT_TEXT];
};

/* What is asked for: at most RECENT_SERIES series, of the metric id and those recorded with it. */
struct recent_key {
	uint64_t registry;
	int id;
	uint8_t nseries;
	size_t nlabels;
	const struct str *labels;
};

/* The place of a key; NULL: its labels are too many or too long. *ret_found: whether it is the key's already. */
struct recent *recent_find(const struct recent_key *k, int *ret_found);
/* Makes it the key's; its series are then the caller's to set. */
void recent_take(struct recent *r, const struct recent_key *k);
#endif
