/* SPDX-License-Identifier: Apache-2.0 */
#include "base/error.h"

#include "base/banned.h"

static const struct {
	const char *name, *word;
} codes[] = {
	{ "OK", "OK" },
	{ "Canceled", "CANCELLED" },
	{ "Unknown", "UNKNOWN" },
	{ "InvalidArgument", "INVALID_ARGUMENT" },
	{ "DeadlineExceeded", "DEADLINE_EXCEEDED" },
	{ "NotFound", "NOT_FOUND" },
	{ "AlreadyExists", "ALREADY_EXISTS" },
	{ "PermissionDenied", "PERMISSION_DENIED" },
	{ "ResourceExhausted", "RESOURCE_EXHAUSTED" },
	{ "FailedPrecondition", "FAILED_PRECONDITION" },
	{ "Aborted", "ABORTED" },
	{ "OutOfRange", "OUT_OF_RANGE" },
	{ "Unimplemented", "UNIMPLEMENTED" },
	{ "Internal", "INTERNAL" },
	{ "Unavailable", "UNAVAILABLE" },
	{ "DataLoss", "DATA_LOSS" },
	{ "Unauthenticated", "UNAUTHENTICATED" },
};

static size_t index_of(int code)
{
	return code >= 0 && (size_t)code < sizeof(codes) / sizeof(codes[0]) ? (size_t)code : ERROR_UNKNOWN;
}

const char *error_code_name(int code)
{
	return codes[index_of(code)].name;
}

const char *error_code_word(int code)
{
	return codes[index_of(code)].word;
}

struct error error_new(struct arena *a, int code, const char *tag, const char *fmt, ...)
{
	struct error e = { .code = code, .tag = tag };
	va_list ap;

	va_start(ap, fmt);
	e.message = arena_vprintf(a, fmt, ap);
	va_end(ap);
	return e;
}

struct error_detail *error_detail(struct arena *a, struct error *e, enum error_detail_kind kind)
{
	struct error_detail *d = arena_zalloc(a, sizeof(*d)), **at = &e->details;

	d->kind = kind;
	while (*at != NULL)
		at = &(*at)->next;
	*at = d;
	return d;
}
