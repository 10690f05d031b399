/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A pattern of Go's regular expressions, as far as POSIX's can say the same: groups that do not capture, \d and \D, lazy
 * repetition (which is none where only a match is asked for), (?i) at the start. Anything further with "(?" or a
 * back-reference is refused.
 */
#ifndef PATTERN_H
#define PATTERN_H
#include <davit/plugin.h>

struct pattern; /* immutable: any thread */

/* NULL: *ret_why says why not. */
struct pattern *pattern_new(struct davit_str text, const char **ret_why);
void pattern_free(struct pattern *p);
int pattern_matches(const struct pattern *p, const char *text); /* anywhere in it */
#endif
