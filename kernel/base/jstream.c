/* SPDX-License-Identifier: Apache-2.0 */
#include "base/jstream.h"

#include <ctype.h>

#include "base/banned.h"

struct jstream jstream_read(struct str text)
{
	return (struct jstream){ .start = text.p, .p = text.p, .end = text.p + text.n };
}

static int fault(struct jstream *j, const char *what)
{
	if (j->error == NULL) {
		j->error = what;
		j->at = (size_t)(j->p - j->start);
	}
	return 0;
}

static void skip_space(struct jstream *j)
{
	while (j->p < j->end && (*j->p == ' ' || *j->p == '\n' || *j->p == '\t' || *j->p == '\r'))
		j->p++;
}

/* The next character that is no white space; 0 at the end or after a fault. */
static char look(struct jstream *j)
{
	if (j->error != NULL)
		return 0;
	skip_space(j);
	if (j->p == j->end)
		return (char)fault(j, "unexpected end of JSON input");
	return *j->p;
}

enum jstream_type jstream_peek(struct jstream *j)
{
	switch (look(j)) {
	case '{': return JSTREAM_OBJECT;
	case '[': return JSTREAM_ARRAY;
	case '"': return JSTREAM_STRING;
	case 't':
	case 'f': return JSTREAM_BOOL;
	case 'n': return JSTREAM_NULL;
	case '-':
	case '0' ... '9': return JSTREAM_NUMBER;
	default: fault(j, "invalid character looking for beginning of value"); return JSTREAM_NOTHING;
	}
}

static int enter(struct jstream *j, char open)
{
	if (look(j) != open)
		return 0;
	if (j->depth == JSTREAM_DEPTH)
		return fault(j, "nested too deeply");
	j->p++;
	j->depth++;
	j->first = 1;
	return 1;
}

int jstream_enter_object(struct jstream *j)
{
	return enter(j, '{');
}

int jstream_enter_array(struct jstream *j)
{
	return enter(j, '[');
}

/* Before an element or at the end of what `close` ends; eats the comma. */
static int more(struct jstream *j, char close)
{
	char c = look(j);

	if (c == close) {
		j->p++;
		j->depth--;
		j->first = 0;
		return 0;
	}
	if (!j->first) {
		if (c != ',')
			return fault(j, close == '}' ? "invalid character after object key:value pair"
						     : "invalid character after array element");
		j->p++;
		c = look(j);
		if (c == close)
			return fault(j, "invalid character looking for beginning of value");
	}
	j->first = 0;
	return j->error == NULL;
}

int jstream_next(struct jstream *j)
{
	return more(j, ']');
}

static int is_hex4(const char *p)
{
	int i;

	for (i = 0; i < 4; i++)
		if (!((p[i] >= '0' && p[i] <= '9') || (p[i] >= 'a' && p[i] <= 'f') || (p[i] >= 'A' && p[i] <= 'F')))
			return 0;
	return 1;
}

/* Eight bytes at a time: most texts are long and have nothing special in them. */
#define EACH(byte) (UINT64_C(0x0101010101010101) * (byte))
#define HIGH EACH(0x80)

static uint64_t eight(const char *p)
{
	uint64_t w;

	memcpy(&w, p, sizeof(w));
	return w;
}

/* Not 0: one of the eight may be this byte. */
static uint64_t any_is(uint64_t w, unsigned char byte)
{
	w ^= EACH(byte);
	return (w - EACH(1)) & ~w & HIGH;
}

/* Not 0: one of the eight may be a control character, a quote or a backslash. */
static uint64_t any_special(uint64_t w)
{
	return ((w - EACH(0x20)) & ~w & HIGH) | any_is(w, '"') | any_is(w, '\\');
}

/* Past the string that starts here; *ret_escaped tells whether it needs unescaping. */
static int pass_string(struct jstream *j, int *ret_escaped)
{
	const char *p = j->p + 1;

	*ret_escaped = 0;
	for (; p < j->end && *p != '"'; p++) {
		while (j->end - p > 8 && !any_special(eight(p)))
			p += 8;
		if (*p == '"')
			break;
		if ((unsigned char)*p < 0x20) {
			j->p = p;
			return fault(j, "invalid character in string literal");
		}
		if (*p != '\\')
			continue;
		*ret_escaped = 1;
		p++;
		if (p == j->end)
			break;
		if (*p == 'u') {
			if (j->end - p < 5 || !is_hex4(p + 1)) {
				for (p++; p < j->end && isxdigit((unsigned char)*p);)
					p++;
				j->p = p;
				return fault(j, "invalid character in \\u hexadecimal character escape");
			}
			p += 4;
		} else if (*p == '\0' || strchr("\"\\/bfnrt", *p) == NULL) {
			j->p = p;
			return fault(j, "invalid character in string escape code");
		}
	}
	if (p >= j->end) {
		j->p = j->end;
		return fault(j, "unexpected end of JSON input");
	}
	j->p = p + 1;
	return 1;
}

static int digits(struct jstream *j)
{
	const char *from = j->p;

	while (j->p < j->end && *j->p >= '0' && *j->p <= '9')
		j->p++;
	return j->p > from ? 1
			   : fault(j, j->p == j->end ? "unexpected end of JSON input"
						     : "invalid character in numeric literal");
}

static int pass_number(struct jstream *j)
{
	if (*j->p == '-')
		j->p++;
	if (j->p < j->end && *j->p == '0')
		j->p++;
	else if (!digits(j))
		return 0;
	if (j->p < j->end && *j->p == '.') {
		j->p++;
		if (!digits(j))
			return 0;
	}
	if (j->p < j->end && (*j->p == 'e' || *j->p == 'E')) {
		j->p++;
		if (j->p < j->end && (*j->p == '+' || *j->p == '-'))
			j->p++;
		return digits(j);
	}
	return 1;
}

static int pass_word(struct jstream *j, struct str word)
{
	size_t i;

	for (i = 0; i < word.n && j->p < j->end && *j->p == word.p[i]; i++)
		j->p++;
	if (i == word.n)
		return 1;
	return fault(j, j->p == j->end ? "unexpected end of JSON input" : "invalid character in literal");
}

static int pass_scalar(struct jstream *j, enum jstream_type type)
{
	int escaped;

	switch (type) {
	case JSTREAM_STRING: return pass_string(j, &escaped);
	case JSTREAM_NUMBER: return pass_number(j);
	case JSTREAM_NULL: return pass_word(j, STR("null"));
	case JSTREAM_BOOL: return pass_word(j, *j->p == 't' ? STR("true") : STR("false"));
	default: return 0;
	}
}

static int pass_key(struct jstream *j)
{
	int escaped;

	if (look(j) != '"')
		return fault(j, "invalid character looking for beginning of object key string");
	if (!pass_string(j, &escaped))
		return 0;
	if (look(j) != ':')
		return fault(j, "invalid character after object key");
	j->p++;
	return 1;
}

/* One value; open arrays and objects are bits of a field instead of frames of a stack. */
static void pass_value(struct jstream *j)
{
	uint64_t objects[JSTREAM_DEPTH / 64 + 1] = { 0 };
	int base = j->depth, in_object;
	enum jstream_type type;

	for (;;) {
		type = jstream_peek(j);
		if (type == JSTREAM_OBJECT || type == JSTREAM_ARRAY) {
			if (!enter(j, type == JSTREAM_OBJECT ? '{' : '['))
				return;
			if (type == JSTREAM_OBJECT)
				objects[j->depth / 64] |= 1ull << (j->depth % 64);
			else
				objects[j->depth / 64] &= ~(1ull << (j->depth % 64));
		} else if (!pass_scalar(j, type)) {
			return;
		}
		for (;;) {
			if (j->depth == base)
				return;
			in_object = objects[j->depth / 64] >> (j->depth % 64) & 1;
			if (more(j, in_object ? '}' : ']'))
				break;
			if (j->error != NULL)
				return;
		}
		if (in_object && !pass_key(j))
			return;
	}
}

struct str jstream_raw(struct jstream *j)
{
	const char *from;

	if (look(j) == 0)
		return STR_NONE;
	from = j->p;
	pass_value(j);
	j->first = 0;
	return j->error ? STR_NONE : (struct str){ from, (size_t)(j->p - from) };
}

void jstream_skip(struct jstream *j)
{
	(void)jstream_raw(j);
}

static unsigned hex4(const char *p)
{
	unsigned v = 0;
	int i;

	for (i = 0; i < 4; i++)
		v = v << 4 | (unsigned)(p[i] <= '9' ? p[i] - '0' : (p[i] | 32) - 'a' + 10);
	return v;
}

/* A \u escape at p (behind the 'u'), with its second half where there is one; a lone half is U+FFFD, as Go has it. */
static unsigned unescape_u(const char **p, const char *end)
{
	unsigned c = hex4(*p), low;

	*p += 4;
	if (c < 0xd800 || c > 0xdfff)
		return c;
	if (c < 0xdc00 && end - *p >= 6 && (*p)[0] == '\\' && (*p)[1] == 'u') {
		low = hex4(*p + 2);
		if (low >= 0xdc00 && low <= 0xdfff) {
			*p += 6;
			return 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
		}
	}
	return 0xfffd;
}

/* The inside of a checked string. It never grows: an escape is at least as long as what it stands for. */
static struct str unescape(struct arena *a, const char *p, const char *end)
{
	static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
	char *out = arena_alloc(a, (size_t)(end - p) + 1);
	size_t n = 0;

	while (p < end) {
		if (*p != '\\') {
			out[n++] = *p++;
			continue;
		}
		p += 2;
		if (p[-1] == 'u')
			n += str_put_rune(out + n, unescape_u(&p, end));
		else
			out[n++] = to[strchr(from, p[-1]) - from];
	}
	out[n] = '\0';
	return (struct str){ out, n };
}

/* Each byte that is no UTF-8 becomes U+FFFD, as Go reads JSON. */
static struct str valid(struct arena *a, struct str text)
{
	struct buf b = buf_in(a);
	size_t i, step;

	if (str_utf8(text))
		return text;
	for (i = 0; i < text.n; i += step) {
		step = 1;
		while (step < 4 && i + step < text.n && ((unsigned char)text.p[i + step] & 0xc0) == 0x80)
			step++;
		if (str_utf8((struct str){ text.p + i, step })) {
			buf_add(&b, text.p + i, step);
			continue;
		}
		buf_lit(&b, "\xef\xbf\xbd");
		step = 1;
	}
	return arena_str(a, buf_str(&b));
}

static int read_string(struct jstream *j, struct arena *a, struct str *ret_value)
{
	const char *from = j->p + 1;
	int escaped;

	if (!pass_string(j, &escaped))
		return 0;
	*ret_value = valid(a, escaped ? unescape(a, from, j->p - 1)
				      : arena_str(a, (struct str){ from, (size_t)(j->p - 1 - from) }));
	return 1;
}

int jstream_string(struct jstream *j, struct arena *a, struct str *ret_value)
{
	return look(j) == '"' && read_string(j, a, ret_value);
}

int jstream_key(struct jstream *j, struct arena *a, struct str *ret_key)
{
	if (!more(j, '}'))
		return 0;
	if (look(j) != '"')
		return fault(j, "invalid character looking for beginning of object key string");
	if (!read_string(j, a, ret_key))
		return 0;
	if (look(j) != ':')
		return fault(j, "invalid character after object key");
	j->p++;
	return 1;
}

int jstream_end(struct jstream *j)
{
	if (j->error == NULL) {
		skip_space(j);
		if (j->p != j->end)
			fault(j, "invalid character after top-level value");
	}
	return j->error ? -1 : 0;
}

int jstream_check(struct str text)
{
	struct jstream j = jstream_read(text);

	jstream_skip(&j);
	return jstream_end(&j);
}

struct str jstream_unquote(struct arena *a, struct str raw)
{
	struct jstream j = jstream_read(raw);
	struct str value;

	return jstream_string(&j, a, &value) && jstream_end(&j) == 0 ? value : raw;
}

void jstream_compact(struct buf *b, struct str raw)
{
	size_t i, from = 0;
	int in_string = 0;

	for (i = 0; i < raw.n; i++) {
		char c = raw.p[i];

		if (in_string) {
			if (c == '\\')
				i++;
			else if (c == '"')
				in_string = 0;
		} else if (c == '"') {
			in_string = 1;
		} else if (c == ' ' || c == '\n' || c == '\t' || c == '\r') {
			buf_add(b, raw.p + from, i - from);
			from = i + 1;
		}
	}
	buf_add(b, raw.p + from, raw.n - from);
}

/* The string whose quote stands at raw.p[i]; returns where it ends. */
static size_t put_normal(struct buf *b, struct arena *a, struct str raw, size_t i)
{
	size_t from = i + 1, end = from;
	int escaped = 0;

	for (; raw.p[end] != '"'; end++)
		if (raw.p[end] == '\\') {
			escaped = 1;
			end++;
		}
	if (!escaped && str_utf8((struct str){ raw.p + from, end - from }))
		buf_add(b, raw.p + i, end + 1 - i);
	else
		jstream_put(b, valid(a, unescape(a, raw.p + from, raw.p + end)));
	return end + 1;
}

void jstream_normal(struct buf *b, struct arena *a, struct str raw)
{
	size_t i = 0, from;

	while (i < raw.n) {
		if (raw.p[i] == '"') {
			i = put_normal(b, a, raw, i);
			continue;
		}
		for (from = i; i < raw.n && raw.p[i] != '"' && strchr(" \n\t\r", raw.p[i]) == NULL; i++)
			;
		buf_add(b, raw.p + from, i - from);
		while (i < raw.n && raw.p[i] != '"' && strchr(" \n\t\r", raw.p[i]) != NULL)
			i++;
	}
}

static void put_escape(struct buf *b, unsigned char c)
{
	switch (c) {
	case '"': buf_lit(b, "\\\""); break;
	case '\\': buf_lit(b, "\\\\"); break;
	case '\n': buf_lit(b, "\\n"); break;
	case '\r': buf_lit(b, "\\r"); break;
	case '\t': buf_lit(b, "\\t"); break;
	case '\b': buf_lit(b, "\\b"); break;
	case '\f': buf_lit(b, "\\f"); break;
	default: buf_printf(b, "\\u%04x", c);
	}
}

/* Eight that stand as they are. */
static int is_plain(uint64_t w, int html)
{
	uint64_t found = (w & HIGH) | any_special(w);

	if (html)
		found |= any_is(w, '<') | any_is(w, '>') | any_is(w, '&');
	return found == 0;
}

static void put(struct buf *b, struct str text, int html)
{
	size_t i, from = 0, step;
	unsigned char c;

	buf_addc(b, '"');
	for (i = 0; i < text.n; i += step) {
		while (text.n - i > 8 && is_plain(eight(text.p + i), html))
			i += 8;
		c = (unsigned char)text.p[i];
		step = 1;
		if (c >= 0x80) {
			while (step < 4 && i + step < text.n && ((unsigned char)text.p[i + step] & 0xc0) == 0x80)
				step++;
			if (str_utf8((struct str){ text.p + i, step }))
				continue;
			buf_add(b, text.p + from, i - from);
			buf_lit(b, "\\ufffd");
			step = 1;
		} else if (c >= 0x20 && c != '"' && c != '\\' && !(html && (c == '<' || c == '>' || c == '&'))) {
			continue;
		} else {
			buf_add(b, text.p + from, i - from);
			put_escape(b, c);
		}
		from = i + step;
	}
	buf_add(b, text.p + from, text.n - from);
	buf_addc(b, '"');
}

void jstream_put(struct buf *b, struct str text)
{
	put(b, text, 0);
}

void jstream_put_html(struct buf *b, struct str text)
{
	put(b, text, 1);
}
