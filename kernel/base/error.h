/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one form of failure. A block or policy fills it; only kernel/api turns it into HTTP or gRPC. Texts live in the
 * call's arena. Codes are gRPC's (https://grpc.github.io/grpc/core/md_doc_statuscodes.html).
 */
#ifndef BASE_ERROR_H
#define BASE_ERROR_H
#include "base/arena.h"
#include "base/str.h"

enum error_code {
	ERROR_OK,
	ERROR_CANCELLED,
	ERROR_UNKNOWN,
	ERROR_INVALID_ARGUMENT,
	ERROR_DEADLINE_EXCEEDED,
	ERROR_NOT_FOUND,
	ERROR_ALREADY_EXISTS,
	ERROR_PERMISSION_DENIED,
	ERROR_RESOURCE_EXHAUSTED,
	ERROR_FAILED_PRECONDITION,
	ERROR_ABORTED,
	ERROR_OUT_OF_RANGE,
	ERROR_UNIMPLEMENTED,
	ERROR_INTERNAL,
	ERROR_UNAVAILABLE,
	ERROR_DATA_LOSS,
	ERROR_UNAUTHENTICATED
};

/* One google.rpc detail (https://google.aip.dev/193). Order in the list is the order on the wire. */
enum error_detail_kind { DETAIL_ERROR_INFO, DETAIL_RESOURCE_INFO, DETAIL_HELP, DETAIL_BAD_REQUEST, DETAIL_PACKED };

struct error_pair {
	struct str key, value;
};

struct error_detail {
	struct error_detail *next;
	enum error_detail_kind kind;
	struct str reason, domain;	     /* ERROR_INFO; no domain: dapr.io */
	struct str type, name, owner, about; /* RESOURCE_INFO: type, name, owner, description; HELP: name = url, about;
						 BAD_REQUEST: name = field, about;
						 PACKED: type = its URL, about = the message's bytes */
	size_t npairs;			     /* ERROR_INFO metadata; none: JSON has {}, without `pairs` null */
	const struct error_pair *pairs;
	int pairs_http_only; /* gRPC does not show them, as Dapr's does not */
};

struct error {
	int32_t code;	      /* enum error_code; OK means there is none */
	int32_t http;	      /* status for HTTP; 0: from the code, by the table in api/errors.c */
	const char *tag;      /* Dapr's errorCode, such as "ERR_STATE_GET"; NULL: the detail's reason */
	const char *category; /* of the metric of error codes: "state", "secret" …; NULL: "common" */
	int info_on_grpc;     /* there the tag goes into an ErrorInfo, which HTTP does without */
	const char *reason;   /* a plugin's reason word, such as "ETAG_MISMATCH"; NULL: none */
	struct str message;
	struct error_detail *details;
	const struct error *grpc; /* what gRPC is told instead; NULL: the same */
};

#define ERROR_NONE ((struct error){ .code = ERROR_OK })

static inline int error_is(const struct error *e)
{
	return e->code != ERROR_OK;
}

struct error error_new(struct arena *a, int code, const char *tag, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
/* Adds a detail at the end and returns it, zeroed but for its kind. */
struct error_detail *error_detail(struct arena *a, struct error *e, enum error_detail_kind kind);
const char *error_code_name(int code); /* Go's spelling, such as "InvalidArgument" */
const char *error_code_word(int code); /* the specification's, such as "INVALID_ARGUMENT" */
#endif
