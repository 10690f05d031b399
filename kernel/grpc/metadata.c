/* SPDX-License-Identifier: Apache-2.0 */
/* Metadata both ways, and the texts that header fields carry: base64, percent-encoding, timeouts. */
#include "base/banned.h"
#include "grpc/inside.h"

static const char base64_digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

struct str grpc_base64(struct arena *a, struct str bytes)
{
	char *p = arena_alloc(a, bytes.n / 3 * 4 + 4), *to = p;
	const unsigned char *b = (const unsigned char *)bytes.p;
	size_t i, n;
	uint32_t v;

	for (i = 0; i < bytes.n; i += 3) {
		n = bytes.n - i;
		v = (uint32_t)b[i] << 16 | (n > 1 ? (uint32_t)b[i + 1] << 8 : 0) | (n > 2 ? b[i + 2] : 0);
		*to++ = base64_digits[v >> 18];
		*to++ = base64_digits[v >> 12 & 63];
		if (n > 1)
			*to++ = base64_digits[v >> 6 & 63];
		if (n > 2)
			*to++ = base64_digits[v & 63];
	}
	return (struct str){ p, (size_t)(to - p) };
}

static int base64_value(unsigned char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* With padding or without, as clients send both. NULL for `to`: only checks. -1: not base64. */
static ptrdiff_t base64_decode(struct str text, char *to)
{
	size_t i, n = text.n, written = 0;
	uint32_t v = 0;
	int d;

	if (n % 4 == 0 && n > 0 && text.p[n - 1] == '=')
		n -= text.p[n - 2] == '=' ? 2 : 1;
	if (n % 4 == 1)
		return -1;
	for (i = 0; i < n; i++) {
		d = base64_value((unsigned char)text.p[i]);
		if (d < 0)
			return -1;
		v = v << 6 | (uint32_t)d;
		if (i % 4 == 0)
			continue;
		if (to != NULL)
			to[written] = (char)(v >> (6 - 2 * (i % 4)));
		written++;
	}
	return (ptrdiff_t)written;
}

int grpc_is_base64(struct str text)
{
	return base64_decode(text, NULL) >= 0;
}

struct str grpc_metadata(const struct grpc_call *c, struct str key)
{
	return http_field(c->x, key);
}

struct str grpc_bin(struct arena *a, struct str text)
{
	ptrdiff_t n;
	char *p;

	if (text.p == NULL || (n = base64_decode(text, NULL)) < 0)
		return STR_NONE;
	p = arena_alloc(a, (size_t)n + 1);
	base64_decode(text, p);
	p[n] = '\0';
	return (struct str){ p, (size_t)n };
}

struct str grpc_metadata_bin(struct grpc_call *c, struct str key)
{
	return grpc_bin(c->arena, http_field(c->x, key));
}

static void add(struct arena *a, struct http_field **fields, size_t *n, size_t *cap, struct http_field field)
{
	size_t more = *cap ? *cap * 2 : 8;

	if (*n == *cap) {
		*fields = arena_grow(a, *fields, *cap * sizeof(field), more * sizeof(field));
		*cap = more;
	}
	(*fields)[(*n)++] = field;
}

static struct http_field copy(struct arena *a, struct str name, struct str value)
{
	return (struct http_field){ arena_str(a, name),
				    str_ends(name, STR("-bin")) ? grpc_base64(a, value) : arena_str(a, value) };
}

void grpc_header(struct grpc_call *c, struct str name, struct str value)
{
	add(c->arena, &c->headers, &c->nheaders, &c->headers_cap, copy(c->arena, name, value));
}

void grpc_trailer(struct grpc_call *c, struct str name, struct str value)
{
	add(c->arena, &c->trailers, &c->ntrailers, &c->trailers_cap, copy(c->arena, name, value));
}

/* Bytes of the UTF-8 character at p; 0: not one. */
static size_t utf8_length(const char *p, size_t n)
{
	unsigned char c = (unsigned char)p[0];
	size_t want = c < 0x80 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;

	return want <= n && str_utf8((struct str){ p, want }) ? want : 0;
}

static int may_stay(unsigned char c)
{
	return c >= ' ' && c <= '~' && c != '%';
}

struct str grpc_percent(struct arena *a, struct str message)
{
	static const char hex[] = "0123456789ABCDEF", replacement[] = "\xef\xbf\xbd";
	size_t i = 0, k, n;
	const char *from;
	char *p, *to;

	while (i < message.n && may_stay((unsigned char)message.p[i]))
		i++;
	if (i == message.n)
		return message;
	p = to = arena_alloc(a, message.n * 9 + 1);
	for (i = 0; i < message.n; i += n ? n : 1) {
		n = utf8_length(message.p + i, message.n - i);
		from = n ? message.p + i : replacement;
		for (k = 0; k < (n ? n : 3); k++) {
			unsigned char c = (unsigned char)from[k];

			if (may_stay(c)) {
				*to++ = (char)c;
				continue;
			}
			*to++ = '%';
			*to++ = hex[c >> 4];
			*to++ = hex[c & 15];
		}
	}
	return (struct str){ p, (size_t)(to - p) };
}

static int64_t unit_ns(char unit)
{
	switch (unit) {
	case 'H': return 3600 * INT64_C(1000000000);
	case 'M': return 60 * INT64_C(1000000000);
	case 'S': return INT64_C(1000000000);
	case 'm': return 1000000;
	case 'u': return 1000;
	case 'n': return 1;
	default: return -1;
	}
}

int64_t grpc_timeout_ns(struct str value)
{
	int64_t ns = 0, unit;
	size_t i;

	if (value.n < 2 || value.n > 9 || (unit = unit_ns(value.p[value.n - 1])) < 0)
		return -1;
	for (i = 0; i + 1 < value.n; i++) {
		if (value.p[i] < '0' || value.p[i] > '9')
			return -1;
		ns = ns * 10 + (value.p[i] - '0');
	}
	return ns > INT64_MAX / unit ? INT64_MAX : ns * unit;
}

const char *grpc_timeout_problem(struct str value)
{
	if (value.n < 2)
		return "transport: timeout string is too short";
	if (value.n > 9)
		return "transport: timeout string is too long";
	return unit_ns(value.p[value.n - 1]) < 0 ? "transport: timeout unit is not recognized"
						 : "transport: timeout is not a number";
}
