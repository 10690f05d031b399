/* SPDX-License-Identifier: Apache-2.0 */
#include "storage.h"

#include <stdlib.h>
#include <time.h>

#include "escape.h"
#include "exchange.h"

#define ADDED 3 /* fields: x-ms-date, x-ms-version, authorization */
/* A try that takes longer is given up, as Azure's client for Python gives up reading; a body has a second more for each MB. */
#define TRY_MS 60000
#define BYTES_A_MS 1000

int azure_storage_field(struct azure_storage_request *q, const char *name, struct davit_str value,
			struct azure_fault *f)
{
	if (value.n == 0)
		return 0;
	if (q->nfields == AZURE_STORAGE_FIELDS - ADDED) {
		azure_fault_set(f, DAVIT_INVALID_ARGUMENT, "too many header fields: at most %d",
				AZURE_STORAGE_FIELDS - ADDED);
		return -1;
	}
	q->fields[q->nfields++] = (struct davit_pair){ davit_str(name), value };
	return 0;
}

struct attempt {
	struct azure_storage *s;
	const struct azure_storage_request *q;
	struct davit_pair fields[AZURE_STORAGE_FIELDS];
	size_t nfields;
	char date[32];
};

/* The day and month names of RFC 9110, 5.6.7, whatever the locale. */
static void put_date(char text[32])
{
	static const char *const days[] = { "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat" };
	static const char *const months[] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun",
					      "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };
	time_t now = time(NULL);
	struct tm t;

	gmtime_r(&now, &t);
	snprintf(text, 32, "%s, %02d %s %04d %02d:%02d:%02d GMT", days[t.tm_wday % 7], t.tm_mday % 100,
		 months[t.tm_mon % 12], (t.tm_year + 1900) % 10000, t.tm_hour % 100, t.tm_min % 100, t.tm_sec % 100);
}

static int by_name(const void *a, const void *b)
{
	const struct davit_pair *x = a, *y = b;

	return strcmp(x->key.p, y->key.p);
}

static struct davit_str with_query(const struct attempt *a, struct davit_call *call)
{
	const struct azure_storage *s = a->s;
	struct davit_str url = azure_print(call, "%s%.*s", s->base, (int)a->q->path.n, a->q->path.p), value;
	size_t i;

	for (i = 0; i < a->q->nquery && url.p != NULL; i++) {
		value = azure_escape(call, a->q->query[i].value);
		if (value.p == NULL)
			return value;
		url = azure_print(call, "%s%c%s=%s", url.p, i == 0 ? '?' : '&', a->q->query[i].key.p, value.p);
	}
	if (url.p != NULL && s->sas != NULL)
		url = azure_print(call, "%s%c%s", url.p, a->q->nquery == 0 ? '?' : '&', s->sas);
	return url;
}

static davit_status authorize(struct attempt *a, struct davit_call *call, struct azure_fault *f)
{
	struct azure_storage *s = a->s;
	struct davit_str path, value = davit_str(NULL);
	davit_status status;

	if (s->credential != NULL) {
		status = azure_token(s->credential, call, &value, f);
		if (status != DAVIT_OK)
			return status;
	} else if (s->has_key) {
		path = azure_print(call, "%s%.*s", s->path, (int)a->q->path.n, a->q->path.p);
		struct azure_signed in = { .method = a->q->method,
					   .account = davit_str(s->account),
					   .path = path,
					   .query = a->q->query,
					   .nquery = a->q->nquery,
					   .fields = a->fields,
					   .nfields = a->nfields,
					   .length = a->q->body.n };

		if (path.p != NULL)
			value = azure_authorization(call, &in, &s->key);
	} else {
		return DAVIT_OK;
	}
	if (value.p == NULL)
		return azure_fault_no_memory(f);
	a->fields[a->nfields++] = (struct davit_pair){ davit_str("authorization"), value };
	return DAVIT_OK;
}

static davit_status make(void *arg, struct davit_call *call, struct davit_http_request *q, struct azure_fault *f)
{
	struct attempt *a = arg;
	davit_status status;

	put_date(a->date);
	memcpy(a->fields, a->q->fields, a->q->nfields * sizeof(a->fields[0]));
	a->nfields = a->q->nfields;
	a->fields[a->nfields++] = (struct davit_pair){ davit_str("x-ms-date"), davit_str(a->date) };
	a->fields[a->nfields++] = (struct davit_pair){ davit_str("x-ms-version"), davit_str(AZURE_STORAGE_VERSION) };
	qsort(a->fields, a->nfields, sizeof(a->fields[0]), by_name);
	status = authorize(a, call, f);
	if (status != DAVIT_OK)
		return status;
	q->method = davit_str(a->q->method);
	q->url = with_query(a, call);
	if (q->url.p == NULL)
		return azure_fault_no_memory(f);
	q->fields = a->fields;
	q->nfields = a->nfields;
	q->body = a->q->body;
	q->body_limit = a->q->body_limit;
	q->timeout_ms = TRY_MS +
			(int64_t)((a->q->body.n > a->q->body_limit ? a->q->body.n : a->q->body_limit) / BYTES_A_MS);
	return DAVIT_OK;
}

/* ---- What the service said ---- */

static davit_status status_of(int code)
{
	static const struct {
		int code;
		davit_status status;
	} table[] = { { 400, DAVIT_INVALID_ARGUMENT },	{ 401, DAVIT_UNAUTHENTICATED },
		      { 403, DAVIT_PERMISSION_DENIED }, { 404, DAVIT_NOT_FOUND },
		      { 408, DAVIT_DEADLINE_EXCEEDED }, { 409, DAVIT_FAILED_PRECONDITION },
		      { 412, DAVIT_ABORTED },		{ 413, DAVIT_INVALID_ARGUMENT },
		      { 429, DAVIT_UNAVAILABLE },	{ 500, DAVIT_UNAVAILABLE },
		      { 502, DAVIT_UNAVAILABLE },	{ 503, DAVIT_UNAVAILABLE },
		      { 504, DAVIT_UNAVAILABLE } };
	size_t i;

	for (i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		if (table[i].code == code)
			return table[i].status;
	return DAVIT_INTERNAL;
}

/* The text between <name> and </name> of the error document; a look, not a parser: nothing depends on it but a message. */
static struct davit_str element(struct davit_bytes body, const char *name)
{
	char open[32], close[32];
	const char *from, *to;

	snprintf(open, sizeof(open), "<%s>", name);
	snprintf(close, sizeof(close), "</%s>", name);
	from = memmem(body.p, body.n, open, strlen(open));
	if (from == NULL)
		return (struct davit_str){ "", 0 };
	from += strlen(open);
	to = memmem(from, (size_t)((const char *)body.p + body.n - from), close, strlen(close));
	return (struct davit_str){ from, to == NULL ? 0 : (size_t)(to - from) };
}

/* Up to the end of a line: behind it come the request's id and time. */
static int first_line(struct davit_str s)
{
	size_t n = 0;

	while (n < s.n && n < 400 && s.p[n] != '\n' && s.p[n] != '\r')
		n++;
	return (int)n;
}

static davit_status refused(const struct davit_http_response *r, struct azure_fault *f)
{
	struct davit_str code = davit_http_field(r, "x-ms-error-code"), text = element(r->body, "Message"),
			 id = davit_http_field(r, "x-ms-request-id");

	if (code.n == 0)
		code = element(r->body, "Code");
	azure_fault_set(f, status_of(r->code), "the service answered %d%s%.*s%s%.*s%s%.*s", r->code, code.n ? " " : "",
			code.n > 60 ? 60 : (int)code.n, code.p, text.n ? ": " : "", first_line(text), text.p,
			id.n ? ", request " : "", id.n > 60 ? 60 : (int)id.n, id.p);
	snprintf(f->code, sizeof(f->code), "%.*s", code.n > 60 ? 60 : (int)code.n, code.p);
	return f->status;
}

/* A failure without an answer says who was asked. */
static davit_status named(const struct azure_storage *s, struct azure_fault *f)
{
	struct azure_fault why = *f;

	return azure_fault_set(f, why.status, "%.200s: %.800s", s->base, why.text);
}

davit_status azure_storage_send(struct azure_storage *s, struct davit_call *call, const struct azure_storage_request *q,
				const struct davit_http_response **ret_response, struct azure_fault *f)
{
	struct attempt *a = davit_alloc(call, sizeof(*a));
	struct azure_exchange e = { s->instance, s->retries, make, a, NULL };
	const struct davit_http_response *r = NULL;
	davit_status status;
	int fresh = 0;

	*ret_response = NULL;
	if (a == NULL)
		return azure_fault_no_memory(f);
	a->s = s;
	a->q = q;
	for (;;) {
		status = azure_exchange(&e, call, &r, f);
		if (status != DAVIT_OK)
			return named(s, f);
		/* A token may be taken back before its time: once with a new one. */
		if (r->code != 401 || s->credential == NULL || fresh++)
			break;
		azure_token_refused(s->credential);
		davit_http_service(s->instance)->release(r);
	}
	if (r->code / 100 == 2) {
		*ret_response = r;
		return DAVIT_OK;
	}
	status = refused(r, f);
	davit_http_service(s->instance)->release(r);
	return status;
}
