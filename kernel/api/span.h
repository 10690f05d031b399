/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The span of an API call: what it is named and says, as Dapr has it (facts/tracing.md), and baggage, which is passed on and
 * must be well-formed. The API token is no attribute, though Dapr makes every dapr- header one.
 */
#ifndef API_SPAN_H
#define API_SPAN_H
#include "api/grpc.h"
#include "api/request.h"

/* Begins the span and answers with its context. Health checks have none. */
void span_begin_http(struct request *r);
void span_end_http(struct request *r); /* when the reply has its status */
/* 1: the baggage is fine and goes back with the reply; 0: a 400 was answered. */
int span_check_baggage_http(struct request *r);

void span_begin_grpc(struct grpc_call *c, enum trace_kind kind);
void span_end_grpc(struct grpc_call *c, const struct error *e);
struct error span_check_baggage_grpc(struct grpc_call *c);

/* What the call is about; on the span of a gRPC call. */
void span_of_store(struct grpc_call *c, const char *system, struct str name); /* "state", "secrets" */
void span_of_topic(struct grpc_call *c, struct str topic);
/* An invocation, either skin: s may be NULL. */
void span_of_invocation(struct trace_span *s, struct str app_id, struct str method);
#endif
