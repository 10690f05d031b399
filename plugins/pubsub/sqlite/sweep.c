/* SPDX-License-Identifier: Apache-2.0 */
#include "consumer.h"
#include "peer.h"

#define PIECE 2000 /* rows of one transaction */

struct piece {
	int64_t topic, first, last; /* messages to delete, both included */
	int64_t group, before;
	int64_t done; /* rows */
};

/* A statement's single number; 0 where it has none. SQLITE_OK or a result code. */
static int ask(struct bus *b, enum statement which, int n, const int64_t *numbers, int64_t *ret)
{
	sqlite3_stmt *s;
	int rc;

	*ret = 0;
	s = database_prepare(&b->db, which, n, numbers, &rc);
	if (s == NULL)
		return rc;
	rc = sqlite3_step(s);
	if (rc == SQLITE_ROW)
		*ret = sqlite3_column_int64(s, 0);
	database_done(s);
	return rc == SQLITE_ROW || rc == SQLITE_DONE ? SQLITE_OK : rc;
}

#define ASK(b, which, ret, ...) \
	ask(b, which, (int)(sizeof((int64_t[]){ __VA_ARGS__ }) / sizeof(int64_t)), (int64_t[]){ __VA_ARGS__ }, ret)

/* A piece of what every group of the topic has taken; done counts the numbers that were gone through. */
static int trim_piece(struct bus *b, void *arg)
{
	struct piece *p = arg;
	int64_t floor, first;
	int rc;

	p->done = 0;
	rc = ASK(b, STATEMENT_FLOOR, &floor, p->topic);
	if (rc != SQLITE_OK || floor == 0)
		return rc;
	rc = ASK(b, STATEMENT_FIRST, &first, TOPIC_FIRST(p->topic), floor);
	if (rc != SQLITE_OK || first == 0)
		return rc;
	if (floor - first >= PIECE)
		floor = first + PIECE - 1;
	p->done = floor - first + 1;
	return DATABASE_RUN(&b->db, STATEMENT_DELETE, first, floor);
}

static void trim_topic(struct bus *b, int64_t topic)
{
	struct piece p = { .topic = topic };

	while (bus_write(b, trim_piece, &p) == SQLITE_OK && p.done == PIECE)
		;
}

void sweep_trim(struct bus *b)
{
	const struct consumer *c, *o;

	for (c = b->consumers; c != NULL; c = c->next) {
		for (o = b->consumers; o != c && o->topic_id != c->topic_id; o = o->next)
			;
		if (o == c)
			trim_topic(b, c->topic_id);
	}
}

/* A group that nobody has been seen of for so long, with what it had not taken. */
static int forget_group(struct bus *b, void *arg)
{
	struct piece *p = arg;
	int rc;

	rc = ASK(b, STATEMENT_GROUP_FORGET, &p->group, p->topic, p->before);
	if (rc == SQLITE_OK && p->group != 0)
		rc = DATABASE_RUN(&b->db, STATEMENT_PENDING_DROP, p->group);
	if (rc == SQLITE_OK && p->group != 0)
		rc = DATABASE_RUN(&b->db, STATEMENT_GROUP_DROP, p->group);
	return rc;
}

/* A piece of what is older than `before`: times go up with the numbers. */
static int age_piece(struct bus *b, void *arg)
{
	struct piece *p = arg;
	int64_t last = 0;
	sqlite3_stmt *s;
	int rc;

	p->done = 0;
	s = DATABASE_PREPARE(&b->db, STATEMENT_OLD, &rc, TOPIC_FIRST(p->topic), TOPIC_FIRST(p->topic + 1) - 1, PIECE);
	if (s == NULL)
		return rc;
	while ((rc = sqlite3_step(s)) == SQLITE_ROW && sqlite3_column_int64(s, 1) < p->before) {
		last = sqlite3_column_int64(s, 0);
		p->done++;
	}
	database_done(s);
	if ((rc != SQLITE_DONE && rc != SQLITE_ROW) || last == 0)
		return rc == SQLITE_ROW || rc == SQLITE_DONE ? SQLITE_OK : rc;
	rc = DATABASE_RUN(&b->db, STATEMENT_PENDING_DELETE, p->topic, last);
	return rc == SQLITE_OK ? DATABASE_RUN(&b->db, STATEMENT_DELETE, TOPIC_FIRST(p->topic) + 1, last) : rc;
}

static void age_topic(struct bus *b, int64_t topic, int64_t before)
{
	struct piece p = { .topic = topic, .before = before };
	int64_t removed = 0;

	while (bus_write(b, forget_group, &p) == SQLITE_OK && p.group != 0)
		;
	while (bus_write(b, age_piece, &p) == SQLITE_OK && p.done > 0)
		removed += p.done;
	if (removed > 0)
		davit_log(b->instance, DAVIT_LOG_WARN,
			  "%lld messages that not every group had taken were older than retention and are gone",
			  (long long)removed);
}

/* In parallel one message that is never taken lies before many that are. */
static int taken_piece(struct bus *b, void *arg)
{
	struct piece *p = arg;
	int64_t last = p->last - p->first >= PIECE ? p->first + PIECE - 1 : p->last;
	int rc = DATABASE_RUN(&b->db, STATEMENT_DELETE_TAKEN, p->first, last, p->topic);

	p->first = last + 1;
	return rc;
}

static void drop_taken(struct bus *b, int64_t topic)
{
	struct piece p = { .topic = topic };
	int rc;

	rc = ASK(b, STATEMENT_FLOOR, &p.first, topic);
	if (rc == SQLITE_OK)
		rc = ASK(b, STATEMENT_CEILING, &p.last, topic);
	if (rc != SQLITE_OK || p.first == 0)
		return;
	for (p.first++; p.first <= p.last;)
		if (bus_write(b, taken_piece, &p) != SQLITE_OK)
			return;
}

static int drop_topic(struct bus *b, void *arg)
{
	int64_t topic = ((struct piece *)arg)->topic;

	return DATABASE_RUN(&b->db, STATEMENT_TOPIC_DROP, topic, TOPIC_FIRST(topic), TOPIC_FIRST(topic + 1) - 1);
}

static int expired_piece(struct bus *b, void *arg)
{
	struct piece *p = arg;
	int rc = DATABASE_RUN(&b->db, STATEMENT_DELETE_EXPIRED, now_wall_ms(), PIECE);

	p->done = database_changes(&b->db);
	return rc;
}

/* Whether the turn is ours: a little less than the interval, for two clocks never agree to the millisecond. */
static int claim(struct bus *b, void *arg)
{
	struct piece *p = arg;
	int64_t now = now_wall_ms();
	const struct consumer *c;
	int rc = DATABASE_RUN(&b->db, STATEMENT_CLAIM, now, now - b->options.cleanup_ms + 100);

	p->done = database_changes(&b->db);
	for (c = b->consumers; c != NULL && rc == SQLITE_OK; c = c->next)
		rc = DATABASE_RUN(&b->db, STATEMENT_GROUP_SEEN, now, c->group_id);
	if (rc == SQLITE_OK && p->done > 0)
		rc = peer_reap(b);
	if (rc == SQLITE_OK && p->done > 0)
		rc = peer_tidy(b);
	return rc;
}

void sweep_clean(struct bus *b)
{
	struct piece p = { 0 };
	int64_t topic = 0;

	peer_heal(b);
	if (bus_write(b, claim, &p) != SQLITE_OK || p.done == 0)
		return;
	while (bus_write(b, expired_piece, &p) == SQLITE_OK && p.done == PIECE)
		;
	while (ASK(b, STATEMENT_TOPIC_NEXT, &topic, topic) == SQLITE_OK && topic != 0) {
		p.topic = topic;
		trim_topic(b, topic);
		if (b->options.retention_ms > 0)
			age_topic(b, topic, now_wall_ms() - b->options.retention_ms);
		drop_taken(b, topic);
		bus_write(b, drop_topic, &p);
	}
}
