/* SPDX-License-Identifier: Apache-2.0 */
/* Reading, on connections of its own: in the write-ahead log's mode nobody who writes is waited for. */
#include <davit/base64.h>
#include <stdlib.h>

#include "store.h"

struct connection *reader_take(struct store *s, struct davit_call *call, struct fault *ret_fault)
{
	struct connection *c = NULL;
	int open = 0;

	if (s->options.file
		    .memory) { /* a second connection would meet the first one's locks on tables, not wait for them */
		pthread_mutex_lock(&s->turn);
		connection_limit(s->writer, davit_remaining_ms(call));
		return s->writer;
	}
	pthread_mutex_lock(&s->readers_lock);
	while (s->readers == NULL && s->nreaders >= WORKERS)
		pthread_cond_wait(&s->reader_free, &s->readers_lock);
	c = s->readers;
	if (c != NULL) {
		s->readers = c->next;
	} else {
		open = 1;
		s->nreaders++;
	}
	pthread_mutex_unlock(&s->readers_lock);
	if (open)
		c = connection_open(&s->options, 0, ret_fault);
	if (c != NULL) {
		connection_limit(c, davit_remaining_ms(call));
		return c;
	}
	pthread_mutex_lock(&s->readers_lock);
	s->nreaders--;
	pthread_cond_signal(&s->reader_free);
	pthread_mutex_unlock(&s->readers_lock);
	return NULL;
}

void reader_give(struct store *s, struct connection *c)
{
	if (c == s->writer) {
		pthread_mutex_unlock(&s->turn);
		return;
	}
	pthread_mutex_lock(&s->readers_lock);
	c->next = s->readers;
	s->readers = c;
	pthread_cond_signal(&s->reader_free);
	pthread_mutex_unlock(&s->readers_lock);
}

void readers_close(struct store *s)
{
	struct connection *c;

	while ((c = s->readers) != NULL) {
		s->readers = c->next;
		connection_close(c);
	}
}

static struct davit_str column_str(sqlite3_stmt *s, int at)
{
	struct davit_str text;

	text.p = (const char *)sqlite3_column_text(s, at);
	text.n = (size_t)sqlite3_column_bytes(s, at);
	return text;
}

/* As stored: text in UTF-8 whatever the file's encoding, a blob as it is. */
static struct davit_bytes column_value(sqlite3_stmt *s, int at)
{
	struct davit_bytes value;

	value.p = sqlite3_column_type(s, at) == SQLITE_BLOB ? sqlite3_column_blob(s, at)
							    : (const void *)sqlite3_column_text(s, at);
	value.n = (size_t)sqlite3_column_bytes(s, at);
	if (value.p == NULL)
		value.p = "";
	return value;
}

/* A binary value leaves by the memory it was decoded into; the ETag, which is SQLite's, goes with it. */
static davit_status emit_binary(struct davit_call *call, struct davit_state_item *item)
{
	size_t room = item->value.n / 4 * 3 + 3, etag = item->etag.n;
	char *bytes = malloc(room + etag + 1);
	ptrdiff_t n;

	if (bytes == NULL)
		return davit_fail(call, DAVIT_EXHAUSTED, NULL, "no memory left");
	n = davit_base64_decode(item->value.p, item->value.n, bytes);
	if (n < 0) {
		free(bytes);
		return davit_fail(call, DAVIT_DATA_LOSS, NULL,
				  "failed to decode binary data: the value of '%.*s' is not base64",
				  (int)(item->key.n > 256 ? 256 : item->key.n), item->key.p);
	}
	if (etag > 0)
		memcpy(bytes + room, item->etag.p, etag);
	bytes[room + etag] = '\0';
	item->etag.p = bytes + room;
	item->value = (struct davit_bytes){ bytes, (size_t)n };
	return davit_emit_owned(call, item, free, bytes);
}

static davit_status emit_row(struct davit_call *call, sqlite3_stmt *s, struct davit_str key)
{
	struct davit_state_item item = DAVIT_INIT(davit_state_item, .key = key);

	item.value = column_value(s, 0);
	item.etag = column_str(s, 2);
	item.expires_ms = sqlite3_column_type(s, 3) == SQLITE_NULL ? 0 : sqlite3_column_int64(s, 3) * 1000;
	return sqlite3_column_int(s, 1) ? emit_binary(call, &item) : davit_emit_state(call, &item);
}

/* *ret_rc: SQLITE_OK, or why it could not be read. */
static davit_status find(struct connection *c, struct davit_call *call, struct davit_str key, int *ret_rc)
{
	sqlite3_stmt *s = connection_statement(c, STATEMENT_GET, ret_rc);
	davit_status status = DAVIT_OK;

	if (s == NULL)
		return DAVIT_OK;
	*ret_rc = bind_str(s, 1, key);
	if (*ret_rc == SQLITE_OK)
		*ret_rc = connection_step(c, s);
	if (*ret_rc == SQLITE_ROW)
		status = emit_row(call, s, key);
	if (*ret_rc == SQLITE_ROW || *ret_rc == SQLITE_DONE)
		*ret_rc = SQLITE_OK;
	connection_done(s);
	return status;
}

/* What remains to be said when SQLite has failed; the reader is given back. */
static davit_status leave(struct store *s, struct connection *c, struct davit_call *call, davit_status status, int rc)
{
	struct fault f;

	if (rc != SQLITE_OK) {
		fault_sqlite(&f, rc, c->db, s->options.file.shown);
		status = fault_tell(&f, call);
	}
	reader_give(s, c);
	return status;
}

davit_status read_get(void *self, struct davit_call *call, const struct davit_state_key *in)
{
	struct connection *c;
	davit_status status;
	struct fault f;
	int rc;

	if (in->key.n == 0)
		return davit_fail(call, DAVIT_INVALID_ARGUMENT, NULL, "missing key in get operation");
	c = reader_take(self, call, &f);
	if (c == NULL)
		return fault_tell(&f, call);
	status = find(c, call, in->key, &rc);
	return leave(self, c, call, status, rc);
}

/* One key's trouble is that key's: it is told in its record, and the others are read. */
static davit_status emit_trouble(struct davit_call *call, struct davit_str key, davit_status why)
{
	struct davit_state_item item = DAVIT_INIT(davit_state_item, .status = why, .key = key,
						  .error = davit_str("failed to decode binary data"));

	return davit_emit_state(call, &item);
}

/*
 * One transaction, so that all are of one moment. The same prepared look-up for each: SQLite runs in this process, so one
 * statement for all of them saves nothing, and a list of any length needs no statement of that length.
 */
davit_status read_bulk(void *self, struct davit_call *call, const struct davit_state_bulk *in)
{
	davit_status status = DAVIT_OK;
	struct connection *c;
	struct fault f;
	uint64_t i;
	int rc;

	if (in->n == 0)
		return DAVIT_OK;
	c = reader_take(self, call, &f);
	if (c == NULL)
		return fault_tell(&f, call);
	rc = connection_run(c, STATEMENT_BEGIN_READ);
	for (i = 0; i < in->n && rc == SQLITE_OK && status == DAVIT_OK; i++) {
		status = find(c, call, in->keys[i]->key, &rc);
		if (status == DAVIT_DATA_LOSS)
			status = emit_trouble(call, in->keys[i]->key, status);
	}
	if (rc != SQLITE_OK) {
		fault_sqlite(&f, rc, c->db, ((struct store *)self)->options.file.shown);
		status = fault_tell(&f, call);
	}
	if (!sqlite3_get_autocommit(c->db))
		connection_run(c, STATEMENT_COMMIT);
	reader_give(self, c);
	return status;
}

static int parse_token(struct davit_str token, int64_t *ret_row)
{
	char *end;

	*ret_row = INT64_MIN;
	if (token.n == 0)
		return 0;
	*ret_row = strtoll(token.p, &end, 10);
	return end == token.p + token.n ? 0 : -1;
}

/* One row more than the page asks for tells whether another page follows. */
static davit_status emit_keys(struct connection *c, struct davit_call *call, sqlite3_stmt *s, uint64_t limit,
			      int *ret_rc)
{
	struct davit_state_item item = DAVIT_INIT(davit_state_item, .status = 0);
	struct davit_state_page page = DAVIT_INIT(davit_state_page, .count = 0);
	davit_status status = DAVIT_OK;
	char token[32];
	int64_t row = 0;

	while (status == DAVIT_OK && (*ret_rc = connection_step(c, s)) == SQLITE_ROW) {
		if (limit != 0 && (uint64_t)page.count == limit) {
			snprintf(token, sizeof(token), "%lld", (long long)row);
			page.token = davit_str(token);
			break;
		}
		item.key = column_str(s, 0);
		row = sqlite3_column_int64(s, 1);
		status = davit_emit_state(call, &item);
		page.count++;
	}
	if (*ret_rc == SQLITE_ROW || *ret_rc == SQLITE_DONE)
		*ret_rc = SQLITE_OK;
	return status == DAVIT_OK && *ret_rc == SQLITE_OK ? davit_emit(call, &page) : status;
}

davit_status read_keys_like(void *self, struct davit_call *call, const struct davit_state_prefix *in)
{
	davit_status status = DAVIT_OK;
	struct connection *c;
	sqlite3_stmt *s;
	struct fault f;
	int64_t row;
	int rc;

	if (in->prefix.n == 0)
		return davit_fail(call, DAVIT_INVALID_ARGUMENT, NULL, "keys like pattern cannot be empty");
	if (parse_token(in->token, &row) < 0)
		return davit_fail(call, DAVIT_INVALID_ARGUMENT, NULL, "invalid continue token: it must be a number");
	c = reader_take(self, call, &f);
	if (c == NULL)
		return fault_tell(&f, call);
	s = connection_statement(c, STATEMENT_KEYS_LIKE, &rc);
	if (s != NULL) {
		rc = bind_str(s, 1, in->prefix);
		if (rc == SQLITE_OK)
			rc = sqlite3_bind_int64(s, 2, row);
		if (rc == SQLITE_OK)
			rc = sqlite3_bind_int64(s, 3,
						in->page == 0 || in->page >= INT64_MAX ? -1 : (int64_t)in->page + 1);
		if (rc == SQLITE_OK)
			status = emit_keys(c, call, s, in->page, &rc);
		connection_done(s);
	}
	return leave(self, c, call, status, rc);
}
