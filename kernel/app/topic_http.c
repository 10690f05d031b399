/* SPDX-License-Identifier: Apache-2.0 */
/* A single event over HTTP: POST, and what the application's answer means. */
#include "app/topic_event.h"

#include <ctype.h>

#include "base/banned.h"
#include "base/jstream.h"

/* Drops empty and dot segments, as Go's path.Clean; the query stays behind. */
static struct str clean(struct arena *a, struct str path)
{
	struct buf b = buf_in(a);
	struct str part;

	while (str_split(&path, '/', &part)) {
		if (part.n == 0 || str_is(part, "."))
			continue;
		if (str_is(part, "..")) {
			while (b.n > 0 && b.p[--b.n] != '/')
				;
			continue;
		}
		buf_addc(&b, '/');
		buf_adds(&b, part);
	}
	if (b.n == 0)
		buf_addc(&b, '/');
	return buf_str(&b);
}

struct str topic_target(struct arena *a, struct str path)
{
	struct str head, query;
	struct buf b = buf_in(a);
	int asks = str_cut(path, '?', &head, &query);
	size_t i;

	head = clean(a, head);
	for (i = 0; i < head.n; i++) {
		unsigned char c = (unsigned char)head.p[i];

		if (c <= ' ' || c >= 0x7f || strchr("\"#<>\\^`{|}", c) != NULL)
			buf_printf(&b, "%%%02X", c);
		else
			buf_addc(&b, (char)c);
	}
	if (asks) {
		buf_addc(&b, '?');
		for (i = 0; i < query.n && query.p[i] != '#'; i++)
			if ((unsigned char)query.p[i] > ' ' && (unsigned char)query.p[i] < 0x7f)
				buf_addc(&b, query.p[i]);
			else
				buf_printf(&b, "%%%02X", (unsigned char)query.p[i]);
	}
	return buf_str(&b);
}

/* Fields that belong to the body as it goes out, or to the connection. */
static int is_ours(struct str name)
{
	static const char *const ours[] = { "content-type",
					    "content-length",
					    "connection",
					    "keep-alive",
					    "proxy-connection",
					    "transfer-encoding",
					    "upgrade",
					    "http2-settings",
					    "te",
					    "trailer",
					    "proxy-authorization",
					    "proxy-authenticate",
					    "destination-app-id",
					    "host",
					    "expect" };
	size_t i;

	for (i = 0; i < sizeof(ours) / sizeof(ours[0]); i++)
		if (str_is(name, ours[i]))
			return 1;
	return str_ends(name, STR("-bin"));
}

static int is_token(struct str name)
{
	size_t i;

	for (i = 0; i < name.n; i++)
		if (!isalnum((unsigned char)name.p[i]) &&
		    (name.p[i] == '\0' || strchr("!#$%&'*+-.^_`|~", name.p[i]) == NULL))
			return 0;
	return name.n > 0;
}

static int is_value(struct str value)
{
	size_t i;

	for (i = 0; i < value.n; i++)
		if (((unsigned char)value.p[i] < ' ' && value.p[i] != '\t') || value.p[i] == 0x7f)
			return 0;
	return 1;
}

static struct str lower(struct arena *a, struct str s)
{
	char *p = arena_alloc(a, s.n + 1);
	size_t i;

	for (i = 0; i < s.n; i++)
		p[i] = (char)tolower((unsigned char)s.p[i]);
	p[s.n] = '\0';
	return (struct str){ p, s.n };
}

struct http_field *topic_fields(struct arena *a, const struct davit_pair *metadata, size_t n, size_t more,
				size_t *ret_n)
{
	struct http_field *fields = arena_alloc(a, (n + more + 1) * sizeof(*fields));
	size_t i, count = 0;

	for (i = 0; i < n; i++) {
		struct str name = lower(a, (struct str){ metadata[i].key.p, metadata[i].key.n });
		struct str value = str_trim((struct str){ metadata[i].value.p, metadata[i].value.n });

		if (!is_token(name) || !is_value(value) || is_ours(name))
			continue; /* no header can carry it */
		if (str_starts(name, STR("grpc-")))
			name = arena_printf(a, "dapr-" STR_FMT, STR_ARG(name));
		fields[count++] = (struct http_field){ name, value };
	}
	*ret_n = count;
	return fields;
}

/* What a JSON object says under "status". 1: *ret_status; 0: there is no text of that name, or it is no such object. */
static int read_status(struct arena *a, struct str body, struct str *ret_status)
{
	struct jstream j = jstream_read(body);
	struct str key, status = STR("");
	int well = jstream_enter_object(&j);

	while (well && jstream_key(&j, a, &key)) {
		if (!str_ieq(key, STR("status")) || jstream_peek(&j) == JSTREAM_NULL)
			jstream_skip(&j);
		else
			well = jstream_string(&j, a, &status);
	}
	*ret_status = status;
	return well && j.error == NULL;
}

static struct topic_answer understand(struct arena *a, const struct topic_event *e, struct str body)
{
	struct str status;

	if (!read_status(a, body, &status) || status.n == 0 || str_is(status, "SUCCESS"))
		return (struct topic_answer){ .verdict = TOPIC_SUCCESS };
	if (str_is(status, "RETRY"))
		return topic_status_answer(
			a, e, DAPR__PROTO__RUNTIME__V1__TOPIC_EVENT_RESPONSE__TOPIC_EVENT_RESPONSE_STATUS__RETRY);
	if (str_is(status, "DROP"))
		return topic_status_answer(
			a, e, DAPR__PROTO__RUNTIME__V1__TOPIC_EVENT_RESPONSE__TOPIC_EVENT_RESPONSE_STATUS__DROP);
	return (struct topic_answer){
		.verdict = TOPIC_RETRY,
		.why = arena_printf(a,
				    "unknown status returned from app while processing pub/sub event " STR_FMT
				    ", status: " STR_FMT,
				    STR_ARG(topic_shown(a, e->is.id)), STR_ARG(status))
	};
}

struct topic_answer topic_http_answer(struct arena *a, const struct topic_event *e, int status, struct str body)
{
	struct str id = topic_shown(a, e->is.id), shown = str_upto(body, 1024);

	if (status >= 200 && status <= 299)
		return understand(a, e, body);
	if (status == 404)
		return (struct topic_answer){
			.verdict = TOPIC_DROP,
			.why = arena_printf(
				a,
				"non-retriable error returned from app while processing pub/sub event " STR_FMT
				": " STR_FMT ". status code returned: %d",
				STR_ARG(id), STR_ARG(shown), status)
		};
	return (struct topic_answer){
		.verdict = TOPIC_RETRY,
		.code = status,
		.why = arena_printf(a,
				    "retriable error returned from app while processing pub/sub event " STR_FMT
				    ", topic: " STR_FMT ", body: " STR_FMT ". status code returned: %d",
				    STR_ARG(id), STR_ARG(e->topic), STR_ARG(shown), status)
	};
}
