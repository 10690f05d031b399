/* SPDX-License-Identifier: Apache-2.0 */
/* What a suite finds, as lines of TAP. */
#ifndef BENCH_REPORT_H
#define BENCH_REPORT_H
#include "host.h"

/* Counts and prints one finding; what failed in c (may be NULL) is printed with it. Any thread. */
void report(int ok, const struct call *c, const char *what);
/* What has ended last is printed with a failed finding that has no call of its own. Any thread. */
void report_call(const struct call *c);
const char *report_last(void); /* the last finding */
/* The report is to be written to this file, as JSON for a registry to show. 0; -1: it cannot be. */
int report_to(const char *file, const struct davit_plugin *plugin, const struct davit_component *component,
	      const char *library);
/* Prints "N passed, N failed" and writes the report. 0 if none failed and any passed, else 1. */
int report_end(void);
/* What is found from now on belongs to the suite of this name. */
void report_suite(const char *name);
/* A figure for the report: "stack", "bytes of an operation's stack that were used at most", 5120. */
void report_figure(const char *name, const char *about, int64_t value);

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
/* The manifest beside the library against its table, and against the properties it is opened with. */
void suite_manifest(const struct host *h, const char *library, const struct davit_pair *props, size_t n);
/* What operations are given is gone when they are over. */
void suite_lent(struct host *h);
/* Only of a component on a loop. */
void suite_loop(struct host *h);
/* A host that refuses, cancels, is an earlier one; opens another instance with the same properties. */
void suite_fault(struct host *h, const struct davit_pair *props, size_t n);
/* What repeating costs: memory, descriptors and threads that stay; stack. */
void suite_leak(struct host *h, const struct davit_pair *props, size_t n);
void suite_stack(struct host *h);
#endif
