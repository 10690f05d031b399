/* SPDX-License-Identifier: Apache-2.0 */
/* What a suite finds, as lines of TAP. */
#ifndef BENCH_REPORT_H
#define BENCH_REPORT_H
#include "host.h"

/* Counts and prints one finding; what failed in c (may be NULL) is printed with it. Any thread. */
void report(int ok, const struct call *c, const char *what);
/* Prints "N passed, N failed". 0 if none failed and any passed, else 1. */
int report_end(void);

/* The suites of the blocks. */
void suite_state(struct host *h);
void suite_state_time(struct host *h);
void suite_state_many(struct host *h);
void suite_state_load(struct host *h);
void suite_pubsub(struct host *h);
void dialogue(struct host *h); /* see dialogue.c */
davit_status secret_get(struct host *h, struct call *ret_call, struct davit_str name);
void rate_state(struct host *h, int seconds, int threads);
/* expected: pairs of "name/key" and value; absent: names. */
void suite_secrets(struct host *h, const struct davit_pair *expected, size_t n, const struct davit_str *absent,
		   size_t nabsent);
/* expected: applications and their addresses; absent: applications that are nowhere. */
void suite_names(struct host *h, const struct davit_pair *expected, size_t n, const struct davit_str *absent,
		 size_t nabsent);
#endif
