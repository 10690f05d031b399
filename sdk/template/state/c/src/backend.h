/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stands in for the client of your server: keys and values in this process's memory. Keep the calls as your client has them
 * and change plugin.c to fit; it alone knows of Davit. One thread at a time.
 */
#ifndef BACKEND_H
#define BACKEND_H
#include <stddef.h>
#include <stdint.h>

enum backend_result { BACKEND_OK, BACKEND_NONE, BACKEND_STALE, BACKEND_NO_MEMORY };

struct backend;

/* What a value is written or removed on condition of. */
enum backend_if { BACKEND_ALWAYS, BACKEND_IF_NONE, BACKEND_IF_REVISION };

struct backend *backend_open(void); /* NULL: no memory */
void backend_close(struct backend *b);
/* BACKEND_OK: *ret_value is good until the next call. BACKEND_NONE. */
enum backend_result backend_read(struct backend *b, const char *key, size_t nkey, const void **ret_value, size_t *ret_n,
				 uint64_t *ret_revision);
/* BACKEND_STALE: the condition does not hold. */
enum backend_result backend_write(struct backend *b, const char *key, size_t nkey, const void *value, size_t n,
				  enum backend_if condition, uint64_t revision);
/* BACKEND_NONE: there was nothing; with BACKEND_IF_REVISION that is BACKEND_STALE. */
enum backend_result backend_remove(struct backend *b, const char *key, size_t nkey, enum backend_if condition,
				   uint64_t revision);
#endif
