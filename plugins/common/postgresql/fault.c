/* SPDX-License-Identifier: Apache-2.0 */
#include "fault.h"

#include <ctype.h>

davit_status pg_fault_set(struct pg_fault *f, davit_status status, const char *reason, const char *fmt, ...)
{
	va_list ap;

	f->status = status;
	f->reason = reason;
	f->again = 0;
	f->code[0] = '\0';
	va_start(ap, fmt);
	vsnprintf(f->text, sizeof(f->text), fmt, ap);
	va_end(ap);
	return status;
}

davit_status pg_fault_no_memory(struct pg_fault *f)
{
	return pg_fault_set(f, DAVIT_EXHAUSTED, NULL, "no memory left");
}

/* By SQLSTATE, the longer ones first: https://www.postgresql.org/docs/current/errcodes-appendix.html */
static const struct {
	const char *code;
	davit_status status;
	int again; /* nothing was done, and a second try helps */
} codes[] = {
	{ "0A000", DAVIT_FAILED_PRECONDITION, 0 },
	{ "25006", DAVIT_UNAVAILABLE, 1 },
	{ "26000", DAVIT_INTERNAL, 1 },
	{ "3D000", DAVIT_FAILED_PRECONDITION, 0 },
	{ "40001", DAVIT_ABORTED, 1 },
	{ "40P01", DAVIT_ABORTED, 1 },
	{ "42501", DAVIT_PERMISSION_DENIED, 0 },
	{ "42P01", DAVIT_FAILED_PRECONDITION, 0 },
	{ "42P05", DAVIT_INTERNAL, 1 },
	{ "55P03", DAVIT_UNAVAILABLE, 0 },
	{ "57014", DAVIT_DEADLINE_EXCEEDED, 0 },
	{ "57P", DAVIT_UNAVAILABLE, 0 },
	{ "08", DAVIT_UNAVAILABLE, 0 },
	{ "22", DAVIT_INVALID_ARGUMENT, 0 },
	{ "23", DAVIT_FAILED_PRECONDITION, 0 },
	{ "28", DAVIT_UNAUTHENTICATED, 0 },
	{ "3F", DAVIT_FAILED_PRECONDITION, 0 },
	{ "42", DAVIT_FAILED_PRECONDITION, 0 },
	{ "53", DAVIT_EXHAUSTED, 0 },
	{ "54", DAVIT_INVALID_ARGUMENT, 0 },
};

static void weigh(struct pg_fault *f, const char *code, davit_status otherwise)
{
	size_t i;

	f->status = otherwise;
	snprintf(f->code, sizeof(f->code), "%s", code);
	for (i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
		if (strncmp(codes[i].code, code, strlen(codes[i].code)) != 0)
			continue;
		f->status = codes[i].status;
		f->again = codes[i].again;
		return;
	}
}

davit_status pg_fault_result(struct pg_fault *f, const PGresult *r)
{
	const char *code = PQresultErrorField(r, PG_DIAG_SQLSTATE),
		   *text = PQresultErrorField(r, PG_DIAG_MESSAGE_PRIMARY);
	const char *all = PQresultErrorMessage(r);

	if (code == NULL) /* the library's own trouble, such as memory */
		return pg_fault_set(f, strstr(all, "memory") ? DAVIT_EXHAUSTED : DAVIT_UNAVAILABLE, NULL, "%.*s",
				    (int)strcspn(all, "\n"), all);
	pg_fault_set(f, DAVIT_INTERNAL, NULL, "%s (SQLSTATE %s)", text ? text : "error", code);
	weigh(f, code, DAVIT_INTERNAL);
	/* What a statement means has changed since it was prepared: a new connection prepares it anew. */
	if (strcmp(code, "0A000") == 0 && text != NULL && strstr(text, "cached plan") != NULL)
		f->again = 1;
	return f->status;
}

/* The SQLSTATE between two colons of a message that has codes in it; NULL: there is none. */
static const char *find_code(const char *s)
{
	int i, digits;

	for (; (s = strchr(s, ':')) != NULL; s++) {
		const char *at = s + 1 + strspn(s + 1, " ");

		for (i = digits = 0; i < 5 && (isupper((unsigned char)at[i]) || isdigit((unsigned char)at[i])); i++)
			digits += isdigit((unsigned char)at[i]) != 0;
		if (at > s + 1 && i == 5 && digits > 0 && at[5] == ':') /* "FATAL:" is none */
			return at;
	}
	return NULL;
}

davit_status pg_fault_connection(struct pg_fault *f, const PGconn *pg, const char *doing)
{
	const char *text = pg ? PQerrorMessage(pg) : "no memory left", *at = find_code(text);
	size_t n = strcspn(text, "\n");
	char code[6] = "";

	if (at == NULL) {
		pg_fault_set(f, DAVIT_UNAVAILABLE, NULL, "%s%.*s", doing, (int)n, text);
		if (strstr(text, "out of memory") != NULL)
			f->status = DAVIT_EXHAUSTED;
		return f->status;
	}
	memcpy(code, at, 5);
	n = strcspn(at + 6, "\n");
	pg_fault_set(f, DAVIT_UNAVAILABLE, NULL, "%s%.*s (SQLSTATE %s)", doing, (int)n, at + 6 + strspn(at + 6, " "),
		     code);
	weigh(f, code, DAVIT_UNAVAILABLE);
	f->again = 0;
	return f->status;
}

davit_status pg_fault_tell(const struct pg_fault *f, struct davit_call *call)
{
	return davit_fail_text(call, f->status, f->reason, f->text, strlen(f->text));
}
