/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The store of one loop. A value is a hash as Dapr lays it out: "data", "version" (counts up, the ETag), and "first-write" if it
 * was saved so. Operations are straight-line and wait in the client.
 */
#ifndef STORE_H
#define STORE_H
#include <davit/state.h>

#include "fault.h"
#include "redis/client.h"

enum script { SCRIPT_SET, SCRIPT_DEL, SCRIPT_MULTI, SCRIPTS };

#define SHA1_TEXT 41

struct store {
	struct davit_instance *instance;
	struct redis_options options;
	struct redis_client *client;
	int has_ttl;
	int64_t ttl_s;		      /* what a save without one gets, if has_ttl */
	int replicas;		      /* that a strong write waits for */
	char sha[SCRIPTS][SHA1_TEXT]; /* "": the server has to be told the whole text each time */
	uint64_t users;		      /* operations under way */
	struct davit_fiber *closer;
};

/* Words of a command whose keys and values may be any bytes. */
struct words {
	const char **argv;
	size_t *lengths;
	int argc;
};
int words_init(struct words *w, struct davit_call *call, size_t room); /* in the call's memory; -1: none left */
void words_add(struct words *w, const char *text);
void words_add_bytes(struct words *w, const void *p, size_t n);

/*
 * Scripts are asked for by their hash. Words: as for EVAL, from the number of keys on; room must be left for two more at the
 * front, which script_begin() fills. One that the server does not know is sent whole by script_end().
 */
int script_words(struct words *w, struct davit_call *call, size_t nkeys, size_t nargs);
struct redis_request *script_begin(struct store *s, enum script which, struct words *w, struct davit_str key,
				   int strong, davit_status *ret_status, char why[REDIS_WHY]);
davit_status script_end(struct store *s, struct davit_call *call, enum script which, struct words *w,
			struct davit_str key, int strong, struct redis_request **request, const redisReply **ret_reply,
			char why[REDIS_WHY]);
davit_status scripts_load(struct store *s, struct davit_call *call, char why[REDIS_WHY]);

davit_status read_get(struct store *s, struct davit_call *call, const struct davit_state_key *in);
davit_status read_bulk(struct store *s, struct davit_call *call, const struct davit_state_bulk *in);
davit_status write_set(struct store *s, struct davit_call *call, const struct davit_state_set *in);
davit_status write_del(struct store *s, struct davit_call *call, const struct davit_state_key *in);
davit_status write_bulk(struct store *s, struct davit_call *call, const struct davit_state_bulk *in);
davit_status multi(struct store *s, struct davit_call *call, const struct davit_state_multi *in);
davit_status keys_like(struct store *s, struct davit_call *call, const struct davit_state_prefix *in);

/* What a save asks for, as the scripts take it. */
struct version {
	char text[24]; /* "0": none */
};
/* 0; -1: the ETag can never be one. */
int version_of(uint32_t flags, struct davit_str etag, struct version *ret_version);
struct ttl {
	char text[24]; /* "": leave it, "-1": none */
};
struct ttl ttl_of(const struct store *s, const struct davit_state_set *in);
davit_status etag_invalid(struct fault *f, struct davit_str etag);
davit_status etag_mismatch(struct fault *f, const char *doing, struct davit_str key);
/* A plain save over what was saved as first-write. */
davit_status etag_missing(struct fault *f, struct davit_str key);
int shown(struct davit_str s); /* as much of a key as goes into a message, for %.*s */
#endif
