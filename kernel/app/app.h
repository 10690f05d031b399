/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The application: waiting until it listens, what it says of itself, whether it is healthy, and the way to call it, on
 * every loop. One a process; made and freed by the main thread, while the loops run.
 */
#ifndef APP_APP_H
#define APP_APP_H
#include "app/config.h"
#include "base/error.h"
#include "grpc/client.h"
#include "http/client.h"

struct app;
struct loop;
struct metrics;

enum app_channel { APP_CHANNEL_HTTP, APP_CHANNEL_HTTPS, APP_CHANNEL_H2C, APP_CHANNEL_GRPC, APP_CHANNEL_GRPCS };

/* All is copied. */
struct app_options {
	struct str app_id;
	struct str address; /* --app-channel-address */
	int port;	    /* 0: there is no application to call */
	enum app_channel channel;
	int max_concurrency; /* calls at once, over all loops; 0: no limit */
	struct str token;    /* APP_API_TOKEN: goes with every call as dapr-api-token; "": none */
	size_t body_limit;   /* bytes of an answer that is read whole, and of a gRPC message; 0: none */
	size_t header_limit; /* bytes of an answer's fields, --read-buffer-size */
	int skip_config;     /* --disable-init-endpoints=config */
	int health_check;    /* --enable-app-health-check, with the next four */
	struct str health_path;
	int64_t health_interval_ns, health_timeout_ns; /* the timeout at most the interval */
	int health_threshold;
	struct metrics *metrics; /* may be NULL */
	/* Each may be NULL; all run on fibers of the first loop, one after another, none after app_free(). */
	void *ctx;
	/* Once: the application listens (or there is none) and, without health checks, has been asked for its
	 * configuration: where Dapr's start is complete. */
	void (*ready)(void *ctx);
	/* It became healthy or unhealthy; without health checks (or application) once, healthy, before `ready`. The first
	 * time its configuration is known already. */
	void (*changed)(void *ctx, int healthy);
};

/* NULL: *ret_error says why, in arena a. */
struct app *app_new(const struct app_options *o, struct loop *const *loops, int nloops, struct arena *a,
		    struct error *ret_error);
void app_start(struct app *p); /* waits for the port and goes on from there, on a fiber of its own */
void app_stop(struct app *p);  /* ends the waiting and the probes; any thread */
/* Stops, waits until the hooks have returned, frees. Calls under way end CANCELLED and must have been closed before the
 * loops end. From the main thread, while the loops run; NULL is fine. */
void app_free(struct app *p);

const struct app_options *app_options(const struct app *p); /* for the metadata API; borrowed */
const char *app_channel_name(enum app_channel c);	    /* "http" … */
int app_channel_is_http(enum app_channel c);
/* Any thread. As the health checks have it, without them 1; what Dapr's shutdown waits for is `changed`. */
int app_healthy(const struct app *p);
const struct app_config *app_config(const struct app *p); /* any thread; NULL: not loaded (yet). Until app_free() */

/* This loop's clients, made at first use. NULL: no memory, no application, or it is of the other kind. */
struct http_client *app_http(struct app *p);
struct grpc_client *app_grpc(struct app *p);

/*
 * One call: waits for its turn under max_concurrency, then starts the request with the token added. Then come
 * http_call_head() and so on, and in every case app_end(). Fails as http_call_start() does, and with INTERNAL "app is not
 * in a healthy state".
 */
struct error app_begin(struct app *p, const struct http_request *q, struct arena *a, struct http_call **ret_call);
void app_end(struct app *p, struct http_call *call);
/* The same for gRPC, where the metadata is the caller's to make: app_token_field(). */
struct error app_enter(struct app *p, int64_t deadline_ns);
void app_leave(struct app *p);
/* 1: *ret_field is the token's; 0: there is none. */
int app_token_field(const struct app *p, struct http_field *ret_field);
#endif
