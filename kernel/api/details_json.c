/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The details of an application's status as JSON, by protobuf's mapping of messages to it
 * (https://protobuf.dev/programming-guides/json/): google.rpc's own, the others by their type alone.
 */
#include "api/details_json.h"

#include <google/protobuf/duration.pb-c.h>
#include <google/rpc/error_details.pb-c.h>
#include <inttypes.h>

#include "base/banned.h"
#include "base/jstream.h"
#include "grpc/server.h"

#define PREFIX "type.googleapis.com/"

static const ProtobufCMessageDescriptor *const known[] = {
	&google__rpc__error_info__descriptor,
	&google__rpc__retry_info__descriptor,
	&google__rpc__debug_info__descriptor,
	&google__rpc__quota_failure__descriptor,
	&google__rpc__precondition_failure__descriptor,
	&google__rpc__bad_request__descriptor,
	&google__rpc__request_info__descriptor,
	&google__rpc__resource_info__descriptor,
	&google__rpc__help__descriptor,
	&google__rpc__localized_message__descriptor,
};

static void put_fields(struct buf *b, const ProtobufCMessage *m, int comma);

/* lowerCamelCase */
static void put_name(struct buf *b, const char *name)
{
	int upper = 0;

	buf_addc(b, '"');
	for (; *name != '\0'; name++) {
		if (*name == '_') {
			upper = 1;
			continue;
		}
		buf_addc(b, upper && *name >= 'a' && *name <= 'z' ? (char)(*name - 'a' + 'A') : *name);
		upper = 0;
	}
	buf_lit(b, "\":");
}

static void put_duration(struct buf *b, const Google__Protobuf__Duration *d)
{
	int32_t nanos = d->nanos < 0 ? -d->nanos : d->nanos;

	buf_printf(b, "\"%s%" PRId64, d->nanos < 0 && d->seconds == 0 ? "-" : "", d->seconds);
	if (nanos % 1000000 != 0)
		buf_printf(b, nanos % 1000 != 0 ? ".%09d" : ".%06d", nanos % 1000 != 0 ? nanos : nanos / 1000);
	else if (nanos != 0)
		buf_printf(b, ".%03d", nanos / 1000000);
	buf_lit(b, "s\"");
}

static void put_value(struct buf *b, const ProtobufCFieldDescriptor *f, const void *at)
{
	const ProtobufCMessage *m;

	if (f->type == PROTOBUF_C_TYPE_STRING) {
		jstream_put(b, str_of(*(char *const *)at));
		return;
	}
	if (f->type == PROTOBUF_C_TYPE_INT64) {
		buf_printf(b, "\"%" PRId64 "\"", *(const int64_t *)at);
		return;
	}
	m = *(ProtobufCMessage *const *)at; /* there is no other kind in google.rpc */
	if (m->descriptor == &google__protobuf__duration__descriptor) {
		put_duration(b, (const Google__Protobuf__Duration *)m);
		return;
	}
	buf_addc(b, '{');
	put_fields(b, m, 0);
	buf_addc(b, '}');
}

/* A map is a list of messages with a key and a value; all in google.rpc are of texts. */
static int is_map(const ProtobufCFieldDescriptor *f)
{
	return f->type == PROTOBUF_C_TYPE_MESSAGE &&
	       str_ends(str_of(((const ProtobufCMessageDescriptor *)f->descriptor)->short_name), STR("Entry"));
}

static void put_entry(struct buf *b, const ProtobufCMessage *m)
{
	const ProtobufCFieldDescriptor *fields = m->descriptor->fields;

	put_value(b, &fields[0], (const char *)m + fields[0].offset);
	buf_addc(b, ':');
	put_value(b, &fields[1], (const char *)m + fields[1].offset);
}

static void put_list(struct buf *b, const ProtobufCFieldDescriptor *f, const char *list, size_t n, size_t size)
{
	int map = is_map(f);
	size_t i;

	buf_addc(b, map ? '{' : '[');
	for (i = 0; i < n; i++) {
		if (i > 0)
			buf_addc(b, ',');
		if (map)
			put_entry(b, ((ProtobufCMessage *const *)(const void *)list)[i]);
		else
			put_value(b, f, list + i * size);
	}
	buf_addc(b, map ? '}' : ']');
}

/* What has its type's zero is left out. */
static int is_there(const ProtobufCMessage *m, const ProtobufCFieldDescriptor *f)
{
	const void *at = (const char *)m + f->offset;

	if (f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF)
		return *(const uint32_t *)(const void *)((const char *)m + f->quantifier_offset) == f->id;
	if (f->type == PROTOBUF_C_TYPE_STRING)
		return *(char *const *)at != NULL && **(char *const *)at != '\0';
	if (f->type == PROTOBUF_C_TYPE_INT64)
		return *(const int64_t *)at != 0;
	return *(void *const *)at != NULL;
}

static void put_fields(struct buf *b, const ProtobufCMessage *m, int comma)
{
	const ProtobufCMessageDescriptor *d = m->descriptor;
	unsigned i;

	for (i = 0; i < d->n_fields; i++) {
		const ProtobufCFieldDescriptor *f = &d->fields[i];
		const char *at = (const char *)m + f->offset;
		size_t n = f->label == PROTOBUF_C_LABEL_REPEATED
				   ? *(const size_t *)(const void *)((const char *)m + f->quantifier_offset)
				   : 0;

		if (f->label == PROTOBUF_C_LABEL_REPEATED ? n == 0 : !is_there(m, f))
			continue;
		if (comma)
			buf_addc(b, ',');
		comma = 1;
		put_name(b, f->name);
		if (n > 0)
			put_list(b, f, *(const char *const *)(const void *)at, n, sizeof(void *));
		else
			put_value(b, f, at);
	}
}

void details_json(struct arena *a, struct buf *b, const Google__Protobuf__Any *any)
{
	struct str url = str_of(any->type_url != NULL ? any->type_url : "");
	struct str bytes = { (const char *)any->value.data, any->value.len };
	struct error e = ERROR_NONE;
	ProtobufCMessage *m = NULL;
	size_t i;

	buf_lit(b, "{\"@type\":");
	jstream_put(b, url);
	for (i = 0; i < sizeof(known) / sizeof(known[0]) && str_starts(url, STR(PREFIX)); i++)
		if (str_is(str_from(url, sizeof(PREFIX) - 1), known[i]->name))
			m = grpc_unpack(a, known[i], bytes, &e);
	if (m != NULL)
		put_fields(b, m, 1);
	buf_addc(b, '}');
}
