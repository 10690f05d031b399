/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A borrowed piece of text or bytes: pointer and length. Who made it says who owns it. A str made by an arena, a map or
 * a literal has a NUL behind its n bytes; one that is a piece of something larger has not.
 */
#ifndef BASE_STR_H
#define BASE_STR_H
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct str {
	const char *p;
	size_t n;
};

#define STR(literal) ((struct str){ "" literal, sizeof(literal) - 1 })
#define STR_NONE ((struct str){ NULL, 0 })
#define STR_FMT "%.*s" /* with STR_ARG(s) */
#define STR_ARG(s) (int)(s).n, (s).p ? (s).p : ""

static inline struct str str_of(const char *c)
{
	return (struct str){ c, c ? strlen(c) : 0 };
}

static inline int str_eq(struct str a, struct str b)
{
	return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

static inline int str_is(struct str a, const char *c)
{
	return str_eq(a, str_of(c));
}

static inline int str_starts(struct str s, struct str prefix)
{
	return s.n >= prefix.n && (prefix.n == 0 || memcmp(s.p, prefix.p, prefix.n) == 0);
}

static inline int str_ends(struct str s, struct str suffix)
{
	return s.n >= suffix.n && (suffix.n == 0 || memcmp(s.p + s.n - suffix.n, suffix.p, suffix.n) == 0);
}

static inline struct str str_from(struct str s, size_t at)
{
	return at >= s.n ? (struct str){ s.p + s.n, 0 } : (struct str){ s.p + at, s.n - at };
}

static inline struct str str_upto(struct str s, size_t n)
{
	return (struct str){ s.p, n < s.n ? n : s.n };
}

int str_ieq(struct str a, struct str b); /* ASCII case folded */
int str_istarts(struct str s, struct str prefix);
int str_cmp(struct str a, struct str b);					/* as memcmp, the shorter first */
struct str str_trim(struct str s);						/* without white space at both ends */
ptrdiff_t str_find(struct str s, struct str needle);				/* offset, -1: not there */
int str_cut(struct str s, char at, struct str *ret_head, struct str *ret_tail); /* 0: `at` not there, head is all */
int str_split(struct str *rest, char at, struct str *ret_part);			/* next part of a list; 0: at its end */
int str_utf8(struct str s);							/* 1: well-formed UTF-8 (RFC 3629) */
size_t str_put_rune(char *to, uint32_t c);     /* in UTF-8, 1 to 4 bytes; what is no character is U+FFFD */
int str_int(struct str s, int64_t *ret_value); /* decimal with optional sign, whole text; -1: not one */
int str_bool(struct str s, int *ret_value);    /* Go's strconv.ParseBool: 1 t T TRUE true True 0 f F …; -1: neither */
int str_truthy(struct str s); /* Dapr's IsTruthy: y yes true t on 1, in any case and with white space around */
#endif
