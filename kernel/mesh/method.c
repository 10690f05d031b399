/* SPDX-License-Identifier: Apache-2.0 */
/* What is called: verbs, the method's path made canonical, and the target that the application sees. */
#include <ctype.h>

#include "base/banned.h"
#include "base/buf.h"
#include "mesh/call_inside.h"
#include "mesh/message.h"

static const char *const verbs[] = { NULL,     "GET",	  "HEAD",    "POST",  "PUT",
				     "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH" };
#define NVERBS (sizeof(verbs) / sizeof(verbs[0]))
#define VERB_POST 3

const char *mesh_verb_name(int verb)
{
	return verb > 0 && (size_t)verb < NVERBS ? verbs[verb] : NULL;
}

int mesh_verb(struct str method)
{
	size_t i;

	for (i = 1; i < NVERBS; i++)
		if (str_ieq(method, str_of(verbs[i])))
			return (int)i;
	return VERB_POST;
}

/* Text as Go's %q writes it. */
static struct str quoted(struct arena *a, struct str s)
{
	struct buf b = buf_in(a);
	size_t i;

	buf_addc(&b, '"');
	for (i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];
		const char *names = "abtnvfr", *plain = "\a\b\t\n\v\f\r", *at = c ? strchr(plain, c) : NULL;

		if (c == '"' || c == '\\')
			buf_printf(&b, "\\%c", c);
		else if (at != NULL)
			buf_printf(&b, "\\%c", names[at - plain]);
		else if (c < ' ' || c == 0x7f)
			buf_printf(&b, "\\x%02x", c);
		else
			buf_addc(&b, (char)c);
	}
	buf_addc(&b, '"');
	return buf_str(&b);
}

/* Go's path.Clean, then without what would lead above its beginning. */
static struct str clean(struct arena *a, struct str path)
{
	char *out = arena_alloc(a, path.n + 2);
	int rooted = path.n > 0 && path.p[0] == '/';
	struct str rest = path, part;
	size_t n = 0, start;

	if (rooted)
		out[n++] = '/';
	start = n;
	while (str_split(&rest, '/', &part)) {
		if (part.n == 0 || str_is(part, "."))
			continue;
		if (str_is(part, "..")) {
			while (n > start && out[--n] != '/')
				;
			if (n < start)
				n = start;
			continue;
		}
		if (n > start)
			out[n++] = '/';
		memcpy(out + n, part.p, part.n);
		n += part.n;
	}
	out[n] = '\0';
	return (struct str){ out, n };
}

int mesh_normalize(struct arena *a, struct str method, struct str *ret_method, struct str *ret_why)
{
	size_t i;

	for (i = 0; i < method.n; i++)
		if (method.p[i] == '#' || method.p[i] == '?' || method.p[i] == '\0') {
			*ret_why = arena_printf(a, "method contains forbidden character: " STR_FMT,
						STR_ARG(quoted(a, method)));
			return -1;
		}
	for (i = 0; i < method.n; i++)
		if ((unsigned char)method.p[i] < ' ' || method.p[i] == 0x7f) {
			*ret_why = arena_printf(a, "method contains control character at position %zu: " STR_FMT, i,
						STR_ARG(quoted(a, method)));
			return -1;
		}
	*ret_method = clean(a, method);
	return 0;
}

static int is_hex(char c)
{
	return isxdigit((unsigned char)c);
}

static int hex(char c)
{
	return c <= '9' ? c - '0' : (c | 32) - 'a' + 10;
}

/* Whether a URL may have it in its path as it is. */
static int may_stand(unsigned char c)
{
	return isalnum(c) || (c != '\0' && strchr("-_.~$&+,/:;=@!'()*[]%", c) != NULL);
}

static int is_escaped(unsigned char c)
{
	return !(isalnum(c) || (c != '\0' && strchr("-_.~$&+,/:;=@", c) != NULL));
}

int mesh_target(struct arena *a, struct str method, struct str query, struct str *ret_target, struct str *ret_why)
{
	struct buf b = buf_in(a);
	int as_it_is = 1;
	size_t i;

	for (i = 0; i < method.n; i++) {
		as_it_is &= may_stand((unsigned char)method.p[i]);
		if (method.p[i] == '%' && (method.n - i < 3 || !is_hex(method.p[i + 1]) || !is_hex(method.p[i + 2]))) {
			*ret_why = arena_printf(a, "invalid URL escape " STR_FMT,
						STR_ARG(quoted(a, str_upto(str_from(method, i), 3))));
			return -1;
		}
	}
	if (method.n == 0 || method.p[0] != '/')
		buf_addc(&b, '/');
	for (i = 0; i < method.n; i++) {
		unsigned char c = (unsigned char)method.p[i];

		if (as_it_is) {
			buf_addc(&b, (char)c);
			continue;
		}
		if (c == '%') {
			c = (unsigned char)(hex(method.p[i + 1]) << 4 | hex(method.p[i + 2]));
			i += 2;
		}
		if (is_escaped(c))
			buf_printf(&b, "%%%02X", c);
		else
			buf_addc(&b, (char)c);
	}
	if (query.n > 0)
		buf_addc(&b, '?');
	for (i = 0; i < query.n && query.p[i] != '#'; i++)
		if ((unsigned char)query.p[i] > ' ' && (unsigned char)query.p[i] < 0x7f)
			buf_addc(&b, query.p[i]);
		else
			buf_printf(&b, "%%%02X", (unsigned char)query.p[i]);
	*ret_target = buf_str(&b);
	return 0;
}

static const struct {
	int code, status;
} statuses[] = {
	{ ERROR_OK, 200 },
	{ ERROR_CANCELLED, 408 },
	{ ERROR_UNKNOWN, 500 },
	{ ERROR_INVALID_ARGUMENT, 400 },
	{ ERROR_DEADLINE_EXCEEDED, 504 },
	{ ERROR_NOT_FOUND, 404 },
	{ ERROR_ALREADY_EXISTS, 409 },
	{ ERROR_PERMISSION_DENIED, 403 },
	{ ERROR_UNAUTHENTICATED, 401 },
	{ ERROR_RESOURCE_EXHAUSTED, 429 },
	{ ERROR_FAILED_PRECONDITION, 400 },
	{ ERROR_ABORTED, 409 },
	{ ERROR_OUT_OF_RANGE, 400 },
	{ ERROR_UNIMPLEMENTED, 501 },
	{ ERROR_INTERNAL, 500 },
	{ ERROR_UNAVAILABLE, 503 },
	{ ERROR_DATA_LOSS, 500 },
};

int mesh_http_of_code(int grpc_code)
{
	size_t i;

	for (i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++)
		if (statuses[i].code == grpc_code)
			return statuses[i].status;
	return 500;
}

int mesh_code_of_http(int status)
{
	if (status >= 200 && status < 300)
		return ERROR_OK;
	switch (status) {
	case 408: return ERROR_CANCELLED;
	case 400: return ERROR_INTERNAL;
	case 504: return ERROR_DEADLINE_EXCEEDED;
	case 404: return ERROR_NOT_FOUND;
	case 409: return ERROR_ALREADY_EXISTS;
	case 403: return ERROR_PERMISSION_DENIED;
	case 401: return ERROR_UNAUTHENTICATED;
	case 429: return ERROR_RESOURCE_EXHAUSTED;
	case 501: return ERROR_UNIMPLEMENTED;
	case 503: return ERROR_UNAVAILABLE;
	default: return ERROR_UNKNOWN;
	}
}

struct str mesh_told(struct arena *a, struct str method, const char *scheme, struct str rest, struct str why)
{
	struct buf b = buf_in(a);
	size_t i;

	for (i = 0; i < method.n; i++)
		buf_addc(&b, (char)(i > 0 ? tolower((unsigned char)method.p[i]) : method.p[0]));
	buf_printf(&b, " \"%s://" STR_FMT "\": " STR_FMT, scheme, STR_ARG(rest), STR_ARG(why));
	return buf_str(&b);
}
