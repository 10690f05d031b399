/* SPDX-License-Identifier: Apache-2.0 */
#include "flatten.h"

#include <stdlib.h>

/* The way to the value that is looked at: names joined by the separator. */
struct path {
	char *p;
	size_t n, room;
	struct davit_str separator;
};

struct walk {
	struct secrets *secrets;
	struct davit_str name; /* of the secret; p == NULL: the path is its name as well as its key */
	struct path path;
};

static struct davit_str copy(struct davit_str s)
{
	char *p = malloc(s.n + 1);

	if (p == NULL)
		return (struct davit_str){ NULL, 0 };
	if (s.n > 0)
		memcpy(p, s.p, s.n);
	p[s.n] = '\0';
	return (struct davit_str){ p, s.n };
}

static int add(struct secrets *s, struct davit_str name, struct davit_str key, struct davit_str value)
{
	struct secret *list, *new;

	if (s->n == s->room) {
		list = reallocarray(s->list, s->room ? s->room * 2 : 64, sizeof(*list));
		if (list == NULL)
			return -1;
		s->list = list;
		s->room = s->room ? s->room * 2 : 64;
	}
	new = &s->list[s->n];
	new->at = s->n++;
	new->name = copy(name);
	new->key = key.p != NULL ? copy(key) : key;
	new->value = key.p != NULL ? copy(value) : value;
	return new->name.p == NULL || (key.p != NULL && (new->key.p == NULL || new->value.p == NULL)) ? -1 : 0;
}

/* The shortest text that reads back as the same number. */
static size_t number(double d, char ret_text[40])
{
	int precision, n = 0;

	for (precision = 15; precision <= 17; precision++) {
		n = snprintf(ret_text, 40, "%.*g", precision, d);
		if (strtod(ret_text, NULL) == d)
			break;
	}
	return (size_t)n;
}

/* A value that is no string comes as its JSON text (Dapr's come as Go's complaint about a format, %!s(bool=true)). */
static struct davit_str scalar(json_t *v, char room[40])
{
	switch (json_typeof(v)) {
	case JSON_STRING: return (struct davit_str){ json_string_value(v), json_string_length(v) };
	case JSON_INTEGER: snprintf(room, 40, "%lld", (long long)json_integer_value(v)); return davit_str(room);
	case JSON_REAL: return (struct davit_str){ room, number(json_real_value(v), room) };
	default: return davit_str(json_is_true(v) ? "true" : json_is_false(v) ? "false" : "null");
	}
}

static int append(struct path *path, struct davit_str s)
{
	size_t room = path->n + s.n + 1;
	char *p;

	if (room > path->room) {
		p = realloc(path->p, room * 2);
		if (p == NULL)
			return -1;
		path->p = p;
		path->room = room * 2;
	}
	if (s.n > 0)
		memcpy(path->p + path->n, s.p, s.n);
	path->n += s.n;
	path->p[path->n] = '\0';
	return 0;
}

static int enter(struct path *path, struct davit_str name, int top)
{
	return (!top && append(path, path->separator) < 0) || append(path, name) < 0 ? -1 : 0;
}

static int visit(struct walk *w, json_t *v, int top)
{
	size_t before = w->path.n, i;
	char room[40], index[24];
	const char *name;
	json_t *child;
	int status = 0;

	if (json_is_object(v)) {
		json_object_foreach(v, name, child)
		{
			status = enter(&w->path, davit_str(name), top) < 0 || visit(w, child, 0) < 0 ? -1 : 0;
			w->path.n = before;
			if (status < 0)
				return -1;
		}
		return 0;
	}
	if (json_is_array(v)) {
		json_array_foreach(v, i, child)
		{
			snprintf(index, sizeof(index), "%zu", i);
			status = enter(&w->path, davit_str(index), top) < 0 || visit(w, child, 0) < 0 ? -1 : 0;
			w->path.n = before;
			if (status < 0)
				return -1;
		}
		return 0;
	}
	struct davit_str key = { w->path.p, w->path.n };

	return add(w->secrets, w->name.p != NULL ? w->name : key, key, scalar(v, room));
}

/* Each at the top is a secret: a string with one pair, an object with as many as it holds; anything else is none. */
static int visit_top(struct walk *w, json_t *root)
{
	const char *name;
	json_t *child;
	char room[40];
	size_t before;
	int status = 0;

	json_object_foreach(root, name, child)
	{
		w->name = davit_str(name);
		w->path.n = 0;
		before = w->secrets->n;
		if (json_is_string(child))
			status = add(w->secrets, w->name, w->name, scalar(child, room));
		else if (json_is_object(child))
			status = visit(w, child, 1);
		if (status == 0 && json_is_object(child) && w->secrets->n == before)
			status = add(w->secrets, w->name, davit_str(NULL), davit_str(NULL));
		if (status < 0)
			return -1;
	}
	return 0;
}

int flatten(struct secrets *s, json_t *root, struct davit_str separator, int multi)
{
	struct walk w = { s, { NULL, 0 }, { NULL, 0, 0, separator } };
	int status;

	if (!json_is_object(root))
		return 0;
	status = append(&w.path, davit_str("")) < 0 ? -1 : multi ? visit_top(&w, root) : visit(&w, root, 1);
	free(w.path.p);
	return status;
}
