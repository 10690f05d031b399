/* SPDX-License-Identifier: Apache-2.0 */
/* Changing stacks: a few instructions on x86-64 and arm64, ucontext elsewhere. For fiber.c alone. */
#ifndef LOOP_SWITCH_H
#define LOOP_SWITCH_H
#include <stddef.h>

struct switch_context {
	void *sp; /* where the registers are saved; with ucontext, the context */
};

/* Prepares a context that starts fn(arg) on the stack; fn never returns. */
void switch_make(struct switch_context *c, void *stack, size_t size, void (*fn)(void *arg), void *arg);
/* Saves the running context in `from` and goes on in `to`. */
void switch_to(struct switch_context *from, struct switch_context *to);
void switch_release(struct switch_context *c);
#endif
