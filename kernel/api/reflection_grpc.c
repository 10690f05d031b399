/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Server reflection (https://github.com/grpc/grpc/blob/master/doc/server-reflection.md), v1 and v1alpha, whose messages are
 * the same on the wire. The descriptors are the set that protoc made; a look-up reads through it, which is rare and quick.
 */
#include <google/protobuf/descriptor.pb-c.h>
#include <grpc/reflection/v1/reflection.pb-c.h>

#include "api/grpc.h"
#include "base/banned.h"
#include "proto/descriptors.h"

typedef Google__Protobuf__FileDescriptorProto file_type;
typedef Grpc__Reflection__V1__ServerReflectionRequest request_type;
typedef Grpc__Reflection__V1__ServerReflectionResponse response_type;

struct files {
	struct arena *a;
	struct str *bytes; /* of each file, borrowed from the set */
	file_type **files;
	size_t n;
};

/* The next file of the set: a field 1 of wire type 2 (https://protobuf.dev/programming-guides/encoding/). */
static int next_file(struct str *rest, struct str *ret_file)
{
	uint64_t n = 0;
	unsigned shift = 0;
	size_t at = 1;

	if (rest->n < 2 || (unsigned char)rest->p[0] != 0x0a)
		return 0;
	do {
		n |= (uint64_t)((unsigned char)rest->p[at] & 0x7f) << shift;
		shift += 7;
	} while (((unsigned char)rest->p[at++] & 0x80) && at < rest->n && shift < 35);
	if (n > rest->n - at)
		return 0;
	*ret_file = (struct str){ rest->p + at, n };
	*rest = str_from(*rest, at + n);
	return 1;
}

static void read_files(struct arena *a, struct files *f)
{
	struct str rest = { (const char *)proto_descriptors, proto_descriptors_size }, one;
	struct error e;

	*f = (struct files){ .a = a,
			     .bytes = arena_alloc(a, 256 * sizeof(struct str)),
			     .files = arena_alloc(a, 256 * sizeof(file_type *)) };
	while (f->n < 256 && next_file(&rest, &one)) {
		f->bytes[f->n] = one;
		f->files[f->n] = grpc_unpack(a, &google__protobuf__file_descriptor_proto__descriptor, one, &e);
		if (f->files[f->n] != NULL)
			f->n++;
	}
}

/* The part of a symbol behind "package."; p == NULL: it is not of this package. */
static struct str inside(const file_type *f, struct str symbol)
{
	struct str package = skin_text(f->package);

	if (package.n == 0)
		return symbol;
	if (!str_starts(symbol, package) || symbol.n <= package.n || symbol.p[package.n] != '.')
		return STR_NONE;
	return str_from(symbol, package.n + 1);
}

static int in_message(const Google__Protobuf__DescriptorProto *m, struct str name)
{
	struct str head, tail;
	size_t i;

	str_cut(name, '.', &head, &tail);
	if (!str_eq(head, skin_text(m->name)))
		return 0;
	if (tail.n == 0)
		return 1;
	for (i = 0; i < m->n_field; i++)
		if (str_eq(tail, skin_text(m->field[i]->name)))
			return 1;
	for (i = 0; i < m->n_enum_type; i++)
		if (str_eq(tail, skin_text(m->enum_type[i]->name)))
			return 1;
	for (i = 0; i < m->n_nested_type; i++)
		if (in_message(m->nested_type[i], tail))
			return 1;
	return 0;
}

static int defines(const file_type *f, struct str symbol)
{
	struct str name = inside(f, symbol), head, tail;
	size_t i, k;

	if (name.p == NULL)
		return 0;
	str_cut(name, '.', &head, &tail);
	for (i = 0; i < f->n_service; i++) {
		if (!str_eq(head, skin_text(f->service[i]->name)))
			continue;
		for (k = 0; tail.n > 0 && k < f->service[i]->n_method; k++)
			if (str_eq(tail, skin_text(f->service[i]->method[k]->name)))
				return 1;
		return tail.n == 0;
	}
	for (i = 0; i < f->n_message_type; i++)
		if (in_message(f->message_type[i], name))
			return 1;
	for (i = 0; i < f->n_enum_type; i++)
		if (str_eq(name, skin_text(f->enum_type[i]->name)))
			return 1;
	return 0;
}

static ptrdiff_t find_name(const struct files *f, struct str name)
{
	size_t i;

	for (i = 0; i < f->n; i++)
		if (str_eq(skin_text(f->files[i]->name), name))
			return (ptrdiff_t)i;
	return -1;
}

/* The file and all it imports, each once; the imports of a file stand after it. */
static void add_with_imports(const struct files *f, size_t at, char *taken, ProtobufCBinaryData *list, size_t *n)
{
	size_t next = *n, first = *n, i;
	size_t *order = arena_alloc(f->a, sizeof(*order) * (f->n + 1));

	if (taken[at])
		return;
	taken[at] = 1;
	order[*n] = at;
	list[(*n)++] = (ProtobufCBinaryData){ f->bytes[at].n, (uint8_t *)f->bytes[at].p };
	for (next = first; next < *n; next++) {
		const file_type *file = f->files[order[next]];

		for (i = 0; i < file->n_dependency; i++) {
			ptrdiff_t k = find_name(f, skin_text(file->dependency[i]));

			if (k < 0 || taken[k])
				continue;
			taken[k] = 1;
			order[*n] = (size_t)k;
			list[(*n)++] = (ProtobufCBinaryData){ f->bytes[k].n, (uint8_t *)f->bytes[k].p };
		}
	}
}

static void answer_file(struct arena *a, const struct files *f, ptrdiff_t at, response_type *out)
{
	Grpc__Reflection__V1__FileDescriptorResponse *files = arena_alloc(a, sizeof(*files));
	Grpc__Reflection__V1__ErrorResponse *error = arena_alloc(a, sizeof(*error));

	if (at < 0) {
		grpc__reflection__v1__error_response__init(error);
		error->error_code = ERROR_NOT_FOUND;
		error->error_message = (char *)"there is no such file or symbol";
		out->message_response_case =
			GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_ERROR_RESPONSE;
		out->error_response = error;
		return;
	}
	grpc__reflection__v1__file_descriptor_response__init(files);
	files->file_descriptor_proto = arena_alloc(a, sizeof(ProtobufCBinaryData) * (f->n + 1));
	add_with_imports(f, (size_t)at, arena_zalloc(a, f->n + 1), files->file_descriptor_proto,
			 &files->n_file_descriptor_proto);
	out->message_response_case =
		GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_FILE_DESCRIPTOR_RESPONSE;
	out->file_descriptor_response = files;
}

static void answer_services(struct grpc_call *c, struct arena *a, response_type *out)
{
	Grpc__Reflection__V1__ListServiceResponse *list = arena_alloc(a, sizeof(*list));
	const struct grpc_service *const *s;
	Grpc__Reflection__V1__ServiceResponse *one;

	grpc__reflection__v1__list_service_response__init(list);
	list->service = arena_alloc(a, sizeof(*list->service) * 16);
	for (s = c->o->services; *s != NULL && list->n_service < 16; s++) {
		one = arena_alloc(a, sizeof(*one));
		grpc__reflection__v1__service_response__init(one);
		one->name = (char *)(*s)->name;
		list->service[list->n_service++] = one;
	}
	out->message_response_case =
		GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_LIST_SERVICES_RESPONSE;
	out->list_services_response = list;
}

static void answer_unknown(struct arena *a, response_type *out)
{
	Grpc__Reflection__V1__ErrorResponse *error = arena_alloc(a, sizeof(*error));

	grpc__reflection__v1__error_response__init(error);
	error->error_code = ERROR_UNIMPLEMENTED;
	error->error_message = (char *)"extensions are not served: the files have none";
	out->message_response_case = GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_ERROR_RESPONSE;
	out->error_response = error;
}

static int answer(struct grpc_call *c, struct arena *a, request_type *in)
{
	response_type out = GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__INIT;
	struct files f;
	size_t i;
	ptrdiff_t at = -1;

	out.valid_host = in->host;
	out.original_request = in;
	switch (in->message_request_case) {
	case GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_FILE_BY_FILENAME:
		read_files(a, &f);
		answer_file(a, &f, find_name(&f, skin_text(in->file_by_filename)), &out);
		break;
	case GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_FILE_CONTAINING_SYMBOL:
		read_files(a, &f);
		for (i = 0; i < f.n && at < 0; i++)
			if (defines(f.files[i], skin_text(in->file_containing_symbol)))
				at = (ptrdiff_t)i;
		answer_file(a, &f, at, &out);
		break;
	case GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_LIST_SERVICES:
		answer_services(c, a, &out);
		break;
	default: answer_unknown(a, &out);
	}
	return grpc_send(c, &out.base);
}

static struct error reflect(struct grpc_call *c)
{
	struct error e = ERROR_NONE;
	void *in;
	int got;

	while ((got = grpc_recv(c, &grpc__reflection__v1__server_reflection_request__descriptor, &in, &e)) > 0)
		if (answer(c, c->message_arena, in) < 0)
			return error_new(c->arena, ERROR_CANCELLED, NULL, "the client has gone");
	return got < 0 ? e : ERROR_NONE;
}

static const struct grpc_method methods[] = {
	{ "ServerReflectionInfo", GRPC_BIDI, &grpc__reflection__v1__server_reflection_request__descriptor,
	  &grpc__reflection__v1__server_reflection_response__descriptor, NULL, reflect },
};

const struct grpc_service reflection_v1_service = { "grpc.reflection.v1.ServerReflection", methods, 1 };
const struct grpc_service reflection_v1alpha_service = { "grpc.reflection.v1alpha.ServerReflection", methods, 1 };
