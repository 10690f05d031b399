/* SPDX-License-Identifier: Apache-2.0 */
/* Get, save and delete: one request each. */
#include <davit/fiber.h>

#include "azure/escape.h"
#include "store.h"

#define VALUE_MOST (UINT64_C(256) << 20) /* bytes of a blob that is read whole */

static struct davit_str shown(struct davit_str key)
{
	return (struct davit_str){ key.p, key.n > 300 ? 300 : key.n };
}

/* v1: the part behind "||" where there are just two, else the first one. */
static struct davit_str name_of(const struct store *s, struct davit_str key)
{
	const char *first = s->whole_key ? NULL : memmem(key.p, key.n, "||", 2), *rest;
	size_t n;

	if (first == NULL)
		return key;
	rest = first + 2;
	n = key.n - (size_t)(rest - key.p);
	if (memmem(rest, n, "||", 2) == NULL)
		return (struct davit_str){ rest, n };
	return (struct davit_str){ key.p, (size_t)(first - key.p) };
}

static int begin(struct store *s, struct davit_call *call, const char *method, struct davit_str key,
		 struct azure_storage_request *q, struct azure_fault *f)
{
	struct davit_str name = azure_escape(call, name_of(s, key));

	*q = (struct azure_storage_request){ .method = method };
	if (name.p != NULL)
		q->path = azure_print(call, "%s/%s", s->container, name.p);
	if (q->path.p == NULL) {
		azure_fault_no_memory(f);
		return -1;
	}
	if (name.n == 0) {
		azure_fault_set(f, DAVIT_INVALID_ARGUMENT, "a key must name a blob: nothing is left of it");
		return -1;
	}
	return 0;
}

static davit_status tell(struct davit_call *call, const struct azure_fault *f, const char *doing, struct davit_str key)
{
	return davit_fail(call, f->status, NULL, "error %s blob for key %.*s: %s", doing, (int)shown(key).n, key.p,
			  f->text);
}

davit_status blob_get(struct store *s, struct davit_call *call, const struct davit_state_key *in)
{
	struct davit_state_item item = DAVIT_INIT(davit_state_item, .key = in->key);
	const struct davit_http_response *r;
	struct azure_storage_request q;
	struct azure_fault f;
	davit_status status;

	if (begin(s, call, "GET", in->key, &q, &f) < 0)
		return tell(call, &f, "reading", in->key);
	q.body_limit = VALUE_MOST;
	if (azure_storage_send(&s->storage, call, &q, &r, &f) != DAVIT_OK) {
		if (strcmp(f.code, "BlobNotFound") == 0)
			return DAVIT_OK;
		return tell(call, &f, "reading", in->key);
	}
	item.value = r->body;
	item.etag = davit_http_field(r, "etag");
	item.content_type = davit_http_field(r, "content-type");
	status = davit_emit_state(call, &item);
	davit_http_service(s->storage.instance)->release(r);
	return status;
}

/* The stored blob is another one than the caller saw. */
static int is_conflict(const struct azure_fault *f)
{
	return strcmp(f->code, "ConditionNotMet") == 0 || strcmp(f->code, "BlobAlreadyExists") == 0;
}

static davit_status told_conflict(struct davit_call *call, const struct azure_fault *f, struct davit_str key)
{
	return davit_fail(call, DAVIT_ABORTED, "ETAG_MISMATCH", "possible etag mismatch for key %.*s: %s",
			  (int)shown(key).n, key.p, f->text);
}

/* 1: a blob that is not there any more has no ETag to match. */
static int is_gone(const struct azure_fault *f)
{
	return strcmp(f->code, "BlobNotFound") == 0;
}

davit_status blob_set(struct store *s, struct davit_call *call, const struct davit_state_set *in)
{
	const struct davit_http_response *r;
	struct azure_storage_request q;
	struct azure_fault f;
	int has_etag = (in->flags & DAVIT_STATE_HAS_ETAG) && in->etag.n > 0;

	if (begin(s, call, "PUT", in->key, &q, &f) < 0)
		return tell(call, &f, "uploading", in->key);
	q.body = in->value;
	if ((has_etag && azure_storage_field(&q, "if-match", in->etag, &f) < 0) ||
	    (!has_etag && (in->flags & DAVIT_STATE_FIRST_WRITE) &&
	     azure_storage_field(&q, "if-none-match", davit_str("*"), &f) < 0) ||
	    azure_storage_field(&q, "x-ms-blob-type", davit_str("BlockBlob"), &f) < 0 ||
	    azure_storage_field(&q, "content-type", davit_str("application/octet-stream"), &f) < 0 ||
	    blob_properties(call, in, &q, &f) < 0)
		return tell(call, &f, "uploading", in->key);
	if (azure_storage_send(&s->storage, call, &q, &r, &f) != DAVIT_OK) {
		if (is_conflict(&f) || (has_etag && is_gone(&f)))
			return told_conflict(call, &f, in->key);
		return tell(call, &f, "uploading", in->key);
	}
	davit_http_service(s->storage.instance)->release(r);
	return DAVIT_OK;
}

davit_status blob_del(struct store *s, struct davit_call *call, const struct davit_state_key *in)
{
	const struct davit_http_response *r;
	struct azure_storage_request q;
	struct azure_fault f;

	if (begin(s, call, "DELETE", in->key, &q, &f) < 0 ||
	    ((in->flags & DAVIT_STATE_HAS_ETAG) && azure_storage_field(&q, "if-match", in->etag, &f) < 0))
		return tell(call, &f, "deleting", in->key);
	if (azure_storage_send(&s->storage, call, &q, &r, &f) != DAVIT_OK) {
		if (is_gone(&f)) /* as Dapr: nothing to delete is no error */
			return DAVIT_OK;
		if (is_conflict(&f))
			return told_conflict(call, &f, in->key);
		return tell(call, &f, "deleting", in->key);
	}
	davit_http_service(s->storage.instance)->release(r);
	return DAVIT_OK;
}
