/* SPDX-License-Identifier: Apache-2.0 */
/* What names stand for, and whether types can fit. What is only known when an event comes is dyn and fits everywhere. */
#include "base/banned.h"
#include "cel/type.h"

#define ARGUMENTS 8 /* that a refusal shows */

struct scope {
	struct scope *outer;
	struct str name;
	struct cel_type *type;
	uint16_t slot;
};

struct check {
	struct cel_types types;
	struct cel_parser *p;
	struct scope *scope;
	uint16_t depth; /* of folds around */
	size_t nlocals;
};

static struct cel_type *check(struct check *c, struct cel_node *n);

static struct cel_type *scalar(struct check *c, char kind)
{
	return cel_type_of(&c->types, kind);
}

static int fits(struct check *c, struct cel_type *wanted, struct cel_type *t)
{
	return cel_type_fits(&c->types, &wanted, &t, 1);
}

/* 1, or 0 after refusing. */
static int must_be_bool(struct check *c, struct cel_node *n, struct cel_type *t)
{
	if (fits(c, t, scalar(c, 'b')))
		return 1;
	t = cel_type_resolve(&c->types, t, 1);
	cel_refuse(c->p, n->place, "a bool is wanted here, and this is of type " STR_FMT,
		   STR_ARG(cel_type_text(&c->types, t)));
	return 0;
}

/* ---- Names ---- */

static const struct {
	const char *name;
	enum cel_kind kind;
} type_names[] = {
	{ "bool", CEL_BOOL }, { "bytes", CEL_BYTES }, { "double", CEL_DOUBLE },	 { "int", CEL_INT },
	{ "list", CEL_LIST }, { "map", CEL_MAP },     { "null_type", CEL_NULL }, { "string", CEL_STRING },
	{ "type", CEL_TYPE }, { "uint", CEL_UINT },
};

static struct cel_type *type_literal(struct check *c, struct cel_node *n, enum cel_kind kind)
{
	n->kind = NODE_LITERAL;
	n->literal = (struct cel_value){ .kind = CEL_TYPE, .s = str_of(cel_kind_name(kind)) };
	return scalar(c, 'T');
}

static struct cel_type *check_name(struct check *c, struct cel_node *n)
{
	for (struct scope *s = c->scope; s; s = s->outer)
		if (str_eq(s->name, n->name)) {
			n->kind = NODE_LOCAL;
			n->slot = s->slot;
			return s->type;
		}
	for (size_t i = 0; i < sizeof(type_names) / sizeof(*type_names); i++)
		if (str_is(n->name, type_names[i].name))
			return type_literal(c, n, type_names[i].kind);
	n->kind = NODE_VARIABLE;
	return scalar(c, 'D');
}

/* google.protobuf.Timestamp and Duration: the only names with points in them. */
static int is_qualified(const struct cel_node *n, const char *last)
{
	const struct cel_node *middle = n->first;

	return n->kind == NODE_SELECT && str_is(n->name, last) && middle->kind == NODE_SELECT &&
	       str_is(middle->name, "protobuf") && middle->first->kind == NODE_NAME &&
	       str_is(middle->first->name, "google");
}

static struct cel_type *check_select(struct check *c, struct cel_node *n)
{
	struct cel_type *of;

	if (is_qualified(n, "Timestamp"))
		return type_literal(c, n, CEL_TIMESTAMP);
	if (is_qualified(n, "Duration"))
		return type_literal(c, n, CEL_DURATION);
	of = check(c, n->first);
	if (!of)
		return NULL;
	of = cel_type_resolve(&c->types, of, 0);
	if (of->kind == 'V')
		fits(c, scalar(c, 'D'), of);
	else if (of->kind != 'M' && !cel_type_is_dyn(of))
		return cel_refuse(c->p, n->place, "a value of type " STR_FMT " has no members",
				  STR_ARG(cel_type_text(&c->types, of)));
	if (n->kind == NODE_HAS)
		return scalar(c, 'b');
	return of->kind == 'M' ? of->of[1] : scalar(c, 'D');
}

/* ---- Lists and maps ---- */

static struct cel_type *joined(struct check *c, struct cel_type *before, struct cel_type *t)
{
	if (!before)
		return t;
	return fits(c, before, t) ? cel_type_general(&c->types, before, t) : scalar(c, 'D');
}

static struct cel_type *check_list(struct check *c, struct cel_node *n)
{
	struct cel_type *of = NULL;

	for (struct cel_node *e = n->first; e; e = e->next) {
		struct cel_type *t = check(c, e);

		if (!t)
			return NULL;
		of = joined(c, of, t);
	}
	return cel_type_list(&c->types, of ? of : cel_type_variable(&c->types));
}

static struct cel_type *check_map(struct check *c, struct cel_node *n)
{
	struct cel_type *key = NULL, *value = NULL;

	for (struct cel_node *e = n->first; e; e = e->next->next) {
		struct cel_type *k = check(c, e), *v;

		if (!k)
			return NULL;
		key = joined(c, key, k);
		v = check(c, e->next);
		if (!v)
			return NULL;
		value = joined(c, value, v);
	}
	if (!key) {
		key = cel_type_variable(&c->types);
		value = cel_type_variable(&c->types);
	}
	return cel_type_map(&c->types, key, value);
}

/* ---- Calls ---- */

/* The type of a letter of an overload, in which A and B are the same throughout. */
static struct cel_type *letter(struct check *c, char l, struct cel_type *vars[2])
{
	int n = l == 'M' ? 2 : l == 'A' || l == 'L' ? 1 : 0;

	if (l == 'B')
		n = 2;
	for (int i = 0; i < n; i++)
		if (!vars[i])
			vars[i] = cel_type_variable(&c->types);
	switch (l) {
	case 'A': return vars[0];
	case 'B': return vars[1];
	case 'L': return cel_type_list(&c->types, vars[0]);
	case 'M': return cel_type_map(&c->types, vars[0], vars[1]);
	default: return scalar(c, l);
	}
}

/* The result of one overload, such as ".ss>b"; NULL: it does not fit. */
static struct cel_type *overload(struct check *c, struct str form, const struct cel_node *n, struct cel_type **args)
{
	struct cel_type *wanted[CEL_ARGS], *vars[2] = { NULL, NULL };
	int member = form.p[0] == '.';

	form = str_from(form, (size_t)member);
	if (member != n->member || form.n != n->nargs + 2)
		return NULL;
	for (size_t i = 0; i < n->nargs; i++)
		wanted[i] = letter(c, form.p[i], vars);
	if (!cel_type_fits(&c->types, args, wanted, n->nargs))
		return NULL;
	return cel_type_resolve(&c->types, letter(c, form.p[n->nargs + 1], vars), 0);
}

static void *no_overload(struct check *c, const struct cel_node *n, struct cel_type **args)
{
	struct buf b = buf_in(c->p->a);

	for (size_t i = 0; i < n->nargs && i < ARGUMENTS; i++) {
		if (i > 0)
			buf_adds(&b, STR(", "));
		buf_adds(&b, cel_type_text(&c->types, cel_type_resolve(&c->types, args[i], 1)));
	}
	return cel_refuse(c->p, n->place, "'" STR_FMT "' cannot be applied to (" STR_FMT ")",
			  STR_ARG(cel_function_text(n->function)), STR_ARG(buf_str(&b)));
}

static struct cel_type *overloads(struct check *c, const struct cel_node *n, struct cel_type **args)
{
	struct str rest = str_of(n->function->overloads), form;
	struct cel_type *result = NULL, *t;

	while (n->nargs <= CEL_ARGS && str_split(&rest, ' ', &form)) {
		t = overload(c, form, n, args);
		if (!t)
			continue;
		if (!result)
			result = t;
		else if (!cel_type_is_dyn(result) && !cel_type_same(&c->types, t, result))
			result = scalar(c, 'D');
	}
	return result ? result : no_overload(c, n, args);
}

/* Patterns and zones that are literals are made ready; one that is wrong fails where it is used, as in cel-go. */
static void prepare(struct check *c, struct cel_node *n)
{
	struct cel_node *last = n->last;

	if (n->nargs != 2 || last->kind != NODE_LITERAL || last->literal.kind != CEL_STRING)
		return;
	if (str_is(str_of(n->function->name), "matches")) {
		n->regex = regex_new(c->p->a, last->literal.s, &n->broken);
		/* That may be better when the rule is evaluated, which then tries again. */
		if (str_starts(n->broken, STR("error parsing regexp: out of memory")))
			n->broken = STR_NONE;
	}
	if (str_starts(str_of(n->function->name), STR("get")))
		n->zone = cel_zone_named(c->p->a, last->literal.s, &n->broken);
}

static int is_wrong_index(const struct cel_node *n)
{
	enum cel_kind k = n->last->literal.kind;

	return str_is(str_of(n->function->name), "[]") && n->last->kind == NODE_LITERAL && k != CEL_BOOL &&
	       k != CEL_INT && k != CEL_UINT && k != CEL_DOUBLE && k != CEL_STRING;
}

/* Of a macro that is called otherwise than it is meant there is more to say. */
static void *no_function(struct check *c, const struct cel_node *n)
{
	static const struct {
		const char *name, *form;
	} macros[] = {
		{ "has", "has(a.b)" },
		{ "all", "list.all(name, condition)" },
		{ "exists", "list.exists(name, condition)" },
		{ "exists_one", "list.exists_one(name, condition)" },
		{ "filter", "list.filter(name, condition)" },
		{ "map", "list.map(name, result) or list.map(name, condition, result)" },
	};

	for (size_t i = 0; i < sizeof(macros) / sizeof(*macros); i++)
		if (str_is(n->name, macros[i].name))
			return cel_refuse(c->p, n->place, "%s() is written %s", macros[i].name, macros[i].form);
	return cel_refuse(c->p, n->place, "there is no function '" STR_FMT "'", STR_ARG(str_upto(n->name, 100)));
}

static struct cel_type *check_call(struct check *c, struct cel_node *n)
{
	struct cel_type *args[ARGUMENTS] = { NULL }, *result, *t;
	size_t i = 0;

	for (struct cel_node *e = n->first; e; e = e->next, i++) {
		t = check(c, e);
		if (!t)
			return NULL;
		if (i < ARGUMENTS)
			args[i] = t;
	}
	if (!n->function)
		n->function = cel_function_named(n->name);
	if (!n->function)
		return no_function(c, n);
	result = overloads(c, n, args);
	if (!result)
		return NULL;
	if (is_wrong_index(n))
		return cel_refuse(c->p, n->place, "an index must be a string, a number or a bool");
	prepare(c, n);
	return result;
}

static struct cel_type *check_logic(struct check *c, struct cel_node *n)
{
	for (struct cel_node *e = n->first; e; e = e->next) {
		struct cel_type *t = check(c, e);

		if (!t || !must_be_bool(c, e, t))
			return NULL;
	}
	return scalar(c, 'b');
}

/* ---- Folds ---- */

/* The type of a fold's variable: of a list's elements, of a map's keys. */
static struct cel_type *element(struct check *c, struct cel_node *range)
{
	struct cel_type *t = check(c, range);

	if (!t)
		return NULL;
	t = cel_type_resolve(&c->types, t, 0);
	if (t->kind == 'L' || t->kind == 'M')
		return t->of[0];
	if (t->kind == 'V')
		fits(c, scalar(c, 'D'), t);
	else if (!cel_type_is_dyn(t))
		return cel_refuse(c->p, range->place, "one cannot go through a value of type " STR_FMT,
				  STR_ARG(cel_type_text(&c->types, t)));
	return scalar(c, 'D');
}

static struct cel_type *list_result(struct check *c, struct cel_type *of)
{
	struct cel_type *list = cel_type_list(&c->types, cel_type_variable(&c->types));

	fits(c, list, cel_type_list(&c->types, of));
	return cel_type_resolve(&c->types, list, 0);
}

static struct cel_type *check_inside(struct check *c, struct cel_node *n, struct cel_type *of)
{
	struct cel_node *body = n->first->next;
	struct cel_type *t;

	if (n->fold == FOLD_MAP) {
		t = check(c, body);
		return t ? list_result(c, t) : NULL;
	}
	t = check(c, body);
	if (!t || !must_be_bool(c, body, t))
		return NULL;
	if (n->fold == FOLD_FILTER)
		return list_result(c, of);
	if (n->fold != FOLD_MAP_IF)
		return scalar(c, 'b');
	t = check(c, body->next);
	return t ? list_result(c, t) : NULL;
}

static struct cel_type *check_fold(struct check *c, struct cel_node *n)
{
	struct scope scope = { .outer = c->scope, .name = n->name };
	struct cel_type *t;

	scope.type = element(c, n->first);
	if (!scope.type)
		return NULL;
	n->slot = scope.slot = c->depth++;
	if (c->depth > c->nlocals)
		c->nlocals = c->depth;
	c->scope = &scope;
	t = check_inside(c, n, scope.type);
	c->scope = scope.outer;
	c->depth--;
	return t;
}

static struct cel_type *check_literal(struct check *c, const struct cel_node *n)
{
	static const char kinds[] = { [CEL_NULL] = 'n',	  [CEL_BOOL] = 'b',   [CEL_INT] = 'i',	[CEL_UINT] = 'u',
				      [CEL_DOUBLE] = 'd', [CEL_STRING] = 's', [CEL_BYTES] = 'y' };

	return scalar(c, kinds[n->literal.kind]);
}

static struct cel_type *check_if(struct check *c, struct cel_node *n)
{
	struct cel_type *args[CEL_ARGS], *t;
	size_t i = 0;

	for (struct cel_node *e = n->first; e; e = e->next) {
		t = check(c, e);
		if (!t)
			return NULL;
		args[i++] = t;
	}
	return overloads(c, n, args);
}

static struct cel_type *check(struct check *c, struct cel_node *n)
{
	struct cel_type *t = NULL;

	switch (n->kind) {
	case NODE_LITERAL: t = check_literal(c, n); break;
	case NODE_NAME:
	case NODE_VARIABLE:
	case NODE_LOCAL: t = check_name(c, n); break;
	case NODE_SELECT:
	case NODE_HAS: t = check_select(c, n); break;
	case NODE_CALL: t = check_call(c, n); break;
	case NODE_LIST: t = check_list(c, n); break;
	case NODE_MAP: t = check_map(c, n); break;
	case NODE_AND:
	case NODE_OR: t = check_logic(c, n); break;
	case NODE_IF: t = check_if(c, n); break;
	case NODE_FOLD: t = check_fold(c, n); break;
	}
	return c->p->failed ? NULL : t;
}

int cel_check(struct cel_parser *p, struct cel *cel)
{
	struct check c = { .types.p = p, .p = p };
	struct cel_type *t = check(&c, cel->root);

	if (t)
		t = cel_type_resolve(&c.types, t, 1);
	if (!t || p->failed)
		return -1;
	cel->nlocals = c.nlocals;
	cel->may_be_bool = t->kind == 'b' || cel_type_is_dyn(t);
	return 0;
}
