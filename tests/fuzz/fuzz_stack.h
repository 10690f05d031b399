/* SPDX-License-Identifier: Apache-2.0 */
/* Runs what is fuzzed on a stack as small as a fiber's, with a page behind it that must not be touched. */
#ifndef FUZZ_STACK_H
#define FUZZ_STACK_H
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "loop/fiber.h"
#include "loop/switch.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define FUZZ_ASAN 1
#include <sanitizer/common_interface_defs.h>
#endif
#endif
#ifndef FUZZ_ASAN
#define FUZZ_ASAN 0
#endif

static struct {
	struct switch_context main, fiber;
	char *stack;
	void (*fn)(void *arg);
	void *arg;
	void *main_asan;
	const void *main_stack;
	size_t main_size;
} fuzz;

/* The bottom of the stack: one input after another. */
static void fuzz_bottom(void *arg)
{
	(void)arg;
	for (;;) {
#if FUZZ_ASAN
		__sanitizer_finish_switch_fiber(NULL, &fuzz.main_stack, &fuzz.main_size);
#endif
		fuzz.fn(fuzz.arg);
#if FUZZ_ASAN
		void *own;

		__sanitizer_start_switch_fiber(&own, fuzz.main_stack, fuzz.main_size);
#endif
		switch_to(&fuzz.fiber, &fuzz.main);
	}
}

static inline void fuzz_on_fiber(void (*fn)(void *arg), void *arg)
{
	if (fuzz.stack == NULL) {
		size_t page = (size_t)sysconf(_SC_PAGESIZE);

		fuzz.stack = mmap(NULL, FIBER_STACK + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (fuzz.stack == MAP_FAILED || mprotect(fuzz.stack, page, PROT_NONE) < 0)
			abort();
		fuzz.stack += page;
		switch_make(&fuzz.fiber, fuzz.stack, FIBER_STACK, fuzz_bottom, NULL);
	}
	fuzz.fn = fn;
	fuzz.arg = arg;
#if FUZZ_ASAN
	__sanitizer_start_switch_fiber(&fuzz.main_asan, fuzz.stack, FIBER_STACK);
#endif
	switch_to(&fuzz.main, &fuzz.fiber);
#if FUZZ_ASAN
	__sanitizer_finish_switch_fiber(fuzz.main_asan, NULL, NULL);
#endif
}

#endif
