/* SPDX-License-Identifier: Apache-2.0 */
#include "loop/loop.h"

#include <signal.h>

#include "base/arena.h"
#include "base/banned.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/recycle.h"
#include "loop/fault.h"
#include "loop/inside.h"
#include "loop/reserve.h"

_Thread_local struct loop *loop_current;

struct loop *loop_self(void)
{
	return loop_current;
}

uv_loop_t *loop_uv(struct loop *l)
{
	return &l->uv;
}

int loop_index(const struct loop *l)
{
	return l->index;
}

static void run_posted(struct loop *l)
{
	struct loop_task *t = atomic_exchange_explicit(&l->posted, NULL, memory_order_acquire);
	struct loop_task *in_order = NULL, *next;

	for (; t != NULL; t = next) {
		next = t->next;
		t->next = in_order;
		in_order = t;
	}
	for (t = in_order; t != NULL; t = next) {
		next = t->next; /* t may be gone once it ran */
		t->run(t);
	}
}

static void run_deferred(struct loop *l)
{
	struct loop_task *t = l->deferred, *next;

	l->deferred = NULL;
	l->deferred_end = &l->deferred;
	for (; t != NULL; t = next) {
		next = t->next;
		t->run(t);
	}
}

/* Wakes and flushes until neither is left: a flush may wake a fiber, a fiber may ask for a flush. */
static void run_turn(struct loop *l)
{
	while (l->ready != NULL || l->deferred != NULL) {
		fiber_run_ready(l);
		run_deferred(l);
	}
}

static void on_prepare(uv_prepare_t *p)
{
	struct loop *l = p->data;

	run_turn(l);
	if (l->stopping)
		uv_stop(&l->uv);
}

static void on_check(uv_check_t *c)
{
	struct loop *l = c->data;

	run_turn(l);
}

static void on_async(uv_async_t *a)
{
	struct loop *l = a->data;

	run_posted(l);
}

struct loop *loop_new(int index)
{
	struct loop *l = mem_zalloc(sizeof(*l));

	if (l == NULL)
		return NULL;
	reserve_start();
	if (uv_loop_init(&l->uv) < 0) {
		mem_free(l);
		return NULL;
	}
	l->index = index;
	l->uv.data = l;
	l->ready_end = &l->ready;
	l->deferred_end = &l->deferred;
	if (uv_async_init(&l->uv, &l->async, on_async) < 0) {
		uv_loop_close(&l->uv);
		mem_free(l);
		return NULL;
	}
	uv_prepare_init(&l->uv, &l->prepare);
	uv_check_init(&l->uv, &l->check);
	l->async.data = l->prepare.data = l->check.data = l;
	uv_prepare_start(&l->prepare, on_prepare);
	uv_check_start(&l->check, on_check);
	uv_unref((uv_handle_t *)&l->prepare);
	uv_unref((uv_handle_t *)&l->check);
	fiber_start_trim(l);
	return l;
}

static void close_handles(struct loop *l)
{
	uv_close((uv_handle_t *)&l->async, NULL);
	uv_close((uv_handle_t *)&l->prepare, NULL);
	uv_close((uv_handle_t *)&l->check, NULL);
	uv_close((uv_handle_t *)&l->trim, NULL);
	l->stopping = 0;
	uv_run(&l->uv, UV_RUN_NOWAIT);
	l->ended = 1;
}

static void *thread_main(void *arg)
{
	struct loop *l = arg;
	void *stack = fault_stack_start();

	loop_current = l;
	arena_keep_stock();
#if defined(__SANITIZE_THREAD__)
	extern void *__tsan_get_current_fiber(void);
	l->main_tsan = __tsan_get_current_fiber();
#endif
	uv_run(&l->uv, UV_RUN_DEFAULT);
	run_posted(l);
	run_turn(l);
	fiber_drop_spare(l);
	close_handles(l);
	arena_drop_stock();
	recycle_drop();
	loop_current = NULL;
	fault_stack_end(stack);
	return NULL;
}

int loop_start(struct loop *l)
{
	sigset_t all, before;
	int failed;

	fault_mask(&all); /* signals are for the main thread */
	pthread_sigmask(SIG_SETMASK, &all, &before);
	failed = pthread_create(&l->thread, NULL, thread_main, l);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (failed)
		return -1;
	l->started = 1;
	return 0;
}

void loop_stop(struct loop *l)
{
	l->stopping = 1;
	uv_async_send(&l->async);
}

void loop_join(struct loop *l)
{
	if (l->started)
		pthread_join(l->thread, NULL);
	l->started = 0;
}

void loop_free(struct loop *l)
{
	if (l == NULL)
		return;
	if (!l->ended)
		close_handles(l); /* it never ran */
	uv_loop_close(&l->uv);
	mem_free(l);
}

void loop_post(struct loop *l, struct loop_task *t)
{
	struct loop_task *head = atomic_load_explicit(&l->posted, memory_order_relaxed);

	do {
		t->next = head;
	} while (!atomic_compare_exchange_weak_explicit(&l->posted, &head, t, memory_order_release,
							memory_order_relaxed));
	if (head == NULL)
		uv_async_send(&l->async);
}

void loop_defer(struct loop *l, struct loop_task *t)
{
	t->next = NULL;
	*l->deferred_end = t;
	l->deferred_end = &t->next;
}

struct waiting_call {
	struct loop_task task;
	void (*fn)(void *arg);
	void *arg;
	uv_sem_t done;
};

static void run_call(struct loop_task *t)
{
	struct waiting_call *c = (struct waiting_call *)t;

	c->fn(c->arg);
	uv_sem_post(&c->done);
}

void loop_call(struct loop *l, void (*fn)(void *arg), void *arg)
{
	struct waiting_call c = { { NULL, run_call }, fn, arg, { { 0 } } };

	if (uv_sem_init(&c.done, 0) < 0)
		abort();
	loop_post(l, &c.task);
	uv_sem_wait(&c.done);
	uv_sem_destroy(&c.done);
}

void loop_note(const char *what)
{
	if (loop_current != NULL)
		atomic_store_explicit(&loop_current->doing, what, memory_order_release);
}

const char *loop_doing(const struct loop *l)
{
	return atomic_load_explicit(&((struct loop *)l)->doing, memory_order_acquire);
}
