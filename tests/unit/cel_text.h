/* SPDX-License-Identifier: Apache-2.0 */
/* CEL values in text, so that they can be compared with what is written down: maps sorted, text as JSON has it. */
#ifndef CEL_TEXT_H
#define CEL_TEXT_H
#include <stdlib.h>

#include "base/buf.h"
#include "base/duration.h"
#include "base/jstream.h"
#include "cel/inside.h"

/* Values share their parts, so that in text they can be far larger than in memory: printing stops after so many. */
#define CEL_PRINT_MOST 100000
static size_t cel_printed;

static inline void cel_print(struct buf *b, struct cel_value v);

static inline int cel_print_compare(const void *a, const void *b)
{
	return str_cmp(*(const struct str *)a, *(const struct str *)b);
}

static inline void cel_print_map(struct buf *b, struct cel_map *m)
{
	size_t n = cel_map_size(m);
	struct str *entries = arena_alloc(b->arena, (n + 1) * sizeof(*entries));

	for (size_t i = 0; i < n; i++) {
		struct buf one = buf_in(b->arena);

		cel_print(&one, cel_map_key(m, i));
		buf_adds(&one, STR(": "));
		cel_print(&one, cel_map_get(m, i));
		entries[i] = buf_str(&one);
	}
	qsort(entries, n, sizeof(*entries), cel_print_compare);
	buf_addc(b, '{');
	for (size_t i = 0; i < n; i++) {
		buf_adds(b, i ? STR(", ") : STR(""));
		buf_adds(b, entries[i]);
	}
	buf_addc(b, '}');
}

static inline void cel_print_list(struct buf *b, struct cel_list *l)
{
	buf_addc(b, '[');
	for (size_t i = 0; i < cel_list_size(l); i++) {
		buf_adds(b, i ? STR(", ") : STR(""));
		cel_print(b, cel_list_get(l, i));
	}
	buf_addc(b, ']');
}

static inline void cel_print_bytes(struct buf *b, struct str s)
{
	buf_adds(b, STR("b\""));
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];

		if (c < 0x20 || c >= 0x7f || c == '"' || c == '\\')
			buf_printf(b, "\\x%02x", c);
		else
			buf_addc(b, (char)c);
	}
	buf_addc(b, '"');
}

static inline void cel_print_double(struct buf *b, double d)
{
	struct str s = cel_double_text(b->arena, d);
	int whole = 1;

	for (size_t i = 0; i < s.n; i++)
		whole = whole && (s.p[i] == '-' || (s.p[i] >= '0' && s.p[i] <= '9'));
	buf_adds(b, s);
	buf_adds(b, whole ? STR(".0") : STR(""));
}

static inline void cel_print(struct buf *b, struct cel_value v)
{
	char text[DURATION_TEXT];

	cel_printed += v.kind == CEL_STRING || v.kind == CEL_BYTES ? v.s.n / 16 + 1 : 1;
	if (cel_printed > CEL_PRINT_MOST)
		return;
	switch (v.kind) {
	case CEL_NULL: buf_adds(b, STR("null")); return;
	case CEL_BOOL: buf_adds(b, v.b ? STR("true") : STR("false")); return;
	case CEL_INT: buf_int(b, v.i); return;
	case CEL_UINT: buf_printf(b, "%lluu", (unsigned long long)v.u); return;
	case CEL_DOUBLE: cel_print_double(b, v.d); return;
	case CEL_STRING: jstream_put(b, v.s); return;
	case CEL_BYTES: cel_print_bytes(b, v.s); return;
	case CEL_LIST: cel_print_list(b, v.list); return;
	case CEL_MAP: cel_print_map(b, v.map); return;
	case CEL_TIMESTAMP: buf_printf(b, "timestamp(\"" STR_FMT "\")", STR_ARG(cel_time_text(b->arena, v))); return;
	case CEL_DURATION: buf_printf(b, "duration(\"%.*s\")", (int)duration_text(v.i, text), text); return;
	case CEL_TYPE: buf_adds(b, v.s); return;
	case CEL_ERROR: buf_printf(b, "error(" STR_FMT ")", STR_ARG(v.s)); return;
	}
}

static inline struct str cel_text(struct arena *a, struct cel_value v)
{
	struct buf b = buf_in(a);

	cel_printed = 0;
	cel_print(&b, v);
	return buf_str(&b);
}

#endif
