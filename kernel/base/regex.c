/* SPDX-License-Identifier: Apache-2.0 */
/* From tree to program: Thompson's construction. */
#include "base/regex.h"

#include "base/banned.h"
#include "base/regex_inside.h"

static size_t emit(struct regex_parser *p, struct regex_inst i)
{
	if (p->re->n == REGEX_SIZE) {
		regex_fault(p, "expression is too large");
		return 0;
	}
	p->re->inst[p->re->n] = i;
	return p->re->n++;
}

static size_t emit_op(struct regex_parser *p, enum regex_op op, size_t x)
{
	return emit(p, (struct regex_inst){ .op = op, .x = (uint32_t)x });
}

static void compile(struct regex_parser *p, const struct regex_node *n);

/* A split whose one side is the next instruction and whose other is patched by the caller. */
static void split_to(struct regex_parser *p, size_t split, size_t body, size_t out, int lazy)
{
	p->re->inst[split].x = (uint32_t)(lazy ? out : body);
	p->re->inst[split].y = (uint32_t)(lazy ? body : out);
}

static void compile_repeat(struct regex_parser *p, const struct regex_node *n)
{
	size_t split, first_split, body;

	if (n->max < 0) {
		/* x* is (x+)?, x{3,} is xxx+: so the order of preference is right even if x may be empty. */
		split = n->min ? 0 : emit_op(p, RE_SPLIT, 0);
		for (int i = 1; i < n->min && !p->fault; i++)
			compile(p, n->first);
		body = p->re->n;
		compile(p, n->first);
		size_t again = emit_op(p, RE_SPLIT, 0);

		split_to(p, again, body, p->re->n, n->lazy);
		if (!n->min)
			split_to(p, split, body, p->re->n, n->lazy);
		return;
	}
	for (int i = 0; i < n->min && !p->fault; i++)
		compile(p, n->first);
	/* x{0,3} is (x(x(x)?)?)?: each split leaves to the same end. */
	first_split = p->re->n;
	for (int i = n->min; i < n->max && !p->fault; i++) {
		split = emit_op(p, RE_SPLIT, 0);
		p->re->inst[split].negated = 1; /* to be patched */
		compile(p, n->first);
	}
	for (size_t i = first_split; i < p->re->n; i++)
		if (p->re->inst[i].op == RE_SPLIT && p->re->inst[i].negated) {
			p->re->inst[i].negated = 0;
			split_to(p, i, i + 1, p->re->n, n->lazy);
		}
}

static void compile_alternatives(struct regex_parser *p, const struct regex_node *n)
{
	size_t chain = 0; /* the last jump to the end, whose x names the one before */

	for (const struct regex_node *c = n->first; c && !p->fault; c = c->next) {
		size_t split = c->next ? emit_op(p, RE_SPLIT, 0) : 0;

		compile(p, c);
		if (!c->next)
			break;
		chain = emit_op(p, RE_JUMP, chain);
		split_to(p, split, split + 1, p->re->n, 0);
	}
	while (chain && !p->fault) {
		size_t before = p->re->inst[chain].x;

		p->re->inst[chain].x = (uint32_t)p->re->n;
		chain = before;
	}
}

static void compile(struct regex_parser *p, const struct regex_node *n)
{
	if (p->fault)
		return;
	switch (n->kind) {
	case RE_ONE: emit(p, n->one); return;
	case RE_REPEAT: compile_repeat(p, n); return;
	case RE_ALT: compile_alternatives(p, n); return;
	case RE_GROUP:
		emit_op(p, RE_SAVE, 2 * n->group);
		compile(p, n->first);
		emit_op(p, RE_SAVE, 2 * n->group + 1);
		return;
	case RE_CAT:
	case RE_FLAGS:
		for (const struct regex_node *c = n->first; c; c = c->next)
			compile(p, c);
	}
}

struct regex *regex_new(struct arena *a, struct str pattern, struct str *ret_message)
{
	struct regex *re = arena_zalloc(a, sizeof(*re));
	struct regex_parser p = { .a = a, .s = arena_str(a, pattern), .re = re };
	struct regex_node *tree;

	re->ngroups = 1;
	tree = regex_parse(&p);
	if (!p.fault) {
		struct arena *work = arena_new();

		/* Written out where it is thrown away: most programs are far smaller than the limit. */
		re->inst = work ? arena_try(work, REGEX_SIZE * sizeof(*re->inst)) : NULL;
		if (!re->inst) {
			regex_fault(&p, "out of memory");
		} else {
			emit_op(&p, RE_SAVE, 0);
			compile(&p, tree);
			emit_op(&p, RE_SAVE, 1);
			emit_op(&p, RE_MATCH, 0);
		}
		struct regex_inst *kept = p.fault ? NULL : arena_try(a, re->n * sizeof(*kept));

		if (kept)
			memcpy(kept, re->inst, re->n * sizeof(*kept));
		else
			regex_fault(&p, "out of memory");
		re->inst = kept;
		arena_unref(work);
	}
	if (!p.fault)
		return re;
	*ret_message = arena_printf(a, "error parsing regexp: %s: `" STR_FMT "`", p.fault, STR_ARG(pattern));
	return NULL;
}

size_t regex_size(const struct regex *re)
{
	return re->n;
}
