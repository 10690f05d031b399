/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One operation on an instance, seen from the kernel: it looks blocking, parks the fiber where the plugin waits, and ends
 * at the plugin's answer, the deadline or the client's leaving, whichever is first. A plugin that answers later is
 * heard no more; its call's memory waits for it.
 */
#ifndef PLUGIN_CALL_H
#define PLUGIN_CALL_H
#include <davit/plugin.h>

#include "base/error.h"
#include "plugin/scope.h"

struct instance;

/* What a plugin emitted, deeply copied, in the kernel's size of its kind. Lives as long as the scope's arena. */
struct record {
	struct record *next;
	uint32_t kind;
	void *data;
};

struct answer {
	davit_status status;
	const char *reason; /* a plugin's word, or NULL */
	struct str message; /* "" when there is none */
	struct record *records;
	const struct error *error; /* of a component in another process: what it said, as it said it; NULL: nothing */
};

/* From a fiber. `in` and all it points to must live in the scope's arena (or longer than the call). */
struct answer call_instance(struct scope *s, struct instance *i, davit_op *op, const void *in);
/* The same with a deadline of its own, on the steady clock; 0: none. */
struct answer call_until(struct scope *s, int64_t deadline_ns, struct instance *i, davit_op *op, const void *in);

int64_t call_late(void); /* answers that came after nobody waited, in the process so far */
#endif
