/* SPDX-License-Identifier: Apache-2.0 */
/* What may go out: a request that smuggles another one, or cannot be read, is refused here for both versions. */
#include "base/banned.h"
#include "http/client_inside.h"

int client_is_token(struct str s)
{
	static const char other[] = "!#$%&'*+-.^_`|~";
	size_t i;

	for (i = 0; i < s.n; i++) {
		char c = s.p[i];

		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
		      (c != '\0' && strchr(other, c) != NULL)))
			return 0;
	}
	return s.n > 0;
}

static int is_target(struct str s)
{
	size_t i;

	for (i = 0; i < s.n; i++)
		if ((unsigned char)s.p[i] <= ' ' || s.p[i] == 0x7f)
			return 0;
	return s.n > 0;
}

int client_keeps_value(struct str value)
{
	size_t i;

	for (i = 0; i < value.n; i++) {
		unsigned char c = (unsigned char)value.p[i];

		if ((c < ' ' && c != '\t') || c == 0x7f)
			return 0;
	}
	return 1;
}

int client_own_field(struct str name)
{
	static const struct str own[] = { STR("host"),		 STR("connection"),
					  STR("content-length"), STR("transfer-encoding"),
					  STR("keep-alive"),	 STR("proxy-connection"),
					  STR("upgrade"),	 STR("te"),
					  STR("trailer"),	 STR("expect") };
	size_t i;

	for (i = 0; i < sizeof(own) / sizeof(own[0]); i++)
		if (str_ieq(name, own[i]))
			return 1;
	return 0;
}

struct error client_check_request(struct arena *a, const struct http_request *q)
{
	size_t i;

	if (!client_is_token(q->method) || str_ieq(q->method, STR("CONNECT")))
		return client_error(a, ERROR_INVALID_ARGUMENT, "net/http: invalid method \"" STR_FMT "\"",
				    STR_ARG(q->method));
	if (!is_target(q->target))
		return client_error(a, ERROR_INVALID_ARGUMENT, "net/http: invalid request target");
	if (!client_keeps_value(q->authority) || (q->authority.n > 0 && !is_target(q->authority)))
		return client_error(a, ERROR_INVALID_ARGUMENT, "net/http: invalid Host header");
	for (i = 0; i < q->nfields; i++) {
		if (!client_is_token(q->fields[i].name))
			return client_error(a, ERROR_INVALID_ARGUMENT,
					    "net/http: invalid header field name \"" STR_FMT "\"",
					    STR_ARG(q->fields[i].name));
		if (!client_keeps_value(q->fields[i].value))
			return client_error(a, ERROR_INVALID_ARGUMENT,
					    "net/http: invalid header field value for \"" STR_FMT "\"",
					    STR_ARG(q->fields[i].name));
	}
	return ERROR_NONE;
}
