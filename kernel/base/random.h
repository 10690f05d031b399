/* SPDX-License-Identifier: Apache-2.0 */
/* Random bytes from the system, good enough for keys. */
#ifndef BASE_RANDOM_H
#define BASE_RANDOM_H
#include <stddef.h>

#define UUID_TEXT 37 /* characters and a NUL */

void random_bytes(void *p, size_t n);	  /* aborts where the system has none: nothing may go on with guessable ones */
void random_uuid(char ret_text[UUID_TEXT]); /* version 4 (RFC 9562) */
#endif
