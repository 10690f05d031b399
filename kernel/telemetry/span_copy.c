/* SPDX-License-Identifier: Apache-2.0 */
#include "telemetry/span_copy.h"

#include "base/banned.h"
#include "base/mem.h"

/* The block is walked twice by the same code: first to measure (at is NULL), then to fill. */
struct block {
	char *at;
	size_t used;
};

static void *take(struct block *b, size_t n, size_t align)
{
	void *p;

	b->used = (b->used + align - 1) / align * align;
	p = b->at ? b->at + b->used : NULL;
	b->used += n;
	return p;
}

static struct str put(struct block *b, struct str s)
{
	char *p = take(b, s.n + 1, 1);
	size_t i;

	if (p == NULL)
		return STR_NONE;
	if (s.n > 0)
		memcpy(p, s.p, s.n);
	p[s.n] = '\0';
	if (!str_utf8(s))
		for (i = 0; i < s.n; i++)
			if ((unsigned char)p[i] >= 0x80)
				p[i] = '_';
	return (struct str){ p, s.n };
}

/* Lists have the newest first; an older value of a key that was set again does not count. */
static int is_newest(const struct trace_attribute *list, const struct trace_attribute *t)
{
	for (; list != t; list = list->next)
		if (str_eq(list->key, t->key))
			return 0;
	return 1;
}

static const struct span_attribute *put_attributes(struct block *b, const struct trace_attribute *list, size_t *ret_n,
						   uint32_t *ret_dropped)
{
	const struct trace_attribute *t;
	struct span_attribute *to;
	size_t n = 0, seen = 0;

	for (t = list; t != NULL && n < SPAN_ATTRIBUTES_MAX; t = t->next)
		n += is_newest(list, t) != 0;
	to = take(b, n * sizeof(*to), _Alignof(struct span_attribute));
	*ret_dropped = 0;
	for (t = list; t != NULL; t = t->next) {
		if (seen == SPAN_ATTRIBUTES_MAX) {
			++*ret_dropped;
			continue;
		}
		if (!is_newest(list, t))
			continue;
		struct span_attribute one = { put(b, t->key), put(b, t->value), t->number };

		if (to != NULL)
			to[seen] = one;
		seen++;
	}
	*ret_n = n;
	return to;
}

static void put_events(struct block *b, struct span_copy *c, const struct trace_event *list)
{
	const struct trace_event *e;
	struct span_event *to;
	size_t n = 0, kept, i;
	uint32_t ignored;

	for (e = list; e != NULL; e = e->next)
		n++;
	kept = n < SPAN_ATTRIBUTES_MAX ? n : SPAN_ATTRIBUTES_MAX;
	to = take(b, kept * sizeof(*to), _Alignof(struct span_event));
	for (e = list, i = kept; i > 0; e = e->next) {
		struct span_event one = { .name = put(b, e->name), .at_ns = e->at_ns };

		one.attributes = put_attributes(b, e->attributes, &one.nattributes, &ignored);
		i--;
		if (to != NULL)
			to[i] = one;
	}
	c->events = to;
	c->nevents = kept;
	c->dropped_events = (uint32_t)(n - kept);
}

static void fill(struct block *b, struct span_copy *c, const struct trace_span *s)
{
	c->name = put(b, s->name);
	c->state = put(b, s->context.state);
	c->status_message = put(b, s->status_message);
	c->attributes = put_attributes(b, s->attributes, &c->nattributes, &c->dropped_attributes);
	put_events(b, c, s->events);
}

struct span_copy *span_copy_new(const struct trace_span *s)
{
	struct span_copy measured = { .size = 0 }, *c;
	struct block b = { NULL, sizeof(*c) };

	fill(&b, &measured, s);
	c = mem_zalloc(b.used);
	if (c == NULL)
		return NULL;
	c->size = b.used;
	b = (struct block){ (char *)c, sizeof(*c) };
	fill(&b, c, s);
	memcpy(c->trace_id, s->context.trace_id, sizeof(c->trace_id));
	memcpy(c->span_id, s->context.span_id, sizeof(c->span_id));
	memcpy(c->parent_id, s->parent_id, sizeof(c->parent_id));
	c->flags = s->context.flags;
	c->kind = s->kind;
	c->status = s->status;
	c->start_ns = s->start_ns;
	c->end_ns = s->end_ns;
	return c;
}

void span_copy_free(struct span_copy *c)
{
	mem_free(c);
}

int span_copy_is_root(const struct span_copy *c)
{
	static const uint8_t none[8];

	return memcmp(c->parent_id, none, sizeof(none)) == 0;
}

void span_copy_hex(const uint8_t *id, size_t n, char *ret_text)
{
	static const char digits[] = "0123456789abcdef";
	size_t i;

	for (i = 0; i < n; i++) {
		ret_text[2 * i] = digits[id[i] >> 4];
		ret_text[2 * i + 1] = digits[id[i] & 15];
	}
	ret_text[2 * n] = '\0';
}
