/* SPDX-License-Identifier: Apache-2.0 */
#include "http/h1_head.h"

#include "base/banned.h"

#define OK ((struct h1_refusal){ 0, "" })
#define BAD(text) ((struct h1_refusal){ 400, text })
#define NO_MEMORY ((struct h1_refusal){ 500, "" })

/* RFC 9110, 5.6.2 */
const unsigned char h1_token[256] = {
	['!'] = '!', ['#'] = '#', ['$'] = '$', ['%'] = '%', ['&'] = '&', ['\''] = '\'', ['*'] = '*', ['+'] = '+',
	['-'] = '-', ['.'] = '.', ['^'] = '^', ['_'] = '_', ['`'] = '`', ['|'] = '|',	['~'] = '~', ['0'] = '0',
	['1'] = '1', ['2'] = '2', ['3'] = '3', ['4'] = '4', ['5'] = '5', ['6'] = '6',	['7'] = '7', ['8'] = '8',
	['9'] = '9', ['A'] = 'a', ['B'] = 'b', ['C'] = 'c', ['D'] = 'd', ['E'] = 'e',	['F'] = 'f', ['G'] = 'g',
	['H'] = 'h', ['I'] = 'i', ['J'] = 'j', ['K'] = 'k', ['L'] = 'l', ['M'] = 'm',	['N'] = 'n', ['O'] = 'o',
	['P'] = 'p', ['Q'] = 'q', ['R'] = 'r', ['S'] = 's', ['T'] = 't', ['U'] = 'u',	['V'] = 'v', ['W'] = 'w',
	['X'] = 'x', ['Y'] = 'y', ['Z'] = 'z', ['a'] = 'a', ['b'] = 'b', ['c'] = 'c',	['d'] = 'd', ['e'] = 'e',
	['f'] = 'f', ['g'] = 'g', ['h'] = 'h', ['i'] = 'i', ['j'] = 'j', ['k'] = 'k',	['l'] = 'l', ['m'] = 'm',
	['n'] = 'n', ['o'] = 'o', ['p'] = 'p', ['q'] = 'q', ['r'] = 'r', ['s'] = 's',	['t'] = 't', ['u'] = 'u',
	['v'] = 'v', ['w'] = 'w', ['x'] = 'x', ['y'] = 'y', ['z'] = 'z',
};

int h1_is_token(struct str s)
{
	size_t i;

	for (i = 0; i < s.n; i++)
		if (!h1_token[(unsigned char)s.p[i]])
			return 0;
	return s.n > 0;
}

/* Whether all of eight bytes may stand in a value, TAB left aside: none below ' ', none 0x7f. */
static int eight_plain(const char *p)
{
	const uint64_t each = 0x0101010101010101u;
	uint64_t word, del;

	memcpy(&word, p, sizeof(word));
	del = word ^ each * 0x7f;
	return ((((word - each * ' ') & ~word) | ((del - each) & ~del)) & each * 0x80) == 0;
}

int h1_is_value(struct str s)
{
	size_t i = 0;

	while (i + 8 <= s.n && eight_plain(s.p + i))
		i += 8;
	for (; i < s.n; i++)
		if (((unsigned char)s.p[i] < ' ' && s.p[i] != '\t') || s.p[i] == 0x7f)
			return 0;
	return 1;
}

size_t h1_head_end(struct str data, size_t *scanned)
{
	const char *at = data.p + *scanned, *end = data.p + data.n, *lf;

	while ((lf = memchr(at, '\n', (size_t)(end - at))) != NULL) {
		if (lf + 1 < end && lf[1] == '\n')
			return (size_t)(lf + 2 - data.p);
		if (lf + 2 < end && lf[1] == '\r' && lf[2] == '\n')
			return (size_t)(lf + 3 - data.p);
		if (end - lf < 3) {
			*scanned = (size_t)(lf - data.p); /* what follows it decides */
			return 0;
		}
		at = lf + 1;
	}
	*scanned = data.n;
	return 0;
}

/* The next line without its end; a lone LF ends one, as for Go. *p moves behind it. There is a LF. */
static struct str next_line(char **p, char *end)
{
	char *start = *p, *lf = memchr(start, '\n', (size_t)(end - start));
	size_t n = (size_t)(lf - start);

	*p = lf + 1;
	if (n > 0 && start[n - 1] == '\r')
		n--;
	return (struct str){ start, n };
}

static int is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static struct str trim(struct str s)
{
	while (s.n > 0 && is_blank(s.p[0]))
		s.p++, s.n--;
	while (s.n > 0 && is_blank(s.p[s.n - 1]))
		s.n--;
	return s;
}

/* "Name: value"; the name becomes lower case where it lies. -1: malformed. */
static struct h1_refusal parse_field(struct str line, struct http_field *f)
{
	char *p = (char *)line.p;
	size_t n;

	for (n = 0; n < line.n && h1_token[(unsigned char)p[n]]; n++)
		p[n] = (char)h1_token[(unsigned char)p[n]];
	if (n == 0 || n == line.n || p[n] != ':') /* so: no folded line, no blank before the colon */
		return BAD("");
	f->name = (struct str){ p, n };
	f->value = trim(str_from(line, n + 1));
	return h1_is_value(f->value) ? OK : BAD("invalid header value");
}

struct h1_refusal h1_fields_parse(char *p, size_t n, struct arena *a, struct http_field **ret_fields, size_t *ret_n)
{
	char *end = p + n, *at = p;
	struct h1_refusal refusal;
	struct http_field *f;
	size_t lines = 0, count = 0;
	struct str line;

	while ((at = memchr(at, '\n', (size_t)(end - at))) != NULL)
		at++, lines++;
	f = arena_try(a, lines * sizeof(*f));
	if (f == NULL)
		return NO_MEMORY;
	while (p < end) {
		line = next_line(&p, end);
		if (line.n == 0)
			break;
		refusal = parse_field(line, &f[count++]);
		if (refusal.status)
			return refusal;
	}
	*ret_fields = f;
	*ret_n = count;
	return OK;
}

/* A word in a list such as Connection's. */
static int has_word(struct str list, struct str word)
{
	struct str part;

	while (str_split(&list, ',', &part))
		if (str_ieq(trim(part), word))
			return 1;
	return 0;
}

static struct h1_refusal parse_length(struct str v, int64_t *ret_length)
{
	int64_t n = 0;
	size_t i;

	if (v.n == 0 || v.n > 18)
		return BAD("");
	for (i = 0; i < v.n; i++) {
		if (v.p[i] < '0' || v.p[i] > '9')
			return BAD("");
		n = n * 10 + (v.p[i] - '0');
	}
	*ret_length = n;
	return OK;
}

/* What may stand in an authority: no space, no path, nothing that ends one (RFC 3986, 3.2; Go's ValidHostHeader). */
static int is_authority(struct str s)
{
	static const char others[] = "!$%&'()*+,-.:;=@[]_~";
	size_t i;

	for (i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i], l = c | 32;

		if (!((c >= '0' && c <= '9') || (l >= 'a' && l <= 'z') || (c != 0 && strchr(others, c) != NULL)))
			return 0;
	}
	return 1;
}

static struct h1_refusal take_host(struct h1_head *h, struct str value, int *hosts)
{
	if (++*hosts > 1)
		return BAD("");
	if (!is_authority(value))
		return BAD("malformed Host header");
	if (h->authority.p == NULL) /* that of an absolute target wins */
		h->authority = value;
	return OK;
}

static struct h1_refusal take_coding(struct h1_head *h, struct str value)
{
	if (h->chunked || h->minor == 0)
		return BAD("");
	if (!str_ieq(value, STR("chunked")))
		return (struct h1_refusal){ 501, "Unsupported transfer encoding" };
	h->chunked = 1;
	return OK;
}

static void take_connection(struct h1_head *h, struct str value)
{
	if (has_word(value, STR("close")))
		h->keep_alive = -1;
	else if (h->minor == 0 && !h->keep_alive && has_word(value, STR("keep-alive")))
		h->keep_alive = 1;
}

static struct h1_refusal take_field(struct h1_head *h, const struct http_field *f, int *hosts, int *lengths)
{
	switch (f->name.n) { /* most fields are told by their length */
	case 4: return str_is(f->name, "host") ? take_host(h, f->value, hosts) : OK;
	case 6:
		if (!str_is(f->name, "expect"))
			return OK;
		if (!str_ieq(f->value, STR("100-continue")))
			return (struct h1_refusal){ 417, "" };
		h->expects = h->minor > 0;
		return OK;
	case 10:
		if (str_is(f->name, "connection"))
			take_connection(h, f->value);
		return OK;
	case 14:
		if (!str_is(f->name, "content-length"))
			return OK;
		return (*lengths)++ ? BAD("") : parse_length(f->value, &h->content_length);
	case 17: return str_is(f->name, "transfer-encoding") ? take_coding(h, f->value) : OK;
	default: return OK;
	}
}

/* What the fields say about this message and its connection. */
static struct h1_refusal interpret(struct h1_head *h)
{
	struct h1_refusal refusal = OK;
	int hosts = 0, lengths = 0;
	const struct http_field *f;

	for (f = h->fields; f < h->fields + h->nfields && !refusal.status; f++)
		refusal = take_field(h, f, &hosts, &lengths);
	if (refusal.status)
		return refusal;
	if (hosts == 0 && h->minor > 0 && !str_is(h->method, "CONNECT"))
		return BAD("missing required Host header");
	if (h->chunked && lengths)
		return BAD("");
	if (h->chunked)
		h->content_length = -1;
	return OK;
}

/* The path and the query of a target in one of its four forms (RFC 9112, 3.2). */
static struct h1_refusal parse_target(struct h1_head *h)
{
	struct str t = h->target, scheme, rest;
	size_t i;

	for (i = 0; i < t.n; i++)
		if ((unsigned char)t.p[i] <= ' ' || t.p[i] == 0x7f)
			return BAD("");
	if (t.n == 0)
		return BAD("");
	if (str_is(h->method, "CONNECT") && t.p[0] != '/') {
		h->authority = t;
		h->path = STR("");
		return is_authority(t) ? OK : BAD("");
	}
	if (t.p[0] != '/' && !str_is(t, "*")) {
		if (!str_cut(t, ':', &scheme, &rest) || !h1_is_token(scheme) || !str_starts(rest, STR("//")))
			return BAD("");
		rest = str_from(rest, 2);
		for (i = 0; i < rest.n && rest.p[i] != '/' && rest.p[i] != '?'; i++)
			;
		h->authority = str_upto(rest, i);
		if (i == 0 || !is_authority(h->authority))
			return BAD("");
		h->target = str_from(rest, i);
	}
	str_cut(h->target, '?', &h->path, &h->query);
	if (h->path.n == 0)
		h->path = STR("/");
	if (h->target.n == 0)
		h->target = h->path;
	return OK;
}

static struct h1_refusal parse_version(struct str v, struct h1_head *h)
{
	if (v.n != 8 || !str_starts(v, STR("HTTP/")) || v.p[5] < '0' || v.p[5] > '9' || v.p[6] != '.' || v.p[7] < '0' ||
	    v.p[7] > '9')
		return BAD("");
	if (v.p[5] != '1')
		return (struct h1_refusal){ 505, "unsupported protocol version" };
	h->minor = v.p[7] > '0';
	return OK;
}

struct h1_refusal h1_head_parse(struct h1_head *h, char *p, size_t n, struct arena *a)
{
	char *end = p + n;
	struct str line = next_line(&p, end), rest, version;
	struct h1_refusal refusal;

	*h = (struct h1_head){ .query = STR("") };
	if (!str_cut(line, ' ', &h->method, &rest) || !str_cut(rest, ' ', &h->target, &version) ||
	    !h1_is_token(h->method))
		return BAD("");
	if (!str_starts(version, STR("HTTP/")) && h->target.n > 0 && h->target.p[0] != '/')
		return (struct h1_refusal){ H1_NO_HTTP, "" };
	refusal = parse_version(version, h);
	if (!refusal.status)
		refusal = parse_target(h);
	if (!refusal.status)
		refusal = h1_fields_parse(p, (size_t)(end - p), a, &h->fields, &h->nfields);
	if (!refusal.status)
		refusal = interpret(h);
	if (refusal.status)
		return refusal;
	h->keep_alive = h->keep_alive > 0 || (h->minor > 0 && h->keep_alive == 0);
	if (h->authority.p == NULL)
		h->authority = STR("");
	return OK;
}
