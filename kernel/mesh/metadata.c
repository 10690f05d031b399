/* SPDX-License-Identifier: Apache-2.0 */
/* Metadata between HTTP's fields, gRPC's metadata and the wire between sidecars, as Dapr maps them. */
#include <ctype.h>

#include "base/banned.h"
#include "base/base64.h"
#include "mesh/message.h"

struct str mesh_metadata(const struct http_field *fields, size_t n, const char *name)
{
	struct str want = str_of(name);
	size_t i;

	for (i = 0; i < n; i++)
		if (str_ieq(fields[i].name, want))
			return fields[i].value;
	return STR_NONE;
}

int mesh_came_by_grpc(const struct http_field *fields, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (str_is(fields[i].name, "content-type"))
			return str_starts(fields[i].value, STR("application/grpc"));
	return 0;
}

static int is_one_of(struct str name, const char *const *list)
{
	for (; *list != NULL; list++)
		if (str_ieq(name, str_of(*list)))
			return 1;
	return 0;
}

static const char *const hop_by_hop[] = {
	"connection", "keep-alive", "proxy-connection",	   "transfer-encoding",	 "upgrade", "http2-settings",
	"te",	      "trailer",    "proxy-authorization", "proxy-authenticate", NULL
};

/* Named by the Connection field (RFC 9110, 7.6.1). */
static int is_nominated(const struct http_field *fields, size_t n, struct str name)
{
	struct str rest, part;
	size_t i;

	for (i = 0; i < n; i++) {
		if (!str_ieq(fields[i].name, STR("connection")))
			continue;
		rest = fields[i].value;
		while (str_split(&rest, ',', &part))
			if (str_ieq(str_trim(part), name))
				return 1;
	}
	return 0;
}

static int has_connection(const struct http_field *fields, size_t n)
{
	return mesh_metadata(fields, n, "connection").p != NULL;
}

static struct str canonical(struct arena *a, struct str name)
{
	char *p = arena_alloc(a, name.n + 1);
	int up = 1;
	size_t i;

	for (i = 0; i < name.n; i++) {
		p[i] = (char)(up ? toupper((unsigned char)name.p[i]) : tolower((unsigned char)name.p[i]));
		up = name.p[i] == '-';
	}
	p[i] = '\0';
	return (struct str){ p, name.n };
}

static struct str lower(struct arena *a, struct str name)
{
	char *p = arena_alloc(a, name.n + 1);
	size_t i;

	for (i = 0; i < name.n; i++)
		p[i] = (char)tolower((unsigned char)name.p[i]);
	p[i] = '\0';
	return (struct str){ p, name.n };
}

struct http_field *mesh_from_http(struct arena *a, const struct http_field *fields, size_t n, size_t more,
				  size_t *ret_n)
{
	struct http_field *list = arena_alloc(a, (n + more + 1) * sizeof(*list));
	int connection = has_connection(fields, n);
	size_t i, count = 0;

	for (i = 0; i < n; i++) {
		if (is_one_of(fields[i].name, hop_by_hop) || str_is(fields[i].name, "host") ||
		    (connection && is_nominated(fields, n, fields[i].name)))
			continue;
		if (!str_utf8(fields[i].value))
			continue; /* the wire between sidecars cannot carry it */
		list[count++] = (struct http_field){ canonical(a, fields[i].name), fields[i].value };
	}
	*ret_n = count;
	return list;
}

static const char *const not_http[] = { "traceparent",	"tracestate",	  "grpc-trace-bin", "destination-app-id",
					"content-type", "content-length", "host",	    NULL };

static struct str http_name(struct arena *a, struct str name)
{
	if (str_is(name, ":method") || str_is(name, ":scheme") || str_is(name, ":path") || str_is(name, ":authority"))
		return arena_printf(a, "dapr-" STR_FMT, STR_ARG(str_from(name, 1)));
	if (str_istarts(name, STR("grpc-")))
		return arena_printf(a, "dapr-" STR_FMT, STR_ARG(lower(a, name)));
	return lower(a, name);
}

struct http_field *mesh_to_http(struct arena *a, const struct http_field *fields, size_t n, size_t more, size_t *ret_n)
{
	struct http_field *list = arena_alloc(a, (n + more + 1) * sizeof(*list));
	int connection = has_connection(fields, n);
	size_t i, count = 0;

	for (i = 0; i < n; i++) {
		struct str name = fields[i].name;

		if (is_one_of(name, not_http) || is_one_of(name, hop_by_hop) ||
		    (name.n > 4 && str_ieq(str_from(name, name.n - 4), STR("-bin"))) ||
		    (connection && is_nominated(fields, n, name)))
			continue;
		list[count++] = (struct http_field){ http_name(a, name), fields[i].value };
	}
	*ret_n = count;
	return list;
}

/* In the spelling of an HTTP field only. */
static int is_permanent(struct str name)
{
	static const char *const list[] = { "Accept",
					    "Accept-Charset",
					    "Accept-Language",
					    "Accept-Ranges",
					    "Connection",
					    "Keep-Alive",
					    "Proxy-Connection",
					    "Transfer-Encoding",
					    "Upgrade",
					    "Cache-Control",
					    "Content-Type",
					    "Content-Length",
					    "Cookie",
					    "Date",
					    "Expect",
					    "From",
					    "Host",
					    "If-Match",
					    "If-Modified-Since",
					    "If-None-Match",
					    "If-Schedule-Tag-Match",
					    "If-Unmodified-Since",
					    "Max-Forwards",
					    "Origin",
					    "Pragma",
					    "Referer",
					    "Via",
					    "Warning" };
	size_t i;

	for (i = 0; i < sizeof(list) / sizeof(list[0]); i++)
		if (str_is(name, list[i]))
			return 1;
	return 0;
}

/* What gRPC cannot say, or says itself. */
static int is_not_grpc(struct str name, struct str value)
{
	static const char *const ours[] = { "content-type",
					    "te",
					    "user-agent",
					    "grpc-timeout",
					    "grpc-encoding",
					    "grpc-accept-encoding",
					    "grpc-status",
					    "grpc-message",
					    "grpc-status-details-bin",
					    NULL };
	size_t i;

	if (is_one_of(name, ours) || is_one_of(name, hop_by_hop) || name.n == 0 || name.p[0] == ':')
		return 1;
	for (i = 0; i < name.n; i++)
		if (!isalnum((unsigned char)name.p[i]) && (name.p[i] == '\0' || strchr("-_.", name.p[i]) == NULL))
			return 1;
	for (i = 0; i < value.n; i++)
		if ((unsigned char)value.p[i] < ' ' || (unsigned char)value.p[i] > '~')
			return 1;
	return 0;
}

static const char *const trace_names[] = { "traceparent", "tracestate", "grpc-trace-bin", "destination-app-id", NULL };

struct http_field *mesh_to_grpc(struct arena *a, const struct http_field *fields, size_t n, int permanent, size_t more,
				size_t *ret_n)
{
	struct http_field *list = arena_alloc(a, (n + more + 1) * sizeof(*list));
	size_t i, count = 0;

	for (i = 0; i < n; i++) {
		struct str name = lower(a, fields[i].name);

		if (is_one_of(name, trace_names))
			continue;
		if (permanent && is_permanent(fields[i].name))
			name = arena_printf(a, "dapr-" STR_FMT, STR_ARG(name));
		if (!is_not_grpc(name, fields[i].value))
			list[count++] = (struct http_field){ name, fields[i].value };
	}
	*ret_n = count;
	return list;
}

void mesh_add_trace(struct arena *a, const struct trace_context *t, int binary, struct http_field *fields, size_t *n)
{
	struct buf b = buf_in(a);
	uint8_t bytes[TRACE_BINARY];
	char *text;

	if (!trace_valid(t))
		return;
	text = arena_alloc(a, TRACE_PARENT_TEXT + 1);
	trace_parent_text(t, text);
	fields[(*n)++] = (struct http_field){ STR("traceparent"), { text, TRACE_PARENT_TEXT } };
	if (t->state.n > 0)
		fields[(*n)++] = (struct http_field){ STR("tracestate"), trace_state_to_send(t) };
	if (!binary)
		return;
	trace_binary(t, bytes);
	base64_put(&b, (struct str){ (const char *)bytes, TRACE_BINARY });
	fields[(*n)++] = (struct http_field){ STR("grpc-trace-bin"), buf_str(&b) };
}
