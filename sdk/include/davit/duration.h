/* SPDX-License-Identifier: Apache-2.0 */
/* davit/duration.h - spans of time as components' metadata writes them. Helpers of libdavit-sdk.a, not of the line. */
#ifndef DAVIT_DURATION_H
#define DAVIT_DURATION_H
#include <davit/plugin.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * "1h2m3.5s", "500ms", "-1.5h", "0" as Go's time.ParseDuration reads them; what it refuses is tried as a whole number of
 * seconds, as Dapr does; "" is 0. In nanoseconds. 0; -1: not a duration, or more than an int64_t holds.
 */
int davit_duration_parse(struct davit_str s, int64_t *ret_ns);

#ifdef __cplusplus
}
#endif
#endif
