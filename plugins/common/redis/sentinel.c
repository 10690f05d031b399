/* SPDX-License-Identifier: Apache-2.0 */
/* Who the master is, as a sentinel says. https://redis.io/docs/latest/develop/reference/sentinel-clients/ */
#include <stdlib.h>

#include "nodes.h"

/* ["127.0.0.1", "6379"], or nothing when the sentinel knows no such master. */
static davit_status take_master(const redisReply *r, const char *name, struct redis_address *ret_to,
				char why[REDIS_WHY])
{
	if (r->type == REDIS_REPLY_ERROR) {
		snprintf(why, REDIS_WHY, "the sentinel: %.*s", r->len > 300 ? 300 : (int)r->len, r->str);
		return redis_reply_is(r, "NOAUTH") ? DAVIT_UNAUTHENTICATED : DAVIT_FAILED_PRECONDITION;
	}
	if (r->type != REDIS_REPLY_ARRAY || r->elements != 2 || r->element[0]->type != REDIS_REPLY_STRING ||
	    r->element[1]->type != REDIS_REPLY_STRING) {
		snprintf(why, REDIS_WHY, "the sentinel knows no master named \"%.64s\"", name);
		return DAVIT_NOT_FOUND;
	}
	snprintf(ret_to->host, sizeof(ret_to->host), "%s", r->element[0]->str);
	ret_to->port = (int)strtol(r->element[1]->str, NULL, 10);
	return DAVIT_OK;
}

static davit_status ask_one(struct redis_client *c, const struct redis_address *sentinel, struct redis_address *ret_to,
			    char why[REDIS_WHY])
{
	const struct redis_options *o = c->options;
	struct redis_login login = { .username = o->sentinel_username, .password = o->sentinel_password };
	struct redis_link link = { .stream = NULL };
	redisReply *reply;
	davit_status status;

	status = redis_link_open(&link, c->instance, NULL, o, sentinel, &login);
	if (status == DAVIT_OK)
		status = redis_link_ask(&link, NULL, o->read_ms, &reply, "SENTINEL", "get-master-addr-by-name",
					o->master, NULL);
	if (status != DAVIT_OK) {
		snprintf(why, REDIS_WHY, "%s", link.why);
	} else {
		status = take_master(reply, o->master, ret_to, why);
		freeReplyObject(reply);
	}
	redis_link_close(&link);
	return status;
}

/* Each in turn, beginning with the one that knew last. */
davit_status redis_sentinel_find(void *client, struct redis_address *ret_to, char why[REDIS_WHY])
{
	struct redis_client *c = client;
	davit_status status = DAVIT_UNAVAILABLE;
	size_t i, at;

	for (i = 0; i < c->options->naddresses && status != DAVIT_OK && !c->closing; i++) {
		at = (c->sentinel + i) % c->options->naddresses;
		status = ask_one(c, &c->options->addresses[at], ret_to, why);
		if (status == DAVIT_OK)
			c->sentinel = at;
	}
	return c->closing ? DAVIT_CANCELLED : status;
}
