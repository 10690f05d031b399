/* SPDX-License-Identifier: Apache-2.0 */
/* Trace context: https://www.w3.org/TR/trace-context/ and OpenCensus' binary form, which gRPC knows as grpc-trace-bin. */
#include "telemetry/trace.h"

#include "base/banned.h"
#include "base/buf.h"

#define MEMBERS_MAX 32

static int all_zero(const uint8_t *p, size_t n)
{
	uint8_t any = 0;

	for (size_t i = 0; i < n; i++)
		any |= p[i];
	return any == 0;
}

int trace_valid(const struct trace_context *c)
{
	return c && !all_zero(c->trace_id, sizeof(c->trace_id)) && !all_zero(c->span_id, sizeof(c->span_id));
}

int trace_sampled(const struct trace_context *c)
{
	return c && (c->flags & TRACE_SAMPLED);
}

/* ---- traceparent ---- */

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1; /* upper case is refused, as the specification wants */
}

/* -1: not exactly 2 * n digits. */
static int hex_parse(struct str s, uint8_t *to, size_t n)
{
	if (s.n != 2 * n)
		return -1;
	for (size_t i = 0; i < n; i++) {
		int high = hex_value(s.p[2 * i]), low = hex_value(s.p[2 * i + 1]);

		if (high < 0 || low < 0)
			return -1;
		to[i] = (uint8_t)(high << 4 | low);
	}
	return 0;
}

int trace_parse_parent(struct str text, struct trace_context *ret)
{
	struct trace_context c = { .state = STR("") };
	struct str part[4];
	uint8_t version;

	for (size_t i = 0; i < 4; i++)
		if (!str_split(&text, '-', &part[i]))
			return -1;
	if (hex_parse(part[0], &version, 1) < 0 || version == 0xff || (version == 0 && text.p))
		return -1;
	if (hex_parse(part[1], c.trace_id, 16) < 0 || hex_parse(part[2], c.span_id, 8) < 0 ||
	    hex_parse(part[3], &c.flags, 1) < 0 || !trace_valid(&c))
		return -1;
	*ret = c;
	return 0;
}

static char *put_hex(char *to, const uint8_t *p, size_t n)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < n; i++) {
		*to++ = digits[p[i] >> 4];
		*to++ = digits[p[i] & 15];
	}
	return to;
}

void trace_parent_text(const struct trace_context *c, char ret_text[TRACE_PARENT_TEXT + 1])
{
	char *p = ret_text;

	*p++ = '0';
	*p++ = '0';
	*p++ = '-';
	p = put_hex(p, c->trace_id, 16);
	*p++ = '-';
	p = put_hex(p, c->span_id, 8);
	*p++ = '-';
	p = put_hex(p, &c->flags, 1);
	*p = 0;
}

/* ---- tracestate ---- */

/* Letters and digits in lower case, '_', '-', '*', '/' behind the first. */
static int key_part(struct str s, size_t most, int digit_first)
{
	if (s.n == 0 || s.n > most)
		return 0;
	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];
		int letter = c >= 'a' && c <= 'z', digit = c >= '0' && c <= '9';

		if (!letter && !(digit && (i || digit_first)) && !(i && c && strchr("_-*/", c)))
			return 0;
	}
	return 1;
}

static int key_valid(struct str key)
{
	struct str tenant, system;

	if (!str_cut(key, '@', &tenant, &system))
		return key_part(key, 256, 0);
	return key_part(tenant, 241, 1) && key_part(system, 14, 0);
}

static int value_valid(struct str s)
{
	if (s.n == 0 || s.n > 256 || s.p[s.n - 1] == ' ')
		return 0;
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] < ' ' || s.p[i] > '~' || s.p[i] == ',' || s.p[i] == '=')
			return 0;
	return 1;
}

static struct str without_blanks(struct str s, int at_start)
{
	while (s.n && at_start && (s.p[0] == ' ' || s.p[0] == '\t'))
		s = str_from(s, 1);
	while (s.n && !at_start && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t'))
		s.n--;
	return s;
}

struct str trace_parse_state(struct arena *a, struct str text)
{
	struct str member, keys[MEMBERS_MAX];
	struct buf out = buf_in(a);
	size_t n = 0;

	while (str_split(&text, ',', &member)) {
		struct str key, value;

		if (member.n == 0)
			continue;
		if (n == MEMBERS_MAX || !str_cut(member, '=', &key, &value))
			return STR_NONE;
		key = without_blanks(key, 1);
		value = without_blanks(value, 0);
		if (!key_valid(key) || !value_valid(value))
			return STR_NONE;
		for (size_t i = 0; i < n; i++)
			if (str_eq(keys[i], key))
				return STR_NONE;
		keys[n++] = key;
		if (out.n)
			buf_lit(&out, ",");
		buf_adds(&out, key);
		buf_lit(&out, "=");
		buf_adds(&out, value);
	}
	return out.n ? buf_str(&out) : STR_NONE;
}

struct str trace_state_to_send(const struct trace_context *c)
{
	return c->state.n <= TRACE_STATE_MAX ? c->state : STR("");
}

/* ---- grpc-trace-bin: a version byte, then fields, each a number and its bytes ---- */

int trace_parse_binary(struct str bytes, struct trace_context *ret)
{
	struct trace_context c = { .state = STR("") };
	const uint8_t *p = (const uint8_t *)bytes.p;
	size_t at = 1;

	if (bytes.n < 18 || p[0] != 0 || p[at] != 0)
		return -1;
	memcpy(c.trace_id, p + 2, 16);
	at = 18;
	if (bytes.n >= at + 9 && p[at] == 1) {
		memcpy(c.span_id, p + at + 1, 8);
		at += 9;
	}
	if (bytes.n >= at + 2 && p[at] == 2)
		c.flags = p[at + 1];
	*ret = c;
	return 0;
}

void trace_binary(const struct trace_context *c, uint8_t ret_bytes[TRACE_BINARY])
{
	memset(ret_bytes, 0, TRACE_BINARY);
	memcpy(ret_bytes + 2, c->trace_id, 16);
	ret_bytes[18] = 1;
	memcpy(ret_bytes + 19, c->span_id, 8);
	ret_bytes[27] = 2;
	ret_bytes[28] = c->flags;
}

struct trace_context trace_from_request(struct arena *a, struct str binary, struct str parent, struct str state)
{
	struct trace_context c = { .state = STR("") };

	if (binary.n) {
		trace_parse_binary(binary, &c);
	} else if (parent.n && trace_parse_parent(parent, &c) == 0) {
		c.state = trace_parse_state(a, state);
		if (!c.state.p)
			c.state = STR("");
	}
	return c;
}

int trace_is_healthz(struct str path)
{
	return str_find(path, STR("/healthz")) >= 0;
}
