/* SPDX-License-Identifier: Apache-2.0 */
#define BASE_ALLOWS_MALLOC
#include "base/mem.h"
#include "base/banned.h"

void *mem_alloc(size_t n)
{
	return malloc(n ? n : 1);
}

void *mem_zalloc(size_t n)
{
	return calloc(1, n ? n : 1);
}

void *mem_resize(void *p, size_t n)
{
	return realloc(p, n ? n : 1);
}

char *mem_dup(const void *p, size_t n)
{
	char *copy = mem_alloc(n + 1);

	if (copy == NULL)
		return NULL;
	if (n > 0)
		memcpy(copy, p, n);
	copy[n] = '\0';
	return copy;
}

void mem_free(void *p)
{
	free(p);
}
