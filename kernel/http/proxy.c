/* SPDX-License-Identifier: Apache-2.0 */
#include "http/proxy.h"

#include <arpa/inet.h>

#include "base/banned.h"
#include "base/base64.h"

#define PORT 1080 /* curl's, for a proxy that does not say */

static struct str first_set(http_environment *get, const char *const *names)
{
	const char *value;

	for (; *names != NULL; names++) {
		value = get(*names);
		if (value != NULL && value[0] != '\0')
			return str_of(value);
	}
	return STR("");
}

struct http_proxies http_proxies_read(http_environment *get)
{
	static const char *const http[] = { "http_proxy", "all_proxy", "ALL_PROXY", NULL };
	static const char *const https[] = { "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY", NULL };
	static const char *const none[] = { "no_proxy", "NO_PROXY", NULL };

	return (struct http_proxies){ first_set(get, http), first_set(get, https), first_set(get, none) };
}

/* -1: not an address. */
static int address(struct str s, unsigned char *ret, int *ret_bits)
{
	char text[INET6_ADDRSTRLEN];

	if (s.n >= 2 && s.p[0] == '[' && s.p[s.n - 1] == ']')
		s = (struct str){ s.p + 1, s.n - 2 };
	if (s.n == 0 || s.n >= sizeof(text))
		return -1;
	memcpy(text, s.p, s.n);
	text[s.n] = '\0';
	*ret_bits = inet_pton(AF_INET, text, ret) == 1 ? 32 : inet_pton(AF_INET6, text, ret) == 1 ? 128 : 0;
	return *ret_bits ? 0 : -1;
}

static int in_network(struct str entry, const unsigned char *host, int bits)
{
	unsigned char net[16];
	struct str at, length;
	int net_bits, rest;
	int64_t n;

	if (!str_cut(entry, '/', &at, &length))
		length = STR("");
	if (address(at, net, &net_bits) < 0 || net_bits != bits)
		return 0;
	n = bits;
	if (length.n > 0 && (str_int(length, &n) < 0 || n < 0 || n > bits))
		return 0;
	if (memcmp(net, host, (size_t)n / 8) != 0)
		return 0;
	rest = (int)(n % 8);
	return rest == 0 || (net[n / 8] ^ host[n / 8]) >> (8 - rest) == 0;
}

static int in_domain(struct str entry, struct str host)
{
	if (entry.n > 0 && entry.p[0] == '.')
		entry = str_from(entry, 1);
	if (entry.n > 0 && entry.p[entry.n - 1] == '.')
		entry.n--;
	if (entry.n == 0 || entry.n > host.n || !str_ieq(entry, str_from(host, host.n - entry.n)))
		return 0;
	return entry.n == host.n || host.p[host.n - entry.n - 1] == '.';
}

int http_proxy_none(struct str list, struct str host)
{
	unsigned char binary[16];
	int bits = 0, is_address = address(host, binary, &bits) == 0;
	size_t i = 0, start;

	if (str_eq(str_trim(list), STR("*")))
		return 1;
	if (host.n > 0 && host.p[host.n - 1] == '.')
		host.n--;
	while (i < list.n) {
		struct str entry;

		for (start = i; i < list.n && list.p[i] != ',' && list.p[i] != ' ' && list.p[i] != '\t'; i++)
			continue;
		entry = (struct str){ list.p + start, i - start };
		i++;
		if (entry.n > 0 && (is_address ? in_network(entry, binary, bits) : in_domain(entry, host)))
			return 1;
	}
	return 0;
}

static int hex(char c)
{
	return c >= '0' && c <= '9'   ? c - '0'
	       : c >= 'a' && c <= 'f' ? c - 'a' + 10
	       : c >= 'A' && c <= 'F' ? c - 'A' + 10
				      : -1;
}

static size_t decode(char *to, struct str s)
{
	size_t i, n = 0;

	for (i = 0; i < s.n; i++) {
		if (s.p[i] == '%' && i + 2 < s.n && hex(s.p[i + 1]) >= 0 && hex(s.p[i + 2]) >= 0) {
			to[n++] = (char)(hex(s.p[i + 1]) * 16 + hex(s.p[i + 2]));
			i += 2;
		} else {
			to[n++] = s.p[i];
		}
	}
	return n;
}

/* "name:password", percent-decoded, to what proxy-authorization says. -1: no memory. */
static int authorize(struct arena *a, struct str user, struct http_proxy *p)
{
	char *plain = arena_try(a, user.n + 2), *text;
	struct buf b = buf_init();
	struct str name, password = STR("");
	size_t n;

	if (plain == NULL)
		return -1;
	str_cut(user, ':', &name, &password);
	n = decode(plain, name);
	plain[n++] = ':';
	n += decode(plain + n, password);
	buf_lit(&b, "Basic ");
	base64_put(&b, (struct str){ plain, n });
	text = b.failed ? NULL : arena_try(a, b.n);
	if (text != NULL)
		memcpy(text, b.p, b.n);
	p->authorization = (struct str){ text, text ? b.n : 0 };
	buf_free(&b);
	return text != NULL ? 0 : -1;
}

static struct error refuse(int code, const char *why)
{
	return (struct error){ .code = code, .message = str_of(why) };
}

/* "host", "host:port", "[::1]:port". */
static struct error read_server(struct arena *a, struct str text, struct http_proxy *p)
{
	struct str port = STR("");
	size_t i = text.n;
	char *host;
	int64_t n;

	while (i > 0 && text.p[i - 1] != ':' && text.p[i - 1] != ']')
		i--;
	if (i > 0 && text.p[i - 1] == ':') {
		port = str_from(text, i);
		text = str_upto(text, i - 1);
	}
	if (port.n > 0 && (str_int(port, &n) < 0 || n < 1 || n > 65535))
		return refuse(ERROR_INVALID_ARGUMENT, "the proxy's port is not one");
	if (port.n > 0)
		p->port = (int)n;
	if (text.n >= 2 && text.p[0] == '[' && text.p[text.n - 1] == ']')
		text = (struct str){ text.p + 1, text.n - 2 };
	if (text.n == 0 || text.n > 255 || text.p[0] == '/')
		return refuse(ERROR_INVALID_ARGUMENT, "the proxy has no host");
	host = arena_try(a, text.n + 1);
	if (host == NULL)
		return refuse(ERROR_RESOURCE_EXHAUSTED, "out of memory");
	memcpy(host, text.p, text.n);
	host[text.n] = '\0';
	p->host = (struct str){ host, text.n };
	return ERROR_NONE;
}

struct error http_proxy_parse(struct arena *a, struct str text, struct http_proxy *ret_proxy)
{
	struct http_proxy p = { .port = PORT };
	ptrdiff_t at = str_find(text, STR("://"));
	struct error e;
	size_t i;

	if (at >= 0 && !str_istarts(text, STR("http://")))
		return refuse(ERROR_UNIMPLEMENTED, "the proxy is none by http://, and no other kind is known");
	if (at >= 0)
		text = str_from(text, 7);
	for (i = 0; i < text.n && text.p[i] != '/' && text.p[i] != '?' && text.p[i] != '#'; i++)
		continue;
	text = str_upto(text, i);
	for (i = text.n; i > 0 && text.p[i - 1] != '@'; i--)
		continue;
	if (i > 1 && authorize(a, str_upto(text, i - 1), &p) < 0)
		return refuse(ERROR_RESOURCE_EXHAUSTED, "out of memory");
	e = read_server(a, str_from(text, i), &p);
	if (!error_is(&e))
		*ret_proxy = p;
	return e;
}

struct error http_proxy_for(struct arena *a, const struct http_proxies *p, int tls, struct str host,
			    struct http_proxy *ret_proxy)
{
	struct str text = str_trim(tls ? p->https : p->http);

	*ret_proxy = (struct http_proxy){ .host = STR("") };
	if (text.n == 0 || http_proxy_none(p->none, host))
		return ERROR_NONE;
	return http_proxy_parse(a, text, ret_proxy);
}
