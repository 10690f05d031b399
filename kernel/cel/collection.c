/* SPDX-License-Identifier: Apache-2.0 */
/* Lists and maps, built or read from JSON one level at a time. */
#include <stdlib.h>

#include "base/banned.h"
#include "base/jstream.h"
#include "base/map.h"
#include "cel/inside.h"

#define FEW 8 /* entries that are looked through one by one */

/* A value whose JSON was not looked into yet. It never leaves this file. */
#define UNREAD ((enum cel_kind)(CEL_ERROR + 1))

struct cel_list {
	struct arena *a;
	struct cel_value *v;
	size_t n, cap;
	struct str json; /* p: it still has to be read */
	const char *fault;
};

struct entry {
	struct cel_value key, value;
};

struct cel_map {
	struct arena *a;
	struct entry *v;
	size_t n, cap;
	uint32_t *slots; /* index + 1 into v, 0 empty; NULL while there are few */
	size_t nslots;	 /* a power of two */
	struct str json;
	const char *fault;
};

/* ---- Building ---- */

static void *grow(struct arena *a, void *v, size_t n, size_t *cap, size_t size)
{
	size_t more = *cap ? 2 * *cap : 4;

	if (n < *cap)
		return v;
	v = arena_grow(a, v, *cap * size, more * size);
	*cap = more;
	return v;
}

struct cel_list *cel_list_new(struct arena *a)
{
	struct cel_list *l = arena_zalloc(a, sizeof(*l));

	l->a = a;
	return l;
}

void cel_list_add(struct cel_list *l, struct cel_value v)
{
	l->v = grow(l->a, l->v, l->n, &l->cap, sizeof(*l->v));
	l->v[l->n++] = v;
}

struct cel_value cel_list_value(struct cel_list *l)
{
	return (struct cel_value){ .kind = CEL_LIST, .list = l };
}

struct cel_map *cel_map_new(struct arena *a)
{
	struct cel_map *m = arena_zalloc(a, sizeof(*m));

	m->a = a;
	return m;
}

struct cel_value cel_map_value(struct cel_map *m)
{
	return (struct cel_value){ .kind = CEL_MAP, .map = m };
}

static uint64_t hash(struct cel_value key)
{
	char plain[sizeof(key.time)] = { 0 };

	switch (key.kind) {
	case CEL_STRING:
	case CEL_TYPE: return map_hash(key.s);
	case CEL_BOOL: plain[0] = (char)(1 + key.b); break;
	case CEL_DOUBLE:
		if (key.d == 0)
			key.d = 0; /* there are two of them, which are equal */
				   /* fall through */
	case CEL_INT:
	case CEL_UINT:
	case CEL_DURATION: memcpy(plain, &key.i, sizeof(key.i)); break;
	case CEL_TIMESTAMP: memcpy(plain, &key.time, sizeof(key.time)); break;
	default: break;
	}
	return map_hash((struct str){ plain, sizeof(plain) });
}

/* Where the key is, or the free slot where it would be. */
static uint32_t *slot_of(const struct cel_map *m, struct cel_value key)
{
	size_t i = hash(key) & (m->nslots - 1);

	while (m->slots[i] && !cel_key_is(m->v[m->slots[i] - 1].key, key))
		i = (i + 1) & (m->nslots - 1);
	return &m->slots[i];
}

static struct entry *find(const struct cel_map *m, struct cel_value key)
{
	if (m->slots) {
		uint32_t *slot = slot_of(m, key);

		return *slot ? &m->v[*slot - 1] : NULL;
	}
	for (size_t i = 0; i < m->n; i++)
		if (cel_key_is(m->v[i].key, key))
			return &m->v[i];
	return NULL;
}

static void index_all(struct cel_map *m)
{
	m->nslots = m->nslots ? 2 * m->nslots : 4 * FEW;
	m->slots = arena_zalloc(m->a, m->nslots * sizeof(*m->slots));
	for (size_t i = 0; i < m->n; i++)
		*slot_of(m, m->v[i].key) = (uint32_t)i + 1;
}

static int may_be_key(enum cel_kind k)
{
	return k != CEL_BYTES && k != CEL_LIST && k != CEL_MAP && k < CEL_ERROR;
}

int cel_map_put(struct cel_map *m, struct cel_value key, struct cel_value v)
{
	struct entry *there;

	if (!may_be_key(key.kind) || m->n >= UINT32_MAX / 4)
		return -1;
	there = find(m, key);
	if (there) {
		there->value = v;
		return 0;
	}
	m->v = grow(m->a, m->v, m->n, &m->cap, sizeof(*m->v));
	m->v[m->n++] = (struct entry){ key, v };
	if (m->slots && 2 * m->n <= m->nslots)
		*slot_of(m, key) = (uint32_t)m->n;
	else if (m->slots || m->n > FEW)
		index_all(m);
	return 0;
}

/* ---- JSON ---- */

static struct cel_value broken(const char *what)
{
	return (struct cel_value){ .kind = CEL_ERROR, .s = str_of(what) };
}

static struct cel_value number(struct arena *a, struct str raw)
{
	double d = strtod(arena_str(a, raw).p, NULL);

	return d - d == 0 ? cel_double(d) : broken("a number in the JSON is out of range");
}

static struct cel_value text(struct arena *a, struct str raw)
{
	struct str inside = { raw.p + 1, raw.n - 2 };

	return cel_string(memchr(inside.p, '\\', inside.n) ? jstream_unquote(a, raw) : inside);
}

/* Of a value that jstream_raw() has seen to be well-formed. */
static struct cel_value read_json(struct arena *a, struct str raw)
{
	struct cel_list *l;
	struct cel_map *m;

	switch (raw.p[0]) {
	case '{':
		m = cel_map_new(a);
		m->json = raw;
		return cel_map_value(m);
	case '[':
		l = cel_list_new(a);
		l->json = raw;
		return cel_list_value(l);
	case '"': return text(a, raw);
	case 't': return cel_bool(1);
	case 'f': return cel_bool(0);
	case 'n': return cel_null();
	default: return number(a, raw);
	}
}

struct cel_value cel_json(struct arena *a, struct str json)
{
	struct jstream j = jstream_read(json);
	enum jstream_type type = jstream_peek(&j);
	struct str raw;

	if (type == JSTREAM_OBJECT || type == JSTREAM_ARRAY)
		return read_json(a, (struct str){ j.p, (size_t)(j.end - j.p) });
	raw = jstream_raw(&j);
	return jstream_end(&j) < 0 ? broken("the JSON is not well-formed") : read_json(a, raw);
}

static struct cel_value unread(struct str raw)
{
	return (struct cel_value){ .kind = UNREAD, .s = raw };
}

static struct cel_value looked_into(struct arena *a, struct cel_value *v)
{
	if (v->kind == UNREAD)
		*v = read_json(a, v->s);
	return *v;
}

static void open_list(struct cel_list *l)
{
	struct jstream j;

	if (!l->json.p)
		return;
	j = jstream_read(l->json);
	l->json = STR_NONE;
	if (jstream_enter_array(&j))
		while (jstream_next(&j)) {
			struct str raw = jstream_raw(&j);

			if (raw.p)
				cel_list_add(l, unread(raw));
		}
	if (jstream_end(&j) < 0) {
		l->fault = j.error;
		l->n = 0;
	}
}

static void open_map(struct cel_map *m)
{
	struct jstream j;
	struct str key;

	if (!m->json.p)
		return;
	j = jstream_read(m->json);
	m->json = STR_NONE;
	if (jstream_enter_object(&j))
		while (jstream_key(&j, m->a, &key)) {
			struct str raw = jstream_raw(&j);

			/* Of two with one name the last counts, as in Go. */
			if (raw.p)
				cel_map_put(m, cel_string(key), unread(raw));
		}
	if (jstream_end(&j) < 0) {
		m->fault = j.error;
		m->n = 0;
		m->slots = NULL;
	}
}

/* ---- Reading ---- */

size_t cel_list_size(struct cel_list *l)
{
	open_list(l);
	return l->n;
}

struct cel_value cel_list_get(struct cel_list *l, size_t i)
{
	open_list(l);
	return looked_into(l->a, &l->v[i]);
}

const char *cel_list_fault(struct cel_list *l)
{
	open_list(l);
	return l->fault;
}

size_t cel_map_size(struct cel_map *m)
{
	open_map(m);
	return m->n;
}

struct cel_value cel_map_key(struct cel_map *m, size_t i)
{
	open_map(m);
	return m->v[i].key;
}

struct cel_value cel_map_get(struct cel_map *m, size_t i)
{
	open_map(m);
	return looked_into(m->a, &m->v[i].value);
}

const char *cel_map_fault(struct cel_map *m)
{
	open_map(m);
	return m->fault;
}

int cel_map_find(struct cel_map *m, struct cel_value key, struct cel_value *ret_value)
{
	struct entry *there;
	int64_t i;
	uint64_t u;

	open_map(m);
	if (!may_be_key(key.kind))
		return 0;
	there = find(m, key);
	if (!there && key.kind == CEL_DOUBLE) {
		if (cel_double_to_int(key.d, &i) == 0 && (double)i == key.d)
			there = find(m, cel_int(i));
		if (!there && cel_double_to_uint(key.d, &u) == 0 && (double)u == key.d)
			there = find(m, cel_uint(u));
	} else if (!there && key.kind == CEL_INT && key.i >= 0) {
		there = find(m, cel_uint((uint64_t)key.i));
	} else if (!there && key.kind == CEL_UINT && key.u <= INT64_MAX) {
		there = find(m, cel_int((int64_t)key.u));
	}
	if (!there)
		return 0;
	*ret_value = looked_into(m->a, &there->value);
	return 1;
}
