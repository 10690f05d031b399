/* SPDX-License-Identifier: Apache-2.0 */
/* Invocations as Dapr's messages. A map's entry holds all values of one name. */
#include "base/banned.h"
#include "mesh/message.h"

typedef Dapr__Proto__Internals__V1__ListStringValue list_value;
typedef Dapr__Proto__Internals__V1__InternalInvokeRequest__MetadataEntry entry;

static char *cstr(struct arena *a, struct str s)
{
	return (char *)arena_str(a, s).p;
}

static struct str text_or_empty(struct str s)
{
	return s.p != NULL ? s : STR("");
}

static struct str text(const char *s)
{
	return s ? str_of(s) : STR("");
}

/* Every map of the two messages has entries of this layout; init gives each its own type. */
static entry **pack_fields(struct arena *a, const struct http_field *fields, size_t n, void (*init)(void *e),
			   size_t *ret_n)
{
	entry **list = arena_alloc(a, (n + 1) * sizeof(*list)), *e;
	size_t i, k, count = 0;

	for (i = 0; i < n; i++) {
		for (k = 0; k < count && !str_is(fields[i].name, list[k]->key); k++)
			;
		if (k == count) {
			e = arena_alloc(a, sizeof(*e));
			init(e);
			e->key = cstr(a, fields[i].name);
			e->value = arena_alloc(a, sizeof(*e->value));
			dapr__proto__internals__v1__list_string_value__init(e->value);
			e->value->values = arena_alloc(a, (n - i) * sizeof(char *));
			list[count++] = e;
		}
		list[k]->value->values[list[k]->value->n_values++] = cstr(a, fields[i].value);
	}
	*ret_n = count;
	return list;
}

static void init_metadata(void *e)
{
	dapr__proto__internals__v1__internal_invoke_request__metadata_entry__init(e);
}

static void init_header(void *e)
{
	dapr__proto__internals__v1__internal_invoke_response__headers_entry__init(e);
}

static void init_trailer(void *e)
{
	dapr__proto__internals__v1__internal_invoke_response__trailers_entry__init(e);
}

static const struct http_field *unpack_fields(struct arena *a, entry *const *list, size_t n, size_t *ret_n)
{
	struct http_field *fields;
	size_t i, k, count = 0, most = 1;

	for (i = 0; i < n; i++)
		most += list[i]->value ? list[i]->value->n_values : 0;
	fields = arena_alloc(a, most * sizeof(*fields));
	for (i = 0; i < n; i++)
		for (k = 0; list[i]->value != NULL && k < list[i]->value->n_values; k++)
			fields[count++] = (struct http_field){ text(list[i]->key), text(list[i]->value->values[k]) };
	*ret_n = count;
	return fields;
}

/* Always there: Dapr's callers and callees look into it. */
static Google__Protobuf__Any *any_of(struct arena *a, struct str type_url)
{
	Google__Protobuf__Any *any = arena_alloc(a, sizeof(*any));

	google__protobuf__any__init(any);
	any->type_url = cstr(a, type_url);
	return any;
}

mesh_request_wire *mesh_pack_request(struct arena *a, const struct mesh_request *q)
{
	mesh_request_wire *w = arena_alloc(a, sizeof(*w));
	Dapr__Proto__Common__V1__InvokeRequest *m = arena_alloc(a, sizeof(*m));

	dapr__proto__internals__v1__internal_invoke_request__init(w);
	dapr__proto__common__v1__invoke_request__init(m);
	w->ver = DAPR__PROTO__INTERNALS__V1__APIVERSION__V1;
	w->metadata = pack_fields(a, q->fields, q->nfields, init_metadata, &w->n_metadata);
	w->message = m;
	m->method = cstr(a, q->method);
	m->content_type = cstr(a, q->content_type);
	if (q->type_url.n > 0)
		m->data = any_of(a, q->type_url);
	if (q->has_http) {
		m->http_extension = arena_alloc(a, sizeof(*m->http_extension));
		dapr__proto__common__v1__httpextension__init(m->http_extension);
		m->http_extension->verb = (Dapr__Proto__Common__V1__HTTPExtension__Verb)q->verb;
		m->http_extension->querystring = cstr(a, q->query);
	}
	return w;
}

mesh_response_wire *mesh_pack_response(struct arena *a, const struct mesh_response *r)
{
	mesh_response_wire *w = arena_alloc(a, sizeof(*w));

	dapr__proto__internals__v1__internal_invoke_response__init(w);
	w->status = arena_alloc(a, sizeof(*w->status));
	dapr__proto__internals__v1__status__init(w->status);
	w->status->code = r->status;
	w->status->message = cstr(a, r->message);
	w->status->n_details = r->ndetails;
	w->status->details = r->details;
	w->headers = (void *)pack_fields(a, r->fields, r->nfields, init_header, &w->n_headers);
	w->trailers = (void *)pack_fields(a, r->trailers, r->ntrailers, init_trailer, &w->n_trailers);
	w->message = arena_alloc(a, sizeof(*w->message));
	dapr__proto__common__v1__invoke_response__init(w->message);
	w->message->content_type = cstr(a, r->content_type);
	if (r->type_url.n > 0)
		w->message->data = any_of(a, r->type_url);
	return w;
}

int mesh_unpack_request(struct arena *a, const mesh_request_wire *w, struct mesh_request *ret)
{
	const Dapr__Proto__Common__V1__InvokeRequest *m = w->message;

	if (m == NULL)
		return -1;
	ret->method = text(m->method);
	ret->content_type = text(m->content_type);
	ret->has_http = m->http_extension != NULL;
	ret->verb = ret->has_http ? (int)m->http_extension->verb : 0;
	ret->query = ret->has_http ? text(m->http_extension->querystring) : STR("");
	ret->type_url = m->data ? text(m->data->type_url) : STR("");
	ret->body.whole = m->data ? (struct str){ (const char *)m->data->value.data, m->data->value.len } : STR("");
	ret->body.length = (int64_t)ret->body.whole.n;
	ret->fields = unpack_fields(a, w->metadata, w->n_metadata, &ret->nfields);
	return 0;
}

void mesh_unpack_response(struct arena *a, const mesh_response_wire *w, struct mesh_response *ret, struct str *ret_body)
{
	const Dapr__Proto__Common__V1__InvokeResponse *m = w->message;

	memset(ret, 0, sizeof(*ret));
	ret->message = STR("");
	if (w->status != NULL) {
		ret->status = w->status->code;
		ret->message = text(w->status->message);
		ret->ndetails = w->status->n_details;
		ret->details = w->status->details;
	}
	ret->content_type = m ? text(m->content_type) : STR("");
	ret->type_url = m && m->data ? text(m->data->type_url) : STR("");
	*ret_body = m && m->data ? (struct str){ (const char *)m->data->value.data, m->data->value.len } : STR("");
	ret->fields = unpack_fields(a, (entry *const *)w->headers, w->n_headers, &ret->nfields);
	if (m == NULL) /* of Dapr's streams of events */
		ret->content_type = text_or_empty(mesh_metadata(ret->fields, ret->nfields, "content-type"));
	ret->trailers = unpack_fields(a, (entry *const *)w->trailers, w->n_trailers, &ret->ntrailers);
}
