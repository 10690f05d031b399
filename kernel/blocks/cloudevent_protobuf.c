/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether bytes are a CloudEvent in protobuf: walked along the wire by a table of its messages, nothing is built. Source:
 * https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/cloudevents.proto
 */
#include "base/banned.h"
#include "blocks/cloudevent.h"

#define DEPTH 4 /* of its messages, event and attribute and value and time */

enum form { BYTES, TEXT, NUMBER, MESSAGE };

struct message_field {
	unsigned number;
	enum form form;
	const struct message_field *inside; /* of MESSAGE */
	int is_value;			    /* one of those that an attribute's value must have */
};

#define END \
	{ \
		0, BYTES, NULL, 0 \
	}

static const struct message_field timestamp[] = { { 1, NUMBER, NULL, 0 }, { 2, NUMBER, NULL, 0 }, END };
static const struct message_field any[] = { { 1, TEXT, NULL, 0 }, { 2, BYTES, NULL, 0 }, END };
static const struct message_field value[] = {
	{ 1, NUMBER, NULL, 1 }, { 2, NUMBER, NULL, 1 }, { 3, TEXT, NULL, 1 },	      { 4, BYTES, NULL, 1 },
	{ 5, TEXT, NULL, 1 },	{ 6, TEXT, NULL, 1 },	{ 7, MESSAGE, timestamp, 1 }, END,
};
static const struct message_field attribute[] = { { 1, TEXT, NULL, 0 }, { 2, MESSAGE, value, 0 }, END };
static const struct message_field event[] = {
	{ 1, TEXT, NULL, 0 }, { 2, TEXT, NULL, 0 },	    { 3, TEXT, NULL, 0 },
	{ 4, TEXT, NULL, 0 }, { 5, MESSAGE, attribute, 0 }, { 6, BYTES, NULL, 0 },
	{ 7, TEXT, NULL, 0 }, { 8, MESSAGE, any, 0 },	    END,
};

static int read_varint(struct str *s, uint64_t *ret_value)
{
	uint64_t v = 0;
	unsigned shift;

	for (shift = 0; shift < 70 && s->n > 0; shift += 7) {
		unsigned char c = (unsigned char)s->p[0];

		*s = str_from(*s, 1);
		if (shift == 63 && c > 1)
			return -1;
		v |= (uint64_t)(c & 0x7f) << shift;
		if (c < 0x80) {
			*ret_value = v;
			return 0;
		}
	}
	return -1;
}

static int take(struct str *s, uint64_t n, struct str *ret_piece)
{
	if (n > s->n)
		return -1;
	*ret_piece = str_upto(*s, (size_t)n);
	*s = str_from(*s, (size_t)n);
	return 0;
}

/* Passes what the wire type says, without a look inside; a group (3) up to its end. */
static int pass(struct str *s, unsigned wire, unsigned number, int depth, struct str *ret_piece)
{
	uint64_t v;

	switch (wire) {
	case 0: return read_varint(s, &v);
	case 1: return take(s, 8, ret_piece);
	case 2: return read_varint(s, &v) < 0 ? -1 : take(s, v, ret_piece);
	case 5: return take(s, 4, ret_piece);
	case 3: break;
	default: return -1;
	}
	while (depth < 100 && read_varint(s, &v) == 0) {
		if ((v & 7) == 4)
			return v >> 3 == number ? 0 : -1;
		if (v >> 3 == 0 || v >> 3 > 0x1fffffff ||
		    pass(s, (unsigned)(v & 7), (unsigned)(v >> 3), depth + 1, ret_piece) < 0)
			return -1;
	}
	return -1;
}

static const struct message_field *field_of(const struct message_field *m, uint64_t number, unsigned wire)
{
	for (; m->number != 0; m++)
		if (m->number == number && (m->form == NUMBER ? wire == 0 : wire == 2))
			return m;
	return NULL; /* unknown, or of another type: passed over */
}

static int walk(const struct message_field *m, struct str s, int depth)
{
	int has_value = 0;
	uint64_t tag;

	while (s.n > 0) {
		const struct message_field *f;
		struct str piece = STR("");

		if (read_varint(&s, &tag) < 0 || tag >> 3 == 0 || tag >> 3 > 0x1fffffff)
			return -1;
		f = field_of(m, tag >> 3, (unsigned)(tag & 7));
		if (pass(&s, (unsigned)(tag & 7), (unsigned)(tag >> 3), 0, &piece) < 0)
			return -1;
		if (f == NULL)
			continue;
		has_value |= f->is_value;
		if ((f->form == TEXT && !str_utf8(piece)) ||
		    (f->form == MESSAGE && depth < DEPTH && walk(f->inside, piece, depth + 1) < 0))
			return -1;
	}
	return m == value && !has_value ? -1 : 0;
}

int cloudevent_is_protobuf(struct str bytes)
{
	return walk(event, bytes, 0) == 0;
}
