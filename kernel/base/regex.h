/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Regular expressions with RE2's syntax and meaning (https://github.com/google/re2/wiki/Syntax), since Go's users write
 * those into configuration, and with RE2's promise: time grows with the length of the text, whatever the pattern. The C
 * library's regcomp knows neither \d nor (?:…) nor lazy repeats, picks the longest match where RE2 picks the first, and has
 * patterns that never end.
 *
 * Not there: \p classes of Unicode, \C, \Q…\E inside classes; (?i) folds ASCII letters only. Texts are UTF-8; a byte that is
 * none counts as U+FFFD.
 */
#ifndef BASE_REGEX_H
#define BASE_REGEX_H
#include "base/arena.h"
#include "base/buf.h"
#include "base/str.h"

#define REGEX_GROUPS_MAX 16 /* with the whole match as group 0 */
#define REGEX_DEPTH 100	    /* nested parentheses */
#define REGEX_SIZE 10000    /* instructions, after repeats are written out */

struct regex;

/* Lives in a. NULL: ret_message (in a) says what is wrong with the pattern. Shared by threads. */
struct regex *regex_new(struct arena *a, struct str pattern, struct str *ret_message);

/* Instructions: a search takes at most so many steps a character. */
size_t regex_size(const struct regex *re);

/* 1: found; 0: not there; -1: no memory. */
int regex_search(const struct regex *re, struct str text);
/* The first match at or after `from`: groups borrow from text, p is NULL where a group took no part. */
int regex_find(const struct regex *re, struct str text, size_t from, struct str ret_groups[REGEX_GROUPS_MAX]);

/* Go's ReplaceAllString: each match becomes replacement, in which $1, ${1} and ${name} are groups and $$ is a dollar. 0; -1:
 * no memory, what was added to out is of no use. */
int regex_replace(const struct regex *re, struct buf *out, struct str text, struct str replacement);
#endif
