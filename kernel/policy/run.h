/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One operation under a policy, on its fiber. The operation is the body of a loop:
 *
 *	struct policy_run run;
 *	struct error e;
 *
 *	policy_start(&run, policy, scope);
 *	do {
 *		if (!policy_enter(&run, &e))	// a breaker refuses
 *			break;
 *		e = operation(…);		// until run.until_ns at most
 *	} while (policy_again(&run, error_is(&e) ? POLICY_FAILED : POLICY_WELL, POLICY_NO_CODE));
 *	if (run.timed_out)
 *		e = policy_timed_out();
 *
 * Inner to outer: the operation, the try's timeout, the breaker, trying again. While it waits to try again, and in the
 * operation, the scope's cancelling ends it. Without a policy all of it is a test of one pointer.
 *
 * What jumps out of the operation (arena_on_oom) leaves the run: policy_leave() then, which may always be called.
 */
#ifndef POLICY_RUN_H
#define POLICY_RUN_H
#include "base/error.h"
#include "plugin/scope.h"
#include "policy/policies.h"

enum policy_verdict {
	POLICY_WELL,
	POLICY_FAILED,
	POLICY_FAILED_FOR_GOOD /* a breaker counts it, and it is not tried again */
};
#define POLICY_NO_CODE (-1) /* a failure that the codes of a retry policy say nothing of: it is always tried again */

struct policy_run {
	const struct policy *p; /* NULL: one try, and nothing more */
	struct scope *s;
	int64_t outer_ns; /* the scope's deadline as it began */
	int64_t until_ns; /* of this try; 0: none. Without a policy the scope's */
	uint64_t ticket;
	struct retry_state retry;
	int tries;
	int timed_out; /* the last try ran out of the policy's time */
	int inside, timeout_told;
	enum breaker_state seen;
	struct scope_sleeper sleeper;
	struct error refused; /* the last try was not made, and why; or the caller went while it waited for the next */
};

/* Counts a policy's use: run by run towards a component; of what comes from one once, as it is subscribed to. */
void policy_bound(const struct policy *p);
void policy_start_at(struct policy_run *run);
int policy_enter_at(struct policy_run *run, struct error *ret_error);
int policy_again_at(struct policy_run *run, enum policy_verdict v, int code);
void policy_leave_at(struct policy_run *run);

static inline void policy_start(struct policy_run *run, const struct policy *p, struct scope *s)
{
	run->p = p;
	run->timed_out = 0;
	run->until_ns = s->deadline_ns;
	if (p == NULL)
		return;
	run->s = s;
	policy_start_at(run);
}

/* 1: make a try; 0: *ret_error is the operation's. */
static inline int policy_enter(struct policy_run *run, struct error *ret_error)
{
	return run->p == NULL || policy_enter_at(run, ret_error);
}

/* How the try went; code: HTTP's or gRPC's. 1: enter again, it has waited. */
static inline int policy_again(struct policy_run *run, enum policy_verdict v, int code)
{
	return run->p != NULL && policy_again_at(run, v, code);
}

static inline void policy_leave(struct policy_run *run)
{
	if (run->p != NULL)
		policy_leave_at(run);
}

static inline int policy_has_retries(const struct policy *p)
{
	return p != NULL && p->retry != NULL && p->retry->max_retries != 0;
}

struct error policy_timed_out(void); /* DEADLINE_EXCEEDED, "context deadline exceeded" */
#endif
