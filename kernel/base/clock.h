/* SPDX-License-Identifier: Apache-2.0 */
/* Time. Intervals use the steady clock, which never jumps; only what people or backends read uses the wall clock. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H
#include <stddef.h>
#include <stdint.h>

int64_t clock_ns(void);	     /* steady, nanoseconds */
int64_t clock_ms(void);	     /* steady, milliseconds */
int64_t clock_wall_ns(void); /* since 1970, UTC */

#define CLOCK_TEXT 40 /* bytes that clock_rfc3339() needs at most */
/* "2026-01-02T03:04:05.123456789Z"; digits: of the fraction, 0 none, -1 as Go's RFC3339Nano (no trailing zeros). */
size_t clock_rfc3339(int64_t wall_ns, int digits, char ret_text[CLOCK_TEXT]);
/* The same for whole seconds, which reach beyond the year 2262. */
size_t clock_rfc3339_s(int64_t wall_s, char ret_text[CLOCK_TEXT]);
#endif
