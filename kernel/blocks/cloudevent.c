/* SPDX-License-Identifier: Apache-2.0 */
#include "blocks/cloudevent.h"

#include "base/banned.h"
#include "base/base64.h"
#include "base/clock.h"
#include "base/duration.h"
#include "base/jstream.h"
#include "base/random.h"
#include "blocks/content_type.h"

#define SECOND INT64_C(1000000000)

/* One member; raw is JSON, else text is. */
struct member {
	struct str name, text, raw;
	size_t at; /* of several with one name the last counts, as in Go */
};

static struct str lookup(const struct cloudevent *e, const char *name)
{
	size_t i;

	for (i = e->nmetadata; i-- > 0;)
		if (str_ieq((struct str){ e->metadata[i].key.p, e->metadata[i].key.n }, str_of(name)))
			return (struct str){ e->metadata[i].value.p, e->metadata[i].value.n };
	return STR_NONE;
}

static struct str override(const struct cloudevent *e, const char *name, struct str otherwise)
{
	struct str given = lookup(e, name);

	return given.p != NULL ? given : otherwise;
}

static struct str or_else(struct str text, struct str otherwise)
{
	return text.n > 0 ? text : otherwise;
}

/* RFC 3339 with seconds, in the zone of this machine. */
static struct str local_time(struct arena *a, int64_t wall_ns)
{
	time_t seconds = wall_ns / SECOND;
	char text[64];
	struct tm t;
	size_t n;

	localtime_r(&seconds, &t);
	n = strftime(text, sizeof(text) - 8, "%Y-%m-%dT%H:%M:%S%z", &t);
	if (t.tm_gmtoff == 0) {
		n -= 5;
		text[n++] = 'Z';
	} else { /* +hhmm to +hh:mm */
		memmove(text + n - 1, text + n - 2, 2);
		text[n - 2] = ':';
		n++;
	}
	return arena_str(a, (struct str){ text, n });
}

static struct str utc_time(struct arena *a, int64_t wall_ns)
{
	char text[CLOCK_TEXT];
	size_t n = clock_rfc3339(wall_ns, 0, text);

	return arena_str(a, (struct str){ text, n });
}

static struct str expiration(struct arena *a, const struct cloudevent *e)
{
	int64_t at;

	if (__builtin_add_overflow(e->now_ns, e->ttl_ns, &at))
		at = INT64_MAX;
	return utc_time(a, at);
}

static struct str new_id(struct arena *a)
{
	char text[UUID_TEXT];

	random_uuid(text);
	return arena_str(a, (struct str){ text, UUID_TEXT - 1 });
}

/* JSON as it came, without white space; bytes that are no UTF-8 become U+FFFD, or no subscriber could read it. */
static void put_raw(struct buf *b, struct str raw)
{
	size_t i, step, from = 0;

	if (str_utf8(raw)) {
		jstream_compact(b, raw);
		return;
	}
	for (i = 0; i < raw.n; i += step) {
		step = 1;
		if ((unsigned char)raw.p[i] < 0x80)
			continue;
		while (step < 4 && i + step < raw.n && ((unsigned char)raw.p[i + step] & 0xc0) == 0x80)
			step++;
		if (str_utf8((struct str){ raw.p + i, step }))
			continue;
		step = 1;
		buf_add(b, raw.p + from, i - from);
		buf_lit(b, "\xef\xbf\xbd");
		from = i + 1;
	}
	buf_add(b, raw.p + from, raw.n - from);
}

static struct str write_members(struct arena *a, const struct member *list, size_t n)
{
	struct buf b = buf_in(a);
	size_t i;

	for (i = 0; i < n; i++) {
		buf_addc(&b, i ? ',' : '{');
		jstream_put_html(&b, list[i].name);
		buf_addc(&b, ':');
		if (list[i].raw.p != NULL)
			put_raw(&b, list[i].raw);
		else
			jstream_put_html(&b, list[i].text);
	}
	buf_lit(&b, "}");
	return buf_str(&b);
}

static int too_deep(const struct jstream *j)
{
	return j->error != NULL && j->depth >= JSTREAM_DEPTH;
}

/* data or data_base64. Bytes that say they are JSON and are not go as text; what follows a JSON value is left out. */
static int put_data(struct arena *a, const struct cloudevent *e, struct str type, struct member *m,
		    struct str *ret_message)
{
	struct buf b = buf_in(a);
	struct jstream j;

	*m = (struct member){ .name = STR("data"), .text = e->data };
	if (content_type_json(type)) {
		j = jstream_read(e->data);
		m->raw = jstream_raw(&j);
		if (too_deep(&j)) {
			*ret_message = arena_printf(a, "data is nested deeper than %d levels", JSTREAM_DEPTH);
			return -1;
		}
	} else if (content_type_binary(type) || content_type_is(type, "application/cloudevents+protobuf") ||
		   (content_type_is(type, "application/x-protobuf") && cloudevent_is_protobuf(e->data))) {
		base64_put(&b, e->data);
		m->name = STR("data_base64");
		m->text = buf_str(&b);
	}
	return 0;
}

static int make_new(struct arena *a, const struct cloudevent *e, struct str *ret_body, struct str *ret_message)
{
	struct str type = or_else(e->content_type, STR("text/plain"));
	struct str trace = override(e, "cloudevent.traceid", e->trace_parent);
	struct str subject = override(e, "cloudevent.subject", STR(""));
	struct member list[16];
	size_t n = 0;

	if (put_data(a, e, type, &list[n++], ret_message) < 0)
		return -1;
	trace = or_else(override(e, "cloudevent.traceparent", STR("")), trace);
	list[n++] = (struct member){ .name = STR("datacontenttype"), .text = type };
	if (e->ttl_ns >= 0)
		list[n++] = (struct member){ .name = STR("expiration"), .text = expiration(a, e) };
	list[n++] = (struct member){ .name = STR("id"), .text = override(e, "cloudevent.id", STR("")) };
	if (list[n - 1].text.n == 0)
		list[n - 1].text = new_id(a);
	list[n++] = (struct member){ .name = STR("pubsubname"), .text = e->pubsub };
	list[n++] = (struct member){ .name = STR("source"),
				     .text = or_else(override(e, "cloudevent.source", e->source),
						     STR(CLOUDEVENT_SOURCE)) };
	list[n++] = (struct member){ .name = STR("specversion"), .text = STR("1.0") };
	if (subject.n > 0)
		list[n++] = (struct member){ .name = STR("subject"), .text = subject };
	list[n++] = (struct member){ .name = STR("time"), .text = local_time(a, e->now_ns) };
	list[n++] = (struct member){ .name = STR("topic"), .text = e->topic };
	list[n++] = (struct member){ .name = STR("traceid"), .text = trace };
	list[n++] = (struct member){ .name = STR("traceparent"), .text = trace };
	list[n++] = (struct member){ .name = STR("tracestate"),
				     .text = override(e, "cloudevent.tracestate", e->trace_state) };
	list[n++] = (struct member){ .name = STR("type"),
				     .text = or_else(override(e, "cloudevent.type", STR("")), STR(CLOUDEVENT_TYPE)) };
	*ret_body = write_members(a, list, n);
	return 0;
}

struct members {
	struct arena *a;
	struct member *list;
	size_t n, cap, added;
};

static void add(struct members *m, struct member one)
{
	if (m->n == m->cap) {
		size_t cap = m->cap ? 2 * m->cap : 32;

		m->list = arena_grow(m->a, m->list, m->cap * sizeof(one), cap * sizeof(one));
		m->cap = cap;
	}
	one.at = m->added++;
	m->list[m->n++] = one;
}

static int by_name(const void *a, const void *b)
{
	const struct member *x = a, *y = b;
	int r = str_cmp(x->name, y->name);

	return r != 0 ? r : x->at < y->at ? -1 : 1;
}

/* Sorted by name, the last of each. */
static void settle_names(struct members *m)
{
	size_t i, n = 0;

	if (m->n == 0)
		return;
	qsort(m->list, m->n, sizeof(*m->list), by_name);
	for (i = 0; i < m->n; i++) {
		if (n > 0 && str_eq(m->list[n - 1].name, m->list[i].name))
			n--;
		m->list[n++] = m->list[i];
	}
	m->n = n;
}

static const struct member *find(const struct members *m, const char *name)
{
	size_t i;

	for (i = 0; i < m->n; i++)
		if (str_is(m->list[i].name, name))
			return &m->list[i];
	return NULL;
}

static int is_null(const struct members *m, const char *name)
{
	const struct member *one = find(m, name);

	return one == NULL || str_is(one->raw, "null");
}

/* What Go's decoder says. */
static struct str not_an_object(struct arena *a, struct jstream *j)
{
	static const char *const names[] = { "", "null", "bool", "number", "string", "array", "object" };
	enum jstream_type type = jstream_peek(j);

	if (j->error != NULL || type == JSTREAM_NOTHING)
		return j->start == j->end ? STR("EOF") : jstream_why(j, a);
	return arena_printf(a, "json: cannot unmarshal %s into Go value of type map[string]interface {}", names[type]);
}

static int read_members(struct members *m, struct str data, struct str *ret_message)
{
	struct jstream j = jstream_read(data);
	struct str name;

	if (jstream_peek(&j) == JSTREAM_NULL)
		return 0;
	if (!jstream_enter_object(&j)) {
		*ret_message = not_an_object(m->a, &j);
		return -1;
	}
	while (jstream_key(&j, m->a, &name))
		add(m, (struct member){ .name = name, .raw = jstream_raw(&j) });
	if (j.error == NULL)
		return 0; /* what follows is left out, as Dapr does */
	*ret_message = str_is(str_of(j.error), "unexpected end of JSON input") ? STR("unexpected EOF")
									       : jstream_why(&j, m->a);
	return -1;
}

static void set(struct members *m, const char *name, struct str text)
{
	add(m, (struct member){ .name = str_of(name), .text = text });
}

static int complete(struct arena *a, const struct cloudevent *e, struct str *ret_body, struct str *ret_message)
{
	struct members m = { .a = a };

	if (read_members(&m, e->data, ret_message) < 0)
		return -1;
	settle_names(&m);
	if (find(&m, "time") == NULL)
		set(&m, "time", local_time(a, e->now_ns));
	if (find(&m, "traceid") == NULL) {
		set(&m, "traceid", e->trace_parent);
		set(&m, "traceparent", e->trace_parent);
	}
	if (find(&m, "tracestate") == NULL)
		set(&m, "tracestate", e->trace_state);
	if (is_null(&m, "source"))
		set(&m, "source", STR(CLOUDEVENT_SOURCE));
	if (is_null(&m, "type"))
		set(&m, "type", STR(CLOUDEVENT_TYPE));
	if (is_null(&m, "specversion"))
		set(&m, "specversion", STR("1.0"));
	set(&m, "topic", e->topic);
	set(&m, "pubsubname", e->pubsub);
	if (e->ttl_ns >= 0)
		set(&m, "expiration", expiration(a, e));
	settle_names(&m);
	*ret_body = write_members(a, m.list, m.n);
	return 0;
}

int cloudevent_wrap(struct arena *a, const struct cloudevent *e, struct str *ret_body, struct str *ret_message)
{
	return content_type_cloudevent(e->content_type) ? complete(a, e, ret_body, ret_message)
							: make_new(a, e, ret_body, ret_message);
}

int64_t cloudevent_ttl_ns(const struct davit_pair *metadata, size_t n)
{
	const struct cloudevent e = { .metadata = metadata, .nmetadata = n };
	struct str text = lookup(&e, "ttl");
	int64_t ns, seconds;

	if (text.p == NULL)
		text = lookup(&e, "ttlInSeconds");
	if (text.n == 0)
		return -1;
	if (duration_parse(text, &ns) == 0)
		return ns > 0 ? ns : 0;
	if (str_int(text, &seconds) < 0 || seconds <= 0)
		return -1;
	return seconds > INT64_MAX / SECOND ? INT64_MAX : seconds * SECOND;
}
