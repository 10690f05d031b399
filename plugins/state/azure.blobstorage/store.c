/* SPDX-License-Identifier: Apache-2.0 */
/* state.azure.blobstorage, v1 and v2: state in Azure's Blob Storage. */
#include "store.h"

#include <davit/fiber.h>
#include <davit/truth.h>
#include <stdlib.h>

#include "azure/escape.h"

static void store_free(struct store *s)
{
	azure_storage_close(&s->storage);
	free(s->container);
	free(s);
}

static davit_status container_request(struct store *s, struct davit_call *call, const char *method,
				      struct davit_str access, struct azure_fault *f)
{
	static const struct davit_pair query[] = { { { "restype", 7 }, { "container", 9 } } };
	struct azure_storage_request q = {
		.method = method, .path = davit_str(s->container), .query = query, .nquery = 1
	};
	const struct davit_http_response *r;
	davit_status status;

	if (azure_storage_field(&q, "x-ms-blob-public-access", access, f) < 0)
		return f->status;
	status = azure_storage_send(&s->storage, call, &q, &r, f);
	if (status == DAVIT_OK)
		davit_http_service(s->storage.instance)->release(r);
	return status;
}

/* disableEntityManagement: the container is somebody else's affair, and may only be missed by the first operation. */
static davit_status ensure_container(struct store *s, struct davit_call *call, const struct davit_open *in,
				     struct azure_fault *f)
{
	struct davit_str access = davit_prop(in, "publicAccessLevel");
	davit_status status;

	if (davit_truth(davit_prop(in, "disableEntityManagement")))
		return DAVIT_OK;
	if (davit_str_is(access, "none"))
		access.n = 0;
	status = container_request(s, call, "PUT", access, f);
	if (status == DAVIT_OK || strcmp(f->code, "ContainerAlreadyExists") == 0 ||
	    strcmp(f->code, "ResourceAlreadyExists") == 0)
		return DAVIT_OK;
	return status;
}

static int read_retries(const struct davit_open *in, int *ret, struct azure_fault *f)
{
	struct davit_str text = davit_prop(in, "retryCount");
	char *end;
	long n;

	*ret = 3;
	if (text.n == 0)
		return 0;
	n = strtol(text.p, &end, 10);
	if (*end != '\0' || n < 0 || n > 100) {
		azure_fault_set(f, DAVIT_INVALID_ARGUMENT, "retryCount must be a whole number from 0 to 100, not %.*s",
				text.n > 32 ? 32 : (int)text.n, text.p);
		return -1;
	}
	*ret = (int)n;
	return 0;
}

static davit_status set_up(struct store *s, struct davit_call *call, const struct davit_open *in, struct azure_fault *f)
{
	struct davit_str name = azure_escape(call, davit_prop(in, "containerName"));
	davit_status status;

	if (azure_storage_open(&s->storage, in, "blob", f) < 0 || read_retries(in, &s->storage.retries, f) < 0)
		return f->status;
	if (name.p == NULL || asprintf(&s->container, "/%s", name.p) < 0) {
		s->container = NULL;
		return azure_fault_no_memory(f);
	}
	status = ensure_container(s, call, in, f);
	if (status != DAVIT_OK) {
		struct azure_fault why = *f;

		return azure_fault_set(f, status, "failed to create Azure Storage container %.*s: %.800s",
				       name.n > 100 ? 100 : (int)name.n, name.p, why.text);
	}
	return DAVIT_OK;
}

static davit_status store_open(void *none, struct davit_call *call, const struct davit_open *in)
{
	struct store *s = calloc(1, sizeof(*s));
	struct azure_fault f;
	davit_status status;

	(void)none;
	if (s == NULL)
		return davit_fail(call, DAVIT_EXHAUSTED, NULL, "no memory left");
	s->whole_key = davit_str_is(in->version, "v2");
	status = set_up(s, call, in, &f);
	if (status == DAVIT_OK)
		status = davit_emit_self(call, s);
	else
		davit_fail(call, status, NULL, "%s", f.text);
	if (status != DAVIT_OK)
		store_free(s);
	return status;
}

static davit_status store_close(void *self, struct davit_call *call, const void *none)
{
	struct store *s = self;
	const struct davit_fiber_service *fiber = davit_fiber_service(s->storage.instance);

	(void)none;
	s->closer = fiber->self(s->storage.instance);
	while (s->users > 0)
		if (fiber->park(s->storage.instance, call, 0) != DAVIT_OK)
			return davit_fail(call, DAVIT_DEADLINE_EXCEEDED, NULL, "%llu operations have not ended",
					  (unsigned long long)s->users);
	store_free(s);
	return DAVIT_OK;
}

static davit_status ping(struct store *s, struct davit_call *call, const void *none)
{
	struct azure_fault f;
	davit_status status = container_request(s, call, "GET", davit_str(NULL), &f);

	(void)none;
	if (status == DAVIT_OK)
		return DAVIT_OK;
	return davit_fail(call, status, NULL, "error connecting to Azure Blob Storage at '%s%s': %s", s->storage.base,
			  s->container, f.text);
}

/* Each operation is counted, so that close() knows when nobody is here any more. */
static davit_status leave(struct store *s, davit_status status)
{
	s->users--;
	if (s->users == 0 && s->closer != NULL)
		davit_fiber_service(s->storage.instance)->wake(s->closer);
	return status;
}

#define COUNTED(name, fn, type) \
	static davit_status name(void *self, struct davit_call *call, const type *in) \
	{ \
		struct store *s = self; \
\
		s->users++; \
		return leave(s, fn(s, call, in)); \
	}

COUNTED(store_get, blob_get, struct davit_state_key)
COUNTED(store_set, blob_set, struct davit_state_set)
COUNTED(store_del, blob_del, struct davit_state_key)
COUNTED(store_ping, ping, void)

static const struct davit_state_ops store_ops = DAVIT_INIT(davit_state_ops, .features = DAVIT_STATE_ETAG,
							   .get = store_get, .set = store_set, .del = store_del);

#define STORE(version) \
	DAVIT_STATE("state.azure.blobstorage", version, &store_ops, .flags = DAVIT_LOOP | DAVIT_PER_LOOP, \
		    .open = store_open, .close = store_close, .ping = store_ping)

static const struct davit_component store_v1 = STORE("v1"), store_v2 = STORE("v2");

DAVIT_PLUGIN(PLUGIN_NAME, PLUGIN_VERSION, "Davit", &store_v1, &store_v2);
