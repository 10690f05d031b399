/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commands to a Redis, whatever it is made of: one server, the master that sentinels name, or a cluster. One client a loop;
 * all of it belongs to that loop and may be used by many fibers at once.
 *
 *	status = redis_do(client, call, &command, &reply, why);
 *
 * or, for several on their way at once, redis_begin() for each and then redis_end() for each.
 *
 * What failed is tried again, up to max_retries times: whatever was not sent or was refused by a server that is not ready,
 * and commands that only read. A command that changes something, was sent and got no reply, is not: it may have been done.
 */
#ifndef REDIS_CLIENT_H
#define REDIS_CLIENT_H
#include "connection.h"

#define REDIS_SLOTS 16384
#define REDIS_NODES 1000

struct redis_client;

struct redis_command {
	int argc;
	const char **argv;
	const size_t *lengths; /* NULL: all words end in a NUL */
	struct davit_str key;  /* decides the server of a cluster; p == NULL: any */
	int read;	       /* only reads */
	int once;	       /* is not tried again */
	int strong;	       /* on a connection that may be kept waiting by WAIT */
};

/* NULL: no memory, or this kernel lacks a service. options must outlive it. */
struct redis_client *redis_client_new(struct davit_instance *instance, const struct redis_options *options);
/* Connects, and learns the slots of a cluster. */
davit_status redis_client_start(struct redis_client *c, struct davit_call *call, char why[REDIS_WHY]);
/* Whatever is under way in it ends, and nothing more begins. Waits for its fibers. NULL is fine. */
void redis_client_stop(struct redis_client *c);
void redis_client_close(struct redis_client *c); /* stops and frees it; nobody may be in it any more. NULL is fine */

/* NULL: *ret_status and why. */
struct redis_request *redis_begin(struct redis_client *c, const struct redis_command *command, davit_status *ret_status,
				  char why[REDIS_WHY]);
/* Waits for the reply, an error reply included: good until the request is freed, which is the caller's to do. */
davit_status redis_end(struct redis_client *c, struct davit_call *call, struct redis_request *r,
		       const redisReply **ret_reply, char why[REDIS_WHY]);
/* Both. On success *ret_request is the caller's. */
davit_status redis_do(struct redis_client *c, struct davit_call *call, const struct redis_command *command,
		      struct redis_request **ret_request, const redisReply **ret_reply, char why[REDIS_WHY]);

/* Each server that owns slots, for what no key decides: how many, and one command to the i-th. */
size_t redis_servers(const struct redis_client *c);
davit_status redis_do_at(struct redis_client *c, struct davit_call *call, size_t server,
			 const struct redis_command *command, struct redis_request **ret_request,
			 const redisReply **ret_reply, char why[REDIS_WHY]);
unsigned redis_slot(struct davit_str key); /* by the {tag} in it, if there is one */
#endif
