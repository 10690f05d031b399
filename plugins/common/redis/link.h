/* SPDX-License-Identifier: Apache-2.0 */
/* One connection to one server as it is dialled, sealed and logged in: its stream, and hiredis' reader of replies. */
#ifndef REDIS_LINK_H
#define REDIS_LINK_H
#include <davit/dial.h>
#include <hiredis/hiredis.h>

#include "options.h"

#define REDIS_INPUT 32768	 /* bytes read at once */
#define REDIS_ELEMENTS (1 << 20) /* of one array of a reply */

struct redis_link {
	const struct davit_dial_service *dial;
	struct davit_stream *stream; /* NULL: closed */
	redisReader *reader;
	const redisReplyObjectFunctions *usual; /* hiredis' own, and with a bound on arrays: the reader's */
	redisReplyObjectFunctions bounded;
	char *input;
	char why[REDIS_WHY]; /* of the last failure */
};

/* Whom to log in as; NULL: nobody. */
struct redis_login {
	const char *username, *password;
	int db; /* 0: the first, which is not asked for */
};

/* Dials and logs in, within options->dial_ms and read_ms each. On failure it is closed and l->why says why. */
davit_status redis_link_open(struct redis_link *l, struct davit_instance *instance, struct davit_call *call,
			     const struct redis_options *options, const struct redis_address *to,
			     const struct redis_login *login);
void redis_link_close(struct redis_link *l); /* twice is fine */

/* One command of words that end in a NUL, and its reply, which the caller frees; an error reply is DAVIT_OK too. NULL ends it. */
davit_status redis_link_ask(struct redis_link *l, struct davit_call *call, int64_t timeout_ms, redisReply **ret_reply,
			    ...) __attribute__((sentinel));
/* The next reply, waiting for it. DAVIT_DATA_LOSS: what came is none. */
davit_status redis_link_read(struct redis_link *l, struct davit_call *call, int64_t timeout_ms, redisReply **ret_reply);

int redis_reply_is(const redisReply *r, const char *word); /* an error that starts with this word */
#endif
