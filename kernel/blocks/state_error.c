/* SPDX-License-Identifier: Apache-2.0 */
#include "blocks/state_error.h"

#include "base/banned.h"

static struct error make(struct arena *a, int code, int http, const char *tag, struct str message)
{
	struct error e = error_new(a, code, tag, STR_FMT, STR_ARG(message));

	e.http = http;
	e.category = "state";
	return e;
}

static void add_resource(struct arena *a, struct error *e, struct str store)
{
	struct error_detail *d = error_detail(a, e, DETAIL_RESOURCE_INFO);

	d->type = STR("state");
	d->name = store;
}

static struct error_detail *add_info(struct arena *a, struct error *e, const char *reason)
{
	struct error_detail *d = error_detail(a, e, DETAIL_ERROR_INFO);

	d->reason = str_of(reason);
	return d;
}

static void add_app_id(struct arena *a, struct error_detail *info, struct str app_id)
{
	struct error_pair *p = arena_alloc(a, sizeof(*p));

	if (app_id.n == 0)
		return;
	*p = (struct error_pair){ STR("appID"), app_id };
	info->pairs = p;
	info->npairs = 1;
	info->pairs_http_only = 1;
}

struct error state_error_not_configured(struct arena *a, struct str store, struct str app_id)
{
	struct error e = make(a, ERROR_FAILED_PRECONDITION, 500, "ERR_STATE_STORE_NOT_CONFIGURED",
			      arena_printf(a, "state store " STR_FMT " is not configured", STR_ARG(store)));

	add_app_id(a, add_info(a, &e, "DAPR_STATE_NOT_CONFIGURED"), app_id);
	return e;
}

struct error state_error_not_found(struct arena *a, struct str store, struct str app_id)
{
	struct error e = make(a, ERROR_INVALID_ARGUMENT, 400, "ERR_STATE_STORE_NOT_FOUND",
			      arena_printf(a, "state store " STR_FMT " is not found", STR_ARG(store)));

	add_app_id(a, add_info(a, &e, "DAPR_STATE_NOT_FOUND"), app_id);
	return e;
}

struct error state_error_illegal_key(struct arena *a, struct str store, struct str key)
{
	struct error e = make(a, ERROR_INVALID_ARGUMENT, 400, "ERR_MALFORMED_REQUEST",
			      arena_printf(a, "input key/keyPrefix '" STR_FMT "' can't contain '||'", STR_ARG(key)));
	struct error_detail *d = error_detail(a, &e, DETAIL_BAD_REQUEST);

	d->name = key;
	d->about = e.message;
	add_resource(a, &e, store);
	add_info(a, &e, "DAPR_STATE_ILLEGAL_KEY");
	return e;
}

struct error state_error_no_transactions(struct arena *a, struct str store)
{
	struct error e = make(a, ERROR_UNIMPLEMENTED, 500, "ERR_STATE_STORE_NOT_SUPPORTED",
			      arena_printf(a, "state store " STR_FMT " doesn't support transactions", STR_ARG(store)));
	struct error_detail *d = error_detail(a, &e, DETAIL_HELP);

	d->name = STR("https://docs.dapr.io/reference/components-reference/supported-state-stores/");
	d->about = STR("Check the list of state stores and the features they support");
	add_resource(a, &e, store);
	add_info(a, &e, "DAPR_STATE_TRANSACTIONS_NOT_SUPPORTED");
	return e;
}

struct error state_error_too_many(struct arena *a, struct str store, size_t n, size_t most)
{
	struct error e = make(a, ERROR_INVALID_ARGUMENT, 400, "ERR_STATE_STORE_TOO_MANY_TRANSACTIONS",
			      arena_printf(a,
					   "the transaction contains %zu operations, which is more than what the state "
					   "store supports: %zu",
					   n, most));
	struct error_pair *p = arena_alloc(a, 2 * sizeof(*p));
	struct error_detail *d;

	add_resource(a, &e, store);
	d = add_info(a, &e, "DAPR_STATE_TOO_MANY_TRANSACTIONS");
	p[0] = (struct error_pair){ STR("currentOpsTransaction"), arena_printf(a, "%zu", n) };
	p[1] = (struct error_pair){ STR("maxOpsPerTransaction"), arena_printf(a, "%zu", most) };
	d->pairs = p;
	d->npairs = 2;
	return e;
}

struct error state_error_no_query(struct arena *a, struct str store)
{
	struct error e = make(a, ERROR_INTERNAL, 500, "ERR_STATE_STORE_NOT_SUPPORTED",
			      STR("state store does not support querying"));

	add_resource(a, &e, store);
	add_info(a, &e, "DAPR_STATE_QUERYING_NOT_SUPPORTED");
	return e;
}

struct error state_error_query_failed(struct arena *a, struct str store, struct str why)
{
	struct error e = make(a, ERROR_INTERNAL, 500, "ERR_STATE_QUERY",
			      arena_printf(a, "state store " STR_FMT " query failed: " STR_FMT, STR_ARG(store),
					   STR_ARG(why)));

	add_resource(a, &e, store);
	add_info(a, &e, "DAPR_STATE_QUERY_FAILED");
	return e;
}

struct error state_error_operation(struct arena *a, struct str operation)
{
	struct error e = make(a, ERROR_UNIMPLEMENTED, 400, "ERR_NOT_SUPPORTED_STATE_OPERATION",
			      arena_printf(a, "operation type " STR_FMT " not supported", STR_ARG(operation)));

	e.info_on_grpc = 1;
	return e;
}

static int is_reason(const struct answer *got, const char *reason)
{
	return got->reason != NULL && strcmp(got->reason, reason) == 0;
}

struct str state_error_text(struct arena *a, const struct answer *got)
{
	const char *prefix = is_reason(got, "ETAG_MISMATCH")  ? "possible etag mismatch. error from state store"
			     : is_reason(got, "ETAG_INVALID") ? "invalid etag value"
							      : NULL;

	if (prefix == NULL)
		return got->message.n ? got->message : str_of(error_code_name(got->status));
	return got->message.n ? arena_printf(a, "%s: " STR_FMT, prefix, STR_ARG(got->message)) : str_of(prefix);
}

int32_t state_error_code(const struct answer *got)
{
	if (got->error == NULL && (got->status == DAVIT_CANCELLED || got->status == DAVIT_DEADLINE_EXCEEDED ||
				   got->status == DAVIT_EXHAUSTED || got->status == DAVIT_UNAVAILABLE))
		return got->status;
	return ERROR_INTERNAL;
}

struct error state_error_of(struct arena *a, const struct answer *got, const char *tag, struct str message)
{
	struct error e = make(a, state_error_code(got), 500, tag, message);

	e.info_on_grpc = 1;
	if (got->error != NULL && got->error->http != 0) { /* one of Dapr's own, out of another process */
		e.http = got->error->http;
		e.grpc = got->error;
	} else if (is_reason(got, "ETAG_MISMATCH")) {
		e.code = ERROR_ABORTED;
		e.http = 409;
	} else if (is_reason(got, "ETAG_INVALID")) {
		e.code = ERROR_INVALID_ARGUMENT;
		e.http = 400;
	}
	return e;
}

struct error state_error_plain(struct arena *a, const char *tag, struct str message)
{
	struct error e = make(a, ERROR_INTERNAL, 500, tag, message);

	e.info_on_grpc = 1;
	return e;
}
