/* SPDX-License-Identifier: Apache-2.0 */
#include "api/cors.h"

#include "base/banned.h"
#include "base/buf.h"

#define ORIGINS 64

struct api_cors {
	int all;
	size_t n;
	struct str origins[ORIGINS];
};

const struct api_cors *cors_new(struct arena *a, struct str origins)
{
	struct api_cors *c;
	struct str rest = origins, part;

	if (origins.n == 0)
		return NULL;
	c = arena_zalloc(a, sizeof(*c));
	while (str_split(&rest, ',', &part) && c->n < ORIGINS) {
		part = str_trim(part);
		c->all |= str_is(part, "*");
		c->origins[c->n++] = part;
	}
	return c;
}

/* An origin may hold one '*', which stands for anything. */
static int matches(struct str pattern, struct str origin)
{
	struct str head, tail;

	if (!str_cut(pattern, '*', &head, &tail))
		return str_ieq(pattern, origin);
	return origin.n >= head.n + tail.n && str_istarts(origin, head) &&
	       str_ieq(str_from(origin, origin.n - tail.n), tail);
}

static int allowed(const struct api_cors *c, struct str origin)
{
	size_t i;

	if (c->all)
		return 1;
	for (i = 0; i < c->n; i++)
		if (matches(c->origins[i], origin))
			return 1;
	return 0;
}

/* The method's name as it is answered; p == NULL: it is none of those that may be asked for. */
static struct str known_method(struct str method)
{
	static const char *const methods[] = { "HEAD", "GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS" };
	size_t i;

	for (i = 0; i < sizeof(methods) / sizeof(methods[0]); i++)
		if (str_ieq(method, str_of(methods[i])))
			return str_of(methods[i]);
	return STR_NONE;
}

static void allow_origin(const struct api_cors *c, struct request *r, struct str origin)
{
	request_field(r, "access-control-allow-origin", c->all ? STR("*") : origin);
}

static int is_name(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' ||
	       c == '.';
}

/* The names of a list as Go writes fields, "X-A, Content-Type": as Dapr sends them back. */
static struct str canonical(struct arena *a, struct str list)
{
	struct buf b = buf_in(a);
	int upper = 1, inside = 0;
	size_t i;

	for (i = 0; i < list.n; i++) {
		char c = list.p[i];

		if (c == ' ' || c == ',') {
			upper = 1;
			inside = 0;
			continue;
		}
		if (!is_name(c))
			continue;
		if (!inside && b.n > 0)
			buf_lit(&b, ", ");
		inside = 1;
		if (upper && c >= 'a' && c <= 'z')
			c = (char)(c - 'a' + 'A');
		else if (!upper && c >= 'A' && c <= 'Z')
			c = (char)(c - 'A' + 'a');
		buf_addc(&b, c);
		upper = c == '-';
	}
	return buf_str(&b);
}

static void preflight(const struct api_cors *c, struct request *r, struct str origin, struct str method)
{
	struct str name = known_method(method);
	struct str headers = canonical(r->arena, http_field(r->x, STR("access-control-request-headers")));

	request_field(r, "vary", STR("Origin"));
	request_field(r, "vary", STR("Access-Control-Request-Method"));
	request_field(r, "vary", STR("Access-Control-Request-Headers"));
	if (origin.n > 0 && allowed(c, origin) && name.p != NULL) {
		allow_origin(c, r, origin);
		request_field(r, "access-control-allow-methods", name);
		if (headers.n > 0)
			request_field(r, "access-control-allow-headers", headers);
	}
	http_reply(r->x, 200, r->extra, r->nextra, STR(""));
}

int cors_apply(const struct api_cors *c, struct request *r)
{
	struct str origin = http_field(r->x, STR("origin"));
	struct str method = http_field(r->x, STR("access-control-request-method"));

	if (str_is(r->x->method, "OPTIONS") && method.n > 0) {
		preflight(c, r, origin, method);
		return 1;
	}
	request_field(r, "vary", STR("Origin"));
	if (origin.n > 0 && allowed(c, origin) && known_method(r->x->method).p != NULL)
		allow_origin(c, r, origin);
	return 0;
}
