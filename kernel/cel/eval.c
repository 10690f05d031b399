/* SPDX-License-Identifier: Apache-2.0 */
/* Nodes to values. An error is a value like another until somebody needs it to be something. */
#include "base/banned.h"
#include "cel/inside.h"

#define ERROR_STEPS 20

static struct cel_value eval(struct cel_eval *e, const struct cel_node *n);

/* ---- Errors and steps ---- */

struct cel_value cel_error(struct cel_eval *e, const char *fmt, ...)
{
	struct cel_value v = { .kind = CEL_ERROR };
	va_list ap;

	/* A sentence costs more than a step, and a fold may absorb one for each element. */
	if (!cel_spend(e, ERROR_STEPS, &v))
		return v;
	va_start(ap, fmt);
	v.s = arena_vprintf(e->a, fmt, ap);
	va_end(ap);
	return v;
}

struct cel_value cel_no_overload(struct cel_eval *e, const struct cel_call *c)
{
	struct buf b = buf_in(e->a);

	for (size_t i = 0; i < c->n; i++)
		buf_printf(&b, "%s%s", i ? ", " : "", cel_name_of(c->args[i]));
	return cel_error(e, "'" STR_FMT "' cannot be applied to (" STR_FMT ")",
			 STR_ARG(cel_function_text(c->node->function)), STR_ARG(buf_str(&b)));
}

int cel_spend(struct cel_eval *e, size_t n, struct cel_value *ret_error)
{
	if (e->left >= 0 && (uint64_t)e->left >= n) {
		e->left -= (int64_t)n;
		return 1;
	}
	e->left = -1;
	*ret_error = (struct cel_value){ .kind = CEL_ERROR, .s = STR("the evaluation takes too many steps") };
	return 0;
}

static int is_error(struct cel_value v)
{
	return v.kind == CEL_ERROR;
}

static int is_true(struct cel_value v)
{
	return v.kind == CEL_BOOL && v.b;
}

static int is_false(struct cel_value v)
{
	return v.kind == CEL_BOOL && !v.b;
}

/* What n gave, if it is an error already, else that a bool was wanted of it. */
static struct cel_value not_bool(struct cel_eval *e, const struct cel_node *n, struct cel_value v)
{
	if (!is_error(v)) {
		v = cel_error(e, "a bool is wanted here, and this is a value of type %s", cel_name_of(v));
		v.place = n->place + 1;
	}
	return v;
}

/* ---- Members ---- */

static struct cel_value json_error(struct cel_eval *e, const char *fault)
{
	return cel_error(e, "the JSON is not well-formed: %s", fault);
}

/* A list's index from any number that is a whole one; -1: it is none. */
static int whole_index(struct cel_value key, int64_t *ret_index)
{
	switch (key.kind) {
	case CEL_INT: *ret_index = key.i; return 0;
	case CEL_UINT: *ret_index = key.u > INT64_MAX ? INT64_MAX : (int64_t)key.u; return 0;
	case CEL_DOUBLE: return cel_double_to_int(key.d, ret_index) == 0 && (double)*ret_index == key.d ? 0 : -1;
	default: return -1;
	}
}

static struct cel_value get_element(struct cel_eval *e, struct cel_list *l, struct cel_value key)
{
	int64_t i;

	if (cel_list_fault(l))
		return json_error(e, cel_list_fault(l));
	if (whole_index(key, &i) < 0)
		return cel_error(e, "a list has no index " STR_FMT, STR_ARG(cel_key_text(e->a, key)));
	if (i < 0 || (uint64_t)i >= cel_list_size(l))
		return cel_error(e, "index " STR_FMT " is out of bounds", STR_ARG(cel_key_text(e->a, key)));
	return cel_list_get(l, (size_t)i);
}

struct cel_value cel_get(struct cel_eval *e, struct cel_value of, struct cel_value key)
{
	struct cel_value v;

	if (key.kind == CEL_NULL || key.kind > CEL_STRING)
		return cel_error(e, "a value of type %s cannot be an index", cel_name_of(key));
	if (of.kind == CEL_LIST)
		return get_element(e, of.list, key);
	if (of.kind != CEL_MAP)
		return cel_error(e, "no such key: " STR_FMT ", in a value of type %s", STR_ARG(cel_key_text(e->a, key)),
				 cel_name_of(of));
	if (cel_map_fault(of.map))
		return json_error(e, cel_map_fault(of.map));
	if (!cel_map_find(of.map, key, &v))
		return cel_error(e, "no such key: " STR_FMT, STR_ARG(cel_key_text(e->a, key)));
	return v;
}

struct cel_value cel_has(struct cel_eval *e, struct cel_value of, struct cel_value key)
{
	struct cel_value v;

	if (of.kind == CEL_LIST)
		return get_element(e, of.list, key);
	if (of.kind != CEL_MAP)
		return cel_bool(0);
	if (cel_map_fault(of.map))
		return json_error(e, cel_map_fault(of.map));
	return cel_bool(cel_map_find(of.map, key, &v));
}

struct cel_value cel_in(struct cel_eval *e, struct cel_value v, struct cel_value of)
{
	struct cel_value other;

	if (of.kind == CEL_MAP) {
		if (cel_map_fault(of.map))
			return json_error(e, cel_map_fault(of.map));
		return cel_bool(cel_map_find(of.map, v, &other));
	}
	if (cel_list_fault(of.list))
		return json_error(e, cel_list_fault(of.list));
	for (size_t i = 0; i < cel_list_size(of.list); i++) {
		if (!cel_spend(e, 1, &other))
			return other;
		if (cel_equal(e, v, cel_list_get(of.list, i)))
			return cel_bool(1);
	}
	return cel_bool(0);
}

/* ---- Nodes ---- */

static __attribute__((noinline)) struct cel_value eval_variable(struct cel_eval *e, const struct cel_node *n)
{
	struct cel_value v;

	if (!e->env || !e->env->lookup(e->env->arg, n->name, &v))
		return cel_error(e, "there is no variable '" STR_FMT "'", STR_ARG(n->name));
	return v;
}

static __attribute__((noinline)) struct cel_value eval_select(struct cel_eval *e, const struct cel_node *n)
{
	struct cel_value of = eval(e, n->first);

	if (is_error(of))
		return of;
	return n->kind == NODE_HAS ? cel_has(e, of, cel_string(n->name)) : cel_get(e, of, cel_string(n->name));
}

static __attribute__((noinline)) struct cel_value eval_call(struct cel_eval *e, const struct cel_node *n)
{
	struct cel_call c = { .node = n };

	for (const struct cel_node *arg = n->first; arg; arg = arg->next) {
		c.args[c.n] = eval(e, arg);
		if (is_error(c.args[c.n++]))
			return c.args[c.n - 1];
	}
	return n->function->run(e, &c);
}

static __attribute__((noinline)) struct cel_value eval_list(struct cel_eval *e, const struct cel_node *n)
{
	struct cel_list *l = cel_list_new(e->a);

	for (const struct cel_node *arg = n->first; arg; arg = arg->next) {
		struct cel_value v = eval(e, arg);

		if (is_error(v))
			return v;
		cel_list_add(l, v);
	}
	return cel_list_value(l);
}

static __attribute__((noinline)) struct cel_value eval_map(struct cel_eval *e, const struct cel_node *n)
{
	struct cel_map *m = cel_map_new(e->a);

	for (const struct cel_node *arg = n->first; arg; arg = arg->next->next) {
		struct cel_value key = eval(e, arg), v;

		if (is_error(key))
			return key;
		v = eval(e, arg->next);
		if (is_error(v))
			return v;
		if (cel_map_put(m, key, v) < 0)
			return cel_error(e, "a value of type %s cannot be a key", cel_name_of(key));
	}
	return cel_map_value(m);
}

/* One false (of &&) or true (of ||) decides, whatever errors stand beside it. */
static __attribute__((noinline)) struct cel_value eval_logic(struct cel_eval *e, const struct cel_node *n)
{
	struct cel_value result = cel_bool(n->kind == NODE_AND);

	for (const struct cel_node *arg = n->first; arg; arg = arg->next) {
		struct cel_value v = eval(e, arg);

		if (v.kind == CEL_BOOL && v.b != (n->kind == NODE_AND))
			return v;
		if (v.kind != CEL_BOOL && !is_error(result))
			result = not_bool(e, arg, v);
	}
	return result;
}

static __attribute__((noinline)) struct cel_value eval_if(struct cel_eval *e, const struct cel_node *n)
{
	struct cel_value condition = eval(e, n->first);

	if (condition.kind != CEL_BOOL)
		return not_bool(e, n->first, condition);
	return eval(e, condition.b ? n->first->next : n->last);
}

/* ---- Folds ---- */

struct walk {
	const struct cel_node *n;
	struct cel_value result; /* so far */
	int64_t found;		 /* of exists_one() */
};

/* One element, which is in the fold's local. 0: the result is known. */
static int walk_element(struct cel_eval *e, struct walk *w, struct cel_value element)
{
	const struct cel_node *body = w->n->first->next;
	struct cel_value v = eval(e, body);
	enum cel_fold f = w->n->fold;

	if (f == FOLD_ALL || f == FOLD_EXISTS) {
		if (f == FOLD_ALL ? is_false(v) : is_true(v)) {
			w->result = v;
			return 0;
		}
		if (v.kind != CEL_BOOL && !is_error(w->result))
			w->result = not_bool(e, body, v);
		return 1;
	}
	if (f != FOLD_MAP && v.kind != CEL_BOOL)
		v = not_bool(e, body, v);
	if (f == FOLD_MAP_IF && is_true(v))
		v = eval(e, body->next);
	else if (f == FOLD_FILTER && is_true(v))
		v = element;
	else if (f == FOLD_EXISTS_ONE && is_true(v))
		w->found++;
	else if (f != FOLD_MAP && !is_error(v))
		return 1;
	if (is_error(v)) {
		w->result = v;
		return 0;
	}
	if (f != FOLD_EXISTS_ONE)
		cel_list_add(w->result.list, v);
	return 1;
}

static __attribute__((noinline)) struct cel_value eval_fold(struct cel_eval *e, const struct cel_node *n)
{
	struct cel_value range = eval(e, n->first), over;
	struct walk w = { .n = n };
	const char *fault;
	size_t size;

	if (is_error(range))
		return range;
	if (range.kind != CEL_LIST && range.kind != CEL_MAP)
		return cel_error(e, "one cannot go through a value of type %s", cel_name_of(range));
	fault = range.kind == CEL_LIST ? cel_list_fault(range.list) : cel_map_fault(range.map);
	if (fault)
		return json_error(e, fault);
	if (n->fold >= FOLD_FILTER)
		w.result = cel_list_value(cel_list_new(e->a));
	else
		w.result = cel_bool(n->fold == FOLD_ALL);
	size = range.kind == CEL_LIST ? cel_list_size(range.list) : cel_map_size(range.map);
	for (size_t i = 0; i < size; i++) {
		struct cel_value v = range.kind == CEL_LIST ? cel_list_get(range.list, i) : cel_map_key(range.map, i);

		if (!cel_spend(e, 1, &over))
			return over;
		e->locals[n->slot] = v;
		if (!walk_element(e, &w, v))
			return w.result;
	}
	return n->fold == FOLD_EXISTS_ONE && !is_error(w.result) ? cel_bool(w.found == 1) : w.result;
}

static struct cel_value eval(struct cel_eval *e, const struct cel_node *n)
{
	struct cel_value v;

	if (!cel_spend(e, 1, &v))
		return v;
	switch (n->kind) {
	case NODE_LITERAL: return n->literal;
	case NODE_LOCAL: return e->locals[n->slot];
	case NODE_NAME:
	case NODE_VARIABLE: v = eval_variable(e, n); break;
	case NODE_SELECT:
	case NODE_HAS: v = eval_select(e, n); break;
	case NODE_CALL: v = eval_call(e, n); break;
	case NODE_LIST: v = eval_list(e, n); break;
	case NODE_MAP: v = eval_map(e, n); break;
	case NODE_AND:
	case NODE_OR: v = eval_logic(e, n); break;
	case NODE_IF: v = eval_if(e, n); break;
	case NODE_FOLD: v = eval_fold(e, n); break;
	}
	/* The innermost node that sees an error is where it happened. */
	if (is_error(v) && !v.place)
		v.place = n->place + 1;
	return v;
}

/* ---- From outside ---- */

/* Line and column of an offset in a text, from 1, columns in characters. */
static void place(struct str text, size_t at, unsigned *ret_line, unsigned *ret_column)
{
	*ret_line = *ret_column = 1;
	for (size_t i = 0; i < at && i < text.n; i++) {
		if (text.p[i] == '\n') {
			(*ret_line)++;
			*ret_column = 1;
		} else if (((unsigned char)text.p[i] & 0xc0) != 0x80) {
			(*ret_column)++;
		}
	}
}

static struct cel *refuse(struct cel_parser *p, struct cel_fault *ret_fault)
{
	ret_fault->message = p->fault;
	place(p->text, p->fault_place, &ret_fault->line, &ret_fault->column);
	return NULL;
}

struct cel *cel_compile(struct arena *a, struct str text, struct cel_fault *ret_fault)
{
	struct cel_parser p = { .a = a };
	struct cel *c;

	if (text.n > CEL_TEXT)
		cel_refuse(&p, 0, "the expression is longer than %d bytes", CEL_TEXT);
	else if (!str_utf8(text) || memchr(text.n ? text.p : "", 0, text.n))
		cel_refuse(&p, 0, "the expression is not well-formed UTF-8, or has a NUL in it");
	if (p.failed)
		return refuse(&p, ret_fault);
	c = arena_zalloc(a, sizeof(*c));
	c->text = p.text = arena_str(a, text);
	c->root = cel_parse(&p);
	if (!c->root || cel_check(&p, c) < 0)
		return refuse(&p, ret_fault);
	return c;
}

int cel_may_be_bool(const struct cel *c)
{
	return c->may_be_bool;
}

static struct str message(const struct cel *c, struct arena *a, struct cel_value error)
{
	unsigned line, column;

	place(c->text, error.place ? error.place - 1 : 0, &line, &column);
	return arena_printf(a, "%u:%u: " STR_FMT, line, column, STR_ARG(error.s));
}

int cel_eval(const struct cel *c, struct arena *a, const struct cel_env *env, struct cel_value *ret_value,
	     struct str *ret_error)
{
	struct cel_eval e = { .a = a, .cel = c, .env = env, .left = CEL_STEPS };
	struct cel_value v;

	if (c->nlocals)
		e.locals = arena_alloc(a, c->nlocals * sizeof(*e.locals));
	v = eval(&e, c->root);
	/* Equality answers nothing but yes or no when the steps end in it. */
	if (!is_error(v) && e.left < 0)
		cel_spend(&e, 1, &v);
	if (is_error(v)) {
		*ret_error = message(c, a, v);
		return -1;
	}
	*ret_value = v;
	return 0;
}

int cel_eval_bool(const struct cel *c, struct arena *a, const struct cel_env *env, int *ret_value,
		  struct str *ret_error)
{
	struct cel_value v;

	if (cel_eval(c, a, env, &v, ret_error) < 0)
		return -1;
	if (v.kind != CEL_BOOL) {
		*ret_error = arena_printf(a, "the result is no bool but a value of type %s", cel_name_of(v));
		return -1;
	}
	*ret_value = v.b;
	return 0;
}
