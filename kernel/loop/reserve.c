/* SPDX-License-Identifier: Apache-2.0 */
#include "loop/reserve.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <uv.h>

#include "base/banned.h"
#include "base/mem.h"

#define RESERVE 65536 /* bytes: a table of 8,192 descriptors */

static _Atomic(void *) reserve;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void refill(void)
{
	void *none = NULL, *p = mem_alloc(RESERVE);

	if (!atomic_compare_exchange_strong(&reserve, &none, p))
		mem_free(p);
}

static void *resize(void *p, size_t n)
{
	void *q = mem_resize(p, n), *given;

	if (q != NULL) {
		if (atomic_load_explicit(&reserve, memory_order_relaxed) == NULL)
			refill();
		return q;
	}
	given = atomic_exchange(&reserve, NULL);
	mem_free(given);
	return given == NULL ? NULL : mem_resize(p, n);
}

static void *zeroed(size_t count, size_t n)
{
	return n > 0 && count > SIZE_MAX / n ? NULL : mem_zalloc(count * n);
}

static void replace(void)
{
	refill();
	uv_replace_allocator(mem_alloc, resize, zeroed, mem_free);
}

void reserve_start(void)
{
	pthread_once(&once, replace);
}
