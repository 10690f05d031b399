/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Small memory that comes and goes with every request, such as nghttp2's: each thread keeps what was given back for its
 * next request of that size, so that a busy connection asks the system for nothing. Sizes above RECYCLE_MAX go straight
 * to mem_alloc(). A piece may be given back on another thread than it was taken on; it then belongs to that thread.
 *
 * A thread keeps at most RECYCLE_KEPT bytes. Under AddressSanitizer nothing is kept, so that it sees each use after free.
 */
#ifndef BASE_RECYCLE_H
#define BASE_RECYCLE_H
#include <stddef.h>

#define RECYCLE_MAX 1024u	  /* bytes of the largest piece that is kept */
#define RECYCLE_KEPT (512u << 10) /* bytes */

void *recycle_alloc(size_t n); /* aligned to 16; NULL when there is no memory */
void *recycle_zalloc(size_t n, size_t size);
void *recycle_resize(void *p, size_t n); /* as realloc(): NULL leaves p as it was */
void recycle_free(void *p);		 /* NULL is fine */

void recycle_drop(void); /* gives back what this thread keeps: call before the thread ends */
#endif
