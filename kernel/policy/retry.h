/* SPDX-License-Identifier: Apache-2.0 */
/* Trying again: which failures, how often, after how long. */
#ifndef POLICY_RETRY_H
#define POLICY_RETRY_H
#include "resources/resiliency.h"

struct retry { /* immutable */
	int exponential;
	int64_t duration_ns;				   /* constant */
	int64_t first_ns, max_interval_ns, max_elapsed_ns; /* exponential; elapsed 0: without end */
	int32_t max_retries;				   /* -1: without end */
	struct resiliency_ranges http, grpc;
};

struct retry_state { /* of one operation: zeroed, began_ns set */
	int64_t began_ns, current_ns;
	int32_t retries;
};

/* Is an operation that failed with this code, HTTP's from 100 on, gRPC's below 17, worth another try? */
int retry_matches(const struct retry *r, int code);
/* How long to wait before the next try, in ns; -1: there is none. */
int64_t retry_next(const struct retry *r, struct retry_state *s, int64_t now_ns);
#endif
