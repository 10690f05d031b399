/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages of any bytes as every type that a client, an application, another sidecar or a pluggable component can send: the
 * first byte chooses. What is unpacked is packed again, and must then unpack to the same bytes.
 */
#include <dapr/proto/internals/v1/service_invocation.pb-c.h>
#include <dapr/proto/runtime/v1/appcallback.pb-c.h>
#include <dapr/proto/runtime/v1/dapr.pb-c.h>
#include <dapr/proto/components/v1/pubsub.pb-c.h>
#include <dapr/proto/components/v1/secretstore.pb-c.h>
#include <dapr/proto/components/v1/state.pb-c.h>
#include <grpc/reflection/v1/reflection.pb-c.h>

#include "fuzz_input.h"
#include "grpc/server.h"

static const ProtobufCServiceDescriptor *const services[] = {
	&dapr__proto__runtime__v1__dapr__descriptor, &dapr__proto__runtime__v1__app_callback__descriptor,
	&dapr__proto__internals__v1__service_invocation__descriptor
};

static const ProtobufCMessageDescriptor *const more[] = {
	&grpc__reflection__v1__server_reflection_request__descriptor,
	&dapr__proto__components__v1__get_response__descriptor,
	&dapr__proto__components__v1__bulk_get_response__descriptor,
	&dapr__proto__components__v1__query_response__descriptor,
	&dapr__proto__components__v1__pull_messages_response__descriptor,
	&dapr__proto__components__v1__bulk_get_secret_response__descriptor,
};

static const ProtobufCMessageDescriptor *type_of(unsigned choice)
{
	size_t i, n = sizeof(services) / sizeof(services[0]), at = choice;

	for (i = 0; i < n; i++) {
		if (at < 2 * services[i]->n_methods)
			return at & 1 ? services[i]->methods[at / 2].output : services[i]->methods[at / 2].input;
		at -= 2 * services[i]->n_methods;
	}
	return more[at % (sizeof(more) / sizeof(more[0]))];
}

static struct str packed(struct arena *a, const ProtobufCMessage *m)
{
	size_t n = protobuf_c_message_get_packed_size(m);
	char *p = arena_alloc(a, n + 1);

	fuzz_require(protobuf_c_message_pack(m, (uint8_t *)p) == n);
	return (struct str){ p, n };
}

static void run(struct arena *a, struct str input)
{
	const ProtobufCMessageDescriptor *type = type_of(fuzz_choice(&input));
	struct error e = ERROR_NONE;
	struct str bytes;
	void *m, *again;

	m = grpc_unpack(a, type, input, &e);
	if (m == NULL) {
		fuzz_require(error_is(&e) && e.message.n > 0);
		return;
	}
	FUZZ_PLANTED(type == services[0]->methods[0].input && input.n > 8);
	bytes = packed(a, m);
	again = grpc_unpack(a, type, bytes, &e);
	/* What takes more memory than its bytes allow may be refused the second time: they are fewer then. */
	fuzz_require(again != NULL || e.code == ERROR_RESOURCE_EXHAUSTED);
	if (again != NULL)
		fuzz_require(str_eq(packed(a, again), bytes));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	return fuzz_input(data, size, run);
}
