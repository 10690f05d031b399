/* SPDX-License-Identifier: Apache-2.0 */
#include <davit/base64.h>
#include <davit/uuid.h>
#include <stdlib.h>

#include "store.h"

#define TTL_MOST 6000000000000 /* seconds; what is longer has no end, for the database's clock ends in 294276 */

static int shown(struct davit_str s)
{
	return s.n > 256 ? 256 : (int)s.n;
}

static int matches(uint32_t flags, struct davit_str etag)
{
	return (flags & DAVIT_STATE_HAS_ETAG) && etag.n > 0;
}

/* "urn:uuid:", braces and a form without hyphens are UUIDs as well, as in Dapr. */
static int read_uuid(struct davit_str s, char text[DAVIT_UUID_TEXT])
{
	struct davit_uuid uuid;
	size_t i, n = 0;

	if (s.n == 45 && strncasecmp(s.p, "urn:uuid:", 9) == 0)
		s.p += 9, s.n -= 9;
	else if (s.n == 38 && s.p[0] == '{' && s.p[37] == '}')
		s.p += 1, s.n -= 2;
	if (s.n != 36 && s.n != 32)
		return -1;
	for (i = 0; i < s.n && n < DAVIT_UUID_TEXT - 1; i++) {
		if (s.n == 32 && (i == 8 || i == 12 || i == 16 || i == 20))
			text[n++] = '-';
		text[n++] = s.p[i] >= 'A' && s.p[i] <= 'F' ? (char)(s.p[i] | 0x20) : s.p[i];
	}
	text[n] = '\0';
	return davit_uuid_parse((struct davit_str){ text, n }, &uuid);
}

static davit_status mismatch(struct pg_fault *f)
{
	return pg_fault_set(f, DAVIT_ABORTED, "ETAG_MISMATCH", "%s", "");
}

static davit_status read_etag(const struct store *s, struct davit_str etag, char text[DAVIT_UUID_TEXT],
			      struct pg_fault *f)
{
	if (s->v2) /* what is no UUID just is not this one */
		return read_uuid(etag, text) == 0 ? DAVIT_OK : mismatch(f);
	if (etag.n > 10 || strspn(etag.p, "0123456789") != etag.n || strtoull(etag.p, NULL, 10) > UINT32_MAX)
		return pg_fault_set(f, DAVIT_INVALID_ARGUMENT, "ETAG_INVALID",
				    "\"%.*s\" is not a version of this store", shown(etag), etag.p);
	snprintf(text, DAVIT_UUID_TEXT, "%s", etag.p);
	return DAVIT_OK;
}

davit_status write_look(const struct store *s, const struct davit_state_set *set, const struct davit_state_key *del,
			struct pg_fault *f)
{
	struct davit_str etag = set ? set->etag : del->etag;
	char text[DAVIT_UUID_TEXT];

	if ((set ? set->key.n : del->key.n) == 0)
		return pg_fault_set(f, DAVIT_INVALID_ARGUMENT, NULL, "missing key in %s operation",
				    set ? "set" : "delete");
	return matches(set ? set->flags : del->flags, etag) ? read_etag(s, etag, text, f) : DAVIT_OK;
}

static davit_status unsent(struct pg_connection *c, struct pg_fault *f)
{
	pg_fault_connection(f, c->pg, "");
	if (f->status == DAVIT_UNAVAILABLE)
		f->status = PQstatus(c->pg) == CONNECTION_OK ? DAVIT_INVALID_ARGUMENT : DAVIT_UNAVAILABLE;
	f->again = f->status == DAVIT_UNAVAILABLE; /* nothing of it counts without the end that was not sent */
	return f->status;
}

/* Bytes as a JSON text of base64, which the column takes; NULL: no memory. */
static char *text_of(struct davit_bytes value, size_t *ret_n)
{
	size_t n = davit_base64_size(value.n);
	char *text = malloc(n + 2);

	if (text == NULL)
		return NULL;
	text[0] = text[n + 1] = '"';
	davit_base64_encode(value.p, value.n, text + 1);
	*ret_n = n + 2;
	return text;
}

static davit_status queue_set(struct store *s, struct pg_connection *c, const struct davit_state_set *in,
			      struct pg_fault *f)
{
	int match = matches(in->flags, in->etag), json = (in->flags & DAVIT_STATE_JSON) != 0, n = 3, rc;
	enum statement which = match ? S_SET_MATCH : in->flags & DAVIT_STATE_FIRST_WRITE ? S_SET_FIRST : S_SET;
	struct pg_value values[5] = { pg_text(in->key), { PG_BYTES, in->value.p, in->value.n }, { PG_NULL, NULL, 0 } };
	char ttl[24], etag[DAVIT_UUID_TEXT], *own = NULL;

	if (match && read_etag(s, in->etag, etag, f) != DAVIT_OK)
		return f->status;
	if (in->ttl_s > 0 && in->ttl_s < TTL_MOST) {
		snprintf(ttl, sizeof(ttl), "%lld", (long long)in->ttl_s);
		values[2] = pg_word(ttl);
	}
	if (!s->v2) {
		values[1].kind = PG_TEXT;
		if (!json && (values[1].p = own = text_of(in->value, &values[1].n)) == NULL)
			return pg_fault_no_memory(f);
		values[n++] = pg_word(json ? "f" : "t");
	}
	if (match)
		values[n++] = pg_word(etag);
	rc = pg_queue(c, &s->statements[which], values, n);
	free(own);
	return rc < 0 ? unsent(c, f) : DAVIT_OK;
}

/* First-write means nothing to a delete here, as in Dapr. */
static davit_status queue_del(struct store *s, struct pg_connection *c, const struct davit_state_key *in,
			      struct pg_fault *f)
{
	int match = matches(in->flags, in->etag);
	struct pg_value values[2] = { pg_text(in->key) };
	char etag[DAVIT_UUID_TEXT];

	if (match) {
		if (read_etag(s, in->etag, etag, f) != DAVIT_OK)
			return f->status;
		values[1] = pg_word(etag);
	}
	return pg_queue(c, &s->statements[match ? S_DEL_MATCH : S_DEL], values, match ? 2 : 1) < 0 ? unsent(c, f)
												   : DAVIT_OK;
}

davit_status write_queue(struct store *s, struct pg_connection *c, const struct davit_state_set *set,
			 const struct davit_state_key *del, struct pg_fault *f)
{
	return set != NULL ? queue_set(s, c, set, f) : queue_del(s, c, del, f);
}

int write_conditional(const struct davit_state_set *set, const struct davit_state_key *del)
{
	return set != NULL ? matches(set->flags, set->etag) || (set->flags & DAVIT_STATE_FIRST_WRITE) != 0
			   : matches(del->flags, del->etag);
}

davit_status write_check(const struct davit_state_set *set, const struct davit_state_key *del, const PGresult *r,
			 struct pg_fault *f)
{
	struct davit_str key = set ? set->key : del->key;
	char text[sizeof(f->text)];

	if (!pg_result_ok(r)) {
		pg_fault_result(f, r);
		snprintf(text, sizeof(text), "failed to %s key %.*s: %.700s", set ? "set" : "delete", shown(key), key.p,
			 f->text);
		memcpy(f->text, text, sizeof(text));
		return f->status;
	}
	return write_conditional(set, del) && strcmp(PQcmdTuples((PGresult *)r), "1") != 0 ? mismatch(f) : DAVIT_OK;
}

davit_status write_unknown(const struct pg_connection *c, davit_status status, struct pg_fault *f)
{
	size_t n = strlen(f->text);

	if (c->broken && f->reason == NULL && !f->again && n < sizeof(f->text))
		snprintf(f->text + n, sizeof(f->text) - n, "; whether the change was made is not known");
	return status;
}

struct one {
	const struct davit_state_set *set;
	const struct davit_state_key *del;
};

static davit_status do_one(struct store *s, struct davit_call *call, struct pg_connection *c, int64_t until_ms,
			   void *arg, struct pg_fault *f)
{
	const struct one *w = arg;
	davit_status status = write_queue(s, c, w->set, w->del, f);
	PGresult *r = NULL;

	if (status != DAVIT_OK)
		return status;
	status = pg_run(c, call, until_ms, PG_SYNC, &r, 1, f);
	status = status == DAVIT_OK ? write_check(w->set, w->del, r, f) : write_unknown(c, status, f);
	PQclear(r);
	return status;
}

static davit_status write_one(struct store *s, struct davit_call *call, struct one w)
{
	struct pg_fault f = { .status = DAVIT_OK };
	davit_status status;

	status = write_look(s, w.set, w.del, &f);
	if (status == DAVIT_OK)
		status = store_with(s, call, do_one, &w, &f);
	return status == DAVIT_OK ? DAVIT_OK : pg_fault_tell(&f, call);
}

davit_status write_set(struct store *s, struct davit_call *call, const struct davit_state_set *in)
{
	return write_one(s, call, (struct one){ .set = in });
}

davit_status write_del(struct store *s, struct davit_call *call, const struct davit_state_key *in)
{
	return write_one(s, call, (struct one){ .del = in });
}

#define PIECE 256 /* of many, on their way at once */

struct many {
	const struct davit_state_bulk *in;
	uint64_t at;
	struct pg_fault worst;
};

static void keep_worst(struct pg_fault *worst, const struct pg_fault *f)
{
	int was = worst->reason != NULL && strcmp(worst->reason, "ETAG_MISMATCH") == 0;
	int is = f->reason != NULL && strcmp(f->reason, "ETAG_MISMATCH") == 0;

	if (worst->status == DAVIT_OK || (was && !is))
		*worst = *f;
}

/* Each stands for itself and is a transaction of its own; all are on their way before the first answer is waited for. */
static davit_status do_piece(struct store *s, struct davit_call *call, struct pg_connection *c, int64_t until_ms,
			     void *arg, struct pg_fault *f)
{
	const struct many *m = arg;
	const struct davit_state_bulk *in = m->in;
	PGresult *results[PIECE];
	uint64_t i, end = in->n - m->at > PIECE ? m->at + PIECE : in->n, seats[PIECE], n = 0;
	struct pg_fault worst = { .status = DAVIT_OK }, own;
	davit_status status = DAVIT_OK;

	for (i = m->at; i < end; i++) {
		status = write_queue(s, c, in->sets ? in->sets[i] : NULL, in->sets ? NULL : in->keys[i], &own);
		if (status == DAVIT_OK && pg_queue_sync(c) < 0)
			status = unsent(c, &own);
		if (c->broken) {
			*f = own;
			f->again = 0;
			return f->status;
		}
		if (status == DAVIT_OK)
			seats[n++] = i;
		else
			keep_worst(&worst, &own);
	}
	status = n > 0 ? pg_run(c, call, until_ms, PG_SYNC, results, n, f) : DAVIT_OK;
	for (i = 0; i < n; i++) {
		if (status == DAVIT_OK &&
		    write_check(in->sets ? in->sets[seats[i]] : NULL, in->sets ? NULL : in->keys[seats[i]], results[i],
				&own) != DAVIT_OK)
			keep_worst(&worst, &own);
		PQclear(results[i]);
	}
	if (status != DAVIT_OK)
		return write_unknown(c, status, f);
	if (worst.status != DAVIT_OK)
		*f = worst;
	f->again = 0; /* some have been done */
	return worst.status;
}

davit_status write_bulk(struct store *s, struct davit_call *call, const struct davit_state_bulk *in)
{
	struct many m = { .in = in, .worst = { .status = DAVIT_OK } };
	struct pg_fault f;
	uint64_t i;

	for (i = 0; i < in->n; i++) {
		if ((in->sets ? in->sets[i]->key.n : in->keys[i]->key.n) > 0)
			continue;
		write_look(s, in->sets ? in->sets[i] : NULL, in->sets ? NULL : in->keys[i], &f);
		return pg_fault_tell(&f, call);
	}
	for (; m.at < in->n; m.at += PIECE) {
		f.status = DAVIT_OK;
		if (store_with(s, call, do_piece, &m, &f) != DAVIT_OK)
			keep_worst(&m.worst, &f);
		if (m.worst.status == DAVIT_CANCELLED || m.worst.status == DAVIT_DEADLINE_EXCEEDED)
			break;
	}
	return m.worst.status == DAVIT_OK ? DAVIT_OK : pg_fault_tell(&m.worst, call);
}
