/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The end of the bench where a plugin leaves nothing to go on with: it crashes, hangs, ends the process, uses a call that is
 * over. That too is a finding with a sentence, stands in the report, and is exit code 1.
 */
#ifndef BENCH_END_H
#define BENCH_END_H
#include "host.h"

/* From now on signals that tell of a crash, and exit(), end so. Once, by the first thread. */
void end_prepare(void);
/* The calling thread can tell of its stack's overflow. Each thread that runs operations, once. */
void end_thread(void);
/* The operation that this thread is in, for a crash; NULL: none. Returns the one before. */
const char *end_inside(const char *operation);
/* The process may end by itself from now on. */
void end_expected(void);
/* A finding that nothing can go on after: "NAME: sentence"; name NULL: without. Any thread; does not return. */
_Noreturn void end_here(const char *name, const char *sentence, ...) __attribute__((format(printf, 2, 3)));

/* These pages were lent to an operation, and are not to be read any more: who crashes there is told so. */
void end_lent(const void *pages, size_t n);

/* The call is on the way, and the bench ends if it still is after half a minute. Until end_unwatch. */
void end_watch(struct call *c);
void end_unwatch(struct call *c);
#endif
