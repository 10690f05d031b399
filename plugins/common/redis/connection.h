/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One server's connection of one loop, shared by all who ask on it: commands gather and leave together once a turn, a fiber
 * reads replies and wakes whose turn it is, and another keeps it (dials, watches the time, cleans up).
 *
 *	caller: send, wait -> queue -> writer -> sent, in order -> reader -> the caller goes on
 *
 * It is made when the first command comes, and anew when one comes after it was lost. When it is lost every command on it
 * fails: those that had left (`sent`) may have been carried out or not.
 */
#ifndef REDIS_CONNECTION_H
#define REDIS_CONNECTION_H
#include <davit/fiber.h>

#include "link.h"

#define REDIS_QUEUE 65536	       /* commands that may wait on one connection */
#define REDIS_QUEUE_BYTES (512u << 20) /* and what they may have of bytes */

struct redis_connection;

struct redis_request {
	struct redis_request *next;
	struct davit_fiber *waiter; /* NULL: nobody waits yet, or any more */
	char *text;		    /* on the wire; hiredis' */
	size_t n;
	int references;
	uint16_t slot; /* of a cluster */
	uint8_t read;  /* can be asked twice without harm */
	uint8_t once, strong, asking, dropped;
	uint8_t done, sent;
	davit_status status; /* done without a reply: why */
	redisReply *reply;
	int64_t sent_ms;
	const char *why; /* the connection's; good as long as that */
};

struct redis_connection_options {
	struct davit_instance *instance;
	const struct redis_options *options;
	struct redis_login login;
	struct redis_address to;
	/* Asked before each dialling where to, if not NULL; a failure is written to why. */
	davit_status (*find)(void *arg, struct redis_address *ret_to, char why[REDIS_WHY]);
	void *arg;
};

struct redis_request *redis_request_new(int argc, const char **argv, const size_t *lengths); /* NULL: no memory */
struct redis_request *redis_request_ref(struct redis_request *r);
void redis_request_unref(struct redis_request *r); /* NULL is fine */
void redis_request_again(struct redis_request *r); /* as if it had never been sent */

struct redis_connection *redis_connection_new(const struct redis_connection_options *o); /* NULL: no memory */
/* DAVIT_OK: it will be done, with a reply or why not. DAVIT_EXHAUSTED: too many wait. DAVIT_CANCELLED: it is being closed. */
davit_status redis_connection_send(struct redis_connection *c, struct redis_request *r);
/* The present connection is given up as soon as nothing is under way on it, and the next command gets a new one. */
void redis_connection_renew(struct redis_connection *c);
int redis_connection_up(const struct redis_connection *c);
const struct redis_address *redis_connection_address(const struct redis_connection *c);
/* Waits until its fibers have ended; what is under way fails, and nothing more is taken. NULL is fine. */
void redis_connection_stop(struct redis_connection *c);
void redis_connection_free(struct redis_connection *c); /* stopped; NULL is fine */

int64_t redis_now_ms(void); /* steady */
#endif
