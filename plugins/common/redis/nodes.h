/* SPDX-License-Identifier: Apache-2.0 */
/* Inside of a client: the servers it knows and which of them a command goes to. */
#ifndef REDIS_NODES_H
#define REDIS_NODES_H
#include "client.h"

#define REDIS_NOBODY UINT16_MAX

struct redis_node {
	struct redis_connection *usual, *strong; /* strong: made when it is first needed */
	struct redis_address at;
	int owns; /* slots, as last heard */
};

struct redis_client {
	struct davit_instance *instance;
	const struct redis_options *options;
	struct redis_node *nodes;
	size_t nnodes, room;
	uint16_t *slots; /* of a cluster: the node that owns each, or REDIS_NOBODY; else NULL */
	size_t turn;	 /* whom to ask next for what anybody knows */
	/* Learning the slots, in a fiber of its own. */
	const struct davit_fiber_service *fiber;
	struct davit_fiber *learner, *closer;
	int learning, closing;
	int64_t learned_ms;
	size_t sentinel; /* that answered last */
};

/* The node with this address, made if it is new; NULL: no memory, or too many. Nodes stay until the client is closed. */
struct redis_node *redis_node_at(struct redis_client *c, const struct redis_address *at);
struct redis_connection *redis_node_connection(struct redis_client *c, struct redis_node *n, int strong);
struct redis_node *redis_node_for(struct redis_client *c, unsigned slot); /* never NULL: whoever might know */

davit_status redis_do_node(struct redis_client *c, struct davit_call *call, size_t node,
			   const struct redis_command *command, struct redis_request **ret_request,
			   const redisReply **ret_reply, char why[REDIS_WHY]);

/* cluster.c: asks the servers for the slots. */
davit_status redis_cluster_learn(struct redis_client *c, struct davit_call *call, char why[REDIS_WHY]);
void redis_cluster_relearn(struct redis_client *c); /* soon, in the background */
/* "MOVED 3999 127.0.0.1:6381": the node it names; NULL: not one. */
struct redis_node *redis_cluster_redirect(struct redis_client *c, const redisReply *error, int moved, unsigned slot);

/* sentinel.c */
davit_status redis_sentinel_find(void *client, struct redis_address *ret_to, char why[REDIS_WHY]);
#endif
