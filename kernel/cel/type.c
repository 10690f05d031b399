/* SPDX-License-Identifier: Apache-2.0 */
#include "cel/type.h"

#include "base/banned.h"

#define STEPS 200000
#define DEPTH 500

static int fits(struct cel_types *c, struct cel_type *a, struct cel_type *b);

/* ---- Making ---- */

static struct cel_type *type(struct cel_types *c, char kind, struct cel_type *one, struct cel_type *two)
{
	struct cel_type *t = arena_zalloc(c->p->a, sizeof(*t));

	t->kind = kind;
	t->of[0] = one;
	t->of[1] = two;
	return t;
}

struct cel_type *cel_type_of(struct cel_types *c, char kind)
{
	return type(c, kind, NULL, NULL);
}

struct cel_type *cel_type_list(struct cel_types *c, struct cel_type *of)
{
	return type(c, 'L', of, NULL);
}

struct cel_type *cel_type_map(struct cel_types *c, struct cel_type *key, struct cel_type *value)
{
	return type(c, 'M', key, value);
}

struct cel_type *cel_type_variable(struct cel_types *c)
{
	struct cel_type *t = type(c, 'V', NULL, NULL);

	if (c->nbound == c->capbound) {
		size_t more = c->capbound ? 2 * c->capbound : 32;

		c->bound = arena_grow(c->p->a, c->bound, c->capbound * sizeof(struct cel_type *),
				      more * sizeof(struct cel_type *));
		c->capbound = more;
	}
	t->variable = (uint32_t)c->nbound;
	c->bound[c->nbound++] = NULL;
	return t;
}

static void bind(struct cel_types *c, const struct cel_type *variable, struct cel_type *to)
{
	if (c->nundo == c->capundo) {
		size_t more = c->capundo ? 2 * c->capundo : 32;

		c->undo = arena_grow(c->p->a, c->undo, c->capundo * sizeof(*c->undo), more * sizeof(*c->undo));
		c->capundo = more;
	}
	c->undo[c->nundo].variable = variable->variable;
	c->undo[c->nundo++].before = c->bound[variable->variable];
	c->bound[variable->variable] = to;
}

/* One step more into types; 0: that is too much. With leave() behind it where it gave 1. */
static int enter(struct cel_types *c)
{
	if (c->p->failed || ++c->steps > STEPS || c->depth >= DEPTH) {
		cel_refuse(c->p, 0, "the types in this expression are too involved");
		return 0;
	}
	c->depth++;
	return 1;
}

static int leave(struct cel_types *c, int result)
{
	c->depth--;
	return result;
}

/* ---- Comparing ---- */

int cel_type_is_dyn(const struct cel_type *t)
{
	return t->kind == 'D';
}

int cel_type_same(struct cel_types *c, const struct cel_type *a, const struct cel_type *b)
{
	int same;

	if (a == b)
		return 1;
	if (a->kind != b->kind || (a->kind == 'V' && a->variable != b->variable) || !enter(c))
		return 0;
	same = (a->kind != 'L' && a->kind != 'M') || cel_type_same(c, a->of[0], b->of[0]);
	return leave(c, same && (a->kind != 'M' || cel_type_same(c, a->of[1], b->of[1])));
}

/* a says as much as b or less. */
static int says_less(struct cel_types *c, const struct cel_type *a, const struct cel_type *b)
{
	int less;

	if (cel_type_is_dyn(a) || a->kind == 'V')
		return 1;
	if (cel_type_is_dyn(b) || b->kind == 'V' || a->kind != b->kind || !enter(c))
		return 0;
	less = (a->kind != 'L' && a->kind != 'M') || says_less(c, a->of[0], b->of[0]);
	return leave(c, less && (a->kind != 'M' || says_less(c, a->of[1], b->of[1])));
}

struct cel_type *cel_type_general(struct cel_types *c, struct cel_type *a, struct cel_type *b)
{
	return says_less(c, a, b) ? a : b;
}

/* The variable is not in t, nor in what t's variables are bound to. */
static int is_absent(struct cel_types *c, const struct cel_type *variable, const struct cel_type *t)
{
	int absent = 1;

	if (t->kind == 'V' && t->variable == variable->variable)
		return 0;
	if (!enter(c))
		return 0;
	if (t->kind == 'V' && c->bound[t->variable])
		absent = is_absent(c, variable, c->bound[t->variable]);
	if (t->kind == 'L' || t->kind == 'M')
		absent = is_absent(c, variable, t->of[0]);
	if (absent && t->kind == 'M')
		absent = is_absent(c, variable, t->of[1]);
	return leave(c, absent);
}

/* Whether the variable can stand for t, and then it does. *ret_bound: it stood for something before. */
static int can_be(struct cel_types *c, struct cel_type *t, struct cel_type *variable, int *ret_bound)
{
	struct cel_type *now = c->bound[variable->variable];

	*ret_bound = 1;
	if (cel_type_same(c, t, variable))
		return 1;
	if (now) {
		if (cel_type_same(c, t, now))
			return 1;
		if (!fits(c, t, now))
			return 0;
		now = cel_type_general(c, t, now);
		if (is_absent(c, variable, now))
			bind(c, variable, now);
		return 1;
	}
	*ret_bound = 0;
	if (!is_absent(c, variable, t))
		return 0;
	bind(c, variable, t);
	return 1;
}

static int is_nullable(const struct cel_type *t)
{
	return t->kind == 'n' || t->kind == 't' || t->kind == 'r';
}

static int fits_kind(struct cel_types *c, struct cel_type *a, struct cel_type *b)
{
	int bound;

	if (b->kind == 'V') {
		if (can_be(c, a, b, &bound))
			return 1;
		if (bound)
			return 0;
	}
	if (a->kind == 'V')
		return can_be(c, b, a, &bound);
	if (cel_type_is_dyn(a) || cel_type_is_dyn(b))
		return 1;
	if (a->kind == 'n')
		return is_nullable(b);
	if (b->kind == 'n')
		return is_nullable(a);
	if (a->kind != b->kind)
		return 0;
	if ((a->kind == 'L' || a->kind == 'M') && !fits(c, a->of[0], b->of[0]))
		return 0;
	return a->kind != 'M' || fits(c, a->of[1], b->of[1]);
}

static int fits(struct cel_types *c, struct cel_type *a, struct cel_type *b)
{
	return enter(c) && leave(c, fits_kind(c, a, b));
}

int cel_type_fits(struct cel_types *c, struct cel_type *const *a, struct cel_type *const *b, size_t n)
{
	size_t mark = c->nundo;

	for (size_t i = 0; i < n; i++)
		if (!fits(c, a[i], b[i])) {
			while (c->nundo > mark) {
				c->nundo--;
				c->bound[c->undo[c->nundo].variable] = c->undo[c->nundo].before;
			}
			return 0;
		}
	return 1;
}

struct cel_type *cel_type_resolve(struct cel_types *c, struct cel_type *t, int free_to_dyn)
{
	struct cel_type *one, *two;

	if (!enter(c))
		return cel_type_of(c, 'D');
	one = two = NULL;
	if (t->kind == 'V' && c->bound[t->variable])
		t = cel_type_resolve(c, c->bound[t->variable], free_to_dyn);
	else if (t->kind == 'V' && free_to_dyn)
		t = cel_type_of(c, 'D');
	if (t->kind == 'L' || t->kind == 'M')
		one = cel_type_resolve(c, t->of[0], free_to_dyn);
	if (t->kind == 'M')
		two = cel_type_resolve(c, t->of[1], free_to_dyn);
	if (one != t->of[0] || two != t->of[1])
		t = type(c, t->kind, one, two);
	c->depth--;
	return t;
}

struct str cel_type_text(struct cel_types *c, struct cel_type *t)
{
	static const struct {
		char kind;
		const char *name;
	} names[] = { { 'b', "bool" },	 { 'i', "int" },   { 'u', "uint" },	 { 'd', "double" },
		      { 's', "string" }, { 'y', "bytes" }, { 't', "timestamp" }, { 'r', "duration" },
		      { 'n', "null" },	 { 'T', "type" },  { 'L', "list" },	 { 'M', "map" } };

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (names[i].kind == t->kind)
			return str_of(names[i].name);
	(void)c;
	return STR("any");
}
