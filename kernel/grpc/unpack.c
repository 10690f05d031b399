/* SPDX-License-Identifier: Apache-2.0 */
/*
 * protobuf-c recurses without a bound, does not look into text, and gives memory to whatever comes. So a cheap scan over
 * the wire, guided by the descriptor, goes first, and memory is counted.
 */
#include "base/banned.h"
#include "grpc/inside.h"

#define BASE_MEMORY (4u * 1024 * 1024)
#define MEMORY_PER_BYTE 8

enum { WIRE_VARINT, WIRE_64, WIRE_BYTES, WIRE_GROUP, WIRE_END_GROUP, WIRE_32 };

struct scan {
	struct arena *arena;
	struct error error;
};

struct memory {
	ProtobufCAllocator allocator;
	struct arena *arena;
	size_t left;
	int refused, out;
};

static int malformed(struct scan *s)
{
	s->error = (struct error){ .code = ERROR_INTERNAL,
				   .message = STR("proto: cannot parse invalid wire-format data") };
	return -1;
}

/* Returns what follows it; NULL: cut off or too long. */
static const uint8_t *varint(const uint8_t *p, const uint8_t *end, uint64_t *ret_value)
{
	uint64_t v = 0;
	unsigned shift;

	for (shift = 0; shift < 70 && p < end; shift += 7) {
		v |= shift < 64 ? (uint64_t)(*p & 0x7f) << shift : 0;
		if ((*p++ & 0x80) == 0) {
			*ret_value = v;
			return p;
		}
	}
	return NULL;
}

/* Text is mostly ASCII: eight bytes at a time as long as none is NUL or above. */
static int check_text(struct scan *s, const ProtobufCMessageDescriptor *type, const ProtobufCFieldDescriptor *field,
		      struct str text)
{
	const uint64_t ones = UINT64_C(0x0101010101010101), tops = ones << 7;
	size_t i = 0;
	uint64_t w;

	for (; i + 8 <= text.n; i += 8) {
		memcpy(&w, text.p + i, 8);
		if (((w | (w - ones)) & tops) != 0)
			break;
	}
	if (i == text.n)
		return 0;
	text = str_from(text, i);
	if (memchr(text.p, '\0', text.n) != NULL)
		s->error = grpc_error(s->arena, ERROR_INVALID_ARGUMENT, "string field %s.%s contains a NUL byte",
				      type->name, field->name);
	else if (!str_utf8(text)) /* protobuf's own error in Dapr, and so of its kind and in its words */
		s->error = (struct error){ .code = ERROR_INTERNAL,
					   .message = STR("string field contains invalid UTF-8") };
	return error_is(&s->error) ? -1 : 0;
}

static int scan_message(struct scan *s, const ProtobufCMessageDescriptor *type, const uint8_t *p, const uint8_t *end,
			int depth);

static int scan_bytes(struct scan *s, const ProtobufCMessageDescriptor *type, const ProtobufCFieldDescriptor *field,
		      struct str bytes, int depth)
{
	const uint8_t *p = (const uint8_t *)bytes.p;

	if (field == NULL)
		return 0;
	if (field->type == PROTOBUF_C_TYPE_STRING)
		return check_text(s, type, field, bytes);
	if (field->type != PROTOBUF_C_TYPE_MESSAGE)
		return 0;
	if (depth == GRPC_NESTING) {
		s->error = error_new(s->arena, ERROR_INVALID_ARGUMENT, NULL, "message is nested deeper than %d levels",
				     GRPC_NESTING);
		return -1;
	}
	return scan_message(s, field->descriptor, p, p + bytes.n, depth + 1);
}

/* Returns what follows the field's value; NULL: refused. */
static const uint8_t *scan_field(struct scan *s, const ProtobufCMessageDescriptor *type,
				 const ProtobufCFieldDescriptor *field, int wire, const uint8_t *p, const uint8_t *end,
				 int depth)
{
	size_t left = (size_t)(end - p);
	uint64_t v;

	if (wire == WIRE_VARINT || wire == WIRE_BYTES) {
		p = varint(p, end, &v);
		if (p == NULL || wire == WIRE_VARINT)
			return p;
		if (v > (size_t)(end - p))
			return NULL;
		return scan_bytes(s, type, field, (struct str){ (const char *)p, v }, depth) < 0 ? NULL : p + v;
	}
	if (wire == WIRE_64)
		return left < 8 ? NULL : p + 8;
	return wire != WIRE_32 || left < 4 ? NULL : p + 4;
}

static int scan_message(struct scan *s, const ProtobufCMessageDescriptor *type, const uint8_t *p, const uint8_t *end,
			int depth)
{
	const ProtobufCFieldDescriptor *field = NULL;
	uint64_t key;

	while (p < end) {
		p = varint(p, end, &key);
		if (p == NULL || key >> 3 == 0 || key >> 3 > 0x1fffffff)
			return malformed(s);
		if (field == NULL || field->id != key >> 3)
			field = protobuf_c_message_descriptor_get_field(type, (unsigned)(key >> 3));
		p = scan_field(s, type, field, (int)(key & 7), p, end, depth);
		if (p == NULL)
			return error_is(&s->error) ? -1 : malformed(s);
	}
	return 0;
}

static void *take_memory(void *arg, size_t n)
{
	struct memory *m = arg;
	size_t taken = (n + 15) & ~(size_t)15; /* as the arena rounds */
	void *p;

	if (n > m->left || taken > m->left) {
		m->refused = 1;
		return NULL;
	}
	m->left -= taken;
	p = arena_try(m->arena, n);
	m->out |= p == NULL;
	return p;
}

static void leave_memory(void *arg, void *p)
{
	(void)arg, (void)p;
}

void *grpc_unpack(struct arena *a, const ProtobufCMessageDescriptor *type, struct str bytes, struct error *ret_error)
{
	struct memory m = { { take_memory, leave_memory, &m }, a, BASE_MEMORY + MEMORY_PER_BYTE * bytes.n, 0, 0 };
	struct scan s = { .arena = a };
	const uint8_t *p = (const uint8_t *)bytes.p;
	void *message;

	if (scan_message(&s, type, p, p + bytes.n, 0) < 0) {
		*ret_error = s.error;
		return NULL;
	}
	message = protobuf_c_message_unpack(type, &m.allocator, bytes.n, p);
	if (message != NULL)
		return message;
	malformed(&s);
	if (m.refused)
		s.error = grpc_error(a, ERROR_RESOURCE_EXHAUSTED,
				     "message of %zu bytes needs too much memory when unpacked", bytes.n);
	else if (m.out)
		s.error = GRPC_NO_MEMORY;
	*ret_error = s.error;
	return NULL;
}
