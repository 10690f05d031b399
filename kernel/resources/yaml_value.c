/* SPDX-License-Identifier: Apache-2.0 */
/* What a YAML tree means: look-ups, the type of plain scalars, their text and JSON as Go's decoders give them. */
#include "resources/yaml_value.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/banned.h"
#include "base/jstream.h"

#define LONGEST_NUMBER 400 /* characters; a plain scalar past that is text */
#define TAG "tag:yaml.org,2002:"

/* clang-format off */
static const struct {
	const char *word;
	struct yaml_value value;
	int only_resource; /* YAML 1.1 has it, yaml.v3 does not */
} words[] = {
	{ "", { YAML_NULL }, 0 }, { "~", { YAML_NULL }, 0 },
	{ "null", { YAML_NULL }, 0 }, { "Null", { YAML_NULL }, 0 }, { "NULL", { YAML_NULL }, 0 },
	{ "true", { YAML_BOOL, .b = 1 }, 0 }, { "True", { YAML_BOOL, .b = 1 }, 0 }, { "TRUE", { YAML_BOOL, .b = 1 }, 0 },
	{ "false", { YAML_BOOL }, 0 }, { "False", { YAML_BOOL }, 0 }, { "FALSE", { YAML_BOOL }, 0 },
	{ "y", { YAML_BOOL, .b = 1 }, 1 }, { "Y", { YAML_BOOL, .b = 1 }, 1 },
	{ "yes", { YAML_BOOL, .b = 1 }, 1 }, { "Yes", { YAML_BOOL, .b = 1 }, 1 }, { "YES", { YAML_BOOL, .b = 1 }, 1 },
	{ "on", { YAML_BOOL, .b = 1 }, 1 }, { "On", { YAML_BOOL, .b = 1 }, 1 }, { "ON", { YAML_BOOL, .b = 1 }, 1 },
	{ "n", { YAML_BOOL }, 1 }, { "N", { YAML_BOOL }, 1 },
	{ "no", { YAML_BOOL }, 1 }, { "No", { YAML_BOOL }, 1 }, { "NO", { YAML_BOOL }, 1 },
	{ "off", { YAML_BOOL }, 1 }, { "Off", { YAML_BOOL }, 1 }, { "OFF", { YAML_BOOL }, 1 },
	{ ".nan", { YAML_FLOAT, .f = NAN }, 0 }, { ".NaN", { YAML_FLOAT, .f = NAN }, 0 },
	{ ".NAN", { YAML_FLOAT, .f = NAN }, 0 }, { ".inf", { YAML_FLOAT, .f = INFINITY }, 0 },
	{ ".Inf", { YAML_FLOAT, .f = INFINITY }, 0 }, { ".INF", { YAML_FLOAT, .f = INFINITY }, 0 },
	{ "+.inf", { YAML_FLOAT, .f = INFINITY }, 0 }, { "+.Inf", { YAML_FLOAT, .f = INFINITY }, 0 },
	{ "+.INF", { YAML_FLOAT, .f = INFINITY }, 0 }, { "-.inf", { YAML_FLOAT, .f = -INFINITY }, 0 },
	{ "-.Inf", { YAML_FLOAT, .f = -INFINITY }, 0 }, { "-.INF", { YAML_FLOAT, .f = -INFINITY }, 0 },
};
/* clang-format on */

const struct yaml_node *yaml_get(const struct yaml_node *mapping, const char *key)
{
	size_t i;

	for (i = mapping && mapping->kind == YAML_MAPPING ? mapping->n : 0; i-- > 0;)
		if (str_is(mapping->pairs[i].key->text, key))
			return mapping->pairs[i].value;
	return NULL;
}

const struct yaml_node *yaml_iget(const struct yaml_node *mapping, const char *key)
{
	const struct yaml_node *exact = yaml_get(mapping, key);
	size_t i;

	if (exact != NULL)
		return exact;
	for (i = mapping && mapping->kind == YAML_MAPPING ? mapping->n : 0; i-- > 0;)
		if (str_ieq(mapping->pairs[i].key->text, str_of(key)))
			return mapping->pairs[i].value;
	return NULL;
}

const struct yaml_node *yaml_at(const struct yaml_node *root, const char *path)
{
	struct str rest = str_of(path), part;
	const struct yaml_node *n = root;
	size_t i;

	while (n != NULL && str_split(&rest, '.', &part)) {
		const struct yaml_node *found = NULL;

		for (i = n->kind == YAML_MAPPING ? n->n : 0; found == NULL && i-- > 0;)
			if (str_eq(n->pairs[i].key->text, part))
				found = n->pairs[i].value;
		n = found;
	}
	return n;
}

/* The base that a whole number's prefix names, as Go's ParseInt with base 0; the prefix is cut off. */
static unsigned base_of(struct str *s)
{
	if (s->n < 2 || s->p[0] != '0')
		return 10;
	switch (s->p[1] | 0x20) {
	case 'x': *s = str_from(*s, 2); return 16;
	case 'o': *s = str_from(*s, 2); return 8;
	case 'b': *s = str_from(*s, 2); return 2;
	default: *s = str_from(*s, 1); return 8;
	}
}

static int digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : 99;
}

static int whole_number(struct str s, struct yaml_value *ret)
{
	int negative = s.n > 0 && s.p[0] == '-', sign = negative || (s.n > 0 && s.p[0] == '+');
	uint64_t u = 0;
	unsigned base;
	size_t i;

	s = str_from(s, (size_t)sign);
	base = base_of(&s);
	for (i = 0; i < s.n; i++) {
		int d = digit(s.p[i]);

		if (d >= (int)base || __builtin_mul_overflow(u, (uint64_t)base, &u) ||
		    __builtin_add_overflow(u, (uint64_t)d, &u))
			return 0;
	}
	if (s.n == 0 || (negative && u > (uint64_t)INT64_MAX + 1) || (sign && !negative && u > INT64_MAX))
		return 0;
	if (negative)
		*ret = (struct yaml_value){ .type = YAML_INT, .i = (int64_t)(0 - u) };
	else if (u <= INT64_MAX)
		*ret = (struct yaml_value){ .type = YAML_INT, .i = (int64_t)u };
	else
		*ret = (struct yaml_value){ .type = YAML_UINT, .u = u };
	return 1;
}

static size_t skip_digits(const char *s, size_t at)
{
	while (s[at] >= '0' && s[at] <= '9')
		at++;
	return at;
}

/* [-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)? and no more than a double holds */
static int fraction(const char *s, struct yaml_value *ret)
{
	size_t at = s[0] == '-' || s[0] == '+', from = at, digits;
	double f;

	at = skip_digits(s, at);
	digits = at - from;
	if (s[at] == '.') {
		from = at + 1;
		at = skip_digits(s, from);
		if (digits == 0 && at == from)
			return 0;
	} else if (digits == 0) {
		return 0;
	}
	if (s[at] == 'e' || s[at] == 'E') {
		at++;
		at += s[at] == '-' || s[at] == '+';
		from = at;
		at = skip_digits(s, at);
		if (at == from)
			return 0;
	}
	if (s[at] != '\0')
		return 0;
	f = strtod(s, NULL);
	if (isinf(f))
		return 0;
	*ret = (struct yaml_value){ .type = YAML_FLOAT, .f = f };
	return 1;
}

static int number(struct str text, struct yaml_value *ret)
{
	char plain[LONGEST_NUMBER + 1];
	size_t i, n = 0;

	if (text.n == 0 || text.n > LONGEST_NUMBER || strchr("+-.0123456789", text.p[0]) == NULL)
		return 0;
	for (i = 0; i < text.n; i++)
		if (text.p[i] != '_' || text.p[0] == '.')
			plain[n++] = text.p[i];
	plain[n] = '\0';
	if (plain[0] == '.')
		return fraction(plain, ret);
	return whole_number((struct str){ plain, n }, ret) || fraction(plain, ret);
}

static struct yaml_value plain(struct str text, enum yaml_rules rules)
{
	struct yaml_value v = { .type = YAML_STRING };
	size_t i;

	for (i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (str_is(text, words[i].word) && (rules == YAML_RESOURCE || !words[i].only_resource))
			return words[i].value;
	number(text, &v);
	return v;
}

static int core_tag(const struct yaml_node *n, const char *name)
{
	struct str prefix = STR(TAG);

	return str_starts(n->tag, prefix) && str_is(str_from(n->tag, prefix.n), name);
}

int yaml_tag_fits(const struct yaml_node *n)
{
	enum yaml_type t = plain(n->text, YAML_RESOURCE).type;

	if (core_tag(n, "binary"))
		return 0;
	if (core_tag(n, "null"))
		return t == YAML_NULL;
	if (core_tag(n, "bool"))
		return t == YAML_BOOL;
	if (core_tag(n, "int"))
		return t == YAML_INT || t == YAML_UINT;
	if (core_tag(n, "float"))
		return t == YAML_INT || t == YAML_FLOAT;
	return 1;
}

struct yaml_value yaml_resolve(const struct yaml_node *n, enum yaml_rules rules)
{
	struct yaml_value v = { .type = YAML_STRING };

	if (n->kind == YAML_SEQUENCE)
		v.type = YAML_LIST;
	else if (n->kind == YAML_MAPPING)
		v.type = YAML_MAP;
	else if (n->tag.n == 0)
		v = n->style == YAML_PLAIN ? plain(n->text, rules) : v;
	else if (core_tag(n, "null") || core_tag(n, "bool") || core_tag(n, "int") || core_tag(n, "float"))
		v = plain(n->text, YAML_RESOURCE);
	if (n->tag.n > 0 && v.type == YAML_INT && core_tag(n, "float"))
		v = (struct yaml_value){ .type = YAML_FLOAT, .f = (double)v.i };
	return v;
}

const char *yaml_type_name(enum yaml_type t)
{
	static const char *const names[] = {
		[YAML_NULL] = "nothing",   [YAML_BOOL] = "a boolean", [YAML_INT] = "a number", [YAML_UINT] = "a number",
		[YAML_FLOAT] = "a number", [YAML_STRING] = "text",    [YAML_LIST] = "a list",  [YAML_MAP] = "an object",
	};

	return names[t];
}

/* The shortest digits that read back as f, "d.ddde±xx". */
static void shortest(double f, int bits, char ret_text[40])
{
	int most = bits == 32 ? 9 : 17, digits;

	for (digits = 0; digits < most; digits++) {
		snprintf(ret_text, 40, "%.*e", digits, f);
		if (bits == 32 ? strtof(ret_text, NULL) == (float)f : strtod(ret_text, NULL) == f)
			return;
	}
}

/* Digits without the point; *ret_exponent: of the first digit. */
static size_t digits_of(const char *text, char ret_digits[24], int *ret_exponent)
{
	size_t n = 0;

	for (; *text != 'e'; text++)
		if (*text >= '0' && *text <= '9' && n < 23)
			ret_digits[n++] = *text;
	*ret_exponent = (int)strtol(text + 1, NULL, 10);
	while (n > 1 && ret_digits[n - 1] == '0')
		n--;
	return n;
}

struct str yaml_number(struct arena *a, double f, int bits)
{
	char text[40], digits[24];
	struct buf b = buf_in(a);
	int exponent, i, small = bits == 32 ? -4 : -6, large = bits == 32 ? 6 : 21;
	size_t n;

	if (bits == 32)
		f = (float)f;
	if (isnan(f))
		return STR("NaN");
	if (isinf(f))
		return f > 0 ? STR("+Inf") : STR("-Inf");
	shortest(f, bits, text);
	n = digits_of(text, digits, &exponent);
	/* Go takes an exponent (two digits) from 21 digits on in JSON, else from 7; its JSON has no zero after e-. */
	if (signbit(f))
		buf_addc(&b, '-');
	if (exponent < small || exponent >= large) {
		buf_addc(&b, digits[0]);
		if (n > 1)
			buf_printf(&b, ".%.*s", (int)n - 1, digits + 1);
		buf_printf(&b, bits == 32 || exponent >= 0 ? "e%+03d" : "e%d", exponent);
		return buf_str(&b);
	}
	if (exponent < 0)
		buf_lit(&b, "0.");
	for (i = exponent; i < -1; i++)
		buf_addc(&b, '0');
	for (i = 0; i < (int)n || i <= exponent; i++) {
		if (i == exponent + 1 && exponent >= 0)
			buf_addc(&b, '.');
		buf_addc(&b, i < (int)n ? digits[i] : '0');
	}
	return buf_str(&b);
}

struct str yaml_text(struct arena *a, const struct yaml_node *n, enum yaml_rules rules)
{
	struct yaml_value v = yaml_resolve(n, rules);

	if (n->kind != YAML_SCALAR || v.type == YAML_NULL)
		return STR("");
	if (rules == YAML_CONFIGURATION)
		return n->text;
	switch (v.type) {
	case YAML_BOOL: return v.b ? STR("true") : STR("false");
	case YAML_INT: return arena_printf(a, "%lld", (long long)v.i);
	case YAML_UINT: return arena_printf(a, "%llu", (unsigned long long)v.u);
	case YAML_FLOAT: return yaml_number(a, v.f, 32);
	default: return n->text;
	}
}

struct writer {
	struct arena *arena;
	struct buf b;
	enum yaml_rules rules;
	const struct yaml_node *bad;
};

struct member {
	struct str key;
	size_t at; /* in the mapping */
	const struct yaml_node *value;
};

static int by_key(const void *a, const void *b)
{
	const struct member *x = a, *y = b;
	int r = str_cmp(x->key, y->key);

	return r ? r : (x->at > y->at) - (x->at < y->at);
}

static int write_value(struct writer *w, const struct yaml_node *n);

static int write_map(struct writer *w, const struct yaml_node *n)
{
	struct member *m = arena_alloc(w->arena, n->n * sizeof(*m));
	size_t i, written = 0;

	for (i = 0; i < n->n; i++)
		m[i] = (struct member){ yaml_text(w->arena, n->pairs[i].key, w->rules), i, n->pairs[i].value };
	if (n->n > 0)
		qsort(m, n->n, sizeof(*m), by_key);
	buf_addc(&w->b, '{');
	for (i = 0; i < n->n; i++) {
		if (i + 1 < n->n && str_eq(m[i].key, m[i + 1].key))
			continue; /* given again further down */
		if (written++ > 0)
			buf_addc(&w->b, ',');
		jstream_put_html(&w->b, m[i].key);
		buf_addc(&w->b, ':');
		if (write_value(w, m[i].value) < 0)
			return -1;
	}
	buf_addc(&w->b, '}');
	return 0;
}

static int write_list(struct writer *w, const struct yaml_node *n)
{
	size_t i;

	buf_addc(&w->b, '[');
	for (i = 0; i < n->n; i++) {
		if (i > 0)
			buf_addc(&w->b, ',');
		if (write_value(w, n->items[i]) < 0)
			return -1;
	}
	buf_addc(&w->b, ']');
	return 0;
}

static int write_value(struct writer *w, const struct yaml_node *n)
{
	struct yaml_value v = yaml_resolve(n, w->rules);

	switch (v.type) {
	case YAML_NULL: buf_lit(&w->b, "null"); return 0;
	case YAML_BOOL: buf_adds(&w->b, v.b ? STR("true") : STR("false")); return 0;
	case YAML_INT: buf_int(&w->b, v.i); return 0;
	case YAML_UINT: buf_printf(&w->b, "%llu", (unsigned long long)v.u); return 0;
	case YAML_FLOAT:
		if (isnan(v.f) || isinf(v.f))
			break;
		buf_adds(&w->b, yaml_number(w->arena, v.f, 64));
		return 0;
	case YAML_STRING: jstream_put_html(&w->b, n->text); return 0;
	case YAML_LIST: return write_list(w, n);
	case YAML_MAP: return write_map(w, n);
	}
	w->bad = n;
	return -1;
}

int yaml_json(struct arena *a, const struct yaml_node *n, enum yaml_rules rules, struct str *ret_json,
	      const struct yaml_node **ret_at)
{
	struct writer w = { .arena = a, .b = buf_in(a), .rules = rules };

	if (write_value(&w, n) < 0) {
		*ret_at = w.bad;
		return -1;
	}
	*ret_json = buf_str(&w.b);
	return 0;
}
