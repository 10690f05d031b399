/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A scope: what all plugin calls of one request share — its memory, until when somebody waits, and whether somebody
 * still does. Belongs to one loop.
 */
#ifndef PLUGIN_SCOPE_H
#define PLUGIN_SCOPE_H
#include "base/arena.h"

struct call;
struct fiber;

struct scope {
	struct arena *arena;
	int64_t deadline_ns; /* steady clock; 0: none */
	int cancelled;
	struct call *calls; /* under way */
	struct scope_sleeper *sleepers;
};

/* Who waits for no call, and is to be woken when all is cancelled; owned by him, in the list while he waits. */
struct scope_sleeper {
	struct scope_sleeper *next, **link;
	struct fiber *fiber;
};

void scope_cancel(void *scope); /* own loop: its calls are told, the ones that come later fail at once */
#endif
