/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The connections of one loop: as many as the component may have, divided by the loops. Made when they are needed; the one
 * that was used last goes first, so that those that are not needed grow old and are closed.
 */
#ifndef POSTGRESQL_POOL_H
#define POSTGRESQL_POOL_H
#include <davit/pool.h>

#include "connection.h"

struct pg_pool;

/* options must outlive it. loop of loops: whose it is. NULL: no memory, or this kernel lacks a service. */
struct pg_pool *pg_pool_new(struct davit_instance *instance, const struct pg_options *options, uint64_t loop,
			    uint64_t loops);
/* Whoever waits for a connection or on one gets DAVIT_CANCELLED, and nobody gets one any more. Waits for its own fiber. */
void pg_pool_stop(struct pg_pool *p);
void pg_pool_free(struct pg_pool *p); /* stops it; nobody may have a connection of it. NULL is fine */

/* Waits for one to be free, or makes it. call may be NULL. */
davit_status pg_pool_take(struct pg_pool *p, struct davit_call *call, int64_t until_ms,
			  struct pg_connection **ret_connection, struct pg_fault *f);
/* A broken one is closed. */
void pg_pool_give(struct pg_pool *p, struct pg_connection *c);
#endif
