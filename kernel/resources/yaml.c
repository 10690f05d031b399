/* SPDX-License-Identifier: Apache-2.0 */
#include "resources/yaml.h"

#include <stdlib.h>
#include <yaml.h>

#include "base/banned.h"
#include "base/map.h"
#include "base/mem.h"
#include "resources/yaml_value.h"

/* A list or map whose end has not come yet. */
struct open_node {
	struct yaml_node *node;
	const struct yaml_node **v; /* children; of a mapping key, value, key, value */
	size_t n, cap;
};

/* What one parse holds, on the heap; the arena only knows how to free it should a parse be jumped out of. */
struct parse {
	struct arena *arena;
	struct yaml_fault *fault;
	yaml_parser_t parser;
	yaml_event_t event;
	int has_parser, has_event;
	struct map anchors;
	int line; /* of the text's first line in its file */
	size_t nodes, bytes;
	int depth;
	struct open_node open[YAML_DEPTH];
	const struct yaml_node *root;
};

static void drop_event(struct parse *p)
{
	if (p->has_event)
		yaml_event_delete(&p->event);
	p->has_event = 0;
}

static void clean_up(void *arg)
{
	struct parse **box = arg, *p = *box;

	if (p == NULL)
		return;
	*box = NULL;
	drop_event(p);
	if (p->has_parser)
		yaml_parser_delete(&p->parser);
	map_free(&p->anchors);
	mem_free(p);
}

/* Takes the arena's way out: a document that memory was short for must not pass as one that is wrong. */
__attribute__((noreturn)) static void out_of_memory(struct arena *a)
{
	arena_alloc(a, SIZE_MAX / 2 + 1); /* more than there can be */
	abort();
}

static int line_of(const struct parse *p, yaml_mark_t mark)
{
	return p->line + (int)mark.line;
}

__attribute__((format(printf, 3, 4))) static int refuse(struct parse *p, yaml_mark_t mark, const char *fmt, ...)
{
	va_list ap;

	p->fault->line = line_of(p, mark);
	p->fault->column = (int)mark.column + 1;
	va_start(ap, fmt);
	p->fault->message = arena_vprintf(p->arena, fmt, ap);
	va_end(ap);
	return -1;
}

/* libyaml tells of bytes it cannot read only the offset, and that by the byte, not the line. */
static int refuse_bytes(struct parse *p, struct str text)
{
	yaml_mark_t mark = { 0 };
	size_t i, at = p->parser.problem_offset;

	for (i = 0; i < at && i < text.n; i++) {
		mark.column++;
		if (text.p[i] == '\n')
			mark.line++, mark.column = 0;
	}
	if (p->parser.problem_value >= 0)
		return refuse(p, mark, "%s (byte or character 0x%02x): save the file as UTF-8 text", p->parser.problem,
			      (unsigned)p->parser.problem_value);
	return refuse(p, mark, "%s: save the file as UTF-8 text", p->parser.problem);
}

static int refuse_syntax(struct parse *p, struct str text)
{
	const yaml_parser_t *y = &p->parser;

	if (y->error == YAML_MEMORY_ERROR || y->problem == NULL)
		out_of_memory(p->arena);
	if (y->error == YAML_READER_ERROR)
		return refuse_bytes(p, text);
	if (y->context != NULL)
		return refuse(p, y->problem_mark, "%s (%s that began in line %d)", y->problem, y->context,
			      line_of(p, y->context_mark));
	return refuse(p, y->problem_mark, "%s", y->problem);
}

static struct yaml_node *new_node(struct parse *p, enum yaml_kind kind, const yaml_char_t *tag)
{
	struct yaml_node *n = arena_zalloc(p->arena, sizeof(*n));

	n->kind = kind;
	n->line = line_of(p, p->event.start_mark);
	n->column = (int)p->event.start_mark.column + 1;
	n->tag = tag ? arena_str(p->arena, str_of((const char *)tag)) : STR("");
	n->nodes = 1;
	n->depth = 1;
	return n;
}

static void remember(struct parse *p, const yaml_char_t *anchor, struct yaml_node *n)
{
	if (anchor != NULL && map_set(&p->anchors, str_of((const char *)anchor), n, NULL) < 0)
		out_of_memory(p->arena);
}

static int count(struct parse *p, size_t nodes, size_t bytes)
{
	p->nodes += nodes;
	p->bytes += bytes;
	if (p->nodes > YAML_NODES)
		return refuse(p, p->event.start_mark,
			      "the document has more than %d values once its aliases are followed: split it",
			      YAML_NODES);
	if (p->bytes > YAML_BYTES)
		return refuse(p, p->event.start_mark,
			      "the document has more than %d bytes once its aliases are followed: split it",
			      YAML_BYTES);
	return 0;
}

static int refuse_depth(struct parse *p)
{
	return refuse(p, p->event.start_mark, "values are nested more than %d deep", YAML_DEPTH);
}

/* Puts a finished node where it belongs. */
static int place(struct parse *p, const struct yaml_node *n)
{
	struct open_node *o;

	if (p->depth == 0) {
		p->root = n;
		return 0;
	}
	o = &p->open[p->depth - 1];
	if (o->node->kind == YAML_MAPPING && o->n % 2 == 0 &&
	    (n->kind != YAML_SCALAR || yaml_resolve(n, YAML_CONFIGURATION).type == YAML_NULL))
		return refuse(p, p->event.start_mark, "a key must be text, not %s",
			      yaml_type_name(yaml_resolve(n, YAML_CONFIGURATION).type));
	if (o->n == o->cap) {
		size_t cap = o->cap ? o->cap * 2 : 8;

		o->v = arena_grow(p->arena, o->v, o->cap * sizeof(*o->v), cap * sizeof(*o->v));
		o->cap = cap;
	}
	o->v[o->n++] = n;
	o->node->nodes += n->nodes;
	o->node->bytes += n->bytes;
	if (n->depth >= o->node->depth)
		o->node->depth = n->depth + 1;
	return 0;
}

static int scalar(struct parse *p)
{
	struct yaml_node *n = new_node(p, YAML_SCALAR, p->event.data.scalar.tag);
	const char *at = (const char *)p->event.data.scalar.value;

	n->text = arena_str(p->arena, (struct str){ at, p->event.data.scalar.length });
	n->style = p->event.data.scalar.plain_implicit ? YAML_PLAIN : YAML_QUOTED;
	n->bytes = n->text.n;
	if (memchr(n->text.p, 0, n->text.n) != NULL)
		return refuse(p, p->event.start_mark, "text with a NUL character in it: write it in base64 instead");
	if (!yaml_tag_fits(n))
		return refuse(p, p->event.start_mark, "the text does not fit its tag " STR_FMT ": remove the tag",
			      STR_ARG(n->tag));
	remember(p, p->event.data.scalar.anchor, n);
	return count(p, 1, n->bytes) < 0 ? -1 : place(p, n);
}

static int alias(struct parse *p)
{
	struct str name = str_of((const char *)p->event.data.alias.anchor);
	const struct yaml_node *n = map_get(&p->anchors, name);
	int i;

	if (n == NULL)
		return refuse(p, p->event.start_mark, "the alias *" STR_FMT " has no anchor before it", STR_ARG(name));
	for (i = 0; i < p->depth; i++)
		if (p->open[i].node == n)
			return refuse(p, p->event.start_mark, "the anchor &" STR_FMT " contains itself", STR_ARG(name));
	if (p->depth + n->depth > YAML_DEPTH)
		return refuse_depth(p);
	return count(p, n->nodes, n->bytes) < 0 ? -1 : place(p, n);
}

static int start(struct parse *p, enum yaml_kind kind, const yaml_char_t *anchor, const yaml_char_t *tag)
{
	struct yaml_node *n;

	if (p->depth >= YAML_DEPTH - 1)
		return refuse_depth(p);
	n = new_node(p, kind, tag);
	p->open[p->depth++] = (struct open_node){ .node = n };
	remember(p, anchor, n);
	return count(p, 1, 0);
}

static int is_merge(const struct yaml_node *key)
{
	return str_is(key->text, "<<") &&
	       ((key->style == YAML_PLAIN && key->tag.n == 0) || str_is(key->tag, "tag:yaml.org,2002:merge"));
}

static int has_key(const struct yaml_pair *pairs, size_t n, struct str key)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (str_eq(pairs[i].key->text, key))
			return 1;
	return 0;
}

/* Adds what the mapping at from has and to has not yet. */
static int merge(struct parse *p, struct yaml_node *to, const struct yaml_node *from)
{
	size_t i;

	if (from->kind != YAML_MAPPING)
		return refuse(p, p->event.start_mark, "<< takes a mapping or a list of mappings");
	to->pairs = arena_grow(p->arena, to->pairs, to->n * sizeof(*to->pairs), (to->n + from->n) * sizeof(*to->pairs));
	for (i = 0; i < from->n; i++)
		if (!has_key(to->pairs, to->n, from->pairs[i].key->text))
			to->pairs[to->n++] = from->pairs[i];
	return 0;
}

static int merge_all(struct parse *p, struct yaml_node *to, const struct open_node *o)
{
	size_t i, k;

	for (i = 0; i < o->n; i += 2) {
		const struct yaml_node *from = o->v[i + 1];

		if (!is_merge(o->v[i]))
			continue;
		if (from->kind != YAML_SEQUENCE) {
			if (merge(p, to, from) < 0)
				return -1;
			continue;
		}
		for (k = 0; k < from->n; k++)
			if (merge(p, to, from->items[k]) < 0)
				return -1;
	}
	return 0;
}

static int end(struct parse *p)
{
	struct open_node *o = &p->open[--p->depth];
	struct yaml_node *n = o->node;
	size_t i;

	if (n->kind == YAML_SEQUENCE) {
		n->items = o->v;
		n->n = o->n;
		return place(p, n);
	}
	n->pairs = arena_alloc(p->arena, (o->n / 2 + 1) * sizeof(*n->pairs));
	for (i = 0; i < o->n; i += 2)
		if (!is_merge(o->v[i]))
			n->pairs[n->n++] = (struct yaml_pair){ o->v[i], o->v[i + 1] };
	return merge_all(p, n, o) < 0 ? -1 : place(p, n);
}

/* 1: the document goes on; 0: it is complete, or there is none; -1: refused. */
static int take_event(struct parse *p)
{
	switch (p->event.type) {
	case YAML_SCALAR_EVENT: return scalar(p) < 0 ? -1 : 1;
	case YAML_ALIAS_EVENT: return alias(p) < 0 ? -1 : 1;
	case YAML_SEQUENCE_START_EVENT:
		return start(p, YAML_SEQUENCE, p->event.data.sequence_start.anchor, p->event.data.sequence_start.tag) <
				       0
			       ? -1
			       : 1;
	case YAML_MAPPING_START_EVENT:
		return start(p, YAML_MAPPING, p->event.data.mapping_start.anchor, p->event.data.mapping_start.tag) < 0
			       ? -1
			       : 1;
	case YAML_SEQUENCE_END_EVENT:
	case YAML_MAPPING_END_EVENT: return end(p) < 0 ? -1 : 1;
	case YAML_DOCUMENT_END_EVENT:
	case YAML_STREAM_END_EVENT: return 0;
	default: return 1;
	}
}

static const struct yaml_node *run(struct parse *p, struct str text)
{
	int more = 1;

	if (!yaml_parser_initialize(&p->parser))
		out_of_memory(p->arena);
	p->has_parser = 1;
	yaml_parser_set_input_string(&p->parser, (const unsigned char *)(text.n ? text.p : ""), text.n);
	while (more > 0) {
		if (!yaml_parser_parse(&p->parser, &p->event)) {
			refuse_syntax(p, text);
			return NULL;
		}
		p->has_event = 1;
		more = take_event(p);
		drop_event(p);
	}
	return more < 0 ? NULL : p->root;
}

const struct yaml_node *yaml_parse(struct arena *a, struct str text, int line, struct yaml_fault *ret_fault)
{
	struct parse **box = arena_zalloc(a, sizeof(*box)), *p;
	const struct yaml_node *root;

	*ret_fault = (struct yaml_fault){ .message = STR("") };
	arena_defer(a, clean_up, box);
	*box = p = mem_zalloc(sizeof(*p));
	if (p == NULL)
		out_of_memory(a);
	p->arena = a;
	p->fault = ret_fault;
	p->line = line;
	p->anchors = map_init();
	root = run(p, text);
	clean_up(box);
	return root;
}

int yaml_split(struct str *rest, int *line, struct str *ret_document, int *ret_line)
{
	ptrdiff_t at;
	size_t i, used;

	if (rest->n == 0)
		return 0;
	at = str_find(*rest, STR("\n---"));
	*ret_line = *line;
	*ret_document = at < 0 ? *rest : str_upto(*rest, (size_t)at);
	used = rest->n;
	if (at >= 0) {
		const char *nl;

		used = (size_t)at + 4;
		nl = used < rest->n ? memchr(rest->p + used, '\n', rest->n - used) : NULL;
		used = nl ? (size_t)(nl - rest->p) + 1 : rest->n;
	}
	for (i = 0; i < used; i++)
		*line += rest->p[i] == '\n';
	*rest = str_from(*rest, used);
	return 1;
}
