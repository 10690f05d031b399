/* SPDX-License-Identifier: Apache-2.0 */
#include "blocks/event.h"

#include <ctype.h>

#include "base/banned.h"
#include "base/base64.h"
#include "base/jstream.h"
#include "base/random.h"
#include "blocks/cloudevent.h"
#include "blocks/content_type.h"

#define DAY INT64_C(86400)

static struct str str_from_davit(struct davit_str s)
{
	return (struct str){ s.p ? s.p : "", s.n };
}

/* ---- Metadata ---- */

static struct str metadata_get(const struct topic_event *e, const char *key)
{
	size_t i;

	for (i = 0; i < e->nmetadata; i++)
		if (davit_str_is(e->metadata[i].key, key))
			return str_from_davit(e->metadata[i].value);
	return STR_NONE;
}

static void put(struct davit_pair *pairs, size_t *n, const char *key, struct str value)
{
	size_t i;

	for (i = 0; i < *n && !davit_str_is(pairs[i].key, key); i++)
		;
	*n += i == *n;
	pairs[i] = (struct davit_pair){ davit_str(key), { value.p, value.n } };
}

/* The message's own, and what Dapr adds. */
static void take_metadata(struct arena *a, const struct davit_message *m, struct str pubsub, struct topic_event *e)
{
	struct davit_pair *pairs = arena_alloc(a, (m->nmetadata + 2) * sizeof(*pairs));
	size_t n = m->nmetadata;

	if (n > 0)
		memcpy(pairs, m->metadata, n * sizeof(*pairs));
	if (m->content_type.p != NULL && m->content_type.n > 0)
		put(pairs, &n, "content-type", str_from_davit(m->content_type));
	put(pairs, &n, "pubsubName", pubsub);
	e->metadata = pairs;
	e->nmetadata = n;
}

/* ---- Members ---- */

#define MEMBER(name) \
	{ \
		STR(#name), offsetof(struct topic_members, name) \
	}

static const struct {
	struct str name;
	size_t at;
} members[] = {
	MEMBER(id),	    MEMBER(source),	 MEMBER(type),	  MEMBER(specversion), MEMBER(datacontenttype),
	MEMBER(data),	    MEMBER(data_base64), MEMBER(traceid), MEMBER(traceparent), MEMBER(tracestate),
	MEMBER(expiration),
};

static void take_member(struct topic_members *is, struct str key, struct str value)
{
	size_t i;

	for (i = 0; i < sizeof(members) / sizeof(members[0]); i++)
		if (str_eq(key, members[i].name))
			*(struct str *)((char *)is + members[i].at) = value.p[0] == 'n' ? STR_NONE : value;
}

int event_read_json(struct arena *a, struct str json, struct topic_event *ret, struct str *ret_why)
{
	struct jstream j = jstream_read(json);
	struct str key, value;

	ret->json = json;
	if (jstream_peek(&j) != JSTREAM_OBJECT && j.error == NULL && jstream_check(json) == 0) {
		*ret_why = STR("the message is JSON, but no object");
		return -1;
	}
	if (jstream_enter_object(&j)) {
		while (jstream_key(&j, a, &key)) {
			value = jstream_raw(&j);
			if (value.n > 0)
				take_member(&ret->is, key, value);
		}
	}
	if (jstream_end(&j) == 0)
		return 0;
	*ret_why = json.n == 0 ? STR("unexpected end of JSON input")
			       : arena_printf(a, "%s, at byte %zu", j.error, j.at);
	return -1;
}

static struct str quoted(struct arena *a, struct str text)
{
	struct buf b = buf_in(a);

	jstream_put_html(&b, text);
	return buf_str(&b);
}

struct adding {
	struct buf b;
	int n;
};

static void add(struct adding *x, const char *name, struct str json_value)
{
	if (json_value.p == NULL)
		return;
	buf_printf(&x->b, "%s\"%s\":", x->n++ ? "," : "{", name);
	buf_adds(&x->b, json_value);
}

/* What of the trace the envelope lacks and the message's metadata has. The id is the parent's where both come from there. */
static void fill_trace(struct arena *a, struct topic_event *e, struct topic_members *ret_new)
{
	struct str id = metadata_get(e, "traceid"), parent = metadata_get(e, "traceparent");
	struct str state = metadata_get(e, "tracestate");

	if (e->is.traceid.p == NULL && id.p != NULL)
		ret_new->traceid = quoted(a, id);
	if (e->is.traceparent.p == NULL && parent.p != NULL)
		ret_new->traceid = ret_new->traceparent = quoted(a, parent);
	if (e->is.tracestate.p == NULL && state.p != NULL)
		ret_new->tracestate = quoted(a, state);
}

static struct str or (struct str a, struct str b)
{
	return a.p ? a : b;
}

/* Puts members of the metadata in front of the envelope's own, so that one that is null there still counts as theirs. */
static void complete(struct arena *a, struct topic_event *e)
{
	struct topic_members more = { .id = STR_NONE };
	struct adding x = { .b = buf_in(a) };
	struct str rest;

	fill_trace(a, e, &more);
	if (more.traceid.p == NULL && more.traceparent.p == NULL && more.tracestate.p == NULL)
		return;
	add(&x, "traceparent", more.traceparent);
	add(&x, "tracestate", more.tracestate);
	if (e->is.traceid.p == NULL)
		add(&x, "traceid", more.traceid);
	e->is.traceid = or (more.traceid, e->is.traceid);
	e->is.traceparent = or (more.traceparent, e->is.traceparent);
	e->is.tracestate = or (more.tracestate, e->is.tracestate);
	if (x.n == 0)
		return;
	rest = str_trim(str_from(str_trim(e->json), 1));
	if (rest.p[0] != '}')
		buf_addc(&x.b, ',');
	buf_adds(&x.b, rest);
	e->json = buf_str(&x.b);
}

/* ---- The three kinds ---- */

static int read_raw(struct arena *a, const struct davit_message *m, struct topic_event *e, struct str *ret_why)
{
	struct str id = metadata_get(e, "traceid"), parent = metadata_get(e, "traceparent");
	struct str state = metadata_get(e, "tracestate");
	struct buf data = buf_in(a);
	struct adding x = { .b = buf_in(a) };
	char uuid[UUID_TEXT];

	random_uuid(uuid);
	buf_addc(&data, '"');
	base64_put(&data, (struct str){ m->data.p, m->data.n });
	buf_addc(&data, '"');
	add(&x, "data_base64", buf_str(&data));
	add(&x, "datacontenttype", STR("\"application/octet-stream\""));
	add(&x, "id", arena_printf(a, "\"%s\"", uuid));
	add(&x, "pubsubname", quoted(a, e->pubsub));
	add(&x, "source", STR("\"" CLOUDEVENT_SOURCE "\""));
	add(&x, "specversion", STR("\"1.0\""));
	add(&x, "topic", quoted(a, e->topic));
	if (parent.p != NULL)
		id = parent;
	if (id.p != NULL)
		add(&x, "traceid", quoted(a, id));
	if (parent.p != NULL)
		add(&x, "traceparent", quoted(a, parent));
	if (state.p != NULL)
		add(&x, "tracestate", quoted(a, state));
	add(&x, "type", STR("\"" CLOUDEVENT_TYPE "\""));
	buf_addc(&x.b, '}');
	e->body = buf_str(&x.b);
	return event_read_json(a, e->body, e, ret_why);
}

/* Members come as metadata with names of "ce_", the data is the message itself. */
static int read_binary(struct arena *a, const struct davit_message *m, struct str type, struct topic_event *e,
		       struct str *ret_why)
{
	struct buf b = buf_in(a);
	size_t i, k;

	buf_lit(&b, "{\"datacontenttype\":");
	buf_adds(&b, quoted(a, type));
	for (i = 0; i < e->nmetadata; i++) {
		struct str key = str_from_davit(e->metadata[i].key);
		char *name;

		if (!str_istarts(key, STR("ce_")))
			continue;
		key = arena_str(a, str_from(key, 3));
		name = (char *)key.p;
		for (k = 0; k < key.n; k++)
			name[k] = (char)tolower((unsigned char)name[k]);
		if (str_is(key, "data") || str_is(key, "datacontenttype"))
			continue;
		buf_addc(&b, ',');
		jstream_put_html(&b, key);
		buf_addc(&b, ':');
		jstream_put_html(&b, str_from_davit(e->metadata[i].value));
	}
	buf_addc(&b, '}');
	e->body = (struct str){ m->data.p, m->data.n };
	e->bytes = m->data.p ? e->body : STR("");
	return event_read_json(a, buf_str(&b), e, ret_why);
}

int event_read(struct arena *a, const struct davit_message *m, struct str pubsub, struct str topic, int raw,
	       struct topic_event *ret, struct str *ret_why)
{
	struct str type;

	*ret = (struct topic_event){ .topic = topic, .pubsub = pubsub, .path = STR("") };
	take_metadata(a, m, pubsub, ret);
	if (raw)
		return read_raw(a, m, ret, ret_why);
	type = metadata_get(ret, "content-type");
	if (content_type_binary(type))
		return read_binary(a, m, type, ret, ret_why);
	ret->body = (struct str){ m->data.p ? m->data.p : "", m->data.n };
	if (event_read_json(a, ret->body, ret, ret_why) < 0)
		return -1;
	complete(a, ret);
	return 0;
}

/* ---- Expiration ---- */

static int digits(struct str s, size_t at, size_t n, int *ret)
{
	size_t i;

	*ret = 0;
	for (i = at; i < at + n; i++) {
		if (i >= s.n || !isdigit((unsigned char)s.p[i]))
			return -1;
		*ret = *ret * 10 + (s.p[i] - '0');
	}
	return 0;
}

static int separated(struct str s)
{
	return s.n >= 20 && s.p[4] == '-' && s.p[7] == '-' && (s.p[10] == 'T' || s.p[10] == 't') && s.p[13] == ':' &&
	       s.p[16] == ':';
}

/* Days since 1970 of a date of the Gregorian calendar. */
static int64_t days_of(int year, int month, int day)
{
	int64_t y = year - (month <= 2), era = y / 400, in_era = y - era * 400;
	int64_t in_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;

	return era * 146097 + in_era * 365 + in_era / 4 - in_era / 100 + in_year - 719468;
}

/* Seconds east of UTC at s[at]. -1: no offset. */
static int offset_of(struct str s, size_t at, int64_t *ret)
{
	int hours, minutes;

	*ret = 0;
	if (at + 1 == s.n && (s.p[at] == 'Z' || s.p[at] == 'z'))
		return 0;
	if (at + 6 != s.n || (s.p[at] != '+' && s.p[at] != '-') || s.p[at + 3] != ':' ||
	    digits(s, at + 1, 2, &hours) < 0 || digits(s, at + 4, 2, &minutes) < 0 || hours > 23 || minutes > 59)
		return -1;
	*ret = (hours * 60 + minutes) * (s.p[at] == '-' ? -60 : 60);
	return 0;
}

/* The first nine digits behind the point at s[*at], as nanoseconds; *at moves past all of them. */
static int64_t fraction_of(struct str s, size_t *at)
{
	int64_t ns = 0, scale = 100000000;

	for (++*at; *at < s.n && isdigit((unsigned char)s.p[*at]); ++*at, scale /= 10)
		ns += (s.p[*at] - '0') * scale;
	return ns;
}

/* RFC 3339, in whole seconds since 1970 and what is above them. -1: it is none. */
static int read_time(struct str s, int64_t *ret, int64_t *ret_ns)
{
	int year, month, day, hour, minute, second;
	size_t at = 19;
	int64_t offset;

	if (!separated(s) || digits(s, 0, 4, &year) < 0 || digits(s, 5, 2, &month) < 0 || digits(s, 8, 2, &day) < 0 ||
	    digits(s, 11, 2, &hour) < 0 || digits(s, 14, 2, &minute) < 0 || digits(s, 17, 2, &second) < 0)
		return -1;
	if (month < 1 || month > 12 || day < 1 || day > 31 || hour > 23 || minute > 59 || second > 60)
		return -1;
	*ret_ns = s.p[at] == '.' ? fraction_of(s, &at) : 0;
	if (at >= s.n || offset_of(s, at, &offset) < 0)
		return -1;
	*ret = days_of(year, month, day) * DAY + hour * 3600 + minute * 60 + second - offset;
	return 0;
}

int event_expired(struct arena *a, const struct topic_event *e, int64_t wall_ns)
{
	int64_t at, ns, now = wall_ns / 1000000000;

	if (e->is.expiration.p == NULL || read_time(topic_text(a, e->is.expiration), &at, &ns) < 0)
		return 0;
	return at < now || (at == now && ns < wall_ns % 1000000000); /* a life of no seconds is over at once */
}
