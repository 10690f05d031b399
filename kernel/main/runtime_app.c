/* SPDX-License-Identifier: Apache-2.0 */
/* The application's side of a start: who it is, waiting for it, what it subscribes to. */
#include "base/banned.h"
#include "base/duration.h"
#include "main/runtime_inside.h"

static const char *const protocols[] = { "http", "https", "h2c", "grpc", "grpcs" };

void runtime_describe_app(struct runtime *r)
{
	const struct options *o = r->o;
	struct api *api = &r->api;
	char text[DURATION_TEXT];

	api->app.port = o->number.app_port;
	api->app.protocol = str_of(protocols[o->protocol]);
	api->app.channel_address = o->app_channel_address;
	api->app.max_concurrency = o->app_max_concurrency > 0 ? (int)o->app_max_concurrency : 0;
	if (!o->enable_app_health_check)
		return;
	api->app.health = 1;
	if (o->protocol < APP_PROTOCOL_GRPC)
		api->app.health_path = o->app_health_check_path;
	duration_text(o->app_health_probe_interval * 1000000000, text);
	api->app.health_interval = arena_str(r->arena, str_of(text));
	duration_text(o->app_health_probe_timeout * 1000000, text);
	api->app.health_timeout = arena_str(r->arena, str_of(text));
	api->app.health_threshold = (int)o->app_health_threshold;
}

static void app_ready(void *ctx)
{
	struct runtime *r = ctx;

	r->hook.tell(r->hook.ctx, RUNTIME_APP_READY);
}

static void app_changed(void *ctx, int healthy)
{
	struct runtime *r = ctx;

	if (!healthy)
		r->hook.tell(r->hook.ctx, RUNTIME_APP_UNHEALTHY);
	subscribers_changed(r->subscribers, healthy);
}

static int lists(const struct options_list *l, const char *word)
{
	size_t i;

	for (i = 0; i < l->n; i++)
		if (str_is(l->at[i], word))
			return 1;
	return 0;
}

int runtime_start_app(struct runtime *r, struct arena *a, struct str *ret_message)
{
	static const enum app_channel channels[] = { APP_CHANNEL_HTTP, APP_CHANNEL_HTTPS, APP_CHANNEL_H2C,
						     APP_CHANNEL_GRPC, APP_CHANNEL_GRPCS };
	const struct options *o = r->o;
	struct app_options p = {
		.app_id = o->app_id,
		.address = o->app_channel_address,
		.port = o->number.app_port,
		.channel = channels[o->protocol],
		.max_concurrency = r->api.app.max_concurrency,
		.token = runtime_environment("APP_API_TOKEN"),
		.body_limit = r->api.body_limit,
		.header_limit = (size_t)o->read_buffer_size,
		.skip_config = lists(&o->disable_init_endpoints, "config"),
		.health_check = o->enable_app_health_check,
		.health_path = o->app_health_check_path,
		.health_interval_ns = o->app_health_probe_interval * 1000000000,
		.health_timeout_ns = o->app_health_probe_timeout * 1000000,
		.health_threshold = (int)o->app_health_threshold,
		.metrics = r->metrics,
		.ctx = r,
		.ready = app_ready,
		.changed = app_changed,
	};
	struct error e;

	r->app = app_new(&p, r->loops, r->nloops, a, &e);
	if (r->app == NULL) {
		*ret_message = e.message;
		return -1;
	}
	if (o->number.app_port > 0)
		subscribers_call(r->subscribers, r->app);
	atomic_store_explicit(&r->invoker.app, r->app, memory_order_release);
	atomic_store_explicit(&r->api.mesh.app, r->app, memory_order_release);
	app_start(r->app);
	return 0;
}

int runtime_make_subscribers(struct runtime *r, struct arena *a, struct str *ret_message)
{
	struct subscribers_options o = { .resources = r->resources,
					 .tracer = &r->api.tracer,
					 .skip_list = lists(&r->o->disable_init_endpoints, "subscribe"),
					 .loops = r->loops,
					 .nloops = r->nloops };

	r->subscribers = subscribers_new(&o, a, ret_message);
	if (r->subscribers == NULL)
		return -1;
	subscribers_use(r->subscribers, r->blocks);
	r->api.subscribers = r->subscribers;
	return 0;
}
