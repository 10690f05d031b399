/* SPDX-License-Identifier: Apache-2.0 */
#include "plugin/version.h"

#include "base/banned.h"

struct semver {
	uint64_t n[3];
	int parts;	/* numbers that were given: of a range there may be fewer than three */
	struct str pre; /* behind the dash; p == NULL: a release */
};

static int number_of(struct str *s, uint64_t *ret_value)
{
	uint64_t v = 0;
	size_t i;

	for (i = 0; i < s->n && i < 18 && s->p[i] >= '0' && s->p[i] <= '9'; i++)
		v = v * 10 + (uint64_t)(s->p[i] - '0');
	*s = str_from(*s, i);
	*ret_value = v;
	return i > 0;
}

static int is_wild(struct str s)
{
	return s.n > 0 && (s.p[0] == '*' || s.p[0] == 'x' || s.p[0] == 'X');
}

/* 0; -1: not a version. */
static int read(struct str s, struct semver *ret)
{
	struct str rest;

	*ret = (struct semver){ .pre = STR_NONE };
	str_cut(s, '+', &s, &rest);
	if (s.n > 0 && (s.p[0] == 'v' || s.p[0] == 'V'))
		s = str_from(s, 1);
	while (ret->parts < 3 && !is_wild(s)) {
		if (!number_of(&s, &ret->n[ret->parts]))
			return -1;
		ret->parts++;
		if (s.n == 0 || s.p[0] != '.' || ret->parts == 3)
			break;
		s = str_from(s, 1);
	}
	while (is_wild(s))
		s = str_from(s, s.n > 1 && s.p[1] == '.' ? 2 : 1);
	if (s.n > 1 && s.p[0] == '-' && ret->parts == 3)
		ret->pre = str_from(s, 1);
	return s.n == 0 || ret->pre.p != NULL ? 0 : -1;
}

static int is_number(struct str s)
{
	size_t i;

	for (i = 0; i < s.n && s.p[i] >= '0' && s.p[i] <= '9'; i++)
		;
	return i == s.n && s.n > 0;
}

/* Identifiers between dots: numbers by value and before words, words by their bytes, fewer before more. */
static int compare_pre(struct str a, struct str b)
{
	struct str x, y;
	int more, yet, c;

	for (;;) {
		more = str_split(&a, '.', &x);
		yet = str_split(&b, '.', &y);
		if (!more || !yet)
			return more - yet;
		if (is_number(x) != is_number(y))
			return is_number(x) ? -1 : 1;
		c = is_number(x) && x.n != y.n ? (x.n < y.n ? -1 : 1) : str_cmp(x, y);
		if (c != 0)
			return c;
	}
}

static int compare(const struct semver *a, const struct semver *b)
{
	int i;

	for (i = 0; i < 3; i++)
		if (a->n[i] != b->n[i])
			return a->n[i] < b->n[i] ? -1 : 1;
	if (a->pre.p == NULL || b->pre.p == NULL)
		return (a->pre.p == NULL) - (b->pre.p == NULL);
	return compare_pre(a->pre, b->pre);
}

int version_compare(struct str a, struct str b)
{
	struct semver x, y;
	int bad_x = read(a, &x) < 0, bad_y = read(b, &y) < 0;

	if (bad_x || bad_y)
		return bad_x && bad_y ? str_cmp(a, b) : bad_y - bad_x;
	return compare(&x, &y);
}

int version_is_prerelease(struct str v)
{
	struct semver s;

	return read(v, &s) == 0 && s.pre.p != NULL;
}

/* The first version that is beyond all that begin with the `keep` first numbers of v. */
static struct semver beyond(const struct semver *v, int keep)
{
	struct semver next = { .n = { 0 }, .parts = 3, .pre = STR_NONE };
	int i;

	for (i = 0; i < keep; i++)
		next.n[i] = v->n[i];
	if (keep == 0)
		next.n[0] = UINT64_MAX;
	else
		next.n[keep - 1]++;
	return next;
}

static int below(const struct semver *v, const struct semver *limit)
{
	return compare(v, limit) < 0;
}

/* What ^ keeps: up to the first number that is not zero. */
static int caret(const struct semver *v)
{
	int i = 0;

	while (i < v->parts - 1 && v->n[i] == 0)
		i++;
	return i + 1;
}

enum { OP_EQUAL, OP_LESS, OP_LESS_EQUAL, OP_MORE, OP_MORE_EQUAL, OP_CARET, OP_TILDE };

static int holds(const struct semver *v, int op, const struct semver *of)
{
	struct semver past = beyond(of, of->parts), limit;

	switch (op) {
	case OP_LESS: return below(v, of);
	case OP_LESS_EQUAL: return of->parts == 3 ? compare(v, of) <= 0 : below(v, &past);
	case OP_MORE: return of->parts == 3 ? compare(v, of) > 0 : !below(v, &past);
	case OP_MORE_EQUAL: return compare(v, of) >= 0;
	case OP_CARET: limit = beyond(of, of->parts ? caret(of) : 0); break;
	case OP_TILDE: limit = beyond(of, of->parts > 2 ? 2 : of->parts); break;
	default:
		if (of->parts == 3)
			return compare(v, of) == 0;
		limit = past;
	}
	return compare(v, of) >= 0 && below(v, &limit);
}

static int read_operator(struct str *s)
{
	static const struct {
		const char *text;
		int op;
	} ops[] = {
		{ ">=", OP_MORE_EQUAL }, { "<=", OP_LESS_EQUAL }, { ">>", OP_MORE },
		{ "<<", OP_LESS },	 { ">", OP_MORE },	  { "<", OP_LESS },
		{ "=", OP_EQUAL },	 { "^", OP_CARET },	  { "~", OP_TILDE },
	};
	size_t i;

	for (i = 0; i < sizeof(ops) / sizeof(ops[0]); i++) {
		if (!str_starts(*s, str_of(ops[i].text)))
			continue;
		*s = str_from(*s, strlen(ops[i].text));
		return ops[i].op;
	}
	return OP_EQUAL;
}

static int is_between(char c)
{
	return c == ' ' || c == ',' || c == '(' || c == ')' || c == '\t' || c == '\n';
}

static struct str skip(struct str s)
{
	while (s.n > 0 && is_between(s.p[0]))
		s = str_from(s, 1);
	return s;
}

/* One alternative: all of its comparisons. */
static int all_hold(const struct semver *v, struct str s)
{
	int well = 1, named = v->pre.p == NULL, any = 0, op;
	struct semver of;
	size_t n;

	for (s = skip(s); s.n > 0; s = skip(s), any = 1) {
		op = read_operator(&s);
		s = skip(s);
		for (n = 0; n < s.n && !is_between(s.p[n]) && strchr("<>=^~", s.p[n]) == NULL; n++)
			;
		if (n == 0 || read((struct str){ s.p, n }, &of) < 0)
			return -1;
		s = str_from(s, n);
		well &= holds(v, op, &of);
		named |= of.pre.p != NULL && memcmp(of.n, v->n, sizeof(of.n)) == 0;
	}
	return any ? well && named : -1;
}

int version_in_range(struct str version, struct str range)
{
	struct semver v;
	size_t i, from = 0;
	int one, any = 0;

	if (read(version, &v) < 0)
		return 0;
	for (i = 0; i <= range.n; i++) {
		if (i < range.n && !(range.p[i] == '|' && i + 1 < range.n && range.p[i + 1] == '|'))
			continue;
		one = all_hold(&v, (struct str){ range.p + from, i - from });
		if (one < 0)
			return -1;
		any |= one;
		from = i + 2;
		i++;
	}
	return any;
}
