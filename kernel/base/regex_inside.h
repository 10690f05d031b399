/* SPDX-License-Identifier: Apache-2.0 */
/* What regex_parse.c, regex.c and regex_run.c hand on to each other: a tree, then a program. */
#ifndef BASE_REGEX_INSIDE_H
#define BASE_REGEX_INSIDE_H
#include "base/regex.h"

enum regex_op {
	RE_CHAR,   /* one code point, x */
	RE_FOLD,   /* the same, ASCII case folded; x is in lower case */
	RE_ANY,	   /* any but \n */
	RE_ANY_NL, /* any at all */
	RE_CLASS,  /* one in ranges */
	RE_SPLIT,  /* go on at x, and with less right at y */
	RE_JUMP,   /* go on at x */
	RE_SAVE,   /* the position goes to slot x */
	RE_ASSERT, /* enum regex_assert in x */
	RE_MATCH
};

enum regex_assert { RE_LINE_START, RE_LINE_END, RE_TEXT_START, RE_TEXT_END, RE_WORD, RE_NOT_WORD };

struct regex_range {
	uint32_t from, to;
};

struct regex_inst {
	enum regex_op op;
	uint32_t x, y;
	const struct regex_range *ranges;
	size_t nranges;
	int negated;
};

struct regex {
	struct regex_inst *inst;
	size_t n;
	size_t ngroups;
	struct str names[REGEX_GROUPS_MAX];
};

enum regex_kind { RE_ONE, RE_CAT, RE_ALT, RE_REPEAT, RE_GROUP, RE_FLAGS };

struct regex_node {
	enum regex_kind kind;
	struct regex_node *next, *first, *last; /* sibling; children */
	struct regex_inst one;			/* RE_ONE */
	int min, max, lazy;			/* RE_REPEAT; max -1: no end */
	size_t group;
};

struct regex_parser {
	struct arena *a;
	struct str s;
	size_t at;
	int flags, depth;
	struct regex *re;
	const char *fault;
};

/* The tree of the whole pattern; NULL: p->fault says why there is none. */
struct regex_node *regex_parse(struct regex_parser *p);
void *regex_fault(struct regex_parser *p, const char *what); /* NULL; the first one counts */

/* The code point at s.p[at], which is there, and its length in bytes. */
uint32_t regex_rune(struct str s, size_t at, size_t *ret_width);
#endif
