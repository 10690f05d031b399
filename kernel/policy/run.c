/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/run.h"

#include "base/banned.h"
#include "base/clock.h"
#include "base/duration.h"
#include "base/log.h"
#include "loop/fiber.h"

#define LOG_SCOPE "dapr.runtime"
#define LEAST_NS INT64_C(1000000) /* between two tries: others run as well */
#define OTHERS_CLOCK_NS INT64_C(20000000)

struct error policy_timed_out(void)
{
	return (struct error){ .code = ERROR_DEADLINE_EXCEEDED, .message = STR("context deadline exceeded") };
}

void policy_bound(const struct policy *p)
{
	if (p == NULL || p->metrics == NULL)
		return;
	if (p->timeout_ns > 0)
		metrics_policy_used(p->metrics, &p->about, "timeout", "");
	if (p->retry != NULL)
		metrics_policy_used(p->metrics, &p->about, "retry", "");
	if (p->breaker != NULL)
		metrics_policy_used(p->metrics, &p->about, "circuitbreaker",
				    breaker_state_name(breaker_state(p->breaker, clock_ns())));
}

void policy_start_at(struct policy_run *run)
{
	int64_t now = clock_ns();

	run->outer_ns = run->until_ns;
	run->retry = (struct retry_state){ .began_ns = now };
	run->tries = run->inside = run->timeout_told = 0;
	run->refused = ERROR_NONE;
	if (!run->p->about.inbound)
		policy_bound(run->p);
}

static void tell_change(struct policy_run *run)
{
	enum breaker_state s = breaker_state(run->p->breaker, clock_ns());

	if (s != run->seen && run->p->metrics != NULL)
		metrics_policy_acted(run->p->metrics, &run->p->about, "circuitbreaker", breaker_state_name(s));
}

/* The breaker's refusals are not tried again, as in Dapr. */
static int refuse(struct policy_run *run, enum breaker_refusal r, struct error *ret_error)
{
	run->refused = (struct error){ .code = ERROR_UNKNOWN,
				       .message = r == BREAKER_IS_OPEN ? STR("circuit breaker is open")
								       : STR("too many requests") };
	tell_change(run);
	*ret_error = run->refused;
	return 0;
}

int policy_enter_at(struct policy_run *run, struct error *ret_error)
{
	const struct policy *p = run->p;
	int64_t now = clock_ns();

	if (error_is(&run->refused)) {
		*ret_error = run->refused;
		return 0;
	}
	run->timed_out = 0;
	run->tries++;
	if (p->breaker != NULL) {
		enum breaker_refusal r;

		run->seen = breaker_state(p->breaker, now);
		r = breaker_before(p->breaker, now, &run->ticket);
		if (r != BREAKER_PASSES)
			return refuse(run, r, ret_error);
	}
	run->inside = 1;
	if (p->timeout_ns > 0 && (run->outer_ns == 0 || now + p->timeout_ns < run->outer_ns))
		run->until_ns = now + p->timeout_ns;
	return 1;
}

static void note_timeout(struct policy_run *run)
{
	run->timed_out = 1;
	if (run->timeout_told || run->p->metrics == NULL)
		return;
	run->timeout_told = 1;
	metrics_policy_acted(run->p->metrics, &run->p->about, "timeout", "");
}

/* As Dapr's: only the first wait of an operation is told of. */
static void tell_wait(struct policy_run *run, int64_t ns)
{
	char text[DURATION_TEXT];

	if (run->tries > 1)
		return;
	duration_text(ns, text);
	if (run->p->metrics != NULL)
		metrics_policy_acted(run->p->metrics, &run->p->about, "retry", "");
	log_warn("Error processing operation " STR_FMT ". Retrying in %s…", STR_ARG(run->p->name), text);
}

static void sleep_until(struct policy_run *run, int64_t until_ns)
{
	struct scope *s = run->s;
	struct scope_sleeper *me = &run->sleeper;

	*me = (struct scope_sleeper){ .next = s->sleepers, .link = &s->sleepers, .fiber = fiber_self() };
	if (me->next != NULL)
		me->next->link = &me->next;
	s->sleepers = me;
	while (!s->cancelled && clock_ns() < until_ns)
		fiber_park_until(until_ns);
	*me->link = me->next;
	if (me->next != NULL)
		me->next->link = me->link;
}

/* Until then, or until the caller has gone or his time is up: the next enter() says so. */
static void wait_for_next(struct policy_run *run, int64_t ns)
{
	struct scope *s = run->s;
	int64_t until = clock_ns() + (ns > LEAST_NS ? ns : LEAST_NS);
	int short_of = run->outer_ns != 0 && until >= run->outer_ns;

	if (short_of)
		until = run->outer_ns;
	sleep_until(run, until);
	if (s->cancelled)
		run->refused = (struct error){ .code = ERROR_CANCELLED, .message = STR("context canceled") };
	else if (short_of)
		run->refused = policy_timed_out();
}

/*
 * The other side knows our limit as well, and may say in its own words that it is over a moment before we see it: what fails
 * in the last tenth of the time, or the last 20 ms, has failed by it.
 */
static int is_late(const struct policy_run *run, int64_t now)
{
	int64_t last = run->p->timeout_ns / 10;

	return now >= run->until_ns - (last < OTHERS_CLOCK_NS ? last : OTHERS_CLOCK_NS);
}

int policy_again_at(struct policy_run *run, enum policy_verdict v, int code)
{
	const struct policy *p = run->p;
	int64_t now = clock_ns(), ns;
	int late = v != POLICY_WELL && run->until_ns != run->outer_ns && is_late(run, now);

	if (!run->inside)
		return 0;
	run->inside = 0;
	run->until_ns = run->outer_ns;
	if (late)
		note_timeout(run);
	if (p->breaker != NULL) {
		breaker_after(p->breaker, now, run->ticket, v == POLICY_WELL);
		tell_change(run);
	}
	if (v == POLICY_WELL && run->tries > 1)
		log_info("Recovered processing operation " STR_FMT " after %d attempts", STR_ARG(p->name), run->tries);
	if (v == POLICY_WELL || p->retry == NULL || run->s->cancelled)
		return 0;
	if (!late && (v == POLICY_FAILED_FOR_GOOD || (code != POLICY_NO_CODE && !retry_matches(p->retry, code))))
		return 0;
	ns = retry_next(p->retry, &run->retry, now);
	if (ns < 0)
		return 0;
	tell_wait(run, ns);
	wait_for_next(run, ns);
	return 1;
}

void policy_leave_at(struct policy_run *run)
{
	if (run->inside)
		policy_again_at(run, POLICY_FAILED_FOR_GOOD, POLICY_NO_CODE);
}
