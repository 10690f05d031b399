/* SPDX-License-Identifier: Apache-2.0 */
/* Tokens to nodes: one function for all binary operators, so that a level of brackets costs few frames. */
#include "base/banned.h"
#include "cel/inside.h"

static struct cel_node *expression(struct cel_parser *p);

static void *too_deep(struct cel_parser *p, uint32_t place)
{
	return cel_refuse(p, place, "the expression is nested deeper than %d levels", CEL_DEPTH);
}

/* ---- Nodes ---- */

static struct cel_node *node(struct cel_parser *p, enum cel_node_kind kind, uint32_t place)
{
	struct cel_node *n = arena_zalloc(p->a, sizeof(*n));

	n->kind = kind;
	n->place = place;
	n->height = 1;
	return n;
}

/* NULL as well when child is NULL or n gets too high. */
static struct cel_node *add(struct cel_parser *p, struct cel_node *n, struct cel_node *child)
{
	if (!n || !child)
		return NULL;
	if (n->last)
		n->last->next = child;
	else
		n->first = child;
	n->last = child;
	n->nargs++;
	if (child->height >= n->height)
		n->height = child->height + 1;
	if (n->height > CEL_DEPTH)
		return too_deep(p, n->place);
	return n;
}

static struct cel_node *call(struct cel_parser *p, uint32_t place, const char *operator, struct cel_node * one,
			     struct cel_node *two)
{
	struct cel_node *n = node(p, NODE_CALL, place);

	n->function = cel_operator(operator);
	n = add(p, n, one);
	return two ? add(p, n, two) : n;
}

static void *unexpected(struct cel_parser *p)
{
	if (p->token.kind == TOKEN_END)
		return cel_refuse(p, p->token.place, "the expression ends here, where something should follow");
	return cel_refuse(p, p->token.place, "'" STR_FMT "' does not belong here",
			  STR_ARG(str_upto(p->token.text, 40)));
}

static int is_at(const struct cel_parser *p, enum cel_token_kind kind)
{
	return !p->failed && p->token.kind == kind;
}

/* 1: it was there and is passed. */
static int pass(struct cel_parser *p, enum cel_token_kind kind)
{
	if (!is_at(p, kind))
		return 0;
	cel_next(p);
	return 1;
}

static int expect(struct cel_parser *p, enum cel_token_kind kind, const char *sign)
{
	if (pass(p, kind))
		return 1;
	if (p->token.kind == TOKEN_END)
		cel_refuse(p, p->token.place, "the expression ends here, where '%s' should follow", sign);
	else
		cel_refuse(p, p->token.place, "'" STR_FMT "' stands where '%s' should",
			   STR_ARG(str_upto(p->token.text, 40)), sign);
	return 0;
}

/* ---- Lists, maps, arguments ---- */

/* Comma-separated expressions up to the sign. */
static struct cel_node *arguments(struct cel_parser *p, struct cel_node *n)
{
	while (n && !is_at(p, TOKEN_RIGHT_ROUND)) {
		n = add(p, n, expression(p));
		if (!pass(p, TOKEN_COMMA))
			break;
		if (is_at(p, TOKEN_RIGHT_ROUND))
			return unexpected(p);
	}
	return n && expect(p, TOKEN_RIGHT_ROUND, ")") ? n : NULL;
}

/* In lists and maps one comma may stand behind the last element, and alone in an empty one. */
static struct cel_node *list(struct cel_parser *p, uint32_t place)
{
	struct cel_node *n = node(p, NODE_LIST, place);

	if (!pass(p, TOKEN_COMMA))
		while (n && !is_at(p, TOKEN_RIGHT_SQUARE)) {
			n = add(p, n, expression(p));
			if (!pass(p, TOKEN_COMMA))
				break;
		}
	return n && expect(p, TOKEN_RIGHT_SQUARE, "]") ? n : NULL;
}

static struct cel_node *map(struct cel_parser *p, uint32_t place)
{
	struct cel_node *n = node(p, NODE_MAP, place);

	if (!pass(p, TOKEN_COMMA))
		while (n && !is_at(p, TOKEN_RIGHT_CURLY)) {
			n = add(p, n, expression(p));
			if (!n || !expect(p, TOKEN_COLON, ":"))
				return NULL;
			n = add(p, n, expression(p));
			if (!pass(p, TOKEN_COMMA))
				break;
		}
	return n && expect(p, TOKEN_RIGHT_CURLY, "}") ? n : NULL;
}

/* ---- Macros ---- */

static const struct {
	const char *name;
	uint32_t nargs; /* with the range */
	enum cel_fold fold;
} folds[] = {
	{ "all", 3, FOLD_ALL },	      { "exists", 3, FOLD_EXISTS }, { "exists_one", 3, FOLD_EXISTS_ONE },
	{ "filter", 3, FOLD_FILTER }, { "map", 3, FOLD_MAP },	    { "map", 4, FOLD_MAP_IF },
};

/* range.all(x, condition): the name moves from the arguments into the node. Other members stay as they are. */
static struct cel_node *fold(struct cel_parser *p, struct cel_node *n)
{
	struct cel_node *variable;

	for (size_t i = 0; i < sizeof(folds) / sizeof(*folds); i++) {
		if (n->nargs != folds[i].nargs || !str_is(n->name, folds[i].name))
			continue;
		variable = n->first->next;
		if (variable->kind != NODE_NAME)
			return cel_refuse(p, variable->place, "%s() needs a simple name first", folds[i].name);
		n->kind = NODE_FOLD;
		n->fold = folds[i].fold;
		n->first->next = variable->next;
		n->name = variable->name;
		n->nargs--;
		break;
	}
	return n;
}

static struct cel_node *has(struct cel_parser *p, struct cel_node *n)
{
	struct cel_node *field = n->first;

	if (n->nargs != 1)
		return n;
	if (field->kind != NODE_SELECT)
		return cel_refuse(p, field->place, "has() needs a member such as a.b");
	field->kind = NODE_HAS;
	return field;
}

/* ---- Operands ---- */

static int is_reserved(struct str name)
{
	static const char *const reserved[] = { "as",	     "break",  "const",	 "continue", "else", "for",
						"function",  "if",     "import", "let",	     "loop", "package",
						"namespace", "return", "var",	 "void",     "while" };

	for (size_t i = 0; i < sizeof(reserved) / sizeof(*reserved); i++)
		if (str_is(name, reserved[i]))
			return 1;
	return 0;
}

/* A name, or a function with its arguments; a point before it changes nothing, since there are no packages. */
static struct cel_node *named(struct cel_parser *p)
{
	uint32_t place = p->token.place;
	struct str name = p->token.text;
	struct cel_node *n;

	if (!pass(p, TOKEN_NAME))
		return unexpected(p);
	if (is_reserved(name))
		return cel_refuse(p, place, "'" STR_FMT "' is reserved and cannot be a name", STR_ARG(name));
	n = node(p, NODE_NAME, place);
	n->name = name;
	if (!is_at(p, TOKEN_LEFT_ROUND))
		return n;
	n->kind = NODE_CALL;
	n->place = p->token.place;
	cel_next(p);
	n = arguments(p, n);
	return n && str_is(name, "has") ? has(p, n) : n;
}

static struct cel_node *literal(struct cel_parser *p, uint32_t place, int negative)
{
	struct cel_token t = p->token;
	struct cel_node *n = node(p, NODE_LITERAL, place);

	switch (t.kind) {
	case TOKEN_INT:
	case TOKEN_UINT:
	case TOKEN_DOUBLE:
		if (cel_literal_number(p, t, negative, &n->literal) < 0)
			return NULL;
		break;
	case TOKEN_STRING:
	case TOKEN_BYTES:
		if (cel_literal_text(p, t, &n->literal) < 0)
			return NULL;
		break;
	case TOKEN_TRUE: n->literal = cel_bool(1); break;
	case TOKEN_FALSE: n->literal = cel_bool(0); break;
	case TOKEN_NULL: n->literal = cel_null(); break;
	default: return unexpected(p);
	}
	cel_next(p);
	return n;
}

static struct cel_node *primary(struct cel_parser *p)
{
	uint32_t place = p->token.place;
	struct cel_node *n;

	switch (p->token.kind) {
	case TOKEN_NAME: return named(p);
	case TOKEN_POINT: cel_next(p); return named(p);
	case TOKEN_LEFT_ROUND:
		cel_next(p);
		n = expression(p);
		return n && expect(p, TOKEN_RIGHT_ROUND, ")") ? n : NULL;
	case TOKEN_LEFT_SQUARE: cel_next(p); return list(p, place);
	case TOKEN_LEFT_CURLY: cel_next(p); return map(p, place);
	case TOKEN_MINUS:
		cel_next(p);
		if (is_at(p, TOKEN_INT) || is_at(p, TOKEN_DOUBLE))
			return literal(p, place, 1);
		return unexpected(p);
	default: return literal(p, place, 0);
	}
}

/* What follows a point: a field, or a member function. */
static struct cel_node *member(struct cel_parser *p, struct cel_node *of, uint32_t place)
{
	struct str name = p->token.text;
	struct cel_node *n;

	if (is_at(p, TOKEN_QUESTION))
		return cel_refuse(p, p->token.place, "optional members ('.?') are not supported");
	if (!pass(p, TOKEN_NAME))
		return unexpected(p);
	n = node(p, NODE_SELECT, place);
	n->name = name;
	n = add(p, n, of);
	if (!n || !is_at(p, TOKEN_LEFT_ROUND))
		return n;
	n->kind = NODE_CALL;
	n->member = 1;
	n->place = p->token.place;
	cel_next(p);
	n = arguments(p, n);
	return n ? fold(p, n) : NULL;
}

static struct cel_node *index_of(struct cel_parser *p, struct cel_node *of, uint32_t place)
{
	struct cel_node *key;

	if (is_at(p, TOKEN_QUESTION))
		return cel_refuse(p, p->token.place, "optional indexes ('[?') are not supported");
	key = expression(p);
	return key && expect(p, TOKEN_RIGHT_SQUARE, "]") ? call(p, place, "[]", of, key) : NULL;
}

/* An operand with its members and indexes. */
static struct cel_node *operand(struct cel_parser *p)
{
	struct cel_node *n = primary(p);

	while (n && !p->failed) {
		uint32_t place = p->token.place;

		if (pass(p, TOKEN_POINT))
			n = member(p, n, place);
		else if (pass(p, TOKEN_LEFT_SQUARE))
			n = index_of(p, n, place);
		else if (is_at(p, TOKEN_LEFT_CURLY) && (n->kind == NODE_NAME || n->kind == NODE_SELECT))
			return cel_refuse(p, place, "messages cannot be built here");
		else
			break;
	}
	return n;
}

/* ---- Operators ---- */

/* One minus right before a number belongs to it, so that the least int can be written. */
static __attribute__((noinline)) int is_negative_number(const struct cel_parser *p)
{
	struct cel_parser ahead = *p;

	if (ahead.token.kind != TOKEN_MINUS)
		return 0;
	cel_next(&ahead);
	return is_at(&ahead, TOKEN_INT) || is_at(&ahead, TOKEN_DOUBLE);
}

/* Signs before an operand. An even number of them is none at all, as cel-go has it. */
static struct cel_node *signed_operand(struct cel_parser *p)
{
	enum cel_token_kind sign = p->token.kind;
	uint32_t place = p->token.place;
	int n = 0;
	struct cel_node *of;

	if ((sign != TOKEN_NOT && sign != TOKEN_MINUS) || is_negative_number(p))
		return operand(p);
	while (pass(p, sign))
		n++;
	of = sign == TOKEN_MINUS && is_at(p, TOKEN_NOT) ? unexpected(p) : operand(p);
	return n % 2 && of ? call(p, place, sign == TOKEN_NOT ? "!" : "-x", of, NULL) : of;
}

enum { OR = 1, AND, RELATION, SUM, PRODUCT };

static const struct {
	enum cel_token_kind token;
	int binds;
	const char *operator;
} operators[] = {
	{ TOKEN_OR, OR, "||" },		  { TOKEN_AND, AND, "&&" },
	{ TOKEN_EQUAL, RELATION, "==" },  { TOKEN_NOT_EQUAL, RELATION, "!=" },
	{ TOKEN_LESS, RELATION, "<" },	  { TOKEN_LESS_EQUAL, RELATION, "<=" },
	{ TOKEN_GREATER, RELATION, ">" }, { TOKEN_GREATER_EQUAL, RELATION, ">=" },
	{ TOKEN_IN, RELATION, "in" },	  { TOKEN_PLUS, SUM, "+" },
	{ TOKEN_MINUS, SUM, "-" },	  { TOKEN_STAR, PRODUCT, "*" },
	{ TOKEN_SLASH, PRODUCT, "/" },	  { TOKEN_PERCENT, PRODUCT, "%" },
};

/* The row of the operator at hand if it binds at least so strongly; -1: it is none. */
static int operator_at(const struct cel_parser *p, int least)
{
	for (size_t i = 0; !p->failed && i < sizeof(operators) / sizeof(*operators); i++)
		if (operators[i].token == p->token.kind && operators[i].binds >= least)
			return (int)i;
	return -1;
}

/* Operands joined by operators that bind at least so strongly. A chain of && or of || is one node, however long. */
static struct cel_node *binary(struct cel_parser *p, int least)
{
	struct cel_node *left = signed_operand(p), *chain = NULL, *right;
	int row;

	while (left && (row = operator_at(p, least)) >= 0) {
		uint32_t place = p->token.place;
		enum cel_node_kind kind = operators[row].binds == OR ? NODE_OR : NODE_AND;

		cel_next(p);
		/* Each of these becomes a level of the tree, but only on the way back. */
		if (++p->right > CEL_DEPTH)
			return too_deep(p, place);
		right = binary(p, operators[row].binds + 1);
		p->right--;
		if (operators[row].binds > AND) {
			left = right ? call(p, place, operators[row].operator, left, right) : NULL;
		} else if (left == chain && chain->kind == kind) {
			left = add(p, left, right);
		} else {
			left = add(p, add(p, node(p, kind, place), left), right);
			chain = left;
		}
	}
	return left;
}

static struct cel_node *choice(struct cel_parser *p, struct cel_node *condition, uint32_t place)
{
	struct cel_node *n = node(p, NODE_IF, place), *yes;

	n->function = cel_operator("?:");
	yes = binary(p, OR);
	if (!yes || !expect(p, TOKEN_COLON, ":"))
		return NULL;
	n = add(p, add(p, n, condition), yes);
	return n ? add(p, n, expression(p)) : NULL;
}

static struct cel_node *expression(struct cel_parser *p)
{
	struct cel_node *n;
	uint32_t place;

	if (++p->depth > CEL_DEPTH)
		return too_deep(p, p->token.place);
	n = binary(p, OR);
	place = p->token.place;
	if (n && pass(p, TOKEN_QUESTION))
		n = choice(p, n, place);
	p->depth--;
	return p->failed ? NULL : n;
}

struct cel_node *cel_parse(struct cel_parser *p)
{
	struct cel_node *n;

	cel_next(p);
	n = expression(p);
	if (n && p->token.kind != TOKEN_END)
		return unexpected(p);
	return p->failed ? NULL : n;
}
