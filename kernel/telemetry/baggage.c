/* SPDX-License-Identifier: Apache-2.0 */
/* Whether a baggage header may be passed on: https://www.w3.org/TR/baggage/, with OpenTelemetry's limits. */
#include "base/banned.h"
#include "telemetry/trace.h"

#define BYTES_MAX 8192
#define MEMBERS_MAX 64

static int key_char(char c)
{
	return ((c | 32) >= 'a' && (c | 32) <= 'z') || (c >= '0' && c <= '9') || (c && strchr("!#$%&'*+-.^_`|~", c));
}

static int value_char(char c)
{
	return c > ' ' && c <= '~' && !strchr("\",;\\", c);
}

static int hex_char(char c)
{
	return (c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'f');
}

static int key_valid(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (!key_char(s.p[i]))
			return 0;
	return s.n > 0;
}

/* Percent signs begin two hexadecimal digits. */
static int value_valid(struct str s)
{
	for (size_t i = 0; i < s.n; i++) {
		if (!value_char(s.p[i]))
			return 0;
		if (s.p[i] == '%' && (i + 2 >= s.n || !hex_char(s.p[i + 1]) || !hex_char(s.p[i + 2])))
			return 0;
	}
	return 1;
}

/* key, key=value, or nothing at all. */
static int property_valid(struct str s)
{
	struct str key, value;

	if (s.n == 0)
		return 1;
	if (!str_cut(s, '=', &key, &value))
		return key_valid(str_trim(s));
	return key_valid(str_trim(key)) && value_valid(str_trim(value));
}

static int fault(struct arena *a, const char *what, struct str where, struct str *ret_why)
{
	*ret_why = arena_printf(a, "%s: \"" STR_FMT "\"", what, STR_ARG(where));
	return -1;
}

static int member_check(struct arena *a, struct str member, struct str *ret_key, struct str *ret_why)
{
	struct str rest = member, pair, value;

	str_split(&rest, ';', &pair);
	for (struct str property; str_split(&rest, ';', &property);)
		if (!property_valid(property))
			return fault(a, "invalid baggage list-member property", property, ret_why);
	if (!str_cut(pair, '=', ret_key, &value))
		return fault(a, "invalid baggage list-member", member, ret_why);
	*ret_key = str_trim(*ret_key);
	if (!key_valid(*ret_key))
		return fault(a, "invalid key", *ret_key, ret_why);
	if (!value_valid(str_trim(value)))
		return fault(a, "invalid value", value, ret_why);
	return 0;
}

int trace_check_baggage(struct arena *a, struct str text, struct str *ret_why)
{
	struct str member, key, keys[MEMBERS_MAX];
	size_t n = 0, i;

	if (text.n > BYTES_MAX) {
		*ret_why = arena_printf(a, "baggage-string too large: %zu", text.n);
		return -1;
	}
	if (text.n == 0)
		return 0;
	while (str_split(&text, ',', &member)) {
		if (n == MEMBERS_MAX) {
			*ret_why = STR("too many list-members in baggage-string");
			return -1;
		}
		if (member_check(a, member, &key, ret_why) < 0)
			return -1;
		for (i = 0; i < n && !str_eq(keys[i], key); i++)
			; /* the last of the same key counts */
		keys[i] = key;
		n += i == n;
	}
	return 0;
}
