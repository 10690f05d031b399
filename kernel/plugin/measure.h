/* SPDX-License-Identifier: Apache-2.0 */
/* What one component measures by "davit.metrics/1". */
#ifndef PLUGIN_MEASURE_H
#define PLUGIN_MEASURE_H

struct measures;
struct metrics;

/* m may be NULL: then what is defined is only checked. NULL: no memory. */
struct measures *measures_new(struct metrics *m);
void measures_free(struct measures *s); /* NULL is fine */
#endif
