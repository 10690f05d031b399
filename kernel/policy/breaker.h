/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A circuit breaker: closed it counts and lets everything pass, open it refuses, and half-open, a while later, it lets a few
 * pass to see. Any thread; its lock is held only while it counts.
 */
#ifndef POLICY_BREAKER_H
#define POLICY_BREAKER_H
#include "cel/cel.h"

enum breaker_state { BREAKER_CLOSED, BREAKER_HALF_OPEN, BREAKER_OPEN };
enum breaker_refusal { BREAKER_PASSES, BREAKER_IS_OPEN, BREAKER_IS_BUSY };

struct breaker_about { /* what all of one policy have in common; outlives them */
	struct str name;
	uint32_t max_requests;		 /* 0: 1 */
	int64_t interval_ns, timeout_ns; /* 0: the counts are never cleared; 60 s */
	const struct cel *trip;		 /* NULL: more than 5 failures in a row */
};

struct breaker;

struct breaker *breaker_new(const struct breaker_about *about,
			    struct str name); /* the name is copied; NULL: no memory */
struct breaker *breaker_ref(struct breaker *b);
void breaker_unref(struct breaker *b); /* NULL is fine */

/* now_ns: the steady clock, here and below. */
enum breaker_state breaker_state(struct breaker *b, int64_t now_ns);
/* An operation wants to begin. BREAKER_PASSES: it may, and breaker_after() is told how it went, with *ret_ticket. */
enum breaker_refusal breaker_before(struct breaker *b, int64_t now_ns, uint64_t *ret_ticket);
void breaker_after(struct breaker *b, int64_t now_ns, uint64_t ticket, int well);

const char *breaker_state_name(enum breaker_state s); /* "closed", "half-open", "open" */
#endif
