/* SPDX-License-Identifier: Apache-2.0 */
#include "resources/field.h"

#include <math.h>
#include <stdlib.h>

#include "base/banned.h"
#include "base/duration.h"

#define PROBLEMS_MAX 20 /* told of one document */

/* Where we are, from the inside out. */
struct path {
	const struct path *up;
	struct str name;
	long index; /* of an element; -1: name is a key */
};

static void put_path(struct buf *b, const struct path *p)
{
	if (p == NULL)
		return;
	put_path(b, p->up);
	if (p->index >= 0) {
		buf_printf(b, "[%ld]", p->index);
		return;
	}
	if (p->up != NULL)
		buf_addc(b, '.');
	buf_adds(b, p->name);
}

static void vproblem(struct field_report *r, const struct yaml_node *at, struct str path, const char *fmt, va_list ap)
{
	struct str what;

	if (r->nproblems++ >= PROBLEMS_MAX)
		return;
	what = arena_vprintf(r->arena, fmt, ap);
	if (r->problems.n > 0)
		buf_addc(&r->problems, '\n');
	if (r->file != NULL)
		buf_printf(&r->problems, "%s:%d: ", r->file, at->line);
	else
		buf_printf(&r->problems, "line %d: ", at->line);
	buf_printf(&r->problems, STR_FMT "%s" STR_FMT, STR_ARG(path), path.n ? ": " : "", STR_ARG(what));
}

void field_problem(struct field_report *report, const struct yaml_node *at, const char *path, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vproblem(report, at, str_of(path), fmt, ap);
	va_end(ap);
}

__attribute__((format(printf, 4, 5))) static void problem(struct field_report *r, const struct yaml_node *at,
							  const struct path *p, const char *fmt, ...)
{
	struct buf path = buf_in(r->arena);
	va_list ap;

	put_path(&path, p);
	va_start(ap, fmt);
	vproblem(r, at, buf_str(&path), fmt, ap);
	va_end(ap);
}

static const char *given(const struct field_report *r, const struct yaml_node *n)
{
	return yaml_type_name(yaml_resolve(n, r->rules).type);
}

/* What every reader of a value gets; at: the member to write. */
#define UNUSED_TOO __attribute__((unused))
#define READ_ARGS \
	UNUSED_TOO struct field_report *r, UNUSED_TOO const struct yaml_node *n, UNUSED_TOO const struct path *p, \
		UNUSED_TOO const struct field *f, UNUSED_TOO void *at

static void object_fields(struct field_report *r, const struct field *fields, const struct yaml_node *node,
			  char *object, const struct path *p);

static const struct str empty = { "", 0 };
static const int unset = UNSET;
static const int64_t no_duration = DURATION_NONE;
static const union {
	int i;
	int32_t i32;
	void *p;
	struct str str;
	struct strs strs;
	struct ints ints;
	struct pairs pairs;
} zero;

/* What stands in a field that nothing was given for. */
static const struct {
	size_t size;
	const void *value;
} defaults[] = {
	[FIELD_STR] = { sizeof(struct str), &empty },
	[FIELD_BOOL] = { sizeof(int), &zero },
	[FIELD_OPTIONAL_BOOL] = { sizeof(int), &unset },
	[FIELD_INT32] = { sizeof(int32_t), &zero },
	[FIELD_OPTIONAL_INT32] = { sizeof(int32_t), &zero },
	[FIELD_DURATION] = { sizeof(int64_t), &no_duration },
	[FIELD_STRS] = { sizeof(struct strs), &zero },
	[FIELD_INTS] = { sizeof(struct ints), &zero },
	[FIELD_PAIRS] = { sizeof(struct pairs), &zero },
	[FIELD_JSON] = { sizeof(struct str), &zero },
	[FIELD_NODE] = { sizeof(void *), &zero },
	[FIELD_LINE] = { sizeof(int), &zero },
	[FIELD_IGNORED] = { 0, &zero },
	[FIELD_OBJECT] = { 0, &zero },
	[FIELD_PART] = { 0, &zero },
	[FIELD_POINTER] = { sizeof(void *), &zero },
	[FIELD_OBJECTS] = { sizeof(void *), &zero },
	[FIELD_NAMED] = { sizeof(void *), &zero },
};

static void set_default(const struct field *f, char *owner)
{
	memcpy(owner + f->offset, defaults[f->type].value, defaults[f->type].size);
	if (f->type == FIELD_OBJECT || f->type == FIELD_PART)
		field_defaults(f->sub, owner + f->offset);
	if (f->type == FIELD_OBJECTS || f->type == FIELD_NAMED)
		memcpy(owner + f->count, &zero, sizeof(size_t));
}

void field_defaults(const struct field *fields, void *object)
{
	for (; fields->name != NULL; fields++)
		set_default(fields, object);
}

static void read_bool(READ_ARGS)
{
	int *to = at;
	struct yaml_value v = yaml_resolve(n, r->rules);

	if (v.type == YAML_STRING && r->rules == YAML_CONFIGURATION) {
		/* yaml.v3: yes and on are text, and booleans only where one is wanted; "true" in quotes never is. */
		struct yaml_node plain = { .kind = YAML_SCALAR, .style = YAML_PLAIN, .text = n->text };

		if (yaml_resolve(&plain, YAML_CONFIGURATION).type == YAML_STRING)
			v = yaml_resolve(&plain, YAML_RESOURCE);
	}
	if (v.type == YAML_BOOL)
		*to = v.b;
	else
		problem(r, n, p, "must be true or false without quotes, not %s", given(r, n));
}

static int read_whole(struct field_report *r, const struct yaml_node *n, int64_t least, int64_t most, int64_t *ret)
{
	struct yaml_value v = yaml_resolve(n, r->rules);

	if (v.type == YAML_FLOAT && fabs(v.f) < 9e15 && (v.f == (double)(int64_t)v.f || r->rules == YAML_CONFIGURATION))
		v = (struct yaml_value){ .type = YAML_INT, .i = (int64_t)v.f };
	if (v.type != YAML_INT || v.i < least || v.i > most)
		return -1;
	*ret = v.i;
	return 0;
}

static void read_int32(READ_ARGS)
{
	int32_t *to = at;
	int64_t i;

	if (read_whole(r, n, INT32_MIN, INT32_MAX, &i) == 0)
		*to = (int32_t)i;
	else
		problem(r, n, p, "must be a whole number from %d to %d without quotes, not %s", INT32_MIN, INT32_MAX,
			n->kind == YAML_SCALAR && n->text.n < 40 ? n->text.p : given(r, n));
}

static void read_duration(READ_ARGS)
{
	int64_t *to = at;
	struct yaml_value v = yaml_resolve(n, r->rules);

	if (v.type != YAML_STRING || duration_parse(n->text, to) < 0)
		problem(r, n, p, "must be a duration with its unit, such as 500ms, 30s or 1h30m, not %s",
			v.type == YAML_STRING && n->text.n < 40 ? n->text.p : yaml_type_name(v.type));
}

static void read_text(struct field_report *r, const struct yaml_node *n, const struct path *p, struct str *to)
{
	if (n->kind == YAML_SCALAR)
		*to = yaml_text(r->arena, n, r->rules);
	else
		problem(r, n, p, "must be text, not %s", given(r, n));
}

static void read_string(READ_ARGS)
{
	read_text(r, n, p, at);
}

static int is_null(const struct field_report *r, const struct yaml_node *n)
{
	return yaml_resolve(n, r->rules).type == YAML_NULL;
}

static int is_list(struct field_report *r, const struct yaml_node *n, const struct path *p)
{
	if (n->kind == YAML_SEQUENCE)
		return 1;
	problem(r, n, p, "must be a list (one \"- \" before each entry), not %s", given(r, n));
	return 0;
}

/* Go's two decoders differ here: yaml.v3 leaves a null element out, the other makes an empty one of it. */
static int left_out(const struct field_report *r, const struct yaml_node *n)
{
	return r->rules == YAML_CONFIGURATION && is_null(r, n);
}

static void read_strings(READ_ARGS)
{
	struct strs *to = at;
	struct strs list = { 0, NULL };
	size_t i;

	if (!is_list(r, n, p))
		return;
	list.p = arena_zalloc(r->arena, (n->n + 1) * sizeof(*list.p)); /* not NULL: given, even if empty */
	for (i = 0; i < n->n; i++)
		if (!left_out(r, n->items[i]))
			read_text(r, n->items[i], &(struct path){ p, STR_NONE, (long)i }, &list.p[list.n++]);
	*to = list;
}

static void read_ints(READ_ARGS)
{
	struct ints *to = at;
	struct ints list = { 0, NULL };
	size_t i;

	if (!is_list(r, n, p))
		return;
	list.p = arena_zalloc(r->arena, (n->n + 1) * sizeof(*list.p));
	for (i = 0; i < n->n; i++) {
		if (left_out(r, n->items[i]))
			continue;
		if (!is_null(r, n->items[i]) && read_whole(r, n->items[i], INT64_MIN, INT64_MAX, &list.p[list.n]) < 0)
			problem(r, n->items[i], &(struct path){ p, STR_NONE, (long)i },
				"must be a whole number without quotes, not %s", given(r, n->items[i]));
		list.n++;
	}
	*to = list;
}

/* A configuration may give no key twice. */
static void check_twice(struct field_report *r, const struct yaml_node *n, const struct path *p)
{
	size_t i, k;

	for (i = 0; i < n->n && r->rules == YAML_CONFIGURATION; i++)
		for (k = 0; k < i; k++)
			if (str_eq(n->pairs[k].key->text, n->pairs[i].key->text))
				problem(r, n->pairs[i].key, &(struct path){ p, n->pairs[i].key->text, -1 },
					"is given twice, first in line %d: remove one of them", n->pairs[k].key->line);
}

static void check_all_twice(struct field_report *r, const struct yaml_node *n, const struct path *p)
{
	size_t i;

	if (n->kind == YAML_MAPPING)
		check_twice(r, n, p);
	for (i = 0; i < n->n; i++)
		check_all_twice(r, n->kind == YAML_MAPPING ? n->pairs[i].value : n->items[i], p);
}

static int by_key(const void *a, const void *b)
{
	return str_cmp(((const struct error_pair *)a)->key, ((const struct error_pair *)b)->key);
}

static void read_pairs(READ_ARGS)
{
	struct pairs *to = at;
	struct pairs list = { 0, NULL };
	size_t i, k;

	if (n->kind != YAML_MAPPING) {
		problem(r, n, p, "must be an object (key: value), not %s", given(r, n));
		return;
	}
	check_twice(r, n, p);
	list.p = arena_zalloc(r->arena, (n->n + 1) * sizeof(*list.p));
	for (i = 0; i < n->n; i++) {
		struct str key = yaml_text(r->arena, n->pairs[i].key, r->rules);

		for (k = 0; k < list.n && !str_eq(list.p[k].key, key); k++)
			;
		list.n += k == list.n;
		list.p[k] = (struct error_pair){ key, STR("") };
		read_text(r, n->pairs[i].value, &(struct path){ p, key, -1 }, &list.p[k].value);
	}
	if (list.n > 1)
		qsort(list.p, list.n, sizeof(*list.p), by_key);
	*to = list;
}

static void read_json(READ_ARGS)
{
	struct str *to = at;
	const struct yaml_node *bad;

	check_all_twice(r, n, p);
	if (yaml_json(r->arena, n, r->rules, to, &bad) < 0)
		problem(r, bad, p, "JSON has no number for " STR_FMT ": write it in quotes", STR_ARG(bad->text));
}

static void read_object(READ_ARGS)
{
	if (n->kind == YAML_MAPPING)
		object_fields(r, f->sub, n, at, p);
	else
		problem(r, n, p, "must be an object (key: value), not %s", given(r, n));
}

static void read_pointer(READ_ARGS)
{
	void **to = at;

	if (*to == NULL) {
		*to = arena_zalloc(r->arena, f->size);
		field_defaults(f->sub, *to);
	}
	read_object(r, n, p, f, *to);
}

static void read_objects(READ_ARGS)
{
	size_t i, count = 0;
	char *list;

	if (!is_list(r, n, p))
		return;
	list = arena_zalloc(r->arena, (n->n + 1) * f->size);
	for (i = 0; i < n->n; i++) {
		char *to = list + count * f->size;

		if (left_out(r, n->items[i]))
			continue;
		field_defaults(f->sub, to);
		if (!is_null(r, n->items[i]))
			read_object(r, n->items[i], &(struct path){ p, STR_NONE, (long)i }, f, to);
		count++;
	}
	memcpy(at, &list, sizeof(list));
	memcpy((char *)at - f->offset + f->count, &count, sizeof(count));
}

/* Of two equal names the last counts, at the place of the first. */
static void read_named(READ_ARGS)
{
	size_t i, k, count = 0;
	char *list, *to;

	if (n->kind != YAML_MAPPING) {
		problem(r, n, p, "must be an object (name: value), not %s", given(r, n));
		return;
	}
	check_twice(r, n, p);
	list = arena_zalloc(r->arena, (n->n + 1) * f->size);
	for (i = 0; i < n->n; i++) {
		struct str name = yaml_text(r->arena, n->pairs[i].key, r->rules);

		for (k = 0; k < count && !str_eq(*(struct str *)(list + k * f->size), name); k++)
			;
		count += k == count;
		to = list + k * f->size;
		memset(to, 0, f->size);
		field_defaults(f->sub, to);
		*(struct str *)to = name;
		if (!is_null(r, n->pairs[i].value))
			read_object(r, n->pairs[i].value, &(struct path){ p, name, -1 }, f, to);
	}
	memcpy(at, &list, sizeof(list));
	memcpy((char *)at - f->offset + f->count, &count, sizeof(count));
}

static void read_node(READ_ARGS)
{
	memcpy(at, &n, sizeof(n));
}

static void read_nothing(READ_ARGS)
{
}

static void (*const readers[])(READ_ARGS) = {
	[FIELD_STR] = read_string,
	[FIELD_BOOL] = read_bool,
	[FIELD_OPTIONAL_BOOL] = read_bool,
	[FIELD_INT32] = read_int32,
	[FIELD_OPTIONAL_INT32] = read_int32,
	[FIELD_DURATION] = read_duration,
	[FIELD_STRS] = read_strings,
	[FIELD_INTS] = read_ints,
	[FIELD_PAIRS] = read_pairs,
	[FIELD_JSON] = read_json,
	[FIELD_NODE] = read_node,
	[FIELD_LINE] = read_nothing,
	[FIELD_IGNORED] = read_nothing,
	[FIELD_OBJECT] = read_object,
	[FIELD_PART] = read_object,
	[FIELD_POINTER] = read_pointer,
	[FIELD_OBJECTS] = read_objects,
	[FIELD_NAMED] = read_named,
};

/* null leaves a resource's field as it is; in a configuration it takes away what Go keeps behind a pointer. */
static void read_null(const struct field_report *r, const struct field *f, char *owner)
{
	if (r->rules == YAML_CONFIGURATION && f->type != FIELD_STR && f->type != FIELD_BOOL && f->type != FIELD_INT32 &&
	    f->type != FIELD_PART)
		set_default(f, owner);
}

static int fits(const struct field_report *r, const struct field *f, struct str key)
{
	return str_is(key, f->name) || (r->rules == YAML_RESOURCE && str_ieq(key, str_of(f->name)));
}

static void look_at_keys(struct field_report *r, const struct field *fields, const struct yaml_node *n,
			 const struct path *p)
{
	const struct field *f;
	size_t i;

	check_twice(r, n, p);
	for (i = 0; i < n->n; i++) {
		const struct yaml_node *key = n->pairs[i].key;
		struct path at = { p, key->text, -1 };

		for (f = fields; f->name != NULL && !fits(r, f, key->text); f++)
			;
		if (f->name == NULL && r->unknown != NULL) {
			struct buf path = buf_in(r->arena);

			put_path(&path, &at);
			r->unknown(r->arg, buf_str(&path).p, key);
		}
	}
}

static void object_fields(struct field_report *r, const struct field *fields, const struct yaml_node *node,
			  char *object, const struct path *p)
{
	const struct field *f;

	look_at_keys(r, fields, node, p);
	for (f = fields; f->name != NULL; f++) {
		const struct yaml_node *n;

		if (f->type == FIELD_LINE) {
			*(int *)(object + f->offset) = node->line;
			continue;
		}
		n = r->rules == YAML_RESOURCE ? yaml_iget(node, f->name) : yaml_get(node, f->name);
		if (n != NULL && is_null(r, n))
			read_null(r, f, object);
		else if (n != NULL)
			readers[f->type](r, n, &(struct path){ p, str_of(f->name), -1 }, f, object + f->offset);
	}
}

int field_decode(struct field_report *report, const struct field *fields, const struct yaml_node *node, void *object)
{
	size_t before = report->nproblems;

	if (node->kind == YAML_MAPPING)
		object_fields(report, fields, node, object, NULL);
	else
		problem(report, node, NULL, "the document must be an object (key: value), not %s", given(report, node));
	if (report->nproblems > PROBLEMS_MAX && before <= PROBLEMS_MAX)
		buf_printf(&report->problems, "\nand %zu more", report->nproblems - PROBLEMS_MAX);
	return report->nproblems > before ? -1 : 0;
}
