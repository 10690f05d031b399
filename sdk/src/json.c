/* SPDX-License-Identifier: Apache-2.0 */
#include <davit/json.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define REPLACEMENT 0xfffd /* U+FFFD, for what is no character */

/* ---- UTF-8 (RFC 3629) ---- */

/* Bytes of the character at p, 0: it is none. */
static size_t utf8_length(const unsigned char *p, const unsigned char *end)
{
	size_t left = (size_t)(end - p), n, i;
	unsigned char low = 0x80, high = 0xbf;

	if (p[0] < 0x80)
		return 1;
	n = p[0] >= 0xc2 && p[0] <= 0xdf ? 2 : p[0] >= 0xe0 && p[0] <= 0xef ? 3 : p[0] >= 0xf0 && p[0] <= 0xf4 ? 4 : 0;
	if (n == 0 || n > left)
		return 0;
	if (p[0] == 0xe0)
		low = 0xa0; /* shorter ones would do */
	else if (p[0] == 0xed)
		high = 0x9f; /* halves of surrogate pairs */
	else if (p[0] == 0xf0)
		low = 0x90;
	else if (p[0] == 0xf4)
		high = 0x8f; /* beyond Unicode */
	if (p[1] < low || p[1] > high)
		return 0;
	for (i = 2; i < n; i++)
		if (p[i] < 0x80 || p[i] > 0xbf)
			return 0;
	return n;
}

static size_t utf8_put(uint32_t c, char *ret)
{
	if (c < 0x80) {
		ret[0] = (char)c;
		return 1;
	}
	if (c < 0x800) {
		ret[0] = (char)(0xc0 | c >> 6);
		ret[1] = (char)(0x80 | (c & 0x3f));
		return 2;
	}
	if (c < 0x10000) {
		ret[0] = (char)(0xe0 | c >> 12);
		ret[1] = (char)(0x80 | (c >> 6 & 0x3f));
		ret[2] = (char)(0x80 | (c & 0x3f));
		return 3;
	}
	ret[0] = (char)(0xf0 | c >> 18);
	ret[1] = (char)(0x80 | (c >> 12 & 0x3f));
	ret[2] = (char)(0x80 | (c >> 6 & 0x3f));
	ret[3] = (char)(0x80 | (c & 0x3f));
	return 4;
}

/* ---- Is it JSON? ---- */

struct reader {
	const char *p, *end;
};

static int is_at(const struct reader *r, char c)
{
	return r->p < r->end && *r->p == c;
}

static void pass_space(struct reader *r)
{
	while (r->p < r->end && (*r->p == ' ' || *r->p == '\t' || *r->p == '\n' || *r->p == '\r'))
		r->p++;
}

static int pass(struct reader *r, char c)
{
	if (!is_at(r, c))
		return 0;
	r->p++;
	return 1;
}

static int is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static int pass_digits(struct reader *r)
{
	const char *from = r->p;

	while (r->p < r->end && is_digit(*r->p))
		r->p++;
	return r->p > from;
}

static int pass_number(struct reader *r)
{
	pass(r, '-');
	if (!pass(r, '0') && !pass_digits(r))
		return 0;
	if (pass(r, '.') && !pass_digits(r))
		return 0;
	if (!pass(r, 'e') && !pass(r, 'E'))
		return 1;
	if (!pass(r, '+'))
		pass(r, '-');
	return pass_digits(r);
}

static int pass_word(struct reader *r, const char *word)
{
	size_t n = strlen(word);

	if ((size_t)(r->end - r->p) < n || memcmp(r->p, word, n) != 0)
		return 0;
	r->p += n;
	return 1;
}

static int hex(const char *p, uint32_t *ret)
{
	uint32_t v = 0;
	int i;

	for (i = 0; i < 4; i++) {
		char c = p[i];

		if (!is_digit(c) && !(c >= 'a' && c <= 'f') && !(c >= 'A' && c <= 'F'))
			return 0;
		v = v << 4 | (uint32_t)(is_digit(c) ? c - '0' : (c | 0x20) - 'a' + 10);
	}
	*ret = v;
	return 1;
}

static int pass_escape(struct reader *r)
{
	uint32_t v;

	if (pass(r, 'u')) {
		if (r->end - r->p < 4 || !hex(r->p, &v))
			return 0;
		r->p += 4;
		return 1;
	}
	if (r->p == r->end || *r->p == '\0' || strchr("\"\\/bfnrt", *r->p) == NULL)
		return 0;
	r->p++;
	return 1;
}

static int pass_text(struct reader *r)
{
	size_t n;

	if (!pass(r, '"'))
		return 0;
	while (r->p < r->end && *r->p != '"') {
		if ((unsigned char)*r->p < 0x20)
			return 0;
		if (pass(r, '\\')) {
			if (!pass_escape(r))
				return 0;
			continue;
		}
		n = utf8_length((const unsigned char *)r->p, (const unsigned char *)r->end);
		if (n == 0)
			return 0;
		r->p += n;
	}
	return pass(r, '"');
}

static int pass_scalar(struct reader *r)
{
	if (r->p == r->end)
		return 0;
	switch (*r->p) {
	case '"': return pass_text(r);
	case 't': return pass_word(r, "true");
	case 'f': return pass_word(r, "false");
	case 'n': return pass_word(r, "null");
	default: return pass_number(r);
	}
}

static int pass_name(struct reader *r)
{
	pass_space(r);
	if (!pass_text(r))
		return 0;
	pass_space(r);
	return pass(r, ':');
}

/* What closes each array and object that is open, the innermost last. */
struct nest {
	char close[DAVIT_JSON_DEPTH];
	size_t depth;
};

/* 1: a value is to come in what was opened, 0: it has been closed again or was a scalar; -1. */
static int begin_value(struct reader *r, struct nest *nest)
{
	pass_space(r);
	if (!is_at(r, '{') && !is_at(r, '['))
		return pass_scalar(r) ? 0 : -1;
	if (nest->depth == DAVIT_JSON_DEPTH)
		return -1;
	nest->close[nest->depth++] = *r->p == '{' ? '}' : ']';
	r->p++;
	pass_space(r);
	if (pass(r, nest->close[nest->depth - 1])) {
		nest->depth--;
		return 0;
	}
	return nest->close[nest->depth - 1] == ']' || pass_name(r) ? 1 : -1;
}

/* Behind a value: 1: another one is to come, 0: all is closed; -1. */
static int end_value(struct reader *r, struct nest *nest)
{
	while (nest->depth > 0) {
		pass_space(r);
		if (pass(r, ','))
			return nest->close[nest->depth - 1] == ']' || pass_name(r) ? 1 : -1;
		if (!pass(r, nest->close[nest->depth - 1]))
			return -1;
		nest->depth--;
	}
	return 0;
}

static enum davit_json_kind kind_of(char first)
{
	switch (first) {
	case '{': return DAVIT_JSON_OBJECT;
	case '[': return DAVIT_JSON_ARRAY;
	case '"': return DAVIT_JSON_TEXT;
	case 't': return DAVIT_JSON_TRUE;
	case 'f': return DAVIT_JSON_FALSE;
	case 'n': return DAVIT_JSON_NULL;
	default: return DAVIT_JSON_NUMBER;
	}
}

int davit_json_parse(const char *text, size_t n, struct davit_json *ret_value)
{
	struct reader r = { text, text + n };
	struct nest nest = { .depth = 0 };
	const char *from;
	int more;

	pass_space(&r);
	from = r.p;
	do {
		more = begin_value(&r, &nest);
		if (more == 0)
			more = end_value(&r, &nest);
	} while (more > 0);
	if (more < 0)
		return -1;
	*ret_value = (struct davit_json){ kind_of(*from), from, (size_t)(r.p - from) };
	pass_space(&r);
	return r.p == r.end ? 0 : -1;
}

/* ---- Inside what is JSON ---- */

static size_t behind_string(const char *text, size_t n, size_t at)
{
	for (at++; at < n && text[at] != '"'; at++)
		if (text[at] == '\\')
			at++;
	return at;
}

/* The value at r->p, which is passed. */
static struct davit_json take_value(struct reader *r)
{
	struct davit_json v = { kind_of(*r->p), r->p, 0 };
	size_t depth = 0, at = 0, n = (size_t)(r->end - r->p);

	if (v.kind != DAVIT_JSON_ARRAY && v.kind != DAVIT_JSON_OBJECT) {
		pass_scalar(r);
		v.n = (size_t)(r->p - v.p);
		return v;
	}
	for (; at < n; at++) {
		if (v.p[at] == '"')
			at = behind_string(v.p, n, at);
		else if (v.p[at] == '[' || v.p[at] == '{')
			depth++;
		else if ((v.p[at] == ']' || v.p[at] == '}') && --depth == 0)
			break;
	}
	v.n = at + 1;
	r->p += v.n;
	return v;
}

int davit_json_next(struct davit_json of, size_t *place, struct davit_json *ret_name, struct davit_json *ret_value)
{
	struct reader r = { of.p + (*place > 0 ? *place : 1), of.p + of.n };
	struct davit_json name;

	if (of.kind != DAVIT_JSON_ARRAY && of.kind != DAVIT_JSON_OBJECT)
		return 0;
	pass_space(&r);
	pass(&r, ',');
	pass_space(&r);
	if (is_at(&r, ']') || is_at(&r, '}') || r.p >= r.end)
		return 0;
	if (of.kind == DAVIT_JSON_OBJECT) {
		name = take_value(&r);
		if (ret_name != NULL)
			*ret_name = name;
		pass_space(&r);
		pass(&r, ':');
		pass_space(&r);
	}
	*ret_value = take_value(&r);
	*place = (size_t)(r.p - of.p);
	return 1;
}

int davit_json_member(struct davit_json object, const char *name, struct davit_json *ret_value)
{
	struct davit_json key, value;
	size_t place = 0;
	int found = 0;

	if (object.kind != DAVIT_JSON_OBJECT)
		return 0;
	while (davit_json_next(object, &place, &key, &value))
		if (davit_json_is(key, name)) {
			*ret_value = value;
			found = 1;
		}
	return found;
}

/* The code point of an escape, behind whose backslash *p stands. */
static uint32_t unescape(const char **p, const char *end)
{
	static const char names[] = "bfnrt", means[] = "\b\f\n\r\t";
	const char *known = strchr(names, **p);
	uint32_t high, low;

	if (*(*p)++ != 'u')
		return (uint32_t)(unsigned char)(known ? means[known - names] : (*p)[-1]);
	hex(*p, &high);
	*p += 4;
	if (high < 0xd800 || high > 0xdfff)
		return high;
	if (high < 0xdc00 && end - *p >= 6 && (*p)[0] == '\\' && (*p)[1] == 'u' && hex(*p + 2, &low) && low >= 0xdc00 &&
	    low <= 0xdfff) {
		*p += 6;
		return 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
	}
	return REPLACEMENT;
}

/* Where bytes go as long as there is room. */
struct sink {
	char *buf;
	size_t size, n;
};

static void put(struct sink *s, const char *p, size_t n)
{
	if (s->n < s->size)
		memcpy(s->buf + s->n, p, n < s->size - s->n ? n : s->size - s->n);
	s->n += n;
}

static size_t close_sink(struct sink *s)
{
	if (s->size > 0)
		s->buf[s->n < s->size ? s->n : s->size - 1] = '\0';
	return s->n;
}

static void put_text(struct sink *s, struct davit_json v)
{
	const char *p = v.p + 1, *end = v.p + v.n - 1, *from;
	char c[4];

	while (p < end) {
		for (from = p; p < end && *p != '\\'; p++)
			;
		put(s, from, (size_t)(p - from));
		if (p == end)
			return;
		p++;
		put(s, c, utf8_put(unescape(&p, end), c));
	}
}

size_t davit_json_text(struct davit_json value, char *buf, size_t size)
{
	struct sink s = { buf, size, 0 };

	if (value.kind == DAVIT_JSON_TEXT)
		put_text(&s, value);
	else
		put(&s, value.p, value.n);
	return close_sink(&s);
}

int davit_json_is(struct davit_json value, const char *text)
{
	size_t n = strlen(text);
	char *buf;
	int same;

	if (value.kind != DAVIT_JSON_TEXT || value.n < n + 2)
		return 0;
	if (memchr(value.p, '\\', value.n) == NULL)
		return value.n == n + 2 && memcmp(value.p + 1, text, n) == 0;
	buf = malloc(n + 2); /* one more than fits, so that longer ones differ */
	same = buf != NULL && davit_json_text(value, buf, n + 2) == n && memcmp(buf, text, n) == 0;
	free(buf);
	return same;
}

int davit_json_integer(struct davit_json value, int64_t *ret_number)
{
	char text[24], *end;
	long long v;

	if (value.kind != DAVIT_JSON_NUMBER || value.n >= sizeof(text))
		return -1;
	davit_json_text(value, text, sizeof(text));
	errno = 0;
	v = strtoll(text, &end, 10);
	if (errno != 0 || *end != '\0')
		return -1;
	*ret_number = v;
	return 0;
}

static void put_escaped(struct sink *s, unsigned char c)
{
	static const char digits[] = "0123456789abcdef", names[] = "bfnrt", means[] = "\b\f\n\r\t";
	const char *known = c ? strchr(means, c) : NULL;
	char escape[] = { '\\', 'u', '0', '0', digits[c >> 4], digits[c & 15] };

	if (c != '"' && c != '\\' && known == NULL) {
		put(s, escape, sizeof(escape));
		return;
	}
	escape[1] = known ? names[known - means] : (char)c;
	put(s, escape, 2);
}

size_t davit_json_quote(const char *p, size_t n, char *buf, size_t size)
{
	const unsigned char *at = (const unsigned char *)p, *end = at + n;
	struct sink s = { buf, size, 0 };
	size_t length;

	put(&s, "\"", 1);
	while (at < end) {
		length = utf8_length(at, end);
		if (length == 0)
			put(&s, "\xef\xbf\xbd", 3);
		else if (*at < 0x20 || *at == '"' || *at == '\\')
			put_escaped(&s, *at);
		else
			put(&s, (const char *)at, length);
		at += length > 0 ? length : 1;
	}
	put(&s, "\"", 1);
	return close_sink(&s);
}

size_t davit_json_depth(const char *text, size_t n)
{
	size_t depth = 0, deepest = 0, at;

	for (at = 0; at < n; at++) {
		switch (text[at]) {
		case '"': at = behind_string(text, n, at); break;
		case '[':
		case '{':
			if (++depth > deepest)
				deepest = depth;
			break;
		case ']':
		case '}':
			if (depth > 0)
				depth--;
			break;
		default: break;
		}
	}
	return deepest;
}
