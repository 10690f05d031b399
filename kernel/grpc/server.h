/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gRPC over HTTP/2 exchanges (https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md): framing, deadlines,
 * metadata, compression, status and dispatch by a table. It knows no service by name.
 */
#ifndef GRPC_SERVER_H
#define GRPC_SERVER_H
#include <protobuf-c/protobuf-c.h>

#include <stdatomic.h>

#include "base/error.h"
#include "grpc/frame.h"
#include "http/server.h"

enum grpc_kind { GRPC_UNARY, GRPC_SERVER_STREAM, GRPC_BIDI };

struct grpc_call;
struct grpc_table;
struct grpc_zip;

struct grpc_method {
	const char *name; /* "GetState" */
	enum grpc_kind kind;
	const ProtobufCMessageDescriptor *in, *out;
	/* UNARY: the request is in the call's arena; *ret_reply is packed when the answer is ERROR_NONE. */
	struct error (*unary)(struct grpc_call *c, const void *request, const ProtobufCMessage **ret_reply);
	/* Others: reads by grpc_recv and writes by grpc_send; the status is what it returns. */
	struct error (*stream)(struct grpc_call *c);
};

struct grpc_service {
	const char *name; /* "dapr.proto.runtime.v1.Dapr" */
	const struct grpc_method *methods;
	size_t nmethods;
};

/* Borrowed until the last call has ended; its `table` is made at the first call, so it must be writable. */
struct grpc_options {
	const struct grpc_service *const *services; /* NULL ends the list */
	void *ctx;
	size_t message_limit; /* bytes of one message, decompressed, both ways; beyond: RESOURCE_EXHAUSTED. 0: none */
	/* Each may be NULL. */
	/* For a known method, or any if there is `unknown`, before its message is read. A failure answers the call. */
	struct error (*before)(void *ctx, struct grpc_call *c);
	/* Counts, logs: once for every call, with the status that the client got or would have got, whether `before` ran
	 * or not. Not for what was no gRPC at all (415, another HTTP method, broken grpc-timeout or binary metadata). */
	void (*after)(void *ctx, struct grpc_call *c, const struct error *e);
	struct error (*unknown)(void *ctx, struct grpc_call *c); /* no such method; NULL: UNIMPLEMENTED */
	/* The google.rpc.Status message for grpc-status-details-bin; an empty str: no such trailer. */
	struct str (*details)(struct arena *a, const struct error *e);
	_Atomic(struct grpc_table *) table; /* grpc/'s own: methods by path. NULL at first, grpc_release() frees it */
};

struct grpc_call {
	struct http_exchange *x;
	struct arena *arena; /* the exchange's */
	const struct grpc_options *o;
	struct str path; /* "/dapr.proto.runtime.v1.Dapr/GetState" */
	struct str service, method_name;
	const struct grpc_method *method; /* NULL in `unknown` */
	int64_t deadline_ns;		  /* steady clock; 0: none */
	void *user;			  /* the options' hooks may keep something here */
	uint64_t received, sent;	  /* message bytes */
	struct http_field *headers;	  /* what goes out before the first message: grpc_header() */
	size_t nheaders, headers_cap;
	struct http_field *trailers;
	size_t ntrailers, trailers_cap;
	int began; /* the response's header block has left */
	int gzip;  /* the client accepts it and sent it itself: replies are compressed too */

	/* The rest is for grpc/ alone. */
	struct str content_type, encoding; /* the response's; the request's, as sent */
	struct grpc_frame frame;
	struct str piece;	     /* of the body, not yet looked at */
	struct arena *message_arena; /* of the message that grpc_recv gave last */
	struct grpc_zip *zip;
	struct grpc_call *sooner, *later; /* the loop's calls with a deadline, by deadline */
	struct error failed;		  /* what grpc_recv or grpc_send found: it becomes the status */
	int timed, over, ended, writing, got_message, counted;
	void (*cancel_fn)(void *arg);
	void *cancel_arg;
};

/* The handler for an http_server: options are the ctx. */
void grpc_handle(void *options, struct http_exchange *x);
void grpc_refuse(void *options, struct http_exchange *x); /* RESOURCE_EXHAUSTED without a fiber */
/* What a server of gRPC alone needs besides: HTTP/2, no `date`, and streams that may be silent for as long as they like. */
void grpc_http_options(struct http_server_options *s);
void grpc_release(struct grpc_options *o); /* frees the table, when no call is left */

struct str grpc_metadata(const struct grpc_call *c, struct str key); /* p == NULL: none. As sent, "-bin" still base64 */
struct str grpc_metadata_bin(struct grpc_call *c, struct str key);   /* decoded, p == NULL: none or broken */
struct str grpc_bin(struct arena *a, struct str text); /* a "-bin" value decoded, in the arena; the same */
/* Adds to the response's header block or trailers, in the call's arena; a "-bin" name gets its base64. */
void grpc_header(struct grpc_call *c, struct str name, struct str value);
void grpc_trailer(struct grpc_call *c, struct str name, struct str value);

/*
 * 1: *ret_message; 0: the client has ended its side; -1: the call is over (*ret_error says how). The message is valid
 * until the next grpc_recv of this call: it lies in an arena of its own, so that a stream may live long; who needs it for
 * longer takes a reference to c->message_arena. One fiber may receive while another sends.
 */
int grpc_recv(struct grpc_call *c, const ProtobufCMessageDescriptor *type, void **ret_message, struct error *ret_error);
int grpc_recv_bytes(struct grpc_call *c, struct str *ret_message,
		    struct error *ret_error); /* undecoded, for proxying */
int grpc_send(struct grpc_call *c,
	      const ProtobufCMessage *message); /* 0; -1: the client has gone, or it is too large */
int grpc_send_bytes(struct grpc_call *c, struct str message);

/*
 * fn runs on the loop, once, when the client cancelled or went, or the deadline has passed; at once if that happened
 * already; never after the handler returned. NULL takes it away. At its deadline a call is answered DEADLINE_EXCEEDED by
 * itself; its handler is not stopped: it should come to an end, and what it then returns is not sent.
 */
void grpc_on_cancel(struct grpc_call *c, void (*fn)(void *arg), void *arg);
/*
 * Answers a call of messages from outside its handler, on its loop: the client gets this status now, the handler's grpc_recv
 * and grpc_send answer -1, and what it returns is not sent. The error's texts live in the call's arena, or longer.
 */
void grpc_finish(struct grpc_call *c, const struct error *e);
int grpc_over(const struct grpc_call *c); /* ERROR_OK: it goes on; ERROR_CANCELLED; ERROR_DEADLINE_EXCEEDED */

/*
 * Unpacks in the arena. NULL, *ret_error: INTERNAL when the bytes are not of that type or text is no UTF-8;
 * INVALID_ARGUMENT for what protobuf-c does not check itself: nesting deeper than GRPC_NESTING, text with NUL;
 * RESOURCE_EXHAUSTED when it would take more than 4 MiB and 8 times its bytes, unknown fields included.
 */
#define GRPC_NESTING 100
void *grpc_unpack(struct arena *a, const ProtobufCMessageDescriptor *type, struct str bytes, struct error *ret_error);
int64_t grpc_timeout_ns(struct str value); /* of a grpc-timeout field; -1: malformed */
struct str grpc_percent(struct arena *a,
			struct str message); /* as grpc-message has it; message itself if it may stay */
#endif
