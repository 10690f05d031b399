/* SPDX-License-Identifier: Apache-2.0 */
/* Random bytes from the system. */
#ifndef BASE_RANDOM_H
#define BASE_RANDOM_H
#include <stddef.h>

#define UUID_TEXT 37 /* characters and a NUL */

/* Good enough for keys. Aborts where the system has none: nothing may go on with guessable ones. */
void random_bytes(void *p, size_t n);
/*
 * For what need not be secret, but must not repeat between threads and processes: n bytes (at most 512) of what this thread
 * fetched in bulk. A forked child has its parent's stock: it must exec before it asks.
 */
void random_id(void *p, size_t n);
void random_uuid(char ret_text[UUID_TEXT]); /* version 4 (RFC 9562), of random_id() */
#endif
