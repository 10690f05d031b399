/* SPDX-License-Identifier: Apache-2.0 */
/* What loop.c and fiber.c share; nobody else includes it. */
#ifndef LOOP_INSIDE_H
#define LOOP_INSIDE_H
#include <pthread.h>
#include <stdatomic.h>

#include "loop/fiber.h"
#include "loop/loop.h"
#include "loop/switch.h"

struct fiber {
	struct fiber *next; /* in the ready list or among the loop's spare fibers */
	struct loop *loop;
	struct switch_context context;
	char *stack; /* FIBER_STACK bytes; the guard page lies below */
	void (*fn)(void *arg);
	void *arg, *note;
	uv_timer_t timer;
	int queued, timed_out;
	void *tsan, *asan; /* the sanitizers' own note of this stack */
};

struct loop {
	uv_loop_t uv;
	uv_async_t async;
	uv_prepare_t prepare;
	uv_check_t check;
	pthread_t thread;
	int index, started, ended;
	atomic_int stopping;
	_Atomic(struct loop_task *) posted; /* newest first */
	struct loop_task *deferred, **deferred_end;
	struct fiber *ready, **ready_end;
	_Atomic(const char *) doing; /* loop_note */
	struct fiber *spare;	     /* the one that ran last first */
	int nspare, least_spare;
	uv_timer_t trim; /* goes while there are too many */
	struct fiber *running;
	struct switch_context main; /* the loop's own stack, while a fiber runs */
	void *main_tsan, *main_asan;
	const void *main_stack;
	size_t main_stack_size;
};

void fiber_run_ready(struct loop *l);
void fiber_start_trim(struct loop *l);
void fiber_drop_spare(struct loop *l);
extern _Thread_local struct loop *loop_current;
#endif
