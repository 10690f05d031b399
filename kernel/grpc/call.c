/* SPDX-License-Identifier: Apache-2.0 */
#include "base/banned.h"
#include "grpc/deadline.h"
#include "grpc/inside.h"
#include "grpc/zip.h"

#define H2_CANCEL 0x8
#define ONE_WRITE 16384 /* up to here a message and its prefix are put together, to leave in one frame */

static const struct error expired = { .code = ERROR_DEADLINE_EXCEEDED, .message = { "context deadline exceeded", 25 } };
static const struct error cancelled = { .code = ERROR_CANCELLED, .message = { "context canceled", 16 } };

struct error grpc_error(struct arena *a, int code, const char *fmt, ...)
{
	struct error e = { .code = code };
	char text[512];
	va_list ap;
	char *p;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (n < 0)
		n = 0;
	if ((size_t)n >= sizeof(text))
		n = sizeof(text) - 1;
	p = arena_try(a, (size_t)n + 1);
	if (p == NULL)
		return GRPC_NO_MEMORY;
	memcpy(p, text, (size_t)n);
	p[n] = '\0';
	e.message = (struct str){ p, (size_t)n };
	return e;
}

int grpc_over(const struct grpc_call *c)
{
	return c->over;
}

static struct error why_over(struct grpc_call *c)
{
	if (c->over == ERROR_OK)
		c->over = ERROR_CANCELLED;
	return c->over == ERROR_DEADLINE_EXCEEDED ? expired : cancelled;
}

static void end_early(struct grpc_call *c, int code)
{
	void (*fn)(void *arg) = c->cancel_fn;

	c->over = code;
	c->cancel_fn = NULL;
	if (fn != NULL)
		fn(c->cancel_arg);
}

void grpc_call_gone(void *call)
{
	struct grpc_call *c = call;

	if (c->over == ERROR_OK)
		end_early(c, ERROR_CANCELLED);
}

void grpc_on_cancel(struct grpc_call *c, void (*fn)(void *arg), void *arg)
{
	c->cancel_fn = c->over ? NULL : fn;
	c->cancel_arg = arg;
	if (c->over && fn != NULL)
		fn(arg);
}

static int unzip(struct grpc_call *c, struct arena *a, struct str *message, struct error *ret_error)
{
	if (!str_eq(c->encoding, STR("gzip"))) {
		*ret_error = (struct error){ .code = ERROR_INTERNAL,
					     .message = STR(
						     "grpc: compressed flag set with identity or empty encoding") };
		return -1;
	}
	if (c->zip == NULL && (c->zip = grpc_zip_new(c->arena)) == NULL) {
		*ret_error = GRPC_NO_MEMORY;
		return -1;
	}
	return grpc_unzip(c->zip, a, *message, c->o->message_limit, message, ret_error);
}

int grpc_next_message(struct grpc_call *c, struct arena *a, struct str *ret_message, struct error *ret_error)
{
	struct str message;
	int got, zipped;

	if (error_is(&c->failed)) {
		*ret_error = c->failed;
		return -1;
	}
	while ((got = grpc_frame_take(&c->frame, a, &c->piece, c->o->message_limit, &zipped, &message, ret_error)) ==
	       0) {
		int rc = c->over ? -1 : http_read(c->x, &c->piece);

		if (c->over || rc < 0) {
			*ret_error = why_over(c);
			return -1;
		}
		if (rc > 0)
			continue;
		if (!grpc_frame_inside(&c->frame))
			return 0;
		*ret_error = (struct error){ .code = c->method && c->method->kind == GRPC_UNARY ? ERROR_UNKNOWN
												: ERROR_INTERNAL,
					     .message = STR("unexpected EOF") };
		return -1;
	}
	if (got < 0 || (zipped && unzip(c, a, &message, ret_error) < 0))
		return -1;
	c->received += message.n;
	c->got_message = 1;
	*ret_message = message;
	return 1;
}

/* The error's text must outlive the message's arena. */
static int fail(struct grpc_call *c, struct error *e)
{
	if (!error_is(&c->failed))
		c->failed = grpc_error(c->arena, e->code, STR_FMT, STR_ARG(e->message));
	*e = c->failed;
	return -1;
}

int grpc_recv_bytes(struct grpc_call *c, struct str *ret_message, struct error *ret_error)
{
	int rc;

	arena_unref(c->message_arena);
	c->message_arena = arena_new();
	if (c->message_arena == NULL) {
		*ret_error = GRPC_NO_MEMORY;
		return fail(c, ret_error);
	}
	rc = grpc_next_message(c, c->message_arena, ret_message, ret_error);
	if (rc == 0 && !c->got_message && c->method && c->method->kind == GRPC_SERVER_STREAM) {
		*ret_error = (struct error){ .code = ERROR_INTERNAL,
					     .message = STR("cardinality violation: received no request message from "
							    "non-client-streaming RPC") };
		rc = -1;
	}
	return rc < 0 ? fail(c, ret_error) : rc;
}

int grpc_recv(struct grpc_call *c, const ProtobufCMessageDescriptor *type, void **ret_message, struct error *ret_error)
{
	struct str bytes;
	int rc = grpc_recv_bytes(c, &bytes, ret_error);
	void *message;

	if (rc <= 0)
		return rc;
	message = grpc_unpack(c->message_arena, type, bytes, ret_error);
	if (message == NULL) {
		if (ret_error->code == ERROR_INTERNAL)
			*ret_error = grpc_error(c->arena, ERROR_INTERNAL,
						"grpc: failed to unmarshal the received message: " STR_FMT,
						STR_ARG(ret_error->message));
		return fail(c, ret_error);
	}
	*ret_message = message;
	return 1;
}

static const struct http_field plain_head[] = { { STR("content-type"), STR("application/grpc") },
						{ STR("grpc-encoding"), STR("gzip") } };

static int no_memory(struct grpc_call *c)
{
	c->failed = GRPC_NO_MEMORY;
	return -1;
}

static struct http_field content_type(const struct grpc_call *c)
{
	return (struct http_field){ STR("content-type"), c->content_type };
}

/* The header block, if it has not left yet. It may be another fiber than the call's own that sends first, so nothing
 * here may jump. */
static int begin(struct grpc_call *c)
{
	size_t n = c->gzip ? 2 : 1;
	struct http_field *all;

	if (c->began)
		return 0;
	if (c->nheaders == 0 && c->content_type.p == plain_head[0].value.p) {
		c->began = 1;
		return http_begin(c->x, 200, plain_head, n, -1);
	}
	all = arena_try(c->arena, (n + c->nheaders) * sizeof(*all));
	if (all == NULL)
		return no_memory(c);
	memcpy(all, plain_head, n * sizeof(*all));
	all[0] = content_type(c);
	if (c->nheaders > 0)
		memcpy(all + n, c->headers, c->nheaders * sizeof(*all));
	c->began = 1;
	return http_begin(c->x, 200, all, n + c->nheaders, -1);
}

/* What a client that sent `asked` gets: the same, with grpc-go's '+' where it wrote ';'. */
struct str grpc_content_type(struct arena *a, struct str asked)
{
	struct str plain = plain_head[0].value;
	char *p;

	if (asked.n <= plain.n + 1)
		return plain;
	p = (char *)arena_str(a, asked).p;
	p[plain.n] = '+';
	return (struct str){ p, asked.n };
}

/* framed: prefix and message; behind it `rest`, if the two are not one. */
static int send(struct grpc_call *c, struct str framed, struct str rest)
{
	int rc;

	if (c->over || c->ended)
		return -1;
	c->writing = 1;
	rc = begin(c);
	if (rc == 0)
		rc = http_write(c->x, framed);
	if (rc == 0 && !c->over && rest.n > 0)
		rc = http_write(c->x, rest);
	c->writing = 0;
	if (error_is(&c->failed))
		return -1;
	if (rc < 0 || c->over) {
		why_over(c);
		return -1;
	}
	c->sent += framed.n - GRPC_PREFIX + rest.n;
	return 0;
}

static int fits(struct grpc_call *c, size_t n)
{
	size_t limit = c->o->message_limit;

	if (limit == 0 || n <= limit)
		return 0;
	c->failed = grpc_error(c->arena, ERROR_RESOURCE_EXHAUSTED,
			       "trying to send message larger than max (%zu vs. %zu)", n, limit);
	return -1;
}

/* Compresses `message` and sends it. */
static int send_zipped(struct grpc_call *c, struct arena *a, struct str message)
{
	struct str out;

	if (c->zip == NULL && (c->zip = grpc_zip_new(c->arena)) == NULL)
		return no_memory(c);
	if (grpc_zip(c->zip, a, message, GRPC_PREFIX, &out, &c->failed) < 0 || fits(c, out.n - GRPC_PREFIX) < 0)
		return -1;
	grpc_frame_prefix((char *)out.p, 1, out.n - GRPC_PREFIX);
	return send(c, out, STR_NONE);
}

static int send_message(struct grpc_call *c, struct arena *a, const ProtobufCMessage *message)
{
	size_t n = protobuf_c_message_get_packed_size(message);
	char *p;

	if (!c->gzip && fits(c, n) < 0)
		return -1;
	p = n <= UINT32_MAX ? arena_try(a, GRPC_PREFIX + n) : NULL;
	if (p == NULL)
		return no_memory(c);
	protobuf_c_message_pack(message, (uint8_t *)p + GRPC_PREFIX);
	if (c->gzip && n > 0)
		return send_zipped(c, a, (struct str){ p + GRPC_PREFIX, n });
	grpc_frame_prefix(p, 0, n);
	return send(c, (struct str){ p, GRPC_PREFIX + n }, STR_NONE);
}

int grpc_send_reply(struct grpc_call *c, const ProtobufCMessage *message)
{
	return send_message(c, c->arena, message);
}

int grpc_send(struct grpc_call *c, const ProtobufCMessage *message)
{
	struct arena *a;
	int rc;

	if (c->over || c->ended || error_is(&c->failed))
		return -1;
	a = arena_new();
	rc = a ? send_message(c, a, message) : no_memory(c);
	arena_unref(a);
	return rc;
}

/* A small message leaves with its prefix in one frame; a large one is not copied for that. */
static int send_plain(struct grpc_call *c, struct arena *a, struct str message)
{
	size_t together = message.n <= ONE_WRITE ? message.n : 0;
	char *p = message.n <= UINT32_MAX ? arena_try(a, GRPC_PREFIX + together) : NULL;

	if (p == NULL)
		return no_memory(c);
	grpc_frame_prefix(p, 0, message.n);
	if (together > 0)
		memcpy(p + GRPC_PREFIX, message.p, together);
	return send(c, (struct str){ p, GRPC_PREFIX + together }, str_from(message, together));
}

int grpc_send_bytes(struct grpc_call *c, struct str message)
{
	struct arena *a;
	int rc;

	if (c->over || c->ended || error_is(&c->failed) || (!c->gzip && fits(c, message.n) < 0))
		return -1;
	a = arena_new();
	if (a == NULL)
		return no_memory(c);
	rc = c->gzip && message.n > 0 ? send_zipped(c, a, message) : send_plain(c, a, message);
	arena_unref(a);
	return rc;
}

static const struct http_field status_ok[] = { { STR("grpc-status"), STR("0") } };

static struct str code_text(struct arena *a, int code)
{
	char *p;

	static const struct str texts[] = { STR("0"),  STR("1"),  STR("2"),  STR("3"),	STR("4"),  STR("5"),
					    STR("6"),  STR("7"),  STR("8"),  STR("9"),	STR("10"), STR("11"),
					    STR("12"), STR("13"), STR("14"), STR("15"), STR("16") };

	if (code >= 0 && code <= ERROR_UNAUTHENTICATED)
		return texts[code];
	p = code > 0 && code < 100 ? arena_try(a, 2) : NULL; /* an application's own */
	if (p == NULL)
		return texts[ERROR_UNKNOWN];
	p[0] = (char)('0' + code / 10);
	p[1] = (char)('0' + code % 10);
	return (struct str){ p, 2 };
}

/* Writes the status to fields, which has room for three; returns how many. */
static size_t status_fields(struct grpc_call *c, const struct error *e, struct http_field *fields)
{
	struct str details = error_is(e) && c->o->details ? c->o->details(c->arena, e) : STR_NONE;
	size_t n = 0;

	fields[n++] = (struct http_field){ STR("grpc-status"), code_text(c->arena, e->code) };
	if (e->message.n > 0)
		fields[n++] = (struct http_field){ STR("grpc-message"), grpc_percent(c->arena, e->message) };
	if (details.n > 0)
		fields[n++] = (struct http_field){ STR("grpc-status-details-bin"), grpc_base64(c->arena, details) };
	return n;
}

/* All there is to say in one header block that ends the stream. */
static void send_alone(struct grpc_call *c, int http, const struct http_field *fields, size_t n)
{
	c->began = c->ended = 1;
	http_reply(c->x, http, fields, n, STR_NONE);
}

void grpc_send_status(struct grpc_call *c, const struct error *e)
{
	struct http_field *fields;
	size_t n = 0;

	if (c->ended)
		return;
	if (c->began && !error_is(e) && c->ntrailers == 0) {
		c->ended = 1;
		http_end(c->x, status_ok, 1);
		return;
	}
	fields = arena_alloc(c->arena, (4 + c->ntrailers) * sizeof(*fields));
	if (!c->began && c->nheaders == 0)
		fields[n++] = content_type(c);
	n += status_fields(c, e, fields + n);
	if (c->ntrailers > 0)
		memcpy(fields + n, c->trailers, c->ntrailers * sizeof(*fields));
	n += c->ntrailers;
	if (!c->began && c->nheaders == 0) {
		send_alone(c, 200, fields, n);
		return;
	}
	begin(c);
	c->ended = 1;
	http_end(c->x, fields, n);
}

void grpc_send_refusal(struct grpc_call *c, int http, const struct error *e)
{
	struct http_field *fields = arena_alloc(c->arena, 3 * sizeof(*fields));

	fields[0] = content_type(c);
	fields[1] = (struct http_field){ STR("grpc-status"), code_text(c->arena, e->code) };
	fields[2] = (struct http_field){ STR("grpc-message"), grpc_percent(c->arena, e->message) };
	send_alone(c, http, fields, 3);
}

/* Neither of the two that end a response waits, so the loop may call them. */
static void answer_expired(struct grpc_call *c)
{
	static const struct http_field fields[] = { { STR("content-type"), STR("application/grpc") },
						    { STR("grpc-status"), STR("4") },
						    { STR("grpc-message"), STR("context deadline exceeded") } };

	if (c->writing) { /* the client does not even take what is there */
		c->ended = 1;
		http_abort(c->x, H2_CANCEL);
	} else if (c->began) {
		c->ended = 1;
		http_end(c->x, fields + 1, 2);
	} else {
		send_alone(c, 200, fields, 3);
	}
}

void grpc_finish(struct grpc_call *c, const struct error *e)
{
	jmp_buf here, *outer;

	if (c->over || c->ended)
		return;
	outer = arena_on_oom(c->arena, &here);
	if (c->writing || setjmp(here) != 0) { /* the client does not even take what is there, or there is no memory */
		c->ended = 1;
		http_abort(c->x, H2_CANCEL);
	} else {
		grpc_send_status(c, e);
	}
	arena_on_oom(c->arena, outer);
	c->failed = *e;
	end_early(c, ERROR_CANCELLED);
}

void grpc_call_expired(struct grpc_call *c)
{
	jmp_buf here, *outer;

	if (c->over || c->ended)
		return;
	/* This is the loop's stack: a jump to the handler's would be the end. */
	outer = arena_on_oom(c->arena, &here);
	if (setjmp(here) == 0)
		answer_expired(c);
	arena_on_oom(c->arena, outer);
	end_early(c, ERROR_DEADLINE_EXCEEDED);
}
