/* SPDX-License-Identifier: Apache-2.0 */
#include "app/topic_bulk.h"

#include "base/banned.h"
#include "base/base64.h"
#include "base/jstream.h"
#include "base/log.h"
#include "base/random.h"

#define LOG_SCOPE "dapr.runtime.processor.pubsub.subscription"
#define TYPE "com.dapr.event.sent.bulk"

void topic_bulk_settle(struct topic_bulk *b, enum topic_entry_state state, struct str why)
{
	size_t i;

	for (i = 0; i < b->nentries; i++) {
		if (b->entries[i]->state != TOPIC_ENTRY_OPEN)
			continue;
		b->entries[i]->state = state;
		b->entries[i]->why = why;
	}
}

struct topic_bulk_answer topic_bulk_count(const struct topic_bulk *b, int code, struct str why)
{
	struct topic_bulk_answer answer = { .code = code, .why = why };
	size_t i;

	for (i = 0; i < b->nentries; i++) {
		answer.done += b->entries[i]->state == TOPIC_ENTRY_DONE;
		answer.dropped += b->entries[i]->state == TOPIC_ENTRY_DROPPED;
		answer.failed += b->entries[i]->state == TOPIC_ENTRY_FAILED;
	}
	return answer;
}

static struct topic_entry *entry_of(const struct topic_bulk *b, struct str id)
{
	size_t i;

	for (i = 0; i < b->nentries; i++)
		if (str_eq(b->entries[i]->id, id))
			return b->entries[i];
	log_warn("Invalid entry id received from app while processing pub/sub event " STR_FMT, STR_ARG(id));
	return NULL;
}

/* What the application says of one entry, over either wire; status as over gRPC, -1: anything else. */
static void take_status(struct arena *a, const struct topic_bulk *b, struct str id, int status, struct str shown)
{
	struct topic_entry *e = entry_of(b, id);

	if (e == NULL || e->state == TOPIC_ENTRY_FAILED || (e->state != TOPIC_ENTRY_OPEN && status == 0))
		return; /* of several words about one entry a failure counts */
	switch (status) {
	case 0: e->state = TOPIC_ENTRY_DONE; break;
	case 1:
		e->state = TOPIC_ENTRY_FAILED;
		e->why = arena_printf(a, "RETRY required while processing bulk subscribe event for entry id: " STR_FMT,
				      STR_ARG(id));
		break;
	case 2:
		log_warn("DROP status returned from app while processing pub/sub event " STR_FMT, STR_ARG(id));
		e->state = TOPIC_ENTRY_DROPPED;
		e->dead_letter = 1;
		break;
	default:
		e->state = TOPIC_ENTRY_FAILED;
		e->why = arena_printf(a,
				      "unknown status returned from app while processing bulk subscribe event " STR_FMT
				      ": " STR_FMT,
				      STR_ARG(id), STR_ARG(shown));
	}
}

static struct topic_bulk_answer answered(struct arena *a, struct topic_bulk *b)
{
	struct topic_bulk_answer answer;

	topic_bulk_settle(b, TOPIC_ENTRY_FAILED,
			  STR("response not received, RETRY required while processing bulk subscribe event"));
	answer = topic_bulk_count(b, 0, STR(""));
	if (answer.failed > 0)
		answer.why = arena_str(a, STR("few message(s) have failed during bulk subscribe operation"));
	return answer;
}

/* ---- HTTP ---- */

static void put_pairs(struct buf *b, const struct davit_pair *pairs, size_t n)
{
	size_t i;

	buf_addc(b, '{');
	for (i = 0; i < n; i++) {
		if (i > 0)
			buf_addc(b, ',');
		jstream_put_html(b, (struct str){ pairs[i].key.p, pairs[i].key.n });
		buf_addc(b, ':');
		jstream_put_html(b, (struct str){ pairs[i].value.p, pairs[i].value.n });
	}
	buf_addc(b, '}');
}

static void put_entry(struct buf *b, const struct topic_entry *e)
{
	buf_lit(b, "{\"entryId\":");
	jstream_put_html(b, e->id);
	buf_lit(b, ",\"event\":");
	if (e->event != NULL) {
		buf_adds(b, e->event->json);
	} else {
		buf_addc(b, '"');
		base64_put(b, e->raw);
		buf_addc(b, '"');
	}
	buf_lit(b, ",\"metadata\":");
	put_pairs(b, e->metadata, e->nmetadata); /* Dapr has null for what was published in bulk without any */
	buf_lit(b, ",\"contentType\":");
	jstream_put_html(b, e->content_type.n > 0 ? e->content_type
			    : e->event != NULL	  ? STR("application/cloudevents+json")
						  : STR("application/octet-stream"));
	buf_addc(b, '}');
}

static size_t put_entries(struct buf *b, const struct topic_bulk *bulk)
{
	size_t i, n = 0;

	for (i = 0; i < bulk->nentries; i++) {
		if (bulk->entries[i]->state != TOPIC_ENTRY_OPEN)
			continue;
		if (n++ > 0)
			buf_addc(b, ',');
		put_entry(b, bulk->entries[i]);
	}
	return n;
}

struct str topic_bulk_http_body(struct arena *a, const struct topic_bulk *bulk)
{
	struct buf b = buf_in(a);
	char id[UUID_TEXT];

	random_uuid(id);
	buf_lit(&b, "{\"entries\":[");
	put_entries(&b, bulk);
	buf_printf(&b, "],\"id\":\"%s\",\"metadata\":", id);
	put_pairs(&b, bulk->metadata, bulk->nmetadata);
	buf_lit(&b, ",\"pubsubname\":");
	jstream_put_html(&b, bulk->pubsub);
	buf_lit(&b, ",\"topic\":");
	jstream_put_html(&b, bulk->topic);
	buf_lit(&b, ",\"type\":\"" TYPE "\"}");
	return buf_str(&b);
}

static int status_of(struct str text)
{
	if (str_is(text, "SUCCESS"))
		return 0;
	if (text.n == 0 || str_is(text, "RETRY"))
		return 1;
	return str_is(text, "DROP") ? 2 : -1;
}

/* A text, or null as if it were not there. 0: neither; that is a fault. */
static int read_text(struct jstream *j, struct arena *a, struct str *ret)
{
	if (jstream_peek(j) == JSTREAM_NULL) {
		jstream_skip(j);
		return 1;
	}
	return jstream_string(j, a, ret);
}

static int read_one(struct jstream *j, struct arena *a, const struct topic_bulk *b)
{
	struct str key, id = STR(""), status = STR("");
	int well = jstream_enter_object(j);

	while (well && jstream_key(j, a, &key)) {
		if (str_ieq(key, STR("entryId")))
			well = read_text(j, a, &id);
		else if (str_ieq(key, STR("status")))
			well = read_text(j, a, &status);
		else
			jstream_skip(j);
	}
	if (well && j->error == NULL)
		take_status(a, b, id, status_of(status), status);
	return well && j->error == NULL;
}

static int read_statuses(struct arena *a, struct str body, const struct topic_bulk *b)
{
	struct jstream j = jstream_read(body);
	struct str key;
	int well = jstream_enter_object(&j);

	while (well && jstream_key(&j, a, &key)) {
		if (!str_ieq(key, STR("statuses")) || jstream_peek(&j) == JSTREAM_NULL) {
			jstream_skip(&j);
			continue;
		}
		well = jstream_enter_array(&j);
		while (well && jstream_next(&j))
			well = read_one(&j, a, b);
	}
	return well && j.error == NULL;
}

static void reopen(struct topic_bulk *b)
{
	size_t i;

	for (i = 0; i < b->nentries; i++)
		b->entries[i]->state = TOPIC_ENTRY_OPEN;
}

struct topic_bulk_answer topic_bulk_http_answer(struct arena *a, struct topic_bulk *b, int status, struct str body)
{
	struct str why;

	if (status >= 200 && status <= 299) {
		if (read_statuses(a, body, b))
			return answered(a, b);
		reopen(b);
		why = STR("failed unmarshalling app response for bulk subscribe");
		topic_bulk_settle(b, TOPIC_ENTRY_FAILED, why);
		return topic_bulk_count(b, 0, why);
	}
	if (status == 404) {
		log_error("Non-retriable error returned from app while processing bulk pub/sub event. status code "
			  "returned: %d",
			  status);
		topic_bulk_settle(b, TOPIC_ENTRY_DROPPED, STR(""));
		return topic_bulk_count(b, 0, STR(""));
	}
	why = arena_printf(a,
			   "Retriable error returned from app while processing bulk pub/sub event, topic: " STR_FMT
			   ". status code returned: %d",
			   STR_ARG(b->topic), status);
	topic_bulk_settle(b, TOPIC_ENTRY_FAILED, why);
	return topic_bulk_count(b, status, why);
}

/* ---- gRPC ---- */

static char *cstr(struct arena *a, struct str s)
{
	return (char *)arena_str(a, s).p;
}

/* Entries of a map<string, string>, whose type each message has its own of; all have the same layout. */
static void *map_of(struct arena *a, const struct davit_pair *pairs, size_t n, const ProtobufCMessageDescriptor *type)
{
	Dapr__Proto__Runtime__V1__TopicEventBulkRequest__MetadataEntry **list = arena_alloc(a, (n + 1) * sizeof(*list));
	size_t i;

	for (i = 0; i < n; i++) {
		list[i] = arena_alloc(a, sizeof(*list[i]));
		protobuf_c_message_init(type, list[i]);
		list[i]->key = cstr(a, (struct str){ pairs[i].key.p, pairs[i].key.n });
		list[i]->value = cstr(a, (struct str){ pairs[i].value.p, pairs[i].value.n });
	}
	return list;
}

static Dapr__Proto__Runtime__V1__TopicEventBulkRequestEntry *entry_message(struct arena *a, struct topic_entry *e)
{
	Dapr__Proto__Runtime__V1__TopicEventBulkRequestEntry *m = arena_alloc(a, sizeof(*m));

	dapr__proto__runtime__v1__topic_event_bulk_request_entry__init(m);
	m->entry_id = cstr(a, e->id);
	m->content_type = cstr(a, e->content_type);
	m->metadata = map_of(a, e->metadata, e->nmetadata,
			     &dapr__proto__runtime__v1__topic_event_bulk_request_entry__metadata_entry__descriptor);
	m->n_metadata = e->nmetadata;
	if (e->event == NULL) {
		m->event_case = DAPR__PROTO__RUNTIME__V1__TOPIC_EVENT_BULK_REQUEST_ENTRY__EVENT_BYTES;
		m->bytes = (ProtobufCBinaryData){ e->raw.n, (uint8_t *)e->raw.p };
		return m;
	}
	m->event_case = DAPR__PROTO__RUNTIME__V1__TOPIC_EVENT_BULK_REQUEST_ENTRY__EVENT_CLOUD_EVENT;
	m->cloud_event = topic_grpc_event(a, e->event, &e->why);
	return m->cloud_event ? m : NULL;
}

Dapr__Proto__Runtime__V1__TopicEventBulkRequest *topic_bulk_grpc_request(struct arena *a, struct topic_bulk *b)
{
	Dapr__Proto__Runtime__V1__TopicEventBulkRequest *q = arena_alloc(a, sizeof(*q));
	char id[UUID_TEXT];
	size_t i;

	random_uuid(id);
	dapr__proto__runtime__v1__topic_event_bulk_request__init(q);
	q->id = arena_cstr(a, id);
	q->topic = cstr(a, b->topic);
	q->pubsub_name = cstr(a, b->pubsub);
	q->type = (char *)TYPE;
	q->path = cstr(a, b->path);
	q->metadata = map_of(a, b->metadata, b->nmetadata,
			     &dapr__proto__runtime__v1__topic_event_bulk_request__metadata_entry__descriptor);
	q->n_metadata = b->nmetadata;
	q->entries = arena_alloc(a, (b->nentries + 1) * sizeof(*q->entries));
	for (i = 0; i < b->nentries; i++) {
		struct topic_entry *e = b->entries[i];

		if (e->state != TOPIC_ENTRY_OPEN)
			continue;
		q->entries[q->n_entries] = entry_message(a, e);
		if (q->entries[q->n_entries] == NULL)
			e->state = TOPIC_ENTRY_FAILED;
		else
			q->n_entries++;
	}
	return q;
}

struct topic_bulk_answer topic_bulk_grpc_answer(struct arena *a, struct topic_bulk *b, const struct error *error,
						const Dapr__Proto__Runtime__V1__TopicEventBulkResponse *reply)
{
	struct str why;
	size_t i;

	if (!error_is(error)) {
		for (i = 0; i < reply->n_statuses; i++)
			take_status(a, b, str_of(reply->statuses[i]->entry_id), (int)reply->statuses[i]->status,
				    arena_printf(a, "%d", (int)reply->statuses[i]->status));
		return answered(a, b);
	}
	why = arena_printf(
		a, "error returned from app while processing bulk pub/sub event: rpc error: code = %s desc = " STR_FMT,
		error_code_name(error->code), STR_ARG(error->message));
	if (error->code == ERROR_UNIMPLEMENTED) {
		log_warn("non-retriable " STR_FMT, STR_ARG(why));
		topic_bulk_settle(b, TOPIC_ENTRY_DROPPED, STR(""));
		return topic_bulk_count(b, 0, STR(""));
	}
	topic_bulk_settle(b, TOPIC_ENTRY_FAILED, why);
	return topic_bulk_count(b, error->code, why);
}
