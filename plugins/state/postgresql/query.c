/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The query API, of v1: filters, order and page become one SELECT. A field is the text at a path of the value, and compares as
 * text, as in Dapr. What has expired is left out.
 */
#include <davit/json.h>
#include <jansson.h>
#include <stdlib.h>
#include <strings.h>

#include "store.h"

#define DEPTH 64   /* of a query's JSON */
#define TERMS 1000 /* most comparisons in one */

struct builder {
	FILE *out;
	struct pg_connection *c;
	struct pg_fault *f;
	int terms;
};

/* "<of> <what>" or the one of them. */
static int bad(struct builder *b, const char *of, const char *what)
{
	pg_fault_set(b->f, DAVIT_INVALID_ARGUMENT, NULL, "%.200s%s%.200s", of, *of && *what ? " " : "", what);
	return -1;
}

static int write_literal(struct builder *b, const char *text, size_t n)
{
	char *literal = PQescapeLiteral(b->c->pg, text, n);

	if (literal == NULL)
		return bad(b, "a field or a value", "is not text that the database takes");
	fputs(literal, b->out);
	PQfreemem(literal);
	return 0;
}

/* "a.b": value->'a'->>'b' */
static int write_field(struct builder *b, const char *path)
{
	const char *dot;

	fputs("value", b->out);
	for (;; path = dot + 1) {
		dot = strchrnul(path, '.');
		fputs(*dot == '\0' ? "->>" : "->", b->out);
		if (write_literal(b, path, (size_t)(dot - path)) < 0)
			return -1;
		if (*dot == '\0')
			return 0;
	}
}

/* A number as jsonb has it in text: no exponent, and no more digits than tell it from its neighbours. */
static void number_text(double v, char text[64])
{
	int digits;

	for (digits = 1; digits <= 17; digits++) {
		snprintf(text, 64, "%.*g", digits, v);
		if (strtod(text, NULL) == v)
			break;
	}
	if (strchr(text, 'e') != NULL && v < 1e21 && v > -1e21)
		snprintf(text, 64, "%.0f", v);
}

static int write_value(struct builder *b, const json_t *v)
{
	char text[64];

	if (json_is_string(v))
		return write_literal(b, json_string_value(v), json_string_length(v));
	if (json_is_integer(v))
		snprintf(text, sizeof(text), "%lld", (long long)json_integer_value(v));
	else if (json_is_real(v))
		number_text(json_real_value(v), text);
	else if (json_is_boolean(v))
		snprintf(text, sizeof(text), "%s", json_is_true(v) ? "true" : "false");
	else
		return bad(b, "", "unsupported type of value in a filter: it must be text, a number, true or false");
	return write_literal(b, text, strlen(text));
}

static int write_comparison(struct builder *b, const char *field, const char *operator, const json_t * v)
{
	if (++b->terms > TERMS)
		return bad(b, "", "a query of more than 1000 comparisons");
	if (write_field(b, field) < 0)
		return -1;
	fputs(operator, b->out);
	return write_value(b, v);
}

static const struct {
	const char *word, *sql;
	int ordered;
} operators[] = {
	{ "EQ", " = ", 0 },   { "NEQ", " != ", 0 }, { "GT", " > ", 1 },
	{ "GTE", " >= ", 1 }, { "LT", " < ", 1 },   { "LTE", " <= ", 1 },
};

/* The one field of {"field": value}; NULL: it is another thing. */
static const char *pair(struct builder *b, const char *word, json_t *o, json_t **ret_value)
{
	void *at;

	if (!json_is_object(o))
		return bad(b, word, "filter must be a map"), NULL;
	if (json_object_size(o) != 1)
		return bad(b, word, "filter must contain a single key/value pair"), NULL;
	at = json_object_iter(o);
	*ret_value = json_object_iter_value(at);
	return json_object_iter_key(at);
}

static int write_in(struct builder *b, json_t *o)
{
	const char *field;
	json_t *list, *v;
	size_t i;

	field = pair(b, "IN", o, &list);
	if (field == NULL)
		return -1;
	if (!json_is_array(list))
		return bad(b, "IN", "filter value must be an array");
	if (json_array_size(list) == 0)
		return bad(b, "empty IN operator for key", field);
	fputc('(', b->out);
	json_array_foreach(list, i, v)
	{
		fputs(i > 0 ? " OR " : "", b->out);
		if (write_comparison(b, field, " = ", v) < 0)
			return -1;
	}
	fputc(')', b->out);
	return 0;
}

static int write_filter(struct builder *b, json_t *o);

static int write_many(struct builder *b, const char *word, json_t *list)
{
	json_t *o;
	size_t i;

	if (!json_is_array(list))
		return bad(b, word, "filter must be an array");
	if (json_array_size(list) < 2)
		return bad(b, word, "filter must contain at least two entries");
	fputc('(', b->out);
	json_array_foreach(list, i, o)
	{
		if (i > 0)
			fprintf(b->out, " %s ", word);
		if (write_filter(b, o) < 0)
			return -1;
	}
	fputc(')', b->out);
	return 0;
}

/* As deep as the JSON is, which has a limit. */
static int write_filter(struct builder *b, json_t *o)
{
	const char *word, *field;
	json_t *in, *v;
	size_t i;

	if (!json_is_object(o))
		return bad(b, "", "filter unit must be a map");
	if (json_object_size(o) != 1)
		return bad(b, "", "filter unit must have a single element");
	word = json_object_iter_key(json_object_iter(o));
	in = json_object_iter_value(json_object_iter(o));
	if (strcmp(word, "AND") == 0 || strcmp(word, "OR") == 0)
		return write_many(b, word, in);
	if (strcmp(word, "IN") == 0)
		return write_in(b, in);
	for (i = 0; i < sizeof(operators) / sizeof(operators[0]); i++)
		if (strcmp(operators[i].word, word) == 0)
			break;
	if (i == sizeof(operators) / sizeof(operators[0]))
		return bad(b, "unsupported filter", word);
	field = pair(b, word, in, &v);
	if (field == NULL)
		return -1;
	if (operators[i].ordered && json_is_string(v))
		return bad(b, json_string_value(v), "is an unsupported type of value; string type not permitted");
	return write_comparison(b, field, operators[i].sql, v);
}

static int write_order(struct builder *b, json_t *sort)
{
	json_t *o;
	size_t i;

	if (sort != NULL && !json_is_null(sort) && !json_is_array(sort))
		return bad(b, "sort", "must be an array");
	json_array_foreach(sort, i, o)
	{
		const char *key = json_string_value(json_object_get(o, "key"));
		const char *order = json_string_value(json_object_get(o, "order"));

		if (key == NULL)
			return bad(b, "", "an entry of sort has no key");
		fputs(i == 0 ? " ORDER BY " : ", ", b->out);
		if (write_field(b, key) < 0)
			return -1;
		if (order == NULL || *order == '\0')
			continue;
		if (strcasecmp(order, "ASC") != 0 && strcasecmp(order, "DESC") != 0)
			return bad(b, "an order is ASC or DESC, not", order);
		fputs(strcasecmp(order, "ASC") == 0 ? " ASC" : " DESC", b->out);
	}
	return 0;
}

struct page {
	long long limit, skip;
};

static int write_page(struct builder *b, json_t *page, struct page *ret_page)
{
	const char *token = json_string_value(json_object_get(page, "token"));
	json_t *limit = json_object_get(page, "limit");

	if (limit != NULL && !json_is_null(limit) && !json_is_integer(limit))
		return bad(b, "limit", "must be a whole number");
	ret_page->limit = json_integer_value(limit);
	if (ret_page->limit > 0)
		fprintf(b->out, " LIMIT %lld", ret_page->limit);
	if (token == NULL || *token == '\0')
		return 0;
	if (strlen(token) > 18 || strspn(token, "0123456789") != strlen(token))
		return bad(b, "invalid token", token);
	ret_page->skip = strtoll(token, NULL, 10);
	fprintf(b->out, " OFFSET %lld", ret_page->skip);
	return 0;
}

static int write_all(struct builder *b, const struct store *s, json_t *q, struct page *ret_page)
{
	json_t *filter = json_object_get(q, "filter");

	fprintf(b->out,
		"SELECT value, xmin, NULL::timestamp, key, false FROM %s WHERE (expiredate IS NULL OR expiredate >= "
		"now())",
		s->table);
	if (json_is_object(filter) && json_object_size(filter) > 0) {
		fputs(" AND ", b->out);
		if (write_filter(b, filter) < 0)
			return -1;
	} else if (filter != NULL && !json_is_null(filter) && !json_is_object(filter)) {
		return bad(b, "filter", "must be a map");
	}
	return write_order(b, json_object_get(q, "sort")) < 0 || write_page(b, json_object_get(q, "page"), ret_page) < 0
		       ? -1
		       : 0;
}

static char *build(struct store *s, struct pg_connection *c, json_t *q, struct page *ret_page, struct pg_fault *f)
{
	char *text = NULL;
	size_t n = 0;
	struct builder b = { .out = open_memstream(&text, &n), .c = c, .f = f };
	int rc;

	if (b.out == NULL)
		return pg_fault_no_memory(f), NULL;
	rc = write_all(&b, s, q, ret_page);
	if (fclose(b.out) != 0 && rc == 0) {
		pg_fault_no_memory(f);
		rc = -1;
	}
	if (rc == 0)
		return text;
	free(text);
	return NULL;
}

static davit_status emit_rows(struct store *s, struct davit_call *call, PGresult **r, const struct page *page,
			      struct pg_fault *f)
{
	struct davit_state_page record = DAVIT_INIT(davit_state_page, .count = 0);
	davit_status status = DAVIT_OK;
	int i, n = PQntuples(*r);
	char token[24];

	for (i = 0; i < n && status == DAVIT_OK; i++) {
		struct davit_str key = { PQgetvalue(*r, i, COLUMN_KEY), (size_t)PQgetlength(*r, i, COLUMN_KEY) };

		status = row_emit(s, call, key, r, i, 0, f);
	}
	if (page->limit > 0) { /* also behind the last page, as Dapr does */
		snprintf(token, sizeof(token), "%lld", page->skip + n);
		record.token = davit_str(token);
	}
	return status == DAVIT_OK ? davit_emit(call, &record) : status;
}

static davit_status do_query(struct store *s, struct davit_call *call, struct pg_connection *c, int64_t until_ms,
			     void *arg, struct pg_fault *f)
{
	struct page page = { 0, 0 };
	char *text = build(s, c, arg, &page, f);
	struct pg_statement statement = { .number = -1, .text = text };
	PGresult *r = NULL;
	davit_status status;

	if (text == NULL)
		return f->status;
	status = pg_do(c, call, until_ms, &statement, NULL, 0, &r, f);
	free(text);
	if (status == DAVIT_UNAVAILABLE && c->broken)
		f->again = 1;
	if (status == DAVIT_OK) {
		f->status = DAVIT_OK;
		status = emit_rows(s, call, &r, &page, f);
	}
	PQclear(r);
	return status;
}

davit_status query(struct store *s, struct davit_call *call, const struct davit_state_query *in)
{
	struct pg_fault f = { .status = DAVIT_OK };
	davit_status status;
	json_error_t why;
	json_t *q;

	if (davit_json_depth(in->query.p, in->query.n) > DEPTH)
		return davit_fail(call, DAVIT_INVALID_ARGUMENT, NULL, "a query nests at most %d deep", DEPTH);
	q = json_loadb(in->query.p, in->query.n, 0, &why);
	if (!json_is_object(q)) {
		json_decref(q);
		return davit_fail(call, DAVIT_INVALID_ARGUMENT, NULL, "failed to parse JSON query body: %s",
				  q ? "it must be a map" : why.text);
	}
	status = store_with(s, call, do_query, q, &f);
	json_decref(q);
	return status != DAVIT_OK && f.status == status ? pg_fault_tell(&f, call) : status;
}
