/* SPDX-License-Identifier: Apache-2.0 */
/* Publishing: a message becomes a row with the next number of its topic. */
#include "bus.h"
#include "pairs.h"

static int new_topic(struct bus *b, struct davit_str name)
{
	sqlite3_stmt *s;
	int64_t id;
	int rc;

	s = database_prepare(&b->db, STATEMENT_TOPIC_NEW, 0, NULL, &rc);
	if (s == NULL)
		return rc;
	rc = sqlite3_bind_text64(s, 1, name.p, name.n, SQLITE_STATIC, SQLITE_UTF8);
	if (rc == SQLITE_OK)
		rc = sqlite3_step(s);
	database_done(s);
	if (rc != SQLITE_DONE)
		return rc;
	id = sqlite3_last_insert_rowid(b->db.db);
	return id > TOPIC_MOST ? SQLITE_FULL : DATABASE_RUN(&b->db, STATEMENT_TOPIC_START, id, TOPIC_FIRST(id));
}

static int take_ids(struct bus *b, struct davit_str topic, int64_t n, int64_t *ret_last, int64_t *ret_time)
{
	int rc;
	sqlite3_stmt *s = DATABASE_PREPARE(&b->db, STATEMENT_TOPIC_TAKE, &rc, 0, n, now_wall_ms());

	if (s == NULL)
		return rc;
	rc = sqlite3_bind_text64(s, 1, topic.p, topic.n, SQLITE_STATIC, SQLITE_UTF8);
	if (rc == SQLITE_OK)
		rc = sqlite3_step(s);
	if (rc == SQLITE_ROW) {
		*ret_last = sqlite3_column_int64(s, 0);
		*ret_time = sqlite3_column_int64(s, 1);
	}
	database_done(s);
	return rc;
}

int publish_take_ids(struct bus *b, struct davit_str topic, int64_t n, int64_t *ret_last, int64_t *ret_time)
{
	int rc = take_ids(b, topic, n, ret_last, ret_time);

	if (rc == SQLITE_DONE) {
		rc = new_topic(b, topic);
		if (rc == SQLITE_OK)
			rc = take_ids(b, topic, n, ret_last, ret_time);
	}
	return rc == SQLITE_ROW ? SQLITE_OK : rc == SQLITE_DONE ? SQLITE_CORRUPT : rc;
}

static int put(struct bus *b, const struct davit_publish *in, int64_t id, int64_t time)
{
	struct davit_bytes pairs;
	sqlite3_stmt *s;
	int rc;

	if (pairs_write(in->metadata, in->nmetadata, &pairs) < 0)
		return SQLITE_NOMEM;
	s = DATABASE_PREPARE(&b->db, STATEMENT_PUT, &rc, id, time);
	if (s == NULL) {
		pairs_free(pairs);
		return rc;
	}
	if (in->ttl_s > 0 && in->ttl_s < INT64_MAX / 2000)
		rc = sqlite3_bind_int64(s, 3, now_wall_ms() + in->ttl_s * 1000);
	if (rc == SQLITE_OK && pairs.n > 0)
		rc = sqlite3_bind_blob64(s, 4, pairs.p, pairs.n, SQLITE_STATIC);
	if (rc == SQLITE_OK)
		rc = in->data.n > 0 ? sqlite3_bind_blob64(s, 5, in->data.p, in->data.n, SQLITE_STATIC)
				    : sqlite3_bind_zeroblob(s, 5, 0);
	if (rc == SQLITE_OK)
		rc = sqlite3_step(s);
	database_done(s);
	pairs_free(pairs);
	return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

static int apply(struct bus *b, struct davit_str topic, const struct davit_publish *const *list, uint64_t n)
{
	int64_t last, time;
	uint64_t i;
	int rc = publish_take_ids(b, topic, (int64_t)n, &last, &time);

	for (i = 0; i < n && rc == SQLITE_OK; i++)
		rc = put(b, list[i], last - (int64_t)(n - 1 - i), time);
	if (rc == SQLITE_OK)
		bus_touch(b, TOPIC_OF(last));
	return rc;
}

static int apply_one(struct bus *b, struct request *r)
{
	const struct davit_publish *in = r->in;

	return apply(b, in->topic, &in, 1);
}

static int apply_bulk(struct bus *b, struct request *r)
{
	const struct davit_publish_bulk *in = r->in;

	return apply(b, in->topic, in->entries, in->nentries);
}

static davit_status submit(struct bus *b, struct davit_call *call, const void *in, struct davit_str topic,
			   uint64_t bytes, int (*fn)(struct bus *b, struct request *r))
{
	struct request *r;

	if (topic.n == 0)
		return davit_fail(call, DAVIT_INVALID_ARGUMENT, NULL, "a message needs a topic");
	r = davit_alloc(call, sizeof(*r));
	if (r == NULL)
		return davit_fail(call, DAVIT_EXHAUSTED, NULL, "no memory left");
	memset(r, 0, sizeof(*r));
	r->call = call;
	r->in = in;
	r->apply = fn;
	r->bytes = bytes;
	r->durable = 1;
	return bus_submit(b, r);
}

davit_status publish_one(void *self, struct davit_call *call, const struct davit_publish *in)
{
	return submit(self, call, in, in->topic, in->data.n, apply_one);
}

davit_status publish_bulk(void *self, struct davit_call *call, const struct davit_publish_bulk *in)
{
	uint64_t bytes = 0, i;

	for (i = 0; i < in->nentries; i++)
		bytes += in->entries[i]->data.n;
	return in->nentries == 0 ? DAVIT_OK : submit(self, call, in, in->topic, bytes, apply_bulk);
}
