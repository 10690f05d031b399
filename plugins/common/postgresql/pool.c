/* SPDX-License-Identifier: Apache-2.0 */
#include "pool.h"

#include <stdlib.h>

struct pg_pool {
	struct davit_instance *instance;
	const struct davit_fiber_service *fiber;
	const struct pg_options *options;
	struct davit_pool *connections;
};

static davit_status make(void *arg, struct davit_call *call, int64_t timeout_ms, void *fault, void **ret_connection)
{
	struct pg_pool *p = arg;
	struct pg_connection *c = NULL;
	davit_status status = pg_connection_open(p->instance, call, p->options, pg_now_ms() + timeout_ms, &c, fault);

	*ret_connection = c;
	return status; /* too_many_connections is DAVIT_EXHAUSTED (fault.c): then the pool waits for those that there are */
}

static void close_one(void *pool, void *connection)
{
	(void)pool;
	pg_connection_close(connection);
}

static int lives(void *pool, void *connection)
{
	(void)pool;
	return pg_connection_lives(connection);
}

static void interrupt(void *pool, void *connection)
{
	struct pg_connection *c = connection;

	if (c->user != NULL)
		((struct pg_pool *)pool)->fiber->cancel(c->user);
}

struct pg_pool *pg_pool_new(struct davit_instance *instance, const struct pg_options *options, uint64_t loop,
			    uint64_t loops)
{
	static const struct davit_pool_item item = { make, close_one, lives, interrupt };
	int n = loops > 1 ? (int)loops : 1;
	struct davit_pool_limits limits = { .most = options->most / n + ((int)loop < options->most % n),
					    .idle_ms = options->idle_ms,
					    .life_ms = options->life_ms };
	struct pg_pool *p = calloc(1, sizeof(*p));

	if (p == NULL)
		return NULL;
	p->instance = instance;
	p->options = options;
	p->fiber = davit_fiber_service(instance);
	if (p->fiber != NULL)
		p->connections = davit_pool_new(instance, &item, p, &limits);
	if (p->connections != NULL)
		return p;
	free(p);
	return NULL;
}

davit_status pg_pool_take(struct pg_pool *p, struct davit_call *call, int64_t until_ms,
			  struct pg_connection **ret_connection, struct pg_fault *f)
{
	int64_t left = until_ms - pg_now_ms();
	davit_status status = DAVIT_DEADLINE_EXCEEDED;
	void *connection = NULL;

	f->status = DAVIT_OK;
	f->code[0] = '\0';
	if (left > 0)
		status = davit_pool_take(p->connections, call, left, f, &connection);
	*ret_connection = connection;
	if (status == DAVIT_OK)
		return DAVIT_OK;
	if (davit_pool_stopped(p->connections))
		return pg_fault_set(f, DAVIT_CANCELLED, NULL, "the component is being closed");
	if (f->status == DAVIT_OK || status != f->status) /* not what making one has said */
		return pg_fault_set(f, status, NULL, "no connection to the database was free in time");
	return status;
}

void pg_pool_give(struct pg_pool *p, struct pg_connection *c)
{
	davit_pool_give(p->connections, c, c->broken);
}

void pg_pool_stop(struct pg_pool *p)
{
	if (p != NULL)
		davit_pool_stop(p->connections);
}

void pg_pool_free(struct pg_pool *p)
{
	if (p == NULL)
		return;
	davit_pool_free(p->connections);
	free(p);
}
