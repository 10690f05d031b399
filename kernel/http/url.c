/* SPDX-License-Identifier: Apache-2.0 */
#include "http/url.h"

#include <stdio.h>

#include "base/banned.h"

static struct error bad(const char *why)
{
	return (struct error){ .code = ERROR_INVALID_ARGUMENT, .message = str_of(why) };
}

static int sendable(struct str s)
{
	size_t i;

	for (i = 0; i < s.n; i++)
		if ((unsigned char)s.p[i] <= ' ' || s.p[i] == 0x7f)
			return 0;
	return 1;
}

static size_t first_of(struct str s, const char *any)
{
	size_t i;

	for (i = 0; i < s.n; i++)
		if (strchr(any, s.p[i]) != NULL && s.p[i] != '\0')
			break;
	return i;
}

static int is_host(struct str s)
{
	size_t i;

	for (i = 0; i < s.n; i++)
		if (strchr("<>\"{}|\\^`[]@", s.p[i]) != NULL) /* NUL too */
			return 0;
	return s.n > 0 && s.n <= 255;
}

/* 0; -1: not a port. */
static int read_port(struct str s, int *ret_port)
{
	int64_t n;

	if (s.n == 0 || s.n > 5 || s.p[0] < '0' || s.p[0] > '9' || str_int(s, &n) < 0 || n < 1 || n > 65535)
		return -1;
	*ret_port = (int)n;
	return 0;
}

/* "host", "host:port", "[::1]:port". */
static const char *read_authority(struct str s, struct http_url *u)
{
	struct str rest = STR("");
	const char *end;

	if (memchr(s.p, '@', s.n) != NULL)
		return "a name or password in a URL is not used: send an authorization field";
	if (s.n > 0 && s.p[0] == '[') {
		end = memchr(s.p, ']', s.n);
		if (end == NULL || end == s.p + 1)
			return "the address in brackets cannot be read";
		u->host = (struct str){ s.p + 1, (size_t)(end - s.p) - 1 };
		rest = str_from(s, u->host.n + 2);
	} else {
		size_t at = first_of(s, ":");

		u->host = str_upto(s, at);
		rest = str_from(s, at);
	}
	if (!is_host(u->host))
		return "the URL has no host that can be used";
	if (rest.n == 0 || (rest.n == 1 && rest.p[0] == ':'))
		return NULL;
	return rest.p[0] != ':' || read_port(str_from(rest, 1), &u->port) < 0 ? "the URL's port is not one" : NULL;
}

/* -1: no memory. */
static int name_it(struct arena *a, struct http_url *u)
{
	int v6 = memchr(u->host.p, ':', u->host.n) != NULL;
	size_t size = u->host.n + 16;
	char *p = arena_try(a, size);
	int n;

	if (p == NULL)
		return -1;
	n = snprintf(p, size, v6 ? "[" STR_FMT "]" : STR_FMT, STR_ARG(u->host));
	if (u->port != (u->tls ? 443 : 80))
		n += snprintf(p + n, size - (size_t)n, ":%d", u->port);
	u->authority = (struct str){ p, (size_t)n };
	return 0;
}

/* "?query" without a path needs one before it. -1: no memory. */
static int aim(struct arena *a, struct str rest, struct http_url *u)
{
	size_t n = first_of(rest, "#");
	char *p;

	rest = str_upto(rest, n);
	u->target = rest.n > 0 ? rest : STR("/");
	if (rest.n > 0 && rest.p[0] == '?') {
		p = arena_try(a, rest.n + 1);
		if (p == NULL)
			return -1;
		p[0] = '/';
		memcpy(p + 1, rest.p, rest.n);
		u->target = (struct str){ p, rest.n + 1 };
	}
	u->path = str_upto(u->target, first_of(u->target, "?"));
	return 0;
}

struct error http_url_parse(struct arena *a, struct str text, struct http_url *ret_url)
{
	struct http_url u = { .port = 80 };
	const char *why;
	struct str rest;
	size_t n;

	if (str_istarts(text, STR("https://"))) {
		u.tls = 1;
		u.port = 443;
	} else if (!str_istarts(text, STR("http://"))) {
		return bad("the URL begins neither with http:// nor with https://");
	}
	rest = str_from(text, u.tls ? 8 : 7);
	if (!sendable(rest))
		return bad("the URL has bytes that must be escaped");
	n = first_of(rest, "/?#");
	why = read_authority(str_upto(rest, n), &u);
	if (why != NULL)
		return bad(why);
	if (name_it(a, &u) < 0 || aim(a, str_from(rest, n), &u) < 0)
		return (struct error){ .code = ERROR_RESOURCE_EXHAUSTED, .message = STR("out of memory") };
	*ret_url = u;
	return ERROR_NONE;
}

static struct str glue(struct arena *a, struct str one, struct str two, struct str three)
{
	size_t n = one.n + two.n + three.n;
	char *p = arena_try(a, n + 1);

	if (p == NULL)
		return STR_NONE;
	if (one.n > 0)
		memcpy(p, one.p, one.n);
	if (two.n > 0)
		memcpy(p + one.n, two.p, two.n);
	if (three.n > 0)
		memcpy(p + one.n + two.n, three.p, three.n);
	p[n] = '\0';
	return (struct str){ p, n };
}

/* "." and ".." of a path go (RFC 3986, 5.2.4); shorter or as long, in place. */
static size_t remove_dots(char *p, size_t n)
{
	size_t in = 0, out = 0;

	while (in < n) {
		size_t end = in + 1;

		while (end < n && p[end] != '/')
			end++;
		if (end - in == 2 && p[in + 1] == '.') {
			if (end == n)
				p[out++] = '/';
		} else if (end - in == 3 && p[in + 1] == '.' && p[in + 2] == '.') {
			while (out > 0 && p[--out] != '/')
				;
			if (end == n)
				p[out++] = '/';
		} else {
			memmove(p + out, p + in, end - in);
			out += end - in;
		}
		in = end;
	}
	return out;
}

struct str http_url_join(struct arena *a, const struct http_url *base, struct str location)
{
	struct str scheme = base->tls ? STR("https:") : STR("http:"), site, path, tail, whole;
	size_t folder = base->path.n, n;

	if (str_istarts(location, STR("http://")) || str_istarts(location, STR("https://")))
		return glue(a, location, STR(""), STR(""));
	if (str_starts(location, STR("//")))
		return glue(a, scheme, location, STR(""));
	site = glue(a, scheme, STR("//"), base->authority);
	if (site.p == NULL)
		return site;
	if (location.n == 0 || location.p[0] == '#')
		return glue(a, site, base->target, STR(""));
	if (location.p[0] == '?')
		return glue(a, site, base->path, location);
	n = first_of(location, "?#");
	path = str_upto(location, n);
	tail = str_from(location, n);
	while (folder > 0 && base->path.p[folder - 1] != '/')
		folder--;
	whole = path.p[0] == '/' ? glue(a, path, STR(""), STR(""))
				 : glue(a, str_upto(base->path, folder), path, STR(""));
	if (whole.p == NULL)
		return whole;
	whole.n = remove_dots((char *)whole.p, whole.n);
	return glue(a, site, whole, tail);
}
