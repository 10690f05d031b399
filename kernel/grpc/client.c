/* SPDX-License-Identifier: Apache-2.0 */
#include "grpc/client.h"

#include "base/banned.h"
#include "base/clock.h"
#include "base/mem.h"
#include "grpc/client_status.h"
#include "grpc/inside.h"
#include "grpc/zip.h"

struct grpc_client {
	struct http_client *http;
	size_t message_limit;
};

struct grpc_stream {
	struct http_call *call;
	struct arena *arena;
	size_t limit;
	struct http_field *fields;
	char timeout[12];
	struct grpc_frame frame;
	struct str piece; /* of the body, not yet looked at */
	struct grpc_zip *zip;
	struct arena *message_arena; /* of the message that was received last */
	struct error status;
	uint8_t over;	/* status is set */
	uint8_t headed; /* the header block is gRPC's */
};

struct grpc_client_options grpc_client_defaults(void)
{
	return (struct grpc_client_options){ .message_limit = 4u << 20,
					     .header_limit = 64u << 10,
					     .connect_timeout_ms = 20000,
					     .growth = 1,
					     .idle_timeout_ms = 180000,
					     .ping_timeout_ms = 5000 };
}

struct grpc_client *grpc_client_new(struct loop *l, const struct grpc_client_options *o)
{
	struct http_client_options h = http_client_defaults();
	struct grpc_client *c = mem_zalloc(sizeof(*c));

	if (c == NULL)
		return NULL;
	h.host = o->host;
	h.port = o->port;
	h.major = 2;
	h.growth = o->growth;
	h.tls = o->tls;
	h.server_name = o->server_name;
	h.header_limit = o->header_limit;
	h.connect_timeout_ms = o->connect_timeout_ms;
	h.idle_timeout_ms = o->idle_timeout_ms;
	h.ping_ms = o->ping_ms;
	h.ping_timeout_ms = o->ping_timeout_ms;
	c->message_limit = o->message_limit;
	c->http = http_client_new(l, &h);
	if (c->http == NULL) {
		mem_free(c);
		return NULL;
	}
	return c;
}

void grpc_client_free(struct grpc_client *c)
{
	if (c == NULL)
		return;
	http_client_free(c->http);
	mem_free(c);
}

struct http_client *grpc_client_http(struct grpc_client *c)
{
	return c->http;
}

static void close_with_arena(void *stream)
{
	grpc_stream_close(stream);
}

struct grpc_stream *grpc_stream_new(struct grpc_client *c, struct arena *a)
{
	struct grpc_stream *s = arena_try(a, sizeof(*s));

	if (s == NULL)
		return NULL;
	*s = (struct grpc_stream){ .arena = a, .limit = c->message_limit };
	s->call = http_call_new(c->http, a);
	return s->call != NULL && arena_try_defer(a, close_with_arena, s) == 0 ? s : NULL;
}

static int end_with(struct grpc_stream *s, struct error e, struct error *ret_error)
{
	if (!s->over) {
		s->over = 1;
		s->status = e;
	}
	if (error_is(&e))
		http_call_cancel(s->call); /* no effect if the response is complete */
	*ret_error = s->status;
	return error_is(&s->status) ? -1 : 0;
}

/* What gRPC makes itself, or what a caller must not claim. */
static int own_metadata(struct str name)
{
	static const struct str own[] = { STR("te"),
					  STR("content-type"),
					  STR("grpc-timeout"),
					  STR("grpc-status"),
					  STR("grpc-message"),
					  STR("grpc-encoding"),
					  STR("user-agent"),
					  STR("grpc-accept-encoding"),
					  STR("grpc-message-type"),
					  STR("grpc-status-details-bin") };
	size_t i;

	for (i = 0; i < sizeof(own) / sizeof(own[0]); i++)
		if (str_ieq(name, own[i]))
			return 1;
	return 0;
}

static struct error start(struct grpc_stream *s, const struct grpc_request *q, int streamed, struct str body)
{
	static const struct http_field first[] = { { STR("te"), STR("trailers") },
						   { STR("content-type"), STR("application/grpc") },
						   { STR("user-agent"), STR("grpc-c-davit") },
						   { STR("grpc-accept-encoding"), STR("gzip") } };
	const size_t nfirst = sizeof(first) / sizeof(first[0]);
	struct http_field *f = arena_try(s->arena, (nfirst + 1 + q->nmetadata) * sizeof(*f));
	size_t n = nfirst, i, length;
	struct http_request h = { .method = STR("POST"),
				  .target = q->path,
				  .fields = f,
				  .body = body,
				  .streamed = streamed,
				  .length = -1,
				  .deadline_ns = q->deadline_ns };
	struct error e;

	if (f == NULL)
		e = GRPC_NO_MEMORY;
	else {
		memcpy(f, first, sizeof(first));
		if (q->deadline_ns > 0) {
			length = grpc_timeout_text(q->deadline_ns - clock_ns(), s->timeout);
			f[n++] = (struct http_field){ STR("grpc-timeout"), { s->timeout, length } };
		}
		for (i = 0; i < q->nmetadata; i++)
			if (!own_metadata(q->metadata[i].name))
				f[n++] = q->metadata[i];
		h.nfields = n;
		e = http_call_start(s->call, &h); /* an expired deadline ends here */
	}
	if (error_is(&e))
		end_with(s, grpc_status_of_failure(s->arena, e), &e);
	return e;
}

struct error grpc_stream_start(struct grpc_stream *s, const struct grpc_request *q)
{
	return start(s, q, 1, STR_NONE);
}

static struct error too_large(struct grpc_stream *s, size_t n)
{
	return grpc_error(s->arena, ERROR_RESOURCE_EXHAUSTED, "trying to send message larger than max (%zu vs. %zu)", n,
			  s->limit);
}

static int fits(const struct grpc_stream *s, size_t n)
{
	return n <= UINT32_MAX && (s->limit == 0 || n <= s->limit);
}

/* Room for the prefix, which is set, and the message behind it. */
static char *frame_of(char *p, size_t n)
{
	if (p != NULL)
		grpc_frame_prefix(p, 0, n);
	return p;
}

struct error grpc_stream_start_whole(struct grpc_stream *s, const struct grpc_request *q, struct str message)
{
	struct error e = GRPC_NO_MEMORY;
	char *p = fits(s, message.n) ? frame_of(arena_try(s->arena, message.n + GRPC_PREFIX), message.n) : NULL;

	if (p == NULL) {
		end_with(s, fits(s, message.n) ? e : too_large(s, message.n), &e);
		return e;
	}
	if (message.n > 0)
		memcpy(p + GRPC_PREFIX, message.p, message.n);
	return start(s, q, 0, (struct str){ p, message.n + GRPC_PREFIX });
}

/* Takes the framed bytes, on the heap. */
static int send_frame(struct grpc_stream *s, char *p, size_t n)
{
	struct error e;

	if (p == NULL || !fits(s, n)) {
		mem_free(p);
		return end_with(s, p == NULL ? GRPC_NO_MEMORY : too_large(s, n), &e), -1;
	}
	e = s->over ? s->status : http_call_write(s->call, (struct str){ p, n + GRPC_PREFIX });
	mem_free(p);
	return s->over || error_is(&e) ? -1 : 0;
}

int grpc_stream_send(struct grpc_stream *s, const ProtobufCMessage *message)
{
	size_t n = protobuf_c_message_get_packed_size(message);
	char *p = frame_of(mem_alloc(n + GRPC_PREFIX), n);

	if (p != NULL)
		protobuf_c_message_pack(message, (uint8_t *)p + GRPC_PREFIX);
	return send_frame(s, p, n);
}

int grpc_stream_send_bytes(struct grpc_stream *s, struct str message)
{
	char *p = frame_of(mem_alloc(message.n + GRPC_PREFIX), message.n);

	if (p != NULL && message.n > 0)
		memcpy(p + GRPC_PREFIX, message.p, message.n);
	return send_frame(s, p, message.n);
}

void grpc_stream_end(struct grpc_stream *s)
{
	if (!s->over)
		http_call_end(s->call, NULL, 0);
}

int grpc_stream_head(struct grpc_stream *s, struct error *ret_error)
{
	struct error e;

	if (s->headed)
		return 0;
	if (s->over)
		return end_with(s, s->status, ret_error);
	e = http_call_head(s->call);
	if (error_is(&e))
		return end_with(s, grpc_status_of_failure(s->arena, e), ret_error);
	if (grpc_status_of_head(s->call, &e) < 0)
		return end_with(s, e, ret_error);
	s->headed = 1;
	return 0;
}

static int unzip(struct grpc_stream *s, struct arena *a, struct str *message, struct error *ret_error)
{
	if (!str_eq(http_call_field(s->call, STR("grpc-encoding")), STR("gzip"))) {
		*ret_error = (struct error){ .code = ERROR_INTERNAL,
					     .message = STR(
						     "grpc: compressed flag set with identity or empty encoding") };
		return -1;
	}
	if (s->zip == NULL && (s->zip = grpc_zip_new(s->arena)) == NULL) {
		*ret_error = GRPC_NO_MEMORY;
		return -1;
	}
	return grpc_unzip(s->zip, a, *message, s->limit, message, ret_error);
}

/* As grpc_stream_recv_bytes(), in arena a or in the piece. */
static int next_message(struct grpc_stream *s, struct arena *a, struct str *ret_message, struct error *ret_error)
{
	struct str message;
	struct error e = ERROR_NONE;
	int got, rc, zipped;

	if (grpc_stream_head(s, ret_error) < 0)
		return -1;
	if (s->over)
		return end_with(s, s->status, ret_error);
	while ((got = grpc_frame_take(&s->frame, a, &s->piece, s->limit, &zipped, &message, &e)) == 0) {
		rc = http_call_read(s->call, &s->piece, &e);
		if (rc < 0)
			return end_with(s, grpc_status_of_failure(s->arena, e), ret_error);
		if (rc > 0)
			continue;
		e = grpc_status_of_end(s->call);
		if (!error_is(&e) && grpc_frame_inside(&s->frame))
			e = (struct error){ .code = ERROR_INTERNAL, .message = STR("unexpected EOF") };
		return end_with(s, e, ret_error);
	}
	if (got < 0 || (zipped && unzip(s, a, &message, &e) < 0)) {
		if (a != s->arena) /* which its text may lie in */
			e = grpc_error(s->arena, e.code, STR_FMT, STR_ARG(e.message));
		return end_with(s, e, ret_error);
	}
	*ret_message = message;
	return 1;
}

static int new_message_arena(struct grpc_stream *s, struct error *ret_error)
{
	arena_unref(s->message_arena);
	s->message_arena = arena_new();
	return s->message_arena != NULL ? 0 : end_with(s, GRPC_NO_MEMORY, ret_error);
}

int grpc_stream_recv_bytes(struct grpc_stream *s, struct str *ret_message, struct error *ret_error)
{
	return new_message_arena(s, ret_error) < 0 ? -1 : next_message(s, s->message_arena, ret_message, ret_error);
}

static void *unpack(struct grpc_stream *s, struct arena *a, const ProtobufCMessageDescriptor *type, struct str bytes,
		    struct error *ret_error)
{
	struct error e;
	void *message = grpc_unpack(a, type, bytes, &e);

	if (message == NULL)
		end_with(s,
			 grpc_error(s->arena, e.code == ERROR_RESOURCE_EXHAUSTED ? e.code : ERROR_INTERNAL,
				    "grpc: failed to unmarshal the received message: " STR_FMT, STR_ARG(e.message)),
			 ret_error);
	return message;
}

int grpc_stream_recv(struct grpc_stream *s, const ProtobufCMessageDescriptor *type, void **ret_message,
		     struct error *ret_error)
{
	struct str bytes;
	int rc = grpc_stream_recv_bytes(s, &bytes, ret_error);
	void *message;

	if (rc <= 0)
		return rc;
	message = unpack(s, s->message_arena, type, bytes, ret_error);
	if (message == NULL)
		return -1;
	*ret_message = message;
	return 1;
}

struct str grpc_stream_header(const struct grpc_stream *s, struct str name)
{
	return http_call_field(s->call, name);
}

struct str grpc_stream_trailer(const struct grpc_stream *s, struct str name)
{
	size_t i;

	for (i = 0; i < s->call->ntrailers; i++)
		if (str_eq(s->call->trailers[i].name, name))
			return s->call->trailers[i].value;
	/* A response of nothing but trailers has them in its only header block. */
	return s->over && s->call->ntrailers == 0 && s->call->received == 0 ? http_call_field(s->call, name) : STR_NONE;
}

const struct http_call *grpc_stream_http(const struct grpc_stream *s)
{
	return s->call;
}

void grpc_stream_cancel(struct grpc_stream *s)
{
	http_call_cancel(s->call);
}

void grpc_stream_close(struct grpc_stream *s)
{
	if (s == NULL)
		return;
	http_call_close(s->call);
	arena_unref(s->message_arena);
	s->message_arena = NULL;
}

static struct error receive_one(struct grpc_stream *s, const ProtobufCMessageDescriptor *type, void **ret_reply)
{
	struct error e = ERROR_NONE;
	struct str bytes;
	void *reply = NULL;
	int rc;

	while ((rc = next_message(s, s->arena, &bytes, &e)) > 0) {
		if (reply != NULL) {
			end_with(s,
				 (struct error){
					 .code = ERROR_INTERNAL,
					 .message = STR("cardinality violation: received more than one response "
							"message") },
				 &e);
			return e;
		}
		reply = unpack(s, s->arena, type, bytes, &e);
		if (reply == NULL)
			return e;
	}
	if (rc < 0)
		return e;
	if (reply == NULL)
		return (struct error){ .code = ERROR_INTERNAL,
				       .message = STR("cardinality violation: received no response message") };
	*ret_reply = reply;
	return ERROR_NONE;
}

struct error grpc_client_unary(struct grpc_client *c, const struct grpc_request *q, const ProtobufCMessage *request,
			       const ProtobufCMessageDescriptor *reply, struct arena *a, void **ret_reply)
{
	struct grpc_stream *s = grpc_stream_new(c, a);
	size_t n = protobuf_c_message_get_packed_size(request);
	struct error e = GRPC_NO_MEMORY;
	char *p;

	if (s == NULL)
		return e;
	if (!fits(s, n)) {
		e = too_large(s, n);
	} else if ((p = frame_of(arena_try(a, n + GRPC_PREFIX), n)) != NULL) {
		protobuf_c_message_pack(request, (uint8_t *)p + GRPC_PREFIX);
		e = start(s, q, 0, (struct str){ p, n + GRPC_PREFIX });
		if (!error_is(&e))
			e = receive_one(s, reply, ret_reply);
	}
	grpc_stream_close(s);
	return e;
}
