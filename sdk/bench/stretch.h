/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How long a component's operation keeps a loop: from where it begins, or comes back from a host service, to where it waits in one,
 * or ends. Measured only while it is switched on.
 */
#ifndef BENCH_STRETCH_H
#define BENCH_STRETCH_H
#include <stdint.h>

/* The longest stretches since they were last taken, in ms: asleep in the plugin's own code, and busy with it. */
struct stretches {
	int64_t asleep, busy;
};

void stretch_watch(int on);
struct stretches stretch_take(void);
/* On the thread that has the loop. */
void stretch_begin(void);
void stretch_end(void);
#endif
