/* SPDX-License-Identifier: Apache-2.0 */
/* The calls of a loop that have a deadline, in one list, with one timer while there are any. For grpc/ alone. */
#ifndef GRPC_DEADLINE_H
#define GRPC_DEADLINE_H
struct grpc_call;

/* grpc_call_expired() is called on the loop when c->deadline_ns has come. 0; -1: no memory, nothing was set. */
int grpc_deadline_set(struct grpc_call *c);
void grpc_deadline_clear(struct grpc_call *c); /* fine if none was set or it has come */
#endif
