/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The internal gRPC service, as another sidecar calls it, with an application behind it: bytes in the place of messages. The
 * first byte chooses the method (or another service, to be proxied), the second whether the stream is ended.
 */
#include "api/api.h"
#include "app/app.h"
#include "fuzz_frames.h"
#include "fuzz_server.h"

static struct api api;
static struct invoker invoker;

/* HPACK's literals that are not indexed; names and values below 127 bytes. */
static void field(struct buf *b, const char *name, const char *value)
{
	buf_addc(b, 0);
	buf_addc(b, (char)strlen(name));
	buf_adds(b, str_of(name));
	buf_addc(b, (char)strlen(value));
	buf_adds(b, str_of(value));
}

static void add_head(struct buf *b, unsigned choice)
{
	static const char *const paths[] = { "/dapr.proto.internals.v1.ServiceInvocation/CallLocal",
					     "/dapr.proto.internals.v1.ServiceInvocation/CallLocalStream",
					     "/dapr.proto.internals.v1.ServiceInvocation/CallActor",
					     "/test.Echo/Unary" };
	struct buf h = buf_init();

	field(&h, ":method", "POST");
	field(&h, ":scheme", "http");
	field(&h, ":path", paths[choice % 4]);
	field(&h, ":authority", "x");
	field(&h, "te", "trailers");
	field(&h, "content-type", "application/grpc");
	field(&h, "traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
	if (choice & 4)
		field(&h, "grpc-encoding", "gzip");
	if (choice % 4 == 3)
		field(&h, "dapr-app-id", "app");
	fuzz_frame(b, 1, 4, 1, h.p, h.n);
	buf_free(&h);
}

static void set_up(void)
{
	struct http_server_options o = http_server_defaults();
	struct http_server *echo;
	struct app_options p = { .app_id = STR("app"),
				 .address = STR("127.0.0.1"),
				 .channel = APP_CHANNEL_HTTP,
				 .body_limit = 1 << 20,
				 .header_limit = 4096 };
	struct str why = STR("");
	struct error e;

	o.name = "fuzz";
	o.protocols = HTTP_1;
	o.handle = fuzz_handle;
	fuzz_loop();
	api.arena = arena_new();
	echo = http_listen_tcp(&o, &rig.loop, 1, "127.0.0.1", 0, api.arena, &why);
	fuzz_require(echo != NULL);
	p.port = http_server_port(echo);
	api.app_id = STR("app");
	api.tracer = tracer_of(STR("1"), 1);
	api.body_limit = 1 << 20;
	api.invoker = &invoker;
	invoker.app_id = STR("app");
	invoker.name_space = STR("");
	invoker.app = app_new(&p, &rig.loop, 1, api.arena, &e);
	fuzz_require(invoker.app != NULL && api_init(&api) == 0);
	api.mesh = (struct mesh_server){
		.app_id = STR("app"), .app = invoker.app, .tracer = &api.tracer, .body_limit = 1 << 20
	};
	o.protocols = HTTP_2;
	o.handle = api_handle_internal;
	o.refuse = api_refuse_grpc;
	o.ctx = &api;
	grpc_http_options(&o);
	fuzz_serve(&o);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str input = { (const char *)data, size };
	struct buf b = buf_init();
	unsigned choice, end;

	if (rig.loop == NULL)
		set_up();
	choice = fuzz_choice(&input);
	end = fuzz_choice(&input) & 1;
	fuzz_begin(&b);
	add_head(&b, choice);
	fuzz_frame(&b, 0, end, 1, input.p, input.n);
	fuzz_talk(buf_str(&b));
	FUZZ_PLANTED(choice % 4 == 3 && input.n == 9);
	buf_free(&b);
	return 0;
}
