/* SPDX-License-Identifier: Apache-2.0 */
#include "loop/switch.h"

#include <stdint.h>

#include "base/banned.h"
#include "base/mem.h"

#if defined(__x86_64__) || defined(__aarch64__)

void switch_stacks(void **save_sp, void *to_sp);
void switch_enter(void);

void switch_make(struct switch_context *c, void *stack, size_t size, void (*fn)(void *arg), void *arg)
{
	uintptr_t top = ((uintptr_t)stack + size) & ~(uintptr_t)15;
	void **sp = (void **)top;

#if defined(__x86_64__)
	*--sp = NULL; /* keeps the stack aligned at switch_enter's call */
	*--sp = NULL;
	*--sp = (void *)(uintptr_t)switch_enter; /* where `ret` goes */
	*--sp = NULL;				 /* rbp */
	*--sp = NULL;				 /* rbx */
	*--sp = (void *)(uintptr_t)fn;		 /* r12 */
	*--sp = arg;				 /* r13 */
	*--sp = NULL;				 /* r14 */
	*--sp = NULL;				 /* r15 */
#else
	int i;

	sp -= 20;
	for (i = 0; i < 20; i++)
		sp[i] = NULL;
	sp[0] = (void *)(uintptr_t)fn;		  /* x19 */
	sp[1] = arg;				  /* x20 */
	sp[11] = (void *)(uintptr_t)switch_enter; /* x30 */
#endif
	c->sp = sp;
}

void switch_to(struct switch_context *from, struct switch_context *to)
{
	switch_stacks(&from->sp, to->sp);
}

void switch_release(struct switch_context *c)
{
	c->sp = NULL;
}

#else
#include <ucontext.h>

/* makecontext passes ints only: two halves of a pointer each. */
static void enter(unsigned f1, unsigned f2, unsigned a1, unsigned a2)
{
	void (*fn)(void *) = (void (*)(void *))((uintptr_t)f1 << 16 << 16 | f2);

	fn((void *)((uintptr_t)a1 << 16 << 16 | a2));
}

static ucontext_t *context_of(struct switch_context *c)
{
	if (c->sp == NULL)
		c->sp = mem_zalloc(sizeof(ucontext_t));
	if (c->sp == NULL)
		abort();
	return c->sp;
}

void switch_make(struct switch_context *c, void *stack, size_t size, void (*fn)(void *arg), void *arg)
{
	ucontext_t *u = context_of(c);
	uintptr_t f = (uintptr_t)fn, a = (uintptr_t)arg;

	getcontext(u);
	u->uc_stack.ss_sp = stack;
	u->uc_stack.ss_size = size;
	u->uc_link = NULL;
	makecontext(u, (void (*)(void))enter, 4, (unsigned)(f >> 16 >> 16), (unsigned)f, (unsigned)(a >> 16 >> 16),
		    (unsigned)a);
}

void switch_to(struct switch_context *from, struct switch_context *to)
{
	swapcontext(context_of(from), context_of(to));
}

void switch_release(struct switch_context *c)
{
	mem_free(c->sp);
	c->sp = NULL;
}
#endif
