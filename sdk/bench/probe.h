/* SPDX-License-Identifier: Apache-2.0 */
/* Operations that any component of a block answers, whatever is in its backend: for the suites that try them again and again. */
#ifndef BENCH_PROBE_H
#define BENCH_PROBE_H
#include "host.h"

#define PROBES 8

struct probe {
	const char *name;
	davit_op *op;
	const void *in;
};

/* Good until the next time; how many there are. */
size_t probes_of(const struct host *h, struct probe ret_probes[PROBES]);
#endif
