/* SPDX-License-Identifier: Apache-2.0 */
/* From pattern to tree, by recursive descent. */
#include "base/banned.h"
#include "base/regex_inside.h"

#define FOLD 1
#define DOT_NL 2
#define MULTI 4
#define LAZY 8 /* (?U): repeats are lazy unless marked */
#define REPEAT_MAX 1000

static struct regex_node *node_new(struct regex_parser *p, enum regex_kind kind)
{
	struct regex_node *n = arena_zalloc(p->a, sizeof(*n));

	n->kind = kind;
	return n;
}

static void node_add(struct regex_node *parent, struct regex_node *child)
{
	if (parent->last)
		parent->last->next = child;
	else
		parent->first = child;
	parent->last = child;
}

static struct regex_node *one(struct regex_parser *p, enum regex_op op, uint32_t x)
{
	struct regex_node *n = node_new(p, RE_ONE);

	n->one.op = op;
	n->one.x = x;
	return n;
}

static uint32_t lower(uint32_t c)
{
	return c >= 'A' && c <= 'Z' ? c + 32 : c;
}

static struct regex_node *literal(struct regex_parser *p, uint32_t c)
{
	int fold = (p->flags & FOLD) && lower(c) >= 'a' && lower(c) <= 'z';

	return one(p, fold ? RE_FOLD : RE_CHAR, fold ? lower(c) : c);
}

static int more(const struct regex_parser *p)
{
	return p->at < p->s.n;
}

static int peek(const struct regex_parser *p)
{
	return more(p) ? (unsigned char)p->s.p[p->at] : -1;
}

static int accept(struct regex_parser *p, const char *word)
{
	if (!str_starts(str_from(p->s, p->at), str_of(word)))
		return 0;
	p->at += strlen(word);
	return 1;
}

static uint32_t take(struct regex_parser *p)
{
	size_t width;
	uint32_t c = regex_rune(p->s, p->at, &width);

	p->at += width;
	return c;
}

void *regex_fault(struct regex_parser *p, const char *what)
{
	if (!p->fault)
		p->fault = what;
	return NULL;
}

/* ---- Classes ---- */

struct class
{
	struct regex_range *at;
	size_t n, cap;
};

static void class_add(struct regex_parser *p, struct class *c, uint32_t from, uint32_t to)
{
	if (c->n == c->cap) {
		size_t cap = c->cap ? 2 * c->cap : 8;

		c->at = arena_grow(p->a, c->at, c->cap * sizeof(*c->at), cap * sizeof(*c->at));
		c->cap = cap;
	}
	c->at[c->n++] = (struct regex_range){ from, to };
}

struct named_class {
	const char *name;
	const char *pairs; /* from to, from to, … ascending */
};

static const struct named_class perl[] = { { "d", "09" }, { "w", "09AZ__az" }, { "s", "\t\n\f\r  " } };
static const struct named_class posix[] = {
	{ "alnum", "09AZaz" },
	{ "alpha", "AZaz" },
	{ "ascii", "\x01\x7f" },
	{ "blank", "\t\t  " },
	{ "cntrl", "\x01\x1f\x7f\x7f" },
	{ "digit", "09" },
	{ "graph", "!~" },
	{ "lower", "az" },
	{ "print", " ~" },
	{ "punct", "!/:@[`{~" },
	{ "space", "\t\r  " },
	{ "upper", "AZ" },
	{ "word", "09AZ__az" },
	{ "xdigit", "09AFaf" },
};

/* Adds a named class, or all but it. */
static void class_named(struct regex_parser *p, struct class *c, const char *pairs, int negated)
{
	uint32_t next = 0;

	for (; *pairs; pairs += 2) {
		uint32_t from = (unsigned char)pairs[0], to = (unsigned char)pairs[1];

		if (!negated)
			class_add(p, c, from, to);
		else if (from > next)
			class_add(p, c, next, from - 1);
		next = to + 1;
	}
	if (negated)
		class_add(p, c, next, 0x10ffff);
}

static const char *perl_pairs(int letter)
{
	for (size_t i = 0; i < sizeof(perl) / sizeof(*perl); i++)
		if (perl[i].name[0] == (letter | 32))
			return perl[i].pairs;
	return NULL;
}

static struct regex_node *class_node(struct regex_parser *p, struct class *c, int negated)
{
	struct regex_node *n = one(p, RE_CLASS, 0);

	if (p->flags & FOLD) {
		size_t plain = c->n;

		for (size_t i = 0; i < plain; i++)
			for (uint32_t x = 'a'; x <= 'z'; x++) {
				uint32_t up = x - 32;

				if (c->at[i].from <= x && x <= c->at[i].to)
					class_add(p, c, up, up);
				if (c->at[i].from <= up && up <= c->at[i].to)
					class_add(p, c, x, x);
			}
	}
	n->one.ranges = c->at;
	n->one.nranges = c->n;
	n->one.negated = negated;
	return n;
}

static int hex_digit(int c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 32;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Behind "\x". */
static uint32_t hex_escape(struct regex_parser *p)
{
	int braced = accept(p, "{"), digits = 0;
	uint32_t c = 0;

	while (hex_digit(peek(p)) >= 0 && digits < (braced ? 6 : 2)) {
		c = c * 16 + (uint32_t)hex_digit(peek(p));
		p->at++;
		digits++;
	}
	if (digits == 0 || (!braced && digits != 2) || (braced && !accept(p, "}")) || c > 0x10ffff)
		regex_fault(p, "invalid escape sequence");
	return c;
}

/* The code point of an escape that is one; the backslash is taken. */
static uint32_t escape(struct regex_parser *p)
{
	static const char from[] = "afnrtv", to[] = "\a\f\n\r\t\v";
	uint32_t c;

	if (!more(p)) {
		regex_fault(p, "trailing backslash at end of expression");
		return 0;
	}
	c = take(p);
	if (c == 'x')
		return hex_escape(p);
	if (c == '0') {
		uint32_t v = 0;

		for (int i = 0; i < 2 && peek(p) >= '0' && peek(p) <= '7'; i++)
			v = v * 8 + take(p) - '0';
		return v;
	}
	if (c < 128 && strchr(from, (int)c))
		return (unsigned char)to[strchr(from, (int)c) - from];
	if (c < 128 && ((c >= '0' && c <= '9') || (lower(c) >= 'a' && lower(c) <= 'z')))
		regex_fault(p, "invalid escape sequence");
	return c;
}

static int class_posix(struct regex_parser *p, struct class *c)
{
	size_t start = p->at;

	if (!accept(p, "[:"))
		return 0;
	int negated = accept(p, "^");

	for (size_t i = 0; i < sizeof(posix) / sizeof(*posix); i++) {
		size_t at = p->at;

		if (accept(p, posix[i].name) && accept(p, ":]")) {
			class_named(p, c, posix[i].pairs, negated);
			return 1;
		}
		p->at = at;
	}
	p->at = start;
	return 0;
}

/* Behind '['. */
static struct regex_node *class(struct regex_parser *p)
{
	struct class c = { NULL, 0, 0 };
	int negated = accept(p, "^"), first = 1;

	for (; first || peek(p) != ']'; first = 0) {
		uint32_t from, to;

		if (!more(p))
			return regex_fault(p, "missing closing ]");
		if (class_posix(p, &c))
			continue;
		if (peek(p) == '\\' && p->at + 1 < p->s.n && perl_pairs(p->s.p[p->at + 1])) {
			int letter = p->s.p[p->at + 1];

			p->at += 2;
			class_named(p, &c, perl_pairs(letter), letter < 'a');
			continue;
		}
		from = accept(p, "\\") ? escape(p) : take(p);
		to = from;
		if (peek(p) == '-' && p->at + 1 < p->s.n && p->s.p[p->at + 1] != ']') {
			p->at++;
			to = accept(p, "\\") ? escape(p) : take(p);
		}
		if (p->fault || to < from)
			return regex_fault(p, "invalid character class range");
		class_add(p, &c, from, to);
	}
	p->at++;
	return class_node(p, &c, negated);
}

/* ---- The tree ---- */

static struct regex_node *alternatives(struct regex_parser *p);

/* Behind "\Q": the text up to "\E". */
static struct regex_node *quoted(struct regex_parser *p)
{
	struct regex_node *n = node_new(p, RE_CAT);

	while (more(p) && !accept(p, "\\E"))
		node_add(n, literal(p, take(p)));
	return n;
}

/* Behind a backslash. */
static struct regex_node *escaped(struct regex_parser *p)
{
	static const struct {
		char letter;
		enum regex_assert what;
	} asserts[] = { { 'A', RE_TEXT_START }, { 'z', RE_TEXT_END }, { 'b', RE_WORD }, { 'B', RE_NOT_WORD } };
	int letter = peek(p);

	for (size_t i = 0; i < 4; i++)
		if (letter == asserts[i].letter) {
			p->at++;
			return one(p, RE_ASSERT, asserts[i].what);
		}
	if (letter > 0 && perl_pairs(letter)) {
		struct class c = { NULL, 0, 0 };

		p->at++;
		class_named(p, &c, perl_pairs(letter), letter < 'a');
		return class_node(p, &c, 0);
	}
	if (letter == 'p' || letter == 'P')
		return regex_fault(p, "classes of Unicode (\\p) are not supported");
	if (accept(p, "Q"))
		return quoted(p);
	return literal(p, escape(p));
}

/* Behind "(?": flags up to ':' or ')'. 1: a group follows, 0: they hold for the rest of the one we are in. */
static int group_flags(struct regex_parser *p)
{
	static const char letters[] = "ismU";
	int off = 0, named = 1; /* a minus takes flags away, so one must follow */

	for (; more(p); p->at++) {
		int c = peek(p);
		const char *l = c ? strchr(letters, c) : NULL;

		if ((c == ':' || c == ')') && named) {
			p->at++;
			return c == ':';
		}
		if (c == '-' && !off) {
			off = 1;
			named = 0;
		} else if (l) {
			int flag = 1 << (l - letters);

			named = 1;
			p->flags = off ? p->flags & ~flag : p->flags | flag;
		} else {
			break;
		}
	}
	regex_fault(p, "invalid or unsupported Perl syntax");
	return 0;
}

static int group_name(struct regex_parser *p, struct str *ret_name)
{
	size_t start = p->at;

	while (more(p) && (peek(p) == '_' || (peek(p) >= '0' && peek(p) <= '9') ||
			   (lower(peek(p)) >= 'a' && lower(peek(p)) <= 'z')))
		p->at++;
	*ret_name = str_upto(str_from(p->s, start), p->at - start);
	if (ret_name->n == 0 || !accept(p, ">")) {
		regex_fault(p, "invalid named capture");
		return -1;
	}
	*ret_name = arena_str(p->a, *ret_name);
	return 0;
}

/* Behind '('. */
static struct regex_node *group(struct regex_parser *p)
{
	struct regex_node *n = node_new(p, RE_CAT);
	int flags = p->flags, captures = 1;
	struct str name = STR_NONE;

	if (accept(p, "?P<") || accept(p, "?<")) {
		if (group_name(p, &name) < 0)
			return NULL;
	} else if (accept(p, "?")) {
		captures = 0;
		if (!group_flags(p)) {
			n->kind = RE_FLAGS; /* for the rest of the group we are in */
			return n;
		}
	}
	if (captures) {
		n->kind = RE_GROUP;
		if (p->re->ngroups == REGEX_GROUPS_MAX)
			return regex_fault(p, "too many groups");
		n->group = p->re->ngroups++;
		p->re->names[n->group] = name;
	}
	if (++p->depth > REGEX_DEPTH)
		return regex_fault(p, "expression nests too deeply");
	struct regex_node *inner = alternatives(p);

	p->depth--;
	if (!inner)
		return NULL;
	node_add(n, inner);
	if (!accept(p, ")"))
		return regex_fault(p, "missing closing )");
	p->flags = flags;
	return n;
}

static struct regex_node *atom(struct regex_parser *p)
{
	uint32_t c = take(p);

	switch (c) {
	case '(': return group(p);
	case '[': return class(p);
	case '\\': return escaped(p);
	case '.': return one(p, p->flags & DOT_NL ? RE_ANY_NL : RE_ANY, 0);
	case '^': return one(p, RE_ASSERT, p->flags & MULTI ? RE_LINE_START : RE_TEXT_START);
	case '$': return one(p, RE_ASSERT, p->flags & MULTI ? RE_LINE_END : RE_TEXT_END);
	case '*':
	case '+':
	case '?': return regex_fault(p, "missing argument to repetition operator");
	default: return literal(p, c);
	}
}

static int number(struct regex_parser *p)
{
	int v = -1;

	while (peek(p) >= '0' && peek(p) <= '9' && v <= REPEAT_MAX)
		v = (v < 0 ? 0 : v) * 10 + (int)take(p) - '0';
	return v;
}

/* {n}, {n,}, {n,m}; anything else leaves the brace a letter, as in RE2. */
static int braces(struct regex_parser *p, int *ret_min, int *ret_max)
{
	size_t start = p->at;

	if (!accept(p, "{"))
		return 0;
	*ret_min = *ret_max = number(p);
	if (*ret_min >= 0 && accept(p, ","))
		*ret_max = peek(p) == '}' ? -1 : number(p);
	if (*ret_min < 0 || !accept(p, "}")) {
		p->at = start;
		return 0;
	}
	if (*ret_min > REPEAT_MAX || *ret_max > REPEAT_MAX || (*ret_max >= 0 && *ret_max < *ret_min))
		regex_fault(p, "invalid repeat count");
	return 1;
}

static struct regex_node *repeats(struct regex_parser *p, struct regex_node *n)
{
	int min = 0, max = -1, before = 0;

	while (n && !p->fault) {
		if (accept(p, "*")) {
			min = 0;
			max = -1;
		} else if (accept(p, "+")) {
			min = 1;
			max = -1;
		} else if (accept(p, "?")) {
			min = 0;
			max = 1;
		} else if (!braces(p, &min, &max)) {
			return n;
		}
		if (n->kind == RE_FLAGS) /* RE2 repeats what stands before the flags, which nobody means */
			return regex_fault(p, "missing argument to repetition operator");
		if (before)
			return regex_fault(p, "invalid nested repetition operator");
		before = 1;
		struct regex_node *r = node_new(p, RE_REPEAT);

		r->min = min;
		r->max = max;
		r->lazy = accept(p, "?") ^ !!(p->flags & LAZY);
		node_add(r, n);
		n = r;
	}
	return p->fault ? NULL : n;
}

static struct regex_node *sequence(struct regex_parser *p)
{
	struct regex_node *n = node_new(p, RE_CAT);

	while (more(p) && peek(p) != '|' && peek(p) != ')') {
		struct regex_node *child = repeats(p, atom(p));

		if (!child || p->fault)
			return NULL;
		node_add(n, child);
	}
	return n;
}

static struct regex_node *alternatives(struct regex_parser *p)
{
	struct regex_node *n = node_new(p, RE_ALT);

	do {
		struct regex_node *child = sequence(p);

		if (!child)
			return NULL;
		node_add(n, child);
	} while (accept(p, "|"));
	return n;
}

struct regex_node *regex_parse(struct regex_parser *p)
{
	struct regex_node *tree;

	if (!str_utf8(p->s))
		return regex_fault(p, "invalid UTF-8");
	tree = alternatives(p);
	if (tree && more(p))
		return regex_fault(p, "unexpected )");
	return tree;
}
