/* SPDX-License-Identifier: Apache-2.0 */
#include "api/request.h"

#include "api/errors.h"
#include "base/banned.h"

static int hex(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : -1;
}

int request_unescape(struct arena *a, struct str s, struct str *ret_text)
{
	char *out;
	size_t i, n = 0;

	if (s.n == 0 || (memchr(s.p, '%', s.n) == NULL && memchr(s.p, '+', s.n) == NULL)) {
		*ret_text = arena_str(a, s);
		return 0;
	}
	out = arena_alloc(a, s.n + 1);
	for (i = 0; i < s.n; i++) {
		if (s.p[i] != '%') {
			out[n++] = s.p[i] == '+' ? ' ' : s.p[i];
			continue;
		}
		if (s.n - i < 3 || hex(s.p[i + 1]) < 0 || hex(s.p[i + 2]) < 0)
			return -1;
		out[n] = (char)(hex(s.p[i + 1]) << 4 | hex(s.p[i + 2]));
		if (out[n++] == '\0')
			return -1; /* a name with a NUL would mean one thing here and another in a plugin */
		i += 2;
	}
	out[n] = '\0';
	*ret_text = (struct str){ out, n };
	return 0;
}

/* The next name and value of the query, decoded; what is broken is passed over, as Go does. */
static int next_parameter(struct request *r, struct str *rest, struct str *ret_name, struct str *ret_value)
{
	struct str part, name, value;

	while (str_split(rest, '&', &part)) {
		if (part.n == 0 || memchr(part.p, ';', part.n) != NULL)
			continue;
		str_cut(part, '=', &name, &value);
		if (request_unescape(r->arena, name, ret_name) == 0 &&
		    request_unescape(r->arena, value, ret_value) == 0)
			return 1;
	}
	return 0;
}

struct str request_query(struct request *r, const char *name)
{
	struct str rest = r->x->query, key, value;

	while (next_parameter(r, &rest, &key, &value))
		if (str_is(key, name))
			return value;
	return STR_NONE;
}

static int has_key(const struct davit_pair *pairs, size_t n, struct davit_str key)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (pairs[i].key.n == key.n && memcmp(pairs[i].key.p, key.p, key.n) == 0)
			return 1;
	return 0;
}

const struct davit_pair *request_metadata(struct request *r, size_t *ret_n)
{
	struct str rest = r->x->query, key, value;
	struct davit_pair *pairs = NULL;
	size_t n = 0, most = 1, i;

	*ret_n = 0;
	if (str_find(rest, STR("metadata.")) < 0 && str_find(rest, STR("metadata%2")) < 0)
		return NULL;
	for (i = 0; i < rest.n; i++)
		most += rest.p[i] == '&';
	pairs = arena_alloc(r->arena, most * sizeof(*pairs));
	while (next_parameter(r, &rest, &key, &value)) {
		struct davit_str name;

		if (!str_starts(key, STR("metadata.")))
			continue;
		name = (struct davit_str){ key.p + 9, key.n - 9 };
		if (!has_key(pairs, n, name))
			pairs[n++] = (struct davit_pair){ name, { value.p, value.n } };
	}
	*ret_n = n;
	return pairs;
}

const struct davit_pair *request_merge(struct request *r, const struct davit_pair *under, size_t nunder,
				       const struct davit_pair *over, size_t nover, size_t *ret_n)
{
	struct davit_pair *all;
	size_t n = nover, i;

	if (nover == 0) {
		*ret_n = nunder;
		return under;
	}
	all = arena_alloc(r->arena, (nunder + nover) * sizeof(*all));
	memcpy(all, over, nover * sizeof(*all));
	for (i = 0; i < nunder; i++)
		if (!has_key(over, nover, under[i].key))
			all[n++] = under[i];
	*ret_n = n;
	return all;
}

static int read_body(struct request *r, struct str *ret_body, const char *tag, const char *prefix)
{
	int got = http_read_all(r->x, r->api->body_limit, ret_body);
	struct error e;

	if (got == 0)
		return 1;
	/* Who has gone does not read it; who sent a broken coding does. */
	e = error_new(r->arena, ERROR_INVALID_ARGUMENT, tag, "%s%s", prefix,
		      got == -2 ? "stream too large" : "the body's coding is broken, or it ends too soon");
	e.http = 400;
	request_fail(r, &e);
	return 0;
}

int request_body(struct request *r, struct str *ret_body)
{
	return read_body(r, ret_body, "ERR_MALFORMED_REQUEST", "");
}

int request_raw_body(struct request *r, struct str *ret_body)
{
	return read_body(r, ret_body, "ERR_BODY_READ", "failed to read request body: ");
}

void request_field(struct request *r, const char *name, struct str value)
{
	size_t i;

	if (r->nextra == sizeof(r->extra) / sizeof(r->extra[0]))
		return;
	for (i = 0; i < value.n; i++) /* a value from a store must not end the line */
		if ((unsigned char)value.p[i] < 0x20 && value.p[i] != '\t')
			return;
	r->extra[r->nextra++] = (struct http_field){ str_of(name), value };
}

void request_json(struct request *r, int status, struct str body)
{
	request_field(r, "content-type", STR("application/json"));
	http_reply(r->x, status, r->extra, r->nextra, body);
}

void request_empty(struct request *r)
{
	http_reply(r->x, 204, r->extra, r->nextra, STR(""));
}

void request_fail(struct request *r, const struct error *e)
{
	struct str body;
	int status = errors_http(r->arena, e, &body);

	metrics_error_code(r->api->metrics, str_of(errors_code(e)), str_of(e->category ? e->category : "common"));
	request_json(r, status, body);
}

void request_malformed(struct request *r, const char *fmt, ...)
{
	struct error e = { .code = ERROR_INVALID_ARGUMENT, .http = 400, .tag = "ERR_MALFORMED_REQUEST" };
	va_list ap;

	va_start(ap, fmt);
	e.message = arena_vprintf(r->arena, fmt, ap);
	va_end(ap);
	request_fail(r, &e);
}
