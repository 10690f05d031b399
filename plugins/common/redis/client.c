/* SPDX-License-Identifier: Apache-2.0 */
#include "client.h"

#include <davit/sleep.h>
#include <stdlib.h>

#include "nodes.h"

struct redis_client *redis_client_new(struct davit_instance *instance, const struct redis_options *options)
{
	struct redis_client *c = calloc(1, sizeof(*c));
	size_t i;

	if (c == NULL)
		return NULL;
	c->instance = instance;
	c->options = options;
	c->fiber = davit_fiber_service(instance);
	c->room = options->cluster ? REDIS_NODES : 1;
	c->nodes = calloc(c->room, sizeof(*c->nodes));
	if (options->cluster)
		c->slots = malloc(REDIS_SLOTS * sizeof(*c->slots));
	if (c->fiber == NULL || c->nodes == NULL || (options->cluster && c->slots == NULL))
		goto failed;
	for (i = 0; options->cluster && i < REDIS_SLOTS; i++)
		c->slots[i] = REDIS_NOBODY;
	/* Of sentinels' addresses none is the server's: that is found before each dialling. */
	for (i = 0; i < (options->failover ? 1 : options->naddresses); i++)
		if (redis_node_at(c, &options->addresses[i]) == NULL)
			goto failed;
	return c;
failed:
	redis_client_close(c);
	return NULL;
}

struct redis_connection *redis_node_connection(struct redis_client *c, struct redis_node *n, int strong)
{
	const struct redis_options *o = c->options;
	struct redis_connection **at = strong ? &n->strong : &n->usual;
	struct redis_connection_options in = {
		.instance = c->instance,
		.options = o,
		.login = { .username = o->username, .password = o->password, .db = o->cluster ? 0 : o->db },
		.to = n->at,
		.find = o->failover ? redis_sentinel_find : NULL,
		.arg = c,
	};

	if (*at == NULL)
		*at = redis_connection_new(&in);
	return *at;
}

struct redis_node *redis_node_at(struct redis_client *c, const struct redis_address *at)
{
	struct redis_node *n;
	size_t i;

	for (i = 0; i < c->nnodes; i++)
		if (c->nodes[i].at.port == at->port && strcmp(c->nodes[i].at.host, at->host) == 0)
			return &c->nodes[i];
	if (c->nnodes == c->room)
		return NULL;
	n = &c->nodes[c->nnodes];
	n->at = *at;
	n->owns = 0;
	if (redis_node_connection(c, n, 0) == NULL)
		return NULL;
	c->nnodes++;
	return n;
}

/* What has no key goes to each in turn; so does what nobody is known to own. */
struct redis_node *redis_node_for(struct redis_client *c, unsigned slot)
{
	if (c->slots != NULL && slot < REDIS_SLOTS && c->slots[slot] != REDIS_NOBODY)
		return &c->nodes[c->slots[slot]];
	return &c->nodes[c->turn++ % c->nnodes];
}

davit_status redis_client_start(struct redis_client *c, struct davit_call *call, char why[REDIS_WHY])
{
	const char *words[] = { "PING" };
	struct redis_command ping = { .argc = 1, .argv = words, .read = 1 };
	struct redis_request *r = NULL;
	const redisReply *reply;
	davit_status status;

	if (c->slots != NULL)
		return redis_cluster_learn(c, call, why);
	status = redis_do(c, call, &ping, &r, &reply, why);
	if (status == DAVIT_OK && reply->type == REDIS_REPLY_ERROR) {
		snprintf(why, REDIS_WHY, "%.*s", reply->len > 300 ? 300 : (int)reply->len, reply->str);
		status = redis_reply_is(reply, "NOAUTH") ? DAVIT_UNAUTHENTICATED : DAVIT_FAILED_PRECONDITION;
		if (redis_reply_is(reply, "NOPERM")) /* this user may do no PING, but is one */
			status = DAVIT_OK;
	}
	redis_request_unref(r);
	return status;
}

void redis_client_stop(struct redis_client *c)
{
	size_t i;

	if (c == NULL || c->closing)
		return;
	c->closing = 1;
	if (c->learner != NULL)
		c->fiber->cancel(c->learner);
	/* The learner waits on connections, which end now. */
	for (i = 0; i < c->nnodes; i++) {
		redis_connection_stop(c->nodes[i].usual);
		redis_connection_stop(c->nodes[i].strong);
	}
	if (c->fiber != NULL)
		c->closer = c->fiber->self(c->instance);
	while (c->learning)
		c->fiber->park(c->instance, NULL, 0);
}

void redis_client_close(struct redis_client *c)
{
	size_t i;

	if (c == NULL)
		return;
	redis_client_stop(c);
	for (i = 0; i < c->nnodes; i++) {
		redis_connection_free(c->nodes[i].usual);
		redis_connection_free(c->nodes[i].strong);
	}
	free(c->nodes);
	free(c->slots);
	free(c);
}

static davit_status send(struct redis_client *c, struct redis_node *n, struct redis_request *r, int strong,
			 char why[REDIS_WHY])
{
	struct redis_connection *to = c->closing ? NULL : redis_node_connection(c, n, strong);
	davit_status status = to ? redis_connection_send(to, r) : DAVIT_EXHAUSTED;

	if (status == DAVIT_EXHAUSTED)
		snprintf(why, REDIS_WHY, "too many commands wait for the server, or no memory is left");
	else if (status != DAVIT_OK)
		snprintf(why, REDIS_WHY, "the component is being closed");
	return status;
}

static struct redis_request *make(const struct redis_client *c, const struct redis_command *command)
{
	struct redis_request *r = redis_request_new(command->argc, command->argv, command->lengths);

	if (r == NULL)
		return NULL;
	r->slot = c->slots != NULL && command->key.p != NULL ? (uint16_t)redis_slot(command->key) : REDIS_SLOTS;
	r->read = command->read != 0;
	r->once = command->once != 0;
	r->strong = command->strong != 0;
	return r;
}

struct redis_request *redis_begin(struct redis_client *c, const struct redis_command *command, davit_status *ret_status,
				  char why[REDIS_WHY])
{
	struct redis_request *r = make(c, command);

	if (r == NULL) {
		snprintf(why, REDIS_WHY, "no memory left");
		*ret_status = DAVIT_EXHAUSTED;
		return NULL;
	}
	*ret_status = send(c, redis_node_for(c, r->slot), r, r->strong, why);
	if (*ret_status == DAVIT_OK)
		return r;
	redis_request_unref(r);
	return NULL;
}

/* DAVIT_OK: it is done, well or not. */
static davit_status await(struct redis_client *c, struct davit_call *call, struct redis_request *r)
{
	davit_status status = DAVIT_OK;

	r->waiter = c->fiber->self(c->instance);
	while (!r->done && status == DAVIT_OK)
		status = c->fiber->park(c->instance, call, 0);
	r->waiter = NULL;
	if (r->done)
		return DAVIT_OK;
	r->dropped = 1; /* nobody wants it any more: if it was not sent it never will be */
	return status;
}

/* min, doubled each time and scattered, at most max: as Dapr's client does it. */
static davit_status back_off(struct redis_client *c, struct davit_call *call, int attempt)
{
	const struct redis_options *o = c->options;
	int64_t ms = o->min_backoff_ms, most = o->max_backoff_ms;

	if (ms == 0 || most == 0)
		return DAVIT_OK;
	ms <<= attempt < 10 ? attempt : 10;
	ms += (int64_t)(random() % (ms + 1));
	return davit_sleep_service(c->instance)->sleep(c->instance, call, ms < most ? ms : most);
}

/* What becomes of one try. */
enum verdict { FINAL, AGAIN, LATER, ELSEWHERE };

#define REDIRECTIONS 8 /* of one command */

/* A refusal that says nothing was done and that it may be otherwise soon, or elsewhere (then *ret_node). */
static enum verdict weigh_reply(struct redis_client *c, struct redis_request *r, struct redis_node **ret_node,
				int *ret_asking)
{
	const redisReply *e = r->reply;

	if (e->type != REDIS_REPLY_ERROR)
		return FINAL;
	if (c->slots != NULL && (redis_reply_is(e, "MOVED") || redis_reply_is(e, "ASK"))) {
		*ret_asking = e->str[0] == 'A';
		*ret_node = redis_cluster_redirect(c, e, !*ret_asking, r->slot);
		return *ret_node ? ELSEWHERE : LATER;
	}
	if (redis_reply_is(e, "READONLY") &&
	    c->options->failover) /* it was the master once: the sentinels know who is */
		redis_connection_renew(r->strong ? c->nodes[0].strong : c->nodes[0].usual);
	if (redis_reply_is(e, "CLUSTERDOWN"))
		redis_cluster_relearn(c);
	return redis_reply_is(e, "READONLY") || redis_reply_is(e, "LOADING") || redis_reply_is(e, "TRYAGAIN") ||
			       redis_reply_is(e, "CLUSTERDOWN") || redis_reply_is(e, "MASTERDOWN")
		       ? LATER
		       : FINAL;
}

static enum verdict weigh(struct redis_client *c, struct redis_request *r, struct redis_node **ret_node,
			  int *ret_asking)
{
	if (r->reply != NULL)
		return weigh_reply(c, r, ret_node, ret_asking);
	redis_cluster_relearn(c);
	if ((r->sent && !r->read) || r->status == DAVIT_CANCELLED || r->status == DAVIT_UNAUTHENTICATED ||
	    r->status == DAVIT_INVALID_ARGUMENT || r->status == DAVIT_FAILED_PRECONDITION)
		return FINAL;
	/* A connection that broke may be made anew at once; a server that cannot be reached takes time. */
	return r->sent ? AGAIN : LATER;
}

static davit_status tell(const struct redis_request *r, char why[REDIS_WHY])
{
	snprintf(why, REDIS_WHY, r->sent && !r->read ? "%s; whether the change was made is not known" : "%s",
		 r->why ? r->why : "");
	return r->status;
}

static davit_status tell_reply(const redisReply *e, davit_status status, char why[REDIS_WHY])
{
	snprintf(why, REDIS_WHY, "%.*s", e->len > 300 ? 300 : (int)e->len, e->str);
	return status;
}

/* Tries until there is a verdict. at: the one server that is meant, or beyond all. */
static davit_status settle(struct redis_client *c, struct davit_call *call, struct redis_request *r, size_t at,
			   const redisReply **ret_reply, char why[REDIS_WHY])
{
	int tries = 0, redirections = 0, asking, most = r->once ? 0 : c->options->max_retries;
	struct redis_node *node;
	davit_status status;
	enum verdict v;

	for (;;) {
		node = NULL;
		asking = 0;
		status = await(c, call, r);
		if (status != DAVIT_OK) {
			snprintf(why, REDIS_WHY, "the server did not reply in time");
			return status;
		}
		v = weigh(c, r, &node, &asking);
		if (v == FINAL || c->closing || (v == ELSEWHERE ? redirections++ == REDIRECTIONS : tries++ == most))
			break;
		status = v == LATER ? back_off(c, call, tries - 1) : DAVIT_OK;
		if (status != DAVIT_OK) /* the time is over, and this is why */
			return r->reply == NULL ? (tell(r, why), status) : tell_reply(r->reply, status, why);
		redis_request_again(r);
		r->asking = (uint8_t)asking;
		if (node == NULL)
			node = at < c->nnodes ? &c->nodes[at] : redis_node_for(c, r->slot);
		status = send(c, node, r, r->strong, why);
		if (status != DAVIT_OK)
			return status;
	}
	if (r->reply == NULL)
		return tell(r, why);
	*ret_reply = r->reply;
	return DAVIT_OK;
}

davit_status redis_end(struct redis_client *c, struct davit_call *call, struct redis_request *r,
		       const redisReply **ret_reply, char why[REDIS_WHY])
{
	return settle(c, call, r, SIZE_MAX, ret_reply, why);
}

davit_status redis_do_node(struct redis_client *c, struct davit_call *call, size_t at,
			   const struct redis_command *command, struct redis_request **ret_request,
			   const redisReply **ret_reply, char why[REDIS_WHY])
{
	struct redis_request *r = make(c, command);
	davit_status status;

	if (r == NULL) {
		snprintf(why, REDIS_WHY, "no memory left");
		return DAVIT_EXHAUSTED;
	}
	status = send(c, at < c->nnodes ? &c->nodes[at] : redis_node_for(c, r->slot), r, r->strong, why);
	if (status == DAVIT_OK)
		status = settle(c, call, r, at, ret_reply, why);
	if (status == DAVIT_OK)
		*ret_request = r;
	else
		redis_request_unref(r);
	return status;
}

davit_status redis_do(struct redis_client *c, struct davit_call *call, const struct redis_command *command,
		      struct redis_request **ret_request, const redisReply **ret_reply, char why[REDIS_WHY])
{
	return redis_do_node(c, call, SIZE_MAX, command, ret_request, ret_reply, why);
}

/* The i-th node that owns slots. */
static size_t server_of(const struct redis_client *c, size_t i)
{
	size_t at;

	for (at = 0; at < c->nnodes; at++)
		if ((c->slots == NULL || c->nodes[at].owns) && i-- == 0)
			break;
	return at;
}

size_t redis_servers(const struct redis_client *c)
{
	size_t n = 0;

	while (server_of(c, n) < c->nnodes)
		n++;
	return n;
}

davit_status redis_do_at(struct redis_client *c, struct davit_call *call, size_t server,
			 const struct redis_command *command, struct redis_request **ret_request,
			 const redisReply **ret_reply, char why[REDIS_WHY])
{
	return redis_do_node(c, call, server_of(c, server), command, ret_request, ret_reply, why);
}
