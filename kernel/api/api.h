/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The public surface: Dapr's HTTP and gRPC APIs over the blocks. `struct api` is what all calls share; it is set up before
 * the servers open and does not change, but for what says so.
 */
#ifndef API_API_H
#define API_API_H
#include <pthread.h>
#include <stdatomic.h>

#include "base/map.h"
#include "blocks/blocks.h"
#include "blocks/subscribers.h"
#include "blocks/invoke.h"
#include "grpc/server.h"
#include "http/server.h"
#include "mesh/serve.h"
#include "telemetry/trace.h"

struct api_access;
struct api_cors;

enum api_ready { API_READY_OUTBOUND = 1, API_READY = 2 };

struct api {
	struct arena *arena; /* the process's */
	struct str app_id;
	struct str token;  /* DAPR_API_TOKEN; "" none */
	size_t body_limit; /* bytes; 0 none */
	int log_calls, log_obfuscate, log_health;
	const struct configuration *configuration;
	struct metrics *metrics;
	struct tracer tracer;
	const struct api_access *access; /* which endpoints are there */
	const struct api_cors *cors;	 /* NULL: off */
	struct {
		int port; /* 0: no application */
		struct str protocol, channel_address;
		int max_concurrency;					 /* 0: no limit */
		int health;						 /* checked */
		struct str health_path, health_interval, health_timeout; /* as Go prints durations; path "" for gRPC */
		int health_threshold;
	} app;				 /* for the metadata API */
	const char *waiting_for;	 /* what healthz says is not ready; set by main as the start goes on */
	_Atomic int ready;		 /* bits of enum api_ready */
	_Atomic(struct blocks *) blocks; /* NULL until they are open */
	_Atomic(struct subscribers *) subscribers; /* NULL until the components are open */
	struct invoker *invoker; /* the way to other applications; its names and app come as the start goes on */
	struct mesh_server mesh; /* the way from them */
	struct grpc_options grpc, proxy, internal;

	/* The metadata that clients put, and its lock; nothing else is locked under it. */
	pthread_mutex_t extended_lock;
	struct map extended; /* values are mem_dup'ed texts */

	/* Asks for the end of the process; returns at once. force: without ceremony, exit code 1. */
	void (*shut_down)(void *ctx, int force);
	void *ctx;
};

int api_init(struct api *a); /* what is not data: locks, tables. -1: no memory */
void api_release(struct api *a);

/* Handlers for the servers; ctx is the struct api. */
void api_handle_http(void *api, struct http_exchange *x);   /* the whole HTTP API */
void api_handle_public(void *api, struct http_exchange *x); /* health and metadata, no token */
void api_handle_metrics(void *api, struct http_exchange *x);
void api_handle_profile(void *api, struct http_exchange *x); /* 501: C has perf instead */
void api_handle_grpc(void *api, struct http_exchange *x);
void api_handle_internal(void *api, struct http_exchange *x); /* between sidecars */
void api_refuse_http(void *api, struct http_exchange *x);
void api_refuse_grpc(void *api, struct http_exchange *x);
#endif
