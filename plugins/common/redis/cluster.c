/* SPDX-License-Identifier: Apache-2.0 */
/* Which server of a cluster owns which slot. https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/ */
#include <stdlib.h>

#include "nodes.h"

#define RELEARN_MS 500 /* at the soonest after the last time */

/* CRC-16/XMODEM, bit by bit: keys are short. */
static unsigned crc16(const char *p, size_t n)
{
	unsigned crc = 0;
	int bit;

	while (n-- > 0) {
		crc ^= (unsigned)(unsigned char)*p++ << 8;
		for (bit = 0; bit < 8; bit++)
			crc = (crc & 0x8000 ? crc << 1 ^ 0x1021 : crc << 1) & 0xffff;
	}
	return crc;
}

unsigned redis_slot(struct davit_str key)
{
	const char *open = memchr(key.p, '{', key.n), *close = NULL;

	if (open != NULL)
		close = memchr(open + 1, '}', key.n - (size_t)(open + 1 - key.p));
	if (close != NULL && close > open + 1)
		return crc16(open + 1, (size_t)(close - open - 1)) % REDIS_SLOTS;
	return crc16(key.p, key.n) % REDIS_SLOTS;
}

/* [first, last, [host, port, ...], replicas ...]. A server that does not know its own name is the one that was asked. */
static int take_range(struct redis_client *c, const redisReply *range, const struct redis_address *asked)
{
	const redisReply *owner = range->type == REDIS_REPLY_ARRAY && range->elements >= 3 ? range->element[2] : NULL;
	struct redis_address at = *asked;
	struct redis_node *n;
	long long slot;

	if (owner == NULL || owner->type != REDIS_REPLY_ARRAY || owner->elements < 2 ||
	    range->element[0]->type != REDIS_REPLY_INTEGER || range->element[1]->type != REDIS_REPLY_INTEGER ||
	    owner->element[1]->type != REDIS_REPLY_INTEGER || range->element[0]->integer < 0 ||
	    range->element[1]->integer >= REDIS_SLOTS)
		return -1;
	if (owner->element[0]->type == REDIS_REPLY_STRING && owner->element[0]->len > 0)
		snprintf(at.host, sizeof(at.host), "%s", owner->element[0]->str);
	at.port = (int)owner->element[1]->integer;
	n = redis_node_at(c, &at);
	if (n == NULL)
		return -1;
	n->owns = 1;
	for (slot = range->element[0]->integer; slot <= range->element[1]->integer; slot++)
		c->slots[slot] = (uint16_t)(n - c->nodes);
	return 0;
}

static davit_status take_slots(struct redis_client *c, const redisReply *reply, const struct redis_address *asked,
			       char why[REDIS_WHY])
{
	size_t i;

	if (reply->type == REDIS_REPLY_ERROR || reply->type != REDIS_REPLY_ARRAY || reply->elements == 0) {
		snprintf(why, REDIS_WHY, "CLUSTER SLOTS: %s",
			 reply->type == REDIS_REPLY_ERROR ? reply->str : "no slots");
		return DAVIT_FAILED_PRECONDITION;
	}
	for (i = 0; i < c->nnodes; i++)
		c->nodes[i].owns = 0;
	for (i = 0; i < reply->elements; i++) {
		if (take_range(c, reply->element[i], asked) < 0) {
			snprintf(why, REDIS_WHY, "CLUSTER SLOTS: the reply makes no sense");
			return DAVIT_DATA_LOSS;
		}
	}
	c->learned_ms = redis_now_ms();
	return DAVIT_OK;
}

davit_status redis_cluster_learn(struct redis_client *c, struct davit_call *call, char why[REDIS_WHY])
{
	const char *words[] = { "CLUSTER", "SLOTS" };
	struct redis_command command = { .argc = 2, .argv = words, .read = 1, .once = 1 };
	davit_status status = DAVIT_UNAVAILABLE;
	struct redis_request *r;
	const redisReply *reply;
	struct redis_address asked;
	size_t i, n = c->nnodes;

	/* Those that were up last first, then all. */
	for (i = 0; i < 2 * n && status != DAVIT_OK && !c->closing; i++) {
		size_t at = i % n;

		if ((i < n) != redis_connection_up(c->nodes[at].usual))
			continue;
		asked = c->nodes[at].at;
		status = redis_do_node(c, call, at, &command, &r, &reply, why);
		if (status != DAVIT_OK)
			continue;
		status = take_slots(c, reply, &asked, why);
		redis_request_unref(r);
	}
	return status;
}

static void run_learner(void *arg)
{
	struct redis_client *c = arg;
	char why[REDIS_WHY];

	c->learner = c->fiber->self(c->instance);
	redis_cluster_learn(c, NULL, why);
	c->learned_ms = redis_now_ms();
	c->learner = NULL;
	c->learning = 0;
	if (c->closer != NULL)
		c->fiber->wake(c->closer);
}

void redis_cluster_relearn(struct redis_client *c)
{
	if (c->slots == NULL || c->learning || c->closing || redis_now_ms() < c->learned_ms + RELEARN_MS)
		return;
	c->learning = c->fiber->start(c->instance, run_learner, c) == DAVIT_OK;
}

/* The last word of "MOVED 3999 127.0.0.1:6381"; without a host it is the one that answered. */
struct redis_node *redis_cluster_redirect(struct redis_client *c, const redisReply *error, int moved, unsigned slot)
{
	const char *space = strrchr(error->str, ' ');
	struct redis_address at;
	struct redis_node *n;

	if (space == NULL)
		return NULL;
	at = redis_node_for(c, slot)->at;
	if (space[1] == ':')
		at.port = (int)strtol(space + 2, NULL, 10);
	else if (redis_address_parse(space + 1, strlen(space + 1), at.port, &at) < 0)
		return NULL;
	n = redis_node_at(c, &at);
	if (moved && n != NULL && slot < REDIS_SLOTS) {
		c->slots[slot] = (uint16_t)(n - c->nodes);
		n->owns = 1;
		redis_cluster_relearn(c);
	}
	return n;
}
