/* SPDX-License-Identifier: Apache-2.0 */
#include "file.h"

#include <ctype.h>
#include <davit/duration.h>
#include <stdlib.h>
#include <strings.h>

#define MS 1000000 /* nanoseconds */

int sqlite_file_duration(const struct davit_open *in, const char *field, int64_t fallback_ms, int64_t *ret_ms,
			 struct fault *f)
{
	struct davit_str s = davit_prop(in, field);
	int64_t ns;

	*ret_ms = fallback_ms;
	if (s.p == NULL)
		return 0;
	if (davit_duration_parse(s, &ns) < 0) {
		fault_set(f, DAVIT_INVALID_ARGUMENT, NULL,
			  "invalid value for '%s': '%.64s' is no duration such as 20s or 1m30s", field, s.p);
		return -1;
	}
	*ret_ms = ns / MS;
	return 0;
}

static int hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)(c | 0x20);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* A query parameter's text as it was before it was escaped; NULL: no memory. */
static char *unescape(const char *p, size_t n)
{
	char *text = malloc(n + 1), *t = text;
	size_t i;

	if (text == NULL)
		return NULL;
	for (i = 0; i < n; i++) {
		if (p[i] == '%' && i + 2 < n && hex(p[i + 1]) >= 0 && hex(p[i + 2]) >= 0) {
			*t++ = (char)(hex(p[i + 1]) << 4 | hex(p[i + 2]));
			i += 2;
		} else {
			*t++ = p[i] == '+' ? ' ' : p[i];
		}
	}
	*t = '\0';
	return text;
}

/* One statement only, and none of those that a field of the metadata is for. */
static int add_pragma(struct sqlite_file *o, char *text, struct fault *f)
{
	static const char *const forbidden[] = { "busy_timeout", "journal_mode", "foreign_keys" };
	size_t i;

	if (o->npragmas == SQLITE_FILE_PRAGMAS) {
		fault_set(f, DAVIT_INVALID_ARGUMENT, NULL, "more than %d _pragma options in the connection string",
			  SQLITE_FILE_PRAGMAS);
		free(text);
		return -1;
	}
	o->pragmas[o->npragmas++] = text;
	for (i = 0; i < sizeof(forbidden) / sizeof(forbidden[0]); i++) {
		if (strncasecmp(text, forbidden[i], strlen(forbidden[i])) == 0) {
			fault_set(f, DAVIT_INVALID_ARGUMENT, NULL,
				  "found forbidden option '_pragma=%s' in the connection string", forbidden[i]);
			return -1;
		}
	}
	for (i = 0; text[i] != '\0'; i++) {
		if (!isalnum((unsigned char)text[i]) && strchr("_.()=-+' ", text[i]) == NULL) {
			fault_set(f, DAVIT_INVALID_ARGUMENT, NULL,
				  "invalid option '_pragma=%.64s' in the connection string", text);
			return -1;
		}
	}
	return 0;
}

static void set_txlock(struct sqlite_file *o, const char *text)
{
	o->exclusive = strcasecmp(text, "exclusive") == 0;
	o->odd_txlock = strcasecmp(text, "immediate") != 0;
}

/* The first of a parameter that counts once; what is SQLite's own goes on into the URI as it stands. */
struct query {
	FILE *uri;
	char separator;
	int seen_mode, seen_immutable, seen_txlock;
};

static int parameter(struct sqlite_file *o, struct query *q, const char *p, size_t n, struct fault *f)
{
	const char *equals = memchr(p, '=', n);
	size_t name = equals ? (size_t)(equals - p) : n;
	char *text = equals ? unescape(equals + 1, n - name - 1) : unescape("", 0);
	int pass = 0;

	if (text == NULL) {
		fault_set(f, DAVIT_EXHAUSTED, NULL, "no memory left");
		return -1;
	}
#define IS(word) (name == sizeof(word) - 1 && memcmp(p, word, sizeof(word) - 1) == 0)
	if (IS("_pragma")) {
		return add_pragma(o, text, f);
	} else if (IS("_txlock")) {
		if (!q->seen_txlock++)
			set_txlock(o, text);
	} else if (IS("mode")) {
		pass = !q->seen_mode++;
		o->memory |= pass && strcmp(text, "memory") == 0;
		o->read_only |= pass && strcmp(text, "ro") == 0;
	} else if (IS("immutable")) {
		pass = !q->seen_immutable++;
		o->read_only |= pass && strcmp(text, "1") == 0;
	} else if (name > 0 && p[0] != '_') {
		pass = !(o->memory && IS("cache"));
	}
#undef IS
	if (pass) {
		fprintf(q->uri, "%c%.*s", q->separator, (int)n, p);
		q->separator = '&';
	}
	free(text);
	return 0;
}

/* "file:" and an empty authority are the URI's, not the file's. */
static char *shown(const char *p, size_t n)
{
	if (n >= 5 && strncasecmp(p, "file:", 5) == 0) {
		p += 5;
		n -= 5;
		if (n >= 3 && memcmp(p, "///", 3) == 0) {
			p += 2;
			n -= 2;
		}
	}
	return strndup(p, n);
}

static int connection_string(struct davit_str s, struct sqlite_file *o, struct fault *f)
{
	struct query q = { .separator = '?' };
	const char *question, *p, *end, *and;
	size_t n = 0, path;
	int bad = 0;

	if (s.n == 0) {
		fault_set(f, DAVIT_INVALID_ARGUMENT, NULL, "missing connection string");
		return -1;
	}
	question = memchr(s.p, '?', s.n);
	path = question != NULL && question > s.p ? (size_t)(question - s.p) : s.n;
	o->memory = strncasecmp(s.p, ":memory:", 8) == 0 || strncasecmp(s.p, "file::memory:", 13) == 0;
	o->shown = shown(s.p, path);
	q.uri = open_memstream(&o->uri, &n);
	if (o->shown == NULL || q.uri == NULL) {
		fault_set(f, DAVIT_EXHAUSTED, NULL, "no memory left");
		return -1;
	}
	fprintf(q.uri, "%s%.*s", strncasecmp(s.p, "file:", 5) == 0 ? "" : "file:", (int)path, s.p);
	for (p = s.p + path + 1, end = s.p + s.n; p < end && !bad; p = and+1) {
		and = memchr(p, '&', (size_t)(end - p));
		if (and == NULL)
			and = end;
		bad = parameter(o, &q, p, (size_t)(and-p), f);
	}
	if (o->memory)
		fprintf(q.uri, "%ccache=shared", q.separator);
	if (fclose(q.uri) != 0 && !bad) {
		fault_set(f, DAVIT_EXHAUSTED, NULL, "no memory left");
		bad = -1;
	}
	return bad;
}

int sqlite_file_read(const struct davit_open *in, struct sqlite_file *ret_file, struct fault *ret_fault)
{
	memset(ret_file, 0, sizeof(*ret_file));
	return connection_string(davit_prop(in, "connectionString"), ret_file, ret_fault);
}

void sqlite_file_release(struct sqlite_file *f)
{
	size_t i;

	for (i = 0; i < f->npragmas; i++)
		free(f->pragmas[i]);
	free(f->uri);
	free(f->shown);
}
