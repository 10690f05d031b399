/* SPDX-License-Identifier: Apache-2.0 */
/* Publishing over HTTP (https://docs.dapr.io/reference/api/pubsub_api/). */
#include "api/errors.h"
#include "api/handlers.h"
#include "base/banned.h"
#include "base/base64.h"
#include "base/buf.h"
#include "base/jstream.h"
#include "blocks/content_type.h"
#include "blocks/pubsub.h"
#include "blocks/pubsub_error.h"

/* The request as the path and query tell it. 0: an error was answered. */
static int begin(struct request *r, struct pubsub_request *request, struct pubsub **ret_pubsub)
{
	struct error e;

	*request = (struct pubsub_request){ .topic = r->params[1],
					    .http = 1,
					    .tracer = &r->api->tracer,
					    .trace = r->span ? &r->span->context : NULL,
					    .span_name = r->path };
	request->metadata = request_metadata(r, &request->nmetadata);
	e = pubsub_find(r->blocks, r->arena, r->params[0], request, ret_pubsub);
	if (!error_is(&e))
		return 1;
	request_fail(r, &e);
	return 0;
}

/* A body beyond the limit has failed to be published, as Dapr sees it. */
static int read_body(struct request *r, struct str *ret_body)
{
	int got = http_read_all(r->x, r->api->body_limit, ret_body);
	struct error e;

	if (got == -2) {
		e = pubsub_error_publish(r->arena, r->params[0], r->params[1], STR("stream too large"));
		request_fail(r, &e);
	}
	return got == 0;
}

void pubsub_http_publish(struct request *r)
{
	struct pubsub_request request;
	struct pubsub_event event = { .entry_id = STR("") };
	struct pubsub *p;
	struct error e;

	if (!begin(r, &request, &p) || !read_body(r, &event.data))
		return;
	event.content_type = arena_str(r->arena, http_field(r->x, STR("content-type")));
	event.metadata = request.metadata;
	event.nmetadata = request.nmetadata;
	e = pubsub_publish(r->blocks, &r->scope, p, &request, &event);
	if (error_is(&e))
		request_fail(r, &e);
	else
		request_empty(r);
}

/* ---- Many at once ---- */

/* An entry as it was read. */
struct entry {
	struct str id, event, content_type; /* event: JSON */
	const struct davit_pair *metadata;  /* NULL: none was given */
	size_t nmetadata;
};

struct reading {
	struct arena *a;
	struct jstream j;
	struct str fault; /* the first value of a wrong type, in Go's words; p == NULL: none */
	struct entry *list;
	size_t n, cap;
};

static void wrong_type(struct reading *x, const char *where, const char *wanted)
{
	static const char *const names[] = { "", "null", "bool", "number", "string", "array", "object" };
	enum jstream_type type = jstream_peek(&x->j);

	if (type != JSTREAM_NOTHING && x->fault.p == NULL)
		x->fault = arena_printf(x->a, "json: cannot unmarshal %s into Go %s of type %s", names[type], where,
					wanted);
	jstream_skip(&x->j);
}

static int is_null(struct reading *x)
{
	if (jstream_peek(&x->j) != JSTREAM_NULL)
		return 0;
	jstream_skip(&x->j);
	return 1;
}

static void read_text(struct reading *x, const char *where, struct str *ret_text)
{
	if (!is_null(x) && !jstream_string(&x->j, x->a, ret_text))
		wrong_type(x, where, "string");
}

static void read_metadata(struct reading *x, struct entry *entry)
{
	struct davit_pair *pairs = arena_alloc(x->a, sizeof(*pairs)), *more;
	struct str key, value;
	size_t n = 0, cap = 1;

	if (is_null(x))
		return;
	if (!jstream_enter_object(&x->j)) {
		wrong_type(x, "struct field bulkPublishMessageEntry.metadata", "map[string]string");
		return;
	}
	while (jstream_key(&x->j, x->a, &key)) {
		value = STR("");
		read_text(x, "struct field bulkPublishMessageEntry.metadata", &value);
		if (n == cap) {
			more = arena_grow(x->a, pairs, cap * sizeof(*pairs), 2 * cap * sizeof(*pairs));
			pairs = more;
			cap *= 2;
		}
		pairs[n++] = (struct davit_pair){ { key.p, key.n }, { value.p, value.n } };
	}
	entry->metadata = pairs;
	entry->nmetadata = n;
}

static void read_entry(struct reading *x, struct entry *entry)
{
	struct str key;

	if (is_null(x))
		return;
	if (!jstream_enter_object(&x->j)) {
		wrong_type(x, "value", "http.bulkPublishMessageEntry");
		return;
	}
	while (jstream_key(&x->j, x->a, &key)) {
		if (str_ieq(key, STR("entryId")))
			read_text(x, "struct field bulkPublishMessageEntry.entryId", &entry->id);
		else if (str_ieq(key, STR("event")))
			entry->event = jstream_raw(&x->j);
		else if (str_ieq(key, STR("contentType")))
			read_text(x, "struct field bulkPublishMessageEntry.contentType", &entry->content_type);
		else if (str_ieq(key, STR("metadata")))
			read_metadata(x, entry);
		else
			jstream_skip(&x->j);
	}
}

/* 1: read; 0: why not. What follows the array is left out, as Dapr does. */
static int read_entries(struct reading *x, struct str *ret_why)
{
	if (!is_null(x) && !jstream_enter_array(&x->j)) {
		wrong_type(x, "value", "[]http.bulkPublishMessageEntry");
	} else {
		while (x->j.depth > 0 && jstream_next(&x->j)) {
			if (x->n == x->cap) {
				size_t cap = x->cap ? 2 * x->cap : 8;

				x->list = arena_grow(x->a, x->list, x->cap * sizeof(*x->list), cap * sizeof(*x->list));
				x->cap = cap;
			}
			x->list[x->n] = (struct entry){ STR(""), STR("null"), STR(""), NULL, 0 };
			read_entry(x, &x->list[x->n++]);
		}
	}
	*ret_why = x->fault;
	if (x->j.error != NULL)
		*ret_why = x->j.start == x->j.end					? STR("EOF")
			   : str_is(str_of(x->j.error), "unexpected end of JSON input") ? STR("unexpected EOF")
											: jstream_why(&x->j, x->a);
	return ret_why->p == NULL;
}

#define MISMATCH STR("error: mismatch between contentType and event")

/* The event's bytes by its content type. 0: *ret_why. */
static int event_bytes(struct arena *a, const struct entry *entry, struct str *ret_bytes, struct str *ret_why)
{
	struct jstream j = jstream_read(entry->event);
	struct buf b = buf_in(a);
	struct str text;

	*ret_why = MISMATCH;
	if (content_type_json(entry->content_type) || content_type_cloudevent(entry->content_type)) {
		jstream_compact(&b, entry->event);
		*ret_bytes = buf_str(&b);
		return 1;
	}
	if (!content_type_binary(entry->content_type) && !content_type_text(entry->content_type))
		return 0;
	if (!jstream_string(&j, a, &text))
		return 0;
	*ret_bytes = text;
	if (content_type_binary(entry->content_type) && base64_read(a, text, ret_bytes) < 0) {
		*ret_why = arena_printf(a,
					"error: unable to decode base64 application/octect-stream data: "
					"illegal base64 data at input byte %zu",
					base64_fault(text));
		return 0;
	}
	return 1;
}

/* 0: an error was answered. */
static int make_events(struct request *r, const struct pubsub *p, const struct pubsub_request *request,
		       const struct reading *x, struct pubsub_event *events)
{
	struct map *seen = pubsub_ids(r->arena);
	struct error e = ERROR_NONE;
	struct str why;
	size_t i;

	for (i = 0; i < x->n && !error_is(&e); i++) {
		const struct entry *entry = &x->list[i];

		events[i] = (struct pubsub_event){ .content_type = entry->content_type, .entry_id = entry->id };
		if (entry->metadata != NULL)
			events[i].metadata = request_merge(r, request->metadata, request->nmetadata, entry->metadata,
							   entry->nmetadata, &events[i].nmetadata);
		if (!event_bytes(r->arena, entry, &events[i].data, &why))
			e = pubsub_error_entry_event(r->arena, r->params[0], r->params[1], r->api->app_id, why);
		else
			e = pubsub_check_id(r->blocks, r->arena, seen, entry->id, p, request->topic);
	}
	if (!error_is(&e))
		return 1;
	request_fail(r, &e);
	return 0;
}

static void answer_failed(struct request *r, const struct error *e, const struct pubsub_failed *failed, size_t n)
{
	struct buf b = buf_in(r->arena);
	size_t i;

	buf_lit(&b, "{\"failedEntries\":[");
	for (i = 0; i < n; i++) {
		buf_adds(&b, i ? STR(",{\"entryId\":") : STR("{\"entryId\":"));
		jstream_put_html(&b, failed[i].entry_id);
		if (failed[i].error.n > 0) {
			buf_lit(&b, ",\"error\":");
			jstream_put_html(&b, failed[i].error);
		}
		buf_addc(&b, '}');
	}
	buf_printf(&b, "],\"errorCode\":\"%s\"}", errors_code(e));
	request_field(r, "metadata.responsedata", buf_str(&b));
	request_field(r, "metadata.error",
		      arena_printf(r->arena, "api error: code = %s desc = " STR_FMT, error_code_name(e->code),
				   STR_ARG(e->message)));
	metrics_error_code(r->api->metrics, str_of(errors_code(e)), str_of(e->category));
	request_json(r, e->http, buf_str(&b));
}

void pubsub_http_bulk(struct request *r)
{
	struct pubsub_request request;
	struct reading x = { .a = r->arena };
	const struct pubsub_failed *failed;
	struct pubsub_event *events;
	struct str body, why;
	struct pubsub *p;
	struct error e;
	size_t nfailed;

	if (!begin(r, &request, &p) || !read_body(r, &body))
		return;
	x.j = jstream_read(body);
	if (!read_entries(&x, &why)) {
		e = pubsub_error_entries(r->arena, p->name, request.topic, r->api->app_id, why);
		request_fail(r, &e);
		return;
	}
	events = arena_alloc(r->arena, sizeof(*events) * (x.n + 1));
	if (!make_events(r, p, &request, &x, events))
		return;
	e = pubsub_publish_bulk(r->blocks, &r->scope, p, &request, events, x.n, &failed, &nfailed);
	if (!error_is(&e))
		request_empty(r);
	else if (nfailed > 0)
		answer_failed(r, &e, failed, nfailed);
	else
		request_fail(r, &e);
}
