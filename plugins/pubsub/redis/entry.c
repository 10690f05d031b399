/* SPDX-License-Identifier: Apache-2.0 */
#include "entry.h"

#include <davit/json.h>
#include <stdlib.h>

#define DEPTH 32 /* of JSON that is looked at; a parser recurses */

static int is_string(const redisReply *r)
{
	return r->type == REDIS_REPLY_STRING || r->type == REDIS_REPLY_STATUS;
}

static int is_named(const redisReply *r, const char *name)
{
	return is_string(r) && (size_t)r->len == strlen(name) && memcmp(r->str, name, (size_t)r->len) == 0;
}

int entry_read(const redisReply *r, struct entry *ret_entry)
{
	const redisReply *id, *fields;
	struct entry e = { "", { "", 0 }, { NULL, 0 } };
	size_t i;

	if (r->type != REDIS_REPLY_ARRAY || r->elements != 2)
		return -1;
	id = r->element[0];
	fields = r->element[1];
	if (!is_string(id) || (size_t)id->len >= ENTRY_ID || fields->type != REDIS_REPLY_ARRAY)
		return -1;
	memcpy(e.id, id->str, (size_t)id->len + 1);
	for (i = 0; i + 1 < fields->elements; i += 2) {
		const redisReply *value = fields->element[i + 1];

		if (!is_string(value))
			continue;
		if (is_named(fields->element[i], "data"))
			e.data = (struct davit_bytes){ value->str, (size_t)value->len };
		else if (is_named(fields->element[i], "metadata"))
			e.metadata = (struct davit_bytes){ value->str, (size_t)value->len };
	}
	*ret_entry = e;
	return 0;
}

/* Bytes of the character at p; 0: it is none. */
static size_t character(const unsigned char *p, size_t n)
{
	static const unsigned char least[] = { 0, 0, 0, 0xa0, 0x90 }, most[] = { 0, 0, 0, 0x9f, 0x8f };
	size_t length = p[0] < 0x80 ? 1 : p[0] < 0xc2 ? 0 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : p[0] < 0xf5 ? 4 : 0, i;

	if (length == 0 || length > n)
		return 0;
	for (i = 1; i < length; i++)
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	/* Longer than need be, half of a pair, beyond the last. */
	if ((p[0] == 0xe0 || p[0] == 0xf0) && p[1] < least[length])
		return 0;
	if ((p[0] == 0xed || p[0] == 0xf4) && p[1] > most[length])
		return 0;
	return length;
}

static char *put_string(char *at, struct davit_str s)
{
	const unsigned char *p = (const unsigned char *)s.p, *end = p + s.n;
	size_t n;

	*at++ = '"';
	for (; p < end; p += n) {
		n = character(p, (size_t)(end - p));
		if (n == 0) {
			n = 1;
			memcpy(at, "\xef\xbf\xbd", 3);
			at += 3;
		} else if (*p < 0x20) {
			at += snprintf(at, 7, "\\u%04x", *p);
		} else {
			if (*p == '"' || *p == '\\')
				*at++ = '\\';
			memcpy(at, p, n);
			at += n;
		}
	}
	*at++ = '"';
	return at;
}

struct davit_bytes entry_write_metadata(struct davit_call *call, const struct davit_pair *pairs, uint64_t n)
{
	size_t room = 3;
	char *text, *at;
	uint64_t i;

	for (i = 0; i < n; i++)
		room += 6 * (pairs[i].key.n + pairs[i].value.n) + 6;
	text = at = davit_alloc(call, room);
	if (text == NULL)
		return (struct davit_bytes){ NULL, 0 };
	*at++ = '{';
	for (i = 0; i < n; i++) {
		if (i > 0)
			*at++ = ',';
		at = put_string(at, pairs[i].key);
		*at++ = ':';
		at = put_string(at, pairs[i].value);
	}
	*at++ = '}';
	return (struct davit_bytes){ text, (size_t)(at - text) };
}

int entry_read_metadata(struct davit_bytes text, struct entry_metadata *ret_metadata)
{
	struct entry_metadata m = { NULL, NULL, 0 };
	const char *key;
	json_t *value;
	int bad = 0;

	*ret_metadata = m;
	if (davit_json_depth(text.p, text.n) > DEPTH)
		return -1;
	m.json = json_loadb(text.p, text.n, JSON_DECODE_ANY, NULL);
	if (json_is_null(m.json) || !json_is_object(m.json)) {
		bad = !json_is_null(m.json);
		json_decref(m.json);
		return bad ? -1 : 0;
	}
	m.pairs = calloc(json_object_size(m.json) + 1, sizeof(*m.pairs));
	if (m.pairs == NULL) {
		json_decref(m.json);
		return -1;
	}
	/* As in Dapr, what is no string is there, and empty. */
	json_object_foreach(m.json, key, value)
	{
		m.pairs[m.n++] = (struct davit_pair){ davit_str(key),
						      json_is_string(value)
							      ? (struct davit_str){ json_string_value(value),
										    json_string_length(value) }
							      : davit_str("") };
		bad |= !json_is_string(value) && !json_is_null(value);
	}
	*ret_metadata = m;
	return bad ? -1 : 0;
}

void entry_metadata_release(struct entry_metadata *m)
{
	json_decref(m->json);
	free(m->pairs);
}
