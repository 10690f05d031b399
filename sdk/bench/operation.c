/* SPDX-License-Identifier: Apache-2.0 */
#include "operation.h"

#include <davit/names.h>
#include <davit/pubsub.h>
#include <davit/secrets.h>
#include <davit/state.h>

/* One of a block's table. */
struct operation {
	uint32_t block;
	const char *name;
	size_t at;
	int must;
};

#define OF(block_, type, name_, must_) \
	{ \
		DAVIT_BLOCK_##block_, #name_, offsetof(struct type, name_), must_ \
	}

static const struct operation operations[] = {
	OF(STATE, davit_state_ops, get, 1),
	OF(STATE, davit_state_ops, set, 1),
	OF(STATE, davit_state_ops, del, 1),
	OF(STATE, davit_state_ops, multi, 0),
	OF(STATE, davit_state_ops, bulk_get, 0),
	OF(STATE, davit_state_ops, bulk_set, 0),
	OF(STATE, davit_state_ops, bulk_del, 0),
	OF(STATE, davit_state_ops, query, 0),
	OF(STATE, davit_state_ops, del_prefix, 0),
	OF(STATE, davit_state_ops, keys_like, 0),
	OF(PUBSUB, davit_pubsub_ops, publish, 0),
	OF(PUBSUB, davit_pubsub_ops, subscribe, 0),
	OF(PUBSUB, davit_pubsub_ops, bulk_publish, 0),
	OF(PUBSUB, davit_pubsub_ops, settle, 0),
	OF(PUBSUB, davit_pubsub_ops, pause, 0),
	OF(PUBSUB, davit_pubsub_ops, resume, 0),
	OF(SECRETS, davit_secrets_ops, get, 1),
	OF(SECRETS, davit_secrets_ops, bulk_get, 0),
	OF(NAMES, davit_names_ops, resolve, 1),
	OF(NAMES, davit_names_ops, announce, 0),
};

#define OPERATIONS (sizeof(operations) / sizeof(operations[0]))

/* NULL: the table has none, or ends before. */
static davit_op *entry(const struct davit_component *c, const struct operation *o)
{
	const uint32_t *size = c->ops; /* every table begins with it */
	davit_op *op = NULL;

	if (c->ops != NULL && o->block == c->block && *size >= o->at + sizeof(op))
		memcpy(&op, (const char *)c->ops + o->at, sizeof(op));
	return op;
}

const char *operation_name(const struct davit_component *c, davit_op *op)
{
	size_t i;

	if (op == (davit_op *)c->open)
		return "open";
	if (op == c->close)
		return "close";
	if (op == c->ping)
		return "ping";
	for (i = 0; i < OPERATIONS; i++)
		if (entry(c, &operations[i]) == op)
			return operations[i].name;
	return "an operation";
}

int operation_there(const struct davit_component *c, const char *name)
{
	size_t i;

	if (strcmp(name, "ping") == 0)
		return c->ping != NULL;
	for (i = 0; i < OPERATIONS; i++)
		if (strcmp(operations[i].name, name) == 0 && entry(c, &operations[i]) != NULL)
			return 1;
	return 0;
}

const char *operation_missing(const struct davit_component *c)
{
	size_t i;

	if (c->open == NULL)
		return "open";
	if (c->close == NULL)
		return "close";
	for (i = 0; i < OPERATIONS; i++)
		if (operations[i].block == c->block && operations[i].must && entry(c, &operations[i]) == NULL)
			return operations[i].name;
	return NULL;
}

const char *operation_status(davit_status status)
{
	static const char *const names[] = {
		"OK",	     "CANCELLED",	"UNKNOWN",	     "INVALID_ARGUMENT", "DEADLINE_EXCEEDED",
		"NOT_FOUND", "ALREADY_EXISTS",	"PERMISSION_DENIED", "EXHAUSTED",	 "FAILED_PRECONDITION",
		"ABORTED",   "OUT_OF_RANGE",	"UNIMPLEMENTED",     "INTERNAL",	 "UNAVAILABLE",
		"DATA_LOSS", "UNAUTHENTICATED",
	};

	if (status == DAVIT_PENDING)
		return "PENDING";
	if (status < 0 || (size_t)status >= sizeof(names) / sizeof(names[0]))
		return "no status of the line";
	return names[status];
}
