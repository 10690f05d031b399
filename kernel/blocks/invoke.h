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
#include "policy/run.h"

/* Set up before the servers open, but for what is atomic. */
struct invoker {
	struct str app_id, name_space;
	struct str host, host_name; /* for Forwarded; "" none */
	_Atomic(struct app *) app;  /* NULL: there is none (yet) */
	struct names *names;
	struct peers *peers;
	struct outside *outside; /* servers by URL and HTTPEndpoint */
	struct metrics *metrics;
	struct policies *policies; /* NULL: none */
};

/* One invocation, with the tries that it takes. Its owner zeroes it, and ends it in every case. */
struct invocation {
	struct invoker *v;
	struct scope *scope;	/* for resolving */
	struct mesh_call *call; /* of the present try */
	int cancelled;
	int plain;		       /* the failure is none of gRPC's: Dapr shows it without code */
	struct str app_id, name_space; /* as resolved */
	const struct policy *policy;   /* what is meant for who is called; NULL: nothing */
	struct policy_run run, built_in;
	struct policy retries; /* built in */
	int prepared;
	int outside; /* to a server outside: this one, or (NULL) the URL that app_id is */
	const struct outside_server *server;
};

/* Who is called: "app" or "app.namespace", or a URL, which is all of ret_app. -1: *ret_why. */
int invoke_target(const struct invoker *v, struct arena *a, struct str id, struct str *ret_app, struct str *ret_space,
		  struct str *ret_why);

/* Finds the policy. Before the body is taken: policy_has_retries(i->policy) wants it whole. method: as the caller wrote it. */
void invoke_find_policy(struct invocation *i, struct str id, struct str method);

/*
 * How one try went; within it, so that a timeout holds for reading the answer too. *e: as invoke_run() would answer it; none:
 * mesh_call_response(i->call) is there. *ret_code: of a failure, for matching; POLICY_NO_CODE is set before.
 */
typedef enum policy_verdict invoke_judge(void *arg, const struct error *e, int *ret_code);

/*
 * Normalizes q->method, adds to q->fields, sends, and waits for the head of an answer, under the policy. The error's message
 * is what Dapr puts behind "failed to invoke, id: …, err: "; invoke_stopped(): the policy's own.
 */
struct error invoke_run(struct invocation *i, struct str id, struct mesh_request *q, invoke_judge *judge, void *arg);
int invoke_stopped(const struct invocation *i); /* a timeout, or a breaker that refused */
void invoke_cancel(void *invocation);		/* on the loop */
void invoke_end(struct invocation *i);
#endif
