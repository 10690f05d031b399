/* SPDX-License-Identifier: Apache-2.0 */
/* Heap memory whose owner outlives one call. Every function may answer NULL: check it. */
#ifndef BASE_MEM_H
#define BASE_MEM_H
#include <stddef.h>

void *mem_alloc(size_t n);		/* n bytes, not cleared */
void *mem_zalloc(size_t n);		/* n bytes, zero */
void *mem_resize(void *p, size_t n);	/* as realloc: on NULL p is still the caller's */
char *mem_dup(const void *p, size_t n); /* a copy of n bytes with a NUL behind it */
void mem_free(void *p);			/* NULL is fine */
#endif
