/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Service invocation: which application is meant and where it is, the caller's marks, trying again, and counting. The body's
 * way is mesh's.
 */
#ifndef BLOCKS_INVOKE_H
#define BLOCKS_INVOKE_H
#include <stdatomic.h>

#include "mesh/call.h"
#include "mesh/names.h"

/* Set up before the servers open, but for what is atomic. */
struct invoker {
	struct str app_id, name_space;
	struct str host, host_name; /* for Forwarded; "" none */
	_Atomic(struct app *) app;  /* NULL: there is none (yet) */
	struct names *names;
	struct peers *peers;
	struct metrics *metrics;
};

/* One invocation, with the tries that it takes. Its owner zeroes it, and ends it in every case. */
struct invocation {
	struct invoker *v;
	struct scope *scope;	/* for resolving */
	struct mesh_call *call; /* of the present try */
	int cancelled;
	int plain;		       /* the failure is none of gRPC's: Dapr shows it without code */
	struct str app_id, name_space; /* as resolved */
};

/* Who is called: "app" or "app.namespace". -1: *ret_why. */
int invoke_target(const struct invoker *v, struct arena *a, struct str id, struct str *ret_app, struct str *ret_space,
		  struct str *ret_why);

/*
 * Normalizes q->method, adds to q->fields, and waits for the head of an answer: mesh_call_response(i->call). The error's
 * message is what Dapr puts behind "failed to invoke, id: …, err: ".
 */
struct error invoke_start(struct invocation *i, struct str id, struct mesh_request *q);
void invoke_cancel(void *invocation); /* on the loop */
void invoke_end(struct invocation *i);
#endif
