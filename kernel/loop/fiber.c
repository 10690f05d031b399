/* SPDX-License-Identifier: Apache-2.0 */
#include "loop/fiber.h"

#include <sys/mman.h>
#include <unistd.h>

#include "base/banned.h"
#include "base/clock.h"
#include "base/mem.h"
#include "loop/inside.h"

#define SPARE 256    /* fibers that a loop keeps for its next calls */
#define TRIM_MS 1000 /* what a burst leaves beyond that and nobody took meanwhile is given back so often */
#define PATTERN 0xa5

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>
#include <sanitizer/lsan_interface.h>
#define ASAN 1
#else
#define ASAN 0
#endif
#if defined(__SANITIZE_THREAD__)
#include <sanitizer/tsan_interface.h>
#define TSAN 1
#else
#define TSAN 0
#endif

static atomic_int live, limit = FIBER_LIMIT, measuring;
static atomic_size_t high_water;

int fiber_live(void)
{
	return atomic_load_explicit(&live, memory_order_relaxed);
}

void fiber_limit(int most)
{
	limit = most;
}

void fiber_measure(int on)
{
	measuring = on;
}

size_t fiber_high_water(void)
{
	return high_water;
}

struct fiber *fiber_self(void)
{
	return loop_current ? loop_current->running : NULL;
}

struct loop *fiber_loop(const struct fiber *f)
{
	return f->loop;
}

void **fiber_note(struct fiber *f)
{
	return &f->note;
}

static void tell_leaving(struct loop *l, int to_fiber, struct fiber *f)
{
#if ASAN
	if (to_fiber)
		__sanitizer_start_switch_fiber(&l->main_asan, f->stack, FIBER_STACK);
	else
		__sanitizer_start_switch_fiber(&f->asan, l->main_stack, l->main_stack_size);
#endif
#if TSAN
	__tsan_switch_to_fiber(to_fiber ? f->tsan : l->main_tsan, 0);
#endif
	(void)l, (void)to_fiber, (void)f;
}

static void tell_arrived(struct loop *l, int on_fiber, struct fiber *f)
{
#if ASAN
	if (on_fiber)
		__sanitizer_finish_switch_fiber(f->asan, &l->main_stack, &l->main_stack_size);
	else
		__sanitizer_finish_switch_fiber(l->main_asan, NULL, NULL);
#endif
	(void)l, (void)on_fiber, (void)f;
}

static void measure(struct fiber *f)
{
	size_t untouched = 0, used;

	while (untouched < FIBER_STACK && (unsigned char)f->stack[untouched] == PATTERN)
		untouched++;
	used = FIBER_STACK - untouched;
	if (used > high_water)
		high_water = used;
}

/* The bottom of every fiber's stack: one call after another, parked as a spare in between. */
static void fiber_main(void *arg)
{
	struct fiber *f = arg;
	struct loop *l = f->loop;

	for (;;) {
		tell_arrived(l, 1, f);
		f->fn(f->arg);
		f->fn = NULL;
		tell_leaving(l, 0, f);
		switch_to(&f->context, &l->main);
	}
}

static struct fiber *fiber_new(struct loop *l)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	struct fiber *f = mem_zalloc(sizeof(*f));
	char *map;

	if (f == NULL)
		return NULL;
	map = mmap(NULL, FIBER_STACK + page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (map == MAP_FAILED)
		goto failed;
	if (mprotect(map + page, FIBER_STACK, PROT_READ | PROT_WRITE) < 0) {
		munmap(map, FIBER_STACK + page);
		goto failed;
	}
	f->stack = map + page;
	f->loop = l;
	if (measuring)
		memset(f->stack, PATTERN, FIBER_STACK);
	uv_timer_init(&l->uv, &f->timer);
	f->timer.data = f;
	switch_make(&f->context, f->stack, FIBER_STACK, fiber_main, f);
#if TSAN
	f->tsan = __tsan_create_fiber(0);
#endif
#if ASAN
	__lsan_register_root_region(f->stack, FIBER_STACK);
#endif
	return f;
failed:
	mem_free(f);
	return NULL;
}

static void free_closed(uv_handle_t *timer)
{
	struct fiber *f = timer->data;
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

#if TSAN
	__tsan_destroy_fiber(f->tsan);
#endif
#if ASAN
	__lsan_unregister_root_region(f->stack, FIBER_STACK);
#endif
	switch_release(&f->context);
	munmap(f->stack - page, FIBER_STACK + page);
	mem_free(f);
}

/* Those that rest longest go. */
static void keep_spare(struct loop *l, int most)
{
	struct fiber **at = &l->spare, *f, *next;
	int i;

	for (i = 0; i < most && *at != NULL; i++)
		at = &(*at)->next;
	f = *at;
	*at = NULL;
	l->nspare = i;
	for (; f != NULL; f = next) {
		next = f->next;
		uv_close((uv_handle_t *)&f->timer, free_closed);
	}
}

static void on_trim(uv_timer_t *t)
{
	struct loop *l = t->data;
	int kept = l->nspare - l->least_spare;

	keep_spare(l, kept > SPARE ? kept : SPARE);
	l->least_spare = l->nspare;
	if (l->nspare <= SPARE)
		uv_timer_stop(t);
}

static void retire(struct fiber *f)
{
	struct loop *l = f->loop;

	if (measuring)
		measure(f);
	atomic_fetch_sub_explicit(&live, 1, memory_order_relaxed);
	f->next = l->spare;
	l->spare = f;
	if (++l->nspare <= SPARE || uv_is_active((uv_handle_t *)&l->trim))
		return;
	l->least_spare = l->nspare;
	uv_timer_start(&l->trim, on_trim, TRIM_MS, TRIM_MS);
}

void fiber_start_trim(struct loop *l)
{
	uv_timer_init(&l->uv, &l->trim);
	uv_unref((uv_handle_t *)&l->trim);
	l->trim.data = l;
}

void fiber_drop_spare(struct loop *l)
{
	keep_spare(l, 0);
}

static void resume(struct fiber *f)
{
	struct loop *l = f->loop;

	l->running = f;
	tell_leaving(l, 1, f);
	switch_to(&l->main, &f->context);
	tell_arrived(l, 0, f);
	l->running = NULL;
	if (f->fn == NULL && !f->queued) /* a late wake still has it in line: it retires when its turn comes */
		retire(f);
}

static void enqueue(struct fiber *f)
{
	struct loop *l = f->loop;

	if (f->queued)
		return;
	f->queued = 1;
	f->next = NULL;
	*l->ready_end = f;
	l->ready_end = &f->next;
}

int fiber_start(struct loop *l, void (*fn)(void *arg), void *arg)
{
	struct fiber *f = l->spare;

	if (atomic_fetch_add_explicit(&live, 1, memory_order_relaxed) >= limit) {
		atomic_fetch_sub_explicit(&live, 1, memory_order_relaxed);
		return -1;
	}
	if (f != NULL) {
		l->spare = f->next;
		if (--l->nspare < l->least_spare)
			l->least_spare = l->nspare;
	} else if ((f = fiber_new(l)) == NULL) {
		atomic_fetch_sub_explicit(&live, 1, memory_order_relaxed);
		return -1;
	}
	f->fn = fn;
	f->arg = arg;
	f->note = NULL;
	if (l->running != NULL)
		enqueue(f);
	else
		resume(f);
	return 0;
}

void fiber_run_ready(struct loop *l)
{
	struct fiber *f;

	while ((f = l->ready) != NULL) {
		l->ready = f->next;
		if (l->ready == NULL)
			l->ready_end = &l->ready;
		f->queued = 0;
		if (f->fn == NULL)
			retire(f);
		else
			resume(f);
	}
}

void fiber_park(void)
{
	struct fiber *f = fiber_self();
	struct loop *l = f->loop;

	tell_leaving(l, 0, f);
	switch_to(&f->context, &l->main);
	tell_arrived(l, 1, f);
}

static void on_timer(uv_timer_t *t)
{
	struct fiber *f = t->data;

	f->timed_out = 1;
	enqueue(f);
}

int fiber_park_until(int64_t until_ns)
{
	struct fiber *f = fiber_self();
	int64_t left;

	if (until_ns <= 0) {
		fiber_park();
		return 0;
	}
	left = until_ns - clock_ns();
	if (left <= 0)
		return -1;
	f->timed_out = 0;
	uv_update_time(&f->loop->uv);
	uv_timer_start(&f->timer, on_timer, (uint64_t)(left + 999999) / 1000000, 0);
	fiber_park();
	uv_timer_stop(&f->timer);
	return f->timed_out ? -1 : 0;
}

void fiber_wake(struct fiber *f)
{
	enqueue(f);
}
