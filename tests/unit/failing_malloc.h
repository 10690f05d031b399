/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The C library's allocator, of which the n-th call fails, whoever makes it. Not with a sanitizer, which has an allocator of
 * its own: then COUNTED is not defined, nothing fails and nothing is counted. One file of a program includes it.
 */
#ifndef FAILING_MALLOC_H
#define FAILING_MALLOC_H
#include <errno.h>
#include <stdlib.h>

static long __attribute__((unused)) fail_at; /* the call that fails; 0: none. It counts down. */
static long __attribute__((unused)) living;  /* blocks that were allocated and not freed */

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define COUNTED 1
void *__libc_malloc(size_t n);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t n);
void __libc_free(void *p);

static int fails(void)
{
	if (fail_at == 0 || --fail_at > 0)
		return 0;
	errno = ENOMEM;
	return 1;
}

static void *counted(void *p)
{
	living += p != NULL;
	return p;
}

void *malloc(size_t n)
{
	return fails() ? NULL : counted(__libc_malloc(n));
}

void *calloc(size_t n, size_t size)
{
	return fails() ? NULL : counted(__libc_calloc(n, size));
}

void *realloc(void *p, size_t n)
{
	void *q = fails() ? NULL : __libc_realloc(p, n);

	living += p == NULL && q != NULL;
	return q;
}

void free(void *p)
{
	living -= p != NULL;
	__libc_free(p);
}
#endif
#endif
