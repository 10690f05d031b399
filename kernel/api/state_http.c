/* SPDX-License-Identifier: Apache-2.0 */
/* The state API over HTTP (https://docs.dapr.io/reference/api/state_api/). */
#include "api/decode.h"
#include "api/handlers.h"
#include "base/banned.h"
#include "base/buf.h"
#include "blocks/state_error.h"

/* The store that the path names; 0: an error was answered. */
static int find_store(struct request *r, struct state_store **ret_store)
{
	struct error e = state_find(r->blocks, r->arena, r->params[0], ret_store);

	if (!error_is(&e))
		return 1;
	request_fail(r, &e);
	return 0;
}

/* Dapr wraps this one error once more over HTTP than over gRPC; clients compare the text. */
static void fail(struct request *r, struct error *e)
{
	struct error_detail *d;

	if (e->details != NULL && e->details->kind == DETAIL_BAD_REQUEST) {
		e->message = arena_printf(r->arena, "api error: code = InvalidArgument desc = " STR_FMT,
					  STR_ARG(e->message));
		for (d = e->details; d != NULL; d = d->next)
			if (d->kind == DETAIL_BAD_REQUEST)
				d->about = e->message;
	}
	request_fail(r, e);
}

static void answer(struct request *r, struct error e)
{
	if (error_is(&e))
		fail(r, &e);
	else
		request_empty(r);
}

static void metadata_fields(struct request *r, const struct state_value *v)
{
	size_t i;

	for (i = 0; i < v->nmetadata; i++) {
		struct str name = arena_printf(r->arena, "metadata.%s", v->metadata[i].key.p);
		char *p = (char *)name.p;

		for (; *p != '\0'; p++)
			if (*p >= 'A' && *p <= 'Z')
				*p = (char)(*p + 32);
		request_field(r, name.p, (struct str){ v->metadata[i].value.p, v->metadata[i].value.n });
	}
}

void state_http_get(struct request *r)
{
	struct str consistency = request_query(r, "consistency");
	const struct davit_pair *metadata;
	struct state_store *store;
	struct state_value v;
	struct error e;
	size_t n;

	if (!find_store(r, &store))
		return;
	metadata = request_metadata(r, &n);
	e = state_get(r->blocks, &r->scope, store, r->params[1], consistency, metadata, n, &v);
	if (error_is(&e)) {
		fail(r, &e);
		return;
	}
	if (!v.found) {
		request_empty(r);
		return;
	}
	if (v.etag.p != NULL)
		request_field(r, "etag", v.etag);
	metadata_fields(r, &v);
	request_json(r, 200, v.value); /* as Dapr, whatever type the store has noted for the value */
}

void state_http_save(struct request *r)
{
	struct state_store *store;
	struct state_item *items;
	const struct davit_pair *metadata;
	struct decode d;
	struct str body;
	size_t n, i, nmetadata;

	if (!find_store(r, &store) || !request_body(r, &body))
		return;
	d = decode_of(r->arena, body);
	decode_items(&d, &items, &n);
	if (!decode_end(&d)) {
		request_malformed(r, STR_FMT, STR_ARG(d.message));
		return;
	}
	metadata = request_metadata(r, &nmetadata);
	for (i = 0; i < n; i++) {
		if (items[i].key.n == 0) {
			request_malformed(r, "\"key\" is a required field");
			return;
		}
		items[i].metadata = request_merge(r, items[i].metadata, items[i].nmetadata, metadata, nmetadata,
						  &items[i].nmetadata);
	}
	answer(r, state_save(r->blocks, &r->scope, store, items, n));
}

void state_http_delete(struct request *r)
{
	struct str etag = http_field(r->x, STR("if-match"));
	struct state_item item = { .key = r->params[1],
				   .etag = etag,
				   .has_etag = etag.p != NULL,
				   .concurrency = request_query(r, "concurrency"),
				   .consistency = request_query(r, "consistency") };
	struct state_store *store;

	if (!find_store(r, &store))
		return;
	item.metadata = request_metadata(r, &item.nmetadata);
	item.etag = arena_str(r->arena, etag);
	answer(r, state_delete(r->blocks, &r->scope, store, &item));
}

static void put_value(struct buf *b, const struct state_value *v, int query)
{
	size_t i;

	buf_lit(b, "{\"key\":");
	jstream_put_html(b, v->key);
	if (v->error.p == NULL && v->found && v->value.n > 0) {
		buf_lit(b, ",\"data\":");
		if (jstream_check(v->value) == 0)
			jstream_compact(b, v->value);
		else
			jstream_put_html(
				b, v->value); /* bytes saved over gRPC: as text, where Dapr's answer is cut short */
	} else if (query) {
		buf_lit(b, ",\"data\":null");
	}
	if (v->etag.p != NULL) {
		buf_lit(b, ",\"etag\":");
		jstream_put_html(b, v->etag);
	}
	for (i = 0; !query && i < v->nmetadata; i++) {
		buf_adds(b, i ? STR(",") : STR(",\"metadata\":{"));
		jstream_put_html(b, (struct str){ v->metadata[i].key.p, v->metadata[i].key.n });
		buf_addc(b, ':');
		jstream_put_html(b, (struct str){ v->metadata[i].value.p, v->metadata[i].value.n });
	}
	if (!query && v->nmetadata > 0)
		buf_addc(b, '}');
	if (v->error.p != NULL) {
		buf_lit(b, ",\"error\":");
		jstream_put_html(b, v->error);
	}
	buf_addc(b, '}');
}

void state_http_bulk_get(struct request *r)
{
	const struct state_value *values;
	const struct davit_pair *metadata;
	struct buf b = buf_in(r->arena);
	struct state_store *store;
	struct decode_bulk in;
	struct decode d;
	struct str body;
	struct error e;
	size_t n, i;

	if (!find_store(r, &store) || !request_body(r, &body))
		return;
	d = decode_of(r->arena, body);
	decode_bulk(&d, &in);
	if (!decode_end(&d)) {
		request_malformed(r, "failed deserializing HTTP body: " STR_FMT, STR_ARG(d.message));
		return;
	}
	metadata = request_metadata(r, &n);
	metadata = request_merge(r, in.metadata, in.nmetadata, metadata, n, &n);
	e = state_bulk_get(r->blocks, &r->scope, store, in.keys, in.n, in.parallelism, metadata, n, &values);
	if (error_is(&e)) {
		fail(r, &e);
		return;
	}
	buf_addc(&b, '[');
	for (i = 0; i < in.n; i++) {
		if (i > 0)
			buf_addc(&b, ',');
		put_value(&b, &values[i], 0);
	}
	buf_lit(&b, "]\n");
	request_json(r, 200, buf_str(&b));
}

void state_http_transact(struct request *r)
{
	const struct davit_pair *query;
	struct decode_transaction in;
	struct state_store *store;
	struct state_step *steps;
	struct decode d;
	struct str body;
	struct error e;
	size_t i, nquery, n;

	if (!find_store(r, &store))
		return;
	e = state_can_transact(store, r->arena);
	if (error_is(&e)) {
		fail(r, &e);
		return;
	}
	if (!request_body(r, &body))
		return;
	d = decode_of(r->arena, body);
	decode_transaction(&d, &in);
	if (!decode_end(&d)) {
		request_malformed(r, "failed deserializing HTTP body: " STR_FMT, STR_ARG(d.message));
		return;
	}
	query = request_metadata(r, &nquery);
	steps = arena_alloc(r->arena, sizeof(*steps) * (in.n + 1));
	for (i = 0; i < in.n; i++) {
		struct decode_step *from = &in.steps[i];

		if (!str_is(from->operation, "upsert") && !str_is(from->operation, "delete")) {
			e = state_error_operation(r->arena, from->operation);
			fail(r, &e);
			return;
		}
		if (from->message.p != NULL) {
			request_malformed(r, "failed deserializing HTTP body: " STR_FMT, STR_ARG(from->message));
			return;
		}
		steps[i].operation = str_is(from->operation, "upsert") ? STATE_UPSERT : STATE_DELETE;
		steps[i].item = from->item;
		steps[i].item.metadata = request_merge(r, from->item.metadata, from->item.nmetadata, query, nquery,
						       &steps[i].item.nmetadata);
	}
	in.metadata = request_merge(r, in.metadata, in.nmetadata, query, nquery, &n);
	e = state_transact(r->blocks, &r->scope, store, steps, in.n, in.metadata, n);
	if (e.details != NULL && e.details->kind == DETAIL_BAD_REQUEST)
		e.details->name = STR(""); /* of a transaction Dapr does not say whose key it was */
	answer(r, e);
}

void state_http_query(struct request *r)
{
	const struct davit_pair *metadata;
	struct buf b = buf_in(r->arena);
	struct state_found found;
	struct state_store *store;
	struct str body;
	struct error e;
	size_t n, i;

	if (!request_raw_body(r, &body))
		return;
	e = state_find(r->blocks, r->arena, r->params[0], &store);
	if (error_is(&e)) {
		e.details->pairs = NULL; /* here Dapr does without the application's id */
		e.details->npairs = 0;
		request_fail(r, &e);
		return;
	}
	metadata = request_metadata(r, &n);
	e = state_query(r->blocks, &r->scope, store, body, metadata, n, &found);
	if (error_is(&e)) {
		fail(r, &e);
		return;
	}
	if (found.n == 0) {
		request_empty(r);
		return;
	}
	buf_lit(&b, "{\"results\":[");
	for (i = 0; i < found.n; i++) {
		if (i > 0)
			buf_addc(&b, ',');
		put_value(&b, &found.values[i], 1);
	}
	buf_addc(&b, ']');
	if (found.token.n > 0) {
		buf_lit(&b, ",\"token\":");
		jstream_put_html(&b, found.token);
	}
	buf_lit(&b, "}\n");
	request_json(r, 200, buf_str(&b));
}
