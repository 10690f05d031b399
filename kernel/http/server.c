/* SPDX-License-Identifier: Apache-2.0 */
#include "http/server.h"

#include <time.h>

#include "base/banned.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "http/inside.h"

#define LOG_SCOPE "dapr.runtime.http"
#define AFTER_CUT 2000 /* ms for handlers to notice that their connection was cut */

struct http_server_options http_server_defaults(void)
{
	return (struct http_server_options){
		.name = "HTTP",
		.protocols = HTTP_1 | HTTP_2,
		.header_limit = 8192,
		.header_timeout_ms = 10000,
		.idle_body_timeout_ms = 60000,
		.stall_timeout_ms = 60000,
		.connection_limit = 10000,
		.stream_limit = 1000,
		.window = 65536,
	};
}

/* "Sun, 06 Nov 1994 08:49:37 GMT", made once a second. */
struct str server_date(struct server_loop *sl)
{
	static const char days[] = "SunMonTueWedThuFriSat", months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	uint64_t now = uv_now(loop_uv(sl->loop));
	int64_t wall;
	time_t seconds;
	struct tm t;

	if (now < sl->date_until)
		return (struct str){ sl->date, sl->date_n };
	wall = clock_wall_ns();
	seconds = wall / 1000000000;
	gmtime_r(&seconds, &t);
	sl->date_n = (size_t)snprintf(sl->date, sizeof(sl->date), "%.3s, %02d %.3s %04d %02d:%02d:%02d GMT",
				      days + 3 * t.tm_wday, t.tm_mday, months + 3 * t.tm_mon, t.tm_year + 1900,
				      t.tm_hour, t.tm_min, t.tm_sec);
	sl->date_until = now + 1000 - (uint64_t)(wall / 1000000 % 1000);
	return (struct str){ sl->date, sl->date_n };
}

void server_handle_closed(uv_handle_t *h)
{
	struct server_loop *sl = h->data;

	count(&sl->handles, -1);
}

static void server_free(struct http_server *s)
{
	struct server_loop *sl;
	struct input_stock *b;

	if (s == NULL)
		return;
	for (sl = s->loops; sl != NULL && sl < s->loops + s->nloops; sl++) {
		output_drop_stock(&sl->stock);
		while ((b = sl->inputs) != NULL) {
			sl->inputs = b->next;
			mem_free(b);
		}
		mem_free(sl->read_buffer);
	}
	mem_free(s->loops);
	mem_free(s->name);
	mem_free(s->path);
	mem_free(s);
}

static void start_on_loop(struct loop_task *t)
{
	listen_start((struct server_loop *)((char *)t - offsetof(struct server_loop, start)));
}

static struct http_server *server_new(const struct http_server_options *o, struct loop *const *loops, int nloops)
{
	struct http_server *s = mem_zalloc(sizeof(*s));
	struct server_loop *sl;
	int i;

	if (s == NULL)
		return NULL;
	s->o = *o;
	/* HTTP/2 takes a header block in pieces, HTTP/1 reads all of it here first. */
	s->input_size = (o->protocols & HTTP_1 ? o->header_limit : 8192) + 16384;
	s->name = mem_dup(o->name ? o->name : "HTTP", strlen(o->name ? o->name : "HTTP"));
	s->loops = mem_zalloc((size_t)nloops * sizeof(*s->loops));
	if (s->name == NULL || s->loops == NULL)
		goto failed;
	s->o.name = s->name;
	s->nloops = nloops;
	for (i = 0; i < nloops; i++) {
		sl = &s->loops[i];
		sl->server = s;
		sl->loop = loops[i];
		sl->fd = -1;
		sl->start.run = start_on_loop;
		sl->read_buffer = mem_alloc(s->input_size);
		if (sl->read_buffer == NULL)
			goto failed;
	}
	return s;
failed:
	server_free(s);
	return NULL;
}

static struct http_server *server_open(const struct http_server_options *o, struct loop *const *loops, int nloops,
				       const char *host, int port, const char *path, struct arena *a,
				       struct str *ret_message)
{
	struct http_server *s = server_new(o, loops, nloops);
	int i, failed;

	if (s == NULL) {
		*ret_message = STR("out of memory");
		return NULL;
	}
	failed = path != NULL ? listen_unix(s, path, a, ret_message) : listen_tcp(s, host, port, a, ret_message);
	if (!failed && path != NULL && (s->path = mem_dup(path, strlen(path))) == NULL) {
		*ret_message = STR("out of memory");
		listen_close(s);
		failed = 1;
	}
	if (failed) {
		server_free(s);
		return NULL;
	}
	for (i = 0; i < nloops; i++)
		loop_post(s->loops[i].loop, &s->loops[i].start);
	return s;
}

struct http_server *http_listen_tcp(const struct http_server_options *o, struct loop *const *loops, int nloops,
				    const char *host, int port, struct arena *a, struct str *ret_message)
{
	return server_open(o, loops, nloops, host, port, NULL, a, ret_message);
}

struct http_server *http_listen_unix(const struct http_server_options *o, struct loop *const *loops, int nloops,
				     const char *path, struct arena *a, struct str *ret_message)
{
	return server_open(o, loops, nloops, NULL, 0, path, a, ret_message);
}

int http_server_port(const struct http_server *s)
{
	return s->port;
}

static int sum(const struct http_server *s, size_t member)
{
	int i, n = 0;

	for (i = 0; i < s->nloops; i++)
		n += atomic_load_explicit((atomic_int *)((char *)&s->loops[i] + member), memory_order_acquire);
	return n;
}

int http_server_exchanges(const struct http_server *s)
{
	return sum(s, offsetof(struct server_loop, exchanges));
}

int http_server_connections(const struct http_server *s)
{
	return sum(s, offsetof(struct server_loop, nconnections));
}

/* Calls fn for each connection; it may end any of them. */
static void each_connection(struct server_loop *sl, void (*fn)(struct connection *c))
{
	struct connection *c = sl->connections, *next;

	if (c != NULL)
		connection_ref(c);
	for (; c != NULL; c = next) {
		next = c->next;
		if (next != NULL)
			connection_ref(next);
		if (!c->dead)
			fn(c);
		connection_unref(c);
	}
}

static void drain_one(struct connection *c)
{
	if (c->protocol != NULL)
		c->protocol->drain(c);
	else if (connection_peek(c).n == 0)
		connection_cut(c);
}

static void drain_on_loop(void *arg)
{
	struct server_loop *sl = arg;

	listen_stop(sl);
	each_connection(sl, drain_one);
}

void http_server_drain(struct http_server *s)
{
	int i;

	if (atomic_exchange(&s->draining, 1))
		return;
	for (i = 0; i < s->nloops; i++)
		loop_call(s->loops[i].loop, drain_on_loop, &s->loops[i]);
	listen_close(s);
}

static void cut_on_loop(void *arg)
{
	struct server_loop *sl = arg;

	sl->closing = 1;
	each_connection(sl, connection_cut);
}

/* Waits until nothing is left; 0, or -1 when the time was over first. */
static int wait_for_end(struct http_server *s, size_t member, int64_t until_ms)
{
	while (sum(s, member) > 0) {
		struct timespec nap = { 0, 2000000 };

		if (clock_ms() >= until_ms)
			return -1;
		nanosleep(&nap, NULL);
	}
	return 0;
}

void http_server_close(struct http_server *s, int within_ms)
{
	int64_t until = clock_ms() + within_ms;
	int i;

	if (s == NULL)
		return;
	http_server_drain(s);
	wait_for_end(s, offsetof(struct server_loop, exchanges), until);
	wait_for_end(s, offsetof(struct server_loop, nconnections), until);
	for (i = 0; i < s->nloops; i++)
		loop_call(s->loops[i].loop, cut_on_loop, &s->loops[i]);
	if (wait_for_end(s, offsetof(struct server_loop, handles), clock_ms() + AFTER_CUT) < 0) {
		log_warn("%s server: %d calls do not end; they are left behind", s->name, http_server_exchanges(s));
		return; /* what they use cannot be freed under them */
	}
	server_free(s);
}
