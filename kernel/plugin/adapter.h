/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For rooms of the kernel that offer components themselves, with the tables that a plugin has (kernel/pluggable): what they
 * may know of a call beyond the plugin line. Only for operations that run on a loop, on its own thread.
 */
#ifndef PLUGIN_ADAPTER_H
#define PLUGIN_ADAPTER_H
#include <davit/plugin.h>

#include "base/error.h"

struct fiber;
struct instance;

struct arena *call_arena(struct davit_call *call);	 /* lives as long as the call's records */
int64_t call_deadline_ns(const struct davit_call *call); /* steady clock; 0: none, or a long call */
/* What struct answer shall have as its error, in the call's arena. The operation still fails by davit_fail(). */
void call_explain(struct davit_call *call, const struct error *e);
/* 1: this fiber runs the operation of an ordinary call, and is woken when that is cancelled. Any thread. */
int call_wakes(const struct davit_call *call, const struct fiber *f);

static inline struct instance *instance_of(struct davit_instance *handle)
{
	return (struct instance *)handle; /* its first member */
}
#endif
