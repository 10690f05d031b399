/* SPDX-License-Identifier: Apache-2.0 */
#include "main/servers.h"

#include "base/banned.h"
#include "base/clock.h"
#include "base/log.h"

#define LOG_SCOPE "dapr.runtime"
#define GRPC_HEADERS_MOST (128u << 10) /* of one call; each of a connection's streams may hold as much */

struct role {
	const char *name;
	int protocols;
	void (*handle)(void *ctx, struct http_exchange *x);
	void (*refuse)(void *ctx, struct http_exchange *x);
};

static const struct role http_api = { "HTTP API", HTTP_1 | HTTP_2, api_handle_http, api_refuse_http };
static const struct role grpc_api = { "gRPC API", HTTP_2, api_handle_grpc, api_refuse_grpc };
static const struct role public_api = { "public", HTTP_1 | HTTP_2, api_handle_public, api_refuse_http };
static const struct role internal_api = { "internal gRPC", HTTP_2, api_handle_internal, api_refuse_grpc };
static const struct role metrics = { "metrics", HTTP_1 | HTTP_2, api_handle_metrics, api_refuse_http };
static const struct role profile = { "profile", HTTP_1, api_handle_profile, api_refuse_http };

static struct http_server_options settings(const struct role *role, const struct options *o, struct api *api)
{
	struct http_server_options s = http_server_defaults();
	const char *no_h2c = getenv("DAPR_HTTP_DISABLE_H2C");

	s.name = role->name;
	s.protocols = role->protocols;
	if (role->protocols == (HTTP_1 | HTTP_2) && no_h2c != NULL && str_truthy(str_of(no_h2c)))
		s.protocols = HTTP_1;
	s.handle = role->handle;
	s.refuse = role->refuse;
	s.ctx = api;
	if (o->read_buffer_size > 0)
		s.header_limit = (size_t)o->read_buffer_size + 4096; /* Go's server, and so Dapr's, adds as much */
	if (role->protocols == HTTP_2) {
		grpc_http_options(&s);
		/* Dapr takes --read-buffer-size for KiB here, 4 MiB of metadata as it stands. */
		if (s.header_limit < GRPC_HEADERS_MOST)
			s.header_limit = s.header_limit > GRPC_HEADERS_MOST >> 10 ? GRPC_HEADERS_MOST
										  : s.header_limit << 10;
	}
	return s;
}

static int keep(struct servers *s, struct http_server *one)
{
	if (one == NULL)
		return -1;
	s->list[s->n++] = one;
	return 0;
}

static int open_tcp(struct servers *s, const struct role *role, const struct options *o, struct api *api,
		    struct str address, int port, struct arena *a, struct str *ret_message)
{
	struct http_server_options settings_ = settings(role, o, api);

	if (s->n == SERVERS_MOST) {
		*ret_message = STR("too many listen addresses");
		return -1;
	}
	if (port < 0 || port > 65535) {
		*ret_message = arena_printf(a, "listen tcp: address %d: invalid port", port);
		return -1;
	}
	return keep(s, http_listen_tcp(&settings_, s->loops, s->nloops, address.p, port, a, ret_message));
}

/* On every listen address: one that fails is told of, all that fail are fatal. */
static int open_each(struct servers *s, const struct role *role, const struct options *o, struct api *api, int port,
		     struct arena *a, struct str *ret_message)
{
	struct str why = STR("");
	size_t i, opened = 0;

	for (i = 0; i < o->listen.n; i++) {
		if (open_tcp(s, role, o, api, o->listen.at[i], port, a, &why) == 0)
			opened++;
		else
			log_error("Failed to listen for the %s server: " STR_FMT, role->name, STR_ARG(why));
	}
	if (opened > 0)
		return 0;
	*ret_message = arena_printf(a, "failed to start %s server: could not listen on any endpoint: " STR_FMT,
				    role->name, STR_ARG(why));
	return -1;
}

static int open_unix(struct servers *s, const struct role *role, const struct options *o, struct api *api,
		     const char *kind, struct arena *a, struct str *ret_message)
{
	struct http_server_options settings_ = settings(role, o, api);
	struct str path = arena_printf(a, STR_FMT "/dapr-" STR_FMT "-%s.socket", STR_ARG(o->unix_domain_socket),
				       STR_ARG(o->app_id), kind),
		   why;

	if (keep(s, http_listen_unix(&settings_, s->loops, s->nloops, path.p, a, &why)) == 0)
		return 0;
	*ret_message = arena_printf(a, "failed to start %s server: " STR_FMT, role->name, STR_ARG(why));
	return -1;
}

static int open_apis(struct servers *s, const struct options *o, struct api *api, struct arena *a,
		     struct str *ret_message)
{
	if (o->unix_domain_socket.n > 0) {
		if (open_unix(s, &grpc_api, o, api, "grpc", a, ret_message) < 0)
			return -1;
		log_info("API gRPC server is running on a Unix Domain Socket");
		if (open_unix(s, &http_api, o, api, "http", a, ret_message) < 0)
			return -1;
		log_info("HTTP server is running on a Unix Domain Socket");
		return 0;
	}
	if (open_each(s, &grpc_api, o, api, o->number.grpc_port, a, ret_message) < 0)
		return -1;
	log_info("API gRPC server is running on port %d", http_server_port(s->list[s->n - 1]));
	if (open_each(s, &http_api, o, api, o->number.http_port, a, ret_message) < 0)
		return -1;
	log_info("HTTP server is running on port %d", http_server_port(s->list[s->n - 1]));
	return 0;
}

static int open_internal(struct servers *s, const struct options *o, struct api *api, struct arena *a,
			 struct str *ret_message)
{
	int port = s->internal_port;

	if (port < 0 ||
	    open_tcp(s, &internal_api, o, api, o->dapr_internal_grpc_listen_address, port, a, ret_message) < 0) {
		*ret_message = arena_printf(a, "failed to start internal gRPC server: " STR_FMT, STR_ARG(*ret_message));
		return -1;
	}
	log_info("Internal gRPC server is running on " STR_FMT ":%d", STR_ARG(o->dapr_internal_grpc_listen_address),
		 port);
	return 0;
}

static int open_metrics(struct servers *s, const struct options *o, struct api *api, struct arena *a,
			struct str *ret_message)
{
	int64_t port;

	if (!o->enable_metrics)
		return 0;
	if (str_int(o->metrics_port, &port) < 0 || port < 0 || port > 65535) {
		*ret_message = arena_printf(a, "failed to parse metrics port: \"" STR_FMT "\" is not a port number",
					    STR_ARG(o->metrics_port));
		return -1;
	}
	if (open_tcp(s, &metrics, o, api, o->metrics_listen_address, (int)port, a, ret_message) < 0) {
		*ret_message = arena_printf(a, "failed to run metrics server: " STR_FMT, STR_ARG(*ret_message));
		return -1;
	}
	log_info("metrics server started on " STR_FMT ":%d/", STR_ARG(o->metrics_listen_address),
		 http_server_port(s->list[s->n - 1]));
	return 0;
}

static int open_profile(struct servers *s, const struct options *o, struct api *api, struct arena *a,
			struct str *ret_message)
{
	if (!o->enable_profiling)
		return 0;
	if (open_each(s, &profile, o, api, o->number.profile_port, a, ret_message) < 0)
		return -1;
	log_info("The profile port answers 501: use `perf record -g -p PID` on this process");
	return 0;
}

int servers_open(struct servers *s, const struct options *o, struct api *api, struct arena *a, struct str *ret_message)
{
	if (open_metrics(s, o, api, a, ret_message) < 0 || open_apis(s, o, api, a, ret_message) < 0)
		return -1;
	if (o->dapr_public_port.n > 0) {
		if (open_tcp(s, &public_api, o, api, o->dapr_public_listen_address, o->number.public_port, a,
			     ret_message) < 0) {
			*ret_message = arena_printf(a, "failed to start public HTTP server: " STR_FMT,
						    STR_ARG(*ret_message));
			return -1;
		}
	}
	if (open_profile(s, o, api, a, ret_message) < 0)
		return -1;
	log_info("The request body size parameter is: %lld bytes", (long long)o->max_body_size);
	return open_internal(s, o, api, a, ret_message);
}

void servers_drain(struct servers *s)
{
	size_t i;

	for (i = 0; i < s->n; i++)
		http_server_drain(s->list[i]);
}

int servers_exchanges(const struct servers *s)
{
	int n = 0;
	size_t i;

	for (i = 0; i < s->n; i++)
		n += http_server_exchanges(s->list[i]);
	return n;
}

void servers_close(struct servers *s, int within_ms)
{
	int64_t until = clock_ms() + within_ms, left;

	while (s->n > 0) {
		left = until - clock_ms();
		http_server_close(s->list[--s->n], left > 0 ? (int)left : 0);
	}
}
