/* SPDX-License-Identifier: Apache-2.0 */
/* Text to tokens, by the grammar of the language definition: the longest token that fits. */
#include "base/banned.h"
#include "cel/inside.h"

static int is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static int is_hex(char c)
{
	return is_digit(c) || ((c | 32) >= 'a' && (c | 32) <= 'f');
}

static int is_letter(char c)
{
	return ((c | 32) >= 'a' && (c | 32) <= 'z') || c == '_';
}

/* The character n behind p->at; 0 past the end. A NUL in the text is refused before. */
static char look(const struct cel_parser *p, size_t n)
{
	return n < p->text.n - p->at ? p->text.p[p->at + n] : 0;
}

static void skip(struct cel_parser *p)
{
	for (;;) {
		char c = look(p, 0);

		if (c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == '\f') {
			p->at++;
		} else if (c == '/' && look(p, 1) == '/') {
			while (look(p, 0) && look(p, 0) != '\n')
				p->at++;
		} else {
			return;
		}
	}
}

static void take(struct cel_parser *p, enum cel_token_kind kind, size_t n)
{
	p->token.kind = kind;
	p->token.text = (struct str){ p->text.p + p->at, n };
	p->at += n;
}

static size_t digits(const struct cel_parser *p, size_t from, int (*is)(char))
{
	size_t n = from;

	while (is(look(p, n)))
		n++;
	return n - from;
}

/* The length of an exponent at n; 0: there is none. */
static size_t exponent(const struct cel_parser *p, size_t n)
{
	size_t sign = look(p, n + 1) == '+' || look(p, n + 1) == '-', more;

	if ((look(p, n) | 32) != 'e')
		return 0;
	more = digits(p, n + 1 + sign, is_digit);
	return more ? 1 + sign + more : 0;
}

static void number(struct cel_parser *p)
{
	enum cel_token_kind kind = TOKEN_INT;
	size_t n, more;

	if (look(p, 0) == '0' && look(p, 1) == 'x' && is_hex(look(p, 2))) {
		n = 2 + digits(p, 2, is_hex);
	} else {
		n = digits(p, 0, is_digit);
		more = look(p, n) == '.' ? digits(p, n + 1, is_digit) : 0;
		if (more) {
			kind = TOKEN_DOUBLE;
			n += 1 + more;
		}
		more = exponent(p, n);
		if (more) {
			kind = TOKEN_DOUBLE;
			n += more;
		}
	}
	if (kind == TOKEN_INT && (look(p, n) | 32) == 'u') {
		kind = TOKEN_UINT;
		n++;
	}
	take(p, kind, n);
}

/* A string or bytes whose quote stands n characters ahead. */
static void quoted(struct cel_parser *p, enum cel_token_kind kind, size_t n, int raw)
{
	char quote = look(p, n);
	size_t wide = look(p, n + 1) == quote && look(p, n + 2) == quote ? 3 : 1;

	for (n += wide;; n++) {
		char c = look(p, n);

		if (!c || (wide == 1 && (c == '\n' || c == '\r'))) {
			cel_refuse(p, p->token.place, "this %s does not end",
				   kind == TOKEN_BYTES ? "bytes literal" : "string");
			return;
		}
		if (c == '\\' && !raw)
			n++;
		else if (c == quote && (wide == 1 || (look(p, n + 1) == quote && look(p, n + 2) == quote)))
			break;
	}
	take(p, kind, n + wide);
}

/* 1: a string or bytes begins here, with its prefix, and was taken. */
static int string(struct cel_parser *p)
{
	size_t n = 0;
	int bytes = (look(p, 0) | 32) == 'b', raw;

	n += (size_t)bytes;
	raw = (look(p, n) | 32) == 'r';
	n += (size_t)raw;
	if (look(p, n) != '"' && look(p, n) != '\'')
		return 0;
	quoted(p, bytes ? TOKEN_BYTES : TOKEN_STRING, n, raw);
	return 1;
}

static void name(struct cel_parser *p)
{
	static const struct {
		const char *word;
		enum cel_token_kind kind;
	} words[] = { { "true", TOKEN_TRUE }, { "false", TOKEN_FALSE }, { "null", TOKEN_NULL }, { "in", TOKEN_IN } };
	size_t n = 0;

	while (is_letter(look(p, n)) || is_digit(look(p, n)))
		n++;
	take(p, TOKEN_NAME, n);
	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++)
		if (str_is(p->token.text, words[i].word))
			p->token.kind = words[i].kind;
}

static void sign(struct cel_parser *p)
{
	static const struct {
		const char *sign;
		enum cel_token_kind kind;
	} signs[] = {
		/* the longer ones first */
		{ "==", TOKEN_EQUAL },	       { "!=", TOKEN_NOT_EQUAL },  { "<=", TOKEN_LESS_EQUAL },
		{ ">=", TOKEN_GREATER_EQUAL }, { "&&", TOKEN_AND },	   { "||", TOKEN_OR },
		{ "<", TOKEN_LESS },	       { ">", TOKEN_GREATER },	   { "[", TOKEN_LEFT_SQUARE },
		{ "]", TOKEN_RIGHT_SQUARE },   { "{", TOKEN_LEFT_CURLY },  { "}", TOKEN_RIGHT_CURLY },
		{ "(", TOKEN_LEFT_ROUND },     { ")", TOKEN_RIGHT_ROUND }, { ".", TOKEN_POINT },
		{ ",", TOKEN_COMMA },	       { "-", TOKEN_MINUS },	   { "!", TOKEN_NOT },
		{ "?", TOKEN_QUESTION },       { ":", TOKEN_COLON },	   { "+", TOKEN_PLUS },
		{ "*", TOKEN_STAR },	       { "/", TOKEN_SLASH },	   { "%", TOKEN_PERCENT },
	};
	struct str rest = str_from(p->text, p->at);
	size_t n = 1;

	for (size_t i = 0; i < sizeof(signs) / sizeof(*signs); i++)
		if (str_starts(rest, str_of(signs[i].sign))) {
			take(p, signs[i].kind, strlen(signs[i].sign));
			return;
		}
	while (n < rest.n && ((unsigned char)rest.p[n] & 0xc0) == 0x80)
		n++;
	cel_refuse(p, p->token.place, "'" STR_FMT "' means nothing here", STR_ARG(str_upto(rest, n)));
}

void cel_next(struct cel_parser *p)
{
	char c;

	if (p->failed)
		return;
	skip(p);
	p->token.place = (uint32_t)p->at;
	c = look(p, 0);
	if (!c)
		take(p, TOKEN_END, 0);
	else if (is_digit(c) || (c == '.' && is_digit(look(p, 1))))
		number(p);
	else if (string(p))
		return;
	else if (is_letter(c))
		name(p);
	else
		sign(p);
}

void *cel_refuse(struct cel_parser *p, uint32_t place, const char *fmt, ...)
{
	va_list ap;

	if (!p->failed) {
		va_start(ap, fmt);
		p->fault = arena_vprintf(p->a, fmt, ap);
		va_end(ap);
		p->fault_place = place;
		p->failed = 1;
	}
	p->token.kind = TOKEN_END;
	p->token.text = STR("");
	return NULL;
}
