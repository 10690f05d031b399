/* SPDX-License-Identifier: Apache-2.0 */
#include "http/h2_memory.h"

#include "base/recycle.h"

static void *take(size_t n, void *user)
{
	(void)user;
	return recycle_alloc(n);
}

static void *take_zeroed(size_t n, size_t size, void *user)
{
	(void)user;
	return recycle_zalloc(n, size);
}

static void *resize(void *p, size_t n, void *user)
{
	(void)user;
	return recycle_resize(p, n);
}

static void give(void *p, void *user)
{
	(void)user;
	recycle_free(p);
}

nghttp2_mem h2_memory = { NULL, take, give, take_zeroed, resize };
