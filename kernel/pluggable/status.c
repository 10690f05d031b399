/* SPDX-License-Identifier: Apache-2.0 */
#include "pluggable/status.h"

#include <google/protobuf/any.pb-c.h>
#include <google/rpc/error_details.pb-c.h>
#include <google/rpc/status.pb-c.h>

#include "base/banned.h"
#include "grpc/server.h"

struct str status_text(struct arena *a, const struct status *s)
{
	return arena_printf(a, "rpc error: code = %s desc = " STR_FMT, error_code_name(s->code), STR_ARG(s->message));
}

/* The only detail, if it is of that kind; NULL: it is not, or it is broken. */
static void *only_detail(struct arena *a, const struct status *s, const char *kind,
			 const ProtobufCMessageDescriptor *type)
{
	struct error e;
	Google__Rpc__Status *status;
	struct str url, bytes = grpc_bin(a, s->details);

	if (bytes.n == 0)
		return NULL;
	status = grpc_unpack(a, &google__rpc__status__descriptor, bytes, &e);
	if (status == NULL || status->n_details != 1)
		return NULL;
	url = str_of(status->details[0]->type_url);
	if (!str_ends(url, str_of(kind)) || url.n <= strlen(kind) || url.p[url.n - strlen(kind) - 1] != '/')
		return NULL;
	return grpc_unpack(a, type,
			   (struct str){ (const char *)status->details[0]->value.data, status->details[0]->value.len },
			   &e);
}

static Google__Rpc__ErrorInfo *only_info(struct arena *a, const struct status *s)
{
	return only_detail(a, s, "google.rpc.ErrorInfo", &google__rpc__error_info__descriptor);
}

static struct str field(const Google__Rpc__ErrorInfo *info, const char *key)
{
	size_t i = info->n_metadata;

	while (i-- > 0) /* of two with one key the last counts */
		if (strcmp(info->metadata[i]->key, key) == 0)
			return str_of(info->metadata[i]->value);
	return STR_NONE;
}

struct error *status_error(struct arena *a, const struct status *s)
{
	struct error *e = arena_zalloc(a, sizeof(*e));
	const Google__Rpc__ErrorInfo *info = only_info(a, s);
	struct error_detail *d;
	int64_t http;

	e->code = s->code;
	e->message = s->message;
	e->category = "pluggable";
	if (info == NULL || !str_is(field(info, "kit_error"), "true") || str_int(field(info, "http_code"), &http) < 0 ||
	    http < 100 || http > 999)
		return e;
	e->http = (int32_t)http;
	e->tag = field(info, "tag").n ? field(info, "tag").p : NULL;
	d = error_detail(a, e, DETAIL_ERROR_INFO);
	d->reason = str_of(info->reason);
	d->domain = str_of(info->domain);
	return e;
}

const char *status_etag(struct arena *a, const struct status *s, struct str *ret_why)
{
	const Google__Rpc__BadRequest *bad;

	if (s->code != ERROR_FAILED_PRECONDITION && s->code != ERROR_INVALID_ARGUMENT)
		return NULL;
	bad = only_detail(a, s, "google.rpc.BadRequest", &google__rpc__bad_request__descriptor);
	if (bad == NULL || bad->n_field_violations != 1 || strcmp(bad->field_violations[0]->field, "etag") != 0)
		return NULL;
	*ret_why = str_of(bad->field_violations[0]->description);
	return s->code == ERROR_INVALID_ARGUMENT ? "ETAG_INVALID" : "ETAG_MISMATCH";
}

int status_rows(struct arena *a, const struct status *s, int64_t *ret_expected, int64_t *ret_affected)
{
	const Google__Rpc__ErrorInfo *info;

	if (s->code != ERROR_INTERNAL)
		return 0;
	info = only_info(a, s);
	return info != NULL && str_int(field(info, "expected"), ret_expected) == 0 &&
	       str_int(field(info, "affected"), ret_affected) == 0;
}
