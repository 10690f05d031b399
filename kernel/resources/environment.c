/* SPDX-License-Identifier: Apache-2.0 */
#include "resources/environment.h"

#include <stdlib.h>

#include "base/banned.h"

#define OTEL "OTEL_EXPORTER_OTLP_"

static int is_name(char c)
{
	return c == '_' || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static int is_special(char c)
{
	return c != '\0' && strchr("*#$@!?-0123456789", c) != NULL;
}

/*
 * The name behind a '$' and how many bytes it takes. An empty name that takes some is broken and is swallowed ("${}",
 * "${" without its end); one that takes none leaves the '$' as it is.
 */
static size_t shell_name(struct str s, struct str *ret_name)
{
	size_t i = 0;

	*ret_name = STR("");
	if (s.p[0] == '{') {
		const char *end = memchr(s.p, '}', s.n);

		if (s.n > 2 && is_special(s.p[1]) && s.p[2] == '}') {
			*ret_name = (struct str){ s.p + 1, 1 };
			return 3;
		}
		if (end == NULL)
			return 1;
		*ret_name = (struct str){ s.p + 1, (size_t)(end - s.p) - 1 };
		return (size_t)(end - s.p) + 1;
	}
	if (is_special(s.p[0])) {
		*ret_name = (struct str){ s.p, 1 };
		return 1;
	}
	while (i < s.n && is_name(s.p[i]))
		i++;
	*ret_name = (struct str){ s.p, i };
	return i;
}

int environment_expand(struct arena *a, struct str text, size_t most, struct str *ret_text)
{
	struct buf b = buf_in(a);
	struct str name, head;

	while (text.n > 0 && b.n <= most) {
		const char *at = memchr(text.p, '$', text.n);
		size_t taken;

		head = at ? str_upto(text, (size_t)(at - text.p)) : text;
		buf_adds(&b, head);
		text = str_from(text, head.n);
		if (text.n < 2) {
			buf_adds(&b, text);
			break;
		}
		taken = shell_name(str_from(text, 1), &name);
		if (taken == 0) {
			buf_addc(&b, '$');
		} else if (name.n > 0) {
			const char *value = getenv(arena_str(a, name).p);

			buf_adds(&b, str_of(value ? value : ""));
		}
		text = str_from(text, 1 + taken);
	}
	if (b.n > most)
		return -1;
	*ret_text = buf_str(&b);
	return 0;
}

/* The traces' own variable, else the general one; NULL: neither, or empty. */
static const char *variable(const char *traces, const char *general)
{
	const char *v = getenv(traces);

	if (v == NULL || *v == '\0')
		v = getenv(general);
	return v && *v ? v : NULL;
}

static void set_endpoint(struct arena *a, struct configuration_tracing *t)
{
	const char *v = variable(OTEL "TRACES_ENDPOINT", OTEL "ENDPOINT"), *protocol, *insecure;
	struct str endpoint;

	if (v == NULL)
		return;
	endpoint = str_of(v);
	if (str_starts(endpoint, STR("http://")))
		endpoint = str_from(endpoint, 7);
	if (str_starts(endpoint, STR("https://")))
		endpoint = str_from(endpoint, 8);
	t->otel.endpoint_address = arena_str(a, endpoint);
	if (t->sampling_rate.n == 0)
		t->sampling_rate = STR("1");
	protocol = variable(OTEL "TRACES_PROTOCOL", OTEL "PROTOCOL");
	t->otel.protocol = protocol && str_starts(str_of(protocol), STR("http")) ? STR("http") : STR("grpc");
	insecure = getenv(OTEL "INSECURE");
	if (insecure != NULL && str_is(STR("true"), insecure))
		t->otel.is_secure = 0;
}

static int hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* %XX decoded; -1: a broken escape. */
static int unescape(struct str s, struct buf *to)
{
	size_t i;

	for (i = 0; i < s.n; i++) {
		if (s.p[i] != '%') {
			buf_addc(to, s.p[i]);
			continue;
		}
		if (i + 2 >= s.n || hex(s.p[i + 1]) < 0 || hex(s.p[i + 2]) < 0)
			return -1;
		buf_addc(to, (char)(hex(s.p[i + 1]) * 16 + hex(s.p[i + 2])));
		i += 2;
	}
	return 0;
}

static int is_token(struct str s)
{
	size_t i;

	for (i = 0; i < s.n; i++)
		if (!is_name(s.p[i]) && (s.p[i] == '\0' || strchr("!#$%&'*+-.^`|~", s.p[i]) == NULL))
			return 0;
	return s.n > 0;
}

/* "name=value"; a name that comes again has the last one's value. */
static void set_header(struct arena *a, struct strs *list, struct str name, struct str value)
{
	struct str pair = arena_printf(a, STR_FMT "=" STR_FMT, STR_ARG(name), STR_ARG(value));
	size_t i;

	for (i = 0; i < list->n; i++) {
		if (str_eq(str_upto(list->p[i], name.n + 1), str_upto(pair, name.n + 1))) {
			list->p[i] = pair;
			return;
		}
	}
	list->p = arena_grow(a, list->p, list->n * sizeof(*list->p), (list->n + 1) * sizeof(*list->p));
	list->p[list->n++] = pair;
}

static const char *set_headers(struct arena *a, struct configuration_otel *otel)
{
	const char *v = variable(OTEL "TRACES_HEADERS", OTEL "HEADERS");
	struct str rest = v ? str_of(v) : STR_NONE, one, name, value;
	struct strs added = { 0, NULL };
	size_t i;

	while (str_split(&rest, ',', &one)) {
		struct buf b = buf_in(a);

		if (!str_cut(one, '=', &name, &value))
			return OTEL "HEADERS: an entry has no '=': write name=value,name=value";
		name = str_trim(name);
		if (!is_token(name))
			return OTEL "HEADERS: a name is empty or has a character that no header name may have";
		if (unescape(value, &b) < 0)
			return OTEL "HEADERS: a value has a broken %-escape: write % as %25";
		set_header(a, &added, name, str_trim(buf_str(&b)));
	}
	for (i = 0; i < added.n; i++) {
		otel->headers.p = arena_grow(a, otel->headers.p, otel->headers.n * sizeof(added.p[0]),
					     (otel->headers.n + 1) * sizeof(added.p[0]));
		otel->headers.p[otel->headers.n++] = added.p[i];
	}
	return NULL;
}

const char *environment_otel(struct arena *a, struct configuration_tracing *tracing)
{
	const char *v, *fault;
	int64_t ms;

	if (tracing->otel.endpoint_address.n > 0)
		return NULL;
	set_endpoint(a, tracing);
	fault = set_headers(a, &tracing->otel);
	if (fault != NULL)
		return fault;
	v = variable(OTEL "TRACES_TIMEOUT", OTEL "TIMEOUT");
	if (v == NULL)
		return NULL;
	if (str_int(str_of(v), &ms) < 0 || ms > INT64_MAX / 1000000)
		return OTEL "TIMEOUT: it must be a whole number of milliseconds";
	if (ms > 0)
		tracing->otel.timeout = ms * 1000000;
	return NULL;
}
