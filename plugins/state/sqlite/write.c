/* SPDX-License-Identifier: Apache-2.0 */
/* What one request writes. */
#include <davit/base64.h>
#include <davit/uuid.h>
#include <stdlib.h>

#include "store.h"

/* Bytes as base64 text, for the column is text; JSON as it is. */
static int bind_value(sqlite3_stmt *s, const struct davit_state_set *in)
{
	size_t n = davit_base64_size(in->value.n);
	char *text;

	if (in->flags & DAVIT_STATE_JSON)
		return bind_str(s, 2, (struct davit_str){ in->value.p, in->value.n });
	if (in->value.n > INT32_MAX)
		return SQLITE_TOOBIG;
	text = malloc(n + 1);
	if (text == NULL)
		return SQLITE_NOMEM;
	davit_base64_encode(in->value.p, in->value.n, text);
	return sqlite3_bind_text64(s, 2, text, n, free, SQLITE_UTF8);
}

/* A time beyond what SQLite's dates can say comes out as NULL there: never. */
static int bind_expiry(sqlite3_stmt *s, int64_t ttl_s)
{
	char text[48];

	if (ttl_s <= 0)
		return sqlite3_bind_null(s, 5);
	snprintf(text, sizeof(text), "+%lld seconds", (long long)ttl_s);
	return sqlite3_bind_text(s, 5, text, -1, SQLITE_TRANSIENT);
}

static void mismatch(struct request *r)
{
	fault_set(&r->fault, DAVIT_ABORTED, "ETAG_MISMATCH", "%s", "");
}

static int step(struct connection *c, sqlite3_stmt *s, int64_t *ret_changes)
{
	int rc = connection_step(c, s);

	*ret_changes = sqlite3_changes64(c->db);
	connection_done(s);
	return rc == SQLITE_DONE || rc == SQLITE_ROW ? SQLITE_OK : rc;
}

static int set(struct connection *c, struct request *r, const struct davit_state_set *in)
{
	int match = (in->flags & DAVIT_STATE_HAS_ETAG) && in->etag.n > 0, rc;
	int first = !match && (in->flags & DAVIT_STATE_FIRST_WRITE);
	sqlite3_stmt *s = connection_statement(c,
					       match   ? STATEMENT_PUT_MATCH
					       : first ? STATEMENT_PUT_FIRST
						       : STATEMENT_PUT,
					       &rc);
	struct davit_uuid uuid;
	char etag[DAVIT_UUID_TEXT];
	int64_t changes;

	if (s == NULL)
		return rc;
	if (davit_uuid4(&uuid) < 0)
		return SQLITE_IOERR;
	davit_uuid_text(&uuid, etag);
	rc = bind_str(s, 1, in->key);
	if (rc == SQLITE_OK)
		rc = bind_value(s, in);
	if (rc == SQLITE_OK)
		rc = sqlite3_bind_int(s, 3, !(in->flags & DAVIT_STATE_JSON));
	if (rc == SQLITE_OK)
		rc = sqlite3_bind_text(s, 4, etag, sizeof(etag) - 1, SQLITE_STATIC);
	if (rc == SQLITE_OK)
		rc = bind_expiry(s, in->ttl_s);
	if (rc == SQLITE_OK && match)
		rc = bind_str(s, 6, in->etag);
	if (rc != SQLITE_OK) {
		connection_done(s);
		return rc;
	}
	rc = step(c, s, &changes);
	if (rc == SQLITE_OK && changes == 0)
		mismatch(r);
	return rc;
}

/* First-write means nothing to a delete here, as in Dapr. */
static int del(struct connection *c, struct request *r, const struct davit_state_key *in)
{
	int match = (in->flags & DAVIT_STATE_HAS_ETAG) && in->etag.n > 0, rc;
	sqlite3_stmt *s = connection_statement(c, match ? STATEMENT_DEL_MATCH : STATEMENT_DEL, &rc);
	int64_t changes;

	if (s == NULL)
		return rc;
	rc = bind_str(s, 1, in->key);
	if (rc == SQLITE_OK && match)
		rc = bind_str(s, 2, in->etag);
	if (rc != SQLITE_OK) {
		connection_done(s);
		return rc;
	}
	rc = step(c, s, &changes);
	if (rc == SQLITE_OK && match && changes == 0)
		mismatch(r);
	return rc;
}

static int apply_set(struct connection *c, struct request *r)
{
	return set(c, r, r->in);
}

static int apply_del(struct connection *c, struct request *r)
{
	return del(c, r, r->in);
}

static int apply_multi(struct connection *c, struct request *r)
{
	const struct davit_state_multi *in = r->in;
	int rc = SQLITE_OK;
	uint64_t i;

	for (i = 0; i < in->nops && rc == SQLITE_OK && r->fault.status == DAVIT_OK; i++)
		rc = in->ops[i]->set != NULL ? set(c, r, in->ops[i]->set) : del(c, r, in->ops[i]->del);
	return rc;
}

/* Each of many by itself: the first failure is told, one that is not about an ETag before those that are. */
static int apply_bulk(struct connection *c, struct request *r)
{
	const struct davit_state_bulk *in = r->in;
	struct fault worst;
	uint64_t i;
	int rc;

	fault_clear(&worst);
	for (i = 0; i < in->n; i++) {
		fault_clear(&r->fault);
		rc = in->sets != NULL ? set(c, r, in->sets[i]) : del(c, r, in->keys[i]);
		if (rc != SQLITE_OK) {
			if (!connection_survives(c, rc))
				return rc;
			fault_sqlite(&r->fault, rc, c->db, c->options->file.shown);
		}
		if (r->fault.status != DAVIT_OK &&
		    (worst.status == DAVIT_OK || (worst.reason != NULL && r->fault.reason == NULL)))
			worst = r->fault;
	}
	r->fault = worst;
	return SQLITE_OK;
}

static davit_status submit(struct store *s, struct davit_call *call, const void *in, int many,
			   int (*apply)(struct connection *c, struct request *r))
{
	struct request *r = davit_alloc(call, sizeof(*r));

	if (r == NULL)
		return davit_fail(call, DAVIT_EXHAUSTED, NULL, "no memory left");
	r->call = call;
	r->in = in;
	r->many = many;
	r->apply = apply;
	return queue_submit(s, r);
}

static davit_status no_key(struct davit_call *call, const char *where)
{
	return davit_fail(call, DAVIT_INVALID_ARGUMENT, NULL, "missing key in %s", where);
}

davit_status write_set(void *self, struct davit_call *call, const struct davit_state_set *in)
{
	if (in->key.n == 0)
		return no_key(call, "set option");
	return submit(self, call, in, 0, apply_set);
}

davit_status write_del(void *self, struct davit_call *call, const struct davit_state_key *in)
{
	if (in->key.n == 0)
		return no_key(call, "delete operation");
	return submit(self, call, in, 0, apply_del);
}

davit_status write_multi(void *self, struct davit_call *call, const struct davit_state_multi *in)
{
	uint64_t i;

	for (i = 0; i < in->nops; i++) {
		if (in->ops[i]->set != NULL && in->ops[i]->set->key.n == 0)
			return no_key(call, "set option");
		if (in->ops[i]->set == NULL && in->ops[i]->del->key.n == 0)
			return no_key(call, "delete operation");
	}
	return in->nops == 0 ? DAVIT_OK : submit(self, call, in, 1, apply_multi);
}

davit_status write_bulk(void *self, struct davit_call *call, const struct davit_state_bulk *in)
{
	uint64_t i;

	for (i = 0; i < in->n; i++)
		if ((in->sets != NULL ? in->sets[i]->key.n : in->keys[i]->key.n) == 0)
			return no_key(call, in->sets != NULL ? "set option" : "delete operation");
	return in->n == 0 ? DAVIT_OK : submit(self, call, in, 0, apply_bulk);
}
