/* SPDX-License-Identifier: Apache-2.0 */
/* Durations as Go writes and reads them: "1h2m3.5s", "500ms", "-1.5h", "0". In nanoseconds. */
#ifndef BASE_DURATION_H
#define BASE_DURATION_H
#include "base/str.h"

#define DURATION_TEXT 32 /* bytes that duration_text() needs at most, its NUL included */

/* As time.ParseDuration: a number with a unit (ns us µs μs ms s m h), repeated; "0" alone needs none. -1: not one. */
int duration_parse(struct str s, int64_t *ret_ns);
/* As Duration.String: "1h2m3.5s", "1.5ms", "0s". */
size_t duration_text(int64_t ns, char ret_text[DURATION_TEXT]);
#endif
