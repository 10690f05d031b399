/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of grpc/ share; nobody else includes it. */
#ifndef GRPC_INSIDE_H
#define GRPC_INSIDE_H
#include "grpc/server.h"

#define GRPC_NO_MEMORY ((struct error){ .code = ERROR_RESOURCE_EXHAUSTED, .message = STR("out of memory") })

/* call.c: one call's messages and status. */
/* As error_new(), but without memory it is GRPC_NO_MEMORY instead of a jump. */
struct error grpc_error(struct arena *a, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* The next message, decompressed, in arena a or the exchange's; as grpc_recv_bytes(). */
int grpc_next_message(struct grpc_call *c, struct arena *a, struct str *ret_message, struct error *ret_error);
/* The response of a unary call, without its status. 0; -1: c->failed or c->over says why. */
int grpc_send_reply(struct grpc_call *c, const ProtobufCMessage *message);
void grpc_send_status(struct grpc_call *c, const struct error *e);
/* Instead of a response: what HTTP calls `http`, gRPC calls *e. No header, no trailer of the call is in it. */
void grpc_send_refusal(struct grpc_call *c, int http, const struct error *e);
void grpc_call_gone(void *call);	     /* the client has: http_on_gone() calls it */
void grpc_call_expired(struct grpc_call *c); /* its deadline has come */

struct str grpc_content_type(struct arena *a, struct str asked); /* of the response */

/* metadata.c */
struct str grpc_base64(struct arena *a, struct str bytes); /* without padding */
int grpc_is_base64(struct str text);
const char *grpc_timeout_problem(struct str value); /* why grpc_timeout_ns() refused it */
#endif
