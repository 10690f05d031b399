/* SPDX-License-Identifier: Apache-2.0 */
#include "app/app.h"

#include "app/inside.h"
#include "base/banned.h"
#include "base/mem.h"
#include "loop/fiber.h"

/*
 * Connections of a loop to a gRPC application. How many streams it takes on one is how much it wants to do at once, so another
 * is made only when very many wait; Dapr's limit is 2,048, which our servers' limit of streams keeps from being reached.
 */
#define MOST_GRPC 8
#define LIMIT_OF_LOOPS 1024 /* connections to the application, as Dapr has them */

static const char *const names[] = { "http", "https", "h2c", "grpc", "grpcs" };

const char *app_channel_name(enum app_channel c)
{
	return names[c];
}

int app_channel_is_http(enum app_channel c)
{
	return c <= APP_CHANNEL_H2C;
}

static void copy_options(struct app *p, const struct app_options *o)
{
	p->o = *o;
	p->o.app_id = arena_str(p->arena, o->app_id);
	p->o.address = arena_str(p->arena, o->address);
	p->o.token = arena_str(p->arena, o->token);
	p->o.health_path = str_starts(o->health_path, STR("/"))
				   ? arena_str(p->arena, o->health_path)
				   : arena_printf(p->arena, "/" STR_FMT, STR_ARG(o->health_path));
}

static void stop_now(struct loop_task *t);
static void start_now(struct loop_task *t);

/* As Dapr's: whatever certificate the application has is believed; it is on this machine, or in this pod. */
static int make_tls(struct app *p)
{
	struct tls_options o = { .insecure = 1 };
	char why[128];

	if (p->o.port == 0 || (p->o.channel != APP_CHANNEL_HTTPS && p->o.channel != APP_CHANNEL_GRPCS))
		return 0;
	o.alpn = p->o.channel == APP_CHANNEL_GRPCS ? STR("h2") : STR("http/1.1");
	p->tls = tls_context_new(&o, why, sizeof(why));
	return p->tls != NULL ? 0 : -1;
}

static int prepare(struct app *p, struct loop *const *loops, int nloops)
{
	const struct app_options *o = &p->o;
	struct app_health_hooks hooks = { .probe = app_probe, .changed = app_health_changed, .ctx = p };

	p->loops = arena_alloc(p->arena, sizeof(*loops) * (size_t)nloops);
	memcpy(p->loops, loops, sizeof(*loops) * (size_t)nloops);
	p->sides = arena_zalloc(p->arena, sizeof(*p->sides) * (size_t)nloops);
	p->nloops = nloops;
	p->told = -1;
	p->start.run = start_now;
	p->stop.run = stop_now;
	if (make_tls(p) < 0)
		return -1;
	if (o->max_concurrency > 0 && (p->limit = app_limit_new(o->max_concurrency)) == NULL)
		return -1;
	if (!o->health_check || o->port == 0)
		return 0;
	p->health = app_health_new(o->health_interval_ns, o->health_timeout_ns, o->health_threshold, &hooks);
	return p->health != NULL ? 0 : -1;
}

static void release(struct app *p)
{
	struct arena *a = p->arena;

	arena_unref(p->config_arena);
	app_health_free(p->health);
	app_limit_free(p->limit);
	tls_context_unref(p->tls);
	uv_sem_destroy(&p->ended);
	arena_unref(a); /* p lies in it */
}

struct app *app_new(const struct app_options *o, struct loop *const *loops, int nloops, struct arena *a,
		    struct error *ret_error)
{
	struct arena *own = NULL;
	struct app *p = NULL;

	own = arena_new();
	p = own != NULL ? arena_try(own, sizeof(*p)) : NULL;
	if (p != NULL) {
		memset(p, 0, sizeof(*p));
		p->arena = own;
		if (uv_sem_init(&p->ended, 0) < 0)
			p = NULL;
	}
	if (p != NULL) {
		copy_options(p, o);
		if (prepare(p, loops, nloops) == 0)
			return p;
		release(p);
	} else {
		arena_unref(own);
	}
	*ret_error = error_new(a, ERROR_RESOURCE_EXHAUSTED, NULL, "out of memory");
	return NULL;
}

const struct app_options *app_options(const struct app *p)
{
	return &p->o;
}

int app_healthy(const struct app *p)
{
	return p->health == NULL || app_health_is(p->health);
}

const struct app_config *app_config(const struct app *p)
{
	return atomic_load_explicit(&p->config, memory_order_acquire);
}

/* On the first loop. */
static void start_now(struct loop_task *t)
{
	struct app *p = (struct app *)((char *)t - offsetof(struct app, start));

	p->nfibers++;
	if (fiber_start(p->loops[0], app_run, p) < 0)
		app_fiber_ended(p);
}

void app_start(struct app *p)
{
	atomic_store(&p->started, 1);
	loop_post(p->loops[0], &p->start);
}

void app_fiber_ended(struct app *p)
{
	if (--p->nfibers == 0 && p->stopping)
		uv_sem_post(&p->ended);
}

/* On the first loop. */
static void stop_now(struct loop_task *t)
{
	struct app *p = (struct app *)((char *)t - offsetof(struct app, stop));

	p->stopping = 1;
	if (p->health != NULL)
		app_health_stop(p->health);
	if (p->config_call != NULL)
		http_call_cancel(p->config_call);
	if (p->probe_call != NULL)
		http_call_cancel(p->probe_call);
	if (p->probe_stream != NULL)
		grpc_stream_cancel(p->probe_stream);
	if (p->starter != NULL)
		fiber_wake(p->starter);
	if (p->teller != NULL)
		fiber_wake(p->teller);
	if (p->nfibers == 0)
		uv_sem_post(&p->ended);
}

void app_stop(struct app *p)
{
	if (atomic_exchange(&p->stop_asked, 1) == 0)
		loop_post(p->loops[0], &p->stop);
}

static struct app_side *my_side(struct app *p)
{
	struct loop *l = loop_self();
	int i;

	for (i = 0; i < p->nloops; i++)
		if (p->loops[i] == l)
			return &p->sides[i];
	return NULL;
}

static void free_side(void *app)
{
	struct app_side *s = my_side(app);

	http_client_free(s->http);
	grpc_client_free(s->grpc);
	*s = (struct app_side){ .freed = 1 };
}

void app_free(struct app *p)
{
	int i;

	if (p == NULL)
		return;
	app_stop(p);
	uv_sem_wait(&p->ended);
	for (i = 0; i < p->nloops; i++)
		loop_call(p->loops[i], free_side, p);
	release(p);
}

struct http_client *app_http(struct app *p)
{
	struct http_client_options o = http_client_defaults();
	struct app_side *s = my_side(p);

	if (s == NULL || s->freed || p->o.port == 0 || !app_channel_is_http(p->o.channel))
		return NULL;
	if (s->http != NULL)
		return s->http;
	o.host = p->o.address;
	o.port = p->o.port;
	o.major = p->o.channel == APP_CHANNEL_H2C ? 2 : 1;
	o.tls = p->tls;
	o.connection_limit = LIMIT_OF_LOOPS / p->nloops;
	if (p->o.header_limit > 0)
		o.header_limit = p->o.header_limit;
	s->http = http_client_new(loop_self(), &o);
	return s->http;
}

struct grpc_client *app_grpc(struct app *p)
{
	struct grpc_client_options o = grpc_client_defaults();
	struct app_side *s = my_side(p);

	if (s == NULL || s->freed || p->o.port == 0 || app_channel_is_http(p->o.channel))
		return NULL;
	if (s->grpc != NULL)
		return s->grpc;
	o.host = p->o.address;
	o.port = p->o.port;
	o.tls = p->tls;
	o.message_limit = p->o.body_limit;
	o.growth = MOST_GRPC;
	s->grpc = grpc_client_new(loop_self(), &o);
	return s->grpc;
}

struct error app_enter(struct app *p, int64_t deadline_ns)
{
	const uint8_t *stop = NULL;

	if (p->o.port == 0)
		return (struct error){ .code = ERROR_INTERNAL, .message = STR("app channel is not initialized") };
	if (!app_healthy(p))
		return (struct error){ .code = ERROR_INTERNAL, .message = STR("app is not in a healthy state") };
	if (loop_self() == p->loops[0]) /* only there can `stopping` be looked at, and who waits be woken */
		stop = &p->stopping;
	if (p->limit == NULL || app_limit_enter(p->limit, deadline_ns, stop) == 0)
		return ERROR_NONE;
	if (stop != NULL && *stop)
		return (struct error){ .code = ERROR_CANCELLED, .message = STR("context canceled") };
	return (struct error){ .code = ERROR_DEADLINE_EXCEEDED, .message = STR("context deadline exceeded") };
}

void app_leave(struct app *p)
{
	if (p->limit != NULL)
		app_limit_leave(p->limit);
}

int app_token_field(const struct app *p, struct http_field *ret_field)
{
	if (p->o.token.n == 0)
		return 0;
	*ret_field = (struct http_field){ STR("dapr-api-token"), p->o.token };
	return 1;
}

/* The request with the token in place of one that the caller may have passed on. */
static int add_token(struct app *p, struct http_request *q, struct arena *a)
{
	struct http_field *f, token;
	size_t i, n = 0;

	if (!app_token_field(p, &token))
		return 0;
	f = arena_try(a, (q->nfields + 1) * sizeof(*f));
	if (f == NULL)
		return -1;
	for (i = 0; i < q->nfields; i++)
		if (!str_ieq(q->fields[i].name, token.name))
			f[n++] = q->fields[i];
	f[n++] = token;
	q->fields = f;
	q->nfields = n;
	return 0;
}

struct error app_begin(struct app *p, const struct http_request *request, struct arena *a, struct http_call **ret_call)
{
	struct http_client *client = app_http(p);
	struct http_request q = *request;
	struct http_call *call;
	struct error e = app_enter(p, q.deadline_ns);

	if (error_is(&e))
		return e;
	e = (struct error){ .code = ERROR_RESOURCE_EXHAUSTED, .message = STR("out of memory") };
	call = client != NULL && add_token(p, &q, a) == 0 ? http_call_new(client, a) : NULL;
	if (call != NULL)
		e = http_call_start(call, &q);
	if (!error_is(&e)) {
		*ret_call = call;
		return e;
	}
	http_call_close(call);
	app_leave(p);
	return e;
}

void app_end(struct app *p, struct http_call *call)
{
	http_call_close(call);
	app_leave(p);
}
