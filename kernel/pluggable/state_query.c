/* SPDX-License-Identifier: Apache-2.0 */
/* Queries: the client's JSON (filter, sort, page) as the protocol's messages, and what was found. */
#include <dapr/proto/components/v1/state.pb-c.h>
#include <google/protobuf/any.pb-c.h>

#include "base/banned.h"
#include "base/jstream.h"
#include "pluggable/offers.h"
#include "pluggable/peer.h"

#define MESSAGE(name) &dapr__proto__components__v1__##name##__descriptor
#define TERMS 1000 /* of a filter's top level, or to sort by */

typedef Dapr__Proto__Components__V1__Query query_message;
typedef Dapr__Proto__Components__V1__Query__FilterEntry filter_entry;
typedef Dapr__Proto__Components__V1__Sorting sorting;

struct reading {
	struct peer_job *j;
	struct jstream s;
	const char *fault; /* beyond what the stream finds itself */
};

static void *make_room(struct reading *r, void *list, size_t n)
{
	if (n >= TERMS)
		r->fault = "too many terms";
	return n >= TERMS ? NULL : arena_grow(r->j->arena, list, n * sizeof(void *), (n + 1) * sizeof(void *));
}

/* Each operator with its operand as JSON text, which is the component's to understand. */
static void read_filter(struct reading *r, query_message *q)
{
	struct arena *a = r->j->arena;
	struct buf compact;
	filter_entry *f;
	struct str key;
	void *room;

	if (jstream_peek(&r->s) == JSTREAM_NULL) {
		jstream_skip(&r->s);
		return;
	}
	if (!jstream_enter_object(&r->s)) {
		r->fault = "filter is no object";
		return;
	}
	while (jstream_key(&r->s, a, &key) && (room = make_room(r, q->filter, q->n_filter)) != NULL) {
		q->filter = room;
		f = arena_alloc(a, sizeof(*f));
		dapr__proto__components__v1__query__filter_entry__init(f);
		f->key = peer_text(r->j, (struct davit_str){ key.p, key.n });
		f->value = arena_alloc(a, sizeof(*f->value));
		google__protobuf__any__init(f->value);
		compact = buf_in(a);
		jstream_compact(&compact, jstream_raw(&r->s));
		f->value->value = (ProtobufCBinaryData){ compact.n, (uint8_t *)buf_str(&compact).p };
		q->filter[q->n_filter++] = f;
	}
}

static char *read_text(struct reading *r)
{
	struct str text = STR("");

	if (jstream_peek(&r->s) == JSTREAM_NULL)
		jstream_skip(&r->s);
	else if (!jstream_string(&r->s, r->j->arena, &text))
		r->fault = "a text was expected in sort or page";
	return peer_text(r->j, (struct davit_str){ text.p, text.n });
}

static void read_sort(struct reading *r, query_message *q)
{
	struct arena *a = r->j->arena;
	struct str key;
	sorting *s;
	void *room;

	if (jstream_peek(&r->s) == JSTREAM_NULL) {
		jstream_skip(&r->s);
		return;
	}
	if (!jstream_enter_array(&r->s)) {
		r->fault = "sort is no array";
		return;
	}
	while (jstream_next(&r->s) && r->fault == NULL && (room = make_room(r, q->sort, q->n_sort)) != NULL) {
		q->sort = room;
		s = arena_alloc(a, sizeof(*s));
		dapr__proto__components__v1__sorting__init(s);
		q->sort[q->n_sort++] = s;
		if (!jstream_enter_object(&r->s)) {
			r->fault = "an element of sort is no object";
			return;
		}
		while (r->fault == NULL && jstream_key(&r->s, a, &key)) {
			if (str_ieq(key, STR("key")))
				s->key = read_text(r);
			else if (str_ieq(key, STR("order")))
				s->order = strcmp(read_text(r), "DESC") == 0
						   ? DAPR__PROTO__COMPONENTS__V1__SORTING__ORDER__DESC
						   : DAPR__PROTO__COMPONENTS__V1__SORTING__ORDER__ASC;
			else
				jstream_skip(&r->s);
		}
	}
}

static void read_page(struct reading *r, query_message *q)
{
	struct str key;
	int64_t limit;

	if (jstream_peek(&r->s) == JSTREAM_NULL) {
		jstream_skip(&r->s);
		return;
	}
	if (!jstream_enter_object(&r->s)) {
		r->fault = "page is no object";
		return;
	}
	while (r->fault == NULL && jstream_key(&r->s, r->j->arena, &key)) {
		if (str_ieq(key, STR("token"))) {
			q->pagination->token = read_text(r);
		} else if (!str_ieq(key, STR("limit")) || jstream_peek(&r->s) == JSTREAM_NULL) {
			jstream_skip(&r->s);
		} else if (str_int(jstream_raw(&r->s), &limit) == 0) {
			q->pagination->limit = limit;
		} else {
			r->fault = "page.limit is no whole number";
		}
	}
}

/* NULL: well. */
static const char *read_query(struct peer_job *j, struct davit_bytes text, query_message *q)
{
	struct reading r = { j, jstream_read((struct str){ text.p, text.n }), NULL };
	struct str key;

	if (!jstream_enter_object(&r.s))
		return r.s.error ? r.s.error : "the query is no object";
	while (r.fault == NULL && jstream_key(&r.s, j->arena, &key)) {
		if (str_ieq(key, STR("filter")))
			read_filter(&r, q);
		else if (str_ieq(key, STR("sort")))
			read_sort(&r, q);
		else if (str_ieq(key, STR("page")))
			read_page(&r, q);
		else
			jstream_skip(&r.s);
	}
	if (r.fault != NULL)
		return r.fault;
	return jstream_end(&r.s) < 0 ? r.s.error : NULL;
}

static davit_status emit_item(struct peer_job *j, const Dapr__Proto__Components__V1__QueryItem *from)
{
	struct davit_state_item item = DAVIT_INIT(davit_state_item, .key = davit_str(from->key));

	item.value = (struct davit_bytes){ from->data.data, from->data.len };
	if (from->etag != NULL)
		item.etag = davit_str(from->etag->value);
	if (from->content_type[0] != '\0')
		item.content_type = davit_str(from->content_type);
	if (from->error[0] != '\0') {
		item.status = DAVIT_UNKNOWN;
		item.error = davit_str(from->error);
	}
	return peer_emit(j, &item);
}

static davit_status query(struct peer_job *j, const void *arg)
{
	const struct davit_state_query *in = arg;
	Dapr__Proto__Components__V1__QueryRequest m = DAPR__PROTO__COMPONENTS__V1__QUERY_REQUEST__INIT;
	query_message q = DAPR__PROTO__COMPONENTS__V1__QUERY__INIT;
	Dapr__Proto__Components__V1__Pagination page = DAPR__PROTO__COMPONENTS__V1__PAGINATION__INIT;
	const Dapr__Proto__Components__V1__QueryResponse *reply;
	struct davit_state_page found = DAVIT_INIT(davit_state_page, .count = 0);
	const char *why;
	davit_status status;
	void *out;
	size_t i;

	q.pagination = &page;
	m.query = &q;
	why = read_query(j, in->query, &q);
	if (why != NULL)
		return davit_fail(j->call, DAVIT_INVALID_ARGUMENT, NULL, "failed to parse JSON query body: %s", why);
	m.metadata = peer_map(j, MESSAGE(query_request__metadata_entry), in->metadata, in->nmetadata);
	m.n_metadata = in->nmetadata;
	status = peer_ask(j, "QueriableStateStore/Query", &m.base, MESSAGE(query_response), &out);
	if (status != DAVIT_OK)
		return status;
	reply = out;
	for (i = 0; i < reply->n_items && status == DAVIT_OK; i++)
		status = emit_item(j, reply->items[i]);
	found.token = davit_str(reply->token);
	return status == DAVIT_OK ? peer_emit(j, &found) : status;
}

davit_status peer_state_query(void *self, struct davit_call *call, const struct davit_state_query *in)
{
	return peer_run(self, call, query, in);
}
