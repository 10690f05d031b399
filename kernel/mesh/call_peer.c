/* SPDX-License-Identifier: Apache-2.0 */
/* A call to another sidecar: CallLocalStream, and CallLocal to one that is too old for it. */
#include <inttypes.h>

#include "base/banned.h"
#include "loop/fiber.h"
#include "grpc/server.h"
#include "mesh/call_inside.h"

#define SERVICE "/dapr.proto.internals.v1.ServiceInvocation/"

typedef Dapr__Proto__Internals__V1__InternalInvokeRequestStream request_part;
typedef Dapr__Proto__Internals__V1__InternalInvokeResponseStream response_part;

static int send_part(struct mesh_call *c, mesh_request_wire *request, struct str piece)
{
	request_part part = DAPR__PROTO__INTERNALS__V1__INTERNAL_INVOKE_REQUEST_STREAM__INIT;
	Dapr__Proto__Common__V1__StreamPayload payload = DAPR__PROTO__COMMON__V1__STREAM_PAYLOAD__INIT;

	part.request = request;
	if (piece.n > 0) {
		payload.data = (ProtobufCBinaryData){ piece.n, (uint8_t *)piece.p };
		payload.seq = c->seq++;
		part.payload = &payload;
	}
	return grpc_stream_send(c->grpc, &part.base);
}

static int put(struct mesh_call *c, struct str piece)
{
	struct str part;

	for (; piece.n > 0; piece = str_from(piece, part.n)) {
		part = str_upto(piece, MESH_PIECE);
		if (send_part(c, NULL, part) < 0)
			return -1;
	}
	return 0;
}

static void end(struct mesh_call *c)
{
	grpc_stream_end(c->grpc);
}

static void add_metadata(struct mesh_call *c, struct grpc_request *g)
{
	struct http_field *fields = arena_alloc(c->arena, 4 * sizeof(*fields));
	size_t n = 0;

	mesh_add_trace(c->arena, &c->q->trace, 1, fields, &n);
	g->metadata = fields;
	g->nmetadata = n;
}

static struct error malformed(const char *why)
{
	return (struct error){ .code = ERROR_UNKNOWN, .message = str_of(why) };
}

static struct error receive_head(struct mesh_call *c)
{
	struct error e = ERROR_NONE;
	struct str bytes, body;
	response_part *part;
	int got = grpc_stream_recv_bytes(c->grpc, &bytes, &e);

	if (got <= 0)
		return got < 0 ? e : malformed("EOF");
	part = grpc_unpack(c->arena, &dapr__proto__internals__v1__internal_invoke_response_stream__descriptor,
			   arena_str(c->arena, bytes), &e);
	if (part == NULL)
		return e;
	if (part->response == NULL || part->response->status == NULL)
		return malformed("response does not contain the required fields in the leading chunk");
	mesh_unpack_response(c->arena, part->response, &c->response, &body);
	if (part->payload != NULL) {
		if (part->payload->seq != c->expect++)
			return malformed("invalid sequence number received");
		c->ready = (struct str){ (const char *)part->payload->data.data, part->payload->data.len };
	} else {
		c->ready = body;
	}
	return ERROR_NONE;
}

/* The whole of what one fiber sends; a large or endless body is the pump's. */
static struct error send_request(struct mesh_call *c)
{
	const struct mesh_request *q = c->q;
	mesh_request_wire *w = mesh_pack_request(c->arena, q);
	int rc = send_part(c, w, q->body.read == NULL ? str_upto(q->body.whole, MESH_PIECE) : STR(""));

	if (q->body.read != NULL)
		return rc == 0 ? mesh_pump(c, put, end) : ERROR_NONE;
	if (rc == 0)
		rc = put(c, str_from(q->body.whole, MESH_PIECE));
	if (rc == 0)
		end(c);
	return ERROR_NONE; /* if it failed, receiving says why */
}

static struct error call_unary(struct mesh_call *c, struct grpc_client *client, struct grpc_request *g)
{
	mesh_request_wire *w = mesh_pack_request(c->arena, c->q);
	void *reply = NULL;
	struct error e;

	if (w->message->data == NULL) {
		w->message->data = arena_alloc(c->arena, sizeof(*w->message->data));
		google__protobuf__any__init(w->message->data);
	}
	w->message->data->value = (ProtobufCBinaryData){ c->q->body.whole.n, (uint8_t *)c->q->body.whole.p };
	g->path = STR(SERVICE "CallLocal");
	e = grpc_client_unary(client, g, &w->base, &dapr__proto__internals__v1__internal_invoke_response__descriptor,
			      c->arena, &reply);
	if (!error_is(&e))
		mesh_unpack_response(c->arena, reply, &c->response, &c->ready);
	return e;
}

struct error mesh_call_peer(struct mesh_call *c, struct peers *peers, struct str address, const struct mesh_request *q)
{
	struct grpc_request g = { .path = STR(SERVICE "CallLocalStream"), .deadline_ns = q->deadline_ns };
	struct grpc_client *client;
	struct error e = ERROR_NONE;

	c->q = q;
	if (c->cancelled)
		return (struct error){ .code = ERROR_CANCELLED, .message = STR("context canceled") };
	client = peers_take(peers, address, &e);
	if (client == NULL)
		return e;
	c->peers = peers;
	c->address = address;
	add_metadata(c, &g);
	c->grpc = grpc_stream_new(client, c->arena);
	if (c->grpc == NULL)
		return (struct error){ .code = ERROR_RESOURCE_EXHAUSTED, .message = STR("out of memory") };
	e = grpc_stream_start(c->grpc, &g);
	if (!error_is(&e))
		e = send_request(c);
	if (!error_is(&e))
		e = receive_head(c);
	if (e.code == ERROR_UNIMPLEMENTED && q->body.read == NULL) {
		grpc_stream_close(c->grpc);
		c->grpc = NULL;
		e = call_unary(c, client, &g);
	}
	return error_is(&c->pump_error) ? c->pump_error : e;
}

/* Dapr's sends an empty one with each event of a stream (text/event-stream). */
static int has_head(const mesh_response_wire *w)
{
	return w->status != NULL || w->message != NULL || w->n_headers > 0;
}

int mesh_peer_read(struct mesh_call *c, struct str *ret_piece, struct error *ret_error)
{
	response_part *part;
	void *message;
	int got;

	if (c->grpc == NULL)
		return 0;
	do {
		got = grpc_stream_recv(c->grpc,
				       &dapr__proto__internals__v1__internal_invoke_response_stream__descriptor,
				       &message, ret_error);
		if (got <= 0)
			return got;
		part = message;
		if (part->response != NULL && has_head(part->response)) {
			*ret_error = malformed("response metadata found in non-leading chunk");
			return -1;
		}
		if (part->payload != NULL && part->payload->seq != c->expect++) {
			*ret_error = error_new(c->arena, ERROR_UNKNOWN, NULL,
					       "invalid sequence number received: %" PRIu64 " (expected: %" PRIu64 ")",
					       part->payload->seq, c->expect - 1);
			return -1;
		}
	} while (part->payload == NULL || part->payload->data.len == 0);
	*ret_piece = (struct str){ (const char *)part->payload->data.data, part->payload->data.len };
	return 1;
}
