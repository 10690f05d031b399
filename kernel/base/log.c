/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/banned.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/jstream.h"

static struct {
	enum log_level level;
	int json, fd;
	char app_id[256], version[64], instance[256];
} logger = { .level = LOG_INFO, .fd = 1 };

static const char *const names[] = { "fatal", "error", "warning", "info", "debug" };

int log_level_of(struct str word, enum log_level *ret_level)
{
	size_t i;

	if (str_ieq(word, STR("warn"))) {
		*ret_level = LOG_WARN;
		return 0;
	}
	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (str_ieq(word, str_of(names[i]))) {
			*ret_level = (enum log_level)i;
			return 0;
		}
	}
	return -1;
}

const char *log_level_name(enum log_level l)
{
	return names[l];
}

int log_enabled(enum log_level l)
{
	return l <= logger.level;
}

int log_start(const struct log_options *o)
{
	int fd = 1;

	if (o->file != NULL) {
		fd = open(o->file, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
		if (fd < 0)
			return -1;
	}
	if (logger.fd > 2)
		close(logger.fd);
	logger.fd = fd;
	logger.level = o->level;
	logger.json = o->json;
	snprintf(logger.app_id, sizeof(logger.app_id), "%s", o->app_id ? o->app_id : "");
	snprintf(logger.version, sizeof(logger.version), "%s", o->version ? o->version : "");
	if (gethostname(logger.instance, sizeof(logger.instance)) < 0)
		logger.instance[0] = '\0';
	logger.instance[sizeof(logger.instance) - 1] = '\0';
	return 0;
}

/* logrus leaves a value bare when it has only these characters. */
static int is_bare(struct str s)
{
	size_t i;

	for (i = 0; i < s.n; i++) {
		char c = s.p[i];

		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
		      strchr("-._/@^+", c)) ||
		    c == '\0')
			return 0;
	}
	return 1;
}

static void add_quoted(struct buf *b, struct str s)
{
	size_t i;

	buf_addc(b, '"');
	for (i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];

		if (c == '"' || c == '\\')
			buf_addc(b, '\\'), buf_addc(b, (char)c);
		else if (c == '\n')
			buf_lit(b, "\\n");
		else if (c == '\t')
			buf_lit(b, "\\t");
		else if (c == '\r')
			buf_lit(b, "\\r");
		else if (c < 0x20 || c == 0x7f)
			buf_printf(b, "\\x%02x", c);
		else
			buf_addc(b, (char)c);
	}
	buf_addc(b, '"');
}

static void add_number(struct buf *b, const char *name, struct str value, int number)
{
	if (logger.json) {
		buf_addc(b, b->n > 0 ? ',' : '{');
		jstream_put(b, str_of(name));
		buf_addc(b, ':');
		if (number)
			buf_adds(b, value);
		else
			jstream_put(b, value);
		return;
	}
	if (b->n > 0)
		buf_addc(b, ' ');
	buf_printf(b, "%s=", name);
	if (is_bare(value))
		buf_adds(b, value);
	else
		add_quoted(b, value);
}

static void add_field(struct buf *b, const char *name, struct str value)
{
	add_number(b, name, value, 0);
}

/* The usual fields and those given, by name. */
static void add_fields(struct buf *b, const char *scope, const struct log_field *fields, size_t n)
{
	const struct log_field usual[] = {
		{ "app_id", str_of(logger.app_id), 0 }, { "instance", str_of(logger.instance), 0 },
		{ "scope", str_of(scope), 0 },		{ "type", STR("log"), 0 },
		{ "ver", str_of(logger.version), 0 },
	};
	size_t i, at = 0;

	for (i = 0; i < sizeof(usual) / sizeof(usual[0]); i++) {
		for (; at < n && strcmp(fields[at].name, usual[i].name) < 0; at++)
			add_number(b, fields[at].name, fields[at].value, fields[at].number);
		if (i > 0 || logger.app_id[0])
			add_field(b, usual[i].name, usual[i].value);
	}
	for (; at < n; at++)
		add_number(b, fields[at].name, fields[at].value, fields[at].number);
}

void log_lines(enum log_level l, const char *scope, struct str msg)
{
	log_with(l, scope, NULL, 0, msg);
}

void log_with(enum log_level l, const char *scope, const struct log_field *fields, size_t nfields, struct str msg)
{
	struct buf b = buf_init();
	char when[CLOCK_TEXT];
	size_t n, at = 0;
	ssize_t wrote;

	if (!log_enabled(l))
		return;
	n = clock_rfc3339(clock_wall_ns(), -1, when);
	add_field(&b, "time", (struct str){ when, n });
	add_field(&b, "level", str_of(names[l]));
	add_field(&b, "msg", msg);
	add_fields(&b, scope, fields, nfields);
	if (logger.json)
		buf_addc(&b, '}');
	buf_addc(&b, '\n');
	while (!b.failed && at < b.n) {
		wrote = write(logger.fd, b.p + at, b.n - at);
		if (wrote < 0 && errno != EINTR)
			break; /* nobody is left to tell */
		at += wrote > 0 ? (size_t)wrote : 0;
	}
	buf_free(&b);
}

void log_write(enum log_level l, const char *scope, const char *fmt, ...)
{
	struct buf b = buf_init();
	char line[1024];
	va_list ap, again;
	int n;

	if (!log_enabled(l))
		return;
	va_start(ap, fmt);
	va_copy(again, ap);
	n = vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	if (n < (int)sizeof(line)) {
		log_lines(l, scope, (struct str){ line, n > 0 ? (size_t)n : 0 });
	} else if (buf_reserve(&b, (size_t)n + 1) == 0) {
		vsnprintf(b.p, (size_t)n + 1, fmt, again);
		log_lines(l, scope, (struct str){ b.p, (size_t)n });
	}
	va_end(again);
	buf_free(&b);
}
