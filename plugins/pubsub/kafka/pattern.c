/* SPDX-License-Identifier: Apache-2.0 */
#include "pattern.h"

#include <regex.h>
#include <stdlib.h>

struct pattern {
	regex_t regex;
};

struct writer {
	char *at;
};

static void put(struct writer *w, const char *s)
{
	size_t n = strlen(s);

	memcpy(w->at, s, n);
	w->at += n;
}

static void put_char(struct writer *w, char c)
{
	*w->at++ = c;
}

/* What stands behind a backslash. Returns how many bytes of it were taken; 0: this cannot be said. */
static size_t escape(struct writer *w, const char *s)
{
	if (*s == 'd') {
		put(w, "[0-9]");
	} else if (*s == 'D') {
		put(w, "[^0-9]");
	} else if (strchr("wWsSbB", *s) != NULL && *s != '\0') {
		put_char(w, '\\');
		put_char(w, *s);
	} else if (*s == 'A') {
		put_char(w, '^');
	} else if (*s == 'z') {
		put_char(w, '$');
	} else if (*s == '\0' || (*s >= '0' && *s <= '9') || (*s >= 'a' && *s <= 'z') || (*s >= 'A' && *s <= 'Z')) {
		return 0;
	} else {
		put_char(w, '\\');
		put_char(w, *s);
	}
	return 1;
}

/* Behind a backslash within brackets, where POSIX quotes nothing: 0: this cannot be said. */
static int escape_within(struct writer *w, char c)
{
	if (c == 'd')
		put(w, "0-9");
	else if (c == 'w')
		put(w, "[:alnum:]_");
	else if (c == 's')
		put(w, "[:space:]");
	else if (strchr("./+*?(){}|$@#%&=:,;!<>~\"'`/", c) != NULL && c != '\0')
		put_char(w, c);
	else
		return 0;
	return 1;
}

/* A bracket expression: how many bytes of it were taken. 0: not to be said. */
static size_t bracket(struct writer *w, const char *s)
{
	const char *from = s;

	put_char(w, *s++);
	if (*s == '^')
		put_char(w, *s++);
	if (*s == ']')
		put_char(w, *s++);
	while (*s != '\0' && *s != ']') {
		if (s[0] == '[' && s[1] == ':') {
			while (*s != '\0' && !(s[0] == ':' && s[1] == ']'))
				put_char(w, *s++);
			if (*s != '\0')
				put_char(w, *s++);
		} else if (*s == '\\') {
			if (!escape_within(w, s[1]))
				return 0;
			s += 2;
			continue;
		}
		if (*s != '\0')
			put_char(w, *s++);
	}
	if (*s == '\0')
		return 0;
	put_char(w, *s++);
	return (size_t)(s - from);
}

static int translate(struct writer *w, const char *s)
{
	size_t n;

	while (*s != '\0') {
		if (*s == '\\') {
			n = escape(w, s + 1);
			if (n == 0)
				return -1;
			s += 1 + n;
		} else if (*s == '[') {
			n = bracket(w, s);
			if (n == 0)
				return -1;
			s += n;
		} else if (s[0] == '(' && s[1] == '?') {
			if (s[2] != ':')
				return -1;
			put_char(w, '(');
			s += 3;
		} else if (strchr("*+?}", *s) != NULL && s[1] == '?') {
			put_char(w, *s);
			s += 2;
		} else {
			put_char(w, *s++);
		}
	}
	put_char(w, '\0');
	return 0;
}

struct pattern *pattern_new(struct davit_str text, const char **ret_why)
{
	struct pattern *p = calloc(1, sizeof(*p));
	char *posix = malloc(text.n * 6 + 1); /* the longest translation of one byte: [^0-9] of two */
	struct writer w = { posix };
	int flags = REG_EXTENDED | REG_NOSUB;
	const char *from = text.p;

	*ret_why = "no memory left";
	if (p == NULL || posix == NULL)
		goto failed;
	if (strncmp(from, "(?i)", 4) == 0) {
		flags |= REG_ICASE;
		from += 4;
	}
	*ret_why = "it uses what this component's regular expressions do not offer";
	if (translate(&w, from) < 0)
		goto failed;
	*ret_why = "it is no regular expression";
	if (regcomp(&p->regex, posix, flags) != 0)
		goto failed;
	free(posix);
	return p;
failed:
	free(posix);
	free(p);
	return NULL;
}

void pattern_free(struct pattern *p)
{
	if (p == NULL)
		return;
	regfree(&p->regex);
	free(p);
}

int pattern_matches(const struct pattern *p, const char *text)
{
	return regexec(&p->regex, text, 0, NULL, 0) == 0;
}
