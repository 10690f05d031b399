/* SPDX-License-Identifier: Apache-2.0 */
/* One operation of a component under its policy. */
#ifndef POLICY_CALL_H
#define POLICY_CALL_H
#include "plugin/call.h"
#include "policy/run.h"

/*
 * As call_instance() (plugin/call.h), under p, which may be NULL. A breaker's refusal and a timeout are DAVIT_INTERNAL with
 * Dapr's words; a plugin's reason word (an ETag that does not fit, …) ends it at once.
 */
struct answer policy_call(struct scope *s, const struct policy *p, struct instance *i, davit_op *op, const void *in);

/* For an operation of several calls: how one answer counts, and what becomes of it at the end. */
enum policy_verdict policy_verdict_of(const struct answer *got);
struct answer policy_answer(const struct policy_run *run, struct answer last, const struct error *refusal);
#endif
