/* SPDX-License-Identifier: Apache-2.0 */
#include "api/decode.h"

#include "base/banned.h"

struct decode decode_of(struct arena *a, struct str body)
{
	return (struct decode){ .a = a, .j = jstream_read(body) };
}

static const char *type_name(enum jstream_type t)
{
	switch (t) {
	case JSTREAM_BOOL: return "bool";
	case JSTREAM_NUMBER: return "number";
	case JSTREAM_STRING: return "string";
	case JSTREAM_ARRAY: return "array";
	case JSTREAM_OBJECT: return "object";
	default: return "null";
	}
}

/* The next value has the wrong type; it is skipped. */
static void wrong_type(struct decode *d, const char *field, const char *wanted)
{
	enum jstream_type t = jstream_peek(&d->j);

	if (t != JSTREAM_NOTHING && d->message.p == NULL)
		d->message = field ? arena_printf(d->a, "json: cannot unmarshal %s into Go struct field %s of type %s",
						  type_name(t), field, wanted)
				   : arena_printf(d->a, "json: cannot unmarshal %s into Go value of type %s",
						  type_name(t), wanted);
	jstream_skip(&d->j);
}

static int is_null(struct decode *d)
{
	if (jstream_peek(&d->j) != JSTREAM_NULL)
		return 0;
	jstream_skip(&d->j);
	return 1;
}

static void read_text(struct decode *d, const char *field, struct str *ret_text)
{
	if (!is_null(d) && !jstream_string(&d->j, d->a, ret_text))
		wrong_type(d, field, "string");
}

static void *add(struct decode *d, void *list, size_t *n, size_t *cap, size_t size)
{
	if (*n == *cap) {
		size_t more = *cap ? 2 * *cap : 4;

		list = arena_grow(d->a, list, *cap * size, more * size);
		*cap = more;
	}
	memset((char *)list + *n * size, 0, size);
	++*n;
	return list;
}

static void read_metadata(struct decode *d, const char *field, const struct davit_pair **ret_pairs, size_t *ret_n)
{
	struct davit_pair *pairs = NULL;
	size_t n = 0, cap = 0;
	struct str key, value;

	if (is_null(d))
		return;
	if (!jstream_enter_object(&d->j)) {
		wrong_type(d, field, "map[string]string");
		return;
	}
	while (jstream_key(&d->j, d->a, &key)) {
		value = STR("");
		read_text(d, field, &value);
		pairs = add(d, pairs, &n, &cap, sizeof(*pairs));
		pairs[n - 1] = (struct davit_pair){ { key.p, key.n }, { value.p, value.n } };
	}
	*ret_pairs = pairs;
	*ret_n = n;
}

static void read_options(struct decode *d, struct state_item *item)
{
	struct str key;

	if (is_null(d))
		return;
	if (!jstream_enter_object(&d->j)) {
		wrong_type(d, "SetRequest.options", "state.SetStateOption");
		return;
	}
	while (jstream_key(&d->j, d->a, &key)) {
		if (str_ieq(key, STR("concurrency")))
			read_text(d, "SetStateOption.options.concurrency", &item->concurrency);
		else if (str_ieq(key, STR("consistency")))
			read_text(d, "SetStateOption.options.consistency", &item->consistency);
		else
			jstream_skip(&d->j);
	}
}

/* The value in the form that Dapr stores: what gRPC, another sidecar or the store's own tools then read is the same text. */
static struct str normal(struct arena *a, struct str raw)
{
	struct buf b = buf_in(a);
	size_t i;

	for (i = 0; i < raw.n; i++)
		if (raw.p[i] <= ' ' || raw.p[i] == '\\' || (unsigned char)raw.p[i] >= 0x80)
			break;
	if (i == raw.n)
		return raw;
	jstream_normal(&b, a, raw);
	return buf_str(&b);
}

static struct str read_value(struct decode *d)
{
	struct str raw = jstream_raw(&d->j);

	return raw.p != NULL ? normal(d->a, raw) : raw;
}

int decode_value(struct arena *a, struct str text, struct str *ret_value, struct str *ret_message)
{
	struct decode d = decode_of(a, text);
	struct str raw = jstream_raw(&d.j);

	if (!decode_end(&d)) {
		*ret_message = d.message;
		return -1;
	}
	*ret_value = normal(a, raw);
	return 0;
}

static void read_item(struct decode *d, struct state_item *item)
{
	struct str key;

	item->value = STR("null");
	item->json = 1;
	if (is_null(d))
		return;
	if (!jstream_enter_object(&d->j)) {
		wrong_type(d, NULL, "state.SetRequest");
		return;
	}
	while (jstream_key(&d->j, d->a, &key)) {
		if (str_ieq(key, STR("key"))) {
			read_text(d, "SetRequest.key", &item->key);
		} else if (str_ieq(key, STR("value"))) {
			item->value = read_value(d);
		} else if (str_ieq(key, STR("etag"))) {
			item->has_etag = jstream_peek(&d->j) == JSTREAM_STRING;
			read_text(d, "SetRequest.etag", &item->etag);
		} else if (str_ieq(key, STR("metadata"))) {
			read_metadata(d, "SetRequest.metadata", &item->metadata, &item->nmetadata);
		} else if (str_ieq(key, STR("options"))) {
			read_options(d, item);
		} else {
			jstream_skip(&d->j);
		}
	}
}

void decode_items(struct decode *d, struct state_item **ret_items, size_t *ret_n)
{
	struct state_item *items = NULL;
	size_t n = 0, cap = 0;

	*ret_items = NULL;
	*ret_n = 0;
	if (is_null(d))
		return;
	if (!jstream_enter_array(&d->j)) {
		wrong_type(d, NULL, "[]state.SetRequest");
		return;
	}
	while (jstream_next(&d->j)) {
		items = add(d, items, &n, &cap, sizeof(*items));
		read_item(d, &items[n - 1]);
	}
	*ret_items = items;
	*ret_n = n;
}

static void read_keys(struct decode *d, struct decode_bulk *ret)
{
	size_t cap = 0;

	if (is_null(d))
		return;
	if (!jstream_enter_array(&d->j)) {
		wrong_type(d, "BulkGetRequest.keys", "[]string");
		return;
	}
	while (jstream_next(&d->j)) {
		ret->keys = add(d, ret->keys, &ret->n, &cap, sizeof(*ret->keys));
		ret->keys[ret->n - 1] = STR("");
		read_text(d, "BulkGetRequest.keys", &ret->keys[ret->n - 1]);
	}
}

static void read_int(struct decode *d, const char *field, int64_t *ret_value)
{
	struct str raw;

	if (is_null(d))
		return;
	if (jstream_peek(&d->j) != JSTREAM_NUMBER) {
		wrong_type(d, field, "int");
		return;
	}
	raw = jstream_raw(&d->j);
	if (str_int(raw, ret_value) < 0 && d->message.p == NULL && raw.p != NULL)
		d->message = arena_printf(d->a,
					  "json: cannot unmarshal number " STR_FMT
					  " into Go struct field %s of type int",
					  STR_ARG(raw), field);
}

void decode_bulk(struct decode *d, struct decode_bulk *ret)
{
	struct str key;

	*ret = (struct decode_bulk){ .n = 0 };
	if (is_null(d))
		return;
	if (!jstream_enter_object(&d->j)) {
		wrong_type(d, NULL, "http.BulkGetRequest");
		return;
	}
	while (jstream_key(&d->j, d->a, &key)) {
		if (str_ieq(key, STR("keys")))
			read_keys(d, ret);
		else if (str_ieq(key, STR("parallelism")))
			read_int(d, "BulkGetRequest.parallelism", &ret->parallelism);
		else if (str_ieq(key, STR("metadata")))
			read_metadata(d, "BulkGetRequest.metadata", &ret->metadata, &ret->nmetadata);
		else
			jstream_skip(&d->j);
	}
}

/* A request of another shape is a fault only where its operation is one of those known, as in Dapr. */
static void read_request(struct decode *d, struct decode_step *step)
{
	struct str before = d->message;

	d->message = STR_NONE;
	read_item(d, &step->item);
	step->message = d->message;
	d->message = before;
}

static void read_step(struct decode *d, struct decode_step *step)
{
	struct str key;

	step->operation = STR("");
	step->item.value = STR("null");
	step->item.json = 1;
	if (is_null(d))
		return;
	if (!jstream_enter_object(&d->j)) {
		wrong_type(d, "stateTransactionRequestBody.operations", "http.stateTransactionRequestBodyOperation");
		return;
	}
	while (jstream_key(&d->j, d->a, &key)) {
		if (str_ieq(key, STR("operation")))
			read_text(d, "stateTransactionRequestBodyOperation.operations.operation", &step->operation);
		else if (str_ieq(key, STR("request")))
			read_request(d, step);
		else
			jstream_skip(&d->j);
	}
}

static void read_steps(struct decode *d, struct decode_transaction *ret)
{
	size_t cap = 0;

	if (is_null(d))
		return;
	if (!jstream_enter_array(&d->j)) {
		wrong_type(d, "stateTransactionRequestBody.operations", "[]http.stateTransactionRequestBodyOperation");
		return;
	}
	while (jstream_next(&d->j)) {
		ret->steps = add(d, ret->steps, &ret->n, &cap, sizeof(*ret->steps));
		read_step(d, &ret->steps[ret->n - 1]);
	}
}

void decode_transaction(struct decode *d, struct decode_transaction *ret)
{
	struct str key;

	*ret = (struct decode_transaction){ .n = 0 };
	if (is_null(d))
		return;
	if (!jstream_enter_object(&d->j)) {
		wrong_type(d, NULL, "http.stateTransactionRequestBody");
		return;
	}
	while (jstream_key(&d->j, d->a, &key)) {
		if (str_ieq(key, STR("operations")))
			read_steps(d, ret);
		else if (str_ieq(key, STR("metadata")))
			read_metadata(d, "stateTransactionRequestBody.metadata", &ret->metadata, &ret->nmetadata);
		else
			jstream_skip(&d->j);
	}
}

int decode_end(struct decode *d)
{
	if (jstream_end(&d->j) < 0)
		d->message = d->j.at == 0 && d->j.start == d->j.end
				     ? STR("EOF")
				     : arena_printf(d->a, "%s (byte %zu)", d->j.error, d->j.at + 1);
	return d->message.p == NULL;
}
