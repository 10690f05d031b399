/* SPDX-License-Identifier: Apache-2.0 */
#include "api/errors.h"

#include <google/protobuf/any.pb-c.h>
#include <google/rpc/error_details.pb-c.h>
#include <google/rpc/status.pb-c.h>

#include "base/banned.h"
#include "base/buf.h"
#include "base/jstream.h"

/* google.rpc.Code to HTTP, as grpc-gateway and Dapr map them. */
static const int http_status[] = {
	200, 499, 500, 400, 504, 404, 409, 403, 429, 400, 409, 400, 501, 500, 503, 500, 401
};

static int status_of(const struct error *e)
{
	if (e->http != 0)
		return e->http;
	if (e->code >= 0 && (size_t)e->code < sizeof(http_status) / sizeof(http_status[0]))
		return http_status[e->code];
	return 500;
}

const char *errors_code(const struct error *e)
{
	const struct error_detail *d;

	if (e->tag != NULL)
		return e->tag;
	for (d = e->details; d != NULL; d = d->next)
		if (d->kind == DETAIL_ERROR_INFO)
			return d->reason.p;
	return "ERROR";
}

static void put_field(struct buf *b, const char *name, struct str value, int first)
{
	buf_printf(b, "%s\"%s\":", first ? "" : ",", name);
	jstream_put_html(b, value);
}

static struct str domain_of(const struct error_detail *d)
{
	return d->domain.p ? d->domain : STR("dapr.io");
}

static void put_info(struct buf *b, const struct error_detail *d)
{
	size_t i;

	buf_lit(b, "{\"@type\":\"type.googleapis.com/google.rpc.ErrorInfo\"");
	put_field(b, "domain", domain_of(d), 0);
	buf_lit(b, ",\"metadata\":");
	if (d->npairs == 0) /* Go's nil map beside one that only has nothing in it */
		buf_adds(b, d->pairs ? STR("{}") : STR("null"));
	for (i = 0; i < d->npairs; i++) {
		buf_addc(b, i ? ',' : '{');
		jstream_put_html(b, d->pairs[i].key);
		buf_addc(b, ':');
		jstream_put_html(b, d->pairs[i].value);
	}
	if (d->npairs > 0)
		buf_addc(b, '}');
	put_field(b, "reason", d->reason, 0);
	buf_addc(b, '}');
}

static void put_detail(struct buf *b, const struct error_detail *d)
{
	switch (d->kind) {
	case DETAIL_ERROR_INFO: put_info(b, d); break;
	case DETAIL_RESOURCE_INFO:
		buf_lit(b, "{\"@type\":\"type.googleapis.com/google.rpc.ResourceInfo\"");
		put_field(b, "description", d->about, 0);
		put_field(b, "owner", d->owner, 0);
		put_field(b, "resource_name", d->name, 0);
		put_field(b, "resource_type", d->type, 0);
		buf_addc(b, '}');
		break;
	case DETAIL_HELP:
		buf_lit(b, "{\"@type\":\"type.googleapis.com/google.rpc.Help\",\"links\":[{");
		put_field(b, "description", d->about, 1);
		put_field(b, "url", d->name, 0);
		buf_lit(b, "}]}");
		break;
	case DETAIL_BAD_REQUEST:
		buf_lit(b, "{\"@type\":\"type.googleapis.com/google.rpc.BadRequest\",\"field_violations\":[{");
		if (d->name.n > 0)
			put_field(b, "field", d->name, 1);
		put_field(b, "description", d->about, d->name.n == 0);
		buf_lit(b, "}]}");
		break;
	case DETAIL_PACKED: /* of an application, which only gRPC is told */
		buf_lit(b, "{\"@type\":");
		jstream_put_html(b, d->type);
		buf_addc(b, '}');
		break;
	}
}

int errors_http(struct arena *a, const struct error *e, struct str *ret_body)
{
	struct buf b = buf_in(a);
	const struct error_detail *d;

	buf_lit(&b, "{\"errorCode\":");
	jstream_put_html(&b, str_of(errors_code(e)));
	buf_lit(&b, ",\"message\":");
	jstream_put_html(&b, e->message);
	for (d = e->details; d != NULL; d = d->next) {
		buf_adds(&b, d == e->details ? STR(",\"details\":[") : STR(","));
		put_detail(&b, d);
	}
	if (e->details != NULL)
		buf_addc(&b, ']');
	buf_addc(&b, '}');
	*ret_body = buf_str(&b);
	return status_of(e);
}

static Google__Protobuf__Any *pack(struct arena *a, const char *type, const ProtobufCMessage *m)
{
	Google__Protobuf__Any *any = arena_alloc(a, sizeof(*any));

	google__protobuf__any__init(any);
	any->type_url = (char *)arena_printf(a, "type.googleapis.com/google.rpc.%s", type).p;
	any->value.len = protobuf_c_message_get_packed_size(m);
	any->value.data = arena_alloc(a, any->value.len);
	protobuf_c_message_pack(m, any->value.data);
	return any;
}

static char *text(struct arena *a, struct str s)
{
	return (char *)arena_str(a, s).p;
}

static Google__Protobuf__Any *pack_info(struct arena *a, struct str reason, struct str domain,
					const struct error_pair *pairs, size_t n)
{
	Google__Rpc__ErrorInfo m = GOOGLE__RPC__ERROR_INFO__INIT;
	Google__Rpc__ErrorInfo__MetadataEntry *entries = arena_alloc(a, sizeof(*entries) * (n + 1));
	size_t i;

	m.reason = text(a, reason);
	m.domain = text(a, domain);
	m.metadata = arena_alloc(a, sizeof(*m.metadata) * (n + 1));
	m.n_metadata = n;
	for (i = 0; i < n; i++) {
		google__rpc__error_info__metadata_entry__init(&entries[i]);
		entries[i].key = text(a, pairs[i].key);
		entries[i].value = text(a, pairs[i].value);
		m.metadata[i] = &entries[i];
	}
	return pack(a, "ErrorInfo", &m.base);
}

static Google__Protobuf__Any *pack_any(struct arena *a, struct str type_url, struct str bytes)
{
	Google__Protobuf__Any *any = arena_alloc(a, sizeof(*any));

	google__protobuf__any__init(any);
	any->type_url = text(a, type_url);
	any->value = (ProtobufCBinaryData){ bytes.n, (uint8_t *)bytes.p };
	return any;
}

static Google__Protobuf__Any *pack_detail(struct arena *a, const struct error_detail *d)
{
	Google__Rpc__ResourceInfo resource = GOOGLE__RPC__RESOURCE_INFO__INIT;
	Google__Rpc__Help help = GOOGLE__RPC__HELP__INIT;
	Google__Rpc__Help__Link link = GOOGLE__RPC__HELP__LINK__INIT, *links = &link;
	Google__Rpc__BadRequest bad = GOOGLE__RPC__BAD_REQUEST__INIT;
	Google__Rpc__BadRequest__FieldViolation field = GOOGLE__RPC__BAD_REQUEST__FIELD_VIOLATION__INIT,
						*fields = &field;

	switch (d->kind) {
	case DETAIL_RESOURCE_INFO:
		resource.resource_type = text(a, d->type);
		resource.resource_name = text(a, d->name);
		resource.owner = text(a, d->owner);
		resource.description = text(a, d->about);
		return pack(a, "ResourceInfo", &resource.base);
	case DETAIL_HELP:
		link.description = text(a, d->about);
		link.url = text(a, d->name);
		help.links = &links;
		help.n_links = 1;
		return pack(a, "Help", &help.base);
	case DETAIL_BAD_REQUEST:
		field.field = text(a, d->name);
		field.description = text(a, d->about);
		bad.field_violations = &fields;
		bad.n_field_violations = 1;
		return pack(a, "BadRequest", &bad.base);
	case DETAIL_PACKED: return pack_any(a, d->type, d->about);
	case DETAIL_ERROR_INFO: break;
	}
	return pack_info(a, d->reason, domain_of(d), d->pairs, d->pairs_http_only ? 0 : d->npairs);
}

struct str errors_grpc(struct arena *a, const struct error *e)
{
	Google__Rpc__Status status = GOOGLE__RPC__STATUS__INIT;
	const struct error_detail *d;
	uint8_t *packed;
	size_t n = e->info_on_grpc ? 1 : 0;

	for (d = e->details; d != NULL; d = d->next)
		n++;
	if (n == 0)
		return STR_NONE;
	status.code = e->code;
	status.message = text(a, e->message);
	status.details = arena_alloc(a, sizeof(*status.details) * n);
	for (d = e->details; d != NULL; d = d->next)
		status.details[status.n_details++] = pack_detail(a, d);
	if (e->info_on_grpc)
		status.details[status.n_details++] = pack_info(a, str_of(errors_code(e)), STR("dapr.io"), NULL, 0);
	n = google__rpc__status__get_packed_size(&status);
	packed = arena_alloc(a, n);
	google__rpc__status__pack(&status, packed);
	return (struct str){ (char *)packed, n };
}
