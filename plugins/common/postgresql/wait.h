/* SPDX-License-Identifier: Apache-2.0 */
/* Waiting for a connection's socket: for the files of this folder. */
#ifndef POSTGRESQL_WAIT_H
#define POSTGRESQL_WAIT_H
#include "connection.h"

/* The watch of the socket that libpq has now. -1: f. */
int pg_watch(struct pg_connection *c, struct pg_fault *f);
void pg_unwatch(struct pg_connection *c);
/* what, *ret_ready: DAVIT_WATCH_… */
davit_status pg_wait(struct pg_connection *c, struct davit_call *call, int what, int64_t until_ms, int *ret_ready,
		     struct pg_fault *f);
#endif
