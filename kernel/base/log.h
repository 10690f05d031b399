/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Log lines in Dapr's two forms (logrus text, JSON), with the same fields: time, level, msg, app_id, instance, scope,
 * type, ver (facts/flags.tsv). One write(2) a line, so lines of several threads never mix. Set up once, before any
 * thread starts. Nothing marked sensitive is ever given to it.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H
#include "base/str.h"

enum log_level { LOG_FATAL, LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

struct log_options {
	enum log_level level;
	int json;
	const char *file; /* appended to; NULL: standard output */
	const char *app_id, *version;
};

int log_start(const struct log_options *o);		      /* 0; -1: errno tells why the file could not be opened */
int log_level_of(struct str word, enum log_level *ret_level); /* "debug info warn error fatal"; -1: none of them */
const char *log_level_name(enum log_level l);
int log_enabled(enum log_level l);
void log_write(enum log_level l, const char *scope, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
struct log_field {
	const char *name;
	struct str value;
	int number; /* JSON has it without quotes */
};

/* With fields of its own among the usual ones, all in the order of their names; these are sorted by the caller. */
void log_with(enum log_level l, const char *scope, const struct log_field *fields, size_t n, struct str msg);
void log_lines(enum log_level l, const char *scope, struct str msg); /* msg as it is, of any length */

/* A source file names its scope once: #define LOG_SCOPE "dapr.runtime" */
#define log_debug(...) (log_enabled(LOG_DEBUG) ? log_write(LOG_DEBUG, LOG_SCOPE, __VA_ARGS__) : (void)0)
#define log_info(...) log_write(LOG_INFO, LOG_SCOPE, __VA_ARGS__)
#define log_warn(...) log_write(LOG_WARN, LOG_SCOPE, __VA_ARGS__)
#define log_error(...) log_write(LOG_ERROR, LOG_SCOPE, __VA_ARGS__)
#define log_fatal(...) log_write(LOG_FATAL, LOG_SCOPE, __VA_ARGS__) /* writes only: the caller ends the process */
#endif
