/* SPDX-License-Identifier: Apache-2.0 */
/* The connection string: "name=value name='va lue'" or postgres://user:password@host:port,host/database?name=value. */
#include <stdlib.h>

#include "options.h"

#define SETTINGS 128 /* most in one string */

static const char *spelled(const char *name)
{
	return strcmp(name, "database") == 0 ? "dbname" : name;
}

static struct pg_setting *find(const struct pg_options *o, const char *name)
{
	size_t i;

	for (i = 0; i < o->nsettings; i++)
		if (strcmp(o->settings[i].name, spelled(name)) == 0)
			return &o->settings[i];
	return NULL;
}

static void forget(char *text)
{
	if (text != NULL)
		explicit_bzero(text, strlen(text));
	free(text);
}

int pg_settings_set(struct pg_options *o, const char *name, const char *value, size_t n)
{
	struct pg_setting *s = find(o, name), *grown;
	char *copy = strndup(value, n);

	if (copy == NULL)
		return -1;
	if (s != NULL) {
		forget(s->value);
		s->value = copy;
		return 0;
	}
	grown = o->nsettings < SETTINGS ? reallocarray(o->settings, o->nsettings + 1, sizeof(*grown)) : NULL;
	if (grown != NULL) {
		o->settings = grown;
		s = &grown[o->nsettings];
		s->name = strdup(spelled(name));
		s->value = copy;
		if (s->name != NULL) {
			o->nsettings++;
			return 0;
		}
	}
	forget(copy);
	return -1;
}

const char *pg_settings_get(const struct pg_options *o, const char *name)
{
	const struct pg_setting *s = find(o, name);

	return s ? s->value : NULL;
}

void pg_settings_drop(struct pg_options *o, const char *name)
{
	struct pg_setting *s = find(o, name);

	if (s == NULL)
		return;
	free(s->name);
	forget(s->value);
	*s = o->settings[--o->nsettings];
}

static int bad(struct pg_fault *f, const char *what)
{
	pg_fault_set(f, DAVIT_INVALID_ARGUMENT, NULL, "failed to parse connection string: %s", what);
	return -1;
}

static int blank(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* A value up to a blank or its closing quote, without what escapes; NULL: it has no end. */
static const char *take_value(const char *p, char *value)
{
	int quoted = *p == '\'';

	for (p += quoted; *p != '\0' && (quoted ? *p != '\'' : !blank(*p)); p++) {
		if (*p == '\\' && p[1] != '\0')
			p++;
		*value++ = *p;
	}
	*value = '\0';
	if (quoted && *p != '\'')
		return NULL;
	return p + quoted;
}

static int parse_words(struct pg_options *o, const char *p, char *scratch, struct pg_fault *f)
{
	char name[64];
	size_t n;

	for (;;) {
		while (blank(*p))
			p++;
		if (*p == '\0')
			return 0;
		n = strcspn(p, "= \t\r\n");
		if (n == 0 || n >= sizeof(name))
			return bad(f, "a setting has no name");
		memcpy(name, p, n);
		name[n] = '\0';
		p += n;
		while (blank(*p))
			p++;
		if (*p != '=')
			return bad(f, "a name without '=' behind it");
		for (p++; blank(*p); p++)
			;
		p = take_value(p, scratch);
		if (p == NULL)
			return bad(f, "a quote is not closed");
		if (pg_settings_set(o, name, scratch, strlen(scratch)) < 0)
			return pg_fault_no_memory(f), -1;
	}
}

static int hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)(c | 0x20);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* n bytes without %XX, into text; -1: a broken escape, or a NUL. */
static int unescape(const char *p, size_t n, char *text)
{
	size_t i;

	for (i = 0; i < n; i++) {
		char c = p[i];

		if (c == '%') {
			if (i + 2 >= n || hex(p[i + 1]) < 0 || hex(p[i + 2]) < 0)
				return -1;
			c = (char)(hex(p[i + 1]) << 4 | hex(p[i + 2]));
			i += 2;
			if (c == '\0')
				return -1;
		}
		*text++ = c;
	}
	*text = '\0';
	return 0;
}

static int set_escaped(struct pg_options *o, const char *name, const char *p, size_t n, char *scratch,
		       struct pg_fault *f)
{
	if (unescape(p, n, scratch) < 0)
		return bad(f, "a broken %-escape");
	if (pg_settings_set(o, name, scratch, strlen(scratch)) < 0)
		return pg_fault_no_memory(f), -1;
	return 0;
}

/* "host:port,[v6]:port": two lists of equal length. */
static int parse_hosts(struct pg_options *o, const char *p, size_t n, char *scratch, struct pg_fault *f)
{
	char *hosts = malloc(2 * (n + 2)), *ports = hosts ? hosts + n + 2 : NULL, *h = hosts, *q = ports;
	const char *end = p + n, *comma, *colon;
	int rc;

	if (hosts == NULL)
		return pg_fault_no_memory(f), -1;
	for (;; p = comma + 1) {
		comma = memchr(p, ',', (size_t)(end - p));
		if (comma == NULL)
			comma = end;
		if (h != hosts)
			*h++ = *q++ = ',';
		colon = memrchr(p, ':', (size_t)(comma - p));
		if (colon != NULL && *p == '[' && memchr(colon, ']', (size_t)(comma - colon)) != NULL)
			colon = NULL;
		if (colon != NULL)
			q = mempcpy(q, colon + 1, (size_t)(comma - colon - 1));
		else
			colon = comma;
		if (colon - p >= 2 && *p == '[' && colon[-1] == ']')
			h = mempcpy(h, p + 1, (size_t)(colon - p - 2));
		else
			h = mempcpy(h, p, (size_t)(colon - p));
		if (comma == end)
			break;
	}
	*h = *q = '\0';
	rc = h == hosts ? 0 : set_escaped(o, "host", hosts, (size_t)(h - hosts), scratch, f);
	if (rc == 0 && strspn(ports, ",") != strlen(ports))
		rc = set_escaped(o, "port", ports, strlen(ports), scratch, f);
	free(hosts);
	return rc;
}

static int parse_query(struct pg_options *o, const char *p, char *scratch, struct pg_fault *f)
{
	char name[64];

	while (*p != '\0') {
		size_t n = strcspn(p, "&"), k = strcspn(p, "=&");

		if (k == n || k >= sizeof(name) || unescape(p, k, name) < 0)
			return bad(f, "a parameter without a value");
		if (set_escaped(o, name, p + k + 1, n - k - 1, scratch, f) < 0)
			return -1;
		p += n + (p[n] == '&');
	}
	return 0;
}

static int parse_url(struct pg_options *o, const char *p, char *scratch, struct pg_fault *f)
{
	size_t n = strcspn(p, "/?"), k;
	const char *at = memrchr(p, '@', n);

	if (at != NULL) {
		k = strcspn(p, ":@");
		if (k > 0 && set_escaped(o, "user", p, k, scratch, f) < 0)
			return -1;
		if (p[k] == ':' && set_escaped(o, "password", p + k + 1, (size_t)(at - p) - k - 1, scratch, f) < 0)
			return -1;
		n -= (size_t)(at + 1 - p);
		p = at + 1;
	}
	if (n > 0 && parse_hosts(o, p, n, scratch, f) < 0)
		return -1;
	p += n;
	if (*p == '/') {
		n = strcspn(++p, "?");
		if (n > 0 && set_escaped(o, "dbname", p, n, scratch, f) < 0)
			return -1;
		p += n;
	}
	return *p == '?' ? parse_query(o, p + 1, scratch, f) : 0;
}

int pg_settings_parse(struct pg_options *o, struct davit_str text, struct pg_fault *f)
{
	static const char *const schemes[] = { "postgres://", "postgresql://" };
	char *scratch = malloc(text.n + 1);
	size_t i;
	int rc;

	if (scratch == NULL)
		return pg_fault_no_memory(f), -1;
	for (i = 0; i < 2; i++)
		if (strncmp(text.p, schemes[i], strlen(schemes[i])) == 0)
			break;
	rc = i < 2 ? parse_url(o, text.p + strlen(schemes[i]), scratch, f) : parse_words(o, text.p, scratch, f);
	explicit_bzero(scratch, text.n + 1);
	free(scratch);
	return rc;
}
