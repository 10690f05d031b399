/* SPDX-License-Identifier: Apache-2.0 */
/* From a row of the table to a record: binary as the server sends it, or text. */
#include <davit/base64.h>
#include <davit/uuid.h>
#include <endian.h>
#include <stdlib.h>

#include "store.h"

#define EMIT_COPY 4096	  /* bytes of a value up to which a copy is cheaper than handing it over */
#define EPOCH_S 946684800 /* 2000 in seconds since 1970: where PostgreSQL counts from */

struct cell {
	const char *p; /* ends in a NUL */
	size_t n;
	int null;
};

static struct cell cell(const PGresult *r, int row, int column)
{
	struct cell c = { PQgetvalue(r, row, column), (size_t)PQgetlength(r, row, column),
			  PQgetisnull(r, row, column) };

	return c;
}

static uint64_t big_endian(struct cell c, size_t n)
{
	uint64_t v = 0;
	size_t i;

	for (i = 0; i < n; i++)
		v = v << 8 | (unsigned char)c.p[i];
	return v;
}

/* ETags as text: a number, or a UUID. */
static int take_etag(const struct store *s, struct cell c, char text[DAVIT_UUID_TEXT])
{
	struct davit_uuid uuid;

	if (s->options.mode == PG_SIMPLE)
		return snprintf(text, DAVIT_UUID_TEXT, "%s", c.p) < DAVIT_UUID_TEXT ? 0 : -1;
	if (c.n != (s->v2 ? 16 : 4))
		return -1;
	if (!s->v2) {
		snprintf(text, DAVIT_UUID_TEXT, "%u", (unsigned)big_endian(c, 4));
		return 0;
	}
	memcpy(uuid.bytes, c.p, 16);
	davit_uuid_text(&uuid, text);
	return 0;
}

/* Milliseconds since 1970; 0: never, which "infinity" is as well. */
static int64_t take_expiry(const struct store *s, struct cell c)
{
	int64_t us;

	if (c.null)
		return 0;
	if (s->options.mode == PG_SIMPLE)
		return strtoll(c.p, NULL, 10) / 1000;
	if (c.n != 8)
		return 0;
	us = (int64_t)big_endian(c, 8);
	return us == INT64_MAX || us == INT64_MIN ? 0 : us / 1000 + (int64_t)EPOCH_S * 1000;
}

static void clear(void *arg)
{
	PQclear(arg);
}

static davit_status bad(struct pg_fault *f, struct davit_str key, const char *what)
{
	return pg_fault_set(f, DAVIT_DATA_LOSS, NULL, "the row of '%.*s' %s", (int)(key.n > 256 ? 256 : key.n), key.p,
			    what);
}

/* jsonb leaves with a byte that names its form's version before its text. */
static int take_json(const struct store *s, struct cell c, struct davit_bytes *ret_value)
{
	size_t head = s->options.mode == PG_SIMPLE ? 0 : 1;

	if (c.n < head || (head && c.p[0] != 1))
		return -1;
	*ret_value = (struct davit_bytes){ c.p + head, c.n - head };
	return 0;
}

/* A value that has to be decoded has memory of its own; the ETag lies on the stack of who calls. */
static davit_status emit_base64(struct davit_call *call, struct davit_state_item *item, struct pg_fault *f)
{
	struct davit_bytes text = item->value;
	davit_status status;
	char *bytes;
	ptrdiff_t n;

	if (text.n < 2 || ((const char *)text.p)[0] != '"' || ((const char *)text.p)[text.n - 1] != '"')
		return bad(f, item->key, "is marked as binary and has no text");
	bytes = malloc(text.n);
	if (bytes == NULL)
		return pg_fault_no_memory(f);
	n = davit_base64_decode((const char *)text.p + 1, text.n - 2, bytes);
	item->value = (struct davit_bytes){ bytes, n > 0 ? (size_t)n : 0 };
	status = n < 0 ? bad(f, item->key, "is marked as binary and is not base64") : davit_emit_state(call, item);
	free(bytes);
	return status;
}

static davit_status emit_hex(struct davit_call *call, struct davit_state_item *item, struct pg_fault *f)
{
	davit_status status;
	size_t n;
	unsigned char *bytes = PQunescapeBytea(item->value.p, &n);

	if (bytes == NULL)
		return pg_fault_no_memory(f);
	item->value = (struct davit_bytes){ bytes, n };
	status = davit_emit_state(call, item);
	PQfreemem(bytes);
	return status;
}

static davit_status emit(struct davit_call *call, struct davit_state_item *item, PGresult **r, int give)
{
	davit_status status;

	if (item->value.n <= EMIT_COPY || !give)
		return davit_emit_state(call, item);
	status = davit_emit_owned(call, item, clear, *r);
	*r = NULL;
	return status;
}

davit_status row_emit(struct store *s, struct davit_call *call, struct davit_str key, PGresult **r, int row, int give,
		      struct pg_fault *f)
{
	struct davit_state_item item = DAVIT_INIT(davit_state_item, .key = key);
	struct cell value = cell(*r, row, COLUMN_VALUE), binary = { "", 0, 1 };
	char *etag = davit_alloc(call, DAVIT_UUID_TEXT);

	f->status = DAVIT_OK; /* what is returned without it is the call's own end */
	if (etag == NULL)
		return pg_fault_no_memory(f);
	if (take_etag(s, cell(*r, row, COLUMN_ETAG), etag) < 0)
		return bad(f, key, "has no ETag of this layout");
	item.etag = davit_str(etag);
	item.expires_ms = take_expiry(s, cell(*r, row, COLUMN_EXPIRY));
	item.value = (struct davit_bytes){ value.p, value.n };
	if (s->v2)
		return s->options.mode == PG_SIMPLE ? emit_hex(call, &item, f) : emit(call, &item, r, give);
	binary = cell(*r, row, COLUMN_BINARY);
	if (take_json(s, value, &item.value) < 0)
		return bad(f, key, "has a value of an unknown form");
	if (binary.n == 1 && binary.p[0] == (s->options.mode == PG_SIMPLE ? 't' : 1))
		return emit_base64(call, &item, f);
	return emit(call, &item, r, give);
}
