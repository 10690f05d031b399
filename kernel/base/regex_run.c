/* SPDX-License-Identifier: Apache-2.0 */
/* Runs a program as Pike does: all threads in step over the text, in order of preference, each instruction at most once. */
#include "base/banned.h"
#include "base/mem.h"
#include "base/regex_inside.h"

#define NOWHERE SIZE_MAX
#define SLOTS (2 * REGEX_GROUPS_MAX)

struct threads {
	uint32_t *pc;	/* in order of preference */
	size_t *slots;	/* nslots for each */
	uint32_t *mark; /* mark[pc] < n && pc[mark[pc]] == pc: it is in */
	size_t n;
};

/* An instruction to look at, or, when restore is set, a slot to put back. */
struct todo {
	uint32_t pc;
	int restore;
	size_t value;
};

struct run {
	const struct regex *re;
	struct str text;
	size_t nslots;
	struct threads now, next;
	struct todo *todo;
	size_t slots[SLOTS]; /* of the thread that is being added */
};

uint32_t regex_rune(struct str s, size_t at, size_t *ret_width)
{
	const unsigned char *p = (const unsigned char *)s.p + at;
	size_t left = s.n - at, n = *p < 0x80 ? 1 : *p < 0xe0 ? 2 : *p < 0xf0 ? 3 : 4;
	uint32_t c;

	*ret_width = 1;
	if (n == 1)
		return *p;
	if (n > left || !str_utf8(str_upto(str_from(s, at), n)))
		return 0xfffd;
	c = *p & (0xffu >> (n + 1));
	for (size_t i = 1; i < n; i++)
		c = c << 6 | (p[i] & 0x3f);
	*ret_width = n;
	return c;
}

static int word_at(struct str s, size_t at)
{
	unsigned char c;

	if (at >= s.n)
		return 0;
	c = (unsigned char)s.p[at];
	return (c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z') || c == '_';
}

static int holds(enum regex_assert what, struct str s, size_t at)
{
	switch (what) {
	case RE_TEXT_START: return at == 0;
	case RE_TEXT_END: return at == s.n;
	case RE_LINE_START: return at == 0 || s.p[at - 1] == '\n';
	case RE_LINE_END: return at == s.n || s.p[at] == '\n';
	case RE_WORD:
	case RE_NOT_WORD: return ((at > 0 && word_at(s, at - 1)) != word_at(s, at)) == (what == RE_WORD);
	}
	return 0;
}

/* Of no slots at all when only the answer yes or no is wanted: then there is nowhere to copy to. */
static void copy(size_t *to, const size_t *from, size_t n)
{
	if (n)
		memcpy(to, from, n * sizeof(*to));
}

/* Adds the thread at pc, and what it reaches without reading, with r->slots as its slots. */
static void add(struct run *r, struct threads *to, uint32_t pc, size_t at)
{
	size_t ntodo = 0;

	r->todo[ntodo++] = (struct todo){ .pc = pc };
	while (ntodo) {
		struct todo t = r->todo[--ntodo];
		const struct regex_inst *i = &r->re->inst[t.pc];

		if (t.restore) {
			r->slots[t.pc] = t.value;
			continue;
		}
		if (to->mark[t.pc] < to->n && to->pc[to->mark[t.pc]] == t.pc)
			continue;
		to->mark[t.pc] = (uint32_t)to->n;
		to->pc[to->n] = t.pc;
		copy(to->slots + to->n * r->nslots, r->slots, r->nslots);
		to->n++;
		switch (i->op) {
		case RE_SPLIT:
			r->todo[ntodo++] = (struct todo){ .pc = i->y };
			r->todo[ntodo++] = (struct todo){ .pc = i->x };
			break;
		case RE_JUMP: r->todo[ntodo++] = (struct todo){ .pc = i->x }; break;
		case RE_ASSERT:
			if (holds((enum regex_assert)i->x, r->text, at))
				r->todo[ntodo++] = (struct todo){ .pc = t.pc + 1 };
			break;
		case RE_SAVE:
			if (i->x < r->nslots) {
				r->todo[ntodo++] = (struct todo){ .pc = i->x, .restore = 1, .value = r->slots[i->x] };
				r->slots[i->x] = at;
			}
			r->todo[ntodo++] = (struct todo){ .pc = t.pc + 1 };
			break;
		default: break;
		}
	}
}

static int in_class(const struct regex_inst *i, uint32_t c)
{
	int in = 0;

	for (size_t k = 0; k < i->nranges && !in; k++)
		in = i->ranges[k].from <= c && c <= i->ranges[k].to;
	return in != i->negated;
}

static int reads(const struct regex_inst *i, uint32_t c)
{
	switch (i->op) {
	case RE_CHAR: return c == i->x;
	case RE_FOLD: return (c >= 'A' && c <= 'Z' ? c + 32 : c) == i->x;
	case RE_ANY: return c != '\n';
	case RE_ANY_NL: return 1;
	case RE_CLASS: return in_class(i, c);
	default: return 0;
	}
}

/* 1: found, ret_slots are the best match's. */
static int run(struct run *r, size_t from, size_t *ret_slots)
{
	int found = 0;

	for (size_t at = from;;) {
		size_t width = 0;
		uint32_t c = at < r->text.n ? regex_rune(r->text, at, &width) : 0;

		if (!found) {
			for (size_t k = 0; k < r->nslots; k++)
				r->slots[k] = NOWHERE;
			add(r, &r->now, 0, at);
		}
		r->next.n = 0;
		for (size_t k = 0; k < r->now.n; k++) {
			uint32_t pc = r->now.pc[k];
			const size_t *slots = r->now.slots + k * r->nslots;

			if (r->re->inst[pc].op == RE_MATCH) {
				copy(ret_slots, slots, r->nslots);
				found = 1;
				break; /* whoever comes behind is less wanted */
			}
			if (width && reads(&r->re->inst[pc], c)) {
				copy(r->slots, slots, r->nslots);
				add(r, &r->next, pc + 1, at + width);
			}
		}
		if (!width || (found && (r->nslots == 0 || r->next.n == 0)))
			return found;
		at += width;
		struct threads swap = r->now;

		r->now = r->next;
		r->next = swap;
	}
}

static int execute(const struct regex *re, struct str text, size_t from, size_t nslots, size_t *ret_slots)
{
	size_t n = re->n;
	struct run r = { .re = re, .text = text, .nslots = nslots };
	size_t todo = (n + 2) * sizeof(*r.todo); /* each instruction leaves at most one more than it takes */
	char *p = mem_zalloc(2 * n * nslots * sizeof(size_t) + todo + 4 * n * sizeof(uint32_t));
	int found;

	if (!p)
		return -1;
	r.now.slots = (size_t *)p;
	r.next.slots = r.now.slots + n * nslots;
	r.todo = (struct todo *)(r.next.slots + n * nslots);
	r.now.pc = (uint32_t *)((char *)r.todo + todo);
	r.now.mark = r.now.pc + n;
	r.next.pc = r.now.mark + n;
	r.next.mark = r.next.pc + n;
	found = run(&r, from, ret_slots);
	mem_free(p);
	return found;
}

int regex_search(const struct regex *re, struct str text)
{
	return execute(re, text, 0, 0, NULL);
}

int regex_find(const struct regex *re, struct str text, size_t from, struct str ret_groups[REGEX_GROUPS_MAX])
{
	size_t slots[SLOTS];
	int found = execute(re, text, from, 2 * re->ngroups, slots);

	for (size_t g = 0; found == 1 && g < REGEX_GROUPS_MAX; g++) {
		int in = g < re->ngroups && slots[2 * g] != NOWHERE && slots[2 * g + 1] != NOWHERE;

		ret_groups[g] = in ? str_upto(str_from(text, slots[2 * g]), slots[2 * g + 1] - slots[2 * g]) : STR_NONE;
	}
	return found;
}

/* ---- Replacing ---- */

/* The name behind a '$' at s.p[0], its end in ret_used; 0: there is none. */
static int dollar_name(struct str s, struct str *ret_name, size_t *ret_used)
{
	size_t start = s.n && s.p[0] == '{', n = start;

	while (word_at(s, n))
		n++;
	if (n == start || (start && (n >= s.n || s.p[n] != '}')))
		return 0;
	*ret_name = str_upto(str_from(s, start), n - start);
	*ret_used = n + start;
	return 1;
}

static struct str group_named(const struct regex *re, struct str name, const struct str *groups)
{
	int64_t number;

	if (str_int(name, &number) == 0)
		return number >= 0 && (size_t)number < re->ngroups ? groups[number] : STR_NONE;
	for (size_t g = 1; g < re->ngroups; g++)
		if (re->names[g].n && str_eq(re->names[g], name))
			return groups[g];
	return STR_NONE;
}

static void expand(const struct regex *re, struct buf *out, struct str template, const struct str *groups)
{
	for (size_t i = 0; i < template.n; i++) {
		struct str name;
		size_t used;

		if (template.p[i] != '$') {
			buf_addc(out, template.p[i]);
		} else if (i + 1 < template.n && template.p[i + 1] == '$') {
			buf_addc(out, '$');
			i++;
		} else if (dollar_name(str_from(template, i + 1), &name, &used)) {
			buf_adds(out, group_named(re, name, groups));
			i += used;
		} else {
			buf_addc(out, '$');
		}
	}
}

int regex_replace(const struct regex *re, struct buf *out, struct str text, struct str replacement)
{
	struct str groups[REGEX_GROUPS_MAX];
	size_t done = 0, at = 0;
	int found = 0;

	while (at <= text.n && (found = regex_find(re, text, at, groups)) == 1) {
		size_t start = (size_t)(groups[0].p - text.p), end = start + groups[0].n, width = 1;

		buf_add(out, text.p + done, start - done);
		/* Not for an empty match right behind another. */
		if (end > done || start == 0)
			expand(re, out, replacement, groups);
		done = end;
		if (at < text.n)
			regex_rune(text, at, &width);
		at = at + width > end ? at + width : end;
	}
	if (found < 0 || out->failed)
		return -1;
	buf_adds(out, str_from(text, done));
	return out->failed ? -1 : 0;
}
