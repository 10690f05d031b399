/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A server on kernel/grpc and kernel/http for grpc_echo.py: what a method does beyond echoing, its metadata says.
 *
 *	grpc_echo PORT MESSAGE-LIMIT LOOPS [unknown]	"ready PORT" on standard output; ends on SIGTERM
 */
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"
#include "google/protobuf/wrappers.pb-c.h"
#include "google/rpc/error_details.pb-c.h"
#include "google/rpc/status.pb-c.h"
#include "grpc/server.h"
#include "http/server.h"
#include "loop/fiber.h"
#include "loop/loop.h"

#define BYTES google__protobuf__bytes_value__descriptor
#define STRING google__protobuf__string_value__descriptor

static atomic_int finished[ERROR_UNAUTHENTICATED + 1], befores, cancels;

static atomic_int fail_in, fail_next; /* the allocation that fails, 0 and below: none; the same for the next call */

static int fails(void)
{
	return fail_in > 0 && atomic_fetch_sub(&fail_in, 1) == 1;
}

#include "failing_mem.h"

static int64_t number(struct grpc_call *c, struct str name, int64_t otherwise)
{
	int64_t n;

	return str_int(grpc_metadata(c, name), &n) < 0 ? otherwise : n;
}

/* What the call asks for in its metadata. */
static struct error obey(struct grpc_call *c)
{
	struct str bin = grpc_metadata_bin(c, STR("x-data-bin")), text = grpc_metadata(c, STR("x-text"));
	int64_t until = clock_ns() + number(c, STR("x-sleep-ms"), 0) * 1000000;

	while (clock_ns() < until)
		fiber_park_until(until);
	if (bin.p != NULL) {
		grpc_header(c, STR("y-data-bin"), bin);
		grpc_trailer(c, STR("z-data-bin"), bin);
	}
	if (text.p != NULL) {
		grpc_header(c, STR("y-text"), text);
		grpc_trailer(c, STR("z-text"), text);
	}
	return (struct error){ .code = (int32_t)number(c, STR("x-status"), 0),
			       .message = grpc_metadata(c, STR("x-message")) };
}

static struct error echo(struct grpc_call *c, const void *request, const ProtobufCMessage **ret_reply)
{
	*ret_reply = request;
	return obey(c);
}

/* From the next call on, the x-count-th allocation of the process fails. Answers whether one was still to come. */
static struct error fail(struct grpc_call *c, const void *request, const ProtobufCMessage **ret_reply)
{
	Google__Protobuf__StringValue *reply = arena_alloc(c->arena, sizeof(*reply));

	(void)request;
	google__protobuf__string_value__init(reply);
	reply->value = c->user ? "more" : "done";
	*ret_reply = &reply->base;
	atomic_store(&fail_next, (int)number(c, STR("x-count"), 0));
	return ERROR_NONE;
}

/* Fail itself is safe from it. */
static void fail_from_here(struct grpc_call *c)
{
	int next = atomic_exchange(&fail_next, 0);

	if (str_is(c->method_name, "Fail"))
		c->user = atomic_exchange(&fail_in, 0) > 0 ? c : NULL;
	else if (next > 0)
		atomic_store(&fail_in, next);
}

struct waiter {
	struct fiber *fiber;
	int called;
};

static void on_cancel(void *arg)
{
	struct waiter *w = arg;

	atomic_fetch_add(&cancels, 1);
	w->called = 1;
	fiber_wake(w->fiber);
}

static struct error wait_for_cancel(struct grpc_call *c, const void *request, const ProtobufCMessage **ret_reply)
{
	struct waiter w = { fiber_self(), 0 };

	grpc_on_cancel(c, on_cancel, &w);
	while (!w.called)
		fiber_park();
	*ret_reply = request;
	return ERROR_NONE;
}

/* "befores 3 cancels 0 0=2 5=1": how the calls ended so far. */
static struct error counts(struct grpc_call *c, const void *request, const ProtobufCMessage **ret_reply)
{
	Google__Protobuf__StringValue *reply = arena_alloc(c->arena, sizeof(*reply));
	struct str text = arena_printf(c->arena, "befores %d cancels %d", befores, cancels);
	int i;

	(void)request;
	google__protobuf__string_value__init(reply);
	for (i = 0; i <= ERROR_UNAUTHENTICATED; i++)
		if (finished[i] > 0)
			text = arena_printf(c->arena, STR_FMT " %d=%d", STR_ARG(text), i, finished[i]);
	reply->value = (char *)text.p;
	*ret_reply = &reply->base;
	return ERROR_NONE;
}

/* x-count messages of x-size bytes. */
static struct error repeat(struct grpc_call *c)
{
	Google__Protobuf__BytesValue reply = GOOGLE__PROTOBUF__BYTES_VALUE__INIT;
	int64_t n = number(c, STR("x-count"), 1);
	struct error e = ERROR_NONE;
	void *request;

	if (grpc_recv(c, &BYTES, &request, &e) < 0)
		return e;
	reply.value.len = (size_t)number(c, STR("x-size"), 10);
	reply.value.data = arena_zalloc(c->arena, reply.value.len + 1);
	while (n-- > 0)
		if (grpc_send(c, &reply.base) < 0)
			return ERROR_NONE;
	return obey(c);
}

static struct error chat(struct grpc_call *c)
{
	struct error e = ERROR_NONE;
	void *message;
	int rc;

	while ((rc = grpc_recv(c, &BYTES, &message, &e)) > 0)
		if (grpc_send(c, message) < 0)
			break;
	return rc < 0 ? e : obey(c);
}

/* Answers any method with what it was sent, undecoded. */
static struct error unknown(void *ctx, struct grpc_call *c)
{
	struct error e = ERROR_NONE;
	struct str message;
	int rc;

	(void)ctx;
	while ((rc = grpc_recv_bytes(c, &message, &e)) > 0)
		if (grpc_send_bytes(c, message) < 0)
			break;
	return rc < 0 ? e : obey(c);
}

static struct error before(void *ctx, struct grpc_call *c)
{
	(void)ctx;
	atomic_fetch_add(&befores, 1);
	fail_from_here(c);
	if (grpc_metadata(c, STR("x-forbidden")).p != NULL)
		return error_new(c->arena, ERROR_PERMISSION_DENIED, NULL, "not for you");
	return ERROR_NONE;
}

static void after(void *ctx, struct grpc_call *c, const struct error *e)
{
	(void)ctx, (void)c;
	atomic_fetch_add(&finished[e->code], 1);
}

static struct str details(struct arena *a, const struct error *e)
{
	Google__Rpc__ErrorInfo info = GOOGLE__RPC__ERROR_INFO__INIT;
	Google__Rpc__Status status = GOOGLE__RPC__STATUS__INIT;
	Google__Protobuf__Any any = GOOGLE__PROTOBUF__ANY__INIT, *list = &any;
	uint8_t *p;

	if (e->code != ERROR_FAILED_PRECONDITION)
		return STR_NONE;
	info.reason = "DAPR_TEST";
	info.domain = "dapr.io";
	any.type_url = "type.googleapis.com/google.rpc.ErrorInfo";
	any.value.data = arena_alloc(a, google__rpc__error_info__get_packed_size(&info));
	any.value.len = google__rpc__error_info__pack(&info, any.value.data);
	status.code = e->code;
	status.message = (char *)arena_str(a, e->message).p;
	status.n_details = 1;
	status.details = &list;
	p = arena_alloc(a, google__rpc__status__get_packed_size(&status));
	return (struct str){ (char *)p, google__rpc__status__pack(&status, p) };
}

static const struct grpc_method methods[] = {
	{ "Echo", GRPC_UNARY, &BYTES, &BYTES, echo, NULL },
	{ "Text", GRPC_UNARY, &STRING, &STRING, echo, NULL },
	{ "Wait", GRPC_UNARY, &BYTES, &BYTES, wait_for_cancel, NULL },
	{ "Fail", GRPC_UNARY, &BYTES, &STRING, fail, NULL },
	{ "Counts", GRPC_UNARY, &BYTES, &STRING, counts, NULL },
	{ "Repeat", GRPC_SERVER_STREAM, &BYTES, &BYTES, NULL, repeat },
	{ "Chat", GRPC_BIDI, &BYTES, &BYTES, NULL, chat },
};
static const struct grpc_service service = { "test.Echo", methods, sizeof(methods) / sizeof(methods[0]) };
static const struct grpc_service *const services[] = { &service, NULL };

int main(int argc, char **argv)
{
	struct grpc_options grpc = { .services = services, .before = before, .after = after, .details = details };
	struct http_server_options o = http_server_defaults();
	struct loop *loops[8];
	struct http_server *server;
	struct arena *a = arena_new();
	struct str why;
	sigset_t ends;
	int i, n, caught;

	if (argc < 4 || (n = (int)strtol(argv[3], NULL, 10)) < 1 || n > 8)
		return 2;
	sigemptyset(&ends);
	sigaddset(&ends, SIGTERM);
	sigprocmask(SIG_BLOCK, &ends, NULL);
	grpc.message_limit = strtoul(argv[2], NULL, 10);
	grpc.unknown = argc > 4 ? unknown : NULL;
	o.name = "echo";
	grpc_http_options(&o);
	o.handle = grpc_handle;
	o.refuse = grpc_refuse;
	o.ctx = &grpc;
	for (i = 0; i < n; i++)
		if ((loops[i] = loop_new(i)) == NULL || loop_start(loops[i]) < 0)
			return 1;
	server = http_listen_tcp(&o, loops, n, "127.0.0.1", (int)strtol(argv[1], NULL, 10), a, &why);
	if (server == NULL) {
		fprintf(stderr, "grpc_echo: " STR_FMT "\n", STR_ARG(why));
		return 1;
	}
	printf("ready %d\n", http_server_port(server));
	fflush(stdout);
	sigwait(&ends, &caught);
	http_server_drain(server);
	http_server_close(server, 1000);
	for (i = 0; i < n; i++) {
		loop_stop(loops[i]);
		loop_join(loops[i]);
		loop_free(loops[i]);
	}
	grpc_release(&grpc);
	arena_unref(a);
	arena_drop_stock();
	return 0;
}
