/* SPDX-License-Identifier: Apache-2.0 */
#include "grpc/client_status.h"

#include "base/banned.h"
#include "grpc/inside.h"

static struct str field(const struct http_field *fields, size_t n, struct str name)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (str_eq(fields[i].name, name))
			return fields[i].value;
	return STR_NONE;
}

static int is_grpc(struct str type)
{
	const struct str base = STR("application/grpc");

	return str_istarts(type, base) && (type.n == base.n || type.p[base.n] == '+' || type.p[base.n] == ';');
}

/* https://github.com/grpc/grpc/blob/master/doc/http-grpc-status-mapping.md */
static int code_of_http(int status)
{
	switch (status) {
	case 400: return ERROR_INTERNAL;
	case 401: return ERROR_UNAUTHENTICATED;
	case 403: return ERROR_PERMISSION_DENIED;
	case 404: return ERROR_UNIMPLEMENTED;
	case 429:
	case 502:
	case 503:
	case 504: return ERROR_UNAVAILABLE;
	default: return ERROR_UNKNOWN;
	}
}

static int hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* A broken escape stays as it is, as in grpc-go. */
static struct str unpercent(struct arena *a, struct str s)
{
	char *p = arena_try(a, s.n + 1), *to = p;
	size_t i;

	if (p == NULL)
		return STR("out of memory");
	for (i = 0; i < s.n; i++) {
		int high = s.p[i] == '%' && i + 2 < s.n ? hex(s.p[i + 1]) : -1;
		int low = high >= 0 ? hex(s.p[i + 2]) : -1;

		*to++ = low >= 0 ? (char)(high << 4 | low) : s.p[i];
		i += low >= 0 ? 2 : 0;
	}
	*to = '\0';
	return (struct str){ p, (size_t)(to - p) };
}

static struct error status_in(struct arena *a, const struct http_field *fields, size_t n)
{
	struct str code = field(fields, n, STR("grpc-status"));
	struct error e = ERROR_NONE;
	int64_t number;

	if (str_int(code, &number) < 0 || number < 0 || number > INT32_MAX)
		return grpc_error(a, ERROR_INTERNAL, "transport: malformed grpc-status: \"" STR_FMT "\"",
				  STR_ARG(str_upto(code, 100)));
	if (number == ERROR_OK)
		return e;
	/* As grpc-go does, one that nobody knows is passed on; what could be taken for a status of HTTP is not. */
	e.code = number < 100 ? (int32_t)number : ERROR_UNKNOWN;
	e.message = unpercent(a, field(fields, n, STR("grpc-message")));
	return e;
}

int grpc_status_of_head(const struct http_call *c, struct error *ret_error)
{
	struct str type = http_call_field(c, STR("content-type"));

	if (is_grpc(type) && (c->status == 200 || http_call_field(c, STR("grpc-status")).p != NULL))
		return 0;
	*ret_error =
		is_grpc(type)
			? grpc_error(c->arena, code_of_http(c->status),
				     "unexpected HTTP status code received from server: %d (%s)", c->status,
				     http_reason(c->status))
			: grpc_error(c->arena, code_of_http(c->status),
				     "unexpected HTTP status code received from server: %d (%s); transport: received "
				     "unexpected content-type \"" STR_FMT "\"",
				     c->status, http_reason(c->status), STR_ARG(str_upto(type, 100)));
	return -1;
}

struct error grpc_status_of_end(const struct http_call *c)
{
	if (c->ntrailers > 0 && field(c->trailers, c->ntrailers, STR("grpc-status")).p != NULL)
		return status_in(c->arena, c->trailers, c->ntrailers);
	if (c->ntrailers == 0 && c->received == 0 && field(c->fields, c->nfields, STR("grpc-status")).p != NULL)
		return status_in(c->arena, c->fields, c->nfields);
	return (struct error){ .code = ERROR_INTERNAL,
			       .message = STR("server closed the stream without sending trailers") };
}

struct error grpc_status_of_failure(struct arena *a, struct error e)
{
	if (e.code == ERROR_UNAVAILABLE && str_starts(e.message, STR("dial ")))
		return grpc_error(a, ERROR_UNAVAILABLE,
				  "connection error: desc = \"transport: Error while dialing: " STR_FMT "\"",
				  STR_ARG(e.message));
	return e;
}

size_t grpc_timeout_text(int64_t left_ns, char ret_text[12])
{
	static const struct {
		int64_t ns;
		char name;
	} units[] = { { 1, 'n' },
		      { 1000, 'u' },
		      { 1000000, 'm' },
		      { 1000000000, 'S' },
		      { INT64_C(60) * 1000000000, 'M' },
		      { INT64_C(3600) * 1000000000, 'H' } };
	size_t i = 0;

	if (left_ns <= 0)
		return 0;
	while (i + 1 < sizeof(units) / sizeof(units[0]) && (left_ns - 1) / units[i].ns + 1 > 99999999)
		i++;
	return (size_t)snprintf(ret_text, 12, "%d%c", (int)((left_ns - 1) / units[i].ns + 1), units[i].name);
}
