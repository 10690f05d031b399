/* SPDX-License-Identifier: Apache-2.0 */
/* JSON as google.protobuf.Struct. Recurses, so its depth is bounded: what packs it later recurses as well. */
#include <errno.h>
#include <stdlib.h>

#include "app/topic_event.h"
#include "base/banned.h"
#include "base/jstream.h"

struct growing {
	void **p;
	size_t n, room;
};

static void push(struct arena *a, struct growing *g, void *p)
{
	size_t room = g->room ? 2 * g->room : 8;

	if (g->n == g->room) {
		g->p = arena_grow(a, g->p, g->room * sizeof(void *), room * sizeof(void *));
		g->room = room;
	}
	g->p[g->n++] = p;
}

static Google__Protobuf__Value *read_value(struct jstream *j, struct arena *a, int depth);

static int left_out(struct str key, const char *const *leave_out)
{
	for (; leave_out != NULL && *leave_out != NULL; leave_out++)
		if (str_is(key, *leave_out))
			return 1;
	return 0;
}

static Google__Protobuf__Struct *read_struct(struct jstream *j, struct arena *a, int depth,
					     const char *const *leave_out)
{
	Google__Protobuf__Struct *s = arena_alloc(a, sizeof(*s));
	Google__Protobuf__Struct__FieldsEntry *e;
	struct growing list = { NULL };
	struct str key;

	google__protobuf__struct__init(s);
	if (depth > TOPIC_STRUCT_DEPTH || !jstream_enter_object(j))
		return NULL;
	while (jstream_key(j, a, &key)) {
		if (left_out(key, leave_out)) {
			jstream_skip(j);
			continue;
		}
		e = arena_alloc(a, sizeof(*e));
		google__protobuf__struct__fields_entry__init(e);
		e->key = (char *)arena_str(a, key).p;
		e->value = read_value(j, a, depth + 1);
		if (e->value == NULL)
			return NULL;
		push(a, &list, e);
	}
	s->fields = (Google__Protobuf__Struct__FieldsEntry **)list.p;
	s->n_fields = list.n;
	return j->error == NULL ? s : NULL;
}

static Google__Protobuf__ListValue *read_list(struct jstream *j, struct arena *a, int depth)
{
	Google__Protobuf__ListValue *l = arena_alloc(a, sizeof(*l));
	struct growing list = { NULL };
	Google__Protobuf__Value *v;

	google__protobuf__list_value__init(l);
	if (depth > TOPIC_STRUCT_DEPTH || !jstream_enter_array(j))
		return NULL;
	while (jstream_next(j)) {
		v = read_value(j, a, depth + 1);
		if (v == NULL)
			return NULL;
		push(a, &list, v);
	}
	l->values = (Google__Protobuf__Value **)list.p;
	l->n_values = list.n;
	return j->error == NULL ? l : NULL;
}

static int read_number(struct jstream *j, struct arena *a, double *ret)
{
	const char *text = arena_str(a, jstream_raw(j)).p;
	char *end;

	errno = 0;
	*ret = strtod(text, &end);
	return errno == ERANGE && (*ret > 1 || *ret < -1) ? -1 : 0;
}

static Google__Protobuf__Value *read_value(struct jstream *j, struct arena *a, int depth)
{
	Google__Protobuf__Value *v = arena_alloc(a, sizeof(*v));
	struct str text;

	google__protobuf__value__init(v);
	switch (jstream_peek(j)) {
	case JSTREAM_BOOL:
		v->kind_case = GOOGLE__PROTOBUF__VALUE__KIND_BOOL_VALUE;
		v->bool_value = jstream_raw(j).p[0] == 't';
		return v;
	case JSTREAM_NUMBER:
		v->kind_case = GOOGLE__PROTOBUF__VALUE__KIND_NUMBER_VALUE;
		return read_number(j, a, &v->number_value) == 0 ? v : NULL;
	case JSTREAM_STRING:
		v->kind_case = GOOGLE__PROTOBUF__VALUE__KIND_STRING_VALUE;
		if (!jstream_string(j, a, &text))
			return NULL;
		v->string_value = (char *)arena_str(a, text).p;
		return v;
	case JSTREAM_ARRAY:
		v->kind_case = GOOGLE__PROTOBUF__VALUE__KIND_LIST_VALUE;
		v->list_value = read_list(j, a, depth);
		return v->list_value ? v : NULL;
	case JSTREAM_OBJECT:
		v->kind_case = GOOGLE__PROTOBUF__VALUE__KIND_STRUCT_VALUE;
		v->struct_value = read_struct(j, a, depth, NULL);
		return v->struct_value ? v : NULL;
	default:
		jstream_skip(j);
		v->kind_case = GOOGLE__PROTOBUF__VALUE__KIND_NULL_VALUE;
		return j->error == NULL ? v : NULL;
	}
}

Google__Protobuf__Struct *topic_struct(struct arena *a, struct str json, const char *const *leave_out)
{
	struct jstream j = jstream_read(json);

	return read_struct(&j, a, 1, leave_out);
}
