/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The client side of gRPC over an http_client of HTTP/2: one connection to a target on a loop (or a few), made when it is first
 * needed and again when it is lost, many streams on it. Straight-line on fibers; a client and its calls belong to one
 * loop. It knows no service by name.
 *
 * A call ends with a status: the other side's (grpc-status, grpc-message), or one made here with grpc-go's codes and
 * words: UNAVAILABLE when there is no connection, DEADLINE_EXCEEDED, CANCELLED, UNKNOWN and others for what is no gRPC.
 */
#ifndef GRPC_CLIENT_H
#define GRPC_CLIENT_H
#include <protobuf-c/protobuf-c.h>

#include "base/error.h"
#include "http/client.h"

struct grpc_client;
struct grpc_stream;

struct grpc_client_options {
	struct str host; /* a name, or an address with or without brackets */
	int port;
	struct tls_context *tls; /* NULL: none; the client holds it. It offers "h2" by ALPN */
	struct str server_name;	 /* asked for, and what the certificate must be for; n == 0: the host */
	size_t message_limit;	/* bytes of one message, decompressed, both ways; beyond: RESOURCE_EXHAUSTED. 0: none */
	size_t header_limit;	/* bytes of a response's metadata; trailers the same again. 64 KiB */
	int connect_timeout_ms; /* 20 s */
	int growth;		/* connections at most: another one when all have 512 calls. 1 */
	int idle_timeout_ms;	/* a connection without calls is closed; 0: never. 3 minutes, as Dapr's pool */
	int ping_ms;		/* a connection silent for so long is pinged; 0: never, the default */
	int ping_timeout_ms;	/* and given up when it stays silent. 5 s */
};

struct grpc_client_options grpc_client_defaults(void);

/* On the loop's own thread. NULL: no memory. Calls under way end CANCELLED and must still be closed. */
struct grpc_client *grpc_client_new(struct loop *l, const struct grpc_client_options *o);
void grpc_client_free(struct grpc_client *c);		     /* NULL is fine */
struct http_client *grpc_client_http(struct grpc_client *c); /* what it stands on */

/* Borrowed until the call is closed. */
struct grpc_request {
	struct str path;     /* "/dapr.proto.runtime.v1.AppCallbackHealthCheck/HealthCheck" */
	int64_t deadline_ns; /* steady clock; 0: none. Sent as grpc-timeout */
	/* As on the wire: values of names that end in "-bin" are base64 already. What gRPC makes itself (te, grpc-timeout,
	 * content-type, …) is left out. */
	const struct http_field *metadata;
	size_t nmetadata;
};

/* One message there and one back. *ret_reply, unpacked in the arena, when the answer is ERROR_NONE. */
struct error grpc_client_unary(struct grpc_client *c, const struct grpc_request *q, const ProtobufCMessage *request,
			       const ProtobufCMessageDescriptor *reply, struct arena *a, void **ret_reply);

/* A call of any kind; lies in the arena, which closes it at its end if nobody did. NULL: no memory. */
struct grpc_stream *grpc_stream_new(struct grpc_client *c, struct arena *a);
struct error grpc_stream_start(struct grpc_stream *s, const struct grpc_request *q);
/* The same with its only message, packed, which stays until the call is closed: nothing more is sent. */
struct error grpc_stream_start_whole(struct grpc_stream *s, const struct grpc_request *q, struct str message);

/* Park until the message was taken. 0; -1: the call is over, grpc_stream_recv() tells how. One fiber may send while
 * another receives. */
int grpc_stream_send(struct grpc_stream *s, const ProtobufCMessage *message);
int grpc_stream_send_bytes(struct grpc_stream *s, struct str message);
void grpc_stream_end(struct grpc_stream *s); /* no more messages from here */

/* Waits for the response's header block. 0; -1: *ret_error, the status. */
int grpc_stream_head(struct grpc_stream *s, struct error *ret_error);
/* 1: *ret_message; 0: the call has ended with status OK; -1: *ret_error, the status. A message is valid until the next
 * one is received. */
int grpc_stream_recv(struct grpc_stream *s, const ProtobufCMessageDescriptor *type, void **ret_message,
		     struct error *ret_error);
int grpc_stream_recv_bytes(struct grpc_stream *s, struct str *ret_message, struct error *ret_error);

/* The metadata of the header block, or of the trailers when the call has ended; as sent. p == NULL: none. */
struct str grpc_stream_header(const struct grpc_stream *s, struct str name);
struct str grpc_stream_trailer(const struct grpc_stream *s, struct str name);
const struct http_call *grpc_stream_http(const struct grpc_stream *s); /* all of them: fields, trailers */

void grpc_stream_cancel(struct grpc_stream *s); /* from the loop, a fiber or not */
void grpc_stream_close(struct grpc_stream *s);	/* resets it if it has not ended. NULL, and twice, is fine */
#endif
