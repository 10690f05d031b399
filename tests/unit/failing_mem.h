/* SPDX-License-Identifier: Apache-2.0 */
/*
 * In place of base/mem.c: an allocation fails when the includer's `static int fails(void)`, defined before, says so. One file of
 * a program includes it.
 */
#ifndef FAILING_MEM_H
#define FAILING_MEM_H
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

void *mem_alloc(size_t n)
{
	return fails() ? NULL : malloc(n ? n : 1);
}

void *mem_zalloc(size_t n)
{
	return fails() ? NULL : calloc(1, n ? n : 1);
}

void *mem_resize(void *p, size_t n)
{
	return fails() ? NULL : realloc(p, n ? n : 1);
}

char *mem_dup(const void *p, size_t n)
{
	char *q = mem_alloc(n + 1);

	if (q != NULL) {
		memcpy(q, p, n);
		q[n] = '\0';
	}
	return q;
}

void mem_free(void *p)
{
	free(p);
}
#endif
