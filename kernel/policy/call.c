/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/call.h"

#include "base/banned.h"

enum policy_verdict policy_verdict_of(const struct answer *got)
{
	if (got->status == DAVIT_OK)
		return POLICY_WELL;
	return got->reason != NULL ? POLICY_FAILED_FOR_GOOD : POLICY_FAILED;
}

struct answer policy_answer(const struct policy_run *run, struct answer last, const struct error *refusal)
{
	if (run->p == NULL)
		return last;
	if (refusal != NULL && error_is(refusal))
		return (struct answer){ .status = refusal->code == ERROR_CANCELLED ? DAVIT_CANCELLED : DAVIT_INTERNAL,
					.message = refusal->message };
	if (run->timed_out)
		return (struct answer){ .status = DAVIT_INTERNAL, .message = policy_timed_out().message };
	return last;
}

struct answer policy_call(struct scope *s, const struct policy *p, struct instance *i, davit_op *op, const void *in)
{
	struct answer got = { .message = STR("") };
	struct error refusal = ERROR_NONE;
	struct policy_run run;

	if (p == NULL)
		return call_instance(s, i, op, in);
	policy_start(&run, p, s);
	do {
		if (!policy_enter(&run, &refusal))
			break;
		got = call_until(s, run.until_ns, i, op, in);
	} while (policy_again(&run, policy_verdict_of(&got), POLICY_NO_CODE));
	return policy_answer(&run, got, &refusal);
}
