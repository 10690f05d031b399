/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The file: one connection with its prepared statements, used by the keeper's thread alone.
 *
 *	pubsub_topic	a row a topic; the upper bits of a message's id are the topic's, so that a topic's messages lie
 *			together, in the order of their publishing
 *	pubsub_message	what was published and some group has not taken yet
 *	pubsub_group	how far a group has come: all up to `position` were handed out
 *	pubsub_pending	what was handed out and is not settled: held by a peer, or (peer 0) waiting until `due`
 *	pubsub_peer	the sidecars; `alive` until when one may be taken for alive
 *	pubsub_consumer	which peers a topic's publishers wake
 *	pubsub_note	the schema's level, the boot that monotonic times belong to, the last clean-up
 *
 * published and expires are milliseconds since 1970, due and alive milliseconds of the host's monotonic clock, which all its
 * processes share: it does not jump. Another boot forgets them.
 */
#ifndef DATABASE_H
#define DATABASE_H
#include "options.h"

#define TOPIC_BITS 40 /* of a message's id that count within its topic */
#define TOPIC_FIRST(topic) ((int64_t)(topic) << TOPIC_BITS)
#define TOPIC_OF(message) ((int64_t)(message) >> TOPIC_BITS)
#define TOPIC_MOST (1 << 22)

enum statement {
	STATEMENT_BEGIN, /* for writing */
	STATEMENT_COMMIT,
	STATEMENT_ROLLBACK,
	STATEMENT_TOPIC_TAKE,	/* ?1 name, ?2 how many ids, ?3 now: the last of them, the time they are published at */
	STATEMENT_TOPIC_NEW,	/* ?1 name */
	STATEMENT_TOPIC_START,	/* ?1 the topic's id, ?2 the id its messages begin behind */
	STATEMENT_TOPIC_GET,	/* ?1 name: id */
	STATEMENT_TOPIC_NEXT,	/* ?1 id to begin behind: id */
	STATEMENT_TOPIC_DROP,	/* ?1 id, ?2 its messages begin behind, ?3 end with: if nothing is left of it */
	STATEMENT_PUT,		/* ?1 id, ?2 published, ?3 expires, ?4 metadata, ?5 data */
	STATEMENT_COPY,		/* ?1 id of a message, ?2 id of its copy, ?3 published */
	STATEMENT_GET,		/* ?1 id: metadata, data, expires */
	STATEMENT_NEW,		/* ?1 id to begin behind, ?2 the last: id, metadata, data, expires */
	STATEMENT_FIRST,	/* ?1 id to begin behind, ?2 the last: id */
	STATEMENT_OLD,		/* ?1 id to begin behind, ?2 the last, ?3 most: id, published */
	STATEMENT_DELETE,	/* ?1 from, ?2 to, both included */
	STATEMENT_DELETE_TAKEN, /* ?1 from, ?2 to, ?3 topic: those that no group has pending */
	STATEMENT_DELETE_EXPIRED,  /* ?1 now, ?2 most */
	STATEMENT_GROUP_JOIN,	   /* ?1 topic, ?2 name, ?3 position, ?4 now */
	STATEMENT_GROUP_GET,	   /* ?1 topic, ?2 name: id */
	STATEMENT_GROUP_SEEN,	   /* ?1 now, ?2 id */
	STATEMENT_GROUP_MOVE,	   /* ?1 position, ?2 id */
	STATEMENT_GROUP_FORGET,	   /* ?1 topic, ?2 seen before: id; with nobody there */
	STATEMENT_GROUP_DROP,	   /* ?1 id */
	STATEMENT_LOOK,		   /* ?1 group: the topic's last message, position, when the next that waits is due */
	STATEMENT_FLOOR,	   /* ?1 topic: all up to here is taken by each group; NULL: there is no group */
	STATEMENT_CEILING,	   /* ?1 topic: all up to here was handed out to each group */
	STATEMENT_WAITING,	   /* ?1 group, ?2 now, ?3 most: message, failures, due; by message */
	STATEMENT_DUE,		   /* the same, those that are due; by due */
	STATEMENT_HOLD_NEW,	   /* ?1 group, ?2 message, ?3 peer */
	STATEMENT_HOLD,		   /* ?1 group, ?2 message, ?3 peer */
	STATEMENT_FORGET,	   /* ?1 group, ?2 message */
	STATEMENT_TAKEN,	   /* ?1 group, ?2 message, ?3 peer: unless another holds it */
	STATEMENT_GIVE_BACK,	   /* ?1 group, ?2 message, ?3 peer, ?4 due, ?5 more failures */
	STATEMENT_PENDING_DELETE,  /* ?1 topic, ?2 the last message */
	STATEMENT_PENDING_DROP,	   /* ?1 group */
	STATEMENT_PEER_NEW,	   /* ?1 id, ?2 alive, ?3 name */
	STATEMENT_PEER_ALIVE,	   /* ?1 alive, ?2 id */
	STATEMENT_PEER_GET,	   /* ?1 id */
	STATEMENT_PEERS,	   /* id, alive */
	STATEMENT_PEER_RELEASE,	   /* ?1 peer: what it holds waits, and is due */
	STATEMENT_PEER_LEAVE,	   /* ?1 peer: its consumers */
	STATEMENT_PEER_DROP,	   /* ?1 id */
	STATEMENT_CONSUMER_ADD,	   /* ?1 topic, ?2 peer */
	STATEMENT_CONSUMER_DROP,   /* ?1 topic, ?2 peer */
	STATEMENT_CONSUMERS,	   /* ?1 topic: peer */
	STATEMENT_CONSUMER_TOPICS, /* ?1 peer: topic */
	STATEMENT_CLAIM,	   /* ?1 now, ?2 before: notes a clean-up unless there was one since */
	STATEMENTS
};

struct database {
	const struct options *options;
	sqlite3 *db;
	int64_t busy_until_ms; /* monotonic */
	int hurry;	       /* the bus closes: wait for nobody much longer */
	int synchronous;       /* as set: 1 normal, 2 full */
	sqlite3_stmt *statements[STATEMENTS];
};

/* Opens or makes the file and its tables. 0; -1: ret_fault says why. Either way database_close is due. */
int database_open(struct database *d, const struct options *o, struct fault *ret_fault);
void database_close(struct database *d);

/* A write transaction; what it commits is on the disk, where `durable` asks for that. SQLITE_OK or a result code. */
int database_begin(struct database *d, int durable);
int database_commit(struct database *d);
void database_rollback(struct database *d); /* fine without a transaction */

/* The statement with its numbers bound from ?1 on; NULL: *ret_rc says why. database_done() gives it back. */
sqlite3_stmt *database_prepare(struct database *d, enum statement which, int n, const int64_t *numbers, int *ret_rc);
void database_done(sqlite3_stmt *s); /* NULL is fine */
/* A statement of numbers alone, whose rows do not matter. SQLITE_OK or a result code. */
int database_run(struct database *d, enum statement which, int n, const int64_t *numbers);
#define DATABASE_RUN(d, which, ...) \
	database_run(d, which, (int)(sizeof((int64_t[]){ __VA_ARGS__ }) / sizeof(int64_t)), (int64_t[]){ __VA_ARGS__ })
#define DATABASE_PREPARE(d, which, ret_rc, ...) \
	database_prepare(d, which, (int)(sizeof((int64_t[]){ __VA_ARGS__ }) / sizeof(int64_t)), \
			 (int64_t[]){ __VA_ARGS__ }, ret_rc)
int64_t database_changes(const struct database *d);
void database_checkpoint(struct database *d); /* begins the log anew where that is possible */

int64_t now_ms(void);	   /* monotonic */
int64_t now_wall_ms(void); /* since 1970 */
#endif
